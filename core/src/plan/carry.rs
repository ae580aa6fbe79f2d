//! A new revision that changes nothing for a member: the member carries it from then on, and is not
//! restarted. So an override that changes for one ordinal replaces that member and no other.

use crate::{
    ids::{MemberId, SetKey},
    plan::{Step, draft::Draft},
};

/// Has the members carry the newest revision to which it is what they have.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let same = set.members.iter().filter(|(ordinal, member)| {
        member.revision != set.revision
            && set.is_same_for(**ordinal, &member.revision, &set.revision)
    });
    let steps: Vec<Step> = same
        .map(|(ordinal, member)| Step::Carry {
            member: MemberId {
                set: key.clone(),
                ordinal: *ordinal,
            },
            epoch: member.epoch,
            revision: set.revision.clone(),
        })
        .collect();
    for step in steps {
        draft.push(step);
    }
}

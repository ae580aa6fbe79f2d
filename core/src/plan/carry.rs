//! A new revision that changes nothing for a member: the member carries it from then on, and is not
//! restarted. Only where an update would replace it: what a partition keeps stays as it is. So an override that changes for one ordinal replaces that member and no other.

use crate::{
    ids::{MemberId, SetKey},
    plan::{Step, draft::Draft},
};

/// Has the members carry the revision that they would be brought to where it is what they have.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let same = set.members.iter().filter(|(ordinal, member)| {
        let target = set.target_revision();
        member.revision != *target
            && set.updates(**ordinal)
            && !set.holds_updates()
            && set.is_same_for(**ordinal, &member.revision, target)
    });
    let steps: Vec<Step> = same
        .map(|(ordinal, member)| Step::Carry {
            member: MemberId {
                set: key.clone(),
                ordinal: *ordinal,
            },
            epoch: member.epoch,
            revision: set.target_revision().clone(),
        })
        .collect();
    for step in steps {
        draft.push(step);
    }
}

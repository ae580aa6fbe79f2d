//! What agents reported and must outlive their contact: filled volumes, passed gates.

use crate::{
    ids::{MemberId, SetKey},
    plan::{Step, draft::Draft, facts::facts},
};

/// Records what is newly observed of a set.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let ordinals: Vec<_> = set.members.keys().copied().collect();
    for ordinal in ordinals {
        let id = MemberId {
            set: key.clone(),
            ordinal,
        };
        for step in observed(draft, &id) {
            draft.push(step);
        }
    }
}

fn observed(draft: &Draft, id: &MemberId) -> Vec<Step> {
    let Some(facts) = facts(&draft.state, &id.set, id.ordinal) else {
        return Vec::new();
    };
    let Some(seen) = facts.seen else {
        return Vec::new();
    };
    let reported = seen.report.filled.iter();
    let claims = reported.filter_map(|template| id.claim(template).ok());
    let mut steps: Vec<Step> = claims
        .filter(|key| {
            let claim = draft.state.claims.get(key);
            claim.is_some_and(|claim| !claim.filled && claim.is_for(id))
        })
        .map(|key| Step::FillClaim { key, owner: None })
        .collect();
    let member = facts.member;
    // Whatever the policy: only a member that served has surely finished its part of the founding.
    // That it served once is enough: it may be down by now, or on its way out.
    if seen.report.passed_gate && !member.passed_gate {
        steps.push(Step::PassGate {
            member: id.clone(),
            epoch: member.epoch,
        });
    }
    steps
}

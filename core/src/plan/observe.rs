//! What agents reported and must outlive their contact: filled volumes, passed gates.

use crate::{
    bug::{self, Bug},
    ids::{MemberId, SetKey},
    plan::{
        Step,
        draft::Draft,
        facts::{Facts, facts},
    },
    state::State,
    volume::{VolumeReport, access::shared_claims},
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
    let mut steps: Vec<Step> = reported
        .filter_map(|name| filled(&draft.state, id, &facts, name, &seen.report.volumes))
        .collect();
    let member = facts.member;
    // Whatever the policy: only a member that served has surely finished its part of the founding.
    // That it served once is enough: it may be down by now, or on its way out.
    let served = seen.report.passed_gate || bug::on(Bug::GatePassedUnready);
    if served && !member.passed_gate {
        steps.push(Step::PassGate {
            member: id.clone(),
            epoch: member.epoch,
        });
    }
    steps
}

/// What is to be recorded of a volume that a member was started on, by the name that its mounts
/// know: that it holds data, and whose.
fn filled(
    state: &State,
    id: &MemberId,
    facts: &Facts<'_>,
    name: &str,
    reports: &[VolumeReport],
) -> Option<Step> {
    let own = id.claim(name).ok();
    let own = own.filter(|key| state.claims.get(key).is_some_and(|claim| claim.is_for(id)));
    let shared = || {
        let template = facts.set.template_of(&facts.member.revision)?;
        let mut shared = shared_claims(id, template);
        shared
            .find(|(used, _)| used.name == name)
            .map(|(_, key)| key)
    };
    let key = own.or_else(shared)?;
    let claim = state.claims.get(&key)?;
    let report = reports.iter().find(|report| report.name == name);
    // Of a volume that holds its own record, that one counts.
    let unrecorded = report.filter(|report| !report.recorded);
    let owner = unrecorded.map(|report| report.owner.clone());
    // The first one is kept: members that share a claim may reach its server by several.
    let known = state.volume_of(claim).and_then(|volume| volume.address);
    let address = report.and_then(|report| report.address);
    let address = address.filter(|_| known.is_none());
    let moved_in = state
        .volume_of(claim)
        .and_then(|volume| volume.moved_in.as_ref());
    let moved = moved_in.is_some_and(|moved_in| !moved_in.started);
    let news =
        moved || !claim.filled || (claim.owner.is_none() && owner.is_some()) || address.is_some();
    news.then_some(Step::FillClaim {
        key,
        owner,
        address,
    })
}

//! What agents reported and must outlive their contact: filled volumes, passed gates.

use crate::{
    bug::{self, Bug},
    ids::{MemberId, SetKey},
    plan::{
        Step,
        draft::Draft,
        facts::{Facts, all, facts},
    },
    state::{OwnClaims, State},
    volume::{VolumeReport, access::shared_claims},
};

/// Records what is newly observed of a set.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let claims = draft.state.own_claims(key);
    let news = all(&draft.state, key).filter_map(|(ordinal, facts)| {
        let id = MemberId {
            set: key.clone(),
            ordinal,
        };
        let news = !observed(&draft.state, &claims, &id, &facts).is_empty();
        news.then_some(id)
    });
    // What is recorded of a claim that several share is no news of the others any more.
    for id in news.collect::<Vec<_>>() {
        let claims = draft.state.own_claims(key);
        let facts = facts(&draft.state, key, id.ordinal);
        let steps = facts.map(|facts| observed(&draft.state, &claims, &id, &facts));
        for step in steps.unwrap_or_default() {
            draft.push(step);
        }
    }
}

fn observed(state: &State, claims: &OwnClaims, id: &MemberId, facts: &Facts<'_>) -> Vec<Step> {
    let Some(seen) = facts.seen else {
        return Vec::new();
    };
    let reported = seen.report.filled.iter();
    let mut steps: Vec<Step> = reported
        .filter_map(|name| filled((state, claims), id, facts, name, &seen.report.volumes))
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
    (state, claims): (&State, &OwnClaims),
    id: &MemberId,
    facts: &Facts<'_>,
    name: &str,
    reports: &[VolumeReport],
) -> Option<Step> {
    let shared = || {
        let template = facts.set.template_of(&facts.member.revision)?;
        let mut shared = shared_claims(id, template);
        let (_, key) = shared.find(|(used, _)| used.name == name)?;
        state.claims.get_key_value(&key)
    };
    let (key, claim) = claims.named(id.ordinal, name).or_else(shared)?;
    let report = reports.iter().find(|report| report.name == name);
    // Of a volume that holds its own record, that one counts.
    let unrecorded = report.filter(|report| !report.recorded);
    let owner = unrecorded.map(|report| report.owner.clone());
    // The first one is kept: members that share a claim may reach its server by several.
    let known = || state.volume_of(claim).and_then(|volume| volume.address);
    let address = report.and_then(|report| report.address);
    let address = address.filter(|_| known().is_none());
    let moved = || {
        let moved_in = state.volume_of(claim)?.moved_in.as_ref();
        moved_in.filter(|moved_in| !moved_in.started)
    };
    let news = !claim.filled
        || (claim.owner.is_none() && owner.is_some())
        || address.is_some()
        || moved().is_some();
    news.then(|| Step::FillClaim {
        key: key.clone(),
        owner,
        address,
    })
}

//! Rules about order: of starts, of stops, and of names before both.

use std::time::Duration;

use crate::{
    check::{
        Case, Verdict,
        standing::{
            available, grant, heard, held, id, is_wanted, leaves_host, runs, still_serves, wanted,
        },
        updates::goal,
    },
    ids::{MemberId, Ordinal},
    plan::Step,
    spec::GatePolicy,
    state::{Ordered, Set, State},
};

/// How long a start waits for a name to be served.
const BARRIER: Duration = Duration::from_secs(2);

pub(super) fn start_order(case: &Case<'_>) -> Verdict {
    let Step::Start { member, .. } = case.step else {
        return Ok(());
    };
    let Some((set, _)) = grant(case.state, member) else {
        return Ok(());
    };
    let policy = in_force(case.state, member, set);
    if policy == GatePolicy::Parallel {
        return Ok(());
    }
    for lower in wanted(set).into_iter().filter(|n| *n < member.ordinal) {
        let lower = id(&member.set, lower);
        let holds = match policy {
            GatePolicy::Parallel => true,
            GatePolicy::OrderedStarted => runs(case.state, &lower).is_some_and(|r| r.started),
            GatePolicy::OrderedReady => available(case.state, &lower, case.now),
        };
        let ordered = grant(case.state, &lower).map(|(_, member)| member.ordered);
        let down = ordered.is_none_or(|ordered| ordered == Ordered::Nothing);
        let kept_down = down && held(case.state, &lower).is_some();
        if !(holds || kept_down) {
            return Err(format!("{member} starts under {policy:?} before {lower}"));
        }
    }
    Ok(())
}

/// The policy that governs the start of a member.
fn in_force(state: &State, member: &MemberId, set: &Set) -> GatePolicy {
    let founding = state.foundings.get(&member.set);
    let founders_left = founding.map(|f| f.open.iter().any(|open| is_wanted(set, *open)));
    if founders_left == Some(true) {
        return set.spec.bootstrap_policy();
    }
    let somebody_serves = set
        .members
        .keys()
        .any(|ordinal| still_serves(state, &id(&member.set, *ordinal)));
    let templates = &set.spec.volume_claim_templates;
    let filled = templates.iter().filter(|template| {
        let key = member.claim(&template.metadata.name).ok();
        let claim = key.and_then(|key| state.claims.get(&key));
        claim.is_some_and(|claim| claim.filled)
    });
    let own_data = !templates.is_empty() && filled.count() == templates.len();
    if own_data && !somebody_serves {
        return set.spec.cold_start_policy();
    }
    let all = wanted(set);
    let up = all.iter().filter(|ordinal| {
        heard(state, &id(&member.set, **ordinal)).is_some_and(|seen| seen.report.started)
    });
    let no_majority = up.count() * 2 <= all.len();
    let policy = set.spec.pod_management_policy;
    if policy == GatePolicy::OrderedReady && founding.is_some() && no_majority {
        return GatePolicy::OrderedStarted;
    }
    policy
}

pub(super) fn stop_order(case: &Case<'_>) -> Verdict {
    let Step::Stop { member, .. } = case.step else {
        return Ok(());
    };
    let Some((set, _)) = grant(case.state, member) else {
        return Ok(());
    };
    if is_wanted(set, member.ordinal) || set.spec.pod_management_policy == GatePolicy::Parallel {
        return Ok(());
    }
    let leaves = |other: &&Ordinal| **other > member.ordinal && !is_wanted(set, **other);
    match set.members.keys().find(leaves) {
        Some(higher) => Err(format!("{member} stops while ordinal {higher} is there")),
        None => Ok(()),
    }
}

pub(super) fn held_back(case: &Case<'_>) -> Verdict {
    let Step::Start { member, .. } = case.step else {
        return Ok(());
    };
    match held(case.state, member) {
        Some(why) => Err(format!("{member} starts and {why}")),
        None => Ok(()),
    }
}

pub(super) fn stays_pinned(case: &Case<'_>) -> Verdict {
    let Step::Stop { member: id, .. } = case.step else {
        return Ok(());
    };
    let Some((set, member)) = grant(case.state, id) else {
        return Ok(());
    };
    let host = case.state.hosts.get(&member.host);
    let drained = host.is_some_and(|host| host.record.directives.draining.is_some());
    let else_asked = !is_wanted(set, id.ordinal)
        || set.offline.contains_key(&id.ordinal)
        || leaves_host(set, id.ordinal)
        || member.revision != *goal(set)
        || member.restart_asked.is_some();
    if drained && !else_asked && held(case.state, id).is_none() {
        Err(format!(
            "{id} is stopped and has its data on the drained host"
        ))
    } else {
        Ok(())
    }
}

pub(super) fn names_first(case: &Case<'_>) -> Verdict {
    let Step::Start { member: id, .. } = case.step else {
        return Ok(());
    };
    let Some((_, member)) = grant(case.state, id) else {
        return Ok(());
    };
    let mut hosts = case.state.hosts.iter();
    let behind =
        hosts.find(|(_, host)| host.contact.connected && host.contact.zone_acked < member.named_in);
    let waited = case.now.since(member.assigned_at);
    match behind.filter(|_| waited < BARRIER) {
        Some((host, _)) => Err(format!("{id} starts before {host} serves its name")),
        None => Ok(()),
    }
}

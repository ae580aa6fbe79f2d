//! Rules about sets that depend on others.

use crate::{
    check::{
        Case, Verdict,
        standing::{available, grant, id, runs, wanted},
    },
    ids::MemberId,
    plan::Step,
    spec::DependencyGate,
    state::{Set, State},
    time::Timestamp,
};

pub(super) fn dependency_order(case: &Case<'_>) -> Verdict {
    match case.step {
        Step::Start { member, .. } => start(case.state, member, case.now),
        Step::Stop { member, .. } => stop(case.state, member),
        Step::CreateClaim { .. }
        | Step::AdoptClaim { .. }
        | Step::BindClaim { .. }
        | Step::GrowClaim { .. }
        | Step::TakeSnapshot { .. }
        | Step::TieClaim { .. }
        | Step::DropClaim { .. }
        | Step::PurgeVolume { .. }
        | Step::FillClaim { .. }
        | Step::TakeAddress { .. }
        | Step::Assign { .. }
        | Step::Found { .. }
        | Step::PassGate { .. }
        | Step::TakeHost { .. }
        | Step::LeaveHost { .. }
        | Step::Carry { .. }
        | Step::Reload { .. }
        | Step::Rollout { .. }
        | Step::Release { .. }
        | Step::RemoveSet { .. }
        | Step::Refound { .. }
        | Step::DropRevision { .. }
        | Step::ForgetFounding { .. }
        | Step::PublishZone { .. } => Ok(()),
    }
}

fn start(state: &State, member: &MemberId, now: Timestamp) -> Verdict {
    let Some((set, _)) = grant(state, member) else {
        return Ok(());
    };
    let mut siblings = set.members.keys();
    if siblings.any(|n| runs(state, &id(&member.set, *n)).is_some_and(|r| r.started)) {
        return Ok(());
    }
    for one in &set.spec.depends_on {
        let Some(key) = one.key(&member.set.namespace) else {
            continue;
        };
        let Some(other) = state.sets.get(&key) else {
            return Err(format!("{member} starts and there is no set {key}"));
        };
        let lacks = |id: &MemberId| match one.gate {
            DependencyGate::Started => !runs(state, id).is_some_and(|report| report.started),
            DependencyGate::Ready => !runs(state, id).is_some_and(|report| report.ready),
            DependencyGate::Available => !available(state, id, now),
        };
        let mut all = wanted(other).into_iter().map(|n| id(&key, n));
        if ends(other) {
            return Err(format!("{member} starts and set {key} has no members"));
        }
        if let Some(lacking) = all.find(lacks) {
            return Err(format!("{member} starts before {lacking}"));
        }
    }
    Ok(())
}

/// Whether no member of a set is wanted.
fn ends(set: &Set) -> bool {
    wanted(set).is_empty()
}

fn stop(state: &State, member: &MemberId) -> Verdict {
    let Some((set, _)) = grant(state, member) else {
        return Ok(());
    };
    if !ends(set) {
        return Ok(());
    }
    let index = state.index();
    let others = index.dependants.of(&member.set);
    let mut others = others.filter_map(|key| state.sets.get_key_value(key));
    let there = |other: &Set| ends(other) && other.orphaned.is_none() && !other.members.is_empty();
    match others.find(|(_, other)| there(other)) {
        Some((key, _)) => Err(format!("{member} stops before set {key}, which needs it")),
        None => Ok(()),
    }
}

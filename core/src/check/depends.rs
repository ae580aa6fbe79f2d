//! Rules about sets that depend on others.

use crate::{
    check::{
        Case, Verdict,
        standing::{available, grant, held, id, runs, serves, wanted},
    },
    ids::{MemberId, SetKey},
    plan::Step,
    spec::DependencyGate,
    state::{Set, State},
    time::Timestamp,
};

pub(super) fn dependency_order(case: &Case<'_>) -> Verdict {
    if let Step::Start { member, .. } = case.step {
        start(case.state, member, case.now)
    } else if let Step::Stop { member, .. } = case.step {
        stop(case.state, member)
    } else {
        Ok(())
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
            DependencyGate::Ready => !serves(state, id),
            DependencyGate::Available => !available(state, id, now),
        };
        let mut all: Vec<MemberId> = wanted(other).into_iter().map(|n| id(&key, n)).collect();
        all.retain(|id| {
            let down = !runs(state, id).is_some_and(|report| report.started);
            !(down && held(state, id).is_some())
        });
        if all.is_empty() {
            return Err(format!("{member} starts and set {key} has no members"));
        }
        if let Some(lacking) = all.iter().find(|id| lacks(id)) {
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
    let needs = |(key, other): &(&SetKey, &Set)| {
        let mut needed = other.spec.depends_on.iter();
        needed.any(|one| one.key(&key.namespace).as_ref() == Some(&member.set))
    };
    let mut others = state.sets.iter().filter(needs);
    let there = |other: &Set| ends(other) && other.orphaned.is_none() && !other.members.is_empty();
    match others.find(|(_, other)| there(other)) {
        Some((key, _)) => Err(format!("{member} stops before set {key}, which needs it")),
        None => Ok(()),
    }
}

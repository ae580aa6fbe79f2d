//! Dependencies between sets: `dependsOn` holds back the first start of a set until others are up,
//! and the stop of a set until those that need it are gone.
//!
//! Only the way up of a whole set waits. Once a member of it runs, a dependency that falters holds
//! nothing back: a replaced member that waited for it would only make things worse, and two sets
//! that go down together could wait for each other.

use crate::{
    bug::{self, Bug},
    ids::{MemberId, Ordinal, SetKey},
    plan::{
        draft::Draft,
        evict,
        facts::{Facts, facts_in},
    },
    spec::DependencyGate,
    state::{Set, State},
    time::Timestamp,
    waiting::Reason,
};

/// Whether the starts of a set are held back by what it depends on.
///
/// # Errors
/// By which set, and the time at which it no longer does if only time is missing.
pub(super) fn check_start(draft: &mut Draft, key: &SetKey) -> Result<(), Reason> {
    let Some(set) = draft.state.sets.get(key) else {
        return Ok(());
    };
    let skipped = bug::on(Bug::DependencySkipped);
    if set.spec.depends_on.is_empty() || is_up(&draft.state, key, set) || skipped {
        return Ok(());
    }
    for one in &set.spec.depends_on {
        let Some(needed) = one.key(&key.namespace) else {
            continue;
        };
        let gate = one.gate;
        let Some(other) = draft.state.sets.get(&needed) else {
            return Err(Reason::DependencyMissing { set: needed });
        };
        if let Err(wake) = holds(&draft.state, &needed, other, gate, draft.now) {
            let gate = gate.as_str().to_owned();
            draft.wake(wake);
            return Err(Reason::DependencyNotReady { set: needed, gate });
        }
    }
    Ok(())
}

/// Whether any member of a set runs.
fn is_up(state: &State, key: &SetKey, set: &Set) -> bool {
    let mut members = set.members.keys();
    members.any(|ordinal| facts_in(state, key, set, *ordinal).is_some_and(|facts| facts.started()))
}

/// Whether every member of a set holds a gate, but for those that an operator keeps down; a set
/// without members holds none.
fn holds(
    state: &State,
    key: &SetKey,
    set: &Set,
    gate: DependencyGate,
    now: Timestamp,
) -> Result<(), Option<Timestamp>> {
    let mut wake = None;
    let mut count = 0_u32;
    for ordinal in set.declared() {
        // What an operator keeps down keeps nobody else down.
        if evict::kept_down(state, key, set, ordinal) {
            continue;
        }
        count += 1;
        let facts = facts_in(state, key, set, ordinal).ok_or(None)?;
        match (gate_of(&facts, gate, now), facts.available_at()) {
            (true, _) => {}
            (false, Some(at)) if gate == DependencyGate::Available => wake = wake.max(Some(at)),
            (false, _) => return Err(None),
        }
    }
    match wake {
        Some(at) => Err(Some(at)),
        None if count == 0 => Err(None),
        None => Ok(()),
    }
}

fn gate_of(facts: &Facts<'_>, gate: DependencyGate, now: Timestamp) -> bool {
    match gate {
        DependencyGate::Started => facts.started(),
        DependencyGate::Ready => facts.ready(),
        DependencyGate::Available => facts.available(now),
    }
}

/// The set that is still to stop before this one, if this one goes altogether: one that depends on
/// it, goes altogether too, and has members. One that stays does not hold it back.
pub(super) fn dependant(state: &State, key: &SetKey, set: &Set) -> Option<SetKey> {
    if set.wanted() > 0 {
        return None;
    }
    let goes = |other: &&SetKey| {
        let other = state.sets.get(other);
        other.is_some_and(|other| {
            other.wanted() == 0 && other.orphaned.is_none() && !other.members.is_empty()
        })
    };
    let index = state.index();
    index.dependants.of(key).find(goes).cloned()
}

/// Says of every member of a set that goes why it still runs.
pub(super) fn explain(draft: &mut Draft, key: &SetKey, by: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let ordinals: Vec<Ordinal> = set.members.keys().copied().collect();
    for ordinal in ordinals {
        let id = MemberId {
            set: key.clone(),
            ordinal,
        };
        if draft.reason(&id).is_none() {
            let set = by.clone();
            draft.wait(key, ordinal, Reason::DependantNotStopped { set });
        }
    }
}

//! The gate: which policy governs a start, and which lower ordinal does not hold it.
//!
//! Three policies, one at a time: `bootstrapPolicy` until the set is founded; `coldStartPolicy` for
//! a member that comes back to its own filled volumes while no member is ready; else
//! `podManagementPolicy`. "No member is ready", not "none runs": an application that needs a quorum
//! is not ready with its first member up, and would wait for ever under an ordered policy. For the
//! same reason a set that is founded together waits only for starts, not for readiness, while fewer
//! than a majority of its members run.

use crate::{
    ids::{Ordinal, SetKey},
    plan::{
        facts::{Standing, facts},
        founding,
    },
    spec::GatePolicy,
    state::{Set, State},
    time::Timestamp,
};

/// Which lower ordinal holds a start back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shut {
    /// The lowest one that does not hold the gate.
    pub(super) by: Ordinal,
    /// The policy that asks for it.
    pub(super) policy: GatePolicy,
    /// When it will hold the gate, if only time is missing.
    pub(super) wake: Option<Timestamp>,
}

/// Whether an ordinal may start, as far as order goes.
pub(super) fn check(
    state: &State,
    key: &SetKey,
    ordinal: Ordinal,
    now: Timestamp,
) -> Result<(), Shut> {
    let Some(set) = state.sets.get(key) else {
        return Ok(());
    };
    let policy = policy(state, key, set, ordinal);
    first_shut(state, key, set, ordinal, policy, now)
}

/// The lowest declared ordinal below `end` that does not hold the gate of a policy.
pub(super) fn first_shut(
    state: &State,
    key: &SetKey,
    set: &Set,
    end: Ordinal,
    policy: GatePolicy,
    now: Timestamp,
) -> Result<(), Shut> {
    if policy == GatePolicy::Parallel {
        return Ok(());
    }
    for by in set.declared().take_while(|lower| *lower < end) {
        let facts = facts(state, key, by);
        let standing = facts.map_or(Standing::Down, |facts| facts.standing(now));
        let holds = match policy {
            GatePolicy::Parallel => true,
            GatePolicy::OrderedStarted => facts.is_some_and(|facts| facts.started()),
            GatePolicy::OrderedReady => standing == Standing::Available,
        };
        if !holds {
            let wake = match standing {
                Standing::ReadyUntil(at) => Some(at),
                Standing::Available | Standing::Unready | Standing::Down => None,
            };
            return Err(Shut { by, policy, wake });
        }
    }
    Ok(())
}

/// The policy that governs the start of an ordinal now.
fn policy(state: &State, key: &SetKey, set: &Set, ordinal: Ordinal) -> GatePolicy {
    if founding::pending(state, key, set) {
        set.spec.bootstrap_policy()
    } else if comes_back(state, key, set, ordinal) && nobody_ready(state, key, set) {
        set.spec.cold_start_policy()
    } else if set.spec.pod_management_policy == GatePolicy::OrderedReady
        && state.foundings.contains_key(key)
        && !majority_runs(state, key, set)
    {
        GatePolicy::OrderedStarted
    } else {
        set.spec.pod_management_policy
    }
}

/// Whether more than half of the wanted members run.
fn majority_runs(state: &State, key: &SetKey, set: &Set) -> bool {
    let started = |ordinal: &Ordinal| facts(state, key, *ordinal).is_some_and(|f| f.started());
    let running = set.declared().filter(started).count();
    u32::try_from(running).is_ok_and(|running| running > set.wanted() / 2)
}

/// Whether a member has volumes of its own and was started on all of them before.
fn comes_back(state: &State, key: &SetKey, set: &Set, ordinal: Ordinal) -> bool {
    let id = crate::ids::MemberId {
        set: key.clone(),
        ordinal,
    };
    let mut templates = set.spec.volume_claim_templates.iter();
    !set.spec.volume_claim_templates.is_empty()
        && templates.all(|template| {
            let claim = id.claim(&template.metadata.name);
            claim.is_ok_and(|key| state.claims.get(&key).is_some_and(|claim| claim.filled))
        })
}

fn nobody_ready(state: &State, key: &SetKey, set: &Set) -> bool {
    let mut members = set.members.keys();
    !members.any(|ordinal| facts(state, key, *ordinal).is_some_and(|facts| facts.ready()))
}

//! The gate: which policy governs a start, and which lower ordinal does not hold it.
//!
//! Three policies, one at a time: `bootstrapPolicy` until the set is founded; `coldStartPolicy` for
//! a member that comes back to its own filled volumes while no member is ready; else
//! `podManagementPolicy`. "No member is ready", not "none runs": an application that needs a quorum
//! is not ready with its first member up, and would wait for ever under an ordered policy. For the
//! same reason a set that is founded together waits only for starts, not for readiness, while fewer
//! than a majority of its members run. A member that is being stopped is ready, and runs, until its
//! agent says otherwise: what a plan orders opens no gate by itself.

use std::collections::BTreeMap;

use crate::{
    bug::{self, Bug},
    ids::{Ordinal, SetKey},
    plan::{
        evict,
        facts::{Standing, facts_in},
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

/// What governs the starts of a set in one plan: what is ordered in it changes none of this.
#[derive(Debug)]
pub(super) struct Gates {
    /// Whether the first boot is still to be finished.
    pub(super) founding: bool,
    nobody_ready: bool,
    majority: bool,
    shut: BTreeMap<GatePolicy, Shut>,
}

impl Gates {
    pub(super) fn new(state: &State, key: &SetKey, set: &Set, now: Timestamp) -> Self {
        let founded_together = state.foundings.contains_key(key);
        let policies = [GatePolicy::OrderedReady, GatePolicy::OrderedStarted];
        let shut = policies.into_iter().filter_map(|policy| {
            let shut = first_shut(state, key, set, policy, now)?;
            Some((policy, shut))
        });
        Self {
            founding: founding::pending(state, key, set),
            nobody_ready: nobody_ready(state, key, set),
            majority: !founded_together || majority_runs(state, key, set),
            shut: shut.collect(),
        }
    }

    /// Whether an ordinal may start, as far as order goes.
    pub(super) fn check(
        &self,
        state: &State,
        key: &SetKey,
        set: &Set,
        ordinal: Ordinal,
    ) -> Result<(), Shut> {
        let policy = self.policy(state, key, set, ordinal);
        let shut = self.shut.get(&policy).filter(|shut| shut.by < ordinal);
        match shut.filter(|_| !bug::on(Bug::GateSkipped)) {
            Some(shut) => Err(*shut),
            None => Ok(()),
        }
    }

    /// The policy that governs the start of an ordinal.
    fn policy(&self, state: &State, key: &SetKey, set: &Set, ordinal: Ordinal) -> GatePolicy {
        let policy = set.spec.pod_management_policy;
        if self.founding {
            set.spec.bootstrap_policy()
        } else if self.nobody_ready && comes_back(state, key, set, ordinal) {
            set.spec.cold_start_policy()
        } else if policy == GatePolicy::OrderedReady && !self.majority {
            GatePolicy::OrderedStarted
        } else {
            policy
        }
    }
}

/// The lowest wanted ordinal that does not hold the gate of a policy.
fn first_shut(
    state: &State,
    key: &SetKey,
    set: &Set,
    policy: GatePolicy,
    now: Timestamp,
) -> Option<Shut> {
    set.declared().find_map(|by| {
        let facts = facts_in(state, key, set, by);
        // What an operator keeps down keeps nobody else down.
        if evict::kept_down(state, key, set, by) {
            return None;
        }
        let standing = facts.map_or(Standing::Down, |facts| facts.standing(now));
        let holds = match policy {
            GatePolicy::Parallel => true,
            GatePolicy::OrderedStarted => facts.is_some_and(|facts| facts.started()),
            GatePolicy::OrderedReady => standing == Standing::Available,
        };
        let wake = match standing {
            Standing::ReadyUntil(at) => Some(at),
            Standing::Available | Standing::Unready | Standing::Down => None,
        };
        (!holds).then_some(Shut { by, policy, wake })
    })
}

/// Whether more than half of the wanted members run.
fn majority_runs(state: &State, key: &SetKey, set: &Set) -> bool {
    let started =
        |ordinal: &Ordinal| facts_in(state, key, set, *ordinal).is_some_and(|f| f.still_started());
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
    !members.any(|ordinal| facts_in(state, key, set, *ordinal).is_some_and(|f| f.still_ready()))
}

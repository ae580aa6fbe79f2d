//! The plan: what to do next, as a value. [`plan`] is synchronous, total and deterministic; it
//! reads nothing but its arguments.
//!
//! One file per stage, in this order: first what frees something, for all sets (observe, release,
//! moves, rollout), then volumes for the claims that wait for one (claims), and copies of volumes
//! (snapshots), then what takes something, set by set (own_hosts, carry, assign, start, stop,
//! reload, evict, update), then why everything else
//! waits (explain, warn), and last the zone that follows. So no step of a plan makes room for an
//! earlier one: planning again after a plan took effect gives no steps until something is observed.
//! A stage reads and changes a [`draft::Draft`], in which each step has taken effect already.

use crate::{ids::SetKey, state::State, time::Timestamp};

mod addresses;
mod assign;
mod basis;
mod budget;
mod carry;
mod claims;
pub mod conditions;
mod depends;
mod disruptions;
mod draft;
mod evict;
mod explain;
mod facts;
pub mod forecast;
mod founding;
mod gate;
mod lost;
pub mod moves;
mod observe;
pub mod outlook;
mod own_hosts;
pub mod parked;
mod placement;
mod release;
mod reload;
pub mod report;
mod retention;
mod rollout;
pub(crate) mod scope;
mod snapshots;
mod spread;
mod start;
pub mod step;
mod stop;
pub mod terms;
mod update;
mod warn;
mod why;
mod zone;

pub use basis::is_outdated;
pub use claims::pool_free;
pub use disruptions::disruptions;
pub use parked::{Parked, Subject};
pub use report::Report;
pub use scope::Scope;
pub use snapshots::snapshot;
pub use step::{Plan, Step};

use draft::Draft;

/// What to do now, and why everything else waits.
pub fn plan(state: &State, now: Timestamp) -> (Plan, Report) {
    plan_without(state, now, &Parked::new())
}

/// As [`plan`], but without a step for what is parked: the checker refused its plan, by the rule
/// given.
pub fn plan_without(state: &State, now: Timestamp, parked: &Parked) -> (Plan, Report) {
    plan_within(state, now, parked, &Scope::All)
}

/// As [`plan_without`], about the sets of a scope: what it says of others is not looked at.
pub(crate) fn plan_within(
    state: &State,
    now: Timestamp,
    parked: &Parked,
    scope: &Scope,
) -> (Plan, Report) {
    let mut draft = Draft::new(state, now);
    let all: Vec<SetKey> = match scope {
        Scope::All => state.sets.keys().cloned().collect(),
        Scope::Only(sets) => {
            let there = sets.iter().filter(|set| state.sets.contains_key(set));
            there.cloned().collect()
        }
    };
    let (held, keys): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|key| parked::holds_set(parked, key));
    // Of the members of a set that is gone nothing is decided, only seen.
    let (orphaned, keys): (Vec<_>, Vec<_>) =
        keys.into_iter().partition(|key| draft.is_orphaned(key));
    for key in &orphaned {
        observe::run(&mut draft, key);
    }
    for key in &keys {
        draft.about(key);
        observe::run(&mut draft, key);
        own_hosts::leave(&mut draft, key);
        retention::tie(&mut draft, key);
        release::members(&mut draft, key);
        moves::end(&mut draft, key);
    }
    draft.about_none();
    retention::drop_claims(&mut draft, parked, scope);
    retention::purge(&mut draft, parked);
    for key in &keys {
        draft.about(key);
        release::set(&mut draft, key);
        rollout::turn(&mut draft, key);
        release::unstarted(&mut draft, key);
    }
    draft.about_none();
    release::foundings(&mut draft, parked, scope);
    claims::waiting(&mut draft, parked, scope);
    snapshots::pin(&mut draft, parked);
    snapshots::run(&mut draft, parked);
    // Whether a set is wanted at all is known before the first asks who depends on it.
    for key in &keys {
        draft.about(key);
        own_hosts::take(&mut draft, key);
    }
    for key in &keys {
        draft.about(key);
        claims::grow(&mut draft, key);
        carry::run(&mut draft, key);
        assign::run(&mut draft, key);
        reload::run(&mut draft, key);
        start::run(&mut draft, key);
        stop::run(&mut draft, key);
        evict::run(&mut draft, key);
        update::run(&mut draft, key);
        rollout::turn(&mut draft, key);
        release::revisions(&mut draft, key);
    }
    // Claims that were made right now are the first of their names.
    snapshots::pin(&mut draft, parked);
    claims::growing(&mut draft);
    for key in &orphaned {
        explain::orphans(&mut draft, key);
    }
    for key in &keys {
        draft.about(key);
        explain::run(&mut draft, key);
        conditions::run(&mut draft, key);
        warn::run(&mut draft, key);
    }
    parked::explain(&mut draft, parked, &held);
    zone::run(&mut draft);
    draft.finish()
}

#[cfg(test)]
mod tests;

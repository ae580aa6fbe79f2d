//! Stop: members that are no longer wanted, highest first. Under an ordered policy the next is
//! stopped only when the one before is released, and scaling in waits while a member is unhealthy or
//! on its way, as a StatefulSet does; but not for ever: what stays unhealthy holds nothing back.
//! Deleting a set does not look at health, nor does an update that takes all members down. A parallel set stops at once. A disruption budget that
//! the set has is kept, however long that takes.

use std::time::Duration;

use crate::{
    bug::{self, Bug},
    ids::{MemberId, Ordinal, SetKey},
    plan::{
        Step, budget, depends,
        draft::Draft,
        facts::{Facts, Standing, facts, facts_in},
        gate::Shut,
        retention,
        start::predecessor,
        update,
    },
    spec::GatePolicy,
    state::{Ordered, Set, State},
    time::Timestamp,
    waiting::Reason,
};

/// How long an unhealthy member holds back scaling in.
const PATIENCE: Duration = Duration::from_secs(30);

/// Stops what is no longer wanted of a set.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    if let Some(by) = depends::dependant(&draft.state, key, set) {
        depends::explain(draft, key, &by);
        return;
    }
    let parallel = set.spec.pod_management_policy == GatePolicy::Parallel;
    let ordered = !parallel && !bug::on(Bug::StopOrderSkipped);
    let members = set.members.keys().rev().copied();
    let leaving: Vec<Ordinal> = members.filter(|n| !set.is_declared(*n)).collect();
    let mut before: Option<Ordinal> = None;
    for ordinal in leaving {
        if let Some(ordinal_before) = before.filter(|_| ordered) {
            let reason = Reason::SuccessorNotStopped {
                ordinal: ordinal_before,
            };
            if still_runs(&draft.state, key, ordinal) {
                draft.wait(key, ordinal, reason);
            }
            continue;
        }
        stop(draft, key, ordinal, ordered);
        before = Some(ordinal);
    }
}

fn still_runs(state: &State, key: &SetKey, ordinal: Ordinal) -> bool {
    facts(state, key, ordinal).is_some_and(|facts| facts.member.ordered == Ordered::Run)
}

fn stop(draft: &mut Draft, key: &SetKey, ordinal: Ordinal, ordered: bool) {
    let Some(facts) = facts(&draft.state, key, ordinal) else {
        return;
    };
    if facts.member.ordered != Ordered::Run {
        return;
    }
    let epoch = facts.member.epoch;
    // Nobody else starts before it is gone: what it waited for would wait for it.
    let recreated =
        draft.mismatch().is_none() && update::is_recreated(key, facts.set, facts.member);
    let goes_anyway = recreated || facts.set.deleting.is_some();
    if ordered && !goes_anyway {
        let halted = halted(&draft.state, key, facts.set, ordinal, draft.now);
        if let Some((shut, wake)) = halted {
            draft.wake(Some(wake));
            draft.wait(key, ordinal, predecessor(&shut));
            return;
        }
    }
    if !goes_anyway
        && let Err(spent) = budget::lets_go(&draft.state, key, facts.set, ordinal, draft.now)
    {
        draft.wake(spent.wake);
        draft.wait(key, ordinal, spent.reason());
        return;
    }
    let member = MemberId {
        set: key.clone(),
        ordinal,
    };
    retention::condemn(draft, &member);
    draft.push(Step::Stop { member, epoch });
}

/// What holds back scaling in at `target`: a wanted member that is unhealthy, or, if the target is
/// unhealthy itself, a lower one that is too. With the time at which it no longer does.
fn halted(
    state: &State,
    key: &SetKey,
    set: &Set,
    target: Ordinal,
    now: Timestamp,
) -> Option<(Shut, Timestamp)> {
    let policy = set.spec.pod_management_policy;
    let holds = |by: Ordinal| {
        let facts = facts_in(state, key, set, by)?;
        let until = unhealthy_until(&facts, policy, now)?;
        let wake = Some(until);
        Some((Shut { by, policy, wake }, until))
    };
    if let Some(found) = set.declared().find_map(holds) {
        return Some(found);
    }
    let (_, itself_until) = holds(target)?;
    let lower = set.members.keys().copied().take_while(|n| *n < target);
    let (shut, until) = lower.filter(|n| !set.is_declared(*n)).find_map(holds)?;
    // It goes as soon as either of them is healthy.
    Some((shut, until.min(itself_until)))
}

/// Until when an unhealthy member holds scaling in back; `None` for a healthy one, and for one that
/// is unhealthy for too long. One that is stopped to be replaced is as unhealthy as before: its stop
/// makes no room for another.
fn unhealthy_until(facts: &Facts<'_>, policy: GatePolicy, now: Timestamp) -> Option<Timestamp> {
    let healthy = match policy {
        GatePolicy::Parallel => true,
        GatePolicy::OrderedStarted => facts.started(),
        GatePolicy::OrderedReady => facts.available(now),
    };
    if healthy {
        return None;
    }
    let comes_up = facts.in_contact && facts.seen.is_none();
    let until = match facts.standing(now) {
        Standing::ReadyUntil(at) => return Some(at),
        Standing::Down if comes_up => Some(facts.member.assigned_at.plus(PATIENCE)),
        Standing::Available | Standing::Unready | Standing::Down => facts.unready_until(PATIENCE),
    };
    until.filter(|at| now < *at)
}

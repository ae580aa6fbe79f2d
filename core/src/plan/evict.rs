//! Eviction: members that operators took offline, those that are to move, and those whose host is being
//! drained, are stopped
//! within the set's disruption budget, highest first. A member leaves a drained host only if another
//! one can take it; one that lives there by its data stays, unless the operator wants it stopped.
//!
//! What was stopped so is placed like any other member; `held` says what keeps it from starting.

use crate::{
    ids::{HostName, MemberId, Ordinal, SetKey},
    plan::{
        Step, assign, budget,
        draft::Draft,
        facts::{Roster, facts, facts_in},
    },
    state::{Member, Ordered, Set, State},
    waiting::{DisruptionCause, Reason},
};

/// Stops what is to leave, as far as the budget goes.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let leaves = |ordinal: &Ordinal| {
        let member = set.members.get(ordinal);
        member.is_some_and(|member| {
            member.ordered == Ordered::Run
                && (set.is_offline(*ordinal)
                    || set.is_to_move(*ordinal)
                    || draining(&draft.state, &member.host))
        })
    };
    let leaving: Vec<Ordinal> = set.declared().rev().filter(leaves).collect();
    for ordinal in leaving {
        let id = MemberId {
            set: key.clone(),
            ordinal,
        };
        match evict(draft, &id) {
            Ok(Some(epoch)) => draft.push(Step::Stop { member: id, epoch }),
            Ok(None) => {}
            Err(reason) => draft.wait(key, ordinal, reason),
        }
    }
}

fn draining(state: &State, host: &HostName) -> bool {
    let host = state.hosts.get(host);
    host.is_some_and(|host| host.record.directives.draining.is_some())
}

/// The epoch to stop; `None` for a member of which nothing is known.
///
/// # Errors
/// Why it runs on.
fn evict(draft: &mut Draft, id: &MemberId) -> Result<Option<crate::ids::Epoch>, Reason> {
    let Some(facts) = facts(&draft.state, &id.set, id.ordinal).filter(|facts| facts.in_contact)
    else {
        return Ok(None);
    };
    let epoch = facts.member.epoch;
    // What it stopped could not be started again.
    if let Some(reason) = draft.mismatch() {
        return Err(reason);
    }
    let (cause, waits) = if facts.set.is_offline(id.ordinal) {
        (DisruptionCause::Offline, Reason::OfflineAsked)
    } else if facts.set.is_to_move(id.ordinal) {
        let host = facts.member.host.clone();
        assign::other_host(draft, id, &host).map_err(|why| assign::nowhere(host.clone(), why))?;
        (DisruptionCause::Move, Reason::MoveAsked { host })
    } else {
        may_leave(draft, id, &facts.member.host)?;
        let host = facts.member.host.clone();
        (DisruptionCause::Drain, Reason::DrainAsked { host })
    };
    if others_stop(&draft.state, id, facts.set) {
        return Err(waits);
    }
    // One that does not serve costs nothing.
    let allowed = if facts.ready() {
        let members = Roster::new(&draft.state, &id.set, facts.set);
        budget::allows(&members, id.ordinal, cause, draft.now)
    } else {
        Ok(())
    };
    match allowed {
        Ok(()) => Ok(Some(epoch)),
        Err(spent) => {
            draft.wake(spent.wake);
            Err(spent.reason())
        }
    }
}

/// Whether a member is to be stopped because its host is being drained.
///
/// # Errors
/// Why it stays there.
fn may_leave(draft: &Draft, id: &MemberId, host: &HostName) -> Result<(), Reason> {
    let record = draft.state.hosts.get(host).map(|host| &host.record);
    let draining = record.and_then(|record| record.directives.draining.as_ref());
    if draining.is_none_or(|draining| draining.stop_pinned) {
        return Ok(());
    }
    let host = host.clone();
    if draft.state.is_pinned_to(id, &host) {
        return Err(Reason::DrainPinned { host });
    }
    match assign::other_host(draft, id, &host) {
        Ok(_) => Ok(()),
        Err(Reason::NoEligibleHost { hosts }) => Err(Reason::DrainNowhere { host, hosts }),
        Err(reason) => Err(reason),
    }
}

/// Whether another member of the set is being taken down.
fn others_stop(state: &State, id: &MemberId, set: &Set) -> bool {
    let others = set.declared().filter(|n| *n != id.ordinal);
    let mut others = others.filter_map(|n| facts_in(state, &id.set, set, n));
    others.any(|other| other.member.ordered == Ordered::Stop && other.in_contact)
}

/// What an operator's word keeps from starting: a member that is offline; one on a host that is
/// being drained, unless it lives there by its data and may stay; one that is to leave its host.
pub(super) fn held(state: &State, id: &MemberId, member: &Member) -> Option<Reason> {
    let set = state.sets.get(&id.set)?;
    if let Some(offline) = set.offline.get(&id.ordinal) {
        let why = offline.reason.clone();
        return Some(Reason::Offline { why });
    }
    if set.is_to_move(id.ordinal) {
        let host = member.host.clone();
        return Some(Reason::MoveAsked { host });
    }
    let host = state.hosts.get(&member.host)?;
    let draining = host.record.directives.draining.as_ref()?;
    let stays = !draining.stop_pinned && state.is_pinned_to(id, &member.host);
    let host = member.host.clone();
    (!stays).then_some(Reason::HostDrained { host })
}

/// Whether a member is down because an operator wants it so.
pub(super) fn kept_down(state: &State, key: &SetKey, set: &Set, ordinal: Ordinal) -> bool {
    let Some(member) = set.members.get(&ordinal) else {
        return set.is_offline(ordinal);
    };
    let held = || {
        let set = key.clone();
        held(state, &MemberId { set, ordinal }, member).is_some()
    };
    member.ordered == Ordered::Nothing && held()
}

//! Update: members of an older revision are replaced, highest first. So are those whose restart an
//! operator asked for: first, and at once if they are not ready anyway.
//!
//! A healthy one only while the budget has room. In an ordered set also only while nothing else is
//! on its way, neither a start nor a stop: scaling comes before updating. A broken one costs no
//! budget, it is down already: it is replaced at once, even while others are unready, so that a bad
//! revision never blocks its own correction. The next then waits until the one before is available
//! again, or broken itself; a parallel set replaces as many at a time as it may have unavailable.
//! `Recreate` stops all of them; that none starts before all are gone is the start stage's business.

use std::time::Duration;

use crate::{
    ids::{MemberId, Ordinal, SetKey},
    plan::{
        Step, budget,
        draft::Draft,
        evict,
        facts::{BROKEN_AFTER, Facts, Roster, Standing, all, facts},
        reload,
    },
    spec::{GatePolicy, UpdateKind},
    state::{Member, Ordered, Set},
    time::Timestamp,
    waiting::{DisruptionCause, Reason},
};

/// Replaces members of an older revision, and those that are to be restarted.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let mut old = candidates(draft, key);
    if old.is_empty() {
        return;
    }
    // What it stopped could not be started again.
    if let Some(reason) = draft.mismatch() {
        for ordinal in old {
            draft.wait(key, ordinal, reason.clone());
        }
        return;
    }
    let Some(set) = draft.set(key) else {
        return;
    };
    // Whoever went would not come back: what it is to be needs something that is not there.
    if let Some(reason) = set.missing_for_target(&key.namespace) {
        for ordinal in old {
            draft.wait(key, ordinal, reason.clone());
        }
        return;
    }
    if set.spec.update_kind() == UpdateKind::Recreate {
        recreate(draft, key, &old);
        old = candidates(draft, key);
    }
    let quiet = is_quiet(draft, key);
    while let Some(ordinal) = victim(draft, key, &old, quiet) {
        stop(draft, key, ordinal);
        old.retain(|other| *other != ordinal);
    }
}

/// The members that run and are to be replaced sooner or later, highest first.
pub(super) fn candidates(draft: &Draft, key: &SetKey) -> Vec<Ordinal> {
    let Some(set) = draft.set(key) else {
        return Vec::new();
    };
    let old = |ordinal: &Ordinal| {
        let member = set.members.get(ordinal);
        member.is_some_and(|m| {
            m.ordered == Ordered::Run
                && set.is_to_be_replaced(*ordinal, m)
                && !reload::reaches(set, *ordinal, m)
        })
    };
    set.declared().rev().filter(old).collect()
}

fn stop(draft: &mut Draft, key: &SetKey, ordinal: Ordinal) {
    let epoch = facts(&draft.state, key, ordinal).map(|facts| facts.member.epoch);
    let member = MemberId {
        set: key.clone(),
        ordinal,
    };
    if let Some(epoch) = epoch {
        draft.push(Step::Stop { member, epoch });
    }
}

/// Stops all members of another revision.
fn recreate(draft: &mut Draft, key: &SetKey, old: &[Ordinal]) {
    for ordinal in old {
        let facts = facts(&draft.state, key, *ordinal);
        if facts.is_some_and(|facts| is_recreated(key, facts.set, facts.member)) {
            stop(draft, key, *ordinal);
        }
    }
}

/// Whether a member is one of those that all go before the first of the new ones starts.
pub(super) fn is_recreated(key: &SetKey, set: &Set, member: &Member) -> bool {
    set.spec.update_kind() == UpdateKind::Recreate
        && member.revision != *set.target_revision()
        && !set.holds_updates()
        && set.missing_for_target(&key.namespace).is_none()
}

/// The next member to replace now, of those that are to be replaced.
fn victim(
    draft: &mut Draft,
    key: &SetKey,
    old: &[Ordinal],
    quiet: Result<(), Option<Timestamp>>,
) -> Option<Ordinal> {
    let now = draft.now;
    let set = draft.set(key)?;
    let parallel = set.spec.pod_management_policy == GatePolicy::Parallel;
    let lanes = if parallel {
        budget::max_unavailable(set)
    } else {
        1
    };
    let members = Roster::new(&draft.state, key, set);
    let (under_way, settles) = under_way(draft, key, &members);
    let mut wake = settles;
    if under_way < lanes {
        for ordinal in old {
            match members.of(*ordinal).and_then(broken_at) {
                Some(at) if at <= now => return Some(*ordinal),
                at => wake = wake.into_iter().chain(at).min(),
            }
        }
    }
    let next = next_healthy(&members, old, now);
    let outcome = match (next, quiet) {
        (Some(_), Err(settles)) => Err((None, settles)),
        (Some((ordinal, cause)), Ok(())) => budget::allows(&members, ordinal, cause, now)
            .map(|()| ordinal)
            .map_err(|spent| (Some((ordinal, spent.reason())), spent.wake)),
        (None, _) => Err((None, None)),
    };
    match outcome {
        Ok(ordinal) => Some(ordinal),
        Err((spent, soon)) => {
            draft.wake(soon);
            draft.wake(wake);
            if let Some((ordinal, reason)) = spent {
                draft.wait(key, ordinal, reason);
            }
            None
        }
    }
}

/// The first that serves: one whose restart was asked for, else one that does not count as available
/// yet, because it takes nothing from the budget; else the highest.
fn next_healthy(
    members: &Roster<'_>,
    old: &[Ordinal],
    now: Timestamp,
) -> Option<(Ordinal, DisruptionCause)> {
    let asked = |n: &Ordinal| {
        let facts = members.of(*n);
        facts.is_some_and(|facts| facts.member.restart_asked.is_some())
    };
    let serving = old.iter().filter_map(|n| {
        let facts = members.of(*n).filter(|facts| facts.ready())?;
        Some((*n, !facts.available(now)))
    });
    let (victim, _) = serving.min_by_key(|(n, early)| (!asked(n), !early))?;
    let set = members.set;
    let outdated = set.is_outdated(victim, members.of(victim)?.member);
    let causes = [
        asked(&victim).then_some(DisruptionCause::Restart),
        outdated.then_some(DisruptionCause::Update),
    ];
    // Of two reasons to go, one is enough.
    let causes = causes.into_iter().flatten();
    let cause = causes.min_by_key(|cause| budget::floor(set, *cause))?;
    Some((victim, cause))
}

/// From when on a member that is not ready is replaced at no cost. One whose restart was asked for
/// needs no patience: a person has looked at it.
fn broken_at(facts: &Facts<'_>) -> Option<Timestamp> {
    let patience = match facts.member.restart_asked {
        Some(_) => Duration::ZERO,
        None => BROKEN_AFTER,
    };
    facts.broken_at(patience)
}

/// How many replacements are under way: members that are being stopped, that are about to start, or
/// that were started and are neither available nor broken yet. And when that changes by time alone.
///
/// One without a host is none of them, nor one that its gate holds back: it may wait for the very
/// member that is to be replaced, unless that is being stopped already. Nor is one out of contact: nobody
/// knows when that ends.
fn under_way(draft: &Draft, key: &SetKey, members: &Roster<'_>) -> (u32, Option<Timestamp>) {
    let set = members.set;
    let mut count = 0_u32;
    let mut wake = None;
    for ordinal in set.declared() {
        let Some(facts) = members.of(ordinal).filter(|facts| facts.in_contact) else {
            continue;
        };
        let (busy, until) = match facts.member.ordered {
            Ordered::Stop => (true, None),
            Ordered::Nothing => (is_about_to_start(draft, key, ordinal), None),
            Ordered::Run if set.is_to_be_replaced(ordinal, facts.member) => (false, None),
            Ordered::Run => comes_up(facts, draft.now),
        };
        count += u32::from(busy);
        wake = [wake, until].into_iter().flatten().min();
    }
    (count, wake)
}

/// Whether a member that was started is neither available nor broken yet; until when at most.
fn comes_up(facts: &Facts<'_>, now: Timestamp) -> (bool, Option<Timestamp>) {
    match facts.standing(now) {
        Standing::Available => (false, None),
        Standing::ReadyUntil(at) => (true, Some(at)),
        Standing::Down => (true, None),
        Standing::Unready => match facts.broken_at(BROKEN_AFTER) {
            Some(at) if at <= now => (false, None),
            at => (true, at),
        },
    }
}

/// Whether a member is about to start, and only waits for its name to be served, or for one that is being
/// stopped. By what is stopped in a plan the first becomes the second.
fn is_about_to_start(draft: &Draft, key: &SetKey, ordinal: Ordinal) -> bool {
    let id = MemberId {
        set: key.clone(),
        ordinal,
    };
    let stops = |ordinal: &Ordinal| {
        let member = draft.set(key).and_then(|set| set.members.get(ordinal));
        member.is_some_and(|member| member.ordered == Ordered::Stop)
    };
    match draft.reason(&id) {
        Some(Reason::ZoneNotAcknowledged { .. }) => true,
        Some(
            Reason::PredecessorNotStarted { ordinal } | Reason::PredecessorNotReady { ordinal },
        ) => stops(ordinal),
        Some(_) | None => false,
    }
}

/// Whether nothing is on its way, which matters in an ordered set only: what is known to be there is wanted and
/// available, and what is wanted has a host, but for what an operator keeps down. If not, when that changes by time alone.
fn is_quiet(draft: &Draft, key: &SetKey) -> Result<(), Option<Timestamp>> {
    let Some(set) = draft.set(key) else {
        return Err(None);
    };
    if set.spec.pod_management_policy == GatePolicy::Parallel {
        return Ok(());
    }
    let mut wake = None;
    let kept_down = |ordinal: Ordinal| evict::kept_down(&draft.state, key, set, ordinal);
    for (ordinal, facts) in all(&draft.state, key).filter(|(_, facts)| facts.in_contact) {
        if kept_down(ordinal) {
            continue;
        }
        match facts.standing(draft.now) {
            Standing::Available if set.is_declared(ordinal) => {}
            Standing::ReadyUntil(at) => wake = wake.max(Some(at)),
            Standing::Available | Standing::Unready | Standing::Down => return Err(None),
        }
    }
    let unassigned = set
        .declared()
        .any(|n| !set.members.contains_key(&n) && !kept_down(n));
    match wake {
        Some(at) => Err(Some(at)),
        None if unassigned => Err(None),
        None => Ok(()),
    }
}

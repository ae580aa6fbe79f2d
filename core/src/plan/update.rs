//! Rolling update: members of an older revision are replaced, highest first, one at a time. So are
//! those whose restart an operator asked for: first, and at once if they are not ready anyway.
//!
//! A healthy one only while every other member is available (the budget). A broken one costs no
//! budget, it is down already: it is replaced at once, even while others are unready, so that a bad
//! revision never blocks its own correction. In both cases the next waits until the one before is
//! available again, or broken itself.

use std::time::Duration;

use crate::{
    ids::{MemberId, Ordinal, SetKey},
    plan::{
        Step, budget,
        draft::Draft,
        facts::{Facts, Standing, facts},
        reload,
    },
    state::{Ordered, Set, State},
    time::Timestamp,
    waiting::Reason,
};

/// How long a member must have been unready to count as broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Replaces at most one member of an older revision, or one that is to be restarted.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let old = |ordinal: &Ordinal| {
        let member = set.members.get(ordinal);
        member.is_some_and(|m| {
            m.ordered == Ordered::Run && m.is_to_be_replaced(set) && !reload::reaches(set, m)
        })
    };
    let old: Vec<Ordinal> = set.declared().rev().filter(old).collect();
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
    // Whoever went would not come back: what it is to be needs something that is not there.
    let newest = set.revisions.get(&set.revision);
    if let Some(reason) = newest.and_then(|newest| newest.missing(&key.namespace)) {
        for ordinal in old {
            draft.wait(key, ordinal, reason.clone());
        }
        return;
    }
    if starting(draft, key, set) {
        return;
    }
    let (victim, wake) = victim(&draft.state, key, set, &old, draft.now);
    draft.wake(wake);
    let Some(ordinal) = victim else {
        return;
    };
    let Some(facts) = facts(&draft.state, key, ordinal) else {
        return;
    };
    let epoch = facts.member.epoch;
    let member = MemberId {
        set: key.clone(),
        ordinal,
    };
    draft.push(Step::Stop { member, epoch });
}

/// Whether a member is about to start, and only waits for its name to be served. One that its gate
/// holds back is not: it may wait for the very member that is to be replaced.
fn starting(draft: &Draft, key: &SetKey, set: &Set) -> bool {
    set.declared().any(|ordinal| {
        let id = MemberId {
            set: key.clone(),
            ordinal,
        };
        matches!(draft.reason(&id), Some(Reason::ZoneNotAcknowledged { .. }))
    })
}

/// The member to replace now, and when to look again.
fn victim(
    state: &State,
    key: &SetKey,
    set: &Set,
    old: &[Ordinal],
    now: Timestamp,
) -> (Option<Ordinal>, Option<Timestamp>) {
    if let Err(wake) = settled(state, key, set, now) {
        return (None, wake);
    }
    let broken_at = |n: &Ordinal| facts(state, key, *n).and_then(|f| broken_at(&f));
    let is_broken = |n: &&Ordinal| broken_at(n).is_some_and(|at| at <= now);
    if let Some(broken) = old.iter().find(is_broken) {
        return (Some(*broken), None);
    }
    let asked = |n: &&Ordinal| {
        let member = set.members.get(n);
        member.is_some_and(|member| member.restart_asked.is_some())
    };
    match budget::spare(state, key, set, now) {
        Ok(()) => (
            old.iter().find(asked).or_else(|| old.first()).copied(),
            None,
        ),
        Err(wake) => {
            let soonest = old.iter().filter_map(broken_at).min();
            (None, [wake, soonest].into_iter().flatten().min())
        }
    }
}

/// From when on a member that is not ready is replaced at no cost. One whose restart was asked for
/// needs no patience: a person has looked at it.
fn broken_at(facts: &Facts<'_>) -> Option<Timestamp> {
    let patience = match facts.member.restart_asked {
        Some(_) => Duration::ZERO,
        None => PATIENCE,
    };
    facts.broken_at(patience)
}

/// Whether no replacement is under way: every member of the new revision is available, or broken
/// itself, and none is being stopped. If not, when to look again.
fn settled(
    state: &State,
    key: &SetKey,
    set: &Set,
    now: Timestamp,
) -> Result<(), Option<Timestamp>> {
    for ordinal in set.declared() {
        let Some(facts) = facts(state, key, ordinal) else {
            // It has no host; waiting for one must not block the others.
            continue;
        };
        if !done(&facts, now)? {
            return Err(None);
        }
    }
    Ok(())
}

fn done(facts: &Facts<'_>, now: Timestamp) -> Result<bool, Option<Timestamp>> {
    match facts.member.ordered {
        Ordered::Stop => Ok(!facts.in_contact),
        Ordered::Nothing => Ok(true),
        Ordered::Run if facts.member.is_to_be_replaced(facts.set) => Ok(true),
        Ordered::Run => match facts.standing(now) {
            Standing::Available => Ok(true),
            Standing::ReadyUntil(at) => Err(Some(at)),
            Standing::Down => Ok(!facts.in_contact),
            Standing::Unready => match facts.broken_at(PATIENCE) {
                Some(at) if at <= now => Ok(true),
                Some(at) => Err(Some(at)),
                None => Ok(false),
            },
        },
    }
}

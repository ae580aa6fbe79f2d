//! Rollouts: when one begins, gets better, rests, stalls, is taken back, completes.
//!
//! All of it is durable, so that a coordinator that starts anew neither forgets a halted rollout nor
//! gives a bad one another ten minutes. What follows from it for single members is the business of
//! the stages after this one: which revision a member is born with, and who is updated.

use std::time::Duration;

use crate::{
    ids::{Ordinal, SetKey, TemplateHash},
    plan::{
        Step,
        draft::Draft,
        evict,
        facts::{Facts, Roster},
    },
    state::{Ordered, RolloutPhase, Set, State, Turn, rollout::Progress},
    time::Timestamp,
};

/// So many turns may follow from each other: begins, completes, goes, betters, stalls, is taken back.
const TURNS: usize = 6;

/// Turns the rollout of a set to what is observed. Before anything is released or assigned, because
/// that depends on where the set goes; and again after it, because of what the plan itself did.
pub(super) fn turn(draft: &mut Draft, key: &SetKey) {
    for _ in 0..TURNS {
        let Some(set) = draft.set(key).filter(|set| set.deleting.is_none()) else {
            return;
        };
        let (turn, wake) = next(&draft.state, key, set, draft.now);
        draft.wake(wake);
        let Some(turn) = turn else { return };
        push(draft, key, turn);
    }
}

fn push(draft: &mut Draft, key: &SetKey, turn: Turn) {
    let set = key.clone();
    draft.push(Step::Rollout { set, turn });
}

/// The next turn; if there is none, when to look again.
fn next(
    state: &State,
    key: &SetKey,
    set: &Set,
    now: Timestamp,
) -> (Option<Turn>, Option<Timestamp>) {
    let rollout = &set.rollout;
    let members = Roster::new(state, key, set);
    let progress = measure(state, key, &members, now);
    if rollout.update != set.revision || rollout.current.0.is_empty() {
        let turn = Turn::Begins {
            revision: set.revision.clone(),
            from: came_from(key, set),
            progress,
        };
        return (Some(turn), None);
    }
    let target = set.target_revision();
    let forward = *target != rollout.current;
    if forward && complete(&members) {
        let revision = target.clone();
        return (Some(Turn::Completes { revision }), None);
    }
    let turn = match rollout.phase {
        RolloutPhase::Going if set.spec.is_paused() || progress.lacking == 0 => Some(Turn::Rests),
        RolloutPhase::Going if is_better(&rollout.progress, &progress) => {
            Some(Turn::Betters { progress })
        }
        // Going back is never too late: it is what heals.
        RolloutPhase::Going if forward => {
            let seconds = set.spec.progress_deadline_seconds();
            let deadline = rollout
                .progress
                .at
                .plus(Duration::from_secs(seconds.into()));
            if now < deadline {
                return (None, Some(deadline));
            }
            Some(Turn::Stalls)
        }
        RolloutPhase::Going | RolloutPhase::TakenBack => None,
        RolloutPhase::Resting => {
            let goes = !set.spec.is_paused() && has_work(state, key, set);
            goes.then_some(Turn::Goes { progress })
        }
        RolloutPhase::Stalled if set.spec.is_paused() || progress.lacking == 0 => Some(Turn::Rests),
        RolloutPhase::Stalled => (set.spec.auto_rollback && forward).then_some(Turn::IsTakenBack),
    };
    (turn, None)
}

/// Where a rollout begins: where the last one ended. Of a set that has no record of it yet, the
/// lowest member tells, because it is updated last. Nobody ever started with a revision that lacks
/// config: it is nothing to keep below a partition, nor to go back to.
fn came_from(key: &SetKey, set: &Set) -> TemplateHash {
    let current = &set.rollout.current;
    let record = set.revisions.get(current);
    if record.is_some_and(|record| record.missing(&key.namespace).is_some()) {
        return set.revision.clone();
    }
    if !current.0.is_empty() {
        return current.clone();
    }
    let lowest = set.members.values().next();
    lowest.map_or_else(|| set.revision.clone(), |member| member.revision.clone())
}

/// Whether some member is to be brought to the target. What counts for nothing is no work.
fn has_work(state: &State, key: &SetKey, set: &Set) -> bool {
    let mut members = set.members.iter();
    members.any(|(ordinal, member)| {
        member.revision != *set.target_revision()
            && set.is_declared(*ordinal)
            && concerns(state, key, set, *ordinal)
    })
}

/// Whether all members have the target and are ready, and there are no others. A set without
/// members has no revision behind it, but for the one that its partition keeps.
fn complete(members: &Roster<'_>) -> bool {
    let set = members.set;
    let ready = |facts: &Facts<'_>| {
        facts.member.ordered == Ordered::Run
            && facts.member.revision == *set.target_revision()
            && facts.ready()
            && facts.has_files()
    };
    let mut wanted = set.declared();
    let partitioned = set.spec.partition() > 0;
    wanted.all(|ordinal| members.of(ordinal).is_some_and(ready))
        && set.members.keys().all(|ordinal| set.is_declared(*ordinal))
        && !(partitioned && set.members.is_empty())
}

/// Whether the rollout of a set counts an ordinal: what an operator keeps down counts for nothing.
fn concerns(state: &State, key: &SetKey, set: &Set, ordinal: Ordinal) -> bool {
    set.updates(ordinal) && !evict::kept_down(state, key, set, ordinal)
}

/// How far the rollout of a set is.
fn measure(state: &State, key: &SetKey, members: &Roster<'_>, now: Timestamp) -> Progress {
    let set = members.set;
    let mut progress = Progress {
        at: now,
        ..Progress::default()
    };
    let concerned = |n: &Ordinal| concerns(state, key, set, *n);
    for ordinal in set.declared().filter(concerned) {
        progress.of += 1;
        progress.lacking += match members.of(ordinal) {
            Some(facts) if facts.member.revision != *set.target_revision() => 2,
            Some(facts) if facts.available(now) && facts.has_files() => 0,
            Some(_) => 1,
            None => 2,
        };
    }
    progress
}

/// Whether less is missing than ever. With another number of members all is counted anew.
fn is_better(before: &Progress, after: &Progress) -> bool {
    before.of != after.of || after.lacking < before.lacking
}

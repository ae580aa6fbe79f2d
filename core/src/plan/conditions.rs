//! The conditions of a set, from what the stages before have made of it.

use crate::{
    condition::{Condition, ConditionKind, ConditionReason},
    ids::SetKey,
    plan::{
        draft::Draft,
        facts::{Standing, facts_in},
    },
    spec::UpdateKind,
    state::{RolloutPhase, Set, State},
    time::Timestamp,
};

/// Says how a set stands.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let count = count(&draft.state, key, set, draft.now);
    let conditions = count.conditions(set);
    draft.wake(count.more_at);
    draft.stands(key, conditions);
}

/// The conditions of a set at a time.
pub fn of(state: &State, key: &SetKey, set: &Set, now: Timestamp) -> Vec<Condition> {
    count(state, key, set, now).conditions(set)
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    wanted: usize,
    available: usize,
    /// Of the target revision.
    updated: usize,
    /// Of another one, and a rollout brings them to it.
    behind: usize,
    /// When the next one becomes available, if it stays ready.
    more_at: Option<Timestamp>,
}

impl Count {
    fn conditions(self, set: &Set) -> Vec<Condition> {
        vec![available(self), progressing(set, self), paused(set)]
    }
}

fn count(state: &State, key: &SetKey, set: &Set, now: Timestamp) -> Count {
    let mut count = Count::default();
    for ordinal in set.declared() {
        count.wanted += 1;
        let Some(facts) = facts_in(state, key, set, ordinal) else {
            continue;
        };
        let updated = facts.member.revision == *set.target_revision();
        match facts.standing(now) {
            Standing::Available => count.available += 1,
            Standing::ReadyUntil(at) => {
                count.more_at = count.more_at.into_iter().chain([at]).min();
            }
            Standing::Unready | Standing::Down => {}
        }
        count.updated += usize::from(updated);
        count.behind += usize::from(!updated && set.updates(ordinal));
    }
    count
}

fn available(count: Count) -> Condition {
    let holds = count.available == count.wanted;
    let reason = if holds {
        ConditionReason::MembersAvailable
    } else {
        ConditionReason::MembersUnavailable
    };
    let message = format!(
        "{} of {} members are available",
        count.available, count.wanted
    );
    Condition {
        kind: ConditionKind::Available,
        holds,
        reason,
        message,
        since: None,
    }
}

fn progressing(set: &Set, count: Count) -> Condition {
    let deadline = set.spec.progress_deadline_seconds();
    let so_far = format!(
        "{} of {} members have revision {}",
        count.updated,
        count.wanted,
        set.target_revision()
    );
    let phase = set.rollout_phase();
    let (reason, message) = if phase == RolloutPhase::TakenBack {
        let message = format!(
            "revision {} did not get better for {deadline} s and was taken back; {so_far}",
            set.rollout.update
        );
        (ConditionReason::RolledBack, message)
    } else if phase == RolloutPhase::Stalled {
        let message = format!("the rollout did not get better for {deadline} s; {so_far}");
        (ConditionReason::ProgressDeadlineExceeded, message)
    } else if set.spec.is_paused() && count.updated < count.wanted {
        (ConditionReason::UpdatesPaused, so_far)
    } else if phase == RolloutPhase::Going || count.behind > 0 {
        (ConditionReason::RolloutGoing, so_far)
    } else if count.available < count.wanted {
        let message = format!(
            "{} of {} members are available",
            count.available, count.wanted
        );
        (ConditionReason::MembersUnavailable, message)
    } else if count.updated == count.wanted {
        (ConditionReason::RolloutComplete, so_far)
    } else if set.spec.update_kind() == UpdateKind::OnDelete {
        (ConditionReason::UpdatedOnRestart, so_far)
    } else {
        let first = set.first_updated();
        let message = format!("{so_far}; the partition begins at ordinal {first}");
        (ConditionReason::PartitionReached, message)
    };
    let halted = matches!(
        reason,
        ConditionReason::RolledBack
            | ConditionReason::ProgressDeadlineExceeded
            | ConditionReason::UpdatesPaused
    );
    let recorded = phase != RolloutPhase::Resting;
    Condition {
        kind: ConditionKind::Progressing,
        holds: !halted,
        reason,
        message,
        since: recorded.then_some(set.rollout.since),
    }
}

fn paused(set: &Set) -> Condition {
    let stalled = set.rollout_phase() == RolloutPhase::Stalled;
    let (reason, message) = match (set.spec.is_paused(), stalled) {
        (true, _) => (
            ConditionReason::UpdatesPaused,
            "the set says paused: true; everything but updates goes on",
        ),
        (false, true) => (
            ConditionReason::ProgressDeadlineExceeded,
            "no member is updated until the template changes or the rollout is resumed",
        ),
        (false, false) => (ConditionReason::NotPaused, "updates are not held back"),
    };
    Condition {
        kind: ConditionKind::Paused,
        holds: set.spec.is_paused() || stalled,
        reason,
        message: message.to_owned(),
        since: stalled.then_some(set.rollout.since),
    }
}

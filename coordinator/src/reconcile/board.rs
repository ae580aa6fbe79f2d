//! Why everything waits, and since when: a reason's time is that of its rule's first appearance, so
//! that a new detail (one more restart) does not make an old trouble look new.

use std::collections::BTreeSet;

use berth_core::{
    condition::Condition,
    ids::{ClaimKey, MemberId, Ordinal},
    plan::{Report, Scope},
    spec::Kind,
    store::Note,
    time::Timestamp,
    waiting::{Reason, Waiting},
};

use crate::{
    context::Board,
    notes::{self, WARNING},
};

/// The board after a round, and the events of what is new on it. The round was about some sets: what
/// the board says of the others stays.
pub(super) fn next(
    old: &Board,
    scope: &Scope,
    report: Report,
    now: Timestamp,
) -> (Board, Vec<Note>) {
    let mut events = Vec::new();
    let mut board = Board {
        round: old.round + 1,
        ..kept(old, scope)
    };
    board.warnings.extend(report.warnings);
    board.set_claims.extend(report.set_claims);
    // Every round looks at what is no set's.
    board.refused = report.refused;
    for (set, conditions) in report.conditions {
        let before = old.conditions.get(&set);
        let conditions = conditions.into_iter();
        let conditions = conditions.map(|one| aged(before.map_or(&[], Vec::as_slice), one, now));
        board.conditions.insert(set, conditions.collect());
    }
    for (member, reason) in report.waiting {
        let (waiting, text) = follow(old.waiting.get(&member), reason, now);
        let rule = waiting.reason.rule().name();
        events.extend(text.map(|text| notes::member(now, &member, WARNING, rule, text)));
        board.waiting.insert(member, waiting);
    }
    for (claim, reason) in report.claims {
        let (waiting, text) = follow(old.claims.get(&claim), reason, now);
        let (kind, rule) = (Kind::PersistentVolumeClaim, waiting.reason.rule().name());
        events.extend(text.map(|text| notes::object(now, kind, &claim, WARNING, rule, text)));
        board.claims.insert(claim, waiting);
    }
    (board, events)
}

/// What a board says of the sets that a round was not about.
fn kept(old: &Board, scope: &Scope) -> Board {
    let Scope::Only(sets) = scope else {
        return Board::default();
    };
    let mut board = old.clone();
    for set in sets {
        let first = MemberId {
            set: set.clone(),
            ordinal: Ordinal(0),
        };
        let told = old.waiting.range(first..);
        for (id, _) in told.take_while(|(id, _)| id.set == *set) {
            board.waiting.remove(id);
        }
        board.conditions.remove(set);
        board.warnings.remove(set);
        board.set_claims.remove(set);
    }
    // Every round looks at the other claims that wait.
    let told: BTreeSet<&ClaimKey> = board.set_claims.values().flatten().collect();
    board.claims.retain(|claim, _| told.contains(claim));
    board
}

/// A condition with the time since when it is as it is, by the board's conditions of before.
pub(crate) fn aged(before: &[Condition], condition: Condition, now: Timestamp) -> Condition {
    let same = before.iter().find(|old| {
        old.kind == condition.kind && old.holds == condition.holds && old.reason == condition.reason
    });
    let since = condition.since.or_else(|| same?.since).or(Some(now));
    Condition { since, ..condition }
}

/// A reason with the time since when it holds, and its event if it is news of trouble.
fn follow(before: Option<&Waiting>, reason: Reason, now: Timestamp) -> (Waiting, Option<String>) {
    let same = before.filter(|waiting| waiting.reason.rule() == reason.rule());
    let news = same.is_none() && reason.is_trouble();
    let text = news.then(|| format!("{reason}; freed by: {}", reason.frees()));
    let since = same.map_or(now, |waiting| waiting.since);
    (Waiting { reason, since }, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(reason: Reason) -> Report {
        Report {
            waiting: [("default/etcd-0".parse().unwrap(), reason)].into(),
            ..Report::default()
        }
    }

    fn back_off(restarts: u32) -> Reason {
        Reason::BackOff {
            process: "etcd".parse().unwrap(),
            exit: "exited with 1".to_owned(),
            restarts,
        }
    }

    #[test]
    fn a_reason_is_as_old_as_its_rule_and_told_once() {
        let (first, told) = next(
            &Board::default(),
            &Scope::All,
            report(back_off(1)),
            Timestamp(10),
        );
        assert_eq!(told.len(), 1);
        let (second, told) = next(&first, &Scope::All, report(back_off(2)), Timestamp(20));
        assert!(told.is_empty());
        let waiting = second.waiting.values().next().unwrap();
        assert_eq!(
            (waiting.since, &waiting.reason),
            (Timestamp(10), &back_off(2))
        );
        let (third, _) = next(
            &second,
            &Scope::All,
            report(Reason::HeldByOperator),
            Timestamp(30),
        );
        assert_eq!(third.waiting.values().next().unwrap().since, Timestamp(30));
        let (gone, _) = next(&third, &Scope::All, Report::default(), Timestamp(40));
        assert!(gone.waiting.is_empty());
    }
}

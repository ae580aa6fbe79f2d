//! Bad plans about members that move.

use super::{Bad, assign, data, db, running};
use crate::{
    check::Rule,
    fixture::{NOW, host_name, member},
    ids::Ordinal,
    plan::{Step, plan},
    state::{State, moving::ask},
};

/// `db-0` is to go to `host-4`, and is gone where it was; what begins the copying.
fn begun() -> (State, Step) {
    let mut friends = running();
    friends.state = ask(&friends.state, &member("db", 0), Some(&host_name(4)), NOW).unwrap();
    loop {
        let (plan, _) = plan(&friends.state, friends.now);
        let begin = |step: &&Step| matches!(step, Step::BeginMove { .. });
        if let Some(begin) = plan.steps.iter().find(begin) {
            let before = plan.steps.iter().take_while(|step| *step != begin);
            for step in before {
                friends.state.apply(step, NOW);
            }
            return (friends.state, begin.clone());
        }
        friends.plan();
        friends.agents();
    }
}

/// The same, and the copying has begun.
fn copying() -> State {
    let (mut state, begin) = begun();
    state.apply(&begin, NOW);
    state
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "each rule is in one of the tables; the test beside them holds that none is missing"
)]
pub(super) fn moves(rule: Rule) -> Option<Bad> {
    let id = member("db", 0);
    Some(match rule {
        Rule::MoveAsked => {
            let (mut state, begin) = begun();
            let set = state.sets.get_mut(&db())?;
            set.moves.get_mut(&Ordinal(0))?.to = Some(host_name(2));
            (state, vec![begin])
        }
        Rule::MoveBeside => {
            let (state, mut begin) = begun();
            let Step::BeginMove { volumes, .. } = &mut begin else {
                return None;
            };
            volumes[0].volume.moved_in.as_mut()?.complete = true;
            (state, vec![begin])
        }
        Rule::MoveComplete => {
            let state = copying();
            let epoch = state.sets[&db()].last_grants[&Ordinal(0)].epoch;
            (state, vec![Step::CompleteMove { member: id, epoch }])
        }
        Rule::MoveStill => {
            let state = copying();
            let back = assign(&state, "db", 0, 1);
            (state, vec![back])
        }
        Rule::MoveEnded => (copying(), vec![Step::EndMove { member: id }]),
        _ => return None,
    })
}

#[test]
fn what_is_copied_is_not_deleted_nor_forgotten() {
    let state = copying();
    let refused = |step: Step| {
        let plan = super::Plan { steps: vec![step] };
        let found = super::check_plan(&state, &plan, NOW);
        found.iter().any(|breach| breach.rule == Rule::MoveStill)
    };
    let uid = state.claims[&data(0)].uid.clone();
    assert!(refused(Step::DropClaim { key: data(0), uid }));
    let uid = state.sets[&db()].uid.clone();
    assert!(refused(Step::RemoveSet { set: db(), uid }));
}

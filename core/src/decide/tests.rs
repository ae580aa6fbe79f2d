//! What is decided anew after a change, and for whom; what rests on others is not left behind.

use std::collections::BTreeSet;

use super::*;
use crate::{
    fixture::{NOW, friend::Friends, key, member, put_set, report, spec, state},
    report::Phase,
    spec::StatefulSetSpec,
};

fn wanted(replicas: i64) -> StatefulSetSpec {
    let mut wanted = spec(replicas, true);
    wanted.template.spec.processes[0].ports.clear();
    wanted
}

fn at_rest(sets: u8) -> State {
    let mut state = state(4);
    for n in 0..sets {
        put_set(&mut state, &format!("s{n}"), wanted(2));
    }
    let mut friends = Friends::new(state);
    friends.settle();
    friends.state
}

#[test]
fn what_changed_in_one_set_is_planned_for_that_set_alone() {
    let mut state = at_rest(5);
    let mut decider = Decider::default();
    let first = decider.decide(&state, NOW);
    assert_eq!((first.scope, first.plan.steps), (Scope::All, Vec::new()));
    let again = decider.decide(&state, NOW);
    assert_eq!(again.scope, Scope::Only(BTreeSet::new()));

    report(&mut state, &member("s1", 0), Phase::Running, false);
    let one = |name: &str| Scope::Only([key(name)].into());
    let decided = decider.decide(&state, NOW);
    assert_eq!(decided.scope, one("s1"));
    for step in &decided.plan.steps {
        state.apply(step, NOW);
    }
    assert_eq!(decider.decide(&state, NOW).scope, one("s1"), "it had steps");
    put_set(&mut state, "s3", wanted(1));
    let decided = decider.decide(&state, NOW);
    assert_eq!(decided.scope, one("s3"));
    assert!(!decided.plan.steps.is_empty());
    let again = decider.decide(&state, NOW);
    assert_eq!(again.plan, decided.plan, "it was not carried out");
}

#[test]
fn whom_no_step_reaches_is_not_planned_again_and_is_told_of_all_the_same() {
    let mut state = at_rest(4);
    let mut decider = Decider::default();
    assert_eq!(decider.decide(&state, NOW).plan.steps, []);
    assert_eq!(decider.tell().0, Scope::All);
    assert_eq!(
        decider.tell(),
        (Scope::Only(BTreeSet::new()), Report::default())
    );

    put_set(&mut state, "s3", wanted(1));
    report(&mut state, &member("s1", 0), Phase::Running, false);
    let both = Scope::Only([key("s1"), key("s3")].into());
    let decided = decider.decide(&state, NOW);
    assert_eq!(decided.scope, both);
    assert!(!decided.plan.steps.is_empty());
    let one = Scope::Only([key("s3")].into());
    assert_eq!(
        decider.decide(&state, NOW).scope,
        one,
        "it was not carried out"
    );
    for step in &decided.plan.steps {
        state.apply(step, NOW);
    }
    let last = decider.decide(&state, NOW);
    assert_eq!((last.scope, last.plan.steps), (one, Vec::new()));
    let (scope, told) = decider.tell();
    assert_eq!(scope, both);
    assert!(told.waiting.contains_key(&member("s1", 0)), "{told:#?}");
}

#[test]
fn what_waits_is_looked_at_now_and_then_and_nothing_else() {
    let mut state = at_rest(3);
    report(&mut state, &member("s1", 0), Phase::Running, false);
    let mut decider = Decider::default();
    let mut now = NOW;
    let first = loop {
        let decision = decider.decide(&state, now);
        if decision.plan.steps.is_empty() {
            break decision;
        }
        for step in &decision.plan.steps {
            state.apply(step, now);
        }
    };
    now = first.look_at.unwrap();
    let second = decider.decide(&state, now);
    assert_eq!(second.scope, Scope::Only([key("s1")].into()));
    assert!(second.look_at > Some(now));
}

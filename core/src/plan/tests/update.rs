//! Rolling updates.

use std::time::Duration;

use crate::{
    fixture::{friend::Friends, host_name, key, member, put_set, spec, state},
    ids::Ordinal,
    report::Phase,
    spec::{EnvVar, Override, StatefulSetSpec},
    state::orders,
    waiting::{Departure, Reason},
};

fn revision(n: u32) -> StatefulSetSpec {
    let mut wanted = spec(3, true);
    wanted.template.spec.processes[0].env.push(EnvVar {
        name: "REVISION".to_owned(),
        value: Some(n.to_string()),
        ..EnvVar::default()
    });
    wanted
}

fn running() -> Friends {
    let mut state = state(3);
    put_set(&mut state, "db", revision(1));
    let mut friends = Friends::new(state);
    friends.settle();
    friends.log.clear();
    friends
}

fn outdated(friends: &Friends) -> Vec<u32> {
    let set = &friends.state.sets[&key("db")];
    let old = set
        .members
        .iter()
        .filter(|(_, m)| m.revision != set.revision);
    old.map(|(ordinal, _)| ordinal.0).collect()
}

#[test]
fn members_are_replaced_one_at_a_time_from_the_highest_down() {
    let mut friends = running();
    put_set(&mut friends.state, "db", revision(2));
    friends.plan();
    assert_eq!(friends.log, ["-db-2"]);
    assert_eq!(
        friends.report.waiting[&member("db", 0)],
        Reason::RevisionOutdated
    );
    assert_eq!(friends.state.sets[&key("db")].revisions.len(), 2);
    friends.settle();
    assert_eq!(
        friends.log,
        ["-db-2", "+db-2", "-db-1", "+db-1", "-db-0", "+db-0"]
    );
    assert!(outdated(&friends).is_empty());
    assert_eq!(
        friends.state.sets[&key("db")].revisions.len(),
        2,
        "the old one is history"
    );
}

#[test]
fn a_healthy_member_is_not_replaced_while_another_is_down() {
    let mut friends = running();
    friends.unready.insert(member("db", 0));
    friends.agents();
    put_set(&mut friends.state, "db", revision(2));
    friends.plan();
    assert_eq!(friends.log, Vec::<String>::new());
    friends.unready.clear();
    friends.settle();
    assert!(outdated(&friends).is_empty());
}

#[test]
fn a_bad_revision_stops_after_one_member_and_its_correction_needs_no_hand() {
    let mut friends = running();
    put_set(&mut friends.state, "db", revision(2));
    friends.unready.insert(member("db", 2));
    friends.settle();
    assert_eq!(friends.log, ["-db-2", "+db-2"]);
    assert_eq!(outdated(&friends), [0, 1]);

    put_set(&mut friends.state, "db", revision(3));
    friends.plan();
    assert_eq!(friends.log.len(), 2, "it may still become ready");
    friends.now = friends.report.wake_at.unwrap();
    assert_eq!(
        friends.now,
        crate::fixture::NOW.plus(Duration::from_secs(10))
    );
    friends.plan();
    assert_eq!(friends.log[2..], ["-db-2"], "broken: replaced at no cost");
    friends.unready.clear();
    friends.settle();
    assert!(outdated(&friends).is_empty());
}

#[test]
fn a_crash_loop_is_broken_at_once() {
    let mut friends = running();
    put_set(&mut friends.state, "db", revision(2));
    friends.unready.insert(member("db", 2));
    friends.settle();
    crate::fixture::report(&mut friends.state, &member("db", 2), Phase::BackOff, false);
    put_set(&mut friends.state, "db", revision(3));
    friends.plan();
    assert_eq!(friends.log[2..], ["-db-2"]);
}

#[test]
fn a_broken_old_member_is_replaced_although_a_lost_one_waits_for_it() {
    let mut friends = running();
    friends.unready.insert(member("db", 0));
    friends.agents();
    friends.lose(&member("db", 2));
    put_set(&mut friends.state, "db", revision(2));
    friends.settle();
    let waits = &friends.report.waiting[&member("db", 2)];
    assert_eq!(
        *waits,
        Reason::PredecessorNotReady {
            ordinal: Ordinal(0)
        }
    );
    friends.now = friends.now.plus(Duration::from_secs(10));
    friends.plan();
    assert_eq!(friends.log, ["-db-0"]);
}

#[test]
fn a_member_that_never_started_takes_the_new_revision_at_once() {
    let mut state = state(3);
    put_set(&mut state, "db", revision(1));
    let mut friends = Friends::new(state);
    friends.unready.insert(member("db", 0));
    friends.settle();
    put_set(&mut friends.state, "db", revision(2));
    friends.plan();
    assert_eq!(outdated(&friends), [0]);
    assert_eq!(friends.log, ["+db-0"]);
}

#[test]
fn a_member_on_an_unknown_host_costs_the_budget() {
    let mut friends = running();
    friends.contact(&host_name(1), false);
    put_set(&mut friends.state, "db", revision(2));
    friends.settle();
    assert_eq!(friends.log, Vec::<String>::new());
}

fn ask(friends: &mut Friends, ordinal: u32) {
    let now = friends.now;
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    let member = set.members.get_mut(&Ordinal(ordinal)).unwrap();
    member.restart_asked = Some(now);
}

fn asked(friends: &Friends) -> usize {
    let members = friends.state.sets[&key("db")].members.values();
    members
        .filter(|member| member.restart_asked.is_some())
        .count()
}

#[test]
fn a_restart_that_was_asked_for_comes_once_and_one_at_a_time() {
    let mut friends = running();
    let before = friends.state.sets[&key("db")].members[&Ordinal(0)].epoch;
    ask(&mut friends, 0);
    ask(&mut friends, 1);
    friends.plan();
    assert_eq!(friends.log, ["-db-1"]);
    assert_eq!(
        friends.report.waiting[&member("db", 0)],
        Reason::BudgetSpent {
            departure: Departure::Restart,
            available: 1,
            floor: 2
        }
    );
    friends.settle();
    assert_eq!(friends.log, ["-db-1", "+db-1", "-db-0", "+db-0"]);
    assert_eq!(asked(&friends), 0);
    let after = &friends.state.sets[&key("db")].members[&Ordinal(0)];
    assert!(after.epoch > before);
}

#[test]
fn a_restart_waits_for_the_others_unless_its_member_is_not_ready_itself() {
    let mut friends = running();
    friends.unready.insert(member("db", 2));
    friends.agents();
    ask(&mut friends, 1);
    friends.plan();
    assert!(friends.log.is_empty(), "{:?}", friends.log);
    let waits = &friends.report.waiting[&member("db", 1)];
    assert_eq!(*waits, Reason::RestartAsked);
    assert_eq!(asked(&friends), 1);
    // No patience: a person has looked at it.
    ask(&mut friends, 2);
    friends.plan();
    assert_eq!(friends.log, ["-db-2"]);
}

#[test]
fn a_restart_comes_before_the_next_member_of_an_older_revision() {
    let mut friends = running();
    put_set(&mut friends.state, "db", revision(2));
    ask(&mut friends, 0);
    friends.plan();
    assert_eq!(friends.log, ["-db-0"]);
    friends.settle();
    assert_eq!(friends.log.len(), 6, "each once: {:?}", friends.log);
}

#[test]
fn an_override_replaces_the_members_that_it_touches_and_no_others() {
    let mut state = state(4);
    put_set(&mut state, "db", spec(3, true));
    let mut friends = Friends::new(state);
    friends.settle();
    friends.log.clear();
    let over = |ordinals: &str, arg: &str| Override {
        ordinals: ordinals.to_owned(),
        args: Some(vec![arg.to_owned()]),
        ..Override::default()
    };
    let apply = |friends: &mut Friends, overrides: Vec<Override>| {
        let mut wanted = spec(3, true);
        wanted.overrides = overrides;
        put_set(&mut friends.state, "db", wanted);
        friends.settle();
        let log = std::mem::take(&mut friends.log);
        let set = &friends.state.sets[&key("db")];
        assert!(set.members.values().all(|m| m.revision == set.revision));
        log
    };
    assert_eq!(
        apply(&mut friends, vec![over("1", "-a")]),
        ["-db-1", "+db-1"]
    );
    let args = |friends: &Friends, ordinal| {
        let order = orders::member_order(&friends.state, &member("db", ordinal)).unwrap();
        order.template.processes[0].args.clone()
    };
    assert_eq!(args(&friends, 1), ["-a"]);
    assert_eq!(args(&friends, 0), [""; 0]);
    assert_eq!(
        apply(&mut friends, vec![over("1-2", "-a")]),
        ["-db-2", "+db-2"]
    );
    assert_eq!(
        apply(&mut friends, Vec::new()),
        ["-db-2", "+db-2", "-db-1", "+db-1"]
    );
}

//! A set that is deleted without its members, and comes back (T-02, F-072).

use std::sync::Arc;

use crate::{
    fixture::{friend::Friends, host_name, key, member, put_set, spec, state},
    spec::GatePolicy,
    state::{State, orders::host_order},
    waiting::Reason,
};

fn orphaned() -> Friends {
    let mut state = state(3);
    put_set(&mut state, "db", spec(2, true));
    let mut friends = Friends::new(state);
    friends.settle();
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    set.orphaned = Some(friends.now);
    friends.log.clear();
    friends
}

fn adopt(state: &mut State, replicas: i64, policy: GatePolicy) {
    let mut wanted = spec(replicas, true);
    wanted.pod_management_policy = policy;
    put_set(state, "db", wanted);
    state.sets.get_mut(&key("db")).unwrap().orphaned = None;
}

#[test]
fn t02_orphans_run_on_under_their_last_order_and_nothing_is_decided_of_them() {
    let mut friends = orphaned();
    let orders: Vec<_> = (1..4)
        .map(|n| host_order(&friends.state, &host_name(n)))
        .collect();
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    Arc::make_mut(&mut set.spec).replicas = Some(2);
    friends.unready.insert(member("db", 1));
    friends.agents();
    // Not even what an agent lost is released: its order stands.
    friends.lose(&member("db", 0));
    friends.settle();
    assert_eq!(friends.log, [""; 0]);
    assert_eq!(friends.running(), ["db-0", "db-1"]);
    let after: Vec<_> = (1..4)
        .map(|n| host_order(&friends.state, &host_name(n)))
        .collect();
    assert_eq!(orders, after);
    assert_eq!(friends.report.waiting[&member("db", 0)], Reason::Orphaned);
}

#[test]
fn t02_a_set_of_the_name_takes_its_members_back_as_they_are() {
    let mut friends = orphaned();
    let (members, claims) = {
        let set = &friends.state.sets[&key("db")];
        (set.members.clone(), friends.state.claims.clone())
    };
    adopt(&mut friends.state, 3, GatePolicy::Parallel);
    friends.settle();
    assert_eq!(friends.log, ["+db-2"], "the others were not touched");
    let set = &friends.state.sets[&key("db")];
    for (ordinal, member) in members {
        assert_eq!(set.members[&ordinal], member);
    }
    for (key, claim) in claims {
        assert_eq!(friends.state.claims[&key], claim);
    }
}

#[test]
fn orphans_whose_set_comes_back_with_another_template_are_rolled() {
    let mut friends = orphaned();
    adopt(&mut friends.state, 2, GatePolicy::OrderedReady);
    let mut newer = spec(2, true);
    newer.template.spec.processes[0].command = vec!["/bin/newer".to_owned()];
    put_set(&mut friends.state, "db", newer);
    friends.settle();
    assert_eq!(friends.log, ["-db-1", "+db-1", "-db-0", "+db-0"]);
}

#[test]
fn orphans_that_are_deleted_after_all_stop_in_order() {
    let mut friends = orphaned();
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    set.orphaned = None;
    set.deleting = Some(friends.now);
    friends.settle();
    assert_eq!(friends.log, ["-db-1", "-db-0"]);
}

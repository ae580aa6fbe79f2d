//! The end of a set, and its return.

use crate::{
    fixture::{friend::Friends, host_name, key, member, put_set, spec, state},
    ids::Ordinal,
    spec::GatePolicy,
};

fn running(policy: GatePolicy) -> Friends {
    let mut wanted = spec(3, true);
    wanted.bootstrap_policy = Some(GatePolicy::Parallel);
    wanted.pod_management_policy = policy;
    let mut state = state(3);
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.settle();
    friends.log.clear();
    friends
}

fn delete(friends: &mut Friends) {
    friends.state.sets.get_mut(&key("db")).unwrap().deleting = Some(friends.now);
}

#[test]
fn deleting_stops_from_the_highest_down_and_then_removes_the_set() {
    let mut friends = running(GatePolicy::OrderedReady);
    // Health does not matter: this is how a broken set is got rid of.
    friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
    friends.agents();
    delete(&mut friends);
    friends.settle();
    assert_eq!(friends.log, ["-db-2", "-db-1", "-db-0"]);
    assert!(friends.state.sets.is_empty());
    assert_eq!(friends.state.claims.len(), 3, "claims stay");
    assert!(friends.state.foundings.contains_key(&key("db")));
}

#[test]
fn a_set_with_a_member_on_an_unknown_host_is_not_removed() {
    let mut friends = running(GatePolicy::Parallel);
    friends.contact(&host_name(2), false);
    delete(&mut friends);
    friends.settle();
    assert_eq!(friends.running(), ["db-1"]);
    friends.contact(&host_name(2), true);
    friends.settle();
    assert!(friends.state.sets.is_empty());
}

#[test]
fn a_set_that_comes_back_adopts_its_claims_and_grants_newer_epochs() {
    let mut friends = running(GatePolicy::OrderedReady);
    let claims = friends.state.claims.clone();
    let epoch = friends.state.sets[&key("db")].members[&Ordinal(0)].epoch;
    delete(&mut friends);
    friends.settle();
    put_set(&mut friends.state, "db", spec(3, true));
    friends.settle();
    assert_eq!(friends.state.claims, claims);
    let again = friends.state.sets[&key("db")].members[&Ordinal(0)].epoch;
    assert!(again > epoch, "{again} after {epoch}");
}

#[test]
fn the_founding_is_forgotten_with_the_last_claim() {
    let mut friends = running(GatePolicy::OrderedReady);
    delete(&mut friends);
    friends.settle();
    let mut keys: Vec<_> = friends.state.claims.keys().cloned().collect();
    let last = keys.pop().unwrap();
    for key in keys {
        friends.state.claims.remove(&key);
    }
    friends.settle();
    assert!(friends.state.foundings.contains_key(&key("db")));
    friends.state.claims.remove(&last);
    friends.settle();
    assert!(friends.state.foundings.is_empty());
}

#[test]
fn a_member_that_was_never_started_is_released_at_once() {
    let mut state = state(3);
    put_set(&mut state, "db", spec(3, true));
    let mut friends = Friends::new(state);
    friends.plan();
    assert_eq!(friends.running().len(), 3, "all have names");
    delete(&mut friends);
    friends.plan();
    assert_eq!(friends.log, Vec::<String>::new());
    assert!(friends.state.sets.is_empty());
}

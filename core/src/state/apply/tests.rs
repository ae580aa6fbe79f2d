//! Steps take effect, and stale ones take none.

use super::*;
use crate::{
    fixture::{NOW, assign, fill, host_name, key, member, put_set, run_all, spec, state},
    ids::{Ordinal, Term, ZoneSerial},
    order::Peer,
    plan::step::Proof,
};

fn one_running() -> State {
    let mut state = state(2);
    put_set(&mut state, "db", spec(1, true));
    run_all(&mut state, "db");
    state
}

fn db(state: &State) -> &Member {
    &state.sets[&key("db")].members[&Ordinal(0)]
}

fn settled(state: &State) -> bool {
    state.hosts[&host_name(1)].contact.settled
}

#[test]
fn an_assignment_names_the_member_in_the_next_zone_and_orders_nothing() {
    let mut state = state(1);
    state.zone.serial = ZoneSerial(4);
    put_set(&mut state, "db", spec(1, false));
    assign(&mut state, &member("db", 0));
    assert_eq!(db(&state).ordered, Ordered::Nothing);
    assert_eq!(db(&state).named_in, ZoneSerial(5));
    assert!(settled(&state), "the host's order is as before");
    assert_eq!(
        state.sets[&key("db")].last_grants[&Ordinal(0)].epoch,
        db(&state).epoch
    );
}

#[test]
fn a_step_about_another_epoch_changes_nothing() {
    let mut state = one_running();
    let before = state.clone();
    let id = member("db", 0);
    let epoch = db(&state).epoch.next(Term(1));
    state.apply(
        &Step::Stop {
            member: id.clone(),
            epoch,
        },
        NOW,
    );
    state.apply(
        &Step::PassGate {
            member: id.clone(),
            epoch,
        },
        NOW,
    );
    let proof = Proof::ReportedAbsent;
    state.apply(
        &Step::Release {
            member: id,
            epoch,
            proof,
        },
        NOW,
    );
    assert_eq!(state, before);
}

#[test]
fn what_changes_a_hosts_order_unsettles_it() {
    let mut state = one_running();
    let (id, epoch) = (member("db", 0), db(&state).epoch);
    assert!(!settled(&state), "after a start");
    for step in [
        Step::Stop {
            member: id.clone(),
            epoch,
        },
        Step::Release {
            member: id,
            epoch,
            proof: Proof::ReportedStopped,
        },
    ] {
        state.hosts.get_mut(&host_name(1)).unwrap().contact.settled = true;
        state.apply(&step, NOW);
        assert!(!settled(&state), "{step:?}");
    }
}

#[test]
fn a_new_grant_keeps_the_address_before_if_it_was_another() {
    let mut state = one_running();
    let (id, epoch) = (member("db", 0), db(&state).epoch);
    let before = db(&state).address;
    let proof = Proof::ReportedAbsent;
    state.apply(
        &Step::Release {
            member: id.clone(),
            epoch,
            proof,
        },
        NOW,
    );
    assert!(state.sets[&key("db")].members.is_empty());
    let moved = state.hosts[&host_name(2)].record.advertise_address;
    let step = Step::Assign {
        member: id,
        epoch: epoch.next(Term(1)),
        host: host_name(2),
        address: moved,
        revision: state.sets[&key("db")].revision.clone(),
    };
    state.apply(&step, NOW);
    assert_eq!(db(&state).previous_address, Some(before));
}

#[test]
fn a_founder_is_open_until_it_passed_its_gate() {
    let mut state = one_running();
    let founders: Vec<Peer> = Vec::from([crate::state::orders::peer(
        &state,
        &state.sets[&key("db")],
        &member("db", 0),
    )]);
    let set = key("db");
    state.apply(
        &Step::Found {
            set: set.clone(),
            founders,
        },
        NOW,
    );
    assert_eq!(state.foundings[&set].open, [Ordinal(0)]);

    let claim = member("db", 0).claim("data").unwrap();
    state.apply(&fill(claim.clone()), NOW);
    assert!(state.claims[&claim].filled);
    assert!(state.foundings[&set].filled.contains_key(&claim));

    let epoch = db(&state).epoch;
    state.apply(
        &Step::PassGate {
            member: member("db", 0),
            epoch,
        },
        NOW,
    );
    assert!(state.foundings[&set].open.is_empty());
    assert!(db(&state).passed_gate);
}

#[test]
fn a_set_of_another_uid_is_not_removed() {
    let mut state = one_running();
    let set = key("db");
    let mut step = Step::RemoveSet {
        set: set.clone(),
        uid: Uid("other".to_owned()),
    };
    state.apply(&step, NOW);
    assert!(state.sets.contains_key(&set));
    if let Step::RemoveSet { uid, .. } = &mut step {
        *uid = state.sets[&set].uid.clone();
    }
    state.apply(&step, NOW);
    assert!(!state.sets.contains_key(&set));
    assert_eq!(state.claims.len(), 1, "claims outlive their set");
}

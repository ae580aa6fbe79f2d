//! Order of starts and stops.

use std::time::Duration;

use crate::{
    fixture::{friend::Friends, host_name, key, member, put_set, spec, state},
    ids::Ordinal,
    spec::{Amount, DisruptionBudget, GatePolicy, StatefulSetSpec},
    waiting::Reason,
};

fn friends(hosts: u8, wanted: StatefulSetSpec) -> Friends {
    let mut state = state(hosts);
    put_set(&mut state, "db", wanted);
    Friends::new(state)
}

fn scale(friends: &mut Friends, replicas: i64) {
    let mut spec = (*friends.state.sets[&key("db")].spec).clone();
    spec.replicas = Some(replicas);
    put_set(&mut friends.state, "db", spec);
}

fn parallel(replicas: i64) -> StatefulSetSpec {
    StatefulSetSpec {
        pod_management_policy: GatePolicy::Parallel,
        ..spec(replicas, false)
    }
}

fn reason(friends: &Friends, ordinal: u32) -> Option<Reason> {
    friends.report.waiting.get(&member("db", ordinal)).cloned()
}

#[test]
fn members_start_one_after_another_and_stop_from_the_highest_down() {
    let mut friends = friends(5, spec(2, true));
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-1"]);
    friends.log.clear();
    scale(&mut friends, 5);
    friends.settle();
    assert_eq!(friends.log, ["+db-2", "+db-3", "+db-4"]);
    friends.log.clear();
    scale(&mut friends, 1);
    friends.settle();
    assert_eq!(friends.log, ["-db-4", "-db-3", "-db-2", "-db-1"]);
    assert_eq!(friends.running(), ["db-0"]);
    assert_eq!(friends.state.claims.len(), 5, "claims outlive their member");
    assert_eq!(friends.report.waiting.len(), 0);
}

#[test]
fn a_stop_that_goes_as_it_should_is_not_called_unconfirmed() {
    let mut friends = friends(1, spec(1, false));
    friends.settle();
    scale(&mut friends, 0);
    friends.plan();
    assert_eq!(friends.log, ["+db-0", "-db-0"]);
    let host = host_name(1);
    assert_eq!(reason(&friends, 0), Some(Reason::Ordered { host }));
}

#[test]
fn a_set_that_stops_altogether_has_no_floor() {
    let mut wanted = spec(3, false);
    wanted.disruption_budget = Some(DisruptionBudget {
        min_available: Some(Amount::Number(2)),
        ..DisruptionBudget::default()
    });
    let mut friends = friends(3, wanted);
    friends.settle();
    scale(&mut friends, 0);
    friends.settle();
    assert_eq!(friends.log[3..], ["-db-2", "-db-1", "-db-0"]);
}

#[test]
fn the_next_is_stopped_only_when_the_one_before_is_gone() {
    let mut friends = friends(3, spec(3, false));
    friends.settle();
    friends.lingering.insert(member("db", 2));
    scale(&mut friends, 0);
    friends.settle();
    assert_eq!(friends.log[3..], ["-db-2"]);
    let epoch = friends.state.sets[&key("db")].members[&Ordinal(2)].epoch;
    let host = host_name(3);
    assert_eq!(
        reason(&friends, 2),
        Some(Reason::StopNotConfirmed { host, epoch })
    );
    let ordinal = Ordinal(2);
    assert_eq!(
        reason(&friends, 1),
        Some(Reason::SuccessorNotStopped { ordinal })
    );
    friends.lingering.clear();
    friends.settle();
    assert_eq!(friends.log[4..], ["-db-1", "-db-0"]);
    assert_eq!(friends.running(), Vec::<String>::new());
}

/// Upstream's "scaling should happen in predictable order and halt if any stateful pod is
/// unhealthy".
#[test]
fn ordered_scaling_halts_while_a_member_is_unhealthy() {
    let mut friends = friends(3, spec(1, false));
    friends.unready.insert(member("db", 0));
    friends.settle();
    scale(&mut friends, 3);
    friends.settle();
    assert_eq!(friends.log, ["+db-0"]);
    let ordinal = Ordinal(0);
    assert_eq!(
        reason(&friends, 1),
        Some(Reason::PredecessorNotReady { ordinal })
    );
    assert!(matches!(
        reason(&friends, 0),
        Some(Reason::ReadinessProbe { .. })
    ));

    friends.unready.clear();
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-1", "+db-2"]);

    friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
    friends.agents();
    scale(&mut friends, 0);
    friends.settle();
    assert_eq!(friends.log.len(), 3, "it waits while they are unhealthy");
    assert_eq!(
        reason(&friends, 2),
        Some(Reason::PredecessorNotReady { ordinal })
    );

    friends.unready.clear();
    friends.settle();
    assert_eq!(friends.log[3..], ["-db-2", "-db-1", "-db-0"]);
}

#[test]
fn what_stays_unhealthy_does_not_hold_back_scaling_in_for_ever() {
    let mut friends = friends(3, spec(3, false));
    friends.settle();
    friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
    friends.agents();
    scale(&mut friends, 1);
    friends.settle();
    assert_eq!(friends.running().len(), 3);
    let wake = friends.report.wake_at.expect("it asks to plan again");
    assert_eq!(wake, friends.now.plus(Duration::from_secs(30)));
    friends.now = wake;
    friends.settle();
    assert_eq!(friends.running(), ["db-0"]);
}

#[test]
fn what_becomes_available_first_ends_the_wait_of_scaling_in() {
    let mut spec = spec(2, false);
    spec.min_ready_seconds = 2;
    let mut friends = friends(2, spec);
    for _ in 0..2 {
        friends.settle();
        friends.now = friends.now.plus(Duration::from_secs(2));
    }
    friends.settle();
    assert_eq!(friends.running().len(), 2);
    friends.unready.extend([0, 1].map(|n| member("db", n)));
    friends.agents();
    friends.unready.remove(&member("db", 1));
    friends.agents();
    scale(&mut friends, 0);
    friends.settle();
    assert_eq!(
        friends.running().len(),
        2,
        "the highest is not available yet"
    );
    let wake = friends.report.wake_at.expect("it asks to plan again");
    assert_eq!(wake, friends.now.plus(Duration::from_secs(2)));
    friends.now = wake;
    friends.settle();
    assert_eq!(friends.log[2..], ["-db-1", "-db-0"]);
}

#[test]
fn a_replacement_of_an_unhealthy_member_makes_no_room_for_scaling_in() {
    let mut friends = friends(3, spec(3, false));
    friends.settle();
    friends.log.clear();
    friends.unready.insert(member("db", 0));
    friends.agents();
    scale(&mut friends, 2);
    let now = friends.now;
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    set.members.get_mut(&Ordinal(0)).unwrap().restart_asked = Some(now);
    friends.plan();
    assert_eq!(friends.log, ["-db-0"]);
    friends.unready.clear();
    friends.settle();
    assert_eq!(friends.log, ["-db-0", "+db-0", "-db-2"]);
}

#[test]
fn the_only_unhealthy_member_never_blocks_its_own_removal() {
    let mut friends = friends(3, spec(3, false));
    friends.settle();
    friends.unready.insert(member("db", 1));
    friends.agents();
    scale(&mut friends, 1);
    friends.settle();
    assert_eq!(friends.log[3..], ["-db-2", "-db-1"]);
}

/// Upstream's "burst scaling should run to completion even with unhealthy pods".
#[test]
fn a_parallel_set_ignores_health() {
    let mut friends = friends(3, parallel(1));
    friends.unready.insert(member("db", 0));
    friends.settle();
    scale(&mut friends, 3);
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-1", "+db-2"]);
    scale(&mut friends, 0);
    friends.plan();
    assert_eq!(friends.log[3..], ["-db-2", "-db-1", "-db-0"]);
    friends.settle();
    assert_eq!(friends.running(), Vec::<String>::new());
}

/// Upstream's "ReplacesPods".
#[test]
fn lost_members_are_replaced_lowest_first() {
    let mut friends = friends(5, spec(5, false));
    friends.settle();
    friends.log.clear();
    let lost = [0, 2, 4].map(|n| member("db", n));
    let epoch_of = |friends: &Friends, id: &crate::ids::MemberId| {
        friends.state.sets[&id.set].members[&id.ordinal].epoch
    };
    let before = lost.clone().map(|id| epoch_of(&friends, &id));
    for id in &lost {
        friends.lose(id);
    }
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-2", "+db-4"]);
    for (id, before) in lost.iter().zip(before) {
        assert!(epoch_of(&friends, id) > before, "{id}");
    }
}

/// Upstream's "should not deadlock when a pod's predecessor fails".
#[test]
fn a_lost_predecessor_is_replaced_while_a_higher_member_is_unready() {
    let mut friends = friends(2, spec(2, false));
    friends.unready.insert(member("db", 1));
    friends.settle();
    friends.log.clear();
    friends.lose(&member("db", 0));
    friends.settle();
    assert_eq!(friends.log, ["+db-0"]);
}

#[test]
fn a_member_counts_as_available_only_after_min_ready_seconds() {
    let mut wanted = spec(2, false);
    wanted.min_ready_seconds = 30;
    let mut friends = friends(2, wanted);
    friends.settle();
    assert_eq!(friends.log, ["+db-0"]);
    assert_eq!(
        friends.report.wake_at,
        Some(friends.now.plus(Duration::from_secs(30)))
    );
    friends.now = friends.now.plus(Duration::from_secs(30));
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-1"]);
}

#[test]
fn ordered_started_waits_for_the_start_and_not_for_readiness() {
    let mut wanted = spec(3, false);
    wanted.pod_management_policy = GatePolicy::OrderedStarted;
    let mut friends = friends(3, wanted);
    friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
    friends.plan();
    friends.agents();
    friends.plan();
    assert_eq!(friends.log, ["+db-0"]);
    let ordinal = Ordinal(0);
    assert_eq!(
        reason(&friends, 1),
        Some(Reason::PredecessorNotStarted { ordinal })
    );
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-1", "+db-2"]);
}

#[test]
fn a_cold_start_onto_filled_volumes_does_not_wait_for_a_quorum() {
    let mut friends = friends(3, spec(3, true));
    friends.settle();
    scale(&mut friends, 0);
    friends.settle();
    friends.log.clear();
    // An application that is ready only once two of three run.
    friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
    scale(&mut friends, 3);
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-1", "+db-2"]);
}

#[test]
fn a_new_ordinal_of_a_cold_set_still_waits_for_its_turn() {
    let mut friends = friends(3, spec(1, true));
    friends.settle();
    scale(&mut friends, 0);
    friends.settle();
    friends.log.clear();
    friends.unready.insert(member("db", 0));
    scale(&mut friends, 2);
    friends.settle();
    assert_eq!(friends.log, ["+db-0"], "db-1 has no volume of its own yet");
}

#[test]
fn the_last_one_that_serves_makes_a_cold_start_of_the_others_when_it_is_gone() {
    let mut friends = friends(3, spec(3, true));
    friends.settle();
    friends.contact(&host_name(1), false);
    friends.wipe(&member("db", 1));
    friends.settle();
    let ordinal = Ordinal(0);
    let waits = Some(Reason::PredecessorNotReady { ordinal });
    assert_eq!(reason(&friends, 1), waits);
    friends.log.clear();
    scale(&mut friends, 2);
    friends.now = friends.now.plus(Duration::from_secs(60));
    friends.plan();
    assert_eq!(friends.log, ["-db-2"]);
    assert_eq!(reason(&friends, 1), waits, "db-2 may serve yet");
    friends.settle();
    assert_eq!(friends.log, ["-db-2", "+db-1"]);
}

#[test]
fn an_unknown_host_frees_nothing_and_counts_as_down() {
    let mut friends = friends(4, spec(2, false));
    friends.settle();
    friends.contact(&host_name(1), false);
    scale(&mut friends, 3);
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-1"], "the gate is shut");
    assert_eq!(
        reason(&friends, 0),
        Some(Reason::HostUnknown { host: host_name(1) })
    );
    let before = friends.state.sets[&key("db")].members[&Ordinal(0)].epoch;

    friends.contact(&host_name(1), true);
    friends.settle();
    assert_eq!(friends.log[2..], ["+db-2"]);
    assert_eq!(
        friends.state.sets[&key("db")].members[&Ordinal(0)].epoch,
        before
    );
}

#[test]
fn scaling_in_and_out_again_grants_a_new_epoch() {
    let mut friends = friends(2, spec(2, true));
    friends.settle();
    let before = friends.state.sets[&key("db")].last_grants[&Ordinal(1)].clone();
    let claims = friends.state.claims.clone();
    friends.lingering.insert(member("db", 1));
    scale(&mut friends, 1);
    friends.settle();
    scale(&mut friends, 2);
    friends.settle();
    assert!(matches!(
        reason(&friends, 1),
        Some(Reason::StopNotConfirmed { .. })
    ));
    friends.lingering.clear();
    friends.settle();
    let after = &friends.state.sets[&key("db")].members[&Ordinal(1)];
    assert!(after.epoch > before.epoch);
    assert_eq!(after.host, before.host);
    assert_eq!(friends.state.claims, claims, "the same volumes");
}

fn ordinals(friends: &mut Friends, start: u32, reserved: &[u32]) {
    let mut spec = (*friends.state.sets[&key("db")].spec).clone();
    spec.ordinals.start = start;
    spec.ordinals.reserved = reserved.iter().copied().collect();
    put_set(&mut friends.state, "db", spec);
}

#[test]
fn a_reserved_ordinal_goes_and_the_number_of_members_stays() {
    let mut friends = friends(5, spec(3, true));
    friends.settle();
    friends.log.clear();
    ordinals(&mut friends, 0, &[1]);
    friends.settle();
    assert_eq!(friends.running(), ["db-0", "db-2", "db-3"]);
    friends.log.sort();
    assert_eq!(friends.log, ["+db-3", "-db-1"]);
    assert_eq!(
        friends.state.claims.len(),
        4,
        "its claim stays, as after scaling in"
    );
    ordinals(&mut friends, 0, &[]);
    friends.settle();
    assert_eq!(friends.running(), ["db-0", "db-1", "db-2"]);
    assert_eq!(friends.report.waiting.len(), 0);
}

#[test]
fn members_below_the_first_ordinal_go_and_others_come() {
    let mut friends = friends(5, spec(2, true));
    friends.settle();
    ordinals(&mut friends, 1, &[2]);
    friends.settle();
    assert_eq!(friends.running(), ["db-1", "db-3"]);
    ordinals(&mut friends, 0, &[]);
    friends.settle();
    assert_eq!(friends.running(), ["db-0", "db-1"]);
    assert_eq!(friends.state.claims.len(), 3);
}

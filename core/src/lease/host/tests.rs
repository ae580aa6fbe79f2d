//! What a host does about its leases, event by event.

use super::*;
use crate::{
    fixture::member,
    ids::{BootId, RunNumber, Term},
};

const TERMS: LeaseTerms = LeaseTerms {
    length_ms: 15_000,
    grace_ms: 3_750,
    kill_ms: 2_000,
    self_fences: true,
};

fn epoch(counter: u64) -> Epoch {
    Epoch {
        term: Term(1),
        counter,
    }
}

fn run(counter: u64) -> RunId {
    RunId {
        epoch: epoch(counter),
        boot: BootId("boot".to_owned()),
        number: RunNumber(1),
    }
}

fn renewed(at: u64, running_only: bool) -> LeaseEvent {
    LeaseEvent::Renewed(Acknowledged::of(Timestamp(at), running_only))
}

fn ordered(counter: u64) -> LeaseEvent {
    LeaseEvent::Ordered(member("db", 0), Some((epoch(counter), TERMS)))
}

fn runs(counter: u64, known: Option<u64>) -> LeaseEvent {
    LeaseEvent::Runs {
        member: member("db", 0),
        run: Some(run(counter)),
        known: known.map(Timestamp),
    }
}

/// Feeds events that happen at a time; what is to be done after the last.
fn play(leases: &mut HostLeases, at: u64, events: &[LeaseEvent]) -> Vec<LeaseEffect> {
    let mut effects = Vec::new();
    for event in events {
        effects = leases.step(Timestamp(at), event.clone());
    }
    effects
}

fn held(held: bool) -> LeaseEffect {
    LeaseEffect::Held(member("db", 0), held)
}

#[test]
fn a_member_may_be_started_from_a_renewal_on_until_there_is_no_time_left() {
    let mut leases = HostLeases::default();
    assert_eq!(play(&mut leases, 1_000, &[ordered(1)]), []);
    assert_eq!(
        play(&mut leases, 1_000, &[renewed(900, false)]),
        [held(true)]
    );
    assert_eq!(leases.wake_at(), Some(Timestamp(12_150)));
    assert_eq!(play(&mut leases, 12_149, &[LeaseEvent::Tick]), []);
    assert_eq!(
        play(&mut leases, 12_150, &[LeaseEvent::Tick]),
        [held(false)]
    );
    assert_eq!(leases.wake_at(), None);
    let run = leases.run_of(&member("db", 0)).unwrap();
    assert_eq!((run.terms, run.renewed), (TERMS, Timestamp(900)));
}

#[test]
fn a_renewal_for_what_runs_starts_nothing() {
    let mut leases = HostLeases::default();
    assert_eq!(play(&mut leases, 10, &[ordered(1), renewed(5, true)]), []);
}

#[test]
fn a_keeper_hears_of_each_renewal_once_while_its_run_is_what_is_ordered() {
    let mut leases = HostLeases::default();
    play(
        &mut leases,
        10,
        &[ordered(1), renewed(5, true), runs(1, Some(5))],
    );
    let told = |at| LeaseEffect::Renew(member("db", 0), Timestamp(at));
    assert_eq!(play(&mut leases, 20, &[renewed(15, true)]), [told(15)]);
    assert_eq!(play(&mut leases, 21, &[renewed(15, true)]), [], "no news");
    assert_eq!(play(&mut leases, 30, &[ordered(2), renewed(25, true)]), []);
}

#[test]
fn what_was_acknowledged_during_a_start_reaches_the_new_keeper() {
    let mut leases = HostLeases::default();
    let events = [ordered(1), renewed(5, true), runs(1, None)];
    let told = LeaseEffect::Renew(member("db", 0), Timestamp(5));
    assert_eq!(play(&mut leases, 10, &events), [told]);
}

#[test]
fn a_keeper_that_does_not_end_its_member_is_killed_and_the_host_rebooted() {
    let mut leases = HostLeases::default();
    play(&mut leases, 10, &[ordered(1), runs(1, Some(1_000))]);
    let tick = [LeaseEvent::Tick];
    assert_eq!(play(&mut leases, 12_250, &tick), [], "its keeper asks it");
    let kill = LeaseEffect::Kill(member("db", 0), run(1));
    assert_eq!(play(&mut leases, 16_000, &tick), [kill]);
    let reboot = LeaseEffect::Reboot(member("db", 0));
    assert_eq!(play(&mut leases, 17_000, &tick), [reboot]);
    assert_eq!(leases.wake_at(), None);
}

#[test]
fn a_member_that_is_gone_in_time_is_left_alone() {
    let mut leases = HostLeases::default();
    play(&mut leases, 10, &[ordered(1), runs(1, Some(1_000))]);
    play(
        &mut leases,
        20,
        &[LeaseEvent::Ended(member("db", 0), run(2))],
    );
    assert!(leases.wake_at().is_some(), "another run ended");
    play(
        &mut leases,
        30,
        &[LeaseEvent::Ended(member("db", 0), run(1))],
    );
    assert_eq!(leases.wake_at(), None);
    play(
        &mut leases,
        40,
        &[runs(1, Some(30)), LeaseEvent::Forgotten(member("db", 0))],
    );
    assert_eq!(leases.wake_at(), None);
    assert_eq!(leases.run_of(&member("db", 0)), None);
}

#[test]
fn of_a_run_of_an_earlier_order_its_keeper_alone_knows_the_end() {
    let mut leases = HostLeases::default();
    play(&mut leases, 10, &[ordered(2), runs(1, Some(5))]);
    assert_eq!(leases.wake_at(), None);
}

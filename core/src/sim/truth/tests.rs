//! Each promise, broken by hand, is noticed: a world that cannot fail proves nothing.

use std::{net::Ipv4Addr, time::Duration};

use super::*;
use crate::{
    ids::Epoch,
    order::VolumeOrder,
    sim::operator::SetOptions,
    state::{Claim, Volume, VolumeState, ZoneHead},
    volume::VolumeSource,
};

fn host(n: u8) -> HostName {
    format!("host-{n}").parse().unwrap()
}

fn key() -> SetKey {
    "default/db".parse().unwrap()
}

fn member(n: u32) -> MemberId {
    MemberId {
        set: key(),
        ordinal: Ordinal(n),
    }
}

/// Three members that run on three of four hosts.
fn world() -> World {
    let mut world = World::new(0, false);
    for n in 1..=4 {
        world.add_host(&host(n), Ipv4Addr::new(10, 0, 0, n).into());
    }
    world.run(Duration::from_secs(1)).unwrap();
    let options = SetOptions {
        replicas: 3,
        claim: true,
        bootstrap: Some(GatePolicy::Parallel),
        fixed: true,
        ..SetOptions::default()
    };
    world.put_set(&key(), &options);
    assert!(world.settle(Duration::from_secs(10)).unwrap());
    world
}

fn broken(mut world: World) -> &'static str {
    let violation = world.run(Duration::from_secs(20)).unwrap_err();
    assert!(!violation.log.is_empty());
    violation.promise
}

#[test]
fn a_member_that_runs_twice() {
    let mut world = world();
    let keeper = world.hosts[&host(1)].keepers[&member(0)].clone();
    let other = world.hosts.get_mut(&host(4)).unwrap();
    other.keepers.insert(member(0), keeper);
    assert_eq!(broken(world), "I2");
}

#[test]
fn a_start_whose_name_is_not_served() {
    let mut world = world();
    let at = world.hosts.get_mut(&host(1)).unwrap();
    at.zone.records.clear();
    // The host itself would start nothing that it has no name for.
    let run = at.keepers[&member(0)].run.clone();
    world.truth_of_start(&host(1), &member(0), &run);
    assert_eq!(world.truth.broken.take().unwrap().0, "I9");
}

#[test]
fn a_member_that_founds_again() {
    let mut world = world();
    let ledger = &mut world.hosts.get_mut(&host(1)).unwrap().ledger;
    ledger.passed_gate.clear();
    let order = ledger.members.get_mut(&member(0)).unwrap();
    order.values.founding = true;
    world.kill_keeper(&member(0));
    assert_eq!(broken(world), "I7");
}

#[test]
fn a_stop_out_of_order() {
    let mut world = world();
    world.cut_link(&host(3), Duration::from_secs(100));
    world.delete_set(&key());
    world.run(Duration::from_secs(5)).unwrap();
    let ledger = &mut world.hosts.get_mut(&host(1)).unwrap().ledger;
    ledger.members.get_mut(&member(0)).unwrap().desired = Desired::Stop;
    world.tell_standing(&host(1), &member(0));
    assert_eq!(broken(world), "I3");
}

#[test]
fn a_start_out_of_order() {
    let mut world = world();
    world.coordinator.state.foundings.clear();
    let mut set = world.coordinator.state.sets[&key()].clone();
    let mut spec = (*set.spec).clone();
    spec.bootstrap_policy = None;
    spec.cold_start_policy = Some(GatePolicy::OrderedReady);
    set.spec = spec.into();
    world.coordinator.state.sets.insert(key(), set);
    world.truth.ready.remove(&member(0));
    let run = world.hosts[&host(2)].keepers[&member(1)].run.clone();
    world.truth_of_start(&host(2), &member(1), &run);
    assert_eq!(world.truth.broken.take().unwrap().0, "I3");
}

#[test]
fn decisions_that_are_taken_back() {
    let world = world();
    let state = &world.coordinator.state;
    let mut truth = Truth::default();
    let (claim, _): (&ClaimKey, &Claim) = state.claims.first_key_value().unwrap();
    let bind = |n| {
        let name = state.claims[claim].volume.clone().unwrap();
        let mut volume = state.volumes[&name].clone();
        volume.source = VolumeSource::Local {
            host: host(n),
            pool: "default".to_owned(),
            dir: "x".to_owned(),
        };
        let key = claim.clone();
        Step::BindClaim { key, name, volume }
    };
    truth.decided(state, &bind(1));
    truth.decided(state, &bind(1));
    assert_eq!(truth.broken, None);
    truth.decided(state, &bind(2));
    assert_eq!(truth.broken.take().unwrap().0, "I4");

    let take = |n| Step::TakeAddress {
        member: member(0),
        address: Ipv4Addr::new(10, 9, 0, n).into(),
    };
    truth.decided(state, &take(1));
    truth.decided(state, &take(2));
    assert_eq!(truth.broken.take().unwrap().0, "I1");
}

#[test]
fn a_member_on_a_volume_that_is_not_its_claims() {
    let world = world();
    let id = member(0);
    let order = world.hosts[&host(1)].ledger.effective(&id).unwrap();
    let volume = order.volumes[0].clone();
    let judged = |host: &HostName, volume: &VolumeOrder| {
        let mut truth = Truth {
            bound: world.truth.bound.clone(),
            places: world.truth.places.clone(),
            ..Truth::default()
        };
        truth.uses(host, volume);
        truth.broken.map(|(promise, _)| promise)
    };
    assert_eq!(judged(&host(1), &volume), None);
    assert_eq!(judged(&host(2), &volume), Some("I4"), "on another host");
    let mut other = volume.clone();
    other.claim_uid = Uid("other".to_owned());
    assert_eq!(judged(&host(1), &other), Some("I4"), "another claim");
    let mut moved = volume;
    moved.source = VolumeSource::Local {
        host: host(1),
        pool: "default".to_owned(),
        dir: "elsewhere".to_owned(),
    };
    assert_eq!(judged(&host(1), &moved), Some("I4"), "another directory");
}

#[test]
fn a_start_on_another_claims_data_unless_it_was_given() {
    let world = world();
    let order = world.hosts[&host(1)].ledger.effective(&member(0)).unwrap();
    let mut volume = order.volumes[0].clone();
    volume.claim_uid = Uid("other".to_owned());
    let started = |given: bool| {
        let at = super::super::storage::place(&volume.source);
        let mut truth = Truth {
            places: world.truth.places.clone(),
            given: given.then_some(at).into_iter().collect(),
            ..Truth::default()
        };
        truth.starts_on(&volume);
        truth.starts_on(&volume);
        truth.broken.map(|(promise, _)| promise)
    };
    assert_eq!(started(false), Some("I4"));
    assert_eq!(started(true), None);
}

#[test]
fn a_word_that_takes_a_volume_from_its_claim_or_throws_away_an_operators_data() {
    let world = world();
    let before = world.coordinator.state;
    let judged = |change: &dyn Fn(&mut State)| {
        let (mut truth, mut after) = (Truth::default(), before.clone());
        change(&mut after);
        truth.changed(&before, &after);
        truth.broken.map(|(promise, _)| promise)
    };
    assert_eq!(judged(&|_| {}), None);
    let with =
        |change: fn(&mut Volume)| judged(&move |state| state.volumes.values_mut().for_each(change));
    assert_eq!(with(|volume| volume.claim = None), Some("I4"));
    assert_eq!(
        with(|volume| volume.state = VolumeState::Trashing),
        Some("I4")
    );
    let released = |by_hand: bool| {
        judged(&move |state| {
            state.claims.clear();
            for volume in state.volumes.values_mut() {
                volume.provisioned = !by_hand;
                volume.state = VolumeState::Trashing;
            }
        })
    };
    assert_eq!(released(false), None, "no claim has it");
    assert_eq!(released(true), Some("I4"));
}

#[test]
fn data_that_goes_away_after_it_came_back() {
    let world = world();
    let (name, volume) = world.coordinator.state.volumes.first_key_value().unwrap();
    let mut truth = Truth::default();
    let leaving = Volume {
        state: VolumeState::Trashing,
        ..volume.clone()
    };
    truth.thrown_away(name, Some(&leaving));
    assert_eq!(truth.broken, None);
    truth.thrown_away(name, Some(volume));
    assert_eq!(truth.broken.take().unwrap().0, "I4");
}

#[test]
fn a_plan_that_the_checker_refuses() {
    let mut world = world();
    let set = world.coordinator.state.sets.get_mut(&key()).unwrap();
    // An assignment that no zone can ever name: every plan must publish, and still does not.
    let member = set.members.get_mut(&Ordinal(0)).unwrap();
    member.named_in = ZoneSerial(u64::MAX);
    member.epoch = Epoch::default();
    world.coordinator.state.zone = ZoneHead::default();
    world.reconcile();
    let (promise, detail) = world.truth.broken.take().unwrap();
    assert_eq!(promise, "I9");
    assert!(detail.starts_with("the checker refuses"), "{detail}");
}

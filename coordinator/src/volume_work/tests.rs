//! Which work follows from which state, and what its result changes.

use berth_core::{
    state::{Claim, VolumeState},
    volume::{PoolInfo, PoolKind},
};

use super::*;
use crate::fixture::{NOW, World, claim, name, storage, volume};

fn world(limits: bool) -> World {
    World::new(PoolInfo {
        kind: PoolKind::Directory,
        limits,
        ..PoolInfo::default()
    })
}

fn of_host(world: &World, host: &str) -> Vec<Numbered<VolumeWork>> {
    let mut all = by_host(&world.view, &BTreeMap::new());
    all.remove(&host.parse().unwrap()).unwrap_or_default()
}

fn tasks(world: &World, host: &str) -> Vec<VolumeTask> {
    let works = of_host(world, host);
    works.into_iter().map(|work| work.of.task).collect()
}

#[test]
fn a_volume_is_grown_by_the_agent_that_has_it_once_it_was_used() {
    let larger = Claim {
        spec: storage("2Gi"),
        ..claim()
    };
    let grow = VolumeTask::Grow { bytes: 2 << 30 };
    for (filled, expected) in [(true, vec![grow]), (false, vec![])] {
        let mut world = world(true);
        assert!(tasks(&world, "host-1").is_empty());
        world.claim(&Claim {
            filled,
            ..larger.clone()
        });
        assert_eq!(tasks(&world, "host-1"), expected, "{filled}");
        assert!(tasks(&world, "host-2").is_empty(), "it is not there");
    }
}

#[test]
fn what_an_operator_made_is_never_worked_on() {
    let mut world = world(true);
    world.by_hand();
    world.volume(&Volume {
        provisioned: false,
        state: VolumeState::Trashing,
        ..volume()
    });
    assert!(tasks(&world, "host-1").is_empty());
}

/// What is recorded then.
fn is(done: Option<(After, &'static str, String)>) -> Volume {
    match done {
        Some((After::Is(volume), ..)) => *volume,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_decision_has_a_number_and_its_result_is_taken_once() {
    let mut world = world(false);
    let mut numbers = Vec::new();
    for (state, task) in [
        (VolumeState::Trashing, VolumeTask::Trash),
        (VolumeState::Restoring, VolumeTask::Restore),
        (VolumeState::Trashing, VolumeTask::Trash),
    ] {
        world.volume(&Volume { state, ..volume() });
        let works = of_host(&world, "host-1");
        assert_eq!(works.len(), 1);
        assert_eq!(works[0].of.task, task);
        assert_eq!(works[0].id, number(&world.view, &name(), world.record()));
        numbers.push(works[0].id);
        let after = is(done(world.record(), task, NOW));
        world.volume(&after);
        assert!(tasks(&world, "host-1").is_empty());
        assert!(done(&after, task, NOW).is_none());
    }
    assert!(numbers.is_sorted() && numbers[0] < numbers[2]);
}

#[test]
fn a_volume_never_shrinks_by_a_late_answer() {
    let larger = VolumeTask::Grow { bytes: 2 << 30 };
    let (_, reason, _) = done(&volume(), larger, NOW).unwrap();
    let after = is(done(&volume(), larger, NOW));
    assert_eq!((after.capacity, reason), (2 << 30, "Grown"));
    assert!(done(&after, VolumeTask::Grow { bytes: 1 << 30 }, NOW).is_none());
}

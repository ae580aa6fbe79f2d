//! How a member follows its order: every step of a start and a stop, and what comes between.

use super::*;

#[test]
fn a_start_goes_through_every_step_and_ends_ready() {
    let mut world = World::new(ProbeSpecs::default());
    assert!(world.actions.is_empty(), "nothing before the order");
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    let run = world.keeper.clone().unwrap();
    let expected = [
        Action::Adopt,
        Action::Cleanup,
        Action::Prepare(epoch(1)),
        Action::CheckPorts,
        Action::Start(run.clone()),
    ];
    assert_eq!(world.actions, expected);
    let report = world.report();
    assert_eq!((report.phase, report.ready), (Phase::Running, true));
    assert_eq!((report.epoch, report.run), (epoch(1), Some(run)));
    assert_eq!(report.waiting, None);
    assert_eq!(world.passed, [epoch(1)]);
}

#[test]
fn a_living_run_of_the_same_epoch_is_adopted_and_one_of_another_is_replaced() {
    for (found, starts) in [(4, 0), (3, 1)] {
        let mut world = World::new(ProbeSpecs::default());
        world.left = true;
        world.keeper = Some(RunId {
            epoch: epoch(found),
            boot: BootId("b".into()),
            number: RunNumber(9),
        });
        world.step(Event::Order(wanted(4, Desired::Run)));
        world.settle();
        assert_eq!(world.runs.len(), starts);
        assert_eq!(world.report().epoch, epoch(4));
        assert!(world.report().ready);
    }
}

#[test]
fn a_stop_ends_in_stopped_only_after_the_keeper_is_gone_and_all_is_removed() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::Order(wanted(1, Desired::Stop)));
    let report = world.report();
    assert_eq!((report.phase, report.ready), (Phase::Stopping, false));
    assert!(matches!(report.waiting, Some(Reason::Stopping { processes }) if processes.len() == 1));
    world.finish(true, false);
    assert_eq!(world.report().phase, Phase::Stopping, "not cleaned up yet");
    world.settle();
    assert_eq!(world.report().phase, Phase::Stopped);
    assert_eq!(world.report().waiting, None);
}

#[test]
fn a_member_is_not_stopped_while_it_is_still_prepared() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.finish(true, false);
    world.finish(true, false);
    world.step(Event::Order(wanted(1, Desired::Stop)));
    assert_eq!(world.report().phase, Phase::Stopping);
    world.finish(true, false);
    assert_eq!(world.report().phase, Phase::Stopping, "not cleaned up yet");
    world.settle();
    assert_eq!(world.report().phase, Phase::Stopped);
}

#[test]
fn what_was_prepared_for_an_older_epoch_is_not_started_on() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.finish(true, false);
    world.finish(true, false);
    world.step(Event::Order(wanted(2, Desired::Run)));
    world.finish(true, false);
    assert!(matches!(world.pending, Some((_, Action::Cleanup))));
    world.finish(true, false);
    assert!(
        matches!(world.pending, Some((_, Action::Prepare(for_epoch))) if for_epoch == epoch(2))
    );
    world.settle();
    assert_eq!(world.report().epoch, epoch(2));
}

#[test]
fn a_keeper_that_does_not_stop_is_killed() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::Order(wanted(1, Desired::Stop)));
    let (step, _) = world.pending.take().unwrap();
    let result = Ok(Done::Done);
    world.step(Event::Done { step, result });
    assert_eq!(world.pending, None);
    world.pass(Duration::from_secs(44));
    assert_eq!(world.pending, None);
    world.pass(Duration::from_secs(2));
    assert!(matches!(world.pending, Some((_, Action::Kill))));
}

#[test]
fn a_local_stop_holds_until_it_is_let_go() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::Held(true));
    world.settle();
    let report = world.report();
    assert_eq!(report.phase, Phase::Stopped);
    assert_eq!(report.waiting, Some(Reason::HeldByOperator));
    world.step(Event::Held(false));
    world.settle();
    assert!(world.report().ready);
}

#[test]
fn what_stops_because_its_host_goes_down_is_not_held() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::ShuttingDown(true));
    world.settle();
    let report = world.report();
    assert_eq!(report.phase, Phase::Stopped);
    assert_eq!(report.waiting, Some(Reason::HostShuttingDown));
    assert!(!world.machine.held());
    world.step(Event::ShuttingDown(false));
    world.settle();
    assert!(world.report().ready);
}

#[test]
fn a_restart_is_a_new_run() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::Restart);
    world.settle();
    assert_eq!(world.runs.len(), 2);
    assert!(world.report().ready);
    assert_eq!(world.report().restarts, 0, "it was asked for");
}

#[test]
fn a_lost_keeper_is_replaced_at_once_then_after_a_growing_pause() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let before = world.now;
        world.keeper_dies();
        world.settle();
        pauses.push(world.now.since(before).as_millis());
    }
    assert_eq!(pauses[0], 0);
    assert!(pauses[1] >= 750 && pauses[2] > pauses[1], "{pauses:?}");
    assert_eq!(world.report().restarts, 3);
    world.pass(Duration::from_secs(20));
    let before = world.now;
    world.keeper_dies();
    world.settle();
    assert_eq!(world.now, before, "a run that lasted is a fresh start");
}

#[test]
fn a_keeper_that_is_not_heard_of_is_looked_for_and_proves_nothing() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    let run = world.keeper.clone().unwrap();
    world.step(Event::KeeperLost { run: run.clone() });
    assert!(!world.report().ready);
    assert!(matches!(world.pending, Some((_, Action::Adopt))));
    world.settle();
    assert!(world.report().ready);
    assert_eq!(world.runs, [run]);
    assert_eq!(world.report().restarts, 0);
}

#[test]
fn a_failing_step_says_why_and_is_tried_again_with_growing_pauses() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.finish(true, false);
    world.finish(true, false);
    let mut pauses = Vec::new();
    for _ in 0..3 {
        assert!(matches!(world.pending, Some((_, Action::Prepare(_)))));
        world.finish(false, false);
        assert_eq!(world.report().waiting, Some(reason()));
        world.finish(true, false);
        assert_eq!(world.report().phase, Phase::BackOff);
        let at = world.machine.wake_at().unwrap();
        pauses.push(at.since(world.now));
        world.now = at;
        world.step(Event::Tick);
    }
    assert!(
        pauses.windows(2).all(|pair| pair[1] > pair[0]),
        "{pauses:?}"
    );
    world.settle();
    assert_eq!(world.report().waiting, None);
}

#[test]
fn a_new_order_does_not_wait_for_the_pause_of_an_old_failure() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.finish(true, false);
    world.finish(true, false);
    world.finish(false, false);
    world.finish(true, false);
    assert_eq!(world.pending, None);
    world.step(Event::Order(wanted(2, Desired::Run)));
    assert!(matches!(world.pending, Some((_, Action::Prepare(_)))));
}

#[test]
fn a_living_keeper_is_told_what_is_rendered_anew() {
    let told = |world: &World| {
        world
            .other
            .iter()
            .filter(|e| **e == Effect::Refresh)
            .count()
    };
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    assert_eq!(told(&world), 0, "there is no keeper yet");
    world.settle();
    let before = told(&world);
    world.step(Event::Order(wanted(1, Desired::Run)));
    assert_eq!(told(&world), before + 1, "the order's values may be others");
    let epoch = world.runs[0].epoch;
    world.step(Event::GateRecorded { epoch });
    assert_eq!(told(&world), before + 2, "it is a founder no more");
    world.step(Event::Order(wanted(2, Desired::Run)));
    assert_eq!(told(&world), before + 2, "another epoch is another run");
}

#[test]
fn that_it_served_once_is_told_as_long_as_the_epoch_lasts() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    assert!(!world.report().passed_gate);
    world.settle();
    assert!(world.report().passed_gate);
    world.step(Event::Order(wanted(1, Desired::Stop)));
    world.settle();
    let report = world.report();
    assert_eq!((report.phase, report.passed_gate), (Phase::Stopped, true));
    let next = wanted(2, Desired::Run);
    world.step(Event::Order(next));
    assert!(
        !world.report().passed_gate,
        "another epoch has its own gate"
    );
    // A new agent knows it from the ledger alone.
    let mut world = World::new(ProbeSpecs::default());
    let Standing::Ordered(wanted) = wanted(1, Desired::Stop) else {
        panic!("it is ordered");
    };
    world.step(Event::Order(Standing::Ordered(Wanted {
        passed_gate: true,
        ..wanted
    })));
    assert!(world.report().passed_gate);
}

const LEASE: LeaseTerms = LeaseTerms {
    length_ms: 3_000,
    grace_ms: 750,
    kill_ms: 2_000,
    self_fences: true,
};

#[test]
fn what_is_ended_by_other_terms_than_ordered_is_stopped() {
    let shorter = LeaseTerms {
        length_ms: 1_500,
        ..LEASE
    };
    for (runs, ordered) in [(None, Some(LEASE)), (Some(LEASE), Some(shorter))] {
        let mut world = World::new(ProbeSpecs::default());
        let order = |lease| {
            let Standing::Ordered(wanted) = wanted(1, Desired::Run) else {
                panic!("it is ordered");
            };
            Event::Order(Standing::Ordered(Wanted { lease, ..wanted }))
        };
        world.lease = runs;
        world.step(Event::Lease(true));
        world.step(order(runs));
        world.settle();
        assert!(world.report().ready);
        world.lease = ordered;
        let first = world.keeper.clone();
        world.step(order(ordered));
        world.settle();
        assert_ne!(world.keeper, first, "{ordered:?}");
        assert!(world.report().ready);
    }
}

#[test]
fn a_member_with_a_lease_starts_only_while_its_host_holds_one() {
    let mut world = World::new(ProbeSpecs::default());
    let leased = |counter| {
        let Standing::Ordered(wanted) = wanted(counter, Desired::Run) else {
            panic!("it is ordered");
        };
        Standing::Ordered(Wanted {
            lease: Some(LEASE),
            ..wanted
        })
    };
    world.lease = Some(LEASE);
    world.step(Event::Order(leased(1)));
    world.settle();
    assert_eq!(world.report().waiting, Some(Reason::LeaseNotHeld));
    assert!(world.keeper.is_none() && world.machine.wake_at().is_none());
    world.step(Event::Lease(true));
    world.settle();
    assert!(world.keeper.is_some());
    // What runs has a keeper that holds the same deadline; when that killed it, nothing comes after.
    world.step(Event::Lease(false));
    world.settle();
    assert!(world.report().ready);
    world.keeper_dies();
    world.settle();
    world.pass(Duration::from_secs(3600));
    assert!(world.keeper.is_none());
    assert_eq!(world.report().waiting, Some(Reason::LeaseNotHeld));
    world.step(Event::Lease(true));
    world.settle();
    assert!(world.keeper.is_some());
}

#[test]
fn on_another_machine_nothing_is_started_and_what_runs_runs_on() {
    let mut world = World::new(ProbeSpecs::default());
    world.bar(true);
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    assert_eq!(world.report().waiting, Some(other_machine()));
    assert!(world.keeper.is_none() && world.machine.wake_at().is_none());
    // Its volumes are not even looked at: they may be another's by now.
    let touches = |action: &Action| matches!(action, Action::Prepare(_) | Action::Start(_));
    assert!(!world.actions.iter().any(touches), "{:?}", world.actions);
    world.bar(false);
    world.settle();
    assert!(world.report().ready);
    // A machine that got another id while its members run.
    world.bar(true);
    world.settle();
    assert!(world.report().ready);
    world.keeper_dies();
    world.settle();
    assert!(world.keeper.is_none());
    assert_eq!(world.report().waiting, Some(other_machine()));
}

#[test]
fn a_member_that_left_the_order_is_stopped_and_forgotten_once() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::Order(Standing::Removed));
    world.settle();
    world.step(Event::Tick);
    let forgets = world.other.iter().filter(|e| **e == Effect::Forget);
    assert_eq!(forgets.count(), 1);
    assert!(world.keeper.is_none());
}

#[test]
fn before_its_order_is_known_nothing_is_done() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Held(true));
    world.step(Event::Tick);
    assert!(world.actions.is_empty());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    assert_eq!(world.report().waiting, Some(Reason::HeldByOperator));
    assert!(world.runs.is_empty());
}

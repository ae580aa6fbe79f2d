//! What is heard of a member that runs: exits, probes, and its volumes.

use super::*;

#[test]
fn an_exited_process_is_a_back_off_with_its_exit() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.exit();
    let report = world.report();
    assert_eq!((report.phase, report.started), (Phase::BackOff, false));
    assert!(
        matches!(report.waiting, Some(Reason::BackOff { exit, .. }) if exit == "exited with 1")
    );
    world.start_again();
    assert!(world.report().ready);
    assert_eq!(world.report().restarts, 1);
}

#[test]
fn probes_decide_started_and_ready_and_a_failed_liveness_probe_restarts() {
    let mut world = World::new(ProbeSpecs {
        startup: Some(Probe::default()),
        readiness: Some(Probe::default()),
        liveness: Some(Probe::default()),
    });
    world.step(Event::Order(wanted(1, Desired::Run)));
    while world.pending.is_some() {
        world.finish(true, false);
    }
    let refused = Outcome::Failure("refused".to_owned());
    world.probed(&refused);
    assert!(matches!(
        world.report().waiting,
        Some(Reason::StartupProbe(ProbeFailure { error, .. })) if error == "refused"
    ));
    world.pass(Duration::from_millis(10));
    world.probed(&Outcome::Success);
    assert!(world.report().started && !world.report().ready);
    world.probed(&Outcome::Success);
    assert!(
        !world.report().ready,
        "a founder, and the ledger does not have it yet"
    );
    world.record();
    assert!(world.report().ready);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.report().ready_for_ms, 1000);
    for _ in 0..3 {
        world.pass(Duration::from_secs(10));
        world.probed(&refused);
    }
    assert_eq!(world.told_to_restart, 1);
    assert!(!world.report().ready);
    let run = world.keeper.clone().unwrap();
    let process = main_process();
    world.step(Event::RestartFailed { run, process });
    world.pass(Duration::from_secs(1));
    assert_eq!(world.told_to_restart, 2, "told again");
    world.start_again();
    assert!(!world.report().started, "a new run passes its own probes");
}

#[test]
fn a_probe_result_of_an_earlier_start_counts_for_nothing() {
    let mut world = World::new(ProbeSpecs {
        readiness: Some(Probe::default()),
        ..ProbeSpecs::default()
    });
    world.step(Event::Order(wanted(1, Desired::Run)));
    while world.pending.is_some() {
        world.finish(true, false);
    }
    let late = world.probes.pop().unwrap();
    world.exit();
    world.start_again();
    world.step(Event::Probed {
        attempt: late,
        outcome: Outcome::Success,
    });
    assert!(!world.report().ready);
}

#[test]
fn a_member_whose_volume_hangs_does_not_serve_until_it_answers() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.looks.len(), 1);
    // However long it takes, nothing more is asked meanwhile, and nothing follows from it yet.
    world.pass(Duration::from_secs(60));
    assert!(world.report().ready && world.looks.len() == 1);
    let step = "look: no answer".to_owned();
    world.seen(&VolumeHealth::Hung { step });
    let report = world.report();
    assert!(!report.ready && report.started, "{report:?}");
    assert!(matches!(report.waiting, Some(Reason::VolumeHung { volume, .. }) if volume == "data"));
    // It is asked again soon, so that it serves again soon.
    world.pass(Duration::from_secs(2));
    assert_eq!(world.looks.len(), 1);
    world.seen(&VolumeHealth::Fine(usage(500)));
    assert!(world.report().ready, "by itself");
    assert_eq!(world.report().waiting, None);
    assert_eq!(world.runs.len(), 1);
}

#[test]
fn a_run_on_a_volume_that_its_server_forgot_is_started_anew() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.pass(Duration::from_secs(1));
    let late = world.looks.clone();
    world.seen(&VolumeHealth::Stale);
    let report = world.report();
    assert!(!report.ready);
    assert!(matches!(world.pending, Some((_, Action::Stop))));
    // The stop says what it is for.
    assert!(matches!(report.waiting, Some(Reason::VolumeStale { .. })));
    world.settle();
    assert_eq!(world.runs.len(), 2);
    assert!(world.report().ready);
    assert!(
        world
            .actions
            .iter()
            .filter(|a| matches!(a, Action::Prepare(_)))
            .count()
            == 2
    );
    // What is heard of the earlier run afterwards counts for nothing.
    world.looks = late;
    world.seen(&VolumeHealth::Stale);
    assert!(world.report().ready && world.pending.is_none());
}

#[test]
fn usage_is_told_when_it_has_changed_enough() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    let told = |world: &World| world.report().volumes[0].usage.map(|usage| usage.available);
    for (now, expected) in [(500, 500), (495, 500), (510, 500), (489, 489), (0, 0)] {
        world.pass(Duration::from_secs(10));
        world.seen(&VolumeHealth::Fine(usage(now)));
        assert_eq!(told(&world), Some(expected), "{now}");
    }
    world.step(Event::Order(wanted(1, Desired::Stop)));
    world.settle();
    assert!(world.report().volumes.is_empty(), "nothing is mounted");
}

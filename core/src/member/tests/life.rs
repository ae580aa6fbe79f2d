//! What the ends of a process's life come to for its member: reasons, what is told to the keeper,
//! and how long a stop waits.

use super::*;
use crate::{notify::Said, spec::NotifyAction};

fn up(specs: ProbeSpecs, special: impl Fn(&mut World)) -> (World, RunId) {
    let mut world = World::new(specs);
    special(&mut world);
    world.step(Event::Order(wanted(1, Desired::Run)));
    while world.pending.is_some() {
        world.finish(true, false);
    }
    let run = world.keeper.clone().unwrap();
    (world, run)
}

fn listening() -> Option<Probe> {
    Some(Probe {
        notify: Some(NotifyAction {}),
        ..Probe::default()
    })
}

/// The stop is told, and the keeper works on it.
fn begin_stop(world: &mut World) {
    world.step(Event::Order(wanted(1, Desired::Stop)));
    let (step, action) = world.pending.take().unwrap();
    assert_eq!(action, Action::Stop);
    let result = Ok(Done::Done);
    world.step(Event::Done { step, result });
}

#[test]
fn a_stop_waits_for_what_is_never_killed_and_says_so_when_the_grace_period_is_over() {
    let (mut world, _) = up(ProbeSpecs::default(), |world| {
        world.never_killed.insert(main_process());
    });
    begin_stop(&mut world);
    let processes = vec![main_process()];
    let stopping = Reason::Stopping {
        processes: processes.clone(),
    };
    assert_eq!(world.report().waiting, Some(stopping));
    assert_eq!(
        world.machine.wake_at(),
        Some(world.now.plus(Duration::from_secs(30)))
    );
    world.pass(Duration::from_secs(30));
    assert_eq!(
        world.report().waiting,
        Some(Reason::NeverKilled { processes })
    );
    world.pass(Duration::from_secs(86_400));
    assert!(!world.actions.contains(&Action::Kill));
    assert_eq!(world.machine.wake_at(), None);
    world.keeper_dies();
    assert_eq!(
        world.pending.as_ref().map(|(_, a)| a),
        Some(&Action::Cleanup)
    );
}

#[test]
fn the_keeper_is_told_that_the_startup_probe_of_a_sidecar_passed_until_it_hears_it() {
    let specs = ProbeSpecs {
        startup: listening(),
        ..ProbeSpecs::default()
    };
    let (mut world, run) = up(specs, |world| {
        world.sidecars.insert(main_process());
    });
    assert!(world.passes.is_empty() && !world.report().started);
    let mut said = Said::default();
    said.take(b"READY=1\nSTATUS=serving 7 shards");
    world.process(run.clone(), ProcessChange::Said(said));
    assert_eq!(world.passes, [main_process()]);
    let shown = world.report().processes[0].status.clone();
    assert_eq!(shown.as_deref(), Some("serving 7 shards"));
    let process = main_process();
    world.step(Event::PassedLost { run, process });
    world.pass(Duration::from_secs(1));
    assert_eq!(world.passes.len(), 2, "told again");
    world.exit();
    assert_eq!(
        world.report().processes[0].status,
        None,
        "it was the dead one's"
    );
    world.start_again();
    assert!(!world.report().started, "it has to say so again");
}

#[test]
fn a_watchdog_restarts_with_the_grace_period_of_its_probe_and_not_during_a_stop() {
    let specs = ProbeSpecs {
        liveness: listening().map(|probe| Probe {
            timeout_seconds: 5,
            failure_threshold: 1,
            termination_grace_period_seconds: Some(3),
            ..probe
        }),
        ..ProbeSpecs::default()
    };
    let (mut world, _) = up(specs.clone(), |_| {});
    world.pass(Duration::from_secs(5));
    assert_eq!(world.graces, [Some(Duration::from_secs(3))]);
    assert!(matches!(
        world.report().waiting,
        Some(Reason::LivenessProbe(ProbeFailure { error, .. })) if error.contains("WATCHDOG=1")
    ));
    let (mut world, _) = up(specs, |_| {});
    begin_stop(&mut world);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.graces, []);
}

#[test]
fn what_is_done_beside_a_start_is_waited_for_and_its_failure_is_the_reason() {
    let (mut world, run) = up(ProbeSpecs::default(), |_| {});
    world.exit();
    world.process(run.clone(), ProcessChange::PostStart);
    let waits = Reason::PostStart {
        process: main_process(),
        error: None,
    };
    assert_eq!(world.report().waiting, Some(waits));
    assert_eq!(world.report().phase, Phase::Starting);
    let failed = Reason::PostStart {
        process: main_process(),
        error: Some("it exited with 4".to_owned()),
    };
    world.process(run, ProcessChange::StartFailed(failed.clone()));
    world.exit();
    assert_eq!(world.report().waiting, Some(failed));
    assert_eq!(world.report().phase, Phase::BackOff);
    world.start_again();
    assert_eq!(world.report().waiting, None);
}

#[test]
fn a_restart_that_waits_for_what_is_never_killed_is_the_reason_until_it_ends() {
    let (mut world, run) = up(ProbeSpecs::default(), |_| {});
    world.process(run.clone(), ProcessChange::Spared);
    let processes = vec![main_process()];
    let reason = world.report().waiting;
    assert_eq!(reason, Some(Reason::NeverKilled { processes }));
    let exit = "exited with 0".to_owned();
    world.process(
        run,
        ProcessChange::Exited {
            exit,
            success: true,
        },
    );
    let reason = world.report().waiting;
    assert!(matches!(reason, Some(Reason::BackOff { .. })), "{reason:?}");
}

#[test]
fn an_init_process_is_the_reason_until_it_has_exited_with_0() {
    let (mut world, run) = up(ProbeSpecs::default(), |world| world.init_at_work = true);
    let init: ProcessName = "init".parse().unwrap();
    let change = |change| Event::Process {
        run: run.clone(),
        process: init.clone(),
        init: true,
        change,
    };
    let pid = 7;
    let restarts = 0;
    let started = ProcessChange::Started {
        pid,
        restarts,
        unenforced: Vec::new(),
    };
    world.step(change(started));
    let waits = |exit: Option<&str>| {
        Some(Reason::InitProcess {
            process: init.clone(),
            exit: exit.map(str::to_owned),
            restarts,
        })
    };
    assert_eq!(world.report().waiting, waits(None));
    let exited = |code: i32| ProcessChange::Exited {
        exit: format!("exited with {code}"),
        success: code == 0,
    };
    world.step(change(exited(1)));
    assert_eq!(world.report().waiting, waits(Some("exited with 1")));
    assert_eq!(world.report().phase, Phase::BackOff);
    world.step(change(exited(0)));
    assert_eq!(
        world.report().phase,
        Phase::Starting,
        "the next one is on its way"
    );
}

#[test]
fn why_a_start_failed_is_said_until_it_succeeds_and_not_only_between_attempts() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    let until = |world: &mut World, end: fn(&Action) -> bool, ok: bool| {
        for _ in 0..10 {
            let Some((_, action)) = world.pending.clone() else {
                world.pass(Duration::from_secs(60));
                continue;
            };
            let is_end = end(&action);
            world.finish(ok || !is_end, false);
            if is_end {
                return;
            }
            let failed = world.report().waiting;
            assert!(failed.is_none() || failed == Some(reason()), "{failed:?}");
        }
        panic!("it never came to that");
    };
    let start = |action: &Action| matches!(action, Action::Start(_));
    until(&mut world, start, false);
    assert_eq!(world.report().waiting, Some(reason()));
    // Everything before it succeeds again.
    until(
        &mut world,
        |action| matches!(action, Action::CheckPorts),
        true,
    );
    assert_eq!(world.report().waiting, Some(reason()), "it stands");
    until(&mut world, start, true);
    assert_eq!(world.report().waiting, None);
}

//! Attempts in their order, and what is said.

use super::*;
use crate::spec::NotifyAction;

fn fail() -> Outcome {
    Outcome::Failure("connection refused".to_owned())
}

fn specs(startup: bool, readiness: bool, liveness: bool) -> ProbeSpecs {
    let probe = |wanted: bool| wanted.then(Probe::default);
    ProbeSpecs {
        startup: probe(startup),
        readiness: probe(readiness),
        liveness: probe(liveness),
    }
}

/// Runs attempts with one result until the time is up; when they were tried, and any verdict.
fn drive(
    probes: &mut ProcessProbes,
    until: u64,
    outcome: &Outcome,
) -> Vec<(u64, ProbeKind, Option<Verdict>)> {
    let mut log = Vec::new();
    while let Some(at) = probes.wake_at().filter(|at| at.0 <= until) {
        for kind in probes.due(at) {
            let verdict = probes.result(at, kind, outcome.clone());
            log.push((at.0, kind, verdict));
        }
    }
    log
}

#[test]
fn without_probes_a_running_process_is_ready() {
    let mut probes = ProcessProbes::new(&specs(false, false, false), Timestamp(0));
    assert!(probes.started() && probes.ready());
    assert_eq!(probes.wake_at(), None);
}

#[test]
fn first_attempts_are_quick_and_their_pauses_grow() {
    let mut probes = ProcessProbes::new(&specs(false, true, false), Timestamp(0));
    let log = drive(&mut probes, 400, &fail());
    let times: Vec<u64> = log.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times[..5], [0, 5, 10, 15, 20]);
    let pauses = times.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
    for (at, pause) in pauses {
        assert!(
            pause <= (at / 4).max(5),
            "attempt at {at}, then {pause} ms nothing"
        );
    }
    assert!(log.len() < 30, "{}", log.len());
}

#[test]
fn quick_failures_do_not_use_up_the_threshold() {
    let mut probes = ProcessProbes::new(&specs(true, false, false), Timestamp(0));
    let log = drive(&mut probes, 60_000, &fail());
    let failed: Vec<u64> = log
        .iter()
        .filter(|(_, _, verdict)| verdict.is_some())
        .map(|(at, ..)| *at)
        .collect();
    assert_eq!(failed.len(), 1);
    // Three failures a period of 10 s apart, as in Kubernetes, plus less than one more period.
    assert!((20_000..30_000).contains(&failed[0]), "{failed:?}");
    assert_eq!(
        probes.wake_at(),
        None,
        "nothing is tried before the restart"
    );
}

#[test]
fn the_others_wait_for_the_startup_probe() {
    let mut probes = ProcessProbes::new(&specs(true, true, true), Timestamp(0));
    assert_eq!(probes.due(Timestamp(0)), [ProbeKind::Startup]);
    let verdict = probes.result(Timestamp(3), ProbeKind::Startup, Outcome::Success);
    assert_eq!(verdict, Some(Verdict::Passed));
    assert!(probes.started() && !probes.ready());
    let both = [ProbeKind::Readiness, ProbeKind::Liveness];
    assert_eq!(probes.due(Timestamp(3)), both);
    probes.result(Timestamp(4), ProbeKind::Readiness, Outcome::Success);
    assert!(probes.ready());
}

#[test]
fn readiness_is_lost_after_three_failures_and_won_back_by_one_success() {
    let mut probes = ProcessProbes::new(&specs(false, true, false), Timestamp(0));
    drive(&mut probes, 0, &Outcome::Success);
    assert!(probes.ready());
    let log = drive(&mut probes, 30_000, &fail());
    let times: Vec<u64> = log.iter().map(|(at, ..)| *at).collect();
    assert_eq!(
        times,
        [10_000, 20_000, 30_000],
        "no quick attempts any more"
    );
    assert!(!probes.ready());
    drive(&mut probes, 40_000, &Outcome::Success);
    assert!(probes.ready());
}

#[test]
fn liveness_fails_after_the_threshold_and_is_not_quick() {
    let mut probes = ProcessProbes::new(&specs(false, false, true), Timestamp(0));
    assert!(probes.ready());
    let log = drive(&mut probes, 60_000, &fail());
    let times: Vec<u64> = log.iter().map(|(at, ..)| *at).collect();
    assert_eq!(times, [0, 10_000, 20_000]);
    assert_eq!(log[2].2, Some(Verdict::Failed));
    assert!(!probes.ready());
}

#[test]
fn what_could_not_be_tried_counts_as_nothing() {
    let mut probes = ProcessProbes::new(&specs(false, false, true), Timestamp(0));
    let not_tried = Outcome::NotTried("no keeper".to_owned());
    assert!(
        drive(&mut probes, 200_000, &not_tried)
            .iter()
            .all(|(.., v)| v.is_none())
    );
}

#[test]
fn the_initial_delay_is_kept() {
    let mut specs = specs(false, true, false);
    if let Some(probe) = &mut specs.readiness {
        probe.initial_delay_seconds = 2;
    }
    let mut probes = ProcessProbes::new(&specs, Timestamp(1_000));
    assert_eq!(probes.wake_at(), Some(Timestamp(3_000)));
    assert_eq!(probes.due(Timestamp(2_999)), []);
    assert_eq!(probes.due(Timestamp(3_000)), [ProbeKind::Readiness]);
    assert_eq!(probes.due(Timestamp(3_000)), [], "it is in flight");
}

#[test]
fn successes_in_a_row_are_counted_against_their_threshold() {
    let mut specs = specs(false, true, false);
    if let Some(probe) = &mut specs.readiness {
        probe.success_threshold = 2;
    }
    let mut probes = ProcessProbes::new(&specs, Timestamp(0));
    let log = drive(&mut probes, 10_000, &Outcome::Success);
    assert_eq!(log.len(), 2);
    assert_eq!(log[1].2, Some(Verdict::Passed));
}

/// A probe that listens.
fn listening(failure_threshold: u32) -> Option<Probe> {
    Some(Probe {
        notify: Some(NotifyAction {}),
        failure_threshold,
        ..Probe::default()
    })
}

fn says(probes: &mut ProcessProbes, now: u64, said: &Said) -> Vec<(ProbeKind, Verdict)> {
    probes.hear(Timestamp(now), said);
    std::iter::from_fn(|| probes.listen(Timestamp(now))).collect()
}

#[test]
fn what_says_that_it_is_ready_has_started_and_serves_until_it_says_that_it_stops() {
    let specs = ProbeSpecs {
        startup: listening(3),
        readiness: listening(3),
        liveness: None,
    };
    let mut probes = ProcessProbes::new(&specs, Timestamp(0));
    assert_eq!(probes.due(Timestamp(0)), [], "nothing is asked");
    assert_eq!(probes.wake_at(), Some(Timestamp(30_000)));
    let mut said = Said::default();
    assert_eq!(says(&mut probes, 10, &said), []);
    said.take(b"READY=1");
    let passed = |kind| (kind, Verdict::Passed);
    let both = [passed(ProbeKind::Startup), passed(ProbeKind::Readiness)];
    assert_eq!(says(&mut probes, 20, &said), both);
    assert!(probes.ready());
    assert_eq!(probes.wake_at(), None);
    said.take(b"RELOADING=1");
    assert_eq!(says(&mut probes, 30, &said), []);
    assert!(probes.ready(), "who reloads still serves");
    said.take(b"STOPPING=1");
    let failed = (ProbeKind::Readiness, Verdict::Failed);
    assert_eq!(says(&mut probes, 40, &said), [failed]);
    assert!(!probes.ready() && !probes.halted());
}

#[test]
fn what_never_says_that_it_is_ready_has_failed_to_start() {
    let specs = ProbeSpecs {
        startup: listening(2),
        ..ProbeSpecs::default()
    };
    let mut probes = ProcessProbes::new(&specs, Timestamp(0));
    assert_eq!(probes.listen(Timestamp(19_999)), None);
    let failed = (ProbeKind::Startup, Verdict::Failed);
    assert_eq!(probes.listen(Timestamp(20_000)), Some(failed));
    assert!(probes.halted() && probes.wake_at().is_none());
}

#[test]
fn the_watchdog_bites_when_it_is_not_fed_or_is_told_to() {
    let specs = ProbeSpecs {
        liveness: listening(2).map(|probe| Probe {
            timeout_seconds: 5,
            ..probe
        }),
        ..ProbeSpecs::default()
    };
    let fed = || {
        let mut probes = ProcessProbes::new(&specs, Timestamp(0));
        let mut said = Said::default();
        said.take(b"WATCHDOG=1");
        assert_eq!(says(&mut probes, 9_999, &said), []);
        // A word about something else does not feed it.
        said.take(b"STATUS=busy");
        assert_eq!(says(&mut probes, 15_000, &said), []);
        (probes, said)
    };
    let bites = (ProbeKind::Liveness, Verdict::Failed);
    let (mut probes, _) = fed();
    assert_eq!(probes.wake_at(), Some(Timestamp(19_999)));
    assert_eq!(probes.listen(Timestamp(19_999)), Some(bites.clone()));
    assert!(probes.halted());
    let (mut probes, mut said) = fed();
    said.take(b"WATCHDOG=trigger");
    assert_eq!(says(&mut probes, 15_001, &said), [bites]);
    // While the member stops it may be silent.
    let (mut probes, _) = fed();
    probes.stop();
    assert_eq!(probes.listen(Timestamp(60_000)), None);
}

#[test]
fn readiness_goes_on_while_the_member_stops() {
    let mut probes = ProcessProbes::new(&specs(false, true, true), Timestamp(0));
    drive(&mut probes, 0, &Outcome::Success);
    probes.stop();
    assert_eq!(probes.due(Timestamp(10_000)), [ProbeKind::Readiness]);
}

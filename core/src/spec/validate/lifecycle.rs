//! Rules about the ends of a process's life: hooks, grace periods, back-off, sidecars, readiness
//! gates.

use super::{Problems, Unique, meta, probe, process::command};
use crate::{
    spec::{LifecycleHandler, MemberSpec, Process, RestartPolicy},
    template::{ROOT, signal},
};

/// More than any back-off needs; a larger one is a slip of the pen.
const MAX_FACTOR: u32 = 100;

/// What all processes of a member share.
pub(super) fn member(problems: &mut Problems, member: &MemberSpec) {
    if member.termination_grace_period_seconds == Some(0) {
        problems.add(
            format!("{ROOT}.terminationGracePeriodSeconds"),
            "0 would kill at once whatever the member is writing; give 1 or more",
        );
    }
    backoff(problems, member);
    let mut types = Unique::default();
    for (i, gate) in member.readiness_gates.iter().enumerate() {
        let field = format!("{ROOT}.readinessGates[{i}].conditionType");
        types.check(problems, &field, &gate.condition_type);
        problems.check(field, meta::condition_type(&gate.condition_type));
    }
    for (i, process) in member.init_processes.iter().enumerate() {
        if process.restart_policy != Some(RestartPolicy::Always) {
            init_only(problems, &format!("{ROOT}.initProcesses[{i}]"), process);
        }
    }
    for (i, process) in member.processes.iter().enumerate() {
        if process.restart_policy.is_some() {
            problems.add(
                format!("{ROOT}.processes[{i}].restartPolicy"),
                "processes are always restarted; remove it",
            );
        }
    }
}

fn backoff(problems: &mut Problems, member: &MemberSpec) {
    let Some(backoff) = &member.restart_backoff else {
        return;
    };
    let at = format!("{ROOT}.restartBackoff");
    let limits = match backoff.limits() {
        Ok(limits) => limits,
        Err((name, error)) => return problems.add(format!("{at}.{name}"), error.to_string()),
    };
    if !(1..=MAX_FACTOR).contains(&limits.factor) {
        let message = format!("{} is not possible; give 1 to {MAX_FACTOR}", limits.factor);
        problems.add(format!("{at}.factor"), message);
    }
    if limits.first.is_zero() {
        problems.add(
            format!("{at}.first"),
            "0 would start a broken program without a pause; give 1ms or more",
        );
    }
    if limits.cap < limits.first {
        let message = format!(
            "the longest pause, {:?}, is shorter than the first, {:?}; give more",
            limits.cap, limits.first
        );
        problems.add(format!("{at}.cap"), message);
    }
}

/// What makes no sense for a process that runs to its end before the others start.
fn init_only(problems: &mut Problems, at: &str, process: &Process) {
    let given = [
        ("startupProbe", process.startup_probe.is_some()),
        ("readinessProbe", process.readiness_probe.is_some()),
        ("livenessProbe", process.liveness_probe.is_some()),
        (
            "lifecycle",
            process.lifecycle.pre_stop.is_some() || process.lifecycle.post_start.is_some(),
        ),
    ];
    for (name, _) in given.into_iter().filter(|(_, given)| *given) {
        problems.add(
            format!("{at}.{name}"),
            "an init process runs to its end and has none; remove it, or set restartPolicy: \
             Always to make it a sidecar",
        );
    }
}

/// The ends of one process, in a member with this grace period.
pub(super) fn process(problems: &mut Problems, at: &str, process: &Process, grace: u32) {
    let lifecycle = &process.lifecycle;
    for (name, given) in [
        ("postStart", &lifecycle.post_start),
        ("preStop", &lifecycle.pre_stop),
    ] {
        if let Some(given) = given {
            hook(problems, &format!("{at}.lifecycle.{name}"), given, process);
        }
    }
    let sleep = lifecycle
        .pre_stop
        .as_ref()
        .and_then(|hook| hook.sleep.as_ref());
    if let Some(sleep) = sleep.filter(|sleep| sleep.seconds > grace) {
        problems.add(
            format!("{at}.lifecycle.preStop.sleep.seconds"),
            format!(
                "{} is more than the grace period of {grace} s; give less, or a longer \
                 terminationGracePeriodSeconds",
                sleep.seconds
            ),
        );
    }
    if process.never_kill && signal(process.kill_signal.as_deref()) == "SIGKILL" {
        problems.add(
            format!("{at}.killSignal"),
            "SIGKILL is what neverKill forbids; give another signal, or remove neverKill",
        );
    }
}

fn hook(problems: &mut Problems, at: &str, hook: &LifecycleHandler, process: &Process) {
    let given = [
        hook.exec.is_some(),
        hook.http_get.is_some(),
        hook.sleep.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() != 1 {
        problems.add(at, "give exactly one of exec, httpGet and sleep");
    }
    if let Some(action) = &hook.exec {
        command(problems, &format!("{at}.exec.command"), &action.command);
    }
    if let Some(action) = &hook.http_get {
        probe::http(problems, &format!("{at}.httpGet"), action, process);
    }
}

//! Rules about probes.

use super::{Problems, process::command};
use crate::{
    probe::ProbeKind,
    spec::{HttpGetAction, PortRef, Probe, Process},
    template::port_number,
};

pub(super) fn process(problems: &mut Problems, at: &str, process: &Process) {
    for (name, probe, kind) in [
        ("startupProbe", &process.startup_probe, ProbeKind::Startup),
        (
            "readinessProbe",
            &process.readiness_probe,
            ProbeKind::Readiness,
        ),
        (
            "livenessProbe",
            &process.liveness_probe,
            ProbeKind::Liveness,
        ),
    ] {
        if let Some(probe) = probe {
            let at = format!("{at}.{name}");
            one(problems, &at, probe, process);
            numbers(problems, &at, probe, kind);
            if probe.notify.is_some() {
                notify(problems, &at, probe, kind);
            }
        }
    }
}

fn one(problems: &mut Problems, at: &str, probe: &Probe, process: &Process) {
    if probe.handlers().count() != 1 {
        problems.add(
            at,
            "give exactly one of httpGet, tcpSocket, exec, grpc and notify",
        );
    }
    if let Some(action) = &probe.http_get {
        http(problems, &format!("{at}.httpGet"), action, process);
    }
    if let Some(action) = &probe.tcp_socket {
        let field = format!("{at}.tcpSocket.port");
        port(problems, &field, &action.port, process);
    }
    if let Some(action) = &probe.exec {
        command(problems, &format!("{at}.exec.command"), &action.command);
    }
    if let Some(action) = &probe.grpc {
        port(problems, &format!("{at}.grpc.port"), &action.port, process);
    }
}

fn numbers(problems: &mut Problems, at: &str, probe: &Probe, kind: ProbeKind) {
    for (name, value) in [
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
        (
            "terminationGracePeriodSeconds",
            probe.termination_grace_period_seconds.unwrap_or(1),
        ),
    ] {
        if value == 0 {
            problems.add(format!("{at}.{name}"), "0 is too small; give 1 or more");
        }
    }
    let readiness = kind == ProbeKind::Readiness;
    if !readiness && probe.success_threshold > 1 {
        problems.add(
            format!("{at}.successThreshold"),
            "one success counts for this probe; give 1 or leave it out",
        );
    }
    if readiness && probe.termination_grace_period_seconds.is_some() {
        problems.add(
            format!("{at}.terminationGracePeriodSeconds"),
            "a process that is not ready is not stopped; remove it",
        );
    }
}

/// Numbers that say nothing where nothing is asked.
fn notify(problems: &mut Problems, at: &str, probe: &Probe, kind: ProbeKind) {
    let plain = Probe::default();
    let startup = kind == ProbeKind::Startup;
    let liveness = kind == ProbeKind::Liveness;
    let numbers = [
        (
            "initialDelaySeconds",
            probe.initial_delay_seconds != plain.initial_delay_seconds,
            liveness,
        ),
        (
            "timeoutSeconds",
            probe.timeout_seconds != plain.timeout_seconds,
            liveness,
        ),
        (
            "periodSeconds",
            probe.period_seconds != plain.period_seconds,
            startup,
        ),
        (
            "failureThreshold",
            probe.failure_threshold != plain.failure_threshold,
            startup || liveness,
        ),
        (
            "successThreshold",
            probe.success_threshold != plain.success_threshold,
            startup || liveness,
        ),
    ];
    for (name, given, has_meaning) in numbers {
        if given && !has_meaning {
            problems.add(
                format!("{at}.{name}"),
                "with notify nothing is asked, so it says nothing here; remove it",
            );
        }
    }
}

/// A request of a probe or a hook.
pub(super) fn http(problems: &mut Problems, at: &str, action: &HttpGetAction, process: &Process) {
    port(problems, &format!("{at}.port"), &action.port, process);
    for (i, header) in action.http_headers.iter().enumerate() {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if header.name.is_empty() || !header.name.bytes().all(token) {
            problems.add(
                format!("{at}.httpHeaders[{i}].name"),
                format!("'{}' is not a name of a header; correct it", header.name),
            );
        }
    }
}

fn port(problems: &mut Problems, field: &str, port: &PortRef, process: &Process) {
    if port_number(port, process).is_some() {
        return;
    }
    problems.add(
        field,
        match port {
            PortRef::Number(0) => "no port is given; give its number or name".to_owned(),
            PortRef::Number(n) => format!("{n} is not a port; give 1 to 65535"),
            PortRef::Name(name) => {
                format!("the process has no port '{name}'; add it to its ports")
            }
        },
    );
}

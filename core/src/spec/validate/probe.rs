//! Rules about probes and lifecycle hooks.

use super::{Problems, process::command};
use crate::{
    spec::{HttpGetAction, PortRef, Probe, Process},
    template::port_number,
};

pub(super) fn process(problems: &mut Problems, at: &str, process: &Process) {
    for (name, probe, once) in [
        ("startupProbe", &process.startup_probe, true),
        ("readinessProbe", &process.readiness_probe, false),
        ("livenessProbe", &process.liveness_probe, true),
    ] {
        if let Some(probe) = probe {
            let at = format!("{at}.{name}");
            one(problems, &at, probe, process);
            if once && probe.success_threshold > 1 {
                problems.add(
                    format!("{at}.successThreshold"),
                    "one success counts for this probe; give 1 or leave it out",
                );
            }
        }
    }
    pre_stop(problems, &format!("{at}.lifecycle.preStop"), process);
}

fn one(problems: &mut Problems, at: &str, probe: &Probe, process: &Process) {
    let handlers = [
        probe.http_get.is_some(),
        probe.tcp_socket.is_some(),
        probe.exec.is_some(),
    ];
    if handlers.into_iter().filter(|given| *given).count() != 1 {
        problems.add(at, "give exactly one of httpGet, tcpSocket and exec");
    }
    if let Some(action) = &probe.http_get {
        http(problems, &format!("{at}.httpGet"), action, process);
    }
    if let Some(action) = &probe.tcp_socket {
        port(
            problems,
            &format!("{at}.tcpSocket.port"),
            &action.port,
            process,
        );
    }
    if let Some(action) = &probe.exec {
        command(problems, &format!("{at}.exec.command"), &action.command);
    }
    for (name, value) in [
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        if value == 0 {
            problems.add(format!("{at}.{name}"), "0 is too small; give 1 or more");
        }
    }
}

fn pre_stop(problems: &mut Problems, at: &str, process: &Process) {
    let Some(hook) = &process.lifecycle.pre_stop else {
        return;
    };
    match (&hook.exec, &hook.http_get) {
        (Some(action), None) => {
            command(problems, &format!("{at}.exec.command"), &action.command);
        }
        (None, Some(action)) => http(problems, &format!("{at}.httpGet"), action, process),
        (Some(_), Some(_)) | (None, None) => {
            problems.add(at, "give exactly one of exec and httpGet");
        }
    }
}

fn http(problems: &mut Problems, at: &str, action: &HttpGetAction, process: &Process) {
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

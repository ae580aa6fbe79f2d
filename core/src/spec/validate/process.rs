//! Rules about the processes of a member.

use std::collections::BTreeMap;

use super::{Problems, Unique, env, file, lifecycle, mount::is_computed, probe, resources, words};
use crate::{
    ids::check_label,
    spec::{MemberSpec, Port, Process, Protocol, StatefulSet, capability},
    template::{self, ROOT, parse_mode},
};

/// All processes of a set's members, each and against each other.
pub(super) fn member(problems: &mut Problems, set: &StatefulSet) {
    let member = &set.spec.template.spec;
    if member.processes.is_empty() {
        problems.add(
            format!("{ROOT}.processes"),
            "there is no process; give at least one",
        );
    }
    let mut names = Unique::default();
    for (at, process) in all(member) {
        names.check(problems, &format!("{at}.name"), &process.name);
        one(problems, &at, process);
        lifecycle::process(problems, &at, process, member.grace_seconds());
    }
    lifecycle::member(problems, member);
    ports(problems, member);
    file::paths(problems, member);
}

/// Every process with its field, those that run first in front.
pub(super) fn all(member: &MemberSpec) -> impl Iterator<Item = (String, &Process)> {
    let lists = [
        ("initProcesses", &member.init_processes),
        ("processes", &member.processes),
    ];
    lists.into_iter().flat_map(|(list, processes)| {
        processes
            .iter()
            .enumerate()
            .map(move |(i, process)| (format!("{ROOT}.{list}[{i}]"), process))
    })
}

fn one(problems: &mut Problems, at: &str, process: &Process) {
    problems.check(format!("{at}.name"), check_label(&process.name));
    command(problems, &format!("{at}.command"), &process.command);
    match process.user.as_deref() {
        None | Some("") => problems.add(
            format!("{at}.user"),
            "no user is given, and there is no default; give user: the user that runs it",
        ),
        Some(name) => account(problems, &format!("{at}.user"), name),
    }
    if let Some(name) = &process.group {
        account(problems, &format!("{at}.group"), name);
    }
    for (i, name) in process.supplemental_groups.iter().enumerate() {
        account(problems, &format!("{at}.supplementalGroups[{i}]"), name);
    }
    if let Some(umask) = &process.umask
        && parse_mode(umask).is_none()
    {
        problems.add(
            format!("{at}.umask"),
            format!("'{umask}' is not a umask; write four octal digits, such as '0027'"),
        );
    }
    if let Some(dir) = &process.working_dir
        && !is_computed(dir)
        && !dir.starts_with('/')
    {
        problems.add(
            format!("{at}.workingDir"),
            format!("'{dir}' is not absolute; begin it with '/'"),
        );
    }
    env::check(problems, at, process);
    file::check(problems, at, process);
    probe::process(problems, at, process);
    kernel_words(problems, at, process);
    resources::process(problems, at, process);
}

/// A program and its arguments. A path that a template or a variable makes is checked when it is
/// known.
pub(super) fn command(problems: &mut Problems, field: &str, command: &[String]) {
    match command.first() {
        None => problems.add(
            field,
            "no command is given; give command: [/path/of/the/program, arguments]",
        ),
        Some(program) if !is_computed(program) && !program.starts_with('/') => problems.add(
            format!("{field}[0]"),
            format!("'{program}' is not an absolute path; give the path of the program"),
        ),
        Some(_) => {}
    }
}

fn account(problems: &mut Problems, field: &str, name: &str) {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.$@".contains(&b);
    if name.is_empty() || name.starts_with('-') || !name.bytes().all(inner) {
        problems.add(
            field,
            format!("'{name}' is not a name or number of a user or group; correct it"),
        );
    }
}

fn kernel_words(problems: &mut Problems, at: &str, process: &Process) {
    let signals = [
        ("killSignal", &process.kill_signal, "SIGTERM or SIGQUIT"),
        ("reloadSignal", &process.reload_signal, "SIGHUP or SIGUSR1"),
    ];
    for (field, signal, such) in signals {
        if let Some(signal) = signal.as_ref().filter(|signal| !words::is_signal(signal)) {
            problems.add(
                format!("{at}.{field}"),
                format!("'{signal}' is not a signal; give a name such as {such}"),
            );
        }
    }
    let reload = process.reload_signal.as_deref();
    if reload.is_some_and(|name| template::signal(Some(name)) == "SIGKILL") {
        problems.add(
            format!("{at}.reloadSignal"),
            "SIGKILL ends the process; give a signal that it handles, such as SIGUSR1",
        );
    }
    for (i, name) in process.capabilities.keep.iter().enumerate() {
        if capability(name).is_none() {
            problems.add(
                format!("{at}.capabilities.keep[{i}]"),
                format!("'{name}' is not a capability; give a name such as NET_BIND_SERVICE"),
            );
        }
    }
}

/// Ports: each, and two processes of one member that want the same one.
fn ports(problems: &mut Problems, member: &MemberSpec) {
    let mut names = Unique::default();
    let mut taken: BTreeMap<(u32, Protocol), &str> = BTreeMap::new();
    for (at, process) in all(member) {
        for (j, port) in process.ports.iter().enumerate() {
            let at = format!("{at}.ports[{j}]");
            names.check(problems, &format!("{at}.name"), &port.name);
            port_alone(problems, &at, port);
            let number = port.container_port;
            if let Some(other) = taken.insert((number, port.protocol), &process.name) {
                problems.add(
                    format!("{at}.containerPort"),
                    format!("process '{other}' has port {number} already; give another"),
                );
            }
        }
    }
}

fn port_alone(problems: &mut Problems, at: &str, port: &Port) {
    if !port.name.is_empty() {
        port_name(problems, &format!("{at}.name"), &port.name);
    }
    port_number(
        problems,
        &format!("{at}.containerPort"),
        port.container_port,
    );
}

/// A name of a port, which becomes a label of an SRV record (RFC 6335, 5.1).
pub(super) fn port_name(problems: &mut Problems, field: &str, name: &str) {
    let letters = name.bytes().any(|b| b.is_ascii_lowercase());
    if name.len() > 15 || !letters || name.contains("--") || check_label(name).is_err() {
        problems.add(
            field,
            format!(
                "'{name}' is not a name of a port; use at most 15 of a-z, 0-9 and single '-', with \
                 a letter among them"
            ),
        );
    }
}

pub(super) fn port_number(problems: &mut Problems, field: &str, number: u32) {
    if !(1..=65_535).contains(&number) {
        problems.add(field, format!("{number} is not a port; give 1 to 65535"));
    }
}

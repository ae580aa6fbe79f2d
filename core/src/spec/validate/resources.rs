//! Rules about amounts: of memory, CPU and the kernel's limits.

use super::{Problems, Unique, words};
use crate::{
    quantity::Quantity,
    spec::{IoLimit, Process, Resources},
};

/// The shares of a disk that the kernel knows.
const IO_WEIGHTS: std::ops::RangeInclusive<u32> = 1..=10_000;

/// What a process may use.
pub(super) fn process(problems: &mut Problems, at: &str, process: &Process) {
    let resources = &process.resources;
    amounts(problems, at, resources);
    let some = [&resources.requests, &resources.limits];
    if resources.require && resources.io.is_empty() && some.iter().all(|list| list.is_empty()) {
        problems.add(
            format!("{at}.resources.require"),
            "there is nothing to enforce; give limits, requests or io, or remove it",
        );
    }
    rlimits(problems, at, process);
}

/// Amounts of a process, or those that an override gives it.
pub(super) fn amounts(problems: &mut Problems, at: &str, resources: &Resources) {
    for (list, amounts) in [
        ("requests", &resources.requests),
        ("limits", &resources.limits),
    ] {
        for (name, text) in amounts {
            let field = format!("{at}.resources.{list}.{name}");
            match unit(name) {
                Some(_) if list == "requests" && name == PIDS => {
                    problems.add(field, "pids have only a limit; write it in limits");
                }
                Some(unit) => {
                    if amount(problems, &field, text, unit) == Some(0) && list == "limits" {
                        problems.add(field, "with 0 nothing can run; give more, or leave it out");
                    }
                }
                None => problems.add(
                    field,
                    format!("'{name}' is not known here; {}", instead(name)),
                ),
            }
        }
    }
    for (name, text) in &resources.requests {
        let value = |text: &String| {
            let quantity: Quantity = text.parse().ok()?;
            unit(name)?(&quantity).ok()
        };
        let limit = resources.limits.get(name);
        if let (Some(asked), Some(most)) = (value(text), limit.and_then(value))
            && asked > most
        {
            problems.add(
                format!("{at}.resources.requests.{name}"),
                format!("{text} is more than the limit; give at most the limit"),
            );
        }
    }
    io(problems, &format!("{at}.resources.io"), resources);
}

/// The name of the number of processes and threads.
const PIDS: &str = "pids";

fn unit(name: &str) -> Option<Unit> {
    match name {
        "cpu" => Some(Quantity::milli),
        "memory" => Some(Quantity::bytes),
        PIDS => Some(Quantity::count),
        _ => None,
    }
}

/// What to write for an amount that processes do not have here.
fn instead(name: &str) -> &'static str {
    if name == "ephemeral-storage" {
        return "give a claim of volumeClaimTemplates its size";
    }
    if name.starts_with("hugepages-") || name.contains('/') {
        return "remove it and choose hosts that have it, with nodeSelector or requires";
    }
    "use cpu, memory or pids"
}

fn io(problems: &mut Problems, at: &str, resources: &Resources) {
    let io = &resources.io;
    if let Some(weight) = io.weight.filter(|weight| !IO_WEIGHTS.contains(weight)) {
        problems.add(
            format!("{at}.weight"),
            format!("{weight} is not a weight; give 1 to 10000"),
        );
    }
    let mut devices = Unique::default();
    for (i, limit) in io.limits.iter().enumerate() {
        let at = format!("{at}.limits[{i}]");
        devices.check(problems, &format!("{at}.device"), &limit.device);
        io_limit(problems, &at, limit);
    }
}

fn io_limit(problems: &mut Problems, at: &str, limit: &IoLimit) {
    let device = &limit.device;
    if !device.starts_with("/dev/") || device.split('/').any(|part| part == "..") {
        problems.add(
            format!("{at}.device"),
            format!("'{device}' is not a block device; give one such as /dev/nvme0n1"),
        );
    }
    let bytes = [("readBps", &limit.read_bps), ("writeBps", &limit.write_bps)];
    for (name, text) in bytes {
        let field = format!("{at}.{name}");
        let given = text.as_ref();
        if given.and_then(|text| amount(problems, &field, text, Quantity::bytes)) == Some(0) {
            problems.add(field, "with 0 nothing is done; give more, or leave it out");
        }
    }
    let counts = [
        ("readIops", limit.read_iops),
        ("writeIops", limit.write_iops),
    ];
    for (name, _) in counts.iter().filter(|(_, count)| *count == Some(0)) {
        problems.add(
            format!("{at}.{name}"),
            "with 0 nothing is done; give more, or leave it out",
        );
    }
    let given = bytes.iter().any(|(_, text)| text.is_some());
    if !given && counts.iter().all(|(_, count)| count.is_none()) {
        problems.add(
            at,
            "it limits nothing; give readBps, writeBps, readIops or writeIops",
        );
    }
}

pub(super) type Unit = fn(&Quantity) -> Result<u64, crate::quantity::QuantityError>;

/// The amount that a text says, if it is one.
pub(super) fn amount(problems: &mut Problems, field: &str, text: &str, unit: Unit) -> Option<u64> {
    match text.parse().and_then(|quantity| unit(&quantity)) {
        Ok(value) => Some(value),
        Err(e) => {
            problems.add(field, e.to_string());
            None
        }
    }
}

fn rlimits(problems: &mut Problems, at: &str, process: &Process) {
    for (name, value) in &process.rlimits {
        let field = format!("{at}.rlimits.{name}");
        if !words::is_rlimit(name) {
            problems.add(
                &field,
                format!(
                    "'{name}' is not a resource limit; use one of {}",
                    words::rlimits()
                ),
            );
        }
        let (soft, hard) = value.bounds();
        let words = [soft.word(), hard.word()].into_iter().flatten();
        for word in words.take(1).filter(|word| *word != "unlimited") {
            problems.add(
                &field,
                format!("'{word}' is not a limit; give a number or unlimited"),
            );
        }
        let above = match (soft.number(), hard.number()) {
            (Some(soft), Some(hard)) => soft > hard,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if above {
            problems.add(
                &field,
                "the soft limit is above the hard one; give at most that",
            );
        }
    }
}

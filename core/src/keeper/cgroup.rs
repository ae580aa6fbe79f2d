//! Which files of a cgroup (v2) say what a process may use, and with which values. Pure: the keeper
//! only writes them, and tells which it could not.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::rendered::{Limits, RenderedIoLimit};

/// A controller of cgroup v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    /// Time of the CPUs.
    Cpu,
    /// Disks.
    Io,
    /// Memory.
    Memory,
    /// How many processes and threads there are.
    Pids,
}

impl Controller {
    /// All that members use.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Io, Self::Memory, Self::Pids];

    /// Its name in `cgroup.controllers`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Io => "io",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }

    /// The one of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One file of a cgroup and what is written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The field of `resources` that asks for it.
    pub field: &'static str,
    /// The controller that has it.
    pub controller: Controller,
    /// The file's name.
    pub file: &'static str,
    /// The block device whose numbers go before the value, if it is about one.
    pub device: Option<String>,
    /// The value.
    pub value: String,
    /// Whether the field is enforced without it, where a kernel does not have the file.
    pub extra: bool,
}

impl Setting {
    fn new(
        field: &'static str,
        controller: Controller,
        file: &'static str,
        value: impl ToString,
    ) -> Self {
        Self {
            field,
            controller,
            file,
            device: None,
            value: value.to_string(),
            extra: false,
        }
    }

    fn extra(self) -> Self {
        Self {
            extra: true,
            ..self
        }
    }
}

/// A CPU is given out in periods of this many microseconds.
const PERIOD: u64 = 100_000;
/// The shortest time in a period that the kernel takes.
const LEAST_QUOTA: u64 = 1000;
/// The weights that the kernel takes; 100 is that of a group that nobody gave any.
const WEIGHTS: (u64, u64) = (1, 10_000);

/// What the cgroup of a process gets.
///
/// As in Kubernetes, memory that is limited is not swapped instead, and when the kernel kills for
/// want of memory, it kills the whole process with its children, not one of them at random.
pub fn settings(limits: &Limits) -> Vec<Setting> {
    let mut all = Vec::new();
    if let Some(bytes) = limits.memory {
        let of = |file, value| Setting::new("limits.memory", Controller::Memory, file, value);
        all.push(of("memory.max", bytes));
        all.push(of("memory.swap.max", 0).extra());
        all.push(of("memory.oom.group", 1).extra());
    }
    if let Some(milli) = limits.cpu_milli {
        let quota = milli.saturating_mul(PERIOD / 1000).max(LEAST_QUOTA);
        let value = format!("{quota} {PERIOD}");
        all.push(Setting::new(
            "limits.cpu",
            Controller::Cpu,
            "cpu.max",
            value,
        ));
    }
    if let Some(count) = limits.pids {
        all.push(Setting::new(
            "limits.pids",
            Controller::Pids,
            "pids.max",
            count,
        ));
    }
    all.extend(shares(
        limits.cpu_request_milli,
        limits.memory_request,
        limits.io_weight,
    ));
    all.extend(limits.io.iter().map(io_limit));
    all
}

/// What the cgroup around all processes of a member gets: only there do they count beside other
/// members.
pub fn member_settings<'a>(processes: impl Iterator<Item = &'a Limits> + Clone) -> Vec<Setting> {
    let sum = |of: fn(&Limits) -> Option<u64>| {
        let given = processes.clone().filter_map(of);
        given.reduce(u64::saturating_add)
    };
    shares(
        sum(|limits| limits.cpu_request_milli),
        sum(|limits| limits.memory_request),
        processes
            .clone()
            .filter_map(|limits| limits.io_weight)
            .max(),
    )
}

/// The controllers that a process needs for what it asks for.
pub fn needed(limits: &Limits) -> BTreeSet<Controller> {
    let settings = settings(limits).into_iter();
    settings.map(|setting| setting.controller).collect()
}

fn shares(cpu: Option<u64>, memory: Option<u64>, io: Option<u32>) -> Vec<Setting> {
    let mut all = Vec::new();
    if let Some(milli) = cpu {
        // One CPU is what a group has that asks for nothing.
        let weight = (milli / 10).clamp(WEIGHTS.0, WEIGHTS.1);
        let field = "requests.cpu";
        all.push(Setting::new(field, Controller::Cpu, "cpu.weight", weight));
    }
    if let Some(bytes) = memory {
        let field = "requests.memory";
        all.push(Setting::new(field, Controller::Memory, "memory.low", bytes));
    }
    if let Some(weight) = io {
        all.push(Setting::new(
            "io.weight",
            Controller::Io,
            "io.weight",
            weight,
        ));
    }
    all
}

fn io_limit(limit: &RenderedIoLimit) -> Setting {
    let parts = [
        ("rbps", limit.read_bps),
        ("wbps", limit.write_bps),
        ("riops", limit.read_iops),
        ("wiops", limit.write_iops),
    ];
    let value = parts.map(|(key, value)| match value {
        Some(value) => format!("{key}={value}"),
        // One that an earlier start had.
        None => format!("{key}=max"),
    });
    Setting {
        device: Some(limit.device.clone()),
        ..Setting::new("io.limits", Controller::Io, "io.max", value.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(settings: &[Setting]) -> Vec<String> {
        let line = |s: &Setting| format!("{} {}", s.file, s.value);
        settings.iter().map(line).collect()
    }

    #[test]
    fn amounts_become_what_the_kernel_is_told() {
        let limits = Limits {
            memory: Some(1 << 30),
            memory_request: Some(1 << 20),
            cpu_milli: Some(1500),
            cpu_request_milli: Some(500),
            pids: Some(64),
            io_weight: Some(300),
            io: vec![RenderedIoLimit {
                device: "/dev/sda".to_owned(),
                read_bps: Some(7),
                ..RenderedIoLimit::default()
            }],
            require: true,
        };
        let expected = [
            "memory.max 1073741824",
            "memory.swap.max 0",
            "memory.oom.group 1",
            "cpu.max 150000 100000",
            "pids.max 64",
            "cpu.weight 50",
            "memory.low 1048576",
            "io.weight 300",
            "io.max rbps=7 wbps=max riops=max wiops=max",
        ];
        assert_eq!(written(&settings(&limits)), expected);
        assert_eq!(needed(&limits), BTreeSet::from(Controller::ALL));
        assert!(needed(&Limits::default()).is_empty());
    }

    #[test]
    fn what_is_too_little_for_the_kernel_is_the_least_that_it_takes() {
        let limits = Limits {
            cpu_milli: Some(1),
            cpu_request_milli: Some(1),
            ..Limits::default()
        };
        let expected = ["cpu.max 1000 100000", "cpu.weight 1"];
        assert_eq!(written(&settings(&limits)), expected);
    }

    #[test]
    fn a_member_has_what_its_processes_ask_for_together() {
        let of = |cpu, io| Limits {
            cpu_request_milli: cpu,
            memory_request: cpu,
            io_weight: io,
            cpu_milli: Some(9),
            ..Limits::default()
        };
        let all = [
            of(Some(1000), Some(50)),
            of(None, Some(80)),
            of(Some(500), None),
        ];
        let expected = ["cpu.weight 150", "memory.low 1500", "io.weight 80"];
        assert_eq!(written(&member_settings(all.iter())), expected);
        assert!(member_settings([Limits::default()].iter()).is_empty());
    }
}

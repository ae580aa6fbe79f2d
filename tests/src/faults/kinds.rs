//! What can befall a host or the coordinator, done for real.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    hosts::{Hosts, step_clock},
    machine,
};

/// What the coordinator is called among the targets, and in the folder of [`Hosts`].
pub(super) const COORDINATOR: &str = "coordinator";
/// What fills a disk.
const FILLER: &str = "filler";
/// The size of a disk that can be filled: of the coordinator's, 64 MiB are left alone.
const DISK: &str = "size=192m";

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The daemon is killed, and started again at the end.
    Killed,
    /// It is stopped, and goes on at the end.
    Stopped,
    /// The host's cable is out.
    Cut,
    /// Nobody hears the host.
    Mute,
    /// The host does not hear its coordinator.
    Deaf,
    /// The host's power is off; it boots at the end.
    PowerOff,
    /// The wall clock of the daemon steps forth by an hour, and back at the end.
    ClockForth,
    /// The other way round.
    ClockBack,
    /// The disk of the daemon's data is full.
    DiskFull,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Killed,
        Self::Stopped,
        Self::Cut,
        Self::Mute,
        Self::Deaf,
        Self::PowerOff,
        Self::ClockForth,
        Self::ClockBack,
        Self::DiskFull,
    ];

    /// Whether it is one of the network.
    pub fn cuts_off(self) -> bool {
        matches!(self, Self::Cut | Self::Mute | Self::Deaf)
    }

    /// Whether it can befall this one: the coordinator has no cable of its own.
    pub(super) fn befalls(self, target: &str) -> bool {
        target != COORDINATOR || !(self.cuts_off() || self == Self::PowerOff)
    }

    /// Begins it.
    pub(super) fn begin(self, hosts: &mut Hosts<'_>, target: &str) {
        match self {
            Self::Killed => kill(hosts, target),
            Self::Stopped => signal(hosts, target, "STOP"),
            Self::Cut => hosts.network().cut(target),
            Self::Mute => hosts.network().mute(target),
            Self::Deaf => hosts.network().deafen(target),
            Self::PowerOff => hosts.power_off(target),
            Self::ClockForth => hosts.step_clock(target, 3600),
            Self::ClockBack => hosts.step_clock(target, -3600),
            Self::DiskFull => {
                let mut file = File::create(filler(hosts, target)).expect("a filler");
                // Until nothing more fits, to the last byte.
                while file.write_all(&[0; 1 << 16]).is_ok() {}
                while file.write_all(&[0]).is_ok() {}
            }
        }
    }

    /// Takes it back. A daemon that has ended is started again, as its unit would.
    pub(super) fn end(self, hosts: &mut Hosts<'_>, target: &str) {
        match self {
            Self::Killed | Self::PowerOff => start(hosts, target),
            Self::Stopped => signal(hosts, target, "CONT"),
            Self::Cut => hosts.network().mend(target),
            Self::Mute => hosts.network().unmute(target),
            Self::Deaf => hosts.network().undeafen(target),
            Self::ClockForth | Self::ClockBack => hosts.step_clock(target, 0),
            Self::DiskFull => fs::remove_file(filler(hosts, target)).expect("a filler"),
        }
        if !machine::alive(pid(hosts, target)) {
            kill(hosts, target);
            start(hosts, target);
        }
    }
}

/// Gives the daemons disks that can be filled, and clocks that can be stepped, before they are started
/// in this directory.
pub fn lay_out(dir: &Path, hosts: &[String]) {
    let disks = hosts.iter().map(|host| dir.join(host).join("data"));
    for disk in disks.chain([dir.join(COORDINATOR)]) {
        fs::create_dir_all(&disk).expect("a mount point");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", DISK, "disk"]);
        machine::run(mount.arg(disk));
    }
    for target in hosts.iter().map(String::as_str).chain([COORDINATOR]) {
        step_clock(dir, target, 0);
    }
}

fn pid(hosts: &Hosts<'_>, target: &str) -> u32 {
    match target {
        COORDINATOR => hosts.coordinator_pid(),
        host => hosts.agent_pid(host),
    }
}

fn signal(hosts: &Hosts<'_>, target: &str, name: &str) {
    let pid = pid(hosts, target).to_string();
    machine::run(Command::new("kill").args([&format!("-{name}"), &pid]));
}

fn kill(hosts: &mut Hosts<'_>, target: &str) {
    match target {
        COORDINATOR => hosts.kill_coordinator(),
        host => hosts.kill_agent(host),
    }
}

fn start(hosts: &mut Hosts<'_>, target: &str) {
    match target {
        COORDINATOR => hosts.start_coordinator(),
        host => hosts.start_agent(host),
    }
}

fn filler(hosts: &Hosts<'_>, target: &str) -> PathBuf {
    let home = hosts.home(target);
    let disk = if target == COORDINATOR {
        home
    } else {
        home.join("data")
    };
    disk.join(FILLER)
}

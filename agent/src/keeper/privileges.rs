//! Who a process is and what it may: user and groups, capabilities, resource limits. Prepared in
//! the keeper, applied in the child between fork and exec.

use std::fs;

use berth_core::{rendered::RenderedProcess, waiting::Reason};
use nix::{
    errno::Errno,
    sys::resource::{RLIM_INFINITY, Resource, setrlimit},
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, configure_capability_in_ambient_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
};

use super::spec::Identity;
use crate::host::step_failed;

/// The highest number that a capability may have.
const LAST_CAPABILITY: u32 = 63;

/// Who a process is and what it may.
#[derive(Debug, Clone)]
pub(crate) struct Privileges {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    keep: CapabilitySet,
    rlimits: Vec<(Resource, u64)>,
}

/// A step between fork and exec that failed.
pub(crate) type StepError = (&'static str, Errno);

impl Privileges {
    /// Translates names into numbers.
    pub(crate) fn new(process: &RenderedProcess, identity: &Identity) -> Result<Self, Reason> {
        let mut keep = CapabilitySet::empty();
        for name in &process.capabilities {
            let known = CapabilitySet::from_name(name);
            keep |= known.ok_or_else(|| unknown(process, "capability", name))?;
        }
        let mut rlimits = Vec::new();
        for (name, value) in &process.rlimits {
            let resource = resource(name).ok_or_else(|| unknown(process, "rlimit", name))?;
            rlimits.push((resource, value.unwrap_or_else(|| unlimited(resource))));
        }
        Ok(Self {
            uid: Uid::from_raw(identity.uid),
            gid: Gid::from_raw(identity.gid),
            groups: identity.groups.iter().copied().map(Gid::from_raw).collect(),
            keep,
            rlimits,
        })
    }

    /// Takes them on. There is no way back.
    pub(crate) fn apply(&self) -> Result<(), StepError> {
        for (resource, value) in &self.rlimits {
            setrlimit(*resource, *value, *value).map_err(|e| ("set a resource limit", e))?;
        }
        for number in 0..=LAST_CAPABILITY {
            let one = CapabilitySet::from_bits_retain(1 << number);
            if self.keep.contains(one) {
                continue;
            }
            match remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                // The kernel knows no higher one.
                Err(rustix::io::Errno::INVAL) => break,
                Err(e) => return Err(("drop capabilities", raw(e))),
            }
        }
        set_keep_capabilities(true).map_err(|e| ("keep capabilities", raw(e)))?;
        setgroups(&self.groups).map_err(|e| ("set groups", e))?;
        setresgid(self.gid, self.gid, self.gid).map_err(|e| ("set the group", e))?;
        setresuid(self.uid, self.uid, self.uid).map_err(|e| ("set the user", e))?;
        let sets = CapabilitySets {
            effective: self.keep,
            permitted: self.keep,
            inheritable: self.keep,
        };
        set_capabilities(None, sets).map_err(|e| ("set capabilities", raw(e)))?;
        for one in self.keep.iter() {
            configure_capability_in_ambient_set(one, true)
                .map_err(|e| ("keep a capability", raw(e)))?;
        }
        set_no_new_privs(true).map_err(|e| ("set no_new_privs", raw(e)))
    }
}

fn raw(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}

fn unknown(process: &RenderedProcess, what: &str, name: &str) -> Reason {
    let step = format!("prepare process {}", process.name);
    step_failed(step, format!("{what} '{name}' is not known on this host"))
}

fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "locks" => Resource::RLIMIT_LOCKS,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "msgqueue" => Resource::RLIMIT_MSGQUEUE,
        "nice" => Resource::RLIMIT_NICE,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "rss" => Resource::RLIMIT_RSS,
        "rtprio" => Resource::RLIMIT_RTPRIO,
        "rttime" => Resource::RLIMIT_RTTIME,
        "sigpending" => Resource::RLIMIT_SIGPENDING,
        "stack" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}

/// No limit; the kernel refuses that for open files and has a highest number instead.
fn unlimited(resource: Resource) -> u64 {
    if resource != Resource::RLIMIT_NOFILE {
        return RLIM_INFINITY;
    }
    let highest = fs::read_to_string("/proc/sys/fs/nr_open");
    let highest = highest.ok().and_then(|text| text.trim().parse().ok());
    highest.unwrap_or(1 << 20)
}

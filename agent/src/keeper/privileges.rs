//! Who a process is and what it may: user and groups, capabilities, resource limits. Prepared in
//! the keeper, applied in the child between fork and exec.

use std::{borrow::Cow, fs};

use berth_core::{rendered::RenderedProcess, waiting::Reason};
use nix::{
    errno::Errno,
    sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
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
    rlimits: Vec<Rlimit>,
}

#[derive(Debug, Clone)]
struct Rlimit {
    name: String,
    resource: Resource,
    value: u64,
}

/// A step between fork and exec that failed.
pub(crate) type StepError = (Cow<'static, str>, Errno);

/// What turns an error of the kernel into that of a step.
pub(crate) fn at(step: &'static str) -> impl FnOnce(Errno) -> StepError {
    move |errno| (step.into(), errno)
}

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
            rlimits.push(Rlimit {
                name: name.clone(),
                resource,
                value: value.unwrap_or_else(|| unlimited(resource)),
            });
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
        for limit in &self.rlimits {
            setrlimit(limit.resource, limit.value, limit.value)
                .map_err(|e| (limit.step().into(), e))?;
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
                Err(e) => return Err(at("drop capabilities")(raw(e))),
            }
        }
        set_keep_capabilities(true)
            .map_err(raw)
            .map_err(at("keep capabilities"))?;
        setgroups(&self.groups).map_err(at("set groups"))?;
        setresgid(self.gid, self.gid, self.gid).map_err(at("set the group"))?;
        setresuid(self.uid, self.uid, self.uid).map_err(at("set the user"))?;
        let sets = CapabilitySets {
            effective: self.keep,
            permitted: self.keep,
            inheritable: self.keep,
        };
        set_capabilities(None, sets)
            .map_err(raw)
            .map_err(at("set capabilities"))?;
        for one in self.keep.iter() {
            configure_capability_in_ambient_set(one, true)
                .map_err(raw)
                .map_err(at("keep a capability"))?;
        }
        set_no_new_privs(true)
            .map_err(raw)
            .map_err(at("set no_new_privs"))
    }

    /// What there is to say about a step that failed: for a limit that was refused, what would be
    /// allowed. The keeper has the agent's hard limits.
    pub(crate) fn explain(&self, step: &str, errno: Errno) -> String {
        let limit = self.rlimits.iter().find(|limit| limit.step() == step);
        let advice = limit
            .filter(|_| errno == Errno::EPERM)
            .and_then(Rlimit::advice);
        format!("{}{}", errno.desc(), advice.unwrap_or_default())
    }
}

impl Rlimit {
    fn step(&self) -> String {
        format!("set rlimit {} to {}", self.name, number(self.value))
    }

    /// Why it may have been refused; what the kernel itself refuses, no agent can allow.
    fn advice(&self) -> Option<String> {
        let highest = unlimited(self.resource);
        if self.value > highest {
            return Some(format!(
                "; this kernel's highest is {highest}: ask for less"
            ));
        }
        let (_, hard) = getrlimit(self.resource).ok()?;
        Some(format!(
            "; the agent's hard limit is {}: raise it (Limit{}= of berth-agent.service) or ask for \
             less",
            number(hard),
            self.name.to_uppercase()
        ))
    }
}

fn number(value: u64) -> String {
    match value {
        RLIM_INFINITY => "unlimited".to_owned(),
        value => value.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(value: u64) -> Privileges {
        Privileges {
            uid: Uid::from_raw(65534),
            gid: Gid::from_raw(65534),
            groups: Vec::new(),
            keep: CapabilitySet::empty(),
            rlimits: vec![Rlimit {
                name: "nofile".to_owned(),
                resource: Resource::RLIMIT_NOFILE,
                value,
            }],
        }
    }

    #[test]
    fn a_refused_limit_names_the_hard_limit_and_where_to_raise_it() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let error = limited(64).explain("set rlimit nofile to 64", Errno::EPERM);
        let expected = format!(
            "Operation not permitted; the agent's hard limit is {}: raise it (LimitNOFILE= of \
             berth-agent.service) or ask for less",
            number(hard)
        );
        assert_eq!(error, expected);
    }

    #[test]
    fn other_failures_say_what_the_kernel_says() {
        let some = limited(64);
        let invalid = some.explain("set rlimit nofile to 64", Errno::EINVAL);
        assert_eq!(invalid, "Invalid argument");
        let user = some.explain("set the user", Errno::EPERM);
        assert_eq!(user, "Operation not permitted");
    }

    #[test]
    fn what_no_agent_can_allow_is_told_as_the_kernels() {
        let highest = unlimited(Resource::RLIMIT_NOFILE);
        let step = format!("set rlimit nofile to {}", highest + 1);
        let error = limited(highest + 1).explain(&step, Errno::EPERM);
        assert!(error.contains("this kernel's highest is"), "{error}");
    }
}

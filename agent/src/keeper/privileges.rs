//! Who a process is and what it may: user and groups, capabilities, resource limits. Prepared in
//! the keeper, taken on in the child between fork and exec, in the one order of [`ORDER`].

use std::{borrow::Cow, fs};

use berth_core::{rendered::RenderedProcess, waiting::Reason};
use nix::{
    errno::Errno,
    sys::{
        resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
        stat::{Mode, umask},
    },
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
    set_keep_capabilities, set_no_new_privs,
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
    rlimits: Vec<Limit>,
    umask: Mode,
}

#[derive(Debug, Clone)]
struct Limit {
    name: String,
    resource: Resource,
    soft: u64,
    hard: u64,
}

/// One step of taking privileges on, or giving them up. The child is in its cgroup already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// setrlimit(2).
    Rlimits,
    /// Capabilities that no program may ever get again, also not by its file or as root.
    Bounding,
    /// Capabilities survive the change of the user.
    KeepCapabilities,
    /// Group and supplementary groups.
    Groups,
    /// Real, effective and saved user.
    User,
    /// The capabilities of the process itself.
    Capabilities,
    /// Those that its program finds although it is not root's.
    Ambient,
    /// No program gives more than its caller has.
    NoNewPrivs,
    /// What new files do not get.
    Umask,
}

/// Each step needs what a later one gives up. Whatever fails, the child ends, and executes nothing.
const ORDER: [Step; 9] = [
    // To raise a hard limit takes SYS_RESOURCE. The number of processes is limited per user, and
    // counts from the change of the user on.
    Step::Rlimits,
    // Takes SETPCAP, which `Capabilities` gives up.
    Step::Bounding,
    // Or `User` would take every capability, those to be kept and those that later steps need.
    Step::KeepCapabilities,
    // Takes SETGID. Before `User`: the groups of root must not be left to another user.
    Step::Groups,
    // Takes SETUID.
    Step::User,
    // After the last step that takes a capability: the effective set is empty, or what is kept.
    Step::Capabilities,
    // A capability can be ambient only while it is permitted and inheritable.
    Step::Ambient,
    // Takes nothing, and is never taken back. After it, exec drops what a file would give.
    Step::NoNewPrivs,
    // Has to do with no other one.
    Step::Umask,
];

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
        let rlimits = process.rlimits.iter().map(|(name, limit)| {
            let resource = resource(name).ok_or_else(|| unknown(process, "rlimit", name))?;
            let value = |bound: Option<u64>| bound.unwrap_or_else(|| unlimited(resource));
            Ok(Limit {
                name: name.clone(),
                resource,
                soft: value(limit.soft),
                hard: value(limit.hard),
            })
        });
        Ok(Self {
            uid: Uid::from_raw(identity.uid),
            gid: Gid::from_raw(identity.gid),
            groups: identity.groups.iter().copied().map(Gid::from_raw).collect(),
            keep,
            rlimits: rlimits.collect::<Result<_, Reason>>()?,
            umask: Mode::from_bits_truncate(process.umask),
        })
    }

    /// Takes them on. There is no way back.
    pub(crate) fn apply(&self) -> Result<(), StepError> {
        ORDER.iter().try_for_each(|step| self.take(*step))
    }

    fn take(&self, step: Step) -> Result<(), StepError> {
        let done = match step {
            Step::Rlimits => return self.limit(),
            Step::Bounding => self.drop_bounding(),
            Step::KeepCapabilities => set_keep_capabilities(true).map_err(raw),
            Step::Groups => {
                setgroups(&self.groups).and_then(|()| setresgid(self.gid, self.gid, self.gid))
            }
            Step::User => setresuid(self.uid, self.uid, self.uid),
            Step::Capabilities => {
                let sets = CapabilitySets {
                    effective: self.keep,
                    permitted: self.keep,
                    inheritable: self.keep,
                };
                set_capabilities(None, sets).map_err(raw)
            }
            Step::Ambient => self.raise_ambient(),
            Step::NoNewPrivs => set_no_new_privs(true).map_err(raw),
            Step::Umask => {
                umask(self.umask);
                Ok(())
            }
        };
        done.map_err(at(step.name()))
    }

    fn limit(&self) -> Result<(), StepError> {
        self.rlimits.iter().try_for_each(|limit| {
            let set = setrlimit(limit.resource, limit.soft, limit.hard);
            set.map_err(|e| (limit.step().into(), e))
        })
    }

    fn drop_bounding(&self) -> Result<(), Errno> {
        for number in 0..=LAST_CAPABILITY {
            let one = CapabilitySet::from_bits_retain(1 << number);
            if self.keep.contains(one) {
                continue;
            }
            match remove_capability_from_bounding_set(one) {
                Ok(()) => {}
                // The kernel knows no higher one.
                Err(rustix::io::Errno::INVAL) => break,
                Err(e) => return Err(raw(e)),
            }
        }
        Ok(())
    }

    /// The program of a user who is not root starts with these only.
    fn raise_ambient(&self) -> Result<(), Errno> {
        clear_ambient_capability_set().map_err(raw)?;
        if self.uid.is_root() {
            return Ok(());
        }
        let mut keep = self.keep.iter();
        keep.try_for_each(|one| configure_capability_in_ambient_set(one, true).map_err(raw))
    }

    /// What there is to say about a step that failed: for a limit that was refused, what would be
    /// allowed. The keeper has the agent's hard limits.
    pub(crate) fn explain(&self, step: &str, errno: Errno) -> String {
        let limit = self.rlimits.iter().find(|limit| limit.step() == step);
        let advice = limit
            .filter(|_| errno == Errno::EPERM)
            .and_then(Limit::advice);
        format!("{}{}", errno.desc(), advice.unwrap_or_default())
    }
}

impl Step {
    /// What an error says was to be done.
    fn name(self) -> &'static str {
        match self {
            Self::Rlimits => "set rlimits",
            Self::Bounding => "drop capabilities",
            Self::KeepCapabilities => "keep capabilities",
            Self::Groups => "set the groups",
            Self::User => "set the user",
            Self::Capabilities => "set capabilities",
            Self::Ambient => "keep a capability",
            Self::NoNewPrivs => "set no_new_privs",
            Self::Umask => "set the umask",
        }
    }
}

impl Limit {
    fn step(&self) -> String {
        format!("set rlimit {} to {}", self.name, number(self.hard))
    }

    /// Why it may have been refused; what the kernel itself refuses, no agent can allow.
    fn advice(&self) -> Option<String> {
        let highest = unlimited(self.resource);
        if self.hard > highest {
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
            rlimits: vec![Limit {
                name: "nofile".to_owned(),
                resource: Resource::RLIMIT_NOFILE,
                soft: value,
                hard: value,
            }],
            umask: Mode::empty(),
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
    fn no_step_comes_after_what_it_needs_is_given_up() {
        let place = |step| ORDER.iter().position(|one| *one == step).unwrap();
        let before = |one, other| assert!(place(one) < place(other), "{one:?}, {other:?}");
        for needs in [Step::Rlimits, Step::Bounding, Step::Groups, Step::User] {
            before(needs, Step::Capabilities);
        }
        before(Step::Rlimits, Step::User);
        before(Step::KeepCapabilities, Step::User);
        before(Step::Groups, Step::User);
        before(Step::Capabilities, Step::Ambient);
        before(Step::Ambient, Step::NoNewPrivs);
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

//! The member's cgroup (v2), where the host has one: a directory of the agent's, with one leaf for
//! the keeper and one per process. It holds processes to their `resources`, tells when the kernel
//! killed one for want of memory, and finds what a process left behind. Everything else works
//! without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use berth_core::{
    ids::ProcessName,
    keeper::cgroup::{member_settings, settings},
    rendered::{RenderedMember, RenderedProcess},
    waiting::{Reason, Unenforced},
};
use nix::{errno::Errno, unistd::Pid};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::{hierarchy, limits, sys};
use crate::host::step_failed;

/// The member's cgroup directory.
#[derive(Debug)]
pub(crate) struct Cgroup {
    dir: PathBuf,
    /// It again, held open: the member's own mount of it may be read-only.
    held: OwnedFd,
    /// How many leaves of each process were given up.
    given_up: BTreeMap<ProcessName, u32>,
    /// How often the kernel had killed for want of memory when the process was started.
    oom_kills: BTreeMap<ProcessName, u64>,
    /// The processes whose last start went without a leaf, because none could be made.
    leafless: BTreeSet<ProcessName>,
}

/// A cgroup that processes are put into.
#[derive(Debug)]
pub(crate) struct Leaf(OwnedFd);

/// Where a process starts.
#[derive(Debug)]
pub(crate) struct Begun {
    /// Its leaf, where there is one.
    pub(crate) leaf: Option<Leaf>,
    /// What of its `resources` is not enforced, each with why.
    pub(crate) unenforced: Vec<String>,
}

/// The keeper's leaf.
const KEEPER: &str = "keeper";

/// The name of a member's cgroup. Several agents of one machine may share a parent cgroup, and each
/// may have a member of the same name; the path of the run directory is the agent's alone. Which
/// name it was is on record: whoever looks for the cgroup later reads it there.
fn name(run: &Path) -> Option<String> {
    let run = fs::canonicalize(run).ok()?;
    let mut hash = DefaultHasher::new();
    run.hash(&mut hash);
    let member = run.file_name()?.to_str()?;
    Some(format!("berth-{member}-{:08x}", hash.finish() >> 32))
}

/// The name of the scope of systemd that a launcher is in, if it is in one: each launch has its own,
/// since systemd may still know the scope of the one before.
pub(crate) fn scope_name(run: &Path, launcher: u32) -> Option<String> {
    Some(format!("{}-{launcher}.{}", name(run)?, hierarchy::SCOPE))
}

/// Makes the place where a process starts, with its limits, before it is there.
///
/// # Errors
/// `LimitsNotEnforced` if it is to start only where they are.
pub(crate) fn begin(
    cgroup: Option<&mut Cgroup>,
    process: &RenderedProcess,
) -> Result<Begun, Reason> {
    let wanted = settings(&process.limits);
    let nowhere = |why: &str| Begun {
        leaf: None,
        unenforced: limits::none(&wanted, why),
    };
    let begun = match cgroup {
        None => nowhere("no cgroup v2"),
        Some(cgroup) => match cgroup.fresh_leaf(&process.name) {
            Err(error) => nowhere(&format!("its cgroup cannot be made: {error}")),
            Ok((dir, leaf)) => Begun {
                leaf: Some(leaf),
                unenforced: limits::apply(&dir, &wanted),
            },
        },
    };
    if process.limits.require && !begun.unenforced.is_empty() {
        return Err(Reason::LimitsNotEnforced(Unenforced {
            process: process.name.clone(),
            limits: begun.unenforced,
        }));
    }
    Ok(begun)
}

/// Where a program runs that is started beside a process: with the process, under its limits.
///
/// # Errors
/// `StepFailed` where there is a cgroup and the process has no place in it: what runs elsewhere is
/// limited by nothing.
pub(crate) fn beside(
    cgroup: Option<&Cgroup>,
    process: &ProcessName,
) -> Result<Option<Leaf>, Reason> {
    let leaf = cgroup.map(|cgroup| cgroup.leaf(process)).transpose();
    let leaf = leaf.map_err(|error| {
        let step = format!("run a program under the limits of process {process}");
        let why = format!("{error}: the process has no cgroup before it is started; try again");
        step_failed(step, why)
    });
    leaf.map(Option::flatten)
}

impl Cgroup {
    /// Makes the cgroup of the member with this run directory. `None` if the host has none that can
    /// be written to.
    pub(crate) fn make(run: &Path, member: &RenderedMember) -> Option<Self> {
        let own = hierarchy::own()?;
        let scope = scope_name(run, std::process::id())?;
        let dir = if own.ends_with(scope) {
            fs::create_dir_all(own.join(KEEPER)).ok()?;
            // A cgroup with a process in it hands no controllers on.
            hierarchy::write(&own.join(KEEPER).join("cgroup.procs"), "0").ok()?;
            own
        } else {
            let base = hierarchy::base(&own);
            let dir = base.join(name(run)?);
            fs::create_dir_all(dir.join(KEEPER)).ok()?;
            hierarchy::enable(&base);
            dir
        };
        hierarchy::enable(&dir);
        let all = member.init_processes.iter().chain(&member.processes);
        let shares = member_settings(all.map(|process| &process.limits));
        // What cannot be written here cannot be written in the leaves either, and is told there.
        drop(limits::apply(&dir, &shares));
        Some(Self {
            held: open(&dir).ok()?,
            dir,
            given_up: BTreeMap::new(),
            oom_kills: BTreeMap::new(),
            leafless: BTreeSet::new(),
        })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The keeper's own leaf.
    pub(crate) fn keeper_leaf(&self) -> Option<Leaf> {
        open(&self.path(KEEPER)).ok().map(Leaf)
    }

    /// The leaf that a process is in; none if it was started without.
    fn leaf(&self, process: &ProcessName) -> rustix::io::Result<Option<Leaf>> {
        if self.leafless.contains(process) {
            return Ok(None);
        }
        open(&self.leaf_dir(process)).map(|dir| Some(Leaf(dir)))
    }

    /// The leaf that a process is to be started in, empty.
    fn fresh_leaf(&mut self, process: &ProcessName) -> std::io::Result<(PathBuf, Leaf)> {
        self.leafless.insert(process.clone());
        let dir = self.leaf_dir(process);
        if !dir.is_dir() {
            fs::create_dir(&dir)?;
        }
        self.oom_kills.insert(process.clone(), oom_kills(&dir));
        let leaf = open(&dir)?;
        self.leafless.remove(process);
        Ok((dir, Leaf(leaf)))
    }

    /// Whether the kernel has killed for want of memory in the leaf of a process since its start. It
    /// counts before it kills: who has heard of the end of a process finds it here.
    pub(crate) fn oom_killed(&self, process: &ProcessName) -> bool {
        let before = self.oom_kills.get(process).copied();
        before.is_some_and(|before| oom_kills(&self.leaf_dir(process)) > before)
    }

    /// Kills what a process left in its leaf and in the cgroups that it made there, if anything.
    /// False where that is not known to have worked: an older kernel has no `cgroup.kill`.
    ///
    /// The next start gets a leaf of its own: a kernel that counts kills (seen in 6.18) also kills
    /// whatever is forked into one that was killed before, and one with cgroups in it may take no
    /// process any more.
    pub(crate) fn kill_leftovers(&mut self, process: &ProcessName) -> bool {
        let leaf = self.leaf_dir(process);
        let empty = !is_populated(&leaf);
        if empty && hierarchy::children(&leaf).is_empty() {
            return true;
        }
        let killed = empty || hierarchy::write(&leaf.join("cgroup.kill"), "1").is_ok();
        *self.given_up.entry(process.clone()).or_default() += 1;
        // What still dies in it is gone with the member's cgroup.
        drop(hierarchy::remove(&leaf));
        killed
    }

    fn path(&self, name: &str) -> PathBuf {
        let held = format!("/proc/self/fd/{}", self.held.as_raw_fd());
        Path::new(&held).join(name)
    }

    fn leaf_dir(&self, process: &ProcessName) -> PathBuf {
        let number = self.given_up.get(process).copied().unwrap_or(0);
        self.path(&format!("process-{process}.{number}"))
    }
}

/// Whether there is a process in a cgroup, or in any within it; so it is while nobody can tell.
fn is_populated(dir: &Path) -> bool {
    let events = fs::read_to_string(dir.join("cgroup.events"));
    let zero = |events: String| number(&events, "populated") == Some(0);
    // One that was never made has nobody in it.
    dir.exists() && !events.is_ok_and(zero)
}

/// How often the kernel has killed for want of memory in a cgroup.
fn oom_kills(dir: &Path) -> u64 {
    let events = fs::read_to_string(dir.join("memory.events"));
    number(&events.unwrap_or_default(), "oom_kill").unwrap_or(0)
}

/// The number of a key in a file of keys and numbers.
fn number(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|(name, _)| *name == key)?;
    value.trim().parse().ok()
}

fn open(dir: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, dir, flags, Mode::empty())
}

impl Leaf {
    /// Forks a child into it: the child is there before it runs, and with it all that it forks.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn fork(&self, body: impl FnOnce() -> i32) -> Result<Pid, Errno> {
        let mut body = Some(body);
        let mut run = || body.take().map_or(126, |body| body());
        match sys::fork_into(self.0.as_fd(), &mut run) {
            // An older kernel.
            Err(Errno::ENOSYS | Errno::EINVAL | Errno::E2BIG) => sys::fork(|| match self.join() {
                Ok(()) => run(),
                Err(_) => 126,
            }),
            forked => forked,
        }
    }

    /// Moves this process into it.
    fn join(&self) -> rustix::io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let procs = openat(&self.0, "cgroup.procs", flags, Mode::empty())?;
        rustix::io::write(procs, b"0").map(drop)
    }
}

/// Forks a child into a leaf, if there is one.
///
/// # Errors
/// What the kernel says.
pub(crate) fn fork_into(leaf: Option<&Leaf>, body: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    match leaf {
        Some(leaf) => leaf.fork(body),
        None => sys::fork(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cgroup as far as files go: what is written to it has no effect.
    fn fake(dir: &Path) -> Cgroup {
        Cgroup {
            dir: dir.to_owned(),
            held: open(dir).unwrap(),
            given_up: BTreeMap::new(),
            oom_kills: BTreeMap::new(),
            leafless: BTreeSet::new(),
        }
    }

    #[test]
    fn members_of_one_name_under_two_agents_have_two_names_and_one_member_has_one() {
        let agents = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let names = agents.each_ref().map(|agent| {
            let run = agent.path().join("default_web-0");
            fs::create_dir(&run).unwrap();
            let found = name(&run).unwrap();
            assert_eq!(name(&run.join("../default_web-0")), Some(found.clone()));
            found
        });
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|n| n.starts_with("berth-default_web-0-")));
    }

    #[test]
    fn a_kill_for_want_of_memory_counts_for_the_start_in_which_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut cgroup = fake(dir.path());
        let process = "db".parse().unwrap();
        assert!(!cgroup.oom_killed(&process));
        let (leaf, _) = cgroup.fresh_leaf(&process).unwrap();
        assert!(!cgroup.oom_killed(&process), "no memory.events");
        let events = |kills| format!("low 0\noom 9\noom_kill {kills}\noom_group_kill 4\n");
        fs::write(leaf.join("memory.events"), events(2)).unwrap();
        assert!(cgroup.oom_killed(&process));
        cgroup.fresh_leaf(&process).unwrap();
        assert!(!cgroup.oom_killed(&process), "that was an earlier start");
        fs::write(leaf.join("memory.events"), events(3)).unwrap();
        assert!(cgroup.oom_killed(&process));
    }

    #[test]
    fn a_program_runs_where_its_process_does_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let mut cgroup = fake(dir.path());
        let process: ProcessName = "db".parse().unwrap();
        assert!(beside(None, &process).unwrap().is_none(), "no cgroups");
        let error = beside(Some(&cgroup), &process).unwrap_err();
        assert!(error.to_string().contains("process db"), "{error}");
        let (leaf, _) = cgroup.fresh_leaf(&process).unwrap();
        assert!(beside(Some(&cgroup), &process).unwrap().is_some());
        // The kernel makes no more: the process itself is limited by nothing, and says so.
        fs::remove_dir(leaf.as_path()).unwrap();
        fs::write(leaf.as_path(), "").unwrap();
        cgroup.fresh_leaf(&process).unwrap_err();
        assert!(beside(Some(&cgroup), &process).unwrap().is_none());
        fs::remove_file(leaf.as_path()).unwrap();
        cgroup.fresh_leaf(&process).unwrap();
        fs::remove_dir(leaf.as_path()).unwrap();
        beside(Some(&cgroup), &process).unwrap_err();
    }

    #[test]
    fn a_leaf_with_cgroups_in_it_is_killed_as_a_whole_and_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let mut cgroup = fake(dir.path());
        let process = "db".parse().unwrap();
        assert!(cgroup.kill_leftovers(&process), "it was never started");
        let (leaf, _) = cgroup.fresh_leaf(&process).unwrap();
        let leaf = fs::canonicalize(leaf).unwrap();
        fs::write(leaf.join("cgroup.events"), "populated 0\nfrozen 0\n").unwrap();
        assert!(cgroup.kill_leftovers(&process));
        assert_eq!(cgroup.leaf_dir(&process).file_name(), leaf.file_name());
        // Its own `cgroup.procs` would be empty: its processes are in a cgroup that it made.
        fs::create_dir(leaf.join("inner")).unwrap();
        fs::write(leaf.join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        fs::write(leaf.join("cgroup.kill"), "").unwrap();
        assert!(cgroup.kill_leftovers(&process));
        assert_eq!(fs::read_to_string(leaf.join("cgroup.kill")).unwrap(), "1");
        assert_ne!(cgroup.leaf_dir(&process).file_name(), leaf.file_name());
    }
}

//! The member's cgroup (v2), where the host has one: a directory below the agent's own, with one
//! leaf for the keeper and one per process. It bounds memory and CPU where the controllers are
//! there, and finds what a process left behind. Everything works without it.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use berth_core::{ids::ProcessName, rendered::RenderedProcess};
use nix::{errno::Errno, unistd::Pid};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::sys;

/// The member's cgroup directory.
#[derive(Debug)]
pub(crate) struct Cgroup {
    dir: PathBuf,
    /// How many leaves of each process were killed.
    killed: BTreeMap<ProcessName, u32>,
}

/// A cgroup without children: processes may be in it.
#[derive(Debug)]
pub(crate) struct Leaf(OwnedFd);

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

/// The directory of the cgroup v2 that this process is in.
pub(crate) fn own() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    find(&mounts, &groups)
}

fn find(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let own = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = mountinfo.lines().find(|line| {
        let kind = line.split_once(" - ").map(|(_, rest)| rest);
        kind.is_some_and(|rest| rest.starts_with("cgroup2 "))
    })?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let below = Path::new(own).strip_prefix(root).ok()?;
    Some(Path::new(point).join(below))
}

impl Cgroup {
    /// Makes the cgroup of the member with this run directory, below the one that this process is
    /// in. `None` if the host has none that can be written to.
    pub(crate) fn make(run: &Path) -> Option<Self> {
        let own = own()?;
        // An agent that keeps itself in a leaf, so that its cgroup may have controllers.
        let base = if own.ends_with("agent") {
            own.parent()?.to_owned()
        } else {
            own
        };
        let dir = base.join(name(run)?);
        fs::create_dir_all(dir.join(KEEPER)).ok()?;
        for controller in ["+memory", "+cpu", "+pids"] {
            for level in [&base, &dir] {
                // Fails where the controller is not there: then there is no limit either.
                drop(fs::write(level.join("cgroup.subtree_control"), controller));
            }
        }
        Some(Self {
            dir,
            killed: BTreeMap::new(),
        })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The keeper's own leaf.
    pub(crate) fn keeper_leaf(&self) -> Option<Leaf> {
        Leaf::open(&self.dir.join(KEEPER))
    }

    /// The leaf of a process, with its limits.
    pub(crate) fn leaf(&self, process: &RenderedProcess) -> Option<Leaf> {
        let leaf = self.leaf_dir(&process.name);
        if !leaf.is_dir() {
            fs::create_dir(&leaf).ok()?;
        }
        if let Some(bytes) = process.memory_limit {
            limit(&leaf.join("memory.max"), &bytes.to_string());
        }
        if let Some(milli) = process.cpu_limit_milli {
            // Microseconds of each 100 ms.
            let quota = milli.saturating_mul(100).max(1000);
            limit(&leaf.join("cpu.max"), &format!("{quota} 100000"));
        }
        Leaf::open(&leaf)
    }

    /// Kills what a process left in its leaf, if anything. False where that is not known to have
    /// worked: an older kernel has no `cgroup.kill`.
    ///
    /// The next start gets a leaf of its own: a kernel that counts kills (seen in 6.18) also kills
    /// whatever is forked into one that was killed before.
    pub(crate) fn kill_leftovers(&mut self, process: &ProcessName) -> bool {
        let leaf = self.leaf_dir(process);
        if fs::read_to_string(leaf.join("cgroup.procs")).is_ok_and(|pids| pids.is_empty()) {
            return true;
        }
        let killed = fs::write(leaf.join("cgroup.kill"), "1").is_ok();
        *self.killed.entry(process.clone()).or_default() += 1;
        killed
    }

    fn leaf_dir(&self, process: &ProcessName) -> PathBuf {
        let number = self.killed.get(process).copied().unwrap_or(0);
        self.dir.join(format!("process-{process}.{number}"))
    }
}

impl Leaf {
    fn open(dir: &Path) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, dir, flags, Mode::empty()).ok().map(Self)
    }

    /// Forks a child into it.
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

/// Writes a limit where its controller is there.
fn limit(file: &Path, value: &str) {
    drop(fs::write(file, value));
}

/// Removes a member's cgroup directories. An error means that a process is still in one.
pub(crate) fn remove(dir: &Path) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir(path)?;
        }
    }
    fs::remove_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
26 24 0:24 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn the_unified_hierarchy_is_found_on_hybrid_pure_and_nested_hosts() {
        let found = find(HYBRID, "4:memory:/x\n0::/a/b\n");
        assert_eq!(found, Some("/sys/fs/cgroup/unified/a/b".into()));
        let pure = "26 24 0:24 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = find(pure, "0::/system.slice/x.service\n");
        assert_eq!(found, Some("/sys/fs/cgroup/system.slice/x.service".into()));
        let nested = "26 24 0:24 /box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let found = find(nested, "0::/box/inner\n");
        assert_eq!(found, Some("/sys/fs/cgroup/inner".into()));
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
    fn a_host_with_version_1_only_has_none() {
        let old = "25 24 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(find(old, "4:memory:/x\n"), None);
        assert_eq!(find(old, "4:memory:/x\n0::/\n"), None);
    }
}

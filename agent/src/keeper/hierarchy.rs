//! Where members have their cgroups (v2), and which controllers they have there.
//!
//! The kernel gives controllers only to the children of a cgroup that has no process itself. The
//! cgroup of the agent's unit has one, and systemd could not start the agent again in a cgroup that
//! has given its controllers away. So members live in the cgroup of a unit beside it, which has no
//! process at all (`deploy/systemd/berth-members.service`).

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use berth_core::keeper::cgroup::Controller;

/// The unit whose cgroup is the members'.
const MEMBERS: &str = "berth-members.service";
/// The leaf that an agent may be put into, so that the cgroup around it has no process.
const AGENT: &str = "agent";

/// The directory in which members have their cgroups; `None` on a host without cgroup v2.
pub(crate) fn base() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = find(&mounts, &groups)?;
    Some(home(&own, Path::is_dir))
}

/// What this host can hold processes to.
pub(crate) fn host_controllers() -> BTreeSet<Controller> {
    let Some(base) = base() else {
        return BTreeSet::new();
    };
    enable(&base);
    let given = fs::read_to_string(base.join("cgroup.subtree_control"));
    let given = given.unwrap_or_default();
    given
        .split_whitespace()
        .filter_map(Controller::of_name)
        .collect()
}

/// Gives the children of a cgroup the controllers that members use, those of them that are there.
///
/// Nothing is tried where a process is in it. The kernel would allow that for some controllers, and
/// from then on take no process into the children. The root is free of all that.
pub(crate) fn enable(dir: &Path) {
    let root = !dir.join("cgroup.type").exists();
    let free = fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|pids| pids.is_empty());
    if !root && !free {
        return;
    }
    for controller in Controller::ALL {
        let control = dir.join("cgroup.subtree_control");
        // Fails where the controller is not there: what asks for it finds no file then.
        drop(write(&control, &format!("+{controller}")));
    }
}

/// Writes to a file of a cgroup, which is there or not: none can be made.
pub(crate) fn write(file: &Path, value: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(file)?;
    io::Write::write_all(&mut file, value.as_bytes())
}

/// Removes a cgroup with all that are in it. An error means that a process is still in one.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    for inner in children(dir) {
        remove(&inner)?;
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The cgroups in a cgroup.
pub(crate) fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).collect()
}

/// The directory of the cgroup that a process is in, by its `mountinfo` and its `cgroup`.
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

/// Where the members of an agent live whose own cgroup this is.
fn home(own: &Path, is_there: impl Fn(&Path) -> bool) -> PathBuf {
    let unit = if own.ends_with(AGENT) {
        own.parent().unwrap_or(own)
    } else {
        own
    };
    let beside = unit.parent().map(|slice| slice.join(MEMBERS));
    beside
        .filter(|dir| is_there(dir))
        .unwrap_or_else(|| unit.to_owned())
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
    fn a_host_with_version_1_only_has_none() {
        let old = "25 24 0:23 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(find(old, "4:memory:/x\n"), None);
        assert_eq!(find(old, "4:memory:/x\n0::/\n"), None);
    }

    #[test]
    fn members_live_in_the_unit_that_is_made_for_them_else_with_their_agent() {
        let unit = Path::new("/c/system.slice/berth-agent.service");
        let made = |_: &Path| true;
        let none = |_: &Path| false;
        assert_eq!(home(unit, none), unit);
        assert_eq!(home(&unit.join("agent"), none), unit);
        let members = Path::new("/c/system.slice/berth-members.service");
        assert_eq!(home(unit, made), members);
        assert_eq!(home(&unit.join("agent"), made), members);
    }
}

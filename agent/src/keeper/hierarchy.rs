//! Where members have their cgroups (v2), and which controllers they have there.
//!
//! The kernel gives controllers only to the children of a cgroup that has no process itself. Where
//! systemd gives each keeper a scope, that is the member's cgroup, and the launcher that is in it goes
//! into the leaf of the keeper first. Else members live below the agent: it has a process in its
//! cgroup, so that they have no limits there, unless it was put into a leaf of its own (`agent`).

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use berth_core::keeper::cgroup::Controller;

/// How the names of scopes end.
pub(crate) const SCOPE: &str = "scope";
/// The leaf that an agent may be put into, so that the cgroup around it has no process.
const AGENT: &str = "agent";

/// The directory of the cgroup that this process is in; `None` on a host without cgroup v2.
pub(crate) fn own() -> Option<PathBuf> {
    find(
        &mountinfo()?,
        &fs::read_to_string("/proc/self/cgroup").ok()?,
    )
}

/// The directory in which members of an agent without scopes have their cgroups, which is in `own`.
pub(crate) fn base(own: &Path) -> PathBuf {
    let parent = own.parent().filter(|_| own.ends_with(AGENT));
    parent.unwrap_or(own).to_owned()
}

fn mountinfo() -> Option<String> {
    fs::read_to_string("/proc/self/mountinfo").ok()
}

/// What this host can hold processes to: in scopes, what systemd hands on; else what members get
/// below the agent.
pub(crate) fn host_controllers(scopes: bool) -> BTreeSet<Controller> {
    let given = if scopes {
        // The root of the tree has what there is.
        mountinfo()
            .and_then(|mounts| find(&mounts, "0::/"))
            .map(|root| root.join("cgroup.controllers"))
    } else {
        own().map(|own| {
            let base = base(&own);
            enable(&base);
            base.join("cgroup.subtree_control")
        })
    };
    let given = given.and_then(|file| fs::read_to_string(file).ok());
    given
        .unwrap_or_default()
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
///
/// That of a scope is left to systemd, which removes it once it is empty: if it were gone before systemd
/// looked, systemd would keep the scope for ever.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    if dir.extension().is_some_and(|kind| kind == SCOPE) {
        let events = fs::read_to_string(dir.join("cgroup.events"));
        return match events {
            Ok(events) if events.contains("populated 1") => Err(io::ErrorKind::ResourceBusy.into()),
            Ok(_) | Err(_) => Ok(()),
        };
    }
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
    fn a_scope_is_gone_when_it_is_empty_and_is_not_removed_here() {
        let dir = tempfile::tempdir().unwrap();
        let scope = dir.path().join("berth-x.scope");
        fs::create_dir(&scope).unwrap();
        let events = |populated| format!("populated {populated}\nfrozen 0\n");
        fs::write(scope.join("cgroup.events"), events(1)).unwrap();
        assert_eq!(
            remove(&scope).unwrap_err().kind(),
            io::ErrorKind::ResourceBusy
        );
        fs::write(scope.join("cgroup.events"), events(0)).unwrap();
        remove(&scope).unwrap();
        assert!(scope.is_dir());
        remove(&dir.path().join("gone.scope")).unwrap();
    }

    #[test]
    fn members_live_beside_an_agent_that_has_a_leaf_else_with_it() {
        let unit = Path::new("/c/system.slice/berth-agent.service");
        assert_eq!(base(unit), unit);
        assert_eq!(base(&unit.join("agent")), unit);
    }
}

//! The member's mount namespace: its volumes and configuration at their paths (whoever may enter
//! the directories above them on the host), a private `/tmp`, its own `/proc`,
//! `/etc/resolv.conf` and `/etc/hosts`. Everything else is the host's.
//!
//! Sources are opened before anything is mounted, and bound through their descriptors: a volume or
//! a run directory beneath `/tmp` is found although `/tmp` is covered by then.
//!
//! Mounts of the host still appear (the root is a slave), or an unplugged disk would stay busy. But
//! when a host program replaces `/etc/resolv.conf` by a rename, the kernel drops our mount from it
//! without a word; [`Mounts::restore`] puts it back.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use berth_core::waiting::Reason;
use nix::mount::{MsFlags, mount};
use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat};

use super::spec::LaunchSpec;
use crate::host::path_failed;

/// The mounts of a member, as they should be.
#[derive(Debug)]
pub(crate) struct Mounts {
    volumes: Vec<Bind>,
    config: Bind,
    /// Files of the host that a rename may uncover.
    files: Vec<Bind>,
    /// The next attempt to restore them, and the pause before it.
    retry: Option<(Instant, Duration)>,
}

const FIRST_RETRY: Duration = Duration::from_millis(1);
const LAST_RETRY: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Bind {
    source: OwnedFd,
    target: PathBuf,
    flags: MsFlags,
}

const NONE: Option<&str> = None;

/// Opens a path for nothing but being named.
pub(crate) fn open_path(path: &Path) -> Result<OwnedFd, Reason> {
    openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| path_failed("open", path, e))
}

impl Bind {
    fn new(source: &Path, target: impl Into<PathBuf>, flags: MsFlags) -> Result<Self, Reason> {
        Ok(Self {
            source: open_path(source)?,
            target: target.into(),
            flags,
        })
    }

    fn apply(&self) -> Result<(), Reason> {
        let source = format!("/proc/self/fd/{}", self.source.as_raw_fd());
        let failed = |e| path_failed("mount", &self.target, e);
        let bind = MsFlags::MS_BIND;
        mount(Some(source.as_str()), &self.target, NONE, bind, NONE).map_err(failed)?;
        // Flags of a bind mount take effect with a remount only, which would clear those that the
        // source has.
        let had = rustix::fs::statvfs(&self.target)
            .map_err(|e| path_failed("look at", &self.target, e))?;
        let mut flags = self.flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        flags.set(
            MsFlags::MS_NOEXEC,
            had.f_flag.contains(StatVfsMountFlags::NOEXEC),
        );
        if had.f_flag.contains(StatVfsMountFlags::RDONLY) {
            flags |= MsFlags::MS_RDONLY;
        }
        let remount = bind | MsFlags::MS_REMOUNT | flags;
        mount(NONE, &self.target, NONE, remount, NONE).map_err(failed)
    }

    /// Whether the target shows the source.
    fn holds(&self) -> bool {
        let at = |path| rustix::fs::stat(path).map(|s| (s.st_dev, s.st_ino));
        let source = rustix::fs::fstat(&self.source).map(|s| (s.st_dev, s.st_ino));
        at(&self.target) == source
    }
}

impl Mounts {
    /// Opens every source, in the new mount namespace (the kernel binds no others) while it still
    /// looks like the host's.
    pub(crate) fn open(spec: &LaunchSpec) -> Result<Self, Reason> {
        let rendered = &spec.launch.rendered;
        let run = &spec.dirs.run;
        // A path shows the same volume to all processes; it is read-only if it is so for all.
        let mut wanted: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
        let processes = rendered.init_processes.iter().chain(&rendered.processes);
        for m in processes.flat_map(|process| &process.mounts) {
            let entry = wanted.entry(&m.mount_path).or_insert((&m.volume, true));
            entry.1 &= m.read_only;
        }
        let mut volumes = Vec::new();
        // In the order of the paths: one beneath another comes after it.
        for (path, (volume, read_only)) in wanted {
            let source = spec.launch.volumes.get(volume);
            let source = source.ok_or_else(|| {
                path_failed("mount", Path::new(path), format!("no volume '{volume}'"))
            })?;
            let flags = if read_only {
                MsFlags::MS_RDONLY
            } else {
                MsFlags::empty()
            };
            volumes.push(Bind::new(source, path, flags)?);
        }
        let file = |name| {
            Bind::new(
                &run.join(name),
                Path::new("/etc").join(name),
                MsFlags::MS_RDONLY,
            )
        };
        Ok(Self {
            volumes,
            config: Bind::new(&spec.dirs.config, &rendered.config_dir, MsFlags::empty())?,
            files: vec![file("resolv.conf")?, file("hosts")?],
            retry: None,
        })
    }

    /// Sets everything up in the new mount namespace that this process is in.
    pub(crate) fn apply(&self) -> Result<(), Reason> {
        let root = Path::new("/");
        let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
        mount(NONE, root, NONE, slave, NONE).map_err(|e| path_failed("mount", root, e))?;
        let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        special("tmpfs", "/tmp", safe, Some("mode=1777"))?;
        for dir in std::iter::once(&self.config).chain(&self.volumes) {
            make_dir(&dir.target)?;
            dir.apply()?;
        }
        for file in &self.files {
            make_file(&file.target)?;
            file.apply()?;
        }
        special("proc", "/proc", safe | MsFlags::MS_NOEXEC, None)
    }

    /// Puts back what a rename on the host uncovered; tried again by itself when it fails, for the
    /// kernel drops the mount a moment before the new file can be mounted on.
    ///
    /// # Errors
    /// `StepFailed`, when it has failed for long enough to tell people.
    pub(crate) fn restore(&mut self) -> Result<(), Reason> {
        let mut lost = self.files.iter().filter(|bind| !bind.holds());
        let Err(reason) = lost.try_for_each(Bind::apply) else {
            self.retry = None;
            return Ok(());
        };
        let pause = self
            .retry
            .map_or(FIRST_RETRY, |(_, last)| last * 2)
            .min(LAST_RETRY);
        self.retry = Some((Instant::now() + pause, pause));
        if pause < LAST_RETRY {
            Ok(())
        } else {
            Err(reason)
        }
    }

    /// When [`Self::restore`] is to be tried again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.retry.map(|(at, _)| at)
    }

    /// The paths of the volumes in the member.
    pub(crate) fn volume_paths(&self) -> impl Iterator<Item = &Path> {
        self.volumes.iter().map(|bind| bind.target.as_path())
    }
}

fn special(kind: &str, at: &str, flags: MsFlags, data: Option<&str>) -> Result<(), Reason> {
    mount(Some(kind), at, Some(kind), flags, data)
        .map_err(|e| path_failed(&format!("mount {kind} at"), Path::new(at), e))
}

fn make_dir(path: &Path) -> Result<(), Reason> {
    fs::create_dir_all(path).map_err(|e| path_failed("make mount point", path, e))
}

/// A mount point of a file; one that is there is left as it is.
fn make_file(path: &Path) -> Result<(), Reason> {
    if path.exists() {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    let made = options.create(true).truncate(false).write(true).open(path);
    made.map(drop)
        .map_err(|e| path_failed("make mount point", path, e))
}

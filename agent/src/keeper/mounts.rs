//! The member's mount namespace: its volumes and configuration at their paths (whoever may enter
//! the directories above them on the host), a private `/tmp`, its own `/proc`,
//! `/etc/resolv.conf`, `/etc/hosts` and `/etc/nsswitch.conf`. Everything else is the host's.
//!
//! Sources are opened before anything is mounted, and bound through their descriptors: a volume or
//! a run directory beneath `/tmp` is found although `/tmp` is covered by then.
//!
//! Mounts of the host still appear (the root is a slave), or an unplugged disk would stay busy. But
//! when a host program replaces `/etc/resolv.conf` by a rename, the kernel drops our mount from it
//! without a word; [`Mounts::restore`] puts it back.
//!
//! With a read-only root, all that is there is sealed at the end, and what is the member's own is
//! opened again. What the host mounts later appears as the host has it.

use std::{
    fs::{self, OpenOptions},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use berth_core::waiting::Reason;
use nix::mount::{MsFlags, mount};
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, StatVfsMountFlags, StatxAttributes, StatxFlags, fstatvfs, openat,
    statx,
};

use super::{spec::LaunchSpec, volumes::Volumes};
use crate::host::{PreparedVolume, path_failed, storage::mount as storage};

/// The mounts of a member, as they should be.
#[derive(Debug)]
pub(crate) struct Mounts {
    pub(crate) volumes: Volumes,
    config: Bind,
    /// Files of the host that a rename may uncover.
    files: Vec<Bind>,
    read_only_root: bool,
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

/// Where a name cache of the host listens. glibc asks it before the member's own `/etc/nsswitch.conf`, and
/// it knows other names, and old ones.
const NAME_CACHE: &str = "/var/run/nscd";

/// As many links as the kernel follows.
const MAX_LINKS: u32 = 40;

/// The member's own where the host has one.
const NSSWITCH: &str = "nsswitch.conf";

/// File systems in memory that programs talk through; they are the host's, and nothing on it.
const SHARED_MEMORY: [&str; 2] = ["/dev/shm", "/dev/mqueue"];

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
    /// looks like the host's. `at` is told each volume before it is touched: it may hang.
    pub(crate) fn open(spec: &LaunchSpec, at: impl Fn(&PreparedVolume)) -> Result<Self, Reason> {
        // Before anything is mounted: nothing of this is to appear on the host.
        let root = Path::new("/");
        let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
        mount(NONE, root, NONE, slave, NONE).map_err(|e| path_failed("mount", root, e))?;
        let rendered = &spec.launch.rendered;
        let run = &spec.dirs.run;
        let file = |name| {
            Bind::new(
                &run.join(name),
                Path::new("/etc").join(name),
                MsFlags::MS_RDONLY,
            )
        };
        // The volumes last: they may cover the run directory while they are opened.
        let config = Bind::new(&spec.dirs.config, &rendered.config_dir, MsFlags::empty())?;
        let mut files = vec![file("resolv.conf")?, file("hosts")?];
        if run.join(NSSWITCH).exists() {
            files.push(file(NSSWITCH)?);
        }
        Ok(Self {
            volumes: Volumes::open(spec, at)?,
            config,
            files,
            read_only_root: rendered.read_only_root,
            retry: None,
        })
    }

    /// Sets everything up in the new mount namespace that this process is in.
    pub(crate) fn apply(&mut self) -> Result<(), Reason> {
        let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        special("tmpfs", "/tmp", safe, Some("mode=1777"))?;
        // Each is opened before a volume may cover it.
        let mut own = vec![open_path(Path::new("/tmp"))?];
        make_dir(&self.config.target)?;
        self.config.apply()?;
        own.extend(writable_mount(&self.config.target));
        own.extend(
            SHARED_MEMORY
                .iter()
                .filter_map(|path| writable_mount(Path::new(path))),
        );
        if Path::new(NAME_CACHE).is_dir() {
            let empty = safe | MsFlags::MS_NOEXEC | MsFlags::MS_RDONLY;
            special("tmpfs", NAME_CACHE, empty, Some("mode=755"))?;
        }
        self.volumes.apply()?;
        for file in &self.files {
            make_file(&file.target)?;
            file.apply()?;
        }
        special("proc", "/proc", safe | MsFlags::MS_NOEXEC, None)?;
        own.push(open_path(Path::new("/proc"))?);
        if self.read_only_root {
            self.seal(&own)?;
        }
        Ok(())
    }

    /// Makes everything read-only but what is the member's own.
    fn seal(&self, own: &[OwnedFd]) -> Result<(), Reason> {
        let root = Path::new("/");
        let failed = |e| path_failed("make read-only", root, std::io::Error::from(e));
        storage::seal(&open_path(root)?).map_err(failed)?;
        let writable = own.iter().chain(self.volumes.writable());
        writable
            .map(storage::unseal)
            .try_for_each(|done| done.map_err(failed))
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

    /// Where a volume should be and is not.
    pub(crate) fn lost_volume(&self) -> Option<&Path> {
        self.volumes.lost()
    }

    /// When [`Self::restore`] is to be tried again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.retry.map(|(at, _)| at)
    }
}

/// The mount at a path, if there is one and it may be written to.
fn writable_mount(path: &Path) -> Option<OwnedFd> {
    let mount = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let about = statx(&mount, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).ok()?;
    let writable = !fstatvfs(&mount)
        .ok()?
        .f_flag
        .contains(StatVfsMountFlags::RDONLY);
    let is_root = about.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    (writable && is_root).then_some(mount)
}

fn special(kind: &str, at: &str, flags: MsFlags, data: Option<&str>) -> Result<(), Reason> {
    mount(Some(kind), at, Some(kind), flags, data)
        .map_err(|e| path_failed(&format!("mount {kind} at"), Path::new(at), e))
}

fn make_dir(path: &Path) -> Result<(), Reason> {
    fs::create_dir_all(path).map_err(|e| path_failed("make mount point", path, e))
}

/// A mount point of a file; one that is there is left as it is. Of a link that leads nowhere (that of
/// systemd-resolved, while it does not run) what it leads to is made: a mount goes where links lead.
fn make_file(path: &Path) -> Result<(), Reason> {
    if path.exists() {
        return Ok(());
    }
    let mut end = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = fs::read_link(&end) else { break };
        let dir = end.parent().unwrap_or_else(|| Path::new("/"));
        end = dir.join(next);
    }
    make_dir(end.parent().unwrap_or_else(|| Path::new("/")))?;
    let mut options = OpenOptions::new();
    let made = options.create(true).truncate(false).write(true).open(path);
    made.map(drop)
        .map_err(|e| path_failed("make mount point", path, e))
}

//! Notes beside each volume that it holds data, once it does: from then on an empty one is a loss,
//! and no member starts on it. What counts as a loss cannot be told from the volume alone, for a
//! program that never wrote anything leaves it empty too.
//!
//! The keeper looks, because it is there when data first appears: at every end of a process, and by
//! itself at growing intervals until it has seen some.

use std::{
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

use berth_core::{keeper::Exit, waiting::Reason};
use nix::unistd::Pid;
use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, fsync, openat, statat},
    io::Errno,
};

use super::{spec::Identity, sys};
use crate::host::{path_failed, storage::prepare::as_user};

/// The directory of the data, beneath the volume's.
pub(crate) const DATA: &str = "data";
/// The directory of the owner records, beneath the volume's.
pub(crate) const OWNER: &str = "owner";
/// The note, beneath the owner records.
pub(crate) const DATA_SEEN: &str = "data-seen";

const FIRST_LOOK: Duration = Duration::from_secs(2);
const LAST_INTERVAL: Duration = Duration::from_secs(600);

/// A volume to look at.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) data: OwnedFd,
    /// Where the note goes.
    pub(crate) records: OwnedFd,
    /// Whether its storage may not answer: then a child looks.
    pub(crate) remote: bool,
    /// Who looks where root may not: servers may take root for nobody.
    pub(crate) user: Identity,
}

/// The volumes that were not seen with data yet.
#[derive(Debug)]
pub(crate) struct SeenData {
    waiting: Vec<Watched>,
    /// The child that looks at those that may hang; there is never a second one.
    looking: Option<Pid>,
    next: Instant,
    interval: Duration,
}

impl SeenData {
    /// Watches volumes, but for those that have their note already.
    pub(crate) fn new(volumes: Vec<Watched>) -> Result<Self, Reason> {
        let mut waiting = Vec::new();
        for volume in volumes {
            let noted = match statat(&volume.records, DATA_SEEN, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => true,
                Err(Errno::NOENT) => false,
                // A server that takes root for nobody: the volume's user sees more.
                Err(Errno::ACCESS) if volume.remote => false,
                Err(error) => {
                    let error = std::io::Error::from(error);
                    return Err(path_failed("look for", Path::new(DATA_SEEN), error));
                }
            };
            if !noted {
                waiting.push(volume);
            }
        }
        Ok(Self {
            waiting,
            looking: None,
            next: Instant::now() + FIRST_LOOK,
            interval: FIRST_LOOK,
        })
    }

    /// When to look next.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.next)
    }

    /// Looks.
    pub(crate) fn look(&mut self) {
        self.waiting
            .retain(|volume| volume.remote || !volume.look());
        let remote = self.waiting.iter().any(|volume| volume.remote);
        if self.looking.is_none() && remote {
            self.looking = sys::fork(|| {
                sys::default_signals();
                // Each one, whatever the others hold.
                let remote = self.waiting.iter().filter(|volume| volume.remote);
                let unnoted = remote.filter(|volume| !volume.look_as_either()).count();
                i32::from(unnoted > 0)
            })
            .ok();
        }
        self.interval = (self.interval * 2).min(LAST_INTERVAL);
        self.next = Instant::now() + self.interval;
    }

    /// A child has ended: whether it was the one that looked.
    pub(crate) fn looked(&mut self, pid: Pid, exit: Exit) -> bool {
        if self.looking != Some(pid) {
            return false;
        }
        self.looking = None;
        if exit.success() {
            self.waiting.retain(|volume| !volume.remote);
        }
        true
    }

    /// Lets go of everything.
    pub(crate) fn end(&mut self) {
        self.waiting.clear();
        if let Some(pid) = self.looking.take() {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }
}

impl Watched {
    /// Whether it is on record by now that it holds data.
    fn look(&self) -> bool {
        holds_data(&self.data) && note(&self.records).is_ok()
    }

    /// The same, in a child, also as the volume's user.
    fn look_as_either(&self) -> bool {
        self.look() || as_user(&self.user, || self.look()).unwrap_or(false)
    }
}

/// Whether a directory holds anything but what its file system put there.
fn holds_data(dir: &OwnedFd) -> bool {
    let readable = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let entries = openat(dir, ".", readable, Mode::empty()).and_then(Dir::new);
    let Ok(entries) = entries else {
        return false;
    };
    let mut names = entries.flatten();
    names.any(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".." | b"lost+found"))
}

fn note(owner: &OwnedFd) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = openat(owner, DATA_SEEN, flags, Mode::RUSR | Mode::WUSR)?;
    fsync(file)?;
    let dir = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fsync(openat(owner, ".", dir, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn data_is_noted_once_it_is_there() {
        let volume = tempfile::tempdir().unwrap();
        let path = |name: &str| volume.path().join(name);
        fs::create_dir(path(DATA)).unwrap();
        fs::create_dir(path(OWNER)).unwrap();
        fs::create_dir(path("data/lost+found")).unwrap();
        let open = |name: &str| {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            openat(rustix::fs::CWD, path(name), flags, Mode::empty()).unwrap()
        };
        let watch = || {
            let watched = Watched {
                data: open(DATA),
                records: open(OWNER),
                remote: false,
                user: Identity {
                    uid: 0,
                    gid: 0,
                    groups: Vec::new(),
                },
            };
            SeenData::new(vec![watched]).unwrap()
        };
        let mut seen = watch();
        seen.look();
        assert!(seen.due().is_some());
        assert!(!path("owner/data-seen").exists());
        fs::write(path("data/x"), "x").unwrap();
        seen.look();
        assert!(seen.due().is_none());
        assert!(path("owner/data-seen").exists());
        assert!(watch().due().is_none());
    }
}

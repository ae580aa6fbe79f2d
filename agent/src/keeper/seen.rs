//! Notes beside each volume that it holds data, once it does: from then on an empty one is a loss,
//! and no member starts on it. What counts as a loss cannot be told from the volume alone, for a
//! program that never wrote anything leaves it empty too.
//!
//! The keeper looks, because it is there when data first appears: at every end of a process, and by
//! itself at growing intervals until it has seen some.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use berth_core::waiting::Reason;
use rustix::fs::{CWD, Dir, Mode, OFlags, fsync, openat};

use crate::host::path_failed;

/// The directory of the data, beneath the volume's.
pub(crate) const DATA: &str = "data";
/// The directory of the owner records, beneath the volume's.
pub(crate) const OWNER: &str = "owner";
/// The note, beneath the owner records.
pub(crate) const DATA_SEEN: &str = "data-seen";

const FIRST_LOOK: Duration = Duration::from_secs(2);
const LAST_INTERVAL: Duration = Duration::from_secs(600);

/// The volumes that were not seen with data yet.
#[derive(Debug)]
pub(crate) struct SeenData {
    waiting: Vec<(OwnedFd, OwnedFd)>,
    next: Instant,
    interval: Duration,
}

impl SeenData {
    /// Opens the volumes, in the host's mount namespace.
    pub(crate) fn open(volumes: &[PathBuf]) -> Result<Self, Reason> {
        let mut waiting = Vec::new();
        for volume in volumes {
            if !volume.join(OWNER).join(DATA_SEEN).exists() {
                waiting.push((dir(&volume.join(DATA))?, dir(&volume.join(OWNER))?));
            }
        }
        Ok(Self {
            waiting,
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
            .retain(|(data, owner)| !(holds_data(data) && note(owner).is_ok()));
        self.interval = (self.interval * 2).min(LAST_INTERVAL);
        self.next = Instant::now() + self.interval;
    }
}

fn dir(path: &Path) -> Result<OwnedFd, Reason> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).map_err(|e| path_failed("open", path, e))
}

/// Whether a directory holds anything but what its file system put there.
fn holds_data(dir: &OwnedFd) -> bool {
    let Ok(entries) = Dir::read_from(dir) else {
        return false;
    };
    let mut names = entries.flatten();
    names.any(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".." | b"lost+found"))
}

fn note(owner: &OwnedFd) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    let file = openat(owner, DATA_SEEN, flags, Mode::RUSR | Mode::WUSR)?;
    fsync(file)?;
    fsync(owner)
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
        let volumes = [volume.path().to_owned()];
        let mut seen = SeenData::open(&volumes).unwrap();
        seen.look();
        assert!(seen.due().is_some());
        assert!(!path("owner/data-seen").exists());
        fs::write(path("data/x"), "x").unwrap();
        seen.look();
        assert!(seen.due().is_none());
        assert!(path("owner/data-seen").exists());
        assert!(SeenData::open(&volumes).unwrap().due().is_none());
    }
}

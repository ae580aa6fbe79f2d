//! What a keeper reboots its host by, made ready before the member runs: what it needs is open by
//! then, so that nothing is looked up, and nothing allocated, when it is needed.

use std::{
    ffi::CString,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use berth_core::waiting::Reason;
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::watchdog;
use crate::host::{linux::SelfReboot, path_failed};

/// The word that makes the kernel reboot at once, without writing anything back.
const REBOOT: &[u8] = b"b";

/// Ready to reboot the host.
#[derive(Debug)]
pub(crate) enum Trigger {
    /// The kernel's file, or one of a test.
    File(File),
    /// A device that is armed by being opened, so it is not yet: its directory, and its name there.
    Watchdog(OwnedFd, CString),
}

impl Trigger {
    /// Makes it ready. The host's files are to be seen.
    ///
    /// # Errors
    /// `StepFailed`, with the path.
    pub(crate) fn open(by: &SelfReboot) -> Result<Self, Reason> {
        let (SelfReboot::Sysrq(path) | SelfReboot::Recorded(path) | SelfReboot::Watchdog(path)) =
            by;
        let opened = if by.is_watchdog() {
            watchdog_in(path)
        } else {
            let file = OpenOptions::new().write(true).open(path);
            file.map(Self::File)
        };
        opened.map_err(|e| path_failed("open", path, e))
    }

    /// The same once more.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::File(file) => file.try_clone().map(Self::File),
            Self::Watchdog(dir, name) => Ok(Self::Watchdog(dir.try_clone()?, name.clone())),
        }
    }

    /// Reboots the host. Calls the kernel and does nothing else.
    ///
    /// # Errors
    /// What the kernel says. Of a watchdog that somebody else has open: that it is busy. Another
    /// keeper's resets this host as well.
    pub(crate) fn fire(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(REBOOT),
            Self::Watchdog(dir, name) => {
                let flags = OFlags::WRONLY | OFlags::CLOEXEC;
                let device = openat(dir, name.as_c_str(), flags, Mode::empty())?;
                watchdog::run_out(device)
            }
        }
    }
}

fn watchdog_in(path: &Path) -> io::Result<Trigger> {
    let real = path.canonicalize()?;
    let (Some(dir), Some(name)) = (real.parent(), real.file_name()) else {
        return Err(io::ErrorKind::InvalidFilename.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(CWD, dir, flags, Mode::empty())?;
    Ok(Trigger::Watchdog(dir, CString::new(name.as_bytes())?))
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use rustix::io::Errno;

    use super::*;

    fn made(dir: &Path) -> PathBuf {
        let path = dir.join("device");
        fs::write(&path, "").unwrap();
        path
    }

    #[test]
    fn what_is_written_to_is_open_before_it_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let path = made(dir.path());
        let mut first = Trigger::open(&SelfReboot::Recorded(path.clone())).unwrap();
        let kept = dir.path().join("kept");
        fs::rename(&path, &kept).unwrap();
        first.try_clone().unwrap().fire().unwrap();
        first.fire().unwrap();
        assert_eq!(fs::read(kept).unwrap(), b"bb");
    }

    #[test]
    fn a_watchdog_is_opened_when_it_is_needed_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = made(dir.path());
        let mut trigger = Trigger::open(&SelfReboot::Watchdog(path.clone())).unwrap();
        fs::remove_file(&path).unwrap();
        let gone = trigger.fire().unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        // A plain file has no time that could be set: it was opened, and asked.
        made(dir.path());
        let told = trigger.try_clone().unwrap().fire().unwrap_err();
        assert_eq!(Errno::from_io_error(&told), Some(Errno::NOTTY));
    }
}

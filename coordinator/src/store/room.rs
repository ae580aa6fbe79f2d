//! Room on the store's disk. A write that fails in its middle ends the coordinator, because nobody knows
//! then what the disk has; so a disk that is nearly full is noticed before. Writes are refused, with
//! nothing changed, and reads go on.

use std::{fmt, io, path::Path};

use super::StoreError;

/// What is left alone: more than redb needs for what one transaction of the writer usually is, so that a
/// restart, which writes its term, still finds room.
pub(super) const RESERVE: u64 = 64 << 20;

/// Asks how many bytes are free where the store is.
pub(super) struct Room(Box<dyn Fn() -> io::Result<u64> + Send>);

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}

impl Room {
    /// The room on the file system of a file, without what is for root alone.
    pub(super) fn around(file: &Path) -> Self {
        let file = file.to_owned();
        Self::told_by(move || {
            let of = rustix::fs::statvfs(&file)?;
            Ok(of.f_bavail.saturating_mul(of.f_frsize))
        })
    }

    /// For a store that is on no file system.
    pub(super) fn endless() -> Self {
        Self::told_by(|| Ok(u64::MAX))
    }

    /// What something else says.
    pub(super) fn told_by(free: impl Fn() -> io::Result<u64> + Send + 'static) -> Self {
        Self(Box::new(free))
    }

    /// Why nothing can be written now. A file system that does not answer is left to the write to judge.
    pub(super) fn lacking(&self) -> Option<StoreError> {
        let free = self.0().ok()?;
        (free < RESERVE).then_some(StoreError::Full { free })
    }
}

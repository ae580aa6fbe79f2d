//! What a keeper leaves in its run directory, so that agents find it: a lock that lives as long as
//! it does (two keepers of one member on one host cannot be), and the run record.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use berth_core::waiting::Reason;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::host::{RunRecord, path_failed};

/// The lock's file.
pub(crate) const LOCK: &str = "lock";
/// The record's file.
pub(crate) const RECORD: &str = "record.json";
/// The socket.
pub(crate) const SOCKET: &str = "keeper.sock";

/// Takes the lock of a run directory; `None` if a living keeper has it. The kernel frees it when
/// the file is closed.
///
/// # Errors
/// `StepFailed`; also if the file was removed meanwhile: its lock keeps nobody out.
pub(crate) fn lock(run: &Path) -> Result<Option<File>, Reason> {
    let path = run.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|e| path_failed("open", &path, e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => still_there(run, &file).map(|()| Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(path_failed("lock", &path, error)),
    }
}

/// Whether a lock that was taken is the one that others find.
///
/// # Errors
/// `StepFailed` if it is not.
pub(crate) fn still_there(run: &Path, lock: &File) -> Result<(), Reason> {
    let path = run.join(LOCK);
    let failed = |e| path_failed("lock", &path, e);
    let (ours, there) = (lock.metadata().map_err(failed)?, fs::metadata(&path));
    let there = there.map_err(failed)?;
    if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
        return Ok(());
    }
    Err(path_failed("lock", &path, "it was removed meanwhile"))
}

/// Writes the record, whole or not at all.
pub(crate) fn write(run: &Path, record: &RunRecord) -> Result<(), Reason> {
    let path = run.join(RECORD);
    let new = run.join("record.json.new");
    let text = serde_json::to_vec(record).map_err(|e| path_failed("encode", &path, e))?;
    OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&new, &path))
        .map_err(|e| path_failed("write", &path, e))
}

/// The start time of a process from the text of its `/proc/<pid>/stat`, in clock ticks since boot.
pub(crate) fn start_time(stat: &str) -> Option<u64> {
    // The second field is the program's name in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_on_a_file_that_was_removed_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap().unwrap();
        assert!(lock(dir.path()).unwrap().is_none());
        still_there(dir.path(), &first).unwrap();
        fs::remove_file(dir.path().join(LOCK)).unwrap();
        still_there(dir.path(), &first).unwrap_err();
        let _second = lock(dir.path()).unwrap().unwrap();
        still_there(dir.path(), &first).unwrap_err();
    }

    #[test]
    fn a_start_time_is_read_past_a_hostile_program_name() {
        let stat = "7 (a) 1 2) 3) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 10 11";
        assert_eq!(start_time(stat), Some(4242));
        assert_eq!(start_time("7 (a"), None);
    }
}

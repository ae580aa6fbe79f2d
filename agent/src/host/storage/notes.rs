//! Notes about volumes that hold no record themselves, on the host: that one was empty before a
//! start. If its directory is still the same and was not changed since, then nothing was lost, and
//! a program that never writes (a web server) may be started again. Without such a note an empty
//! volume counts as a loss.

use std::{
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use berth_core::{ids::Uid, waiting::Reason};
use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

use crate::host::path_failed;

/// What tells a directory, and its state, from every other.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Empty {
    inode: u64,
    /// Changes whenever something is made or removed in it.
    changed: (i64, u64),
}

impl Empty {
    fn of(about: &Stat) -> Self {
        Self {
            inode: about.st_ino,
            changed: (about.st_mtime, about.st_mtime_nsec),
        }
    }
}

fn file(notes: &Path, claim: &Uid) -> Result<PathBuf, Reason> {
    // Made by the coordinator; it must not lead anywhere else for all that.
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if claim.0.is_empty() || !claim.0.chars().all(plain) {
        return Err(path_failed(
            "note about a claim in",
            notes,
            "its uid is no plain name",
        ));
    }
    Ok(notes.join(format!("{claim}.json")))
}

/// Whether it is on record that this directory was empty, and it was not changed since.
pub(crate) fn was_empty(notes: &Path, claim: &Uid, about: &Stat) -> Result<bool, Reason> {
    let path = file(notes, claim)?;
    match fs::read(&path) {
        Ok(text) => {
            Ok(serde_json::from_slice(&text).is_ok_and(|note: Empty| note == Empty::of(about)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(path_failed("read", &path, error)),
    }
}

/// Notes that a directory is empty.
pub(crate) fn note_empty(notes: &Path, claim: &Uid, about: &Stat) -> Result<(), Reason> {
    let path = file(notes, claim)?;
    let failed = |e: std::io::Error| path_failed("write", &path, e);
    let text = serde_json::to_vec(&Empty::of(about)).map_err(|e| failed(e.into()))?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(notes)
        .map_err(failed)?;
    // A note that is lost or torn says nothing: the volume is held, not started wrongly.
    let aside = path.with_extension("new");
    fs::write(&aside, text)
        .and_then(|()| fs::rename(&aside, &path))
        .map_err(failed)
}

/// Takes a note back, if there is one.
pub(crate) fn forget(notes: &Path, claim: &Uid) -> Result<(), Reason> {
    let path = file(notes, claim)?;
    match fs::remove_file(&path) {
        Ok(()) => fs::File::open(notes)
            .and_then(|dir| dir.sync_all())
            .map_err(|e| path_failed("sync", notes, e)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(path_failed("remove", &path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_untouched_directory_is_still_empty() {
        let outer = tempfile::tempdir().unwrap();
        let (notes, data) = (outer.path().join("notes"), outer.path().join("data"));
        fs::create_dir(&data).unwrap();
        let about = || rustix::fs::stat(&data).unwrap();
        let uid = Uid("u-1".to_owned());
        assert!(!was_empty(&notes, &uid, &about()).unwrap());
        note_empty(&notes, &uid, &about()).unwrap();
        assert!(was_empty(&notes, &uid, &about()).unwrap());
        forget(&notes, &uid).unwrap();
        forget(&notes, &uid).unwrap();
        assert!(!was_empty(&notes, &uid, &about()).unwrap());
        note_empty(&notes, &uid, &about()).unwrap();
        assert!(!was_empty(&notes, &Uid("u-2".to_owned()), &about()).unwrap());
        let before = about();
        fs::write(data.join("x"), "").unwrap();
        fs::remove_file(data.join("x")).unwrap();
        assert_ne!(Empty::of(&before), Empty::of(&about()));
        assert!(!was_empty(&notes, &uid, &about()).unwrap());
        assert!(note_empty(&notes, &Uid("../x".to_owned()), &about()).is_err());
    }
}

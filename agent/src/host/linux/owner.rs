//! The owner records of a volume: `owner/epoch-<term>.<counter>` beside the data, each made by an
//! exclusive create and made durable before the epoch may use the volume. The newest one counts;
//! none is ever changed or removed.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use berth_core::{
    ids::{ClaimKey, Epoch, HistoryId, Uid},
    waiting::Reason,
};
use serde::{Deserialize, Serialize};

use super::path_failed;

const PREFIX: &str = "epoch-";

/// Who may use a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnerRecord {
    /// The history of the store that granted the epoch.
    pub(super) history: HistoryId,
    /// The claim, for people.
    pub(super) claim: ClaimKey,
    /// The claim's unique id: this is what makes the volume its.
    pub(super) claim_uid: Uid,
    /// The grant.
    pub(super) epoch: Epoch,
    /// The user by name or number, as the set has it.
    pub(super) user: String,
    /// The number that this was.
    pub(super) uid: u32,
    /// The group's number.
    pub(super) gid: u32,
}

/// The newest record of a directory; `None` without any.
///
/// # Errors
/// `StepFailed`, also for a record that cannot be read: whose the volume is is not known then.
pub(super) fn newest(dir: &Path) -> Result<Option<OwnerRecord>, Reason> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(path_failed("read", dir, error)),
    };
    let mut newest: Option<(Epoch, PathBuf)> = None;
    for entry in entries {
        let entry = entry.map_err(|e| path_failed("read", dir, e))?;
        let name = entry.file_name();
        let epoch = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let Some(epoch) = epoch.and_then(|epoch| epoch.parse::<Epoch>().ok()) else {
            continue;
        };
        if newest.as_ref().is_none_or(|(best, _)| epoch > *best) {
            newest = Some((epoch, entry.path()));
        }
    }
    let Some((_, path)) = newest else {
        return Ok(None);
    };
    let text = fs::read(&path).map_err(|e| path_failed("read", &path, e))?;
    let record = serde_json::from_slice(&text);
    record
        .map(Some)
        .map_err(|e| path_failed("understand the owner record", &path, e))
}

/// Makes the record of a new epoch, durable before it returns. One that is there already is kept.
pub(super) fn advance(dir: &Path, record: &OwnerRecord) -> Result<(), Reason> {
    let path = dir.join(format!("{PREFIX}{}", record.epoch));
    let failed = |e: std::io::Error| path_failed("write the owner record", &path, e);
    let text = serde_json::to_vec_pretty(record).map_err(|e| failed(e.into()))?;
    // Written aside and linked into place: under its own name a record is always whole.
    let aside = dir.join("new");
    match fs::remove_file(&aside) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let mut options = OpenOptions::new();
    let file = options
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&aside);
    let mut file = file.map_err(failed)?;
    file.write_all(&text).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    match fs::hard_link(&aside, &path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    fs::remove_file(&aside).map_err(failed)?;
    sync_dir(dir)
}

/// Makes the entries of a directory durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), Reason> {
    let file = File::open(dir).map_err(|e| path_failed("open", dir, e))?;
    file.sync_all().map_err(|e| path_failed("sync", dir, e))
}

//! The owner records of a volume: `owner/epoch-<term>.<counter>` beside the data, each made by an
//! exclusive create and made durable before the epoch may use the volume. The newest one counts;
//! none is ever changed or removed.

use berth_core::{
    ids::{ClaimKey, Epoch, HistoryId, Uid},
    waiting::Reason,
};
use serde::{Deserialize, Serialize};

use super::dir::{Dir, Refused};
use crate::{host::path_failed, keeper::OWNER};

const PREFIX: &str = "epoch-";

/// Who may use a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnerRecord {
    /// The history of the store that granted the epoch.
    pub(crate) history: HistoryId,
    /// The claim, for people.
    pub(crate) claim: ClaimKey,
    /// The claim's unique id: this is what makes the volume its.
    pub(crate) claim_uid: Uid,
    /// The grant; zero for a volume that several members use.
    pub(crate) epoch: Epoch,
    /// The user by name or number, as the set has it.
    pub(crate) user: String,
    /// The number that this was.
    pub(crate) uid: u32,
    /// The group's number.
    pub(crate) gid: u32,
    /// The project that holds the data to its size, where one does: the data's own user can give its
    /// files to another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) project: Option<u32>,
    /// The last move that began to take the data elsewhere. No member starts here unless its order
    /// says that this move is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) departed: Option<Epoch>,
}

/// The newest record of a volume; `None` without any.
///
/// # Errors
/// As [`newest`].
pub(crate) fn of_volume(volume: &Dir) -> Result<Option<OwnerRecord>, Refused> {
    let records = volume.sub(OWNER)?;
    records.map_or(Ok(None), |records| newest(&records))
}

/// The newest record of a directory; `None` without any.
///
/// # Errors
/// `StepFailed`, also for a record that cannot be read: whose the volume is is not known then.
pub(crate) fn newest(dir: &Dir) -> Result<Option<OwnerRecord>, Refused> {
    let names = dir.names()?;
    let epochs = names.iter().filter_map(|name| {
        let epoch = name.strip_prefix(PREFIX)?.parse::<Epoch>().ok()?;
        Some((epoch, name))
    });
    let Some((_, name)) = epochs.max() else {
        return Ok(None);
    };
    let unreadable = |e: String| -> Reason {
        path_failed("understand the owner record", &dir.path().join(name), e)
    };
    let text = dir.read(name)?;
    let text = text.ok_or_else(|| unreadable("it went away".to_owned()))?;
    let record = serde_json::from_slice(&text);
    Ok(Some(record.map_err(|e| unreadable(e.to_string()))?))
}

/// Makes the record of a new epoch, durable before it returns. One that is there already is kept.
pub(crate) fn advance(dir: &Dir, record: &OwnerRecord) -> Result<(), Refused> {
    let name = format!("{PREFIX}{}", record.epoch);
    let text = serde_json::to_vec_pretty(record);
    let text = text.map_err(|e| path_failed("encode", &dir.path().join(&name), e))?;
    dir.publish(&name, &text)
}

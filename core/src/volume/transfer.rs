//! The data of a member that moves, on its way from one host to another: what the sending host says of
//! it first, and what it is asked.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{HistoryId, HostName, ObjectKey},
    state::State,
    volume::{
        Ownership,
        work::{VolumeTask, VolumeWork},
    },
};

/// How often a copy may fail before the member goes back to its data: what is passing has passed by
/// then, and the member is down all the while.
pub const TRIES: u32 = 4;

/// What a volume holds. Two that have the same hold the same, whatever file systems they are on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Weight {
    /// Files, directories, links and whatever else has a name.
    pub entries: u64,
    /// The bytes of all files.
    pub bytes: u64,
    /// SHA-256, in hexadecimal, over all names with what they are, whose they are, and what is in them.
    pub digest: String,
    /// Whose the data is, as its owner record has it; `None` if no member was ever started on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owned: Option<Owned>,
}

/// What of an owner record is the same wherever the data lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owned {
    /// The history of the store that granted its last epoch.
    pub history: HistoryId,
    /// Whose files they are.
    pub owner: Ownership,
}

/// What the host that has the data of a volume is asked, when another one receives it; `None` if
/// nothing is to be sent there.
pub fn sending(state: &State, to: &ObjectKey) -> Option<(HostName, VolumeWork)> {
    let moved_in = state.volumes.get(to)?.arriving()?;
    let from = state.volumes.get(&moved_in.from)?;
    let departs = from.moved_out.as_ref()?;
    (departs.to == *to).then_some(())?;
    let host = from.source.host()?.clone();
    let epoch = moved_in.epoch;
    let work = VolumeWork {
        volume: moved_in.from.clone(),
        owners: from.owners.clone(),
        filled: from.filled,
        source: from.source.clone(),
        deletion: from.deletions,
        task: VolumeTask::Send { epoch },
        from: None,
    };
    Some((host, work))
}

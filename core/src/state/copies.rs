//! Copies of volumes as they are recorded: snapshots, and what a volume began with.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClaimKey, ObjectKey, Uid},
    spec::DataSourceKind,
    state::Volume,
    time::Timestamp,
    volume::VolumeSource,
};

/// A copy of a volume that was or is being taken. Its data lies beside the volume, in the same pool,
/// and belongs to nobody until a claim is restored from it. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The VolumeSnapshot that asked for it.
    pub of: ObjectKey,
    /// The claim that it was taken of.
    pub claim: ClaimKey,
    /// That claim's volume.
    pub volume: ObjectKey,
    /// Where the data of that volume lay: the copy is in the same pool.
    pub source: VolumeSource,
    /// All claims that the volume was bound to: one of them is in its owner record.
    pub owners: Vec<Uid>,
    /// How large a volume must be that is restored from it, in bytes.
    pub bytes: u64,
    /// Whether members may write to the volume while it is copied: its storage does it in one
    /// instant.
    pub online: bool,
    /// How far it is.
    pub state: SnapshotState,
    /// When it was decided to take it.
    pub created_at: Timestamp,
}

/// How far a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SnapshotState {
    /// An agent is to take it.
    Taking,
    /// It is whole and durable.
    Ready {
        /// Since when.
        since: Timestamp,
    },
    /// It could not be taken; it is not tried again.
    Failed {
        /// Since when.
        since: Timestamp,
        /// Why not.
        error: String,
    },
    /// Its object is gone, and an agent is to remove its data.
    Deleting,
}

/// What the data of a volume began with. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The kind that the claim named.
    pub kind: DataSourceKind,
    /// The object that it named.
    pub object: ObjectKey,
    /// The record of the data: a snapshot's, or a volume's.
    pub record: ObjectKey,
    /// Whether members may write to that volume while it is copied.
    pub online: bool,
    /// Whether the copy is complete. Until then nobody is started on the volume.
    pub copied: bool,
}

impl Origin {
    /// As people name it.
    pub fn describe(&self) -> String {
        format!("{}/{}", self.kind.as_str(), self.object.name)
    }
}

impl Volume {
    /// What its data is still being copied from.
    pub fn copying(&self) -> Option<&Origin> {
        self.origin.as_ref().filter(|origin| !origin.copied)
    }
}

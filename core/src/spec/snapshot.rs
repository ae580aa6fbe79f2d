//! Copies of volumes: snapshots, and what a claim may begin with. The words are those of Kubernetes.

use serde::{Deserialize, Serialize};

use super::meta::ObjectMeta;

/// The API group of snapshots, as claims name it.
pub const SNAPSHOT_GROUP: &str = "snapshot.storage.k8s.io";

/// A copy of a claim's volume as it was at one time. It outlives the claim.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VolumeSnapshot {
    /// Its name, and the namespace that its claim is in.
    pub metadata: ObjectMeta,
    /// What it is taken of.
    pub spec: VolumeSnapshotSpec,
}

/// What a snapshot is taken of.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VolumeSnapshotSpec {
    /// The source; it never changes.
    pub source: VolumeSnapshotSource,
}

/// The source of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VolumeSnapshotSource {
    /// The claim, in the snapshot's namespace.
    pub persistent_volume_claim_name: String,
    /// The uid of the claim that is meant, since another may have the name before the copy is taken.
    /// Filled in with that of the claim that is there; empty means the next one of the name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub persistent_volume_claim_uid: String,
}

/// What the volume of a new claim begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataSource {
    /// `snapshot.storage.k8s.io` for a snapshot, nothing for a claim; may be left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// What kind of thing it is.
    pub kind: DataSourceKind,
    /// Its name, in the claim's namespace. In a claim template a template over the values of
    /// [`crate::template::ClaimValues`].
    #[serde(default)]
    pub name: String,
}

/// What a claim can begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DataSourceKind {
    /// A snapshot: the claim restores it.
    VolumeSnapshot,
    /// Another claim: the volume is cloned as it is then.
    PersistentVolumeClaim,
}

impl DataSourceKind {
    /// The name as manifests have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VolumeSnapshot => "VolumeSnapshot",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
        }
    }
}

//! Where volumes come from: classes that make them, and volumes that operators made by hand.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    lenient,
    meta::ObjectMeta,
    volume::{AccessMode, VolumeMode, storage},
};
use crate::{
    ids::ObjectKey,
    volume::{NfsOptions, NfsSource},
};

/// The annotation that makes a class the one of claims that name none; as in Kubernetes.
pub const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// A way to make volumes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StorageClass {
    /// Its name; classes have no namespace of their own and live in `default`.
    pub metadata: ObjectMeta,
    /// What makes the volumes.
    pub provisioner: Provisioner,
    /// How it makes them.
    pub parameters: ClassParameters,
    /// What becomes of a volume whose claim is deleted; `Retain` when left out.
    pub reclaim_policy: ReclaimPolicy,
    /// Whether claims may ask for more later.
    pub allow_volume_expansion: bool,
    /// When a claim gets its volume: `WaitForFirstConsumer` for `local`, where the host must be
    /// known first, else `Immediate`, when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_binding_mode: Option<BindingMode>,
    /// Options of the mount, each one of those that are known ([`crate::volume::NfsOptions`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mount_options: Vec<String>,
}

impl StorageClass {
    /// Whether claims that name no class get this one.
    pub fn is_default(&self) -> bool {
        let annotation = self.metadata.annotations.get(DEFAULT_CLASS);
        annotation.is_some_and(|text| text == "true")
    }

    /// When a claim gets its volume.
    pub fn binding_mode(&self) -> BindingMode {
        self.volume_binding_mode.unwrap_or(match self.provisioner {
            Provisioner::Local => BindingMode::WaitForFirstConsumer,
            Provisioner::Nfs | Provisioner::NoProvisioner => BindingMode::Immediate,
        })
    }
}

/// What makes volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Provisioner {
    /// A pool of the member's host.
    #[default]
    Local,
    /// A directory of an NFS export.
    Nfs,
    /// Nothing: the class only sorts volumes that were made by hand.
    #[serde(rename = "kubernetes.io/no-provisioner")]
    NoProvisioner,
}

/// Whether the volumes of a class are held to their sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum LimitPolicy {
    /// Where their pool can do that: a pool of images, or directories on a file system with project
    /// quota.
    #[default]
    IfPossible,
    /// Always: a pool that cannot do that takes none.
    Required,
}

impl LimitPolicy {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a class makes volumes. `pool` and `limits` belong to `local`, the others to `nfs`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClassParameters {
    /// The pool of the hosts; `default` when left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pool: String,
    /// Whether a pool must hold its volumes to their sizes.
    #[serde(skip_serializing_if = "LimitPolicy::is_default")]
    pub limits: LimitPolicy,
    /// The NFS server: a name or an address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// The exported path that holds the claims' directories.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub share: String,
    /// The protocol version: `3`, `4.0`, `4.1` or `4.2` (when left out).
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub version: Option<String>,
    /// The name of a claim's directory, a template over the values of
    /// [`crate::template::ClaimValues`]; `{{ namespace }}_{{ claim }}` when left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_dir: String,
}

/// What becomes of a volume whose claim is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum ReclaimPolicy {
    /// It stays, `Released`, until an operator says what to do.
    #[default]
    Retain,
    /// It goes to the trash.
    Delete,
}

/// When a claim gets its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BindingMode {
    /// As soon as it is there.
    Immediate,
    /// When a member that uses it has a host.
    WaitForFirstConsumer,
}

/// A volume: made by hand, or by a class for one claim.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PersistentVolume {
    /// Its name and labels; volumes have no namespace of their own and live in `default`.
    pub metadata: ObjectMeta,
    /// What it is.
    pub spec: PersistentVolumeSpec,
}

/// What a volume is. Exactly one source is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PersistentVolumeSpec {
    /// `storage`, as a quantity.
    #[serde(deserialize_with = "lenient::texts")]
    pub capacity: BTreeMap<String, String>,
    /// Who may use it at the same time: all that a claim may ask of it.
    pub access_modes: Vec<AccessMode>,
    /// What becomes of it when its claim is deleted; only `Retain` for one made by hand.
    pub persistent_volume_reclaim_policy: ReclaimPolicy,
    /// Only claims of this class get it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub storage_class_name: String,
    /// The one claim that may have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_ref: Option<ClaimRef>,
    /// Options of the mount, each one of those that are known ([`crate::volume::NfsOptions`]).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mount_options: Vec<String>,
    /// `Filesystem`, the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_mode: Option<VolumeMode>,
    /// `Existing`: the data that is on it becomes its first claim's. Without it a first claim gets
    /// only an empty volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<Adopt>,
    /// A directory of an NFS server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nfs: Option<NfsVolumeSource>,
}

impl PersistentVolumeSpec {
    /// Its size in bytes.
    pub fn storage(&self) -> u64 {
        storage(&self.capacity)
    }

    /// Where its data is, and how it is mounted; validation sees to it that there is one.
    pub fn nfs_source(&self) -> Option<NfsSource> {
        let nfs = self.nfs.as_ref()?;
        let options = NfsOptions::parse(&self.mount_options).ok()?;
        Some(NfsSource {
            server: nfs.server.clone(),
            path: nfs.path.clone(),
            sub_dir: None,
            version: options.version().unwrap_or_default(),
            options,
            read_only: nfs.read_only,
        })
    }
}

/// What a first claim may find on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Adopt {
    /// Data, which becomes the claim's.
    Existing,
}

/// Names a claim.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClaimRef {
    /// Its namespace; `default` when left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its unique id, if only one certain claim of that name may have it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Ignored: it is a PersistentVolumeClaim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
}

impl ClaimRef {
    /// The claim's key, if both names are labels; validation sees to that.
    pub fn key(&self) -> Option<ObjectKey> {
        let meta = ObjectMeta {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            ..ObjectMeta::default()
        };
        meta.key().ok()
    }
}

/// A directory of an NFS server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NfsVolumeSource {
    /// The server: a name or an address.
    pub server: String,
    /// The exported path.
    pub path: String,
    /// Whether it is mounted read-only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

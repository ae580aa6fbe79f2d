//! Claims to volumes, the templates that make them, and where a template uses a claim that several
//! members share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{lenient, meta::ObjectMeta, set::LabelSelector, snapshot::DataSource};

/// Makes one claim per member, `<template>-<set>-<ordinal>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClaimTemplate {
    /// The template's name, and labels for the claims.
    pub metadata: ObjectMeta,
    /// What each claim asks for. The values of its selector and the name of its data source are
    /// templates over those of
    /// [`crate::template::ClaimValues`], such as `{{ ordinal }}`.
    pub spec: PersistentVolumeClaimSpec,
}

/// A claim to a volume. It outlives the set that uses it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PersistentVolumeClaim {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What it asks for.
    pub spec: PersistentVolumeClaimSpec,
}

/// What a claim asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PersistentVolumeClaimSpec {
    /// Who may use the volume at the same time.
    pub access_modes: Vec<AccessMode>,
    /// How much of it.
    pub resources: ClaimResources,
    /// The class: the default one when left out; `""` asks for a volume that was made by hand and
    /// has no class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// Labels that the volume must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// The one volume that is asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_name: String,
    /// `Filesystem`, the only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_mode: Option<VolumeMode>,
    /// What its volume begins with; an empty one when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source: Option<DataSource>,
}

/// What a volume is to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VolumeMode {
    /// A directory.
    Filesystem,
}

/// Who may use a volume at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AccessMode {
    /// One host.
    ReadWriteOnce,
    /// Any, to read.
    ReadOnlyMany,
    /// Any.
    ReadWriteMany,
    /// One member.
    ReadWriteOncePod,
}

impl AccessMode {
    /// The short form that tables show.
    pub fn short(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "RWO",
            Self::ReadOnlyMany => "ROX",
            Self::ReadWriteMany => "RWX",
            Self::ReadWriteOncePod => "RWOP",
        }
    }
}

/// How much a claim asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClaimResources {
    /// `storage`, as a quantity.
    #[serde(deserialize_with = "lenient::texts")]
    pub requests: BTreeMap<String, String>,
}

impl PersistentVolumeClaimSpec {
    /// How many bytes are asked for; 0 if nothing is said.
    pub fn storage(&self) -> u64 {
        storage(&self.resources.requests)
    }
}

/// The bytes of a `storage` entry; validation excludes one that is no quantity.
pub(crate) fn storage(amounts: &BTreeMap<String, String>) -> u64 {
    let quantity = amounts.get("storage").and_then(|text| text.parse().ok());
    let bytes = quantity.and_then(|quantity: crate::quantity::Quantity| quantity.units().ok());
    bytes.unwrap_or_default()
}

/// A volume of the template that is not made per member: all members use the same claim.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MemberVolume {
    /// The name that `volumeMounts` refer to.
    pub name: String,
    /// Whose volume it is.
    pub persistent_volume_claim: ClaimReference,
}

/// Names a claim in the set's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClaimReference {
    /// The claim.
    pub claim_name: String,
    /// Whether no process may write to it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

//! Claims to volumes, and the templates that make them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{lenient, meta::ObjectMeta};

/// Makes one claim per member, `<template>-<set>-<ordinal>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClaimTemplate {
    /// The template's name, and labels for the claims.
    pub metadata: ObjectMeta,
    /// What each claim asks for.
    pub spec: PersistentVolumeClaimSpec,
}

/// A member's claim to a volume. It outlives its set.
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
    /// The class; a local pool named `default` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
}

/// Who may use a volume at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AccessMode {
    /// One host.
    ReadWriteOnce,
    /// One member.
    ReadWriteOncePod,
}

/// How much a claim asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClaimResources {
    /// `storage`, as a quantity.
    #[serde(deserialize_with = "lenient::texts")]
    pub requests: BTreeMap<String, String>,
}

//! What every object has: kind, name, labels, and what the coordinator adds.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{IdError, ObjectKey},
    time::Timestamp,
};

/// The kinds of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `sts`
    StatefulSet,
    /// `svc`
    Service,
    /// `cm`
    ConfigMap,
    /// `secret`
    Secret,
    /// `pool`
    AddressPool,
    /// `sc`
    StorageClass,
    /// `pv`
    PersistentVolume,
    /// `pvc`
    PersistentVolumeClaim,
    /// `vs`
    VolumeSnapshot,
}

impl Kind {
    /// Every kind, in the order in which a manifest's objects are stored.
    pub const ALL: [Self; 9] = [
        Self::AddressPool,
        Self::ConfigMap,
        Self::Secret,
        Self::Service,
        Self::StorageClass,
        Self::PersistentVolume,
        Self::PersistentVolumeClaim,
        Self::VolumeSnapshot,
        Self::StatefulSet,
    ];

    /// The name as manifests have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StatefulSet => "StatefulSet",
            Self::Service => "Service",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::AddressPool => "AddressPool",
            Self::StorageClass => "StorageClass",
            Self::PersistentVolume => "PersistentVolume",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::VolumeSnapshot => "VolumeSnapshot",
        }
    }

    /// The short name of the command line.
    pub fn short(self) -> &'static str {
        match self {
            Self::StatefulSet => "sts",
            Self::Service => "svc",
            Self::ConfigMap => "cm",
            Self::Secret => "secret",
            Self::AddressPool => "pool",
            Self::StorageClass => "sc",
            Self::PersistentVolume => "pv",
            Self::PersistentVolumeClaim => "pvc",
            Self::VolumeSnapshot => "vs",
        }
    }

    /// The name of several.
    pub fn plural(self) -> String {
        match self {
            Self::StorageClass => "StorageClasses".to_owned(),
            Self::StatefulSet
            | Self::Service
            | Self::ConfigMap
            | Self::Secret
            | Self::AddressPool
            | Self::PersistentVolume
            | Self::PersistentVolumeClaim
            | Self::VolumeSnapshot => format!("{self}s"),
        }
    }

    /// Whether an object is among those of a namespace; all are among those of the empty one, and
    /// those of the cluster among those of each.
    pub fn is_in(self, namespace: &str, key: &ObjectKey) -> bool {
        namespace.is_empty() || self.is_cluster_scoped() || key.namespace.as_str() == namespace
    }

    /// Whether its objects belong to the cluster instead of a namespace; they live in `default`.
    pub fn is_cluster_scoped(self) -> bool {
        match self {
            Self::AddressPool | Self::StorageClass | Self::PersistentVolume => true,
            Self::StatefulSet
            | Self::Service
            | Self::ConfigMap
            | Self::Secret
            | Self::PersistentVolumeClaim
            | Self::VolumeSnapshot => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = IdError;
    /// Takes the kind's name in any case, its plural, or its short name.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let lower = text.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|kind| {
                let name = kind.as_str().to_ascii_lowercase();
                lower == name
                    || lower.strip_suffix('s').is_some_and(|one| one == name)
                    || lower.strip_suffix("es").is_some_and(|one| one == name)
                    || lower == kind.short()
            })
            .ok_or_else(|| IdError::Shape {
                text: text.to_owned(),
                expected: "a kind; use sts, svc, cm, secret, pool, sc, pv, pvc or vs",
            })
    }
}

/// Metadata of an object. The operator writes name, namespace, labels and annotations; the rest
/// belongs to the coordinator and is ignored in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ObjectMeta {
    /// The name, a DNS label.
    pub name: String,
    /// The namespace; `default` when left out.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Labels for selection.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Notes of people and tools; Berth gives them no meaning.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Unique id of this object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The store revision of the last change.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Grows with every change of the spec.
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: u64,
    /// When the object was made.
    #[serde(with = "super::instant", skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<Timestamp>,
    /// When its deletion was asked for.
    #[serde(with = "super::instant", skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<Timestamp>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl ObjectMeta {
    /// The object's key; an empty namespace is `default`.
    ///
    /// # Errors
    /// If name or namespace is not a DNS label; validation excludes it.
    pub fn key(&self) -> Result<ObjectKey, IdError> {
        let namespace = if self.namespace.is_empty() {
            crate::ids::Namespace::default()
        } else {
            self.namespace.parse()?
        };
        Ok(ObjectKey {
            namespace,
            name: self.name.parse()?,
        })
    }
}

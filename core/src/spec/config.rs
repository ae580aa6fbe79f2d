//! ConfigMap and Secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{meta::ObjectMeta, secret::Sealed};

/// Plain configuration, by key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConfigMap {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// Whether it never changes again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
    /// Texts by key.
    pub data: BTreeMap<String, String>,
}

/// Configuration that is never shown, by key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Secret {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// Whether it never changes again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
    /// As in Kubernetes; Berth gives it no meaning.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub secret_type: Option<String>,
    /// Values in base64, by key.
    pub data: BTreeMap<String, Sealed>,
    /// Values as plain text, by key; folded into `data` on admission.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub string_data: BTreeMap<String, Sealed>,
}

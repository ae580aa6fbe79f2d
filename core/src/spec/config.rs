//! ConfigMap and Secret.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
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

/// Where `kubectl apply` keeps the whole object, values included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Secret {
    /// Puts the length of each value in its place, so that it can be shown. It is no base64, so
    /// that nobody stores it by mistake.
    pub fn seal(&mut self) {
        let sealed = |length: usize| Sealed::new(format!("<sealed, {length} bytes>"));
        for value in self.data.values_mut() {
            let decoded = STANDARD.decode(value.expose());
            *value = sealed(decoded.map_or_else(|_| value.expose().len(), |bytes| bytes.len()));
        }
        for value in self.string_data.values_mut() {
            *value = sealed(value.expose().len());
        }
        self.metadata.annotations.remove(LAST_APPLIED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_tells_its_keys_and_lengths_alone() {
        let mut secret = Secret::default();
        let value = Sealed::new("aHVudGVyMg==".to_owned());
        secret.data.insert("a".to_owned(), value);
        let plain = Sealed::new("hunter2".to_owned());
        secret.string_data.insert("b".to_owned(), plain);
        let note = r#"{"data":{"a":"aHVudGVyMg=="}}"#.to_owned();
        let annotations = &mut secret.metadata.annotations;
        annotations.insert(LAST_APPLIED.to_owned(), note);
        secret.seal();
        let shown = serde_json::to_string(&secret).unwrap();
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"));
        assert_eq!(shown.matches("<sealed, 7 bytes>").count(), 2, "{shown}");
    }
}

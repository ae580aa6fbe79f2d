//! Names, labels and annotations.

use std::collections::BTreeMap;

use super::Problems;
use crate::{
    ids::{MAX_LABEL, check_label},
    spec::{Kind, ObjectMeta},
};

/// Name, namespace and labels of an object.
pub(super) fn object(problems: &mut Problems, kind: Kind, meta: &ObjectMeta) {
    problems.check("metadata.name", check_label(&meta.name));
    if kind.is_cluster_scoped() {
        if !["", "default"].contains(&meta.namespace.as_str()) {
            problems.add(
                "metadata.namespace",
                format!("a {kind} belongs to no namespace; remove it"),
            );
        }
    } else if !meta.namespace.is_empty() {
        problems.check("metadata.namespace", check_label(&meta.namespace));
    }
    notes(problems, "metadata", meta);
}

/// Labels and annotations, wherever they are.
pub(super) fn notes(problems: &mut Problems, at: &str, meta: &ObjectMeta) {
    labels(problems, &format!("{at}.labels"), &meta.labels);
    for name in meta.annotations.keys() {
        problems.check(format!("{at}.annotations.{name}"), label_key(name));
    }
}

/// The annotations that said the class before there was a field for it.
pub(super) fn old_class(problems: &mut Problems, at: &str, meta: &ObjectMeta) {
    for old in [
        "volume.alpha.kubernetes.io/storage-class",
        "volume.beta.kubernetes.io/storage-class",
    ] {
        replaced(problems, at, meta, old, "spec.storageClassName");
    }
}

/// An annotation that had a meaning and that manifests of that time still have: it is refused,
/// because it would be ignored.
pub(super) fn replaced(
    problems: &mut Problems,
    at: &str,
    meta: &ObjectMeta,
    old: &str,
    instead: &str,
) {
    if meta.annotations.contains_key(old) {
        problems.add(
            format!("{at}.annotations.{old}"),
            format!("this annotation has no meaning any more; write {instead}"),
        );
    }
}

/// Labels by the rules of Kubernetes.
pub(super) fn labels(problems: &mut Problems, at: &str, labels: &BTreeMap<String, String>) {
    for (name, value) in labels {
        let field = format!("{at}.{name}");
        problems.check(&field, label_key(name));
        problems.check(field, label_value(value));
    }
}

/// Checks the value of a label.
pub(crate) fn label_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_word(value) {
        return Ok(());
    }
    Err(format!(
        "'{value}' is not a label value; use at most {MAX_LABEL} of a-z, A-Z, 0-9, '-', '_', '.', \
         and begin and end with a letter or digit"
    ))
}

/// Checks the name of a label.
pub(super) fn label_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_is_dns = prefix.is_none_or(|prefix| {
        prefix.len() <= 253 && prefix.split('.').all(|label| check_label(label).is_ok())
    });
    if prefix_is_dns && is_word(name) {
        return Ok(());
    }
    Err(format!(
        "'{key}' is not a label name; use at most {MAX_LABEL} of a-z, A-Z, 0-9, '-', '_', '.', \
         with a DNS name and '/' before it if needed"
    ))
}

/// Checks the type of a condition, which has the form of a label's name.
///
/// # Errors
/// What it should look like.
pub fn condition_type(text: &str) -> Result<(), String> {
    label_key(text).map_err(|_| {
        format!(
            "'{text}' is not a type of a condition; use at most {MAX_LABEL} of a-z, A-Z, 0-9, '-', \
             '_', '.', with a DNS name and '/' before it if needed"
        )
    })
}

/// Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn is_word(text: &str) -> bool {
    let bytes = text.as_bytes();
    let end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    bytes.len() <= MAX_LABEL
        && end(bytes.first())
        && end(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

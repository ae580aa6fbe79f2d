//! Rules about ConfigMaps and Secrets. No message shows a secret value.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Problems;
use crate::spec::{ConfigMap, Secret};

pub(super) fn config_map(problems: &mut Problems, map: &ConfigMap) {
    for name in map.data.keys() {
        key(problems, "data", name);
    }
}

pub(super) fn secret(problems: &mut Problems, secret: &Secret) {
    for (name, value) in &secret.data {
        key(problems, "data", name);
        let text: String = value.expose().split_whitespace().collect();
        let field = format!("data.{name}");
        match STANDARD.decode(text) {
            Err(_) => problems.add(
                field,
                "the value is not base64; encode it, or give it as it is under stringData",
            ),
            Ok(bytes) if std::str::from_utf8(&bytes).is_err() => problems.add(
                field,
                "the decoded value is not UTF-8 text; binary values are not supported",
            ),
            Ok(_) => {}
        }
    }
    for name in secret.string_data.keys() {
        key(problems, "stringData", name);
    }
}

/// A key becomes a file name or part of a variable's name.
fn key(problems: &mut Problems, at: &str, key: &str) {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let good = (1..=253).contains(&key.len()) && key.bytes().all(inner);
    if !good || key == "." || key.starts_with("..") {
        problems.add(
            format!("{at}.{key}"),
            format!("'{key}' is not a key; use at most 253 of a-z, A-Z, 0-9, '-', '_' and '.'"),
        );
    }
}

//! What changes of an object, field by field. Values of secrets are never told.

use serde_json::Value;

use crate::spec::{Kind, Object};

/// One field that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Where: `spec.template.spec.processes[0].command`.
    pub path: String,
    /// What it was, as JSON; `None` if it was not there, or if it is nobody's business.
    pub old: Option<String>,
    /// What it is to be.
    pub new: Option<String>,
    /// Whether both are withheld because they are secret.
    pub secret: bool,
}

/// What changes from one form of an object to another. What the coordinator keeps of itself in the
/// metadata is left out.
pub fn diff(old: &Object, new: &Object) -> Vec<FieldChange> {
    let (Some(old_value), Some(new_value)) = (value(old), value(new)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    compare(
        String::new(),
        Some(&old_value),
        Some(&new_value),
        &mut found,
    );
    if new.kind() == Kind::Secret {
        for change in &mut found {
            hide(change);
        }
    }
    found
}

fn hide(change: &mut FieldChange) {
    let data = ["data", "stringData"].iter().any(|field| {
        let rest = change.path.strip_prefix(field);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    });
    if data {
        change.secret = true;
        (change.old, change.new) = (None, None);
    }
}

/// The object as a manifest has it.
fn value(object: &Object) -> Option<Value> {
    let mut value = serde_json::to_value(object).ok()?;
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        for field in [
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
        ] {
            metadata.remove(field);
        }
    }
    Some(value)
}

fn compare(path: String, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<FieldChange>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                compare(below(&path, key), old.get(key), new.get(key), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if same_kind(old, new) => {
            for at in 0..old.len().max(new.len()) {
                compare(format!("{path}[{at}]"), old.get(at), new.get(at), found);
            }
        }
        (old, new) => found.push(FieldChange {
            path,
            old: old.map(Value::to_string),
            new: new.map(Value::to_string),
            secret: false,
        }),
    }
}

/// Lists of objects are compared one by one; plain ones read best whole.
fn same_kind(old: &[Value], new: &[Value]) -> bool {
    old.iter().chain(new).all(Value::is_object)
}

fn below(path: &str, key: &str) -> String {
    // A key that is no plain word, as of annotations, is told apart from the path.
    let plain = key
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match (path.is_empty(), plain) {
        (true, true) => key.to_owned(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[\"{key}\"]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::spec,
        spec::{ConfigMap, Sealed, Secret, StatefulSet},
    };

    fn told(old: &Object, new: &Object) -> Vec<String> {
        let lines = diff(old, new).into_iter().map(|one| {
            let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            format!("{}: {} -> {}", one.path, text(one.old), text(one.new))
        });
        lines.collect()
    }

    #[test]
    fn fields_are_told_by_their_path() {
        let old = StatefulSet {
            spec: spec(3, true),
            ..StatefulSet::default()
        };
        let mut new = old.clone();
        new.metadata.generation = 4;
        new.spec.replicas = Some(2);
        new.spec.template.spec.processes[0]
            .command
            .push("-v".to_owned());
        let notes = &mut new.metadata.annotations;
        notes.insert("example.com/note".to_owned(), "x".to_owned());
        assert_eq!(
            told(&Object::StatefulSet(old.clone()), &Object::StatefulSet(new)),
            [
                r#"metadata.annotations: - -> {"example.com/note":"x"}"#,
                "spec.replicas: 3 -> 2",
                r#"spec.template.spec.processes[0].command: ["/bin/app"] -> ["/bin/app","-v"]"#,
            ]
        );
        let same = Object::StatefulSet(old);
        assert_eq!(told(&same, &same), [""; 0]);
    }

    #[test]
    fn keys_of_a_config_are_told_apart() {
        let map = |value: &str| {
            let mut map = ConfigMap::default();
            map.data.insert("my.cnf".to_owned(), value.to_owned());
            Object::ConfigMap(map)
        };
        assert_eq!(
            told(&map("a"), &map("b")),
            [r#"data["my.cnf"]: "a" -> "b""#]
        );
    }

    #[test]
    fn nothing_is_told_of_a_secret_but_that_it_changes() {
        let secret = |key: &str, value: &str| {
            let mut secret = Secret::default();
            secret
                .data
                .insert(key.to_owned(), Sealed::new(value.to_owned()));
            Object::Secret(secret)
        };
        let changes = diff(&secret("a", "canary1"), &secret("a", "canary2"));
        assert!(changes.iter().all(|one| one.secret));
        let text = format!("{changes:?}");
        assert!(
            text.contains("data.a") && !text.contains("canary"),
            "{text}"
        );
        let text = format!(
            "{:?}",
            diff(&secret("a", "canary1"), &secret("b", "canary2"))
        );
        assert!(!text.contains("canary"), "{text}");
    }
}

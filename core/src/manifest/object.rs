//! One document to one object: its kind, its fields, its rules.

use serde_json::{Map, Value};

use super::{
    decode::{Decoded, Finding, decode, field_of},
    messages::nearest,
    origin::{Origin, UPSTREAM, Violation},
};
use crate::spec::{Kind, Object, validate};

/// What only the coordinator writes; ignored when an operator sends it back.
const COORDINATOR_FIELDS: [&str; 7] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "selfLink",
];

/// The object that a tree describes, or all that is wrong with it.
pub(super) fn read(
    tree: Value,
    origin: &Origin,
    default_namespace: &str,
) -> Result<Object, Vec<Violation>> {
    let Value::Object(mut map) = tree else {
        return Err(vec![origin.violation(
            None,
            "",
            "an object is a mapping with apiVersion, kind and metadata; write one",
        )]);
    };
    let name = format!("{}/{}", text(&map, "kind"), name_of(&map));
    let about = (name != "/").then_some(name.as_str());
    let kind = envelope(&mut map, origin, about)?;
    if kind == Kind::StatefulSet {
        own_words(&mut map);
    }
    let (object, mut found) = fields(kind, map);
    let removed: Vec<String> = found
        .iter()
        .flat_map(|f| std::iter::once(&f.path).chain(&f.meant))
        .map(|path| field_of(path))
        .collect();
    let mut violations: Vec<Violation> = found
        .drain(..)
        .map(|finding| tell(&finding, origin, about))
        .collect();
    let Some(mut object) = object else {
        return Err(violations);
    };
    for problem in validate::validate(&object) {
        let unsure = removed.iter().any(|path| follows(&problem.field, path));
        if !unsure && !depends(kind, &removed, &problem.field) {
            violations.push(origin.violation(about, &problem.field, &problem.message));
        }
    }
    if !violations.is_empty() {
        violations.sort_by_key(|v| (v.line, v.column));
        return Err(violations);
    }
    let meta = object.meta_mut();
    if meta.namespace.is_empty() && !kind.is_cluster_scoped() {
        default_namespace.clone_into(&mut meta.namespace);
    }
    Ok(object)
}

fn tell(finding: &Finding, origin: &Origin, about: Option<&str>) -> Violation {
    let field = field_of(&finding.path);
    if finding.key {
        origin.key_violation(about, &field, &finding.message)
    } else {
        origin.violation(about, &field, &finding.message)
    }
}

/// Reads what a pod has under our words, so that a manifest of Kubernetes is told what else is wrong
/// with it. What is there under both is left alone, and refused.
fn own_words(map: &mut Map<String, Value>) {
    let below = ["spec", "template", "spec"];
    let member = below
        .into_iter()
        .try_fold(map, |map, key| map.get_mut(key)?.as_object_mut());
    let Some(member) = member else { return };
    for (upstream, own) in UPSTREAM {
        if !member.contains_key(own)
            && let Some(value) = member.remove(upstream)
        {
            member.insert(own.to_owned(), value);
        }
    }
}

/// Whether a problem may only be there because a field could not be read: it is that field, lies
/// in it, or is about the whole that the field belongs to.
fn follows(problem: &str, removed: &str) -> bool {
    let lies_in = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let parent = removed.rsplit_once('.').map_or("", |(parent, _)| parent);
    lies_in(problem, removed) || problem == parent
}

/// Whether a problem may only be there because the word that decides about it could not be read:
/// which parameters a class has depends on its provisioner.
fn depends(kind: Kind, removed: &[String], problem: &str) -> bool {
    kind == Kind::StorageClass
        && removed.iter().any(|path| path == "provisioner")
        && !problem.starts_with("metadata")
}

fn text<'a>(map: &'a Map<String, Value>, key: &str) -> &'a str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn name_of(map: &Map<String, Value>) -> &str {
    let meta = map.get("metadata").and_then(Value::as_object);
    meta.map_or("", |meta| text(meta, "name"))
}

/// Checks `apiVersion` and `kind`, and takes them away with what the coordinator writes.
fn envelope(
    map: &mut Map<String, Value>,
    origin: &Origin,
    about: Option<&str>,
) -> Result<Kind, Vec<Violation>> {
    let mut violations = Vec::new();
    let mut refuse = |field: &str, message: &str| {
        violations.push(origin.violation(about, field, message));
    };
    let kind = map.remove("kind");
    let version = map.remove("apiVersion");
    let known = Kind::ALL.map(Kind::as_str);
    let found = kind.as_ref().and_then(Value::as_str).and_then(|text| {
        let found = Kind::ALL.into_iter().find(|kind| kind.as_str() == text);
        if found.is_none() {
            let meant = nearest(text, &known);
            let meant = meant.map(|near| format!("did you mean {near}? "));
            let message = format!(
                "there is no kind '{text}'; {}the kinds are {}",
                meant.unwrap_or_default(),
                known.join(", ")
            );
            refuse("kind", &message);
        }
        found
    });
    if !kind.as_ref().is_some_and(Value::is_string) {
        refuse("kind", "no kind is given; give one, such as StatefulSet");
    }
    match version.as_ref().and_then(Value::as_str) {
        None => refuse("apiVersion", "no apiVersion is given; give berth/v1"),
        Some(text) if found.is_none_or(|kind| accepts(kind, text)) => {}
        Some(text) => refuse(
            "apiVersion",
            &format!("'{text}' is not known for this kind; give berth/v1"),
        ),
    }
    map.remove("status");
    if let Some(Value::Object(meta)) = map.get_mut("metadata") {
        for field in COORDINATOR_FIELDS {
            meta.remove(field);
        }
    }
    match found {
        Some(kind) if violations.is_empty() => Ok(kind),
        Some(_) | None => Err(violations),
    }
}

/// The versions that a kind may be written with: ours, and that of the same kind in Kubernetes.
fn accepts(kind: Kind, version: &str) -> bool {
    let upstream = match kind {
        Kind::StatefulSet => Some("apps/v1"),
        Kind::Service
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::PersistentVolume
        | Kind::PersistentVolumeClaim => Some("v1"),
        Kind::StorageClass => Some("storage.k8s.io/v1"),
        Kind::VolumeSnapshot => Some("snapshot.storage.k8s.io/v1"),
        Kind::AddressPool => None,
    };
    version == "berth/v1" || Some(version) == upstream
}

fn fields(kind: Kind, map: Map<String, Value>) -> (Option<Object>, Vec<Finding>) {
    let tree = Value::Object(map);
    match kind {
        Kind::StatefulSet => of(decode(tree, false), Object::StatefulSet),
        Kind::Service => of(decode(tree, false), Object::Service),
        Kind::ConfigMap => of(decode(tree, false), Object::ConfigMap),
        Kind::Secret => of(decode(tree, true), Object::Secret),
        Kind::AddressPool => of(decode(tree, false), Object::AddressPool),
        Kind::StorageClass => of(decode(tree, false), Object::StorageClass),
        Kind::PersistentVolume => of(decode(tree, false), Object::PersistentVolume),
        Kind::PersistentVolumeClaim => of(decode(tree, false), Object::PersistentVolumeClaim),
        Kind::VolumeSnapshot => of(decode(tree, false), Object::VolumeSnapshot),
    }
}

fn of<T>(decoded: Decoded<T>, wrap: fn(T) -> Object) -> (Option<Object>, Vec<Finding>) {
    (decoded.value.map(wrap), decoded.findings)
}

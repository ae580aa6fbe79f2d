//! Tables of stored objects, one set of columns per kind.

use std::collections::BTreeMap;

use berth_core::{
    quantity::Quantity,
    spec::{Kind, storage::DEFAULT_CLASS},
    time::Timestamp,
};
use berth_proto::v1;
use serde_json::Value;

use super::{age::short, status::yes, table::Table};

/// Where the status of a set is found: by namespace and name.
pub(crate) type Statuses = BTreeMap<(String, String), v1::SetStatus>;

/// What a table of objects needs to know beside the objects.
#[derive(Debug)]
pub(crate) struct Context {
    /// More columns.
    pub(crate) wide: bool,
    /// A first column with the namespace.
    pub(crate) with_namespace: bool,
    /// The time now.
    pub(crate) now: Timestamp,
    /// For sets only.
    pub(crate) statuses: Statuses,
}

/// Objects of one kind.
pub(crate) fn table(kind: Kind, objects: &[Value], context: &Context) -> String {
    let mut header = vec!["NAME"];
    if context.with_namespace {
        header.insert(0, "NAMESPACE");
    }
    header.extend(columns(kind, context.wide));
    header.push("AGE");
    let mut table = Table::new(&header);
    for object in objects {
        let mut row = vec![text(object, "/metadata/name")];
        if context.with_namespace {
            row.insert(0, text(object, "/metadata/namespace"));
        }
        row.extend(cells(kind, object, context));
        row.push(age(object, context.now));
        table.row(row);
    }
    table.render()
}

fn columns(kind: Kind, wide: bool) -> Vec<&'static str> {
    let (always, more): (&[_], &[_]) = match kind {
        Kind::StatefulSet => (&["READY"], &["GATE", "FOUNDED", "SERVICE"]),
        Kind::Service => (&["SELECTOR", "PORTS"], &[]),
        Kind::ConfigMap | Kind::Secret => (&["DATA"], &["KEYS"]),
        Kind::AddressPool => (&["CIDR", "DEFAULT"], &[]),
        Kind::StorageClass => (
            &["PROVISIONER", "RECLAIM POLICY", "DEFAULT"],
            &["BINDING MODE", "EXPANSION"],
        ),
        Kind::PersistentVolume => (
            &["CAPACITY", "ACCESS MODES", "STATUS", "CLAIM", "CLASS"],
            &["SOURCE", "RECLAIM POLICY"],
        ),
        Kind::PersistentVolumeClaim => (
            &["STATUS", "VOLUME", "STORAGE", "CLASS", "WHY NOT"],
            &["ACCESS MODES", "SOURCE", "USED BY"],
        ),
        Kind::VolumeSnapshot => (&["READY", "CLAIM", "SIZE", "WHY NOT"], &["SOURCE", "HOST"]),
    };
    let mut columns = always.to_vec();
    if wide {
        columns.extend(more);
    }
    columns
}

fn cells(kind: Kind, object: &Value, context: &Context) -> Vec<String> {
    let (mut cells, more) = match kind {
        Kind::StatefulSet => set_cells(object, &context.statuses),
        Kind::Service => (
            vec![pairs(object, "/spec/selector"), ports(object)],
            Vec::new(),
        ),
        Kind::ConfigMap | Kind::Secret => {
            let keys = keys(object, "/data");
            (vec![keys.len().to_string()], vec![keys.join(",")])
        }
        Kind::AddressPool => (
            vec![
                text(object, "/spec/cidr"),
                yes(object.pointer("/spec/default") == Some(&Value::Bool(true))),
            ],
            Vec::new(),
        ),
        Kind::StorageClass => class_cells(object),
        Kind::PersistentVolume => volume_cells(object),
        Kind::PersistentVolumeClaim => (
            vec![
                text(object, "/status/phase"),
                text(object, "/spec/volumeName"),
                size(object),
                text(object, "/spec/storageClassName"),
                text(object, "/status/waiting/rule"),
            ],
            vec![
                items(object, "/spec/accessModes").join(","),
                text(object, "/status/source"),
                items(object, "/status/usedBy").join(","),
            ],
        ),
        Kind::VolumeSnapshot => snapshot_cells(object),
    };
    if context.wide {
        cells.extend(more);
    }
    cells
}

fn snapshot_cells(object: &Value) -> (Vec<String>, Vec<String>) {
    let ready = object.pointer("/status/readyToUse") == Some(&Value::Bool(true));
    let failed = text(object, "/status/error/message");
    let why = if failed.is_empty() {
        text(object, "/status/waiting/rule")
    } else {
        failed
    };
    (
        vec![
            yes(ready),
            text(object, "/spec/source/persistentVolumeClaimName"),
            text(object, "/status/restoreSize"),
            why,
        ],
        vec![text(object, "/status/source"), text(object, "/status/host")],
    )
}

fn class_cells(object: &Value) -> (Vec<String>, Vec<String>) {
    let default = format!("/metadata/annotations/{}", DEFAULT_CLASS.replace('/', "~1"));
    (
        vec![
            if object.pointer("/status/builtIn") == Some(&Value::Bool(true)) {
                format!("{} (built in)", text(object, "/provisioner"))
            } else {
                text(object, "/provisioner")
            },
            text(object, "/reclaimPolicy"),
            yes(text(object, &default) == "true"),
        ],
        vec![
            text(object, "/volumeBindingMode"),
            yes(object.pointer("/allowVolumeExpansion") == Some(&Value::Bool(true))),
        ],
    )
}

/// How large a claim's volume is, and how large it is to be if that is more.
fn size(object: &Value) -> String {
    let asked = text(object, "/spec/resources/requests/storage");
    let has = text(object, "/status/capacity/storage");
    let same = |a: &str, b: &str| match (a.parse::<Quantity>(), b.parse::<Quantity>()) {
        (Ok(a), Ok(b)) => a.units() == b.units(),
        (_, _) => a == b,
    };
    if has.is_empty() || same(&has, &asked) {
        asked
    } else {
        format!("{has} (asks for {asked})")
    }
}

fn volume_cells(object: &Value) -> (Vec<String>, Vec<String>) {
    let claim = match text(object, "/spec/claimRef/name") {
        name if name.is_empty() => name,
        name => format!("{}/{name}", text(object, "/spec/claimRef/namespace")),
    };
    (
        vec![
            text(object, "/spec/capacity/storage"),
            items(object, "/spec/accessModes").join(","),
            volume_phase(object),
            claim,
            text(object, "/spec/storageClassName"),
        ],
        vec![
            text(object, "/status/source"),
            text(object, "/spec/persistentVolumeReclaimPolicy"),
        ],
    )
}

/// The phase, and that it is in the trash, which Kubernetes has no phase for.
fn volume_phase(object: &Value) -> String {
    let phase = text(object, "/status/phase");
    match text(object, "/status/state").as_str() {
        "" | "Live" => phase,
        state => format!("{phase} ({state})"),
    }
}

fn set_cells(object: &Value, statuses: &Statuses) -> (Vec<String>, Vec<String>) {
    let key = (
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    );
    let service = text(object, "/spec/serviceName");
    match statuses.get(&key) {
        Some(status) => (
            vec![format!("{}/{}", status.ready_replicas, status.replicas)],
            vec![status.gate.clone(), yes(status.founded), service],
        ),
        // It was deleted between the two answers.
        None => (
            vec![String::new()],
            vec![String::new(), String::new(), service],
        ),
    }
}

/// A field as a cell; empty if it is not there.
pub(crate) fn text(object: &Value, pointer: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn keys(object: &Value, pointer: &str) -> Vec<String> {
    let map = object.pointer(pointer).and_then(Value::as_object);
    map.map(|map| map.keys().cloned().collect())
        .unwrap_or_default()
}

/// The items of a list as texts.
pub(crate) fn items(object: &Value, pointer: &str) -> Vec<String> {
    let list = object.pointer(pointer).and_then(Value::as_array);
    list.map(|list| list.iter().map(|one| text(one, "")).collect())
        .unwrap_or_default()
}

fn pairs(object: &Value, pointer: &str) -> String {
    let map = object.pointer(pointer).and_then(Value::as_object);
    map.map(|map| {
        let pairs: Vec<_> = map
            .iter()
            .map(|(k, v)| format!("{k}={}", text(v, "")))
            .collect();
        pairs.join(",")
    })
    .unwrap_or_default()
}

fn ports(object: &Value) -> String {
    let list = object.pointer("/spec/ports").and_then(Value::as_array);
    let ports: Vec<String> = list
        .into_iter()
        .flatten()
        .map(|port| {
            let protocol = text(port, "/protocol");
            let protocol = if protocol.is_empty() {
                "TCP"
            } else {
                &protocol
            };
            format!("{}/{protocol}", text(port, "/port"))
        })
        .collect();
    ports.join(",")
}

fn age(object: &Value, now: Timestamp) -> String {
    object
        .pointer("/metadata/creationTimestamp")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .map_or_else(|| "-".to_owned(), |then| short(now.since(then)))
}

//! Canned objects, and what the canned coordinator says to manifests.

use berth_core::time::Timestamp;
use berth_proto::{convert::structs::from_value, v1};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::data::hours_ago;

/// Objects of a kind.
pub(crate) fn of_kind(kind: &str) -> Vec<serde_json::Value> {
    let made = Timestamp(hours_ago(6).unsigned_abs());
    let meta = |name: &str| {
        json!({
            "name": name,
            "namespace": "default",
            "creationTimestamp": made.to_string(),
            "resourceVersion": "17",
        })
    };
    let object = |name: &str, rest: serde_json::Value| {
        let mut object = json!({
            "apiVersion": "berth/v1",
            "kind": kind,
            "metadata": meta(name),
        });
        let fields = rest.as_object().unwrap().clone();
        object.as_object_mut().unwrap().extend(fields);
        object
    };
    match kind {
        "StatefulSet" => vec![object(
            "etcd",
            json!({ "spec": { "replicas": 3, "serviceName": "etcd",
                "podManagementPolicy": "OrderedReady" } }),
        )],
        "Service" => vec![object(
            "etcd",
            json!({ "spec": { "selector": { "app": "etcd" }, "ports": [
                { "name": "client", "port": 2379 },
                { "name": "dns", "port": 53, "protocol": "UDP" } ] } }),
        )],
        "ConfigMap" => vec![object(
            "conf",
            json!({ "data": { "a.conf": "x = 1\n", "b": "yes" } }),
        )],
        "AddressPool" => vec![object(
            "dev",
            json!({ "spec": { "cidr": "127.77.0.0/16", "default": true } }),
        )],
        _ => storage(kind, &object),
    }
}

/// Objects of a kind that has to do with volumes.
fn storage(
    kind: &str,
    object: &dyn Fn(&str, serde_json::Value) -> serde_json::Value,
) -> Vec<serde_json::Value> {
    match kind {
        "PersistentVolumeClaim" => vec![object(
            "data-etcd-0",
            json!({ "spec": { "accessModes": ["ReadWriteOnce"], "volumeName": "pvc-0",
                "storageClassName": "local",
                "resources": { "requests": { "storage": "1Gi" } } },
                "status": { "phase": "Bound", "capacity": { "storage": "1Gi" },
                "source": "local:default/default_data-etcd-0", "host": "host-1",
                "usedBy": ["default/etcd-0"], "filled": true,
                "usage": { "capacityBytes": 1_073_741_824, "availableBytes": 536_870_912 } } }),
        )],
        "PersistentVolume" => {
            let volume = |name: &str, state: &str, phase: &str| {
                object(
                    name,
                    json!({ "spec": { "accessModes": ["ReadWriteOnce"],
                        "capacity": { "storage": "1Gi" }, "storageClassName": "local",
                        "persistentVolumeReclaimPolicy": "Delete",
                        "claimRef": { "namespace": "default", "name": format!("data-{name}") } },
                        "status": { "phase": phase, "state": state,
                        "source": format!("local:default/{name}") } }),
                )
            };
            vec![
                volume("pvc-0", "Live", "Bound"),
                volume("pvc-2", "Trashed", "Released"),
            ]
        }
        "StorageClass" => vec![
            object(
                "fast",
                json!({ "provisioner": "local", "reclaimPolicy": "Delete",
                    "allowVolumeExpansion": true, "volumeBindingMode": "WaitForFirstConsumer" }),
            ),
            object(
                "local",
                json!({ "provisioner": "local", "reclaimPolicy": "Retain",
                    "allowVolumeExpansion": true, "volumeBindingMode": "WaitForFirstConsumer",
                    "status": { "builtIn": true } }),
            ),
        ],
        _ => Vec::new(),
    }
}

/// An object in its wire form.
pub(crate) fn wire(value: serde_json::Value) -> prost_types::Struct {
    from_value(value).unwrap()
}

/// The manifests that the canned coordinator knows, by what stands in them.
pub(crate) const BROKEN: &str = "kind: StatefulSet # broken";
pub(crate) const SHRINKING: &str = "kind: StatefulSet # shrinking";
pub(crate) const STATIC: &str = "kind: StatefulSet # static";
pub(crate) const HUGE: &str = "kind: StatefulSet # huge";
pub(crate) const SLOW: &str = "kind: StatefulSet # slow";
pub(crate) const NEW: &str = "kind: StatefulSet # new";

pub(crate) const DISRUPTION: &str = "StatefulSet/etcd shrinks from 3 to 1: etcd-2, etcd-1 stop";

/// What it says to a manifest, before anything is stored.
pub(crate) fn judge(sources: &[v1::Source], confirmed: bool) -> Result<(), Status> {
    let has = |text: &str| sources.iter().any(|source| source.text.contains(text));
    if has(BROKEN) {
        return Err(broken(&sources[0].file));
    }
    if has(HUGE) {
        return Err(huge());
    }
    if has(STATIC) {
        return Err(Status::failed_precondition(
            "StatefulSet/etcd: replicas 3 -> 5: membership is Static, the application would not \
             learn of the change",
        ));
    }
    if has(SHRINKING) && !confirmed {
        return Err(unconfirmed("StatefulSet/etcd", DISRUPTION));
    }
    Ok(())
}

fn broken(file: &str) -> Status {
    let mut details = ErrorDetails::new();
    for (field, place, message) in [
        ("spec.replicas", "4:13", "must be 0 or more"),
        (
            "spec.template.spec.processes[0].image",
            "9:11",
            "give command: Berth runs host binaries",
        ),
    ] {
        let description = format!("{file}:{place}: StatefulSet/etcd: {field}: {message}");
        details.add_bad_request_violation(field, description);
    }
    Status::with_error_details(Code::InvalidArgument, "2 mistakes in the manifest", details)
}

/// As many mistakes as a coordinator puts into one answer.
fn huge() -> Status {
    let mut details = ErrorDetails::new();
    for line in 1..=1000 {
        let field = format!("spec.template.spec.processes[{line}].command");
        let place = format!("huge.yaml:{line}:1: StatefulSet/huge: {field}");
        details.add_bad_request_violation(field, format!("{place}: is missing"));
    }
    Status::with_error_details(Code::InvalidArgument, "1000 mistakes", details)
}

/// The refusal of something disruptive that is not confirmed.
pub(crate) fn unconfirmed(subject: &str, text: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.add_precondition_failure_violation("DISRUPTION", subject, text);
    Status::with_error_details(Code::FailedPrecondition, "not confirmed", details)
}

/// The refusal of something that asks for a typed name.
pub(crate) fn untyped(subject: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.add_precondition_failure_violation("CONFIRMATION", subject, "needs its name typed");
    Status::with_error_details(Code::FailedPrecondition, "needs its name typed", details)
}

/// What becomes of the objects of a manifest.
pub(crate) fn outcome(sources: &[v1::Source]) -> Vec<v1::AppliedObject> {
    use v1::applied_object::Change;
    let object = |kind: &str, name: &str, change: Change| v1::AppliedObject {
        r#ref: Some(v1::ObjectRef {
            kind: kind.into(),
            namespace: "default".into(),
            name: name.into(),
        }),
        change: change.into(),
        fields: if change == Change::Configured {
            let field = |path: &str, old: Option<&str>, new: Option<&str>| v1::FieldChange {
                path: path.into(),
                old: old.map(str::to_owned),
                new: new.map(str::to_owned),
                secret: false,
            };
            let secret = v1::FieldChange {
                path: "data.password".into(),
                secret: true,
                ..v1::FieldChange::default()
            };
            vec![
                field("spec.replicas", Some("3"), Some("2")),
                field("spec.minReadySeconds", None, Some("5")),
                secret,
            ]
        } else {
            Vec::new()
        },
    };
    let has = |text: &str| sources.iter().any(|source| source.text.contains(text));
    if has(SLOW) {
        vec![object("StatefulSet", "slow", Change::Created)]
    } else if has(SHRINKING) {
        vec![object("StatefulSet", "etcd", Change::Configured)]
    } else {
        vec![
            object("Service", "etcd", Change::Unchanged),
            object("StatefulSet", "etcd", Change::Created),
        ]
    }
}

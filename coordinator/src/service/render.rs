//! Objects as operators see them: the manifest, the coordinator's metadata, a status where the kind
//! has one, and never the value of a secret.

use berth_core::{
    ids::{ClaimKey, HostName, ObjectKey, Revision, SetKey},
    spec::{Kind, Object, PersistentVolume, Sealed},
    state::{Claim, Set, Volume},
    store::{Key, RecordKind, Value},
    volume::phase,
};
use berth_proto::{
    convert::object::{manifest, to_wire},
    v1,
};
use serde_json::{Value as Json, json};

use super::{persistent, snapshots, status::ServiceError, usage, view::Look};
use crate::{
    state::{View, claims},
    store::decode,
};

/// What stands in the place of a secret's value.
const SEALED: &str = "<sealed>";

/// The kind of record that an object of a kind is made of.
pub(super) fn record_kind(kind: Kind) -> RecordKind {
    match kind {
        Kind::PersistentVolumeClaim => RecordKind::Claim,
        Kind::StatefulSet
        | Kind::Service
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::AddressPool
        | Kind::StorageClass
        | Kind::PersistentVolume
        | Kind::VolumeSnapshot => RecordKind::Object(kind),
    }
}

/// The kind of object that a record is shown as, if it is shown.
pub(super) fn shown_as(kind: RecordKind) -> Option<Kind> {
    match kind {
        RecordKind::Object(Kind::PersistentVolumeClaim) => None,
        RecordKind::Object(kind) => Some(kind),
        RecordKind::Claim => Some(Kind::PersistentVolumeClaim),
        RecordKind::Volume => Some(Kind::PersistentVolume),
        RecordKind::Snapshot
        | RecordKind::FormerClaim
        | RecordKind::Set
        | RecordKind::Revision
        | RecordKind::Member
        | RecordKind::Founding
        | RecordKind::Host
        | RecordKind::Order
        | RecordKind::Zone => None,
    }
}

/// A record as an object on the wire.
pub(super) fn object(
    look: &Look<'_>,
    view: &View,
    key: &Key,
    revision: Revision,
    value: &Value,
) -> Result<v1::Object, ServiceError> {
    let (mut object, status) = read(look, view, key, value)?;
    object.meta_mut().resource_version = revision.to_string();
    seal(&mut object);
    let mut json = manifest(&object)?;
    if let (Some(fields), Some(status)) = (json.as_object_mut(), status) {
        fields.insert("status".to_owned(), status);
    }
    Ok(v1::Object {
        manifest: Some(to_wire(json)?),
        revision: revision.0,
    })
}

/// The object that a record is shown as, and its status.
fn read(
    look: &Look<'_>,
    view: &View,
    key: &Key,
    value: &Value,
) -> Result<(Object, Option<Json>), ServiceError> {
    let (state, name) = (look.state, &key.object);
    let persistent = |object: Option<&PersistentVolume>, record: Option<&Volume>| {
        let status = persistent::status(state, name, object, record);
        (persistent::shown(name, object, record), Some(status))
    };
    Ok(match key.kind {
        RecordKind::Claim => {
            let claim = decode::<Claim>(value)?;
            let object = Object::PersistentVolumeClaim(claims::shown(name, &claim));
            (object, Some(claim_status(look, name, &claim)))
        }
        RecordKind::Volume => {
            let object = state.persistent_volumes.get(name);
            persistent(object, Some(&decode::<Volume>(value)?))
        }
        RecordKind::Object(_)
        | RecordKind::Snapshot
        | RecordKind::FormerClaim
        | RecordKind::Set
        | RecordKind::Revision
        | RecordKind::Member
        | RecordKind::Founding
        | RecordKind::Host
        | RecordKind::Order
        | RecordKind::Zone => match decode::<Object>(value)? {
            Object::PersistentVolume(object) => persistent(Some(&object), state.volumes.get(name)),
            Object::VolumeSnapshot(object) => {
                let status = snapshots::status(state, name, &object, look.now);
                (Object::VolumeSnapshot(object), Some(status))
            }
            Object::StatefulSet(object) => {
                let set = view.state.sets.get(name);
                let status = set.map(|set| set_status(look, name, set, object.metadata.generation));
                (Object::StatefulSet(object), status)
            }
            object @ (Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::AddressPool(_)
            | Object::StorageClass(_)
            | Object::PersistentVolumeClaim(_)) => (object, None),
        },
    })
}

fn seal(object: &mut Object) {
    if let Object::Secret(secret) = object {
        let values = secret
            .data
            .values_mut()
            .chain(secret.string_data.values_mut());
        for value in values {
            *value = Sealed::new(SEALED.to_owned());
        }
    }
}

fn claim_status(look: &Look<'_>, key: &ClaimKey, claim: &Claim) -> Json {
    let state = look.state;
    let waiting = look
        .board
        .claims
        .get(key)
        .filter(|_| claim.volume.is_none());
    let volume = state.volume_of(claim);
    let users = usage::users(state, key);
    let users: Vec<String> = users.iter().map(|user| user.member.to_string()).collect();
    let usage = usage::usage(state, key);
    json!({
        "phase": phase::of_claim(state, claim).as_str(),
        "accessModes": volume.map(|volume| &volume.access_modes),
        "capacity": volume.map(|volume| json!({"storage": usage::quantity(volume.capacity)})),
        "source": volume.map(|volume| volume.source.describe()),
        "host": state.host_of(claim).map(HostName::to_string),
        "filled": claim.filled,
        "usedBy": users,
        "waiting": waiting.map(|waiting| json!({
            "rule": waiting.reason.rule(),
            "message": waiting.reason.to_string(),
            "frees": waiting.reason.frees(),
        })),
        "usage": usage.map(|usage| json!({
            "capacityBytes": usage.capacity,
            "availableBytes": usage.available,
        })),
    })
}

/// The status of a set, with the field names of Kubernetes.
fn set_status(look: &Look<'_>, key: &SetKey, set: &Set, generation: u64) -> Json {
    let status = look.set(key, set, generation);
    let current = set
        .members
        .values()
        .map(|member| &member.revision)
        .find(|revision| **revision != set.revision)
        .unwrap_or(&set.revision);
    let on_current = set
        .members
        .values()
        .filter(|member| member.revision == *current);
    json!({
        "observedGeneration": generation,
        "replicas": status.current_replicas,
        "readyReplicas": status.ready_replicas,
        "availableReplicas": status.available_replicas,
        "currentReplicas": on_current.count(),
        "updatedReplicas": status.updated_replicas,
        "currentRevision": current.to_string(),
        "updateRevision": set.revision.to_string(),
        "conditions": conditions(&status),
    })
}

fn conditions(status: &v1::SetStatus) -> Json {
    let available = status.available_replicas >= status.replicas && !status.deleting;
    let done = available
        && status.updated_replicas >= status.replicas
        && status.current_replicas == status.replicas;
    let waiting = status.members.iter().find_map(|member| {
        let waiting = member.waiting.as_ref()?;
        Some((
            waiting.rule.clone(),
            format!("{}: {}", member.name, waiting.message),
        ))
    });
    let (reason, message) = match waiting {
        Some(waiting) if !done => waiting,
        Some(_) | None => (
            if done { "AllAvailable" } else { "Working" }.to_owned(),
            format!(
                "{} of {} available",
                status.available_replicas, status.replicas
            ),
        ),
    };
    let truth = |holds: bool| if holds { "True" } else { "False" };
    json!([
        {"type": "Available", "status": truth(available), "reason": reason, "message": message},
        {"type": "Progressing", "status": truth(!done), "reason": reason, "message": message},
    ])
}

/// The reference of a record that is shown.
pub(super) fn reference(kind: Kind, key: &ObjectKey) -> v1::ObjectRef {
    berth_proto::convert::object::to_reference(kind, key)
}

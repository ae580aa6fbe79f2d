//! Objects as operators see them: the manifest, the coordinator's metadata, a status where the kind
//! has one, and never the value of a secret.

use berth_core::{
    ids::{ClaimKey, HostName, ObjectKey, Revision, SetKey},
    spec::{Kind, Object, ObjectMeta, PersistentVolumeClaim, PersistentVolumeClaimSpec, Sealed},
    state::{Claim, Set, State},
    store::{Key, RecordKind, Value},
};
use berth_proto::{
    convert::object::{manifest, to_wire},
    v1,
};
use serde_json::{Value as Json, json};

use super::{status::ServiceError, view::Look};
use crate::{state::View, store::decode};

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
        | Kind::PersistentVolume => RecordKind::Object(kind),
    }
}

/// The kind of object that a record is shown as, if it is shown.
pub(super) fn shown_as(kind: RecordKind) -> Option<Kind> {
    match kind {
        RecordKind::Object(Kind::PersistentVolumeClaim) => None,
        RecordKind::Object(kind) => Some(kind),
        RecordKind::Claim => Some(Kind::PersistentVolumeClaim),
        RecordKind::Volume
        | RecordKind::Set
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
    let mut object = match key.kind {
        RecordKind::Claim => claim_object(&key.object, &decode::<Claim>(value)?),
        RecordKind::Object(_)
        | RecordKind::Volume
        | RecordKind::Set
        | RecordKind::Member
        | RecordKind::Founding
        | RecordKind::Host
        | RecordKind::Order
        | RecordKind::Zone => decode::<Object>(value)?,
    };
    object.meta_mut().resource_version = revision.to_string();
    seal(&mut object);
    let generation = object.meta().generation;
    let kind = object.kind();
    let mut json = manifest(&object)?;
    let status = match kind {
        Kind::StatefulSet => view
            .state
            .sets
            .get(&key.object)
            .map(|set| set_status(look, &key.object, set, generation)),
        Kind::PersistentVolumeClaim => Some(claim_status(look.state, &decode::<Claim>(value)?)),
        Kind::Service
        | Kind::ConfigMap
        | Kind::Secret
        | Kind::AddressPool
        | Kind::StorageClass
        | Kind::PersistentVolume => None,
    };
    if let (Some(fields), Some(status)) = (json.as_object_mut(), status) {
        fields.insert("status".to_owned(), status);
    }
    Ok(v1::Object {
        manifest: Some(to_wire(json)?),
        revision: revision.0,
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

/// What operators see of a claim: what its template asked for when it was made.
fn claim_object(key: &ClaimKey, claim: &Claim) -> Object {
    let mut labels = claim.labels.clone();
    if let Some(member) = &claim.member {
        labels.extend([
            ("berth/set".to_owned(), member.set.name.to_string()),
            ("berth/member".to_owned(), member.name()),
        ]);
    }
    let bound = claim.volume.as_ref();
    Object::PersistentVolumeClaim(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: key.name.to_string(),
            namespace: key.namespace.to_string(),
            labels,
            uid: claim.uid.to_string(),
            creation_timestamp: Some(claim.created_at),
            ..ObjectMeta::default()
        },
        spec: PersistentVolumeClaimSpec {
            volume_name: bound.map_or_else(String::new, |name| name.name.to_string()),
            ..claim.spec.clone()
        },
    })
}

fn claim_status(state: &State, claim: &Claim) -> Json {
    let phase = if claim.volume.is_some() {
        "Bound"
    } else {
        "Pending"
    };
    json!({
        "phase": phase,
        "host": state.host_of(claim).map(HostName::to_string),
        "filled": claim.filled,
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

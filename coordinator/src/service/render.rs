//! Objects as operators see them: the manifest, the coordinator's metadata, a status where the kind
//! has one, and never the value of a secret.

use berth_core::{
    ids::{ClaimKey, HostName, ObjectKey, Revision, SetKey, TemplateHash},
    quantity,
    spec::{Kind, Object, PersistentVolume},
    state::{Claim, Ordered, Set, Volume},
    store::{Key, RecordKind, Value},
    time::Timestamp,
    volume::phase,
    waiting::Reason,
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

/// Whether the values of secrets are shown. Nobody sees them who does not ask in so many words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// As they are.
    Shown,
    /// Only how long each is.
    Sealed,
}

impl Secrets {
    /// As a request asks for.
    pub(super) fn asked(shown: bool) -> Self {
        if shown { Self::Shown } else { Self::Sealed }
    }
}

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
        // Its status follows from it.
        RecordKind::Set => Some(Kind::StatefulSet),
        RecordKind::Snapshot
        | RecordKind::FormerClaim
        | RecordKind::Revision
        | RecordKind::Member
        | RecordKind::Founding
        | RecordKind::Host
        | RecordKind::Order
        | RecordKind::Zone
        | RecordKind::History
        | RecordKind::JoinToken
        | RecordKind::User
        | RecordKind::Revocation => None,
    }
}

/// A record as an object on the wire.
pub(super) fn object(
    look: &Look<'_>,
    view: &View,
    key: &Key,
    revision: Revision,
    value: &Value,
    secrets: Secrets,
) -> Result<v1::Object, ServiceError> {
    let (mut object, status) = read(look, view, key, value)?;
    object.meta_mut().resource_version = revision.to_string();
    if let (Object::Secret(secret), Secrets::Sealed) = (&mut object, secrets) {
        secret.seal();
    }
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
        // The set itself: what is decided of it shows in its status.
        RecordKind::Set => {
            let object = view.objects.get(&(Kind::StatefulSet, name.clone()));
            let object = object.cloned().ok_or_else(|| ServiceError::NotFound {
                what: format!("StatefulSet {name}"),
            })?;
            let generation = object.meta().generation;
            let set = view.state.sets.get(name);
            let status = set.map(|set| set_status(look, name, set, generation));
            (object, status)
        }
        RecordKind::Object(_)
        | RecordKind::Snapshot
        | RecordKind::FormerClaim
        | RecordKind::Revision
        | RecordKind::Member
        | RecordKind::Founding
        | RecordKind::Host
        | RecordKind::Order
        | RecordKind::Zone
        | RecordKind::History
        | RecordKind::JoinToken
        | RecordKind::User
        | RecordKind::Revocation => match decode::<Object>(value)? {
            Object::PersistentVolume(object) => persistent(Some(&object), state.volumes.get(name)),
            Object::VolumeSnapshot(object) => {
                let status = snapshots::status(look, name, &object);
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

fn claim_status(look: &Look<'_>, key: &ClaimKey, claim: &Claim) -> Json {
    let state = look.state;
    let volume = state.volume_of(claim);
    let waiting = look.board.claims.get(key).filter(|waiting| {
        // The board may be of before its volume was bound, or had grown.
        let open = volume.is_some_and(|volume| volume.capacity < claim.spec.storage());
        let grows = matches!(waiting.reason, Reason::VolumeGrowing(_));
        (claim.volume.is_none() && !grows) || (open && grows)
    });
    let users = usage::users(state, key);
    let users: Vec<String> = users.iter().map(|user| user.member.to_string()).collect();
    let usage = usage::usage(state, key);
    json!({
        "phase": phase::of_claim(state, claim).as_str(),
        "accessModes": volume.map(|volume| &volume.access_modes),
        "capacity": volume.map(|volume| json!({"storage": quantity::exact(volume.capacity)})),
        "source": volume.map(|volume| volume.source.describe()),
        "host": state.host_of(claim).map(HostName::to_string),
        "filled": claim.filled,
        "usedBy": users,
        "waiting": waiting.map(|waiting| json!({
            "rule": waiting.reason.rule().name(),
            "message": waiting.reason.to_string(),
            "frees": waiting.reason.frees(),
        })),
        "usage": usage.map(|usage| json!({
            "capacityBytes": usage.capacity,
            "availableBytes": usage.available,
        })),
    })
}

/// The status of a set, with the field names of Kubernetes. Members that are being stopped count
/// as replicas, and as nothing else.
fn set_status(look: &Look<'_>, key: &SetKey, set: &Set, generation: u64) -> Json {
    let status = look.set(key, set, generation);
    let staying = set.members.values();
    let staying = staying.filter(|member| member.ordered != Ordered::Stop);
    let on = |revision: &TemplateHash| {
        let members = staying.clone();
        members
            .filter(|member| member.revision == *revision)
            .count()
    };
    json!({
        "observedGeneration": generation,
        "replicas": status.current_replicas,
        "readyReplicas": status.ready_replicas,
        "availableReplicas": status.available_replicas,
        "currentReplicas": on(set.current_revision()),
        "updatedReplicas": on(&set.revision),
        "currentRevision": status.current_revision,
        "updateRevision": status.update_revision,
        "conditions": status.conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}

fn condition(condition: &v1::Condition) -> Json {
    let since = u64::try_from(condition.since_ms).unwrap_or_default();
    json!({
        "type": condition.r#type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": Timestamp(since - since % 1000).to_string(),
    })
}

/// The reference of a record that is shown.
pub(super) fn reference(kind: Kind, key: &ObjectKey) -> v1::ObjectRef {
    berth_proto::convert::object::to_reference(kind, key)
}

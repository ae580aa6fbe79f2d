//! PersistentVolumes as operators see them: one object per volume, made of the object that an
//! operator wrote, if one did, and of the record of what was decided of the volume, if there is one.

use berth_core::{
    ids::{HostName, ObjectKey},
    quantity,
    spec::{
        Adopt, ClaimRef, Kind, NfsVolumeSource, Object, ObjectMeta, PersistentVolume,
        PersistentVolumeSpec,
    },
    state::{State, Volume, VolumeState},
    store::{Change, Entry, Key, Model, RecordKind},
    volume::VolumeSource,
    volume::phase::{self, VolumePhase},
};
use berth_proto::v1::watch_event::Type;
use serde_json::{Value as Json, json};

use super::{render::record_kind, usage};
use crate::store::{RecordError, decode};

/// The records that objects of a kind are shown by, each with the revision of its last change.
pub(super) fn entries(model: &Model, kind: Kind) -> Vec<(Key, Entry)> {
    let own = model.list(record_kind(kind));
    let mut found: Vec<(Key, Entry)> = own.map(|(key, e)| (key.clone(), e.clone())).collect();
    if kind != Kind::PersistentVolume {
        return found;
    }
    for (key, entry) in &mut found {
        let record = model.get(&Key::new(RecordKind::Volume, key.object.clone()));
        if let Some(record) = record {
            entry.revision = entry.revision.max(record.revision);
        }
    }
    let records = model.list(RecordKind::Volume);
    let made = records.filter(|(key, _)| model.get(&written(&key.object)).is_none());
    found.extend(made.map(|(key, entry)| (key.clone(), entry.clone())));
    found
}

/// The record that one object is shown by.
pub(super) fn entry(model: &Model, kind: Kind, object: &ObjectKey) -> Option<(Key, Entry)> {
    let key = Key::new(record_kind(kind), object.clone());
    let record_key = Key::new(RecordKind::Volume, object.clone());
    let record = model
        .get(&record_key)
        .filter(|_| kind == Kind::PersistentVolume);
    match (model.get(&key).cloned(), record.cloned()) {
        (Some(entry), record) => {
            let later = record.map_or(entry.revision, |record| record.revision);
            let revision = entry.revision.max(later);
            Some((key, Entry { revision, ..entry }))
        }
        (None, record) => record.map(|record| (record_key, record)),
    }
}

fn written(name: &ObjectKey) -> Key {
    Key::new(RecordKind::Object(Kind::PersistentVolume), name.clone())
}

/// What a change of a record is to whoever watches objects; `None` if another change of the same
/// commit tells it.
pub(super) fn change_type(change: &Change, commit: &[Change]) -> Result<Option<Type>, RecordError> {
    let plain = match (&change.value, change.created) {
        (None, _) => Type::Deleted,
        (Some(_), true) => Type::Added,
        (Some(_), false) => Type::Modified,
    };
    if change.key.kind == RecordKind::Set {
        let kind = RecordKind::Object(Kind::StatefulSet);
        let object = Key::new(kind, change.key.object.clone());
        let told = commit.iter().any(|other| other.key == object);
        let news = change.value.is_some() && !told;
        return Ok(news.then_some(Type::Modified));
    }
    if change.key.kind != RecordKind::Volume {
        return Ok(Some(plain));
    }
    let object = written(&change.key.object);
    if commit.iter().any(|other| other.key == object) {
        return Ok(None);
    }
    let value = change.value.as_ref().filter(|_| change.created);
    let made_by_hand = match value {
        Some(value) => !decode::<Volume>(value)?.provisioned,
        None => false,
    };
    // The record of a volume that an operator made comes with its first claim.
    Ok(Some(if made_by_hand { Type::Modified } else { plain }))
}

/// A volume as an object.
pub(super) fn shown(
    name: &ObjectKey,
    object: Option<&PersistentVolume>,
    record: Option<&Volume>,
) -> Object {
    let mut shown = object.cloned().unwrap_or_else(|| PersistentVolume {
        metadata: ObjectMeta {
            name: name.name.to_string(),
            namespace: name.namespace.to_string(),
            creation_timestamp: record.map(|record| record.created_at),
            ..ObjectMeta::default()
        },
        spec: record.map(spec).unwrap_or_default(),
    });
    if let Some(record) = record {
        if let Some(bound) = &record.claim {
            shown.spec.claim_ref = Some(ClaimRef {
                namespace: bound.key.namespace.to_string(),
                name: bound.key.name.to_string(),
                uid: bound.uid.to_string(),
                ..ClaimRef::default()
            });
        }
        shown.spec.adopt = record.adopt.then_some(Adopt::Existing);
    }
    Object::PersistentVolume(shown)
}

/// What a class made, in the words in which an operator would have written it.
fn spec(record: &Volume) -> PersistentVolumeSpec {
    let nfs = match &record.source {
        VolumeSource::Local { .. } => None,
        VolumeSource::Nfs(nfs) => Some(NfsVolumeSource {
            server: nfs.server.clone(),
            path: match &nfs.sub_dir {
                Some(sub_dir) => format!("{}/{sub_dir}", nfs.path.trim_end_matches('/')),
                None => nfs.path.clone(),
            },
            read_only: nfs.read_only,
        }),
    };
    let capacity = (record.capacity > 0).then(|| quantity::exact(record.capacity));
    PersistentVolumeSpec {
        capacity: capacity
            .map(|text| ("storage".to_owned(), text))
            .into_iter()
            .collect(),
        access_modes: record.access_modes.clone(),
        persistent_volume_reclaim_policy: record.reclaim,
        storage_class_name: record.class.clone(),
        nfs,
        ..PersistentVolumeSpec::default()
    }
}

/// Where a volume stands.
pub(super) fn status(
    state: &State,
    name: &ObjectKey,
    object: Option<&PersistentVolume>,
    record: Option<&Volume>,
) -> Json {
    let source = record.map(|record| &record.source);
    let bound = record.and_then(|record| record.claim.as_ref());
    let bound = bound.filter(|bound| bound.is_there(state));
    let users = bound.map(|bound| usage::users(state, &bound.key));
    let users: Vec<String> = users
        .into_iter()
        .flatten()
        .map(|user| user.member.to_string())
        .collect();
    json!({
        "phase": phase::of_volume(state, name).map(VolumePhase::as_str),
        "source": source_text(object, record),
        "host": source.and_then(VolumeSource::host).map(HostName::to_string),
        "pool": source.and_then(VolumeSource::pool),
        "provisioned": record.is_some_and(|record| record.provisioned),
        "state": state_text(record),
        "usedBy": users,
    })
}

/// Where its data lies.
pub(super) fn source_text(object: Option<&PersistentVolume>, record: Option<&Volume>) -> String {
    let declared = object.and_then(|object| object.spec.nfs.as_ref());
    match (record, declared) {
        (Some(record), _) => record.source.describe(),
        (None, Some(nfs)) => format!("nfs:{}:{}", nfs.server, nfs.path),
        (None, None) => String::new(),
    }
}

/// What becomes of it.
pub(super) fn state_text(record: Option<&Volume>) -> &'static str {
    match record.map(|record| &record.state) {
        Some(VolumeState::Live) if record.is_some_and(|one| one.copying().is_some()) => {
            "Populating"
        }
        None | Some(VolumeState::Live) => "Live",
        Some(VolumeState::Trashing) => "Trashing",
        Some(VolumeState::Trashed { .. }) => "Trashed",
        Some(VolumeState::Restoring) => "Restoring",
        Some(VolumeState::Purging) => "Purging",
    }
}

//! Claims between their two forms: the record that the plan reads, and the PersistentVolumeClaim that
//! operators write and see. The object is always made of the record, so that the two cannot differ.

use berth_core::{
    ids::{ClaimKey, SetKey, Uid},
    spec::{
        Kind, Object, ObjectMeta, PersistentVolumeClaim, PersistentVolumeClaimSpec, StatefulSet,
    },
    state::Claim,
    store::{Batch, Key, RecordKind},
    time::Timestamp,
    volume::{lower::lowered, work::grown_by_word},
};

use super::{View, records::put};
use crate::store::RecordError;

/// The labels that a member's claim is shown with.
const SET: &str = "berth/set";
const MEMBER: &str = "berth/member";

/// A claim as an operator would have written it: what is known, and nothing of who uses it.
pub fn object(key: &ClaimKey, claim: &Claim) -> PersistentVolumeClaim {
    let mut spec = claim.spec.clone();
    if let Some(volume) = &claim.volume {
        spec.volume_name = volume.name.to_string();
    }
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: key.name.to_string(),
            namespace: key.namespace.to_string(),
            labels: claim.labels.clone(),
            uid: claim.uid.to_string(),
            creation_timestamp: Some(claim.created_at),
            ..ObjectMeta::default()
        },
        spec,
    }
}

/// The same with the labels that tell whose it is.
pub fn shown(key: &ClaimKey, claim: &Claim) -> PersistentVolumeClaim {
    let mut object = object(key, claim);
    if let Some(member) = &claim.member {
        object.metadata.labels.extend([
            (SET.to_owned(), member.set.name.to_string()),
            (MEMBER.to_owned(), member.name()),
        ]);
    }
    object
}

/// Fills in what a manifest leaves out and the claim has by now, and drops what a claim does not
/// keep, so that the same manifest again changes nothing.
pub fn complete(view: &View, key: &ClaimKey, object: &mut PersistentVolumeClaim) {
    object.metadata.annotations.clear();
    for label in [SET, MEMBER] {
        object.metadata.labels.remove(label);
    }
    let id = (Kind::PersistentVolumeClaim, key.clone());
    let Some(Object::PersistentVolumeClaim(current)) = view.objects.get(&id) else {
        return;
    };
    let (spec, known) = (&mut object.spec, &current.spec);
    if spec.volume_name.is_empty() {
        spec.volume_name.clone_from(&known.volume_name);
    }
    if spec.storage_class_name.is_none() {
        spec.storage_class_name
            .clone_from(&known.storage_class_name);
    }
    if spec.volume_mode.is_none() {
        spec.volume_mode = known.volume_mode;
    }
}

/// Writes the record of a claim that an operator made or changed.
///
/// # Errors
/// If it cannot be encoded.
pub fn write(
    view: &View,
    key: &ClaimKey,
    object: &PersistentVolumeClaim,
    now: Timestamp,
    batch: &mut Batch,
) -> Result<(), RecordError> {
    let claim = match view.state.claims.get(key) {
        Some(known) => changed(known, object),
        None => new(object, now),
    };
    if let Some((name, volume)) = grown_by_word(&view.state, &claim) {
        let record = Key::new(RecordKind::Volume, name);
        write_as_known(view, record, &volume, batch)?;
    }
    let record = Key::new(RecordKind::Claim, key.clone());
    write_as_known(view, record, &claim, batch)
}

/// Takes back what the claims of a set asked for and do not have, where its template does.
///
/// # Errors
/// If a record cannot be encoded.
pub fn lower(
    view: &View,
    key: &SetKey,
    set: &StatefulSet,
    batch: &mut Batch,
) -> Result<(), RecordError> {
    let Some(before) = view.state.sets.get(key) else {
        return Ok(());
    };
    for (claim, record) in lowered(&view.state, key, &before.spec, &set.spec) {
        let key = Key::new(RecordKind::Claim, claim);
        write_as_known(view, key, &record, batch)?;
    }
    Ok(())
}

/// Writes a record under the condition that it is as the view knows it.
///
/// # Errors
/// If it cannot be encoded.
pub fn write_as_known<T: serde::Serialize>(
    view: &View,
    key: Key,
    record: &T,
    batch: &mut Batch,
) -> Result<(), RecordError> {
    batch.preconditions.insert(key.clone(), view.as_known(&key));
    put(batch, key, record)
}

fn new(object: &PersistentVolumeClaim, now: Timestamp) -> Claim {
    let uid = Uid(object.metadata.uid.clone());
    Claim {
        labels: object.metadata.labels.clone(),
        ..Claim::by_hand(uid, object.spec.clone(), now)
    }
}

fn changed(known: &Claim, object: &PersistentVolumeClaim) -> Claim {
    let mut spec: PersistentVolumeClaimSpec = object.spec.clone();
    if known.volume.is_some() {
        // What it is bound to is its own field; this one is what it asked for.
        spec.volume_name.clone_from(&known.spec.volume_name);
    }
    Claim {
        spec,
        labels: object.metadata.labels.clone(),
        ..known.clone()
    }
}

#[cfg(test)]
mod tests;

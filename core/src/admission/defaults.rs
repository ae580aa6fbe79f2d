//! What is filled in: defaults that must not change when the program's do, and what belongs to the
//! coordinator.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Existing;
use crate::{
    ids::ObjectKey,
    spec::{AccessMode, Kind, Object, PersistentVolumeClaimSpec, Sealed, Secret},
};

/// Fills in what the operator left out.
pub(super) fn fill(object: &mut Object) {
    if object.meta().namespace.is_empty() {
        "default".clone_into(&mut object.meta_mut().namespace);
    }
    for mark in [
        super::SCALED,
        super::PAUSED,
        super::ORPHANED,
        super::REFOUND,
    ] {
        object.meta_mut().annotations.remove(mark);
    }
    match object {
        Object::StatefulSet(set) => {
            for template in &mut set.spec.volume_claim_templates {
                claim(&mut template.spec);
            }
        }
        Object::Service(service) => {
            service
                .spec
                .cluster_ip
                .get_or_insert_with(|| "None".to_owned());
        }
        Object::Secret(secret) => fold(secret),
        Object::PersistentVolumeClaim(pvc) => claim(&mut pvc.spec),
        Object::ConfigMap(_)
        | Object::AddressPool(_)
        | Object::StorageClass(_)
        | Object::PersistentVolume(_)
        | Object::VolumeSnapshot(_) => {}
    }
}

/// Notes which claim a snapshot means: the one that it meant before, or the one that is there when
/// it is asked for.
pub(super) fn pin(existing: Existing<'_>, key: &ObjectKey, object: &mut Object) {
    let Object::VolumeSnapshot(snapshot) = object else {
        return;
    };
    let source = &mut snapshot.spec.source;
    if !source.persistent_volume_claim_uid.is_empty() {
        return;
    }
    let before = existing.objects.get(&(Kind::VolumeSnapshot, key.clone()));
    if let Some(Object::VolumeSnapshot(before)) = before {
        let meant = &before.spec.source.persistent_volume_claim_uid;
        source.persistent_volume_claim_uid.clone_from(meant);
        return;
    }
    let Ok(name) = source.persistent_volume_claim_name.parse() else {
        return;
    };
    let namespace = key.namespace.clone();
    let claim = (Kind::PersistentVolumeClaim, ObjectKey { namespace, name });
    if let Some(claim) = existing.objects.get(&claim) {
        let uid = &claim.meta().uid;
        source.persistent_volume_claim_uid.clone_from(uid);
    }
}

fn claim(claim: &mut PersistentVolumeClaimSpec) {
    if claim.access_modes.is_empty() {
        claim.access_modes.push(AccessMode::ReadWriteOnce);
    }
}

/// Folds `stringData` into `data`, where it wins, and writes all base64 in one way.
fn fold(secret: &mut Secret) {
    for value in secret.data.values_mut() {
        let text: String = value.expose().split_whitespace().collect();
        *value = Sealed::new(text);
    }
    for (key, value) in std::mem::take(&mut secret.string_data) {
        let encoded = STANDARD.encode(value.expose());
        secret.data.insert(key, Sealed::new(encoded));
    }
}

/// Takes over what belongs to the coordinator. The generation grows with every change of what is
/// wanted; labels and annotations are not that.
pub(super) fn carry(current: &Object, object: &mut Object) {
    let before = current.meta();
    let meta = object.meta_mut();
    meta.uid.clone_from(&before.uid);
    meta.resource_version.clone_from(&before.resource_version);
    meta.creation_timestamp = before.creation_timestamp;
    meta.deletion_timestamp = before.deletion_timestamp;
    meta.generation = before.generation;
    if !same_content(current, object) {
        let meta = object.meta_mut();
        meta.generation = meta.generation.saturating_add(1);
    }
}

/// Whether two objects differ in their metadata at most.
fn same_content(a: &Object, b: &Object) -> bool {
    let mut a = a.clone();
    a.meta_mut().clone_from(b.meta());
    a == *b
}

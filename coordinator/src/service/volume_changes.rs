//! What may become of a volume, as commits: each function says what is written, or why not. Pure.
//!
//! Every one of them rests on the volume's record and on the claim that it names: both are
//! preconditions, so that a claim that comes or goes in between is not overlooked.

use berth_core::{
    ids::{ClaimKey, ObjectKey},
    spec::{Adopt, Kind, Object, PersistentVolume, ReclaimPolicy},
    state::{BoundClaim, Claim, Volume, VolumeState},
    store::{Batch, Key, NoteKind, RecordKind},
    time::Timestamp,
};

use super::status::ServiceError;
use crate::{
    notes::{self, NORMAL},
    state::{View, claims::write_as_known},
};

/// A volume as the store knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'a> {
    /// As an operator wrote it.
    pub(super) object: Option<&'a PersistentVolume>,
    /// What was decided of it.
    pub(super) record: Option<&'a Volume>,
}

/// Looks a volume up.
pub(super) fn find<'a>(view: &'a View, name: &ObjectKey) -> Result<Found<'a>, ServiceError> {
    let found = Found {
        object: view.state.persistent_volumes.get(name),
        record: view.state.volumes.get(name),
    };
    if found.object.is_none() && found.record.is_none() {
        return Err(ServiceError::NotFound {
            what: format!("{} {}", Kind::PersistentVolume, name.name),
        });
    }
    Ok(found)
}

fn refused(rule: &'static str, name: &ObjectKey, message: String) -> ServiceError {
    ServiceError::Refused {
        rule,
        subject: format!("{}/{}", Kind::PersistentVolume, name.name),
        message,
    }
}

fn note(name: &ObjectKey, now: Timestamp, reason: &str, text: String) -> berth_core::store::Note {
    noted(name, now, NORMAL, reason, text)
}

/// An event about a volume.
pub(crate) fn noted(
    name: &ObjectKey,
    now: Timestamp,
    level: NoteKind,
    reason: &str,
    text: String,
) -> berth_core::store::Note {
    notes::object(now, Kind::PersistentVolume, name, level, reason, text)
}

fn put_volume(
    view: &View,
    name: &ObjectKey,
    volume: &Volume,
    batch: &mut Batch,
) -> Result<(), ServiceError> {
    if let Some(bound) = view.state.volumes.get(name).and_then(|v| v.claim.as_ref()) {
        let claim = Key::new(RecordKind::Claim, bound.key.clone());
        batch
            .preconditions
            .insert(claim.clone(), view.as_known(&claim));
    }
    let key = Key::new(RecordKind::Volume, name.clone());
    Ok(write_as_known(view, key, volume, batch)?)
}

fn former_key(name: &ObjectKey) -> Key {
    Key::new(RecordKind::FormerClaim, name.clone())
}

/// The claim that has a volume, if it exists.
pub(super) fn holder<'a>(view: &View, volume: &'a Volume) -> Option<&'a BoundClaim> {
    let bound = volume.claim.as_ref();
    bound.filter(|bound| bound.is_there(&view.state))
}

fn in_trash(volume: &Volume) -> bool {
    match volume.state {
        VolumeState::Trashing | VolumeState::Trashed { .. } | VolumeState::Purging => true,
        VolumeState::Live | VolumeState::Restoring => false,
    }
}

/// The data on a volume becomes the data of its claim, or of its next one.
pub(super) fn adopt(view: &View, name: &ObjectKey, now: Timestamp) -> Result<Batch, ServiceError> {
    let mut batch = Batch::default();
    let found = find(view, name)?;
    let text = match (found.record, found.object) {
        (Some(record), _) => {
            may_adopt(view, name, record)?;
            if record.adopt {
                return Ok(batch);
            }
            let volume = Volume {
                adopt: true,
                ..record.clone()
            };
            put_volume(view, name, &volume, &mut batch)?;
            match holder(view, record) {
                Some(bound) => format!("the data on it becomes the data of claim {}", bound.key),
                None => "the data on it becomes the data of its next claim".to_owned(),
            }
        }
        (None, Some(object)) if object.spec.adopt == Some(Adopt::Existing) => return Ok(batch),
        (None, Some(object)) => {
            let mut object = object.clone();
            object.spec.adopt = Some(Adopt::Existing);
            object.metadata.generation += 1;
            let key = Key::new(RecordKind::Object(Kind::PersistentVolume), name.clone());
            let object = Object::PersistentVolume(object);
            write_as_known(view, key, &object, &mut batch)?;
            // Its first claim may come at the same time, and would not see this.
            let record = Key::new(RecordKind::Volume, name.clone());
            batch
                .preconditions
                .insert(record.clone(), view.as_known(&record));
            "the data on it becomes the data of its first claim".to_owned()
        }
        (None, None) => return Ok(batch),
    };
    batch.notes.push(note(name, now, "Adopted", text));
    Ok(batch)
}

/// Whether a word of adoption would come to anything.
fn may_adopt(view: &View, name: &ObjectKey, record: &Volume) -> Result<(), ServiceError> {
    if in_trash(record) {
        let message = format!(
            "volume {} is in the trash; bring it back first: berth volume undelete {0}",
            name.name
        );
        return Err(refused("TRASH", name, message));
    }
    let Some(bound) = &record.claim else {
        return Ok(());
    };
    if holder(view, record).is_none() {
        let message = format!(
            "volume {} had claim {}, which is gone; free it first for another one: berth volume \
             release {0}",
            name.name, bound.key
        );
        return Err(refused("RELEASED", name, message));
    }
    let claim = view.state.claims.get(&bound.key);
    if claim.is_some_and(|claim| claim.filled) {
        let message = format!(
            "a member was started on volume {} under claim {} before: its data is the claim's \
             already",
            name.name, bound.key
        );
        return Err(refused("FILLED", name, message));
    }
    Ok(())
}

/// Unties a volume from a claim that is gone.
pub(super) fn release(
    view: &View,
    name: &ObjectKey,
    now: Timestamp,
) -> Result<Batch, ServiceError> {
    let mut batch = Batch::default();
    let Some(record) = find(view, name)?.record else {
        return Ok(batch);
    };
    let Some(bound) = &record.claim else {
        return Ok(batch);
    };
    if record.state != VolumeState::Live {
        let message = format!(
            "volume {} is in the trash, or on its way there or back; berth volume list --trash \
             shows it, berth volume undelete brings it back",
            name.name
        );
        return Err(refused("TRASH", name, message));
    }
    if let Some(bound) = holder(view, record) {
        let message = format!(
            "volume {} is bound to claim {}, which exists; delete the claim first: berth delete \
             pvc/{} -n {}",
            name.name, bound.key, bound.key.name, bound.key.namespace
        );
        return Err(refused("BOUND", name, message));
    }
    let volume = Volume {
        claim: None,
        // The word of the operator was for the claim that is gone.
        adopt: false,
        ..record.clone()
    };
    put_volume(view, name, &volume, &mut batch)?;
    batch.deletes.insert(former_key(name));
    let text = format!(
        "claim {} is gone for good; another one may have the volume",
        bound.key
    );
    batch.notes.push(note(name, now, "Released", text));
    Ok(batch)
}

/// Moves a volume that a class made and that no claim has to the trash.
pub(super) fn delete(
    view: &View,
    name: &ObjectKey,
    typed: &str,
    now: Timestamp,
) -> Result<Batch, ServiceError> {
    let mut batch = Batch::default();
    let record = find(view, name)?.record;
    let Some(record) = record.filter(|record| record.provisioned) else {
        let message = format!(
            "volume {} was made by an operator: its data is not Berth's to delete; berth delete \
             pv/{0} forgets it and leaves the data where it is",
            name.name
        );
        return Err(refused("NOT_OURS", name, message));
    };
    if let Some(bound) = holder(view, record) {
        let message = format!(
            "volume {} is bound to claim {}; delete the claim first: berth delete pvc/{} -n {}",
            name.name, bound.key, bound.key.name, bound.key.namespace
        );
        return Err(refused("BOUND", name, message));
    }
    if typed != name.name.as_str() {
        let message = format!(
            "deleting volume {} needs its name typed; give '{0}'",
            name.name
        );
        return Err(refused("CONFIRMATION", name, message));
    }
    if in_trash(record) {
        return Ok(batch);
    }
    let volume = Volume {
        state: VolumeState::Trashing,
        ..record.clone()
    };
    put_volume(view, name, &volume, &mut batch)?;
    let text = format!(
        "its data goes to the trash; berth volume undelete {} brings it back",
        name.name
    );
    batch.notes.push(note(name, now, "Trashing", text));
    Ok(batch)
}

/// Brings a volume back from the trash, and the claim that it had: the same one, with its id.
pub(super) fn undelete(
    view: &View,
    name: &ObjectKey,
    now: Timestamp,
) -> Result<Batch, ServiceError> {
    let mut batch = Batch::default();
    let Some(record) = find(view, name)?.record else {
        let message = format!(
            "volume {} was not deleted; there is nothing to do",
            name.name
        );
        return Err(refused("NOT_DELETED", name, message));
    };
    let former = view.former_claims.get(name);
    let bound = record.claim.as_ref().filter(|_| former.is_some());
    match (&record.state, bound) {
        (VolumeState::Purging, _) => {
            let message = format!(
                "the time of volume {} in the trash is over, and its data is being removed; it \
                 cannot come back: restore a backup",
                name.name
            );
            return Err(refused("PURGING", name, message));
        }
        (VolumeState::Restoring, None) => return Ok(batch),
        (VolumeState::Live, None) => {
            let message = match holder(view, record) {
                Some(bound) => format!(
                    "volume {} is bound to claim {}; there is nothing to bring back",
                    name.name, bound.key
                ),
                None => format!(
                    "volume {} is not in the trash, and no claim is known that it had; there is \
                     nothing to bring back",
                    name.name
                ),
            };
            return Err(refused("NOT_DELETED", name, message));
        }
        (VolumeState::Trashing | VolumeState::Trashed { .. }, _)
        | (VolumeState::Live | VolumeState::Restoring, Some(_)) => {}
    }
    let volume = Volume {
        state: if in_trash(record) {
            VolumeState::Restoring
        } else {
            record.state.clone()
        },
        ..record.clone()
    };
    put_volume(view, name, &volume, &mut batch)?;
    let mut text = "it comes back".to_owned();
    if let (Some(bound), Some(claim)) = (bound, former) {
        bring_back(view, name, bound, claim, &mut batch)?;
        text = format!("it comes back, and claim {} with it", bound.key);
    }
    batch.notes.push(note(name, now, "Undeleted", text));
    Ok(batch)
}

fn bring_back(
    view: &View,
    name: &ObjectKey,
    bound: &BoundClaim,
    claim: &Claim,
    batch: &mut Batch,
) -> Result<(), ServiceError> {
    if view.state.claims.contains_key(&bound.key) {
        let message = format!(
            "another claim has the name {} by now; delete it first (berth delete pvc/{} -n {}), \
             or release the volume (berth volume release {})",
            bound.key, bound.key.name, bound.key.namespace, name.name
        );
        return Err(refused("NAME_TAKEN", name, message));
    }
    let key = Key::new(RecordKind::Claim, bound.key.clone());
    write_as_known(view, key, claim, batch)?;
    batch.deletes.insert(former_key(name));
    Ok(())
}

/// What becomes of the volume of a claim that is deleted, and the words for it.
pub(super) fn unclaim(
    view: &View,
    key: &ClaimKey,
    now: Timestamp,
    batch: &mut Batch,
) -> Result<String, ServiceError> {
    let claim = view.state.claims.get(key);
    let name = claim.and_then(|claim| claim.volume.as_ref());
    let record = name.and_then(|name| view.state.volumes.get(name));
    let (Some(claim), Some(name), Some(record)) = (claim, name, record) else {
        return Ok("it was deleted; it had no volume".to_owned());
    };
    if holder(view, record).is_none_or(|bound| bound.uid != claim.uid) {
        return Ok("it was deleted; its volume was lost before".to_owned());
    }
    let goes = record.provisioned && record.reclaim == ReclaimPolicy::Delete;
    // Written in any case: whoever watches the volume is to see that it is released.
    let volume = Volume {
        state: if goes {
            VolumeState::Trashing
        } else {
            record.state.clone()
        },
        ..record.clone()
    };
    let volume_key = Key::new(RecordKind::Volume, name.clone());
    write_as_known(view, volume_key, &volume, batch)?;
    write_as_known(view, former_key(name), claim, batch)?;
    let volume = &name.name;
    let (reason, text) = if goes {
        (
            "Trashing",
            format!("claim {key} was deleted: its data goes to the trash"),
        )
    } else {
        (
            "Released",
            format!("claim {key} was deleted: its data stays where it is"),
        )
    };
    batch.notes.push(note(name, now, reason, text));
    Ok(if goes {
        format!(
            "it was deleted; its volume {volume} goes to the trash, and comes back with berth \
             volume undelete"
        )
    } else {
        format!(
            "it was deleted; its volume {volume} keeps the data, and berth volume undelete ties \
             them together again"
        )
    })
}

/// Forgets a volume that an operator made, with what was decided of it.
pub(super) fn forget(view: &View, name: &ObjectKey, batch: &mut Batch) -> Result<(), ServiceError> {
    let found = find(view, name)?;
    let Some(record) = found.record else {
        return Ok(());
    };
    if found.object.is_none() {
        let message = format!(
            "volume {} was made by a class; berth volume delete {0} moves it to the trash",
            name.name
        );
        return Err(refused("PROVISIONED", name, message));
    }
    if let Some(bound) = holder(view, record) {
        let message = format!(
            "volume {} is bound to claim {}; delete the claim first",
            name.name, bound.key
        );
        return Err(refused("BOUND", name, message));
    }
    // Its claim, should it come back, is not to find it gone.
    if let Some(bound) = &record.claim {
        let claim = Key::new(RecordKind::Claim, bound.key.clone());
        batch
            .preconditions
            .insert(claim.clone(), view.as_known(&claim));
    }
    let key = Key::new(RecordKind::Volume, name.clone());
    batch.preconditions.insert(key.clone(), view.as_known(&key));
    batch.deletes.insert(key);
    batch.deletes.insert(former_key(name));
    Ok(())
}

#[cfg(test)]
mod tests;

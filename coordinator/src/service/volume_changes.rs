//! What was decided of a volume, as commits. What may be decided is in [`berth_core::volume::change`].
//!
//! Every decision rests on the volume, on its record, and on the claim that the record names: all are
//! preconditions, so that a claim that comes or goes in between is not overlooked.

use berth_core::{
    ids::{ClaimKey, ObjectKey},
    spec::{Kind, Object},
    store::{Batch, Key, NoteKind, RecordKind},
    time::Timestamp,
    volume::change::{self, Change, Refusal, Write},
};

use super::status::ServiceError;
use crate::{
    notes::{self, NORMAL},
    state::{View, claims::write_as_known},
};

impl From<Refusal> for ServiceError {
    fn from(refusal: Refusal) -> Self {
        if let Refusal::Unknown(name) = &refusal {
            let what = format!("{} {}", Kind::PersistentVolume, name.name);
            return Self::NotFound { what };
        }
        Self::Refused {
            rule: refusal.rule(),
            subject: refusal.subject(),
            message: refusal.to_string(),
        }
    }
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

/// The commit of a decision; an empty one if nothing is to be done.
pub(super) fn batch(
    view: &View,
    name: &ObjectKey,
    decided: Result<Option<Change>, Refusal>,
    now: Timestamp,
) -> Result<Batch, ServiceError> {
    let mut batch = Batch::default();
    if let Some(change) = decided? {
        let note = noted(name, now, NORMAL, change.reason, change.text.clone());
        batch.notes.push(note);
        write(view, name, change, &mut batch)?;
    }
    Ok(batch)
}

/// Writes what becomes of the volume of a claim that is deleted; what is told of the claim.
pub(super) fn unclaim(
    view: &View,
    key: &ClaimKey,
    now: Timestamp,
    into: &mut Batch,
) -> Result<String, ServiceError> {
    let unclaimed = change::unclaim(&view.state, key);
    if let Some((name, change)) = unclaimed.change {
        let note = noted(&name, now, NORMAL, change.reason, change.text.clone());
        into.notes.push(note);
        write(view, &name, change, into)?;
    }
    Ok(unclaimed.text)
}

/// Writes that a volume is forgotten, with its object's deletion.
pub(super) fn forget(view: &View, name: &ObjectKey, into: &mut Batch) -> Result<(), ServiceError> {
    match change::forget(&view.state, name)? {
        Some(change) => write(view, name, change, into),
        None => Ok(()),
    }
}

fn write(
    view: &View,
    name: &ObjectKey,
    change: Change,
    batch: &mut Batch,
) -> Result<(), ServiceError> {
    let key = |kind| Key::new(kind, name.clone());
    let known = view.state.volumes.get(name);
    let bound = known.and_then(|volume| volume.claim.as_ref());
    let bound = bound.map(|bound| Key::new(RecordKind::Claim, bound.key.clone()));
    let object = key(RecordKind::Object(Kind::PersistentVolume));
    for read in [key(RecordKind::Volume), object.clone()]
        .into_iter()
        .chain(bound)
    {
        let known = view.as_known(&read);
        batch.preconditions.insert(read, known);
    }
    record(view, key(RecordKind::Volume), change.record, batch)?;
    record(view, key(RecordKind::FormerClaim), change.former, batch)?;
    if let Some((claim_key, claim)) = change.claim {
        let claim_key = Key::new(RecordKind::Claim, claim_key);
        write_as_known(view, claim_key, &claim, batch)?;
    }
    if let Some(volume) = change.object {
        write_as_known(view, object, &Object::PersistentVolume(volume), batch)?;
    }
    Ok(())
}

fn record<T: serde::Serialize>(
    view: &View,
    key: Key,
    write: Write<T>,
    batch: &mut Batch,
) -> Result<(), ServiceError> {
    match write {
        Write::Keep => {}
        Write::Put(record) => write_as_known(view, key, &record, batch)?,
        Write::Remove => {
            batch.preconditions.insert(key.clone(), view.as_known(&key));
            batch.deletes.insert(key);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;

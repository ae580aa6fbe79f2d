//! What may become of a volume when an operator asks: adopted, released, deleted, brought back,
//! forgotten; and what becomes of it when its claim is deleted.
//!
//! Each function says what changes, as a value, or why nothing does. The coordinator writes the
//! value down and the simulator applies it, so that what is simulated is what is done.

use crate::{
    ids::{ClaimKey, ObjectKey},
    map::Map,
    spec::{Adopt, PersistentVolume, ReclaimPolicy},
    state::{BoundClaim, Claim, State, Volume, VolumeState},
    volume::provision::Servers,
};

mod refusal;

pub use refusal::Refusal;

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write<T> {
    /// It stays.
    Keep,
    /// It is this from now on.
    Put(T),
    /// It goes.
    Remove,
}

/// What changes about one volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happened, as the event of it is called.
    pub reason: &'static str,
    /// The same in words.
    pub text: String,
    /// What was decided of the volume.
    pub record: Write<Volume>,
    /// The volume as its operator made it, if a word of theirs is written there.
    pub object: Option<PersistentVolume>,
    /// The claim that comes back.
    pub claim: Option<(ClaimKey, Claim)>,
    /// The claim that the volume had when that was deleted.
    pub former: Write<Claim>,
}

impl Change {
    fn new(reason: &'static str, text: String, record: Write<Volume>) -> Self {
        Self {
            reason,
            text,
            record,
            object: None,
            claim: None,
            former: Write::Keep,
        }
    }

    /// Carries it out.
    pub fn apply(self, name: &ObjectKey, state: &mut State, former: &mut Map<ObjectKey, Claim>) {
        self.record.apply(name, &mut state.volumes);
        self.former.apply(name, former);
        state.claims.extend(self.claim);
        let object = self.object.map(|object| (name.clone(), object));
        state.persistent_volumes.extend(object);
    }
}

impl<T> Write<T> {
    fn apply(self, name: &ObjectKey, records: &mut Map<ObjectKey, T>)
    where
        T: Clone,
    {
        match self {
            Self::Keep => {}
            Self::Put(record) => drop(records.insert(name.clone(), record)),
            Self::Remove => drop(records.remove(name)),
        }
    }
}

/// A volume as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// As an operator wrote it.
    pub object: Option<&'a PersistentVolume>,
    /// What was decided of it.
    pub record: Option<&'a Volume>,
}

/// Looks a volume up.
///
/// # Errors
/// There is none of that name.
pub fn find<'a>(state: &'a State, name: &ObjectKey) -> Result<Found<'a>, Refusal> {
    let found = Found {
        object: state.persistent_volumes.get(name),
        record: state.volumes.get(name),
    };
    if found.object.is_none() && found.record.is_none() {
        return Err(Refusal::Unknown(name.clone()));
    }
    Ok(found)
}

/// The claim that has a volume, if it exists.
pub fn holder<'a>(state: &State, volume: &'a Volume) -> Option<&'a BoundClaim> {
    let bound = volume.claim.as_ref();
    bound.filter(|bound| bound.is_there(state))
}

fn unheld(state: &State, name: &ObjectKey, volume: &Volume) -> Result<(), Refusal> {
    holder(state, volume).map_or(Ok(()), |bound| {
        Err(Refusal::Bound {
            volume: name.clone(),
            claim: bound.key.clone(),
        })
    })
}

fn in_trash(volume: &Volume) -> bool {
    match volume.state {
        VolumeState::Trashing | VolumeState::Trashed { .. } | VolumeState::Purging => true,
        VolumeState::Live | VolumeState::Restoring => false,
    }
}

/// The record of a volume whose data is to go to the trash.
pub(crate) fn thrown(volume: &Volume) -> Volume {
    Volume {
        state: VolumeState::Trashing,
        deletions: volume.deletions.saturating_add(1),
        ..volume.clone()
    }
}

/// The data on a volume becomes the data of its claim, or of its next one; `None` if that was said
/// before.
///
/// # Errors
/// Why that would come to nothing.
pub fn adopt(state: &State, name: &ObjectKey) -> Result<Option<Change>, Refusal> {
    let found = find(state, name)?;
    let Some(record) = found.record else {
        return Ok(found.object.and_then(declare));
    };
    let holder = may_adopt(state, name, record)?;
    if record.adopt {
        return Ok(None);
    }
    let text = match holder {
        Some(claim) => format!("the data on it becomes the data of claim {claim}"),
        None => "the data on it becomes the data of its next claim".to_owned(),
    };
    let volume = Volume {
        adopt: true,
        ..record.clone()
    };
    Ok(Some(Change::new("Adopted", text, Write::Put(volume))))
}

/// Whether a word of adoption would come to anything, and for which claim.
fn may_adopt<'a>(
    state: &State,
    name: &ObjectKey,
    record: &'a Volume,
) -> Result<Option<&'a ClaimKey>, Refusal> {
    let volume = name.clone();
    if in_trash(record) {
        return Err(Refusal::InTrash { volume });
    }
    let Some(BoundClaim { key, .. }) = &record.claim else {
        return Ok(None);
    };
    let claim = key.clone();
    if holder(state, record).is_none() {
        return Err(Refusal::Released { volume, claim });
    }
    let filled = state.claims.get(key).is_some_and(|claim| claim.filled);
    if filled {
        return Err(Refusal::Filled { volume, claim });
    }
    Ok(Some(key))
}

/// The word of adoption for a volume that no claim ever had.
fn declare(object: &PersistentVolume) -> Option<Change> {
    if object.spec.adopt == Some(Adopt::Existing) {
        return None;
    }
    let mut object = object.clone();
    object.spec.adopt = Some(Adopt::Existing);
    object.metadata.generation += 1;
    let text = "the data on it becomes the data of its first claim".to_owned();
    Some(Change {
        object: Some(object),
        ..Change::new("Adopted", text, Write::Keep)
    })
}

/// Unties a volume from a claim that is gone; `None` if it is tied to none.
///
/// # Errors
/// A claim has it, or it is not in its place.
pub fn release(state: &State, name: &ObjectKey) -> Result<Option<Change>, Refusal> {
    let record = find(state, name)?.record;
    let tied = record.and_then(|record| Some((record, record.claim.as_ref()?)));
    let Some((record, bound)) = tied else {
        return Ok(None);
    };
    if record.state != VolumeState::Live {
        let volume = name.clone();
        return Err(Refusal::OnItsWay { volume });
    }
    unheld(state, name, record)?;
    let volume = Volume {
        claim: None,
        // The word of the operator was for the claim that is gone.
        adopt: false,
        ..record.clone()
    };
    let text = format!(
        "claim {} is gone for good; another one may have the volume",
        bound.key
    );
    Ok(Some(Change {
        former: Write::Remove,
        ..Change::new("Released", text, Write::Put(volume))
    }))
}

/// Moves a volume that a class made and that no claim has to the trash; `None` if it is there.
/// `typed` is the volume's name as the operator typed it: what stands against the deletion in any
/// case is said before that is asked for.
///
/// # Errors
/// A claim has it, it is not Berth's to delete, or its name was not typed.
pub fn delete(state: &State, name: &ObjectKey, typed: &str) -> Result<Option<Change>, Refusal> {
    let volume = name.clone();
    let record = find(state, name)?.record;
    let Some(record) = record.filter(|record| record.provisioned) else {
        return Err(Refusal::NotOurs { volume });
    };
    unheld(state, name, record)?;
    if typed != name.name.as_str() {
        return Err(Refusal::Confirmation { volume });
    }
    if in_trash(record) {
        return Ok(None);
    }
    let text = format!(
        "its data goes to the trash; berth volume undelete {} brings it back",
        name.name
    );
    let record = Write::Put(thrown(record));
    Ok(Some(Change::new("Trashing", text, record)))
}

/// Brings a volume back from the trash, and the claim that it had: the same one, with its id.
/// `None` if it is under way. `former` is the claim that it had when that was deleted.
///
/// # Errors
/// Nothing is to be brought back, or its claim's name is taken.
pub fn undelete(
    state: &State,
    name: &ObjectKey,
    former: Option<&Claim>,
) -> Result<Option<Change>, Refusal> {
    let not_deleted = |why: String| Refusal::NotDeleted {
        volume: name.clone(),
        why,
    };
    let Some(record) = find(state, name)?.record else {
        return Err(not_deleted("was not deleted".to_owned()));
    };
    if record.arriving().is_some() {
        let why = "holds only part of the data that was to be moved there".to_owned();
        return Err(not_deleted(why));
    }
    let back = record.claim.as_ref().zip(former);
    match (&record.state, back) {
        (VolumeState::Purging, _) => {
            return Err(Refusal::Purging {
                volume: name.clone(),
            });
        }
        (VolumeState::Restoring, None) => return Ok(None),
        (VolumeState::Live, None) => {
            return Err(not_deleted(match holder(state, record) {
                Some(bound) => format!("is bound to claim {}", bound.key),
                None => "is not in the trash, and no claim is known that it had".to_owned(),
            }));
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
    place_is_free(state, name, record)?;
    let text = "it comes back".to_owned();
    let change = Change::new("Undeleted", text, Write::Put(volume));
    let Some((bound, claim)) = back else {
        return Ok(Some(change));
    };
    let set = claim.member.as_ref().map(|member| &member.set);
    if let Some(set) = set.filter(|set| state.sets.get(set).is_some_and(|set| set.refounding)) {
        return Err(Refusal::FoundedAnew {
            volume: name.clone(),
            set: set.clone(),
        });
    }
    if state.claims.contains_key(&bound.key) {
        return Err(Refusal::NameTaken {
            volume: name.clone(),
            claim: bound.key.clone(),
        });
    }
    Ok(Some(Change {
        text: format!("it comes back, and claim {} with it", bound.key),
        claim: Some((bound.key.clone(), staying(claim))),
        former: Write::Remove,
        ..change
    }))
}

/// A claim that comes back goes with nothing: what it went with is gone already.
fn staying(claim: &Claim) -> Claim {
    Claim {
        goes_with: None,
        ..claim.clone()
    }
}

/// Whether the place of a volume that lies in the trash is still free.
fn place_is_free(state: &State, name: &ObjectKey, record: &Volume) -> Result<(), Refusal> {
    if !record.is_moved_away() {
        return Ok(());
    }
    let servers = Servers::of(state);
    let mut others = state.volumes.iter().filter(|(other, volume)| {
        *other != name && !volume.is_moved_away() && servers.overlap(&volume.source, &record.source)
    });
    match others.next() {
        None => Ok(()),
        Some((by, _)) => Err(Refusal::PlaceTaken {
            volume: name.clone(),
            by: by.clone(),
        }),
    }
}

/// What becomes of the volume of a claim that is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclaimed {
    /// What is told of the claim.
    pub text: String,
    /// Its volume and what changes about it, if it has one.
    pub change: Option<(ObjectKey, Change)>,
}

/// What becomes of the volume of a claim that is deleted: the class decides.
pub fn unclaim(state: &State, key: &ClaimKey) -> Unclaimed {
    let nothing = |text: &str| Unclaimed {
        text: text.to_owned(),
        change: None,
    };
    let claim = state.claims.get(key);
    let name = claim.and_then(|claim| claim.volume.as_ref());
    let record = name.and_then(|name| state.volumes.get(name));
    let (Some(claim), Some(name), Some(record)) = (claim, name, record) else {
        return nothing("it was deleted; it had no volume");
    };
    if holder(state, record).is_none_or(|bound| bound.uid != claim.uid) {
        return nothing("it was deleted; its volume was lost before");
    }
    let goes = record.provisioned && record.reclaim == ReclaimPolicy::Delete;
    let volume = &name.name;
    let (reason, what, text, record) = if goes {
        (
            "Trashing",
            format!("claim {key} was deleted: its data goes to the trash"),
            format!(
                "it was deleted; its volume {volume} goes to the trash, and comes back with berth \
                 volume undelete"
            ),
            thrown(record),
        )
    } else {
        (
            "Released",
            format!("claim {key} was deleted: its data stays where it is"),
            format!(
                "it was deleted; its volume {volume} keeps the data, and berth volume undelete \
                 ties them together again"
            ),
            // Written all the same: whoever watches the volume is to see that it is released.
            record.clone(),
        )
    };
    let change = Change {
        former: Write::Put(claim.clone()),
        ..Change::new(reason, what, Write::Put(record))
    };
    Unclaimed {
        text,
        change: Some((name.clone(), change)),
    }
}

/// Forgets what was decided of a volume that an operator made; `None` if nothing was.
///
/// # Errors
/// A claim has it, or a class made it.
pub fn forget(state: &State, name: &ObjectKey) -> Result<Option<Change>, Refusal> {
    let found = find(state, name)?;
    let Some(record) = found.record else {
        return Ok(None);
    };
    if found.object.is_none() {
        let volume = name.clone();
        return Err(Refusal::Provisioned { volume });
    }
    unheld(state, name, record)?;
    let text = "it was forgotten; its data stays where it is".to_owned();
    Ok(Some(Change {
        former: Write::Remove,
        ..Change::new("Forgotten", text, Write::Remove)
    }))
}

#[cfg(test)]
mod tests;

//! Which volume a claim gets: the match rules of Kubernetes over the volumes that are there.
//!
//! A volume that names the claim in its `claimRef` wins, if it is large enough and offers the
//! access modes: who wrote both names meant it, so labels and class are not asked for. So it is,
//! but for the class, with a volume that the claim asks for by name. Of the others those are
//! candidates that nobody has, whose class is equal and whose labels the claim selects; the
//! smallest wins, of equal ones the first name. Binding is exclusive: one claim has the whole
//! volume, whatever it asked for.
//!
//! One rule goes beyond Kubernetes: what a class made for one claim, and an operator released, goes
//! only to a claim that asks for it by name. Its old data would be handed to whoever comes by.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    bug::{self, Bug},
    ids::{ClaimKey, ObjectKey},
    spec::{AccessMode, Adopt, ClaimRef, PersistentVolume},
    state::{BoundClaim, Claim, State, Volume, VolumeState},
    time::Timestamp,
    volume::{VolumeSource, access::is_for_many, provision::Servers},
    waiting::{VolumeMisfit, VolumeRefusal},
};

/// A volume that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The volume.
    pub name: ObjectKey,
    /// Whether it is kept for the claim, or asked for by name: then there is nothing to wait for.
    pub certain: bool,
}

/// Why no volume fits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoMatch {
    /// Per volume, why not.
    pub volumes: Vec<VolumeRefusal>,
    /// Whether one of them is kept for the claim: then another one would not be what was meant.
    pub kept: bool,
}

/// A volume as the rules see it.
struct Candidate<'a> {
    name: &'a ObjectKey,
    capacity: u64,
    modes: &'a [AccessMode],
    class: &'a str,
    labels: Option<&'a BTreeMap<String, String>>,
    claim_ref: Option<&'a ClaimRef>,
    record: Option<&'a Volume>,
}

/// The volume that a claim of a class gets.
///
/// # Errors
/// Why each volume that is there is not it.
pub fn find(state: &State, key: &ClaimKey, claim: &Claim, class: &str) -> Result<Match, NoMatch> {
    let mut fits = Vec::new();
    let mut none = NoMatch::default();
    let mut refuse = |name: &ObjectKey, because| {
        let volume = name.name.to_string();
        none.volumes.push(VolumeRefusal { volume, because });
    };
    let mut kept = false;
    let index = state.index();
    let own = index.volumes_of.of(key);
    let asked = ObjectKey::of_cluster(&claim.spec.volume_name).ok();
    let provisioned = index.loose.of(&()).chain(own).chain(&asked);
    let provisioned: BTreeSet<&ObjectKey> = provisioned.collect();
    for candidate in candidates(state, &provisioned) {
        let is_kept = candidate.is_kept_for(key, claim);
        kept |= is_kept;
        match candidate.misfit(state, key, claim, class) {
            None => fits.push((!is_kept, candidate.capacity, candidate)),
            Some(because) => refuse(candidate.name, because),
        }
    }
    fits.sort_by_key(|(other, capacity, candidate)| (*other, *capacity, candidate.name));
    for (other, _, candidate) in fits {
        match candidate.overlap(state, claim) {
            None => {
                return Ok(Match {
                    name: candidate.name.clone(),
                    certain: !other || !claim.spec.volume_name.is_empty(),
                });
            }
            Some(volume) => refuse(candidate.name, VolumeMisfit::Overlaps { volume }),
        }
    }
    none.kept = kept;
    none.volumes.sort();
    Err(none)
}

/// Every volume that may be asked about: those made by hand, and of those that a class made the ones
/// that nobody has, or that this claim has.
fn candidates<'a>(
    state: &'a State,
    provisioned: &BTreeSet<&ObjectKey>,
) -> impl Iterator<Item = Candidate<'a>> {
    let made = state.persistent_volumes.iter();
    let made = made.map(|(name, object)| Candidate {
        name,
        capacity: object.spec.storage(),
        modes: &object.spec.access_modes,
        class: &object.spec.storage_class_name,
        labels: Some(&object.metadata.labels),
        claim_ref: object.spec.claim_ref.as_ref(),
        record: state.volumes.get(name),
    });
    let provisioned = provisioned.iter();
    let provisioned = provisioned.filter_map(|name| state.volumes.get_key_value(name));
    let provisioned = provisioned.filter(|(name, volume)| {
        volume.provisioned && !state.persistent_volumes.contains_key(name)
    });
    let provisioned = provisioned.map(|(name, volume)| Candidate {
        name,
        capacity: volume.capacity,
        modes: &volume.access_modes,
        class: &volume.class,
        labels: None,
        claim_ref: None,
        record: Some(volume),
    });
    made.chain(provisioned)
}

impl Candidate<'_> {
    /// Whether the volume names the claim: its operator does, or its record, when the claim of a
    /// volume came back from the trash.
    fn is_kept_for(&self, key: &ClaimKey, claim: &Claim) -> bool {
        let bound = self.record.and_then(|record| record.claim.as_ref());
        let named = self.claim_ref.is_some_and(|named| {
            named.key().as_ref() == Some(key) && (named.uid.is_empty() || named.uid == claim.uid.0)
        });
        named || bound.is_some_and(|bound| bound.key == *key && bound.uid == claim.uid)
    }

    fn misfit(
        &self,
        state: &State,
        key: &ClaimKey,
        claim: &Claim,
        class: &str,
    ) -> Option<VolumeMisfit> {
        let asked = claim.spec.volume_name.as_str();
        let kept = self.is_kept_for(key, claim);
        if !asked.is_empty() && asked != self.name.name.as_str() {
            return Some(VolumeMisfit::Name);
        }
        if let Some(taken) = self.taken(state, claim) {
            return Some(taken);
        }
        if let Some(named) = self.claim_ref.filter(|_| !kept) {
            let claim = named.key().unwrap_or_else(|| key.clone());
            return Some(VolumeMisfit::Reserved { claim });
        }
        if !(kept && asked.is_empty()) && self.class != class {
            let class = self.class.to_owned();
            return Some(VolumeMisfit::Class { class });
        }
        if self.capacity < claim.spec.storage() {
            let capacity = self.capacity;
            return Some(VolumeMisfit::TooSmall { capacity });
        }
        if !(kept || self.selected(claim)) {
            return Some(VolumeMisfit::Labels);
        }
        let mut modes = claim.spec.access_modes.iter();
        (!modes.all(|mode| self.modes.contains(mode))).then_some(VolumeMisfit::AccessModes)
    }

    /// Who has it, or had it last, if that is not the claim itself.
    fn taken(&self, state: &State, claim: &Claim) -> Option<VolumeMisfit> {
        let record = self.record?;
        if record.state != VolumeState::Live {
            return Some(VolumeMisfit::Deleted);
        }
        let bound = record.claim.as_ref()?;
        let other = bound.uid != claim.uid && !bug::on(Bug::VolumeGivenTwice);
        other.then(|| VolumeMisfit::Bound {
            claim: bound.key.clone(),
            released: !bound.is_there(state),
        })
    }

    fn selected(&self, claim: &Claim) -> bool {
        if !claim.spec.volume_name.is_empty() {
            return true;
        }
        let Some(labels) = self.labels else {
            // Made by a class for another claim.
            return false;
        };
        let selector = claim.spec.selector.as_ref();
        selector.is_none_or(|selector| selector.matches(labels))
    }

    /// A volume of another claim whose directory is this one's, around it, or in it; unless nobody
    /// expects to have it alone.
    fn overlap(&self, state: &State, claim: &Claim) -> Option<String> {
        let object = state.persistent_volumes.get(self.name)?;
        let source = static_source(object)?;
        let others = state.volumes.iter().filter(|(name, volume)| {
            let shares = is_for_many(self.modes) && is_for_many(&volume.access_modes);
            let bound = volume.claim.as_ref();
            !shares && *name != self.name && bound.is_some_and(|bound| bound.uid != claim.uid)
        });
        let servers = Servers::of(state);
        let mut others = others.filter(|(_, volume)| servers.overlap(&volume.source, &source));
        others.next().map(|(name, _)| name.name.to_string())
    }
}

impl BoundClaim {
    /// Whether the claim is there: one of its name with another id is not it.
    pub fn is_there(&self, state: &State) -> bool {
        let claim = state.claims.get(&self.key);
        claim.is_some_and(|claim| claim.uid == self.uid)
    }
}

/// Where the data of a volume lies that was made by hand; `None` if it has no source that is known
/// here, which validation excludes.
pub fn static_source(object: &PersistentVolume) -> Option<VolumeSource> {
    object.spec.nfs_source().map(VolumeSource::Nfs)
}

/// The record of a volume as it is once it is bound to a claim; `None` if there is no such volume.
///
/// What its operator declared of data on it holds for its first claim. Later ones find what the
/// one before them left, and only a new word of the operator gives it to them.
pub fn bound(
    state: &State,
    name: &ObjectKey,
    key: &ClaimKey,
    claim: &Claim,
    now: Timestamp,
) -> Option<Volume> {
    let record = state.volumes.get(name);
    let claim = Some(BoundClaim {
        key: key.clone(),
        uid: claim.uid.clone(),
    });
    let Some(object) = state.persistent_volumes.get(name) else {
        let record = record?.clone();
        return Some(Volume { claim, ..record });
    };
    let declared = object.spec.adopt == Some(Adopt::Existing);
    let source = static_source(object)?;
    // A word was for the place that the volume had then.
    let told = record.filter(|record| record.source == source);
    Some(Volume {
        source,
        provisioned: false,
        capacity: object.spec.storage(),
        access_modes: object.spec.access_modes.clone(),
        class: object.spec.storage_class_name.clone(),
        reclaim: object.spec.persistent_volume_reclaim_policy,
        claim,
        owners: Vec::new(),
        filled: false,
        address: None,
        adopt: told.map_or(declared, |record| record.adopt),
        origin: None,
        moved_in: None,
        moved_out: None,
        state: VolumeState::Live,
        deletions: record.map_or(0, |record| record.deletions),
        created_at: record.map_or(now, |record| record.created_at),
    })
}

#[cfg(test)]
mod tests;

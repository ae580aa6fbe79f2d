//! What would come of claims that are about to be stored, as far as volumes and pools decide it:
//! what can never come to anything is refused, and what an operator would be surprised by is told
//! in the answer to `apply`, before a member waits for it or starts on it.

use std::collections::BTreeMap;

use super::claims::nowhere;
use crate::{
    ids::{ClaimKey, MemberId, ObjectKey, Uid},
    manifest::{ParsedObject, Violation},
    quantity,
    spec::{DataSourceKind, Object, PersistentVolumeClaimSpec, StatefulSet, VolumeSnapshot},
    state::{Claim, State},
    template::{ClaimValues, claim_spec},
    time::Timestamp,
    volume::{binding, class, copy},
    waiting::Reason,
};

/// Where the size of a claim is written.
const SIZE: &str = "spec.resources.requests.storage";

/// What would come of claims.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outlook {
    /// What can never come to anything.
    pub violations: Vec<Violation>,
    /// What is allowed and seldom meant.
    pub warnings: Vec<String>,
}

/// What would come of the claims among objects, and of those that sets among them would make. What
/// is applied together with them is not seen yet, and nothing is said of claims that have a volume.
pub fn outlook(state: &State, objects: &[ParsedObject]) -> Outlook {
    let mut found = Outlook::default();
    for parsed in objects {
        match &parsed.object {
            Object::PersistentVolumeClaim(claim) => {
                let spec = &claim.spec;
                if let Some(message) = too_small(state, &parsed.key, spec) {
                    found.violations.push(parsed.violation(SIZE, &message));
                }
                found.warnings.extend(of_claim(state, &parsed.key, spec));
            }
            Object::StatefulSet(set) => found.warnings.extend(of_set(state, &parsed.key, set)),
            Object::VolumeSnapshot(snapshot) => {
                let text = of_snapshot(state, objects, &parsed.key, snapshot);
                found.warnings.extend(text);
            }
            Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::AddressPool(_)
            | Object::StorageClass(_)
            | Object::PersistentVolume(_) => {}
        }
    }
    found
}

/// That a claim cannot hold the snapshot that it is to begin with, as far as that one is taken. A
/// claim to be cloned may grow or shrink until then, so that is the plan's to say.
fn too_small(state: &State, key: &ClaimKey, spec: &PersistentVolumeClaimSpec) -> Option<String> {
    let asked = spec.data_source.as_ref()?;
    if asked.kind != DataSourceKind::VolumeSnapshot || is_bound(state, key) {
        return None;
    }
    let object = ObjectKey {
        namespace: key.namespace.clone(),
        name: asked.name.parse().ok()?,
    };
    let object = state.volume_snapshots.get(&object)?;
    let (_, snapshot) = copy::snapshot_of(state, object)?;
    let least = quantity::exact(snapshot.bytes);
    (spec.storage() < snapshot.bytes).then(|| {
        format!(
            "snapshot '{}' needs {least}; give {least} or more",
            asked.name
        )
    })
}

fn is_bound(state: &State, key: &ClaimKey) -> bool {
    let known = state.claims.get(key);
    known.is_some_and(|claim| claim.volume.is_some())
}

/// The claims that a set would make, as its members would ask for them. One line for each volume, and
/// one for each template that no host has room for.
fn of_set(state: &State, key: &ObjectKey, set: &StatefulSet) -> Vec<String> {
    let mut inherited = BTreeMap::new();
    let mut homeless = Vec::new();
    for template in &set.spec.volume_claim_templates {
        // Size and class are those of the template, so that one claim speaks for all.
        let mut unasked = true;
        for ordinal in set.spec.declared() {
            let id = MemberId {
                set: key.clone(),
                ordinal,
            };
            // What cannot be rendered is refused by validation, or waits with a reason.
            let Ok(claim) = id.claim(&template.metadata.name) else {
                continue;
            };
            if state.claims.contains_key(&claim) {
                continue;
            }
            let values = ClaimValues {
                claim: &claim,
                member: Some(&id),
            };
            let Ok(spec) = claim_spec(&template.spec, values) else {
                continue;
            };
            let coming = Coming::new(state, &claim, &spec);
            match coming.volume(state) {
                Some(volume) => {
                    let text = coming.inherits(state, &volume);
                    inherited.extend(text.map(|text| (volume, text)));
                }
                None if unasked => {
                    unasked = false;
                    homeless.extend(coming.waits(state));
                }
                None => {}
            }
        }
    }
    homeless.extend(inherited.into_values());
    homeless
}

/// That nobody has the claim yet that a new snapshot is to be of.
fn of_snapshot(
    state: &State,
    objects: &[ParsedObject],
    key: &ObjectKey,
    snapshot: &VolumeSnapshot,
) -> Option<String> {
    let claim = copy::claim_of(key, snapshot)?;
    let coming = objects.iter().any(|other| match &other.object {
        Object::PersistentVolumeClaim(_) => other.key == claim,
        Object::StatefulSet(set) => makes(&other.key, set, &claim),
        Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::AddressPool(_)
        | Object::StorageClass(_)
        | Object::PersistentVolume(_)
        | Object::VolumeSnapshot(_) => false,
    });
    let known = state.volume_snapshots.contains_key(key) || state.claims.contains_key(&claim);
    (!known && !coming).then(|| {
        format!(
            "snapshot {key} is of claim {claim}, which does not exist; it waits for the first one of \
             the name"
        )
    })
}

/// Whether a claim is one of a set's members.
fn makes(key: &ObjectKey, set: &StatefulSet, claim: &ClaimKey) -> bool {
    set.spec.declared().any(|ordinal| {
        let id = MemberId {
            set: key.clone(),
            ordinal,
        };
        let mut templates = set.spec.volume_claim_templates.iter();
        templates.any(|template| id.claim(&template.metadata.name).as_ref() == Ok(claim))
    })
}

fn of_claim(state: &State, key: &ClaimKey, spec: &PersistentVolumeClaimSpec) -> Option<String> {
    if is_bound(state, key) {
        return None;
    }
    let coming = Coming::new(state, key, spec);
    match coming.volume(state) {
        Some(volume) => coming.inherits(state, &volume),
        None => coming.waits(state),
    }
}

/// A claim as it would be stored.
struct Coming<'a> {
    key: &'a ClaimKey,
    claim: Claim,
    class: String,
}

impl<'a> Coming<'a> {
    fn new(state: &State, key: &'a ClaimKey, spec: &PersistentVolumeClaimSpec) -> Self {
        let known = state.claims.get(key);
        let uid = known.map_or_else(|| Uid("new".to_owned()), |claim| claim.uid.clone());
        Self {
            key,
            claim: Claim::by_hand(uid, spec.clone(), Timestamp::default()),
            class: class::of_claim(state, spec),
        }
    }

    /// The volume that is there and that it would get.
    fn volume(&self, state: &State) -> Option<ObjectKey> {
        let found = binding::find(state, self.key, &self.claim, &self.class);
        found.ok().map(|found| found.name)
    }

    /// That there is data of an earlier claim on its volume. Its own, which came back from the trash, is
    /// no surprise.
    fn inherits(&self, state: &State, volume: &ObjectKey) -> Option<String> {
        let record = state.volumes.get(volume)?;
        let others = record.owners.iter().any(|owner| *owner != self.claim.uid);
        if !(record.filled && others) {
            return None;
        }
        let (key, volume) = (self.key, &volume.name);
        let then = if record.adopt {
            "it was adopted, so the claim begins with that data".to_owned()
        } else {
            format!("its member waits until 'berth volume adopt {volume}', or until it is empty")
        };
        Some(format!(
            "claim {key} would get volume {volume}, which holds data of an earlier claim: {then}"
        ))
    }

    /// That no host has room for a new volume.
    fn waits(&self, state: &State) -> Option<String> {
        let class = class::named(state, &self.class)?;
        let hosts = nowhere(state, &self.claim, &class)?;
        let reason = Reason::NoEligibleHost { hosts };
        Some(format!("claim {} waits: {reason}", self.key))
    }
}

//! What would come of claims that are about to be stored, as far as volumes and pools decide it:
//! what can never come to anything is refused, and what an operator would be surprised by is told
//! in the answer to `apply`, before a member waits for it or starts on it.

use std::collections::{BTreeMap, BTreeSet};

use super::claims::nowhere;
use crate::{
    ids::{ClaimKey, MemberId, ObjectKey, Uid},
    manifest::{ParsedObject, Violation},
    quantity,
    spec::{DataSourceKind, Object, PersistentVolumeClaimSpec, StatefulSet},
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
            Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::AddressPool(_)
            | Object::StorageClass(_)
            | Object::PersistentVolume(_)
            | Object::VolumeSnapshot(_) => {}
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

/// The claims that a set would make, as its members would ask for them. One line for each volume and
/// pool, and not for each member.
fn of_set(state: &State, key: &ObjectKey, set: &StatefulSet) -> BTreeSet<String> {
    let mut found = BTreeMap::new();
    for template in &set.spec.volume_claim_templates {
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
            let Some((about, text)) = surprise(state, &claim, &spec) else {
                continue;
            };
            found.entry(about).or_insert(text);
        }
    }
    found.into_values().collect()
}

fn of_claim(state: &State, key: &ClaimKey, spec: &PersistentVolumeClaimSpec) -> Option<String> {
    if is_bound(state, key) {
        return None;
    }
    surprise(state, key, spec).map(|(_, text)| text)
}

/// What somebody would not expect of a claim, and what it is about.
fn surprise(
    state: &State,
    key: &ClaimKey,
    spec: &PersistentVolumeClaimSpec,
) -> Option<(String, String)> {
    let known = state.claims.get(key);
    let uid = known.map_or_else(|| Uid("new".to_owned()), |claim| claim.uid.clone());
    let claim = Claim::by_hand(uid, spec.clone(), Timestamp::default());
    let class_name = class::of_claim(state, spec);
    match binding::find(state, key, &claim, &class_name) {
        Ok(found) => {
            let record = state.volumes.get(&found.name)?;
            let volume = found.name.name.to_string();
            // The claim's own, which came back from the trash, is no surprise.
            let others = record.owners.iter().any(|owner| *owner != claim.uid);
            if !(record.filled && others) {
                return None;
            }
            let then = if record.adopt {
                "it was adopted, so the claim begins with that data".to_owned()
            } else {
                format!(
                    "its member waits until 'berth volume adopt {volume}', or until it is empty"
                )
            };
            let text = format!(
                "claim {key} would get volume {volume}, which holds data of an earlier claim: {then}"
            );
            Some((volume, text))
        }
        Err(_) => {
            let class = class::named(state, &class_name)?;
            let hosts = nowhere(state, &claim, &class)?;
            let reason = Reason::NoEligibleHost { hosts };
            Some((class_name, format!("claim {key} waits: {reason}")))
        }
    }
}

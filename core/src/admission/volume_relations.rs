//! What classes, volumes, claims and sets say of each other: two volumes at one place, two default
//! classes, names of what is not there (yet).

use std::collections::BTreeSet;

use super::{Change, Existing, Objects, Outcome};
use crate::{
    ids::ObjectKey,
    manifest::{ParsedObject, Violation},
    spec::{
        Kind, Object, PersistentVolume, PersistentVolumeClaimSpec, StatefulSet, VolumeSnapshot,
    },
    volume::{access::is_for_many, class::BUILT_IN, provision::Places},
};

/// How two volumes lie to each other.
fn lie(a: &PersistentVolume, b: &PersistentVolume) -> Places {
    match (a.spec.nfs_source(), b.spec.nfs_source()) {
        (Some(a), Some(b)) => a.places(&b),
        (Some(_) | None, None) | (None, Some(_)) => Places::Apart,
    }
}

/// Whether two volumes with a directory in common may both have a claim, as the plan decides it.
fn may_share(a: &PersistentVolume, b: &PersistentVolume) -> bool {
    is_for_many(&a.spec.access_modes) && is_for_many(&b.spec.access_modes)
}

fn volumes(objects: &Objects) -> impl Iterator<Item = (&ObjectKey, &PersistentVolume)> {
    objects.iter().filter_map(|((_, key), object)| {
        if let Object::PersistentVolume(volume) = object {
            Some((key, volume))
        } else {
            None
        }
    })
}

fn sets(objects: &Objects) -> impl Iterator<Item = (&ObjectKey, &StatefulSet)> {
    objects.iter().filter_map(|((_, key), object)| {
        if let Object::StatefulSet(set) = object {
            Some((key, set))
        } else {
            None
        }
    })
}

/// The other volumes at the place of one.
fn twins<'a>(
    after: &'a Objects,
    key: &'a ObjectKey,
    volume: &'a PersistentVolume,
) -> impl Iterator<Item = (&'a ObjectKey, &'a PersistentVolume)> {
    volumes(after).filter(move |(other, its)| *other != key && lie(volume, its) == Places::Same)
}

/// Two volumes at one place: their claims would each believe that the data is theirs alone.
pub(super) fn places(
    after: &Objects,
    parsed: &ParsedObject,
    volume: &PersistentVolume,
    violations: &mut Vec<Violation>,
) {
    for (key, other) in twins(after, &parsed.key, volume) {
        if may_share(volume, other) {
            continue;
        }
        let message = format!(
            "volume '{}' is the same directory; give another, or both only ReadOnlyMany or \
             ReadWriteMany",
            key.name
        );
        violations.push(parsed.violation("spec.nfs.path", &message));
    }
}

/// What is allowed and seldom meant.
pub(super) fn warnings(after: &Objects, changes: &[Change]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for change in changes.iter().filter(|c| c.outcome != Outcome::Unchanged) {
        let key = &change.key;
        match &change.object {
            Object::PersistentVolume(volume) => {
                found.extend(nested(after, key, volume));
                found.extend(twins(after, key, volume).map(|(other, _)| {
                    let (a, b) = (key.min(other), key.max(other));
                    format!(
                        "volumes '{}' and '{}' are the same directory: their claims see the same \
                         data",
                        a.name, b.name
                    )
                }));
            }
            Object::StorageClass(class) if class.is_default() => {
                found.extend(several_defaults(after));
            }
            Object::PersistentVolumeClaim(claim) => {
                let what = format!("claim {key}");
                found.extend(missing_class(after, &what, &claim.spec, "it waits for it"));
            }
            Object::StatefulSet(set) => {
                let what = key.to_string();
                for template in &set.spec.volume_claim_templates {
                    let spec = &template.spec;
                    found.extend(missing_class(after, &what, spec, "its members wait for it"));
                }
                found.extend(missing_claims(after, key, set));
            }
            Object::VolumeSnapshot(snapshot) => found.extend(missing_source(after, key, snapshot)),
            Object::StorageClass(_)
            | Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::AddressPool(_) => {}
        }
    }
    found
}

/// A directory in another one: whoever has the outer one has the inner one too, so that only
/// volumes for many are both given away.
fn nested(after: &Objects, key: &ObjectKey, volume: &PersistentVolume) -> Vec<String> {
    let mut found = Vec::new();
    for (other, its) in volumes(after).filter(|(other, _)| *other != key) {
        let (inner, outer) = match lie(volume, its) {
            Places::Inside => (key, other),
            Places::Around => (other, key),
            Places::Apart | Places::Same => continue,
        };
        let then = if may_share(volume, its) {
            "who has the outer one has the data of the inner one too"
        } else {
            "while a claim has one of them, no other claim gets the other; give directories \
             apart, or both volumes only ReadOnlyMany or ReadWriteMany"
        };
        found.push(format!(
            "the directory of volume '{}' lies in that of '{}': {then}",
            inner.name, outer.name
        ));
    }
    found
}

fn several_defaults(after: &Objects) -> Option<String> {
    let marked = after.values().filter_map(|object| match object {
        Object::StorageClass(class) if class.is_default() => Some(class.metadata.name.as_str()),
        Object::StorageClass(_)
        | Object::PersistentVolume(_)
        | Object::PersistentVolumeClaim(_)
        | Object::StatefulSet(_)
        | Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::AddressPool(_)
        | Object::VolumeSnapshot(_) => None,
    });
    let names: Vec<&str> = marked.collect();
    (names.len() > 1).then(|| {
        format!(
            "classes {} are all marked as default: claims that name none get the newest of them",
            names.join(", ")
        )
    })
}

/// A class that nobody made. A class of volumes made by hand needs no object, only volumes.
fn missing_class(
    after: &Objects,
    what: &str,
    claim: &PersistentVolumeClaimSpec,
    then: &str,
) -> Option<String> {
    let name = claim.storage_class_name.as_deref()?;
    let key = ObjectKey::of_cluster(name).ok()?;
    let is_there = name == BUILT_IN
        || after.contains_key(&(Kind::StorageClass, key))
        || volumes(after).any(|(_, volume)| volume.spec.storage_class_name == name);
    (!is_there)
        .then(|| format!("{what} uses StorageClass '{name}', which does not exist yet: {then}"))
}

/// A snapshot of what is not there (yet).
fn missing_source(after: &Objects, key: &ObjectKey, snapshot: &VolumeSnapshot) -> Option<String> {
    let name = &snapshot.spec.source.persistent_volume_claim_name;
    let claim = ObjectKey {
        namespace: key.namespace.clone(),
        name: name.parse().ok()?,
    };
    (!after.contains_key(&(Kind::PersistentVolumeClaim, claim))).then(|| {
        format!("snapshot {key} is of claim '{name}', which does not exist yet: it waits for it")
    })
}

fn missing_claims(after: &Objects, key: &ObjectKey, set: &StatefulSet) -> Vec<String> {
    let shared = set.spec.template.spec.volumes.iter();
    let names = shared.map(|volume| volume.persistent_volume_claim.claim_name.as_str());
    let missing = names.filter(|name| {
        let claim = name.parse().map(|name| ObjectKey {
            namespace: key.namespace.clone(),
            name,
        });
        claim.is_ok_and(|claim| !after.contains_key(&(Kind::PersistentVolumeClaim, claim)))
    });
    missing
        .map(|name| {
            format!(
                "{key} uses PersistentVolumeClaim '{name}', which does not exist yet: its members \
                 wait for it"
            )
        })
        .collect()
}

/// The sets and claims that name a class, as a deletion tells them.
pub(super) fn users_of_class(existing: Existing<'_>, class: &ObjectKey) -> Vec<String> {
    let names = |claim: &PersistentVolumeClaimSpec| {
        claim.storage_class_name.as_deref() == Some(class.name.as_str())
    };
    let claims = existing.objects.iter().filter_map(|((_, key), object)| {
        if let Object::PersistentVolumeClaim(claim) = object {
            names(&claim.spec).then(|| format!("claim {key}"))
        } else {
            None
        }
    });
    let sets = sets(existing.objects).filter(|(_, set)| {
        let mut templates = set.spec.volume_claim_templates.iter();
        templates.any(|template| names(&template.spec))
    });
    let sets = sets.map(|(key, _)| format!("set {key}"));
    sets.chain(claims).collect()
}

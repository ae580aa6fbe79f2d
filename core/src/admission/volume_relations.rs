//! What classes, volumes, claims and sets say of each other: two volumes at one place, two default
//! classes, names of what is not there (yet).

use std::collections::BTreeSet;

use super::{Change, Existing, Objects, Outcome, volume::BUILT_IN};
use crate::{
    ids::{Namespace, ObjectKey},
    manifest::{ParsedObject, Violation},
    spec::{
        AccessMode, Kind, NfsVolumeSource, Object, PersistentVolume, PersistentVolumeClaimSpec,
        PersistentVolumeSpec, StatefulSet,
    },
};

/// Whether two sources are the same directory, as far as their names tell.
pub(super) fn same_place(a: &NfsVolumeSource, b: &NfsVolumeSource) -> bool {
    let path = |source: &NfsVolumeSource| source.path.trim_end_matches('/').to_owned();
    a.server.eq_ignore_ascii_case(&b.server) && path(a) == path(b)
}

/// Whether a volume is for several at the same time, and for nobody alone.
fn is_for_many(volume: &PersistentVolumeSpec) -> bool {
    volume.access_modes.iter().all(|mode| match mode {
        AccessMode::ReadOnlyMany | AccessMode::ReadWriteMany => true,
        AccessMode::ReadWriteOnce | AccessMode::ReadWriteOncePod => false,
    })
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
    volumes(after).filter(move |(other, its)| {
        let places = (&volume.spec.nfs, &its.spec.nfs);
        *other != key && matches!(places, (Some(a), Some(b)) if same_place(a, b))
    })
}

/// Two volumes at one place: their claims would each believe that the data is theirs alone.
pub(super) fn places(
    after: &Objects,
    parsed: &ParsedObject,
    volume: &PersistentVolume,
    violations: &mut Vec<Violation>,
) {
    for (key, other) in twins(after, &parsed.key, volume) {
        if is_for_many(&volume.spec) && is_for_many(&other.spec) {
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
            Object::StorageClass(_)
            | Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::AddressPool(_) => {}
        }
    }
    found
}

/// A directory in another one: whoever has the outer one may remove the inner one.
fn nested(after: &Objects, key: &ObjectKey, volume: &PersistentVolume) -> Vec<String> {
    let Some(place) = &volume.spec.nfs else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (other, its) in volumes(after).filter(|(other, _)| *other != key) {
        let Some(there) = &its.spec.nfs else { continue };
        let pair = if lies_in(place, there) {
            (key, other)
        } else if lies_in(there, place) {
            (other, key)
        } else {
            continue;
        };
        found.push(format!(
            "the directory of volume '{}' lies in that of '{}': who has the outer one can change \
             the inner one",
            pair.0.name, pair.1.name
        ));
    }
    found
}

fn lies_in(inner: &NfsVolumeSource, outer: &NfsVolumeSource) -> bool {
    let dir = outer.path.trim_end_matches('/');
    let rest = inner.path.strip_prefix(dir);
    inner.server.eq_ignore_ascii_case(&outer.server)
        && rest.is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
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
        | Object::AddressPool(_) => None,
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
    let key = cluster_key(name)?;
    let is_there = name == BUILT_IN
        || after.contains_key(&(Kind::StorageClass, key))
        || volumes(after).any(|(_, volume)| volume.spec.storage_class_name == name);
    (!is_there)
        .then(|| format!("{what} uses StorageClass '{name}', which does not exist yet: {then}"))
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

fn cluster_key(name: &str) -> Option<ObjectKey> {
    let name = name.parse().ok()?;
    let namespace = Namespace::default();
    Some(ObjectKey { namespace, name })
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

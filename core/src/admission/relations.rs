//! What objects say of each other: pools that overlap, claims of two sets with one name, and
//! references to what is not there (yet).

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, Objects, Outcome, dependencies, volume_relations};
use crate::{
    ids::{Namespace, ObjectKey},
    manifest::{ParsedObject, Violation},
    spec::{AddressPool, Kind, Object, StatefulSet, validate::Cidr},
    template::config_refs,
};

/// Checks the new objects against all that will be there.
pub(super) fn check(after: &Objects, new: &[ParsedObject], violations: &mut Vec<Violation>) {
    for parsed in new {
        match &parsed.object {
            Object::AddressPool(pool) => pools(after, parsed, pool, violations),
            Object::StatefulSet(set) => {
                claims(after, parsed, set, violations);
                dependencies::cycles(after, parsed, set, violations);
            }
            Object::PersistentVolume(volume) => {
                volume_relations::places(after, parsed, volume, violations);
            }
            Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::StorageClass(_)
            | Object::PersistentVolumeClaim(_)
            | Object::VolumeSnapshot(_) => {}
        }
    }
}

fn pools(
    after: &Objects,
    parsed: &ParsedObject,
    pool: &AddressPool,
    violations: &mut Vec<Violation>,
) {
    let others = after.iter().filter_map(|((_, key), object)| match object {
        Object::AddressPool(other) if *key != parsed.key => Some((key, other)),
        Object::AddressPool(_)
        | Object::StorageClass(_)
        | Object::PersistentVolume(_)
        | Object::StatefulSet(_)
        | Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::PersistentVolumeClaim(_)
        | Object::VolumeSnapshot(_) => None,
    });
    for (key, other) in others {
        let ranges = (
            pool.spec.cidr.parse::<Cidr>(),
            other.spec.cidr.parse::<Cidr>(),
        );
        if let (Ok(a), Ok(b)) = ranges
            && a.overlaps(b)
        {
            let message = format!("{a} and {b} of pool '{}' overlap; give another", key.name);
            violations.push(parsed.violation("spec.cidr", &message));
        }
        if pool.spec.default && other.spec.default {
            let message = format!("pool '{}' is the default already; give false", key.name);
            violations.push(parsed.violation("spec.default", &message));
        }
    }
}

/// `<template>-<set>-<ordinal>` can be read in two ways: template `data` of set `a-b` and template
/// `data-a` of set `b` have the same claims. Two sets must never share a volume by such a chance.
fn claims(
    after: &Objects,
    parsed: &ParsedObject,
    set: &StatefulSet,
    violations: &mut Vec<Violation>,
) {
    let mut taken: BTreeMap<String, &ObjectKey> = BTreeMap::new();
    for ((_, key), object) in after {
        let Object::StatefulSet(other) = object else {
            continue;
        };
        if key.namespace == parsed.key.namespace && *key != parsed.key {
            for template in &other.spec.volume_claim_templates {
                taken.insert(format!("{}-{}", template.metadata.name, key.name), key);
            }
        }
    }
    for (i, template) in set.spec.volume_claim_templates.iter().enumerate() {
        let name = format!("{}-{}", template.metadata.name, parsed.key.name);
        if let Some(other) = taken.get(&name) {
            violations.push(parsed.violation(
                &format!("spec.volumeClaimTemplates[{i}].metadata.name"),
                &format!("set '{other}' has claims '{name}-0', ... too; give another name"),
            ));
        }
    }
}

/// References of the changed sets to what is not there. Allowed, because it may come later; a
/// member waits for it, and says so.
pub(super) fn warnings(after: &Objects, changes: &[Change]) -> Vec<String> {
    let mut found: BTreeSet<String> = volume_relations::warnings(after, changes);
    for change in changes {
        let Object::StatefulSet(set) = &change.object else {
            continue;
        };
        if change.outcome == Outcome::Unchanged {
            continue;
        }
        let missing = |kind: Kind, namespace: &Namespace, name: &str| {
            let key = name.parse().map(|name| ObjectKey {
                namespace: namespace.clone(),
                name,
            });
            key.is_ok_and(|key| !after.contains_key(&(kind, key)))
        };
        for reference in config_refs(&set.spec.template.spec) {
            let namespace = &change.key.namespace;
            if !reference.optional && missing(reference.kind, namespace, &reference.name) {
                found.insert(format!(
                    "{} uses {} '{}', which does not exist yet: its members wait for it",
                    change.key, reference.kind, reference.name
                ));
            }
        }
        for needed in dependencies::missing(after, &change.key, set) {
            found.insert(format!(
                "{} depends on set {needed}, which does not exist yet: its members wait for it",
                change.key
            ));
        }
        if let Some(pool) = &set.spec.address_pool
            && missing(Kind::AddressPool, &Namespace::default(), pool)
        {
            found.insert(format!(
                "{} uses AddressPool '{pool}', which does not exist yet: its members wait for it",
                change.key
            ));
        }
    }
    found.into_iter().collect()
}

/// The sets that use a config object.
pub(super) fn users<'a>(
    objects: &'a Objects,
    kind: Kind,
    key: &'a ObjectKey,
) -> impl Iterator<Item = &'a ObjectKey> {
    objects.iter().filter_map(move |((_, set_key), object)| {
        let Object::StatefulSet(set) = object else {
            return None;
        };
        let uses = set_key.namespace == key.namespace
            && config_refs(&set.spec.template.spec)
                .iter()
                .any(|r| r.kind == kind && r.name == key.name.as_str());
        uses.then_some(set_key)
    })
}

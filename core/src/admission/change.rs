//! What may not change once an object is there, because members, names or data hang on it.

use std::collections::{BTreeMap, BTreeSet};

use super::volume::{self, Classes};
use crate::{
    ids::ObjectKey,
    spec::{Object, StatefulSet, validate::Cidr},
};

/// What may change of a set, for the message.
const MAY_CHANGE: &str = "replicas, ordinals, template, overrides, updateStrategy, paused, autoRollback, \
                          progressDeadlineSeconds, revisionHistoryLimit, configUpdate, \
                          disruptionBudget, minReadySeconds, \
                          persistentVolumeClaimRetentionPolicy, dependsOn, bootstrapPolicy, coldStartPolicy, \
                          membership, spread, failurePolicy, leaseClass, fenceGrace, labels, annotations, and size and labels in \
                          volumeClaimTemplates";

pub(super) fn check(
    classes: &Classes<'_>,
    key: &ObjectKey,
    current: &Object,
    object: &Object,
    refuse: &mut dyn FnMut(&str, &str),
) {
    match (current, object) {
        (Object::StatefulSet(before), Object::StatefulSet(after)) => {
            set(classes, key, before, after, refuse);
        }
        (Object::PersistentVolumeClaim(before), Object::PersistentVolumeClaim(after)) => {
            volume::claim(classes, key, before, after, refuse);
        }
        (Object::StorageClass(before), Object::StorageClass(after)) => {
            volume::class(before, after, refuse);
        }
        (Object::PersistentVolume(before), Object::PersistentVolume(after)) => {
            volume::volume(classes.existing(), key, before, after, refuse);
        }
        (Object::VolumeSnapshot(before), Object::VolumeSnapshot(after)) => {
            if before.spec != after.spec {
                refuse(
                    "spec.source",
                    "a snapshot is of one claim at one time; make another one, with another name",
                );
            }
        }
        (Object::AddressPool(before), Object::AddressPool(after)) => {
            range(&before.spec.cidr, &after.spec.cidr, refuse);
        }
        (Object::ConfigMap(before), Object::ConfigMap(after)) if before.immutable => {
            immutable(after.immutable, &before.data, &after.data, refuse);
        }
        (Object::Secret(before), Object::Secret(after)) if before.immutable => {
            immutable(after.immutable, &before.data, &after.data, refuse);
        }
        // Another kind under the same key cannot be: the kind is part of the key.
        (
            Object::StatefulSet(_)
            | Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::AddressPool(_)
            | Object::StorageClass(_)
            | Object::PersistentVolume(_)
            | Object::PersistentVolumeClaim(_)
            | Object::VolumeSnapshot(_),
            _,
        ) => {}
    }
}

fn set(
    classes: &Classes<'_>,
    key: &ObjectKey,
    before: &StatefulSet,
    after: &StatefulSet,
    refuse: &mut dyn FnMut(&str, &str),
) {
    let (old, new) = (&before.spec, &after.spec);
    let service = |set: &StatefulSet| {
        let name = set.spec.service_name.as_ref();
        name.unwrap_or(&set.metadata.name).clone()
    };
    let selectors = (&old.selector, &new.selector);
    let other_selector = matches!(selectors, (Some(a), Some(b)) if a != b);
    // To apply a set anew around its running members is the way to change what else cannot.
    let anew = before.metadata.annotations.contains_key(super::ORPHANED);
    for (field, changed) in [
        ("serviceName", service(before) != service(after)),
        ("selector", other_selector && !anew),
        (
            "podManagementPolicy",
            old.pod_management_policy != new.pod_management_policy && !anew,
        ),
        ("placement", old.placement != new.placement),
        ("addressPool", old.address_pool != new.address_pool && !anew),
        (
            "volumeClaimTemplates",
            !volume::templates(classes, key, before, after, refuse),
        ),
    ] {
        if changed {
            refuse(
                &format!("spec.{field}"),
                &format!(
                    "{field} cannot change after the set was made; only {MAY_CHANGE} can: leave \
                     it, or delete the set (its claims stay) and apply it again"
                ),
            );
        }
    }
}

/// What says that it never changes keeps its word: others may rely on it.
fn immutable<V: PartialEq>(
    still: bool,
    before: &BTreeMap<String, V>,
    after: &BTreeMap<String, V>,
    refuse: &mut dyn FnMut(&str, &str),
) {
    if !still {
        refuse(
            "immutable",
            "an immutable object stays immutable; leave immutable: true, or delete the object and \
             make it anew",
        );
    }
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys {
        if before.get(key) != after.get(key) {
            refuse(
                &format!("data.{key}"),
                "the object is immutable; leave it, or give the new values to an object of \
                 another name and refer to that",
            );
        }
    }
}

/// A pool may grow: addresses that members have must stay in it.
fn range(before: &str, after: &str, refuse: &mut dyn FnMut(&str, &str)) {
    let (Ok(old), Ok(new)) = (before.parse::<Cidr>(), after.parse::<Cidr>()) else {
        return;
    };
    if !(new.contains(old.first()) && new.contains(old.last())) {
        refuse(
            "spec.cidr",
            &format!(
                "a pool can only grow, members may have its addresses; give a range around {old}"
            ),
        );
    }
}

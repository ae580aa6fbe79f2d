//! What a change would stop, shrink or replace, in sentences for the operator.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Objects;
use crate::{
    ids::{ObjectKey, Ordinal, TemplateHash},
    order::ConfigData,
    spec::{Kind, Object, Sealed, StatefulSet},
    template::{config_refs, revision_hash},
};

/// Names in one sentence.
const MAX_NAMES: usize = 8;

/// What the change from one state of the objects to another disrupts.
pub(super) fn of(before: &Objects, after: &Objects) -> Vec<String> {
    let mut found = Vec::new();
    for ((kind, key), object) in after {
        let (Object::StatefulSet(new), Some(Object::StatefulSet(old))) =
            (object, before.get(&(*kind, key.clone())))
        else {
            continue;
        };
        found.extend(shrinks(key, old, new));
        found.extend(restarts(key, before, old, after, new));
    }
    found
}

fn shrinks(key: &ObjectKey, old: &StatefulSet, new: &StatefulSet) -> Option<String> {
    let (was, is) = (old.spec.replicas(), new.spec.replicas());
    let stays: BTreeSet<Ordinal> = new.spec.declared().collect();
    let leaving: Vec<Ordinal> = old.spec.declared().filter(|n| !stays.contains(n)).collect();
    if leaving.is_empty() {
        return None;
    }
    let named = leaving.iter().rev().take(MAX_NAMES);
    let names: Vec<String> = named.map(|n| format!("{}-{n}", key.name)).collect();
    let more = match leaving.len() {
        count if count > MAX_NAMES => format!(" and {} more", count - MAX_NAMES),
        _ => String::new(),
    };
    let what = if is < was {
        format!("shrinks from {was} to {is}")
    } else {
        "has other ordinals".to_owned()
    };
    let verb = if leaving.len() == 1 {
        "stops"
    } else {
        "stop one after the other"
    };
    Some(format!(
        "{key} {what}: {}{more} {verb}; their volumes are kept",
        names.join(", ")
    ))
}

fn restarts(
    key: &ObjectKey,
    before: &Objects,
    old: &StatefulSet,
    after: &Objects,
    new: &StatefulSet,
) -> Option<String> {
    let wanted: BTreeSet<Ordinal> = new.spec.declared().collect();
    let staying: Vec<Ordinal> = old.spec.declared().filter(|n| wanted.contains(n)).collect();
    let (Some(lowest), Some(highest)) = (staying.first(), staying.last()) else {
        return None;
    };
    if revision(key, before, old) == revision(key, after, new) {
        return None;
    }
    let what = if old.spec.template == new.spec.template {
        "the configuration that it uses"
    } else {
        "the template"
    };
    let whom = if lowest == highest {
        format!("{}-{lowest} is restarted", key.name)
    } else {
        format!(
            "{}-{highest} to {}-{lowest} are restarted one after the other",
            key.name, key.name
        )
    };
    Some(format!("{key}: {what} changes, {whom}"))
}

fn revision(key: &ObjectKey, objects: &Objects, set: &StatefulSet) -> TemplateHash {
    revision_hash(&set.spec.template, &config(key, objects, set))
}

/// The config objects that a set uses, as an order has them.
fn config(key: &ObjectKey, objects: &Objects, set: &StatefulSet) -> ConfigData {
    let mut config = ConfigData::default();
    for reference in config_refs(&set.spec.template.spec) {
        let Ok(name) = reference.name.parse() else {
            continue;
        };
        let namespace = key.namespace.clone();
        let id = (reference.kind, ObjectKey { namespace, name });
        match objects.get(&id) {
            Some(Object::ConfigMap(map)) => {
                config.config_maps.insert(reference.name, map.data.clone());
            }
            Some(Object::Secret(secret)) => {
                config.secrets.insert(reference.name, decoded(&secret.data));
            }
            Some(
                Object::StatefulSet(_)
                | Object::Service(_)
                | Object::AddressPool(_)
                | Object::StorageClass(_)
                | Object::PersistentVolume(_)
                | Object::PersistentVolumeClaim(_)
                | Object::VolumeSnapshot(_),
            )
            | None => {}
        }
    }
    config
}

fn decoded(data: &BTreeMap<String, Sealed>) -> BTreeMap<String, Sealed> {
    let text = |value: &Sealed| {
        let bytes = STANDARD.decode(value.expose()).unwrap_or_default();
        Sealed::new(String::from_utf8(bytes).unwrap_or_default())
    };
    data.iter()
        .map(|(key, value)| (key.clone(), text(value)))
        .collect()
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

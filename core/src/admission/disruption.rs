//! What a change would stop, shrink or replace, in sentences for the operator.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Objects;
use crate::{
    ids::{ObjectKey, Ordinal, TemplateHash},
    order::ConfigData,
    spec::{Kind, Object, Sealed, StatefulSet, UpdateKind},
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
    let leaving = old.spec.ordinals().rev();
    let leaving: Vec<String> = leaving
        .filter(|ordinal| !new.spec.has_ordinal(*ordinal))
        .map(|ordinal| format!("{}-{ordinal}", key.name))
        .collect();
    if leaving.is_empty() {
        return None;
    }
    let names: Vec<&str> = leaving.iter().take(MAX_NAMES).map(String::as_str).collect();
    let more = match leaving.len().saturating_sub(MAX_NAMES) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let how = if is < was {
        format!("shrinks from {was} to {is}")
    } else {
        let (from, to) = (old.spec.start(), new.spec.start());
        format!("begins with ordinal {to} instead of {from}")
    };
    Some(format!(
        "{key} {how}: {}{more} stop one after the other; their volumes are kept",
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
    let first = new.spec.first_updated();
    let staying = new.spec.ordinals().rev();
    let staying: Vec<Ordinal> = staying
        .filter(|ordinal| old.spec.has_ordinal(*ordinal) && *ordinal >= first)
        .collect();
    let (highest, lowest) = (staying.first()?, staying.last()?);
    let held = new.spec.paused || new.spec.update_kind() == UpdateKind::OnDelete;
    if held || revision(key, before, old) == revision(key, after, new) {
        return None;
    }
    let what = if old.spec.template == new.spec.template {
        "the configuration that it uses"
    } else {
        "the template"
    };
    let at_once = new.spec.update_kind() == UpdateKind::Recreate;
    let whom = match (highest == lowest, at_once) {
        (true, _) => format!("{}-{lowest} is restarted", key.name),
        (false, true) => format!(
            "{0}-{highest} to {0}-{lowest} are all stopped, then started again",
            key.name
        ),
        (false, false) => format!(
            "{0}-{highest} to {0}-{lowest} are restarted one after the other",
            key.name
        ),
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
                | Object::PersistentVolumeClaim(_),
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

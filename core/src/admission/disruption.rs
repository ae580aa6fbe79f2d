//! What a change would stop, shrink or replace, in sentences for the operator.

use std::collections::BTreeSet;

use super::Objects;
use crate::{
    ids::{Namespace, ObjectKey, Ordinal, TemplateHash},
    spec::{ConfigMap, Kind, Object, Secret, StatefulSet},
    template::{ConfigSource, config_refs, revision_hash, used_config},
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
    let source = InNamespace {
        objects,
        namespace: &key.namespace,
    };
    let template = &set.spec.template;
    revision_hash(template, &used_config(&template.spec, &source))
}

/// The stored objects of one namespace.
struct InNamespace<'a> {
    objects: &'a Objects,
    namespace: &'a Namespace,
}

impl InNamespace<'_> {
    fn get(&self, kind: Kind, name: &str) -> Option<&Object> {
        let namespace = self.namespace.clone();
        let name = name.parse().ok()?;
        self.objects.get(&(kind, ObjectKey { namespace, name }))
    }
}

impl ConfigSource for InNamespace<'_> {
    fn config_map(&self, name: &str) -> Option<&ConfigMap> {
        let Object::ConfigMap(map) = self.get(Kind::ConfigMap, name)? else {
            return None;
        };
        Some(map)
    }

    fn secret(&self, name: &str) -> Option<&Secret> {
        let Object::Secret(secret) = self.get(Kind::Secret, name)? else {
            return None;
        };
        Some(secret)
    }
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

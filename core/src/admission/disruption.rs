//! What a change would stop, shrink or replace, in sentences for the operator.

use std::collections::BTreeSet;

use super::Objects;
use crate::{
    ids::{Namespace, ObjectKey, Ordinal, TemplateHash},
    spec::{ConfigMap, Kind, Object, Placement, Retention, Secret, StatefulSet, UpdateKind},
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
    let claims = match new
        .spec
        .persistent_volume_claim_retention_policy
        .when_scaled
    {
        Retention::Retain => "their volumes are kept",
        Retention::Delete => "their claims are deleted then (whenScaled: Delete)",
    };
    Some(format!(
        "{key} {what}: {}{more} {verb}; {claims}",
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
    if new.spec.paused || new.spec.update_kind() == UpdateKind::OnDelete {
        return None;
    }
    let first = new.spec.first_updated();
    let stays = |n: &Ordinal| wanted.contains(n) && *n >= first;
    let staying: Vec<Ordinal> = old.spec.declared().filter(stays).collect();
    let count = staying.len();
    let restarted = restarted((key, before, old), (key, after, new), staying);
    let (Some(lowest), Some(highest)) = (restarted.first(), restarted.last()) else {
        return None;
    };
    let all = restarted.len() == count;
    let overrides = old.spec.overrides != new.spec.overrides;
    let what = if old.spec.template == new.spec.template && overrides {
        "what differs for single ordinals"
    } else if old.spec.template == new.spec.template {
        "the configuration that it uses"
    } else {
        "the template"
    };
    let whom = if new.spec.placement == Placement::PerHost {
        "its members are restarted one after the other".to_owned()
    } else if lowest == highest {
        format!("{}-{lowest} is restarted", key.name)
    } else if all {
        format!(
            "{}-{highest} to {}-{lowest} are restarted one after the other",
            key.name, key.name
        )
    } else {
        let names = restarted.iter().rev().take(MAX_NAMES);
        let names: Vec<String> = names.map(|n| format!("{}-{n}", key.name)).collect();
        let more = restarted.len().saturating_sub(MAX_NAMES);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!(
            "{}{more} are restarted one after the other",
            names.join(", ")
        )
    };
    Some(format!("{key}: {what} changes, {whom}"))
}

/// A set among the objects of its time.
type At<'a> = (&'a ObjectKey, &'a Objects, &'a StatefulSet);

/// The ordinals for which a change makes another revision.
fn restarted(before: At<'_>, after: At<'_>, staying: Vec<Ordinal>) -> Vec<Ordinal> {
    let differs = |ordinal: &Ordinal| revision(before, *ordinal) != revision(after, *ordinal);
    let overrides = [before, after].map(|(_, _, set)| &set.spec.overrides);
    if overrides.iter().any(|overrides| !overrides.is_empty()) {
        staying.into_iter().filter(differs).collect()
    } else if staying.first().is_some_and(differs) {
        staying
    } else {
        Vec::new()
    }
}

fn revision((key, objects, set): At<'_>, ordinal: Ordinal) -> TemplateHash {
    let source = InNamespace {
        objects,
        namespace: &key.namespace,
    };
    let config = used_config(&set.spec.template.spec, &source);
    revision_hash(&set.spec.template_for(ordinal), &config)
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

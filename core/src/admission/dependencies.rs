//! Sets that depend on each other: a cycle would wait for itself for ever, and what does not exist
//! is waited for.

use std::collections::{BTreeMap, BTreeSet};

use super::Objects;
use crate::{
    ids::{ObjectKey, SetKey},
    manifest::{ParsedObject, Violation},
    spec::{Object, StatefulSet},
};

/// Refuses a set that depends on itself, by way of others or not.
pub(super) fn cycles(
    after: &Objects,
    parsed: &ParsedObject,
    set: &StatefulSet,
    violations: &mut Vec<Violation>,
) {
    if set.spec.depends_on.is_empty() {
        return;
    }
    if let Some(cycle) = cycle(&graph(after), &parsed.key) {
        let names: Vec<String> = cycle.iter().map(ToString::to_string).collect();
        let message = format!(
            "the sets wait for each other: {}; take one dependency away",
            names.join(" -> ")
        );
        violations.push(parsed.violation("spec.dependsOn", &message));
    }
}

/// What each set depends on.
fn graph(after: &Objects) -> BTreeMap<&SetKey, Vec<SetKey>> {
    let sets = after.iter().filter_map(|((_, key), object)| {
        let Object::StatefulSet(set) = object else {
            return None;
        };
        Some((key, set.spec.needed(&key.namespace).collect()))
    });
    sets.collect()
}

/// The way from a set back to itself.
fn cycle(graph: &BTreeMap<&SetKey, Vec<SetKey>>, from: &SetKey) -> Option<Vec<SetKey>> {
    let mut seen: BTreeSet<SetKey> = BTreeSet::new();
    let mut paths: Vec<Vec<SetKey>> = vec![vec![from.clone()]];
    while let Some(path) = paths.pop() {
        let needs = path.last().and_then(|last| graph.get(last));
        for next in needs.into_iter().flatten() {
            let mut longer = path.clone();
            longer.push(next.clone());
            if next == from {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                paths.push(longer);
            }
        }
    }
    None
}

/// The sets that a set depends on and that do not exist.
pub(super) fn missing(after: &Objects, key: &ObjectKey, set: &StatefulSet) -> Vec<SetKey> {
    let graph = graph(after);
    let needs = set.spec.needed(&key.namespace);
    needs.filter(|needed| !graph.contains_key(needed)).collect()
}

/// The sets that depend on a set.
pub(super) fn dependants<'a>(after: &'a Objects, on: &SetKey) -> Vec<&'a SetKey> {
    let graph = graph(after).into_iter();
    let needing = graph.filter(|(key, needs)| *key != on && needs.contains(on));
    needing.map(|(key, _)| key).collect()
}

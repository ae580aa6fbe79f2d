//! What may be stored: objects that are right by themselves, held against those that are there.
//!
//! Admission fills in what was left out and refuses what may not change. It decides on the objects
//! alone; where members run, and which of them a change takes down, is the plan's business
//! ([`crate::plan::disruptions`]).

use std::collections::BTreeMap;

use crate::{
    ids::{ClaimKey, ObjectKey, SetKey},
    lease::Leases,
    manifest::{ParsedObject, Violation, duplicates},
    spec::{Kind, Object},
};

mod change;
mod defaults;
mod delete;
mod dependencies;
mod diff;
mod failover;
mod kept;
mod relations;
pub mod rollout;
mod scale;
mod volume;
mod volume_relations;

pub use delete::{Deletion, delete};
pub use diff::{FieldChange, diff};
pub use kept::PAUSED;
pub use scale::{SCALED, scale};

/// Marks a set that was deleted without its members, with the time; kept among the annotations.
pub const ORPHANED: &str = "berth/orphaned";
/// Why no verb changes such a set.
pub const ORPHANED_REFUSED: &str = "the set was deleted without its members, which run on; apply a \
    set of the name first, it takes them back";
/// Marks a set that is founded anew when its deletion is done; kept among the annotations.
pub const REFOUND: &str = "berth/refound";

/// The objects that are stored, by kind and key.
pub type Objects = BTreeMap<(Kind, ObjectKey), Object>;

/// What is there already.
#[derive(Debug, Clone, Copy)]
pub struct Existing<'a> {
    /// The stored objects.
    pub objects: &'a Objects,
    /// How many members founded each set that is founded, or will be. It outlives the set with
    /// its claims.
    pub founders: &'a BTreeMap<SetKey, u32>,
    /// The claim that has each volume. A volume whose claim is gone is in it until it is released:
    /// the data on it is still that claim's.
    pub bound: &'a BTreeMap<ObjectKey, ClaimKey>,
    /// How much the volume of each claim holds that has one, in bytes.
    pub held: &'a BTreeMap<ClaimKey, u64>,
    /// How long leases are.
    pub leases: Leases,
}

/// What the operator wants beyond the objects themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Take the number of members from the manifest although `scale` set another one.
    pub take_replicas: bool,
    /// Take `paused` from the manifest although `rollout pause` or `resume` set it otherwise.
    pub take_paused: bool,
    /// The objects are what a verb made of the stored ones, and no manifest: what they lack is meant
    /// to go.
    pub by_verb: bool,
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It is another now.
    Configured,
    /// It is as it was; nothing is stored.
    Unchanged,
}

/// One object to store.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its kind.
    pub kind: Kind,
    /// Its key.
    pub key: ObjectKey,
    /// What becomes of it.
    pub outcome: Outcome,
    /// As it is to be stored. A new one still needs its uid and the time of its creation; every
    /// stored one gets the revision of the commit.
    pub object: Object,
}

/// What storing the objects means.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Admission {
    /// The objects, in the order of the kinds: what others need comes first.
    pub changes: Vec<Change>,
    /// What is allowed and yet seldom meant.
    pub warnings: Vec<String>,
}

/// Holds new objects against those that are there.
///
/// # Errors
/// Everything that is not allowed, each with the place where it was written.
pub fn admit(
    existing: Existing<'_>,
    objects: Vec<ParsedObject>,
    options: Options,
) -> Result<Admission, Vec<Violation>> {
    let mut violations = duplicates(&objects);
    let mut after = existing.objects.clone();
    let mut changes = Vec::new();
    let classes = volume::Classes::new(existing, &objects);
    for parsed in &objects {
        let change = one(existing, &classes, parsed, options, &mut violations);
        after.insert((change.kind, change.key.clone()), change.object.clone());
        changes.push(change);
    }
    relations::check(&after, &objects, &mut violations);
    failover::check(&classes, &after, &objects, &mut violations);
    if !violations.is_empty() {
        return Err(violations);
    }
    changes.sort_by(|a, b| (order(a.kind), &a.key).cmp(&(order(b.kind), &b.key)));
    Ok(Admission {
        warnings: warnings(existing, &after, &changes),
        changes,
    })
}

fn warnings(existing: Existing<'_>, after: &Objects, changes: &[Change]) -> Vec<String> {
    let mut found = relations::warnings(after, changes);
    let adopted = changes.iter().filter(|change| {
        let before = existing.objects.get(&(change.kind, change.key.clone()));
        before.is_some_and(is_orphaned)
    });
    found.extend(adopted.map(|change| {
        format!(
            "{} takes back the members that run on since it was deleted without them",
            change.key
        )
    }));
    found
}

/// Whether a set was deleted without its members.
pub(crate) fn is_orphaned(object: &Object) -> bool {
    object.meta().annotations.contains_key(ORPHANED)
}

fn order(kind: Kind) -> usize {
    Kind::ALL
        .iter()
        .position(|k| *k == kind)
        .unwrap_or(usize::MAX)
}

fn one(
    existing: Existing<'_>,
    classes: &volume::Classes<'_>,
    parsed: &ParsedObject,
    options: Options,
    violations: &mut Vec<Violation>,
) -> Change {
    let kind = parsed.object.kind();
    let mut object = parsed.object.clone();
    defaults::fill(&mut object);
    defaults::pin(existing, &parsed.key, &mut object);
    let mut refuse = |field: &str, message: &str| violations.push(parsed.violation(field, message));
    let outcome = match existing.objects.get(&(kind, parsed.key.clone())) {
        None => {
            scale::adopt(existing, &parsed.key, &mut object, &mut refuse);
            object.meta_mut().generation = 1;
            Outcome::Created
        }
        Some(current) => {
            if current.meta().deletion_timestamp.is_some() {
                refuse(
                    "metadata.name",
                    "the object is being deleted; apply it again when it is gone",
                );
            }
            scale::merge(existing, current, &mut object, options, &mut refuse);
            kept::merge(current, &mut object, options, &mut refuse);
            volume::merge(classes, &parsed.key, current, &mut object);
            change::check(classes, &parsed.key, current, &object, &mut refuse);
            defaults::carry(current, &mut object);
            if *current == object {
                Outcome::Unchanged
            } else {
                Outcome::Configured
            }
        }
    };
    Change {
        kind,
        key: parsed.key.clone(),
        outcome,
        object,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod volume_tests;

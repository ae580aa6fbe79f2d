//! Every rule about what an operator may write, in one place. Each problem names its field; all
//! problems of an object are found at once.
//!
//! What the schema itself says (unknown fields, types, the words of an enumeration) is the reader's
//! business (`manifest`); what depends on other objects (a forbidden change, a pool that does not
//! exist) is that of `admission` and of the plan.

use std::collections::BTreeSet;

use super::Object;

mod claim;
mod config;
mod depends;
mod env;
mod failover;
mod file;
mod lifecycle;
mod meta;
mod mount;
mod network;
mod overrides;
mod placement;
mod probe;
mod process;
mod requires;
mod resources;
mod set;
mod snapshot;
mod storage;
mod update;
mod words;

pub use meta::condition_type;
pub(crate) use meta::label_value;
pub use network::{Cidr, CidrError};

/// The most members that a set may have: far above any real one, and low enough that a slip of the
/// keyboard does not fill the store.
pub const MAX_REPLICAS: u32 = 10_000;

/// The largest number that ordinals may begin with: far from where adding members overflows.
pub const MAX_ORDINAL: u32 = 1_000_000_000;

/// Checks a label of a host: its key, and the value if it is to be set.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn check_host_label(key: &str, value: Option<&str>) -> Result<(), String> {
    meta::label_key(key)?;
    value.map_or(Ok(()), label_value)
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The field, from the object on: `spec.template.spec.processes[0].command`.
    pub field: String,
    /// What is wrong with it, and what to do.
    pub message: String,
}

/// Collects problems.
#[derive(Debug, Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            field: field.into(),
            message: message.into(),
        });
    }

    /// Adds the error of a check, if it has one.
    fn check<E: ToString>(&mut self, field: impl Into<String>, outcome: Result<(), E>) {
        if let Err(e) = outcome {
            self.add(field, e.to_string());
        }
    }
}

/// Finds names that were seen before.
#[derive(Debug, Default)]
struct Unique<'a>(BTreeSet<&'a str>);

impl<'a> Unique<'a> {
    /// Adds a problem if the name was seen before; empty names are somebody else's problem.
    fn check(&mut self, problems: &mut Problems, field: &str, name: &'a str) {
        if !name.is_empty() && !self.0.insert(name) {
            problems.add(field, format!("'{name}' is there twice; give another name"));
        }
    }
}

/// All problems of an object, in the order of its fields.
pub fn validate(object: &Object) -> Vec<Problem> {
    let mut problems = Problems::default();
    meta::object(&mut problems, object.kind(), object.meta());
    match object {
        Object::StatefulSet(set) => set::check(&mut problems, set),
        Object::Service(service) => network::service(&mut problems, service),
        Object::AddressPool(pool) => network::pool(&mut problems, pool),
        Object::ConfigMap(map) => config::config_map(&mut problems, map),
        Object::Secret(secret) => config::secret(&mut problems, secret),
        Object::StorageClass(class) => storage::class(&mut problems, class),
        Object::PersistentVolume(volume) => storage::volume(&mut problems, volume),
        Object::PersistentVolumeClaim(claim) => claim::by_hand(&mut problems, claim),
        Object::VolumeSnapshot(snapshot) => snapshot::check(&mut problems, snapshot),
    }
    problems.0
}

#[cfg(test)]
mod placement_tests;
#[cfg(test)]
mod process_tests;
#[cfg(test)]
mod snapshot_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod update_tests;
#[cfg(test)]
mod volume_tests;

//! What a set needs before its first member starts: other sets.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Namespace, ObjectKey, SetKey},
    spec::StatefulSetSpec,
};

/// Another set that has to be there first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Dependency {
    /// Its name; `NAMESPACE/NAME` for one of another namespace.
    pub set: String,
    /// What every member of it must hold; `ready` when left out.
    pub gate: DependencyGate,
}

/// What a member must have reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DependencyGate {
    /// Its processes run, and the startup probe, if any, has passed in this run.
    Started,
    /// It serves.
    #[default]
    Ready,
    /// It has served for as long as its set's `minReadySeconds` asks for.
    Available,
}

impl DependencyGate {
    /// The word, as manifests have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Ready => "ready",
            Self::Available => "available",
        }
    }
}

impl Dependency {
    /// Which set is meant in the manifest of a set of this namespace; `None` if the name is none,
    /// which validation refuses.
    pub fn key(&self, namespace: &Namespace) -> Option<SetKey> {
        match self.set.split_once('/') {
            Some(_) => self.set.parse().ok(),
            None => Some(ObjectKey {
                namespace: namespace.clone(),
                name: self.set.parse().ok()?,
            }),
        }
    }
}

impl StatefulSetSpec {
    /// The sets that one of this spec in a namespace needs.
    pub fn needed(&self, namespace: &Namespace) -> impl Iterator<Item = SetKey> {
        self.depends_on.iter().filter_map(|one| one.key(namespace))
    }
}

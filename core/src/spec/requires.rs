//! What a member asks of its host before it is started: the part of a set's manual that begins with
//! "before you install".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::process::Protocol;
use crate::prerequisite::Prerequisite;

/// What the host must have. All of it must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Requires {
    /// Kernel parameters by name, each with the value that it must have or a comparison such as
    /// `>=262144`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Users that must exist.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Paths that must be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<RequiredPath>,
    /// Ports that must be free, on every address of the host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<RequiredPort>,
    /// Units of systemd, each with the state that it must be in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<RequiredUnit>,
}

/// A path that must be there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequiredPath {
    /// The path on the host.
    pub path: String,
    /// What it must be.
    pub r#type: PathType,
}

/// What a path must be. Symbolic links are followed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum PathType {
    /// Anything.
    #[default]
    Exists,
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A regular file that somebody may execute.
    Executable,
}

/// A port that must be free.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequiredPort {
    /// Its number.
    pub port: u32,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequiredUnit {
    /// Its name with its type, such as `chronyd.service`.
    pub name: String,
    /// The state that it must be in.
    pub state: UnitState,
}

/// The states of a unit that can be asked for, as `systemctl` writes them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum UnitState {
    /// It runs, or did what it is for.
    #[default]
    Active,
    /// It does not run. A unit that does not exist is inactive.
    Inactive,
}

impl Requires {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Each of them for itself.
    pub fn each(&self) -> impl Iterator<Item = Prerequisite> {
        let sysctls = self
            .sysctls
            .iter()
            .map(|(name, value)| Prerequisite::Sysctl {
                name: name.clone(),
                value: value.clone(),
            });
        let users = self
            .users
            .iter()
            .map(|name| Prerequisite::User { name: name.clone() });
        let paths = self.paths.iter().map(|one| Prerequisite::Path {
            path: one.path.clone(),
            kind: one.r#type,
        });
        let ports = self.ports.iter().map(|one| Prerequisite::Port {
            port: one.port,
            protocol: one.protocol,
        });
        let units = self.units.iter().map(|one| Prerequisite::Unit {
            name: one.name.clone(),
            state: one.state,
        });
        sysctls.chain(users).chain(paths).chain(ports).chain(units)
    }
}

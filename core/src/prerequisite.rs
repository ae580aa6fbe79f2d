//! Prerequisites of hosts: what an agent looks up, how it is judged, and when it is asked again
//! (`questions`).
//!
//! The agent only looks; what it found is judged here, so that a sysctl is compared in one way
//! everywhere. The answers are soft state of the coordinator: they guide where a member goes. Whether
//! it may start is asked once more, by its agent, before every start.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::spec::{PathType, Protocol, UnitState};

mod comparison;
mod questions;

pub use comparison::{Comparison, ComparisonError};
pub use questions::{Asked, questions};

/// One thing that a host must have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Prerequisite {
    /// A kernel parameter.
    Sysctl {
        /// Its name, with dots.
        name: String,
        /// Its value, or a comparison.
        value: String,
    },
    /// A user.
    User {
        /// Its name.
        name: String,
    },
    /// A path.
    Path {
        /// Where.
        path: String,
        /// What it must be.
        kind: PathType,
    },
    /// A free port.
    Port {
        /// Its number.
        port: u32,
        /// TCP or UDP.
        protocol: Protocol,
    },
    /// A unit of systemd.
    Unit {
        /// Its name.
        name: String,
        /// The state that it must be in.
        state: UnitState,
    },
}

/// What an agent finds when it looks for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fact {
    /// The value of a sysctl, the number of a user, the state of a unit, who holds a port.
    Value(String),
    /// What kind of thing a path is.
    Kind(FoundPath),
    /// It is not there; a port is free.
    Absent,
    /// It cannot be found out, and why.
    Unknown(String),
}

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FoundPath {
    /// A directory.
    Directory,
    /// A regular file that nobody may execute.
    File,
    /// A regular file that somebody may execute.
    Executable,
    /// Something else.
    Other,
}

/// Whether a prerequisite holds on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Finding {
    /// It does.
    Met,
    /// It does not.
    Unmet {
        /// What was found instead, in words.
        found: String,
    },
}

impl Finding {
    /// What does not hold, if it is this one.
    pub fn unmet(self, required: Prerequisite) -> Option<Unmet> {
        match self {
            Self::Met => None,
            Self::Unmet { found } => Some(Unmet { required, found }),
        }
    }
}

/// What an agent says of one prerequisite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Which.
    pub of: Prerequisite,
    /// Whether it holds.
    pub finding: Finding,
}

/// A prerequisite that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unmet {
    /// Which.
    pub required: Prerequisite,
    /// What was found instead.
    pub found: String,
}

impl Prerequisite {
    /// Whether it holds, by what was found.
    pub fn judge(&self, fact: &Fact) -> Finding {
        let met = match (self, fact) {
            (Self::Sysctl { value, .. }, Fact::Value(found)) => {
                Comparison::parse(value).is_ok_and(|wanted| wanted.holds(found))
            }
            (Self::User { .. }, Fact::Value(_)) | (Self::Port { .. }, Fact::Absent) => true,
            (Self::Path { kind, .. }, Fact::Kind(found)) => match kind {
                PathType::Exists => true,
                PathType::Directory => *found == FoundPath::Directory,
                PathType::File => matches!(found, FoundPath::File | FoundPath::Executable),
                PathType::Executable => *found == FoundPath::Executable,
            },
            (Self::Unit { state, .. }, Fact::Value(found)) => *found == state.to_string(),
            (Self::Unit { state, .. }, Fact::Absent) => *state == UnitState::Inactive,
            (_, Fact::Value(_) | Fact::Kind(_) | Fact::Absent | Fact::Unknown(_)) => false,
        };
        if met {
            return Finding::Met;
        }
        let found = match fact {
            Fact::Value(found) | Fact::Unknown(found) => found.clone(),
            Fact::Kind(found) => found.to_string(),
            Fact::Absent => "nothing".to_owned(),
        };
        Finding::Unmet { found }
    }

    /// What a person does about it on the host.
    fn remedy(&self) -> &'static str {
        match self {
            Self::Sysctl { .. } => "set it there with sysctl -w, and in /etc/sysctl.d",
            Self::User { .. } => "create the user there",
            Self::Path { .. } => "install or make it there",
            Self::Port { .. } => "stop what listens there",
            Self::Unit {
                state: UnitState::Active,
                ..
            } => "start it there with systemctl",
            Self::Unit {
                state: UnitState::Inactive,
                ..
            } => "stop it there with systemctl",
        }
    }
}

impl fmt::Display for Prerequisite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysctl { name, value } => {
                let wanted = Comparison::parse(value).ok();
                match wanted.as_ref().and_then(Comparison::equal_to) {
                    Some(value) => write!(f, "sysctl {name} = {value}"),
                    None => write!(f, "sysctl {name} {value}"),
                }
            }
            Self::User { name } => write!(f, "user '{name}'"),
            Self::Path { path, kind } => match kind {
                PathType::Exists => write!(f, "path {path}"),
                PathType::Directory => write!(f, "directory {path}"),
                PathType::File => write!(f, "file {path}"),
                PathType::Executable => write!(f, "program {path}"),
            },
            Self::Port { port, protocol } => match protocol {
                Protocol::Tcp => write!(f, "free port {port}"),
                Protocol::Udp => write!(f, "free port {port}/UDP"),
            },
            Self::Unit { name, state } => write!(f, "unit {name} {state}"),
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { required, found } = self;
        write!(
            f,
            "requires {required}, found {found}; {}",
            required.remedy()
        )
    }
}

impl fmt::Display for FoundPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::File => "a file that is not executable",
            Self::Executable => "an executable file",
            Self::Other => "neither a file nor a directory",
        })
    }
}

impl fmt::Display for UnitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        })
    }
}

#[cfg(test)]
mod tests;

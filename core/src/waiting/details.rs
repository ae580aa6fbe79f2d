//! What several reasons know alike.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{ClaimKey, ProcessName};

/// A probe that does not pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeFailure {
    /// The process that is probed.
    pub process: ProcessName,
    /// The last failure.
    pub error: String,
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, error } = self;
        write!(f, "probe of {process}: {error}")
    }
}

/// A claim and the volume that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BoundVolume {
    /// The claim.
    pub claim: ClaimKey,
    /// The volume.
    pub volume: String,
}

impl fmt::Display for BoundVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claim, volume } = self;
        write!(f, "volume {volume} of claim {claim}")
    }
}

/// What a process is to have on its host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Privilege {
    /// To run as this user, by name or number.
    User(String),
    /// To be in this group, by name or number.
    Group(String),
    /// To keep this capability.
    Capability(String),
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user '{name}'"),
            Self::Group(name) => write!(f, "group '{name}'"),
            Self::Capability(name) => write!(f, "capability {name}"),
        }
    }
}

/// What a host's own configuration keeps from a process, and what in it says so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forbidden {
    /// The process.
    pub process: ProcessName,
    /// What it is to have.
    #[serde(flatten)]
    pub privilege: Privilege,
    /// The key that would allow it.
    pub key: String,
    /// The file that the key is in.
    pub file: String,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            process,
            privilege,
            key,
            file,
        } = self;
        write!(
            f,
            "process {process}: {privilege} is not allowed by {key} in {file} of its host"
        )
    }
}

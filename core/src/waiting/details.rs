//! What several reasons know alike.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClaimKey, ObjectKey, ProcessName},
    quantity::of_bytes,
};

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

/// Why a member that runs is to be taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Departure {
    /// An operator wants it restarted.
    Restart,
    /// It is to run the new revision.
    Update,
    /// An operator wants it offline.
    Offline,
    /// Its host is being drained.
    Drain,
    /// It is not wanted any more.
    ScaleIn,
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restart => "it is to be restarted",
            Self::Update => "it is to be updated",
            Self::Offline => "it is to go offline",
            Self::Drain => "it is to leave its host, which is being drained",
            Self::ScaleIn => "it is not wanted any more",
        })
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

/// A copy that a claim, or a snapshot, is to be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyOf {
    /// The claim, or the snapshot.
    pub claim: ObjectKey,
    /// What is to be copied.
    pub source: String,
}

/// How far a volume is from what its claim asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Growth {
    /// The claim.
    pub claim: ObjectKey,
    /// What its volume holds, in bytes.
    pub has: u64,
    /// What it is to hold, in bytes.
    pub wanted: u64,
    /// Why it does not grow now, if anything stands against it.
    pub error: Option<String>,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (has, wanted) = (of_bytes(self.has), of_bytes(self.wanted));
        let claim = &self.claim;
        write!(
            f,
            "the volume of claim {claim} holds {has} and is to hold {wanted}"
        )?;
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

/// The numbers of a user: when its volume was made, and here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserIds {
    /// The claim template.
    pub volume: String,
    /// The user.
    pub user: String,
    /// Its number then.
    pub recorded: u32,
    /// Its number here.
    pub here: u32,
}

impl fmt::Display for UserIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            volume,
            user,
            recorded,
            here,
        } = self;
        write!(
            f,
            "volume {volume}: user '{user}' is {here} here and was {recorded} when the volume was made"
        )
    }
}

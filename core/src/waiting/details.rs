//! What several reasons know alike.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClaimKey, HostName, ObjectKey, ProcessName},
    machine::MachineIds,
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

/// A config object that a set uses, or an entry of one, and that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingConfig {
    /// `ConfigMap` or `Secret`.
    pub kind: String,
    /// Its key.
    pub key: ObjectKey,
    /// The entry in it that the set uses, if the object is there without it.
    pub entry: Option<String>,
}

impl fmt::Display for MissingConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, entry } = self;
        match entry {
            Some(entry) => write!(f, "{kind} {key} has no key '{entry}'"),
            None => write!(f, "{kind} {key} does not exist"),
        }
    }
}

/// Limits that a process is to start with only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unenforced {
    /// The process.
    pub process: ProcessName,
    /// What is not enforced, each with why.
    pub limits: Vec<String>,
}

impl fmt::Display for Unenforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { process, limits } = self;
        let limits = limits.join(", ");
        write!(
            f,
            "process {process} has resources.require, and its host does not enforce {limits}"
        )
    }
}

/// A condition that a member waits for and that is not true.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShutGate {
    /// The condition's type.
    pub condition: String,
    /// Why it is false, if it was said; empty if it was not set in this epoch.
    pub message: String,
}

impl fmt::Display for ShutGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { condition, message } = self;
        if message.is_empty() {
            write!(f, "condition {condition} is not set")
        } else {
            write!(f, "condition {condition} is false: {message}")
        }
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
pub enum DisruptionCause {
    /// An operator wants it restarted.
    Restart,
    /// It is to run the new revision.
    Update,
    /// An operator wants it offline.
    Offline,
    /// Its host is being drained.
    Drain,
    /// An operator wants it on another host.
    Move,
    /// It is not wanted any more.
    ScaleIn,
}

impl fmt::Display for DisruptionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Restart => "it is to be restarted",
            Self::Update => "it is to be updated",
            Self::Offline => "it is to go offline",
            Self::Drain => "it is to leave its host, which is being drained",
            Self::Move => "it is to go to another host",
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
    /// To start this program.
    Command(String),
    /// To have something of the host at this path, or to hide it there.
    Path(String),
    /// To mount from this NFS server.
    NfsServer(String),
    /// To have this address.
    Address(String),
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user '{name}'"),
            Self::Group(name) => write!(f, "group '{name}'"),
            Self::Capability(name) => write!(f, "capability {name}"),
            Self::Command(program) => write!(f, "command {program}"),
            Self::Path(path) => write!(f, "path {path}"),
            Self::NfsServer(name) => write!(f, "NFS server {name}"),
            Self::Address(address) => write!(f, "address '{address}'"),
        }
    }
}

/// What a host's own configuration keeps from a member, and what in it says so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forbidden {
    /// The process, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessName>,
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
        if let Some(process) = process {
            write!(f, "process {process}: ")?;
        }
        write!(
            f,
            "{privilege} is not allowed by {key} in {file} of its host"
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

/// How far the local data of a member is on its way to another host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moving {
    /// The host that it leaves.
    pub from: HostName,
    /// The host that it goes to.
    pub to: HostName,
    /// How much of it was sent so far, in bytes.
    #[serde(default)]
    pub copied: u64,
    /// How much there is, in bytes; 0 while that is not known.
    #[serde(default)]
    pub total: u64,
    /// Why it does not get on now, if anything stands against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl fmt::Display for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            copied,
            total,
            error,
        } = self;
        write!(f, "its data is being copied from {from} to {to}")?;
        if *total > 0 {
            let (copied, total) = (of_bytes(*copied), of_bytes(*total));
            write!(f, ", {copied} of {total}")?;
        }
        error
            .as_ref()
            .map_or(Ok(()), |error| write!(f, ": {error}"))
    }
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

/// What a volume lacks to be made, or to grow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoSpace {
    /// The claim template.
    pub volume: String,
    /// Bytes that are wanted.
    pub wanted: u64,
    /// Bytes that are free.
    pub free: u64,
}

impl fmt::Display for NoSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wanted, free) = (of_bytes(self.wanted), of_bytes(self.free));
        write!(
            f,
            "volume {} needs {wanted} and {free} is free",
            self.volume
        )
    }
}

/// The machine that a ledger is of, and the one that it is found on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherMachine {
    /// The one that it is of.
    pub recorded: MachineIds,
    /// This one.
    pub here: MachineIds,
}

impl fmt::Display for OtherMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recorded, here } = self;
        write!(
            f,
            "the agent's dataDir is of machine {recorded}, and this is {here}: the other one may run \
             the member"
        )
    }
}

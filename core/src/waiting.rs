//! Why something does not happen: promise I10. The enum has no catch-all, and each reason names the
//! rule, says what it knows, and names the verb or the event that frees it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Epoch, HostName, MemberId, ObjectKey, Ordinal, ProcessName},
    spec::AccessMode,
    time::Timestamp,
};

/// A reason and since when it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Why.
    pub reason: Reason,
    /// Since when, on the coordinator's clock.
    pub since: Timestamp,
}

/// Why a member is not where the operator wants it. The first group is decided by the plan, the
/// second is reported by an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all_fields = "camelCase")]
pub enum Reason {
    /// Ordered start: a lower ordinal is not ready (for long enough).
    PredecessorNotReady {
        /// The lowest such ordinal.
        ordinal: Ordinal,
    },
    /// Ordered start: a lower ordinal has not started.
    PredecessorNotStarted {
        /// The lowest such ordinal.
        ordinal: Ordinal,
    },
    /// Ordered stop: a higher ordinal is not fully gone.
    SuccessorNotStopped {
        /// The highest such ordinal.
        ordinal: Ordinal,
    },
    /// No host can take the member.
    NoEligibleHost {
        /// Per host, why not.
        hosts: Vec<HostRefusal>,
    },
    /// The host of the member is out of contact: what runs there is not known.
    HostUnknown {
        /// The host.
        host: HostName,
    },
    /// Agents have what this coordinator never sent: it may run on a restored backup, or beside
    /// another one. What it does not know of may run anywhere.
    HistoryMismatch {
        /// The hosts of those agents.
        hosts: Vec<HostName>,
    },
    /// The set names a pool that does not exist.
    AddressPoolMissing {
        /// The pool.
        pool: String,
    },
    /// The pool has no free address.
    AddressPoolExhausted {
        /// The pool.
        pool: String,
    },
    /// Agents in contact have not acknowledged the zone that names the member.
    ZoneNotAcknowledged {
        /// Those agents.
        hosts: Vec<HostName>,
    },
    /// The old epoch is ordered to stop and not yet proven gone.
    StopNotConfirmed {
        /// Where it runs.
        host: HostName,
        /// Which epoch.
        epoch: Epoch,
    },
    /// The set uses a config object that does not exist.
    ConfigMissing {
        /// `ConfigMap` or `Secret`.
        kind: String,
        /// Its key.
        key: ObjectKey,
    },
    /// The set is founded by all its members together, and one of them has no host yet.
    FoundersIncomplete {
        /// The lowest such ordinal.
        ordinal: Ordinal,
    },
    /// The volume of a founder was lost before the set was founded.
    FoundingDiskLost {
        /// The founder.
        member: MemberId,
    },
    /// The claim names a class that does not exist, and no volume has it.
    ClassMissing {
        /// The claim.
        claim: ObjectKey,
        /// The class.
        class: String,
    },
    /// No volume that was made by hand fits the claim.
    NoMatchingVolume {
        /// The claim.
        claim: ObjectKey,
        /// Per volume, why not.
        volumes: Vec<VolumeRefusal>,
    },
    /// Another volume has the directory that a class gives the claim, part of it, or one around it.
    ExportTaken {
        /// The claim.
        claim: ObjectKey,
        /// The directory.
        path: String,
        /// The volume that has it.
        volume: String,
    },
    /// A claim that was made by hand has the name of the member's and does not satisfy its template.
    ClaimMismatch {
        /// The claim.
        claim: ObjectKey,
        /// What it lacks.
        differences: Vec<String>,
    },
    /// The set uses a claim of its own name that does not exist.
    ClaimMissing {
        /// The claim.
        claim: ObjectKey,
    },
    /// A claim that the member uses has no volume yet.
    ClaimPending {
        /// The claim.
        claim: ObjectKey,
    },
    /// The access mode does not let the member use the volume beside another one.
    VolumeInUse {
        /// The claim.
        claim: ObjectKey,
        /// The mode.
        mode: AccessMode,
        /// The member that has it.
        by: MemberId,
    },
    /// The volume is in the trash, or on its way there or back.
    VolumeGone {
        /// The claim.
        claim: ObjectKey,
        /// The volume.
        volume: String,
    },
    /// The member keeps its revision until it is replaced.
    RevisionOutdated,
    /// An operator asked for a restart, and it waits for the others.
    RestartAsked,
    /// The checker refused the plan of this set.
    PlanRefused {
        /// The rule that it would have broken.
        rule: String,
    },
    /// The order is with the agent, which has not reported a result.
    Ordered {
        /// The agent's host.
        host: HostName,
    },

    /// An operator stopped the member on its host.
    HeldByOperator,
    /// The program does not exist or cannot be executed on the host.
    CommandMissing {
        /// The process.
        process: ProcessName,
        /// Its program.
        path: String,
        /// What the system said.
        error: String,
    },
    /// The user or group does not exist on the host.
    UserMissing {
        /// The process.
        process: ProcessName,
        /// The name.
        user: String,
    },
    /// The host's policy does not let processes run as this user.
    UserForbidden {
        /// The process.
        process: ProcessName,
        /// The name.
        user: String,
    },
    /// The host has no pool of that name.
    PoolMissing {
        /// The pool.
        pool: String,
    },
    /// A declared port is in use.
    PortTaken {
        /// Address and port.
        socket: String,
        /// The program that holds it, as far as the host can tell.
        by: String,
        /// Its process id.
        pid: u32,
    },
    /// The volume belongs to another claim, or to a newer epoch.
    VolumeForeign {
        /// The claim template.
        volume: String,
        /// What the owner record says.
        owner: String,
    },
    /// The volume was filled before, and is not there or empty now.
    VolumeEmpty {
        /// The claim template.
        volume: String,
    },
    /// A new volume holds data that nobody declared.
    VolumeNotEmpty {
        /// The claim template.
        volume: String,
    },
    /// The directory of a pool is there and is not the pool: its disk is not mounted.
    PoolNotMounted {
        /// The pool.
        pool: String,
        /// Its directory.
        path: String,
    },
    /// The volume cannot be mounted.
    MountFailed {
        /// The claim template.
        volume: String,
        /// What was to be mounted.
        source: String,
        /// What the system said.
        error: String,
    },
    /// The storage of the volume does not answer.
    VolumeHung {
        /// The claim template.
        volume: String,
        /// What does not answer.
        source: String,
        /// What was asked.
        step: String,
    },
    /// The server does not know the mounted directory any more.
    VolumeStale {
        /// The claim template.
        volume: String,
        /// What was mounted.
        source: String,
    },
    /// An earlier use of the volume on this host has not ended yet.
    VolumeBusy {
        /// The claim template.
        volume: String,
        /// What still holds it.
        by: String,
    },
    /// The pool or the file system has no room for the volume.
    VolumeNoSpace {
        /// The claim template.
        volume: String,
        /// Bytes that are wanted.
        wanted: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The user has another number here than when the volume was made.
    UserIdMismatch {
        /// The claim template.
        volume: String,
        /// The user.
        user: String,
        /// Its number then.
        recorded: u32,
        /// Its number here.
        here: u32,
    },
    /// A subPath leads out of its volume, or over a symbolic link.
    PathEscape {
        /// The claim template.
        volume: String,
        /// The path.
        path: String,
    },
    /// A step on the host failed; it is tried again.
    StepFailed {
        /// The step.
        step: String,
        /// What the system said.
        error: String,
    },
    /// A template of the set cannot be rendered with this member's values.
    RenderFailed {
        /// The field.
        field: String,
        /// What is wrong.
        error: String,
    },
    /// A process ended and is started again after a pause.
    BackOff {
        /// The process.
        process: ProcessName,
        /// How it ended.
        exit: String,
        /// How often it was started again.
        restarts: u32,
    },
    /// The startup probe has not passed yet.
    StartupProbe {
        /// The process.
        process: ProcessName,
        /// The last failure.
        error: String,
    },
    /// The readiness probe does not pass.
    ReadinessProbe {
        /// The process.
        process: ProcessName,
        /// The last failure.
        error: String,
    },
    /// The liveness probe failed: the process is restarted.
    LivenessProbe {
        /// The process.
        process: ProcessName,
        /// The last failure.
        error: String,
    },
    /// The processes are being stopped.
    Stopping {
        /// Those that still run.
        processes: Vec<ProcessName>,
    },
}

/// Why one host cannot take a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostRefusal {
    /// The host.
    pub host: HostName,
    /// Why not.
    pub because: Refusal,
}

/// What rules a host out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "because", rename_all_fields = "camelCase")]
pub enum Refusal {
    /// It is out of contact.
    OutOfContact,
    /// It is cordoned.
    Cordoned,
    /// Its labels do not match the node selector.
    Labels,
    /// It holds another member of the set.
    SpreadTaken {
        /// That member.
        by: MemberId,
    },
    /// The member's local volume is elsewhere.
    VolumeElsewhere {
        /// The claim.
        claim: ObjectKey,
        /// The host that has it.
        host: HostName,
    },
    /// An address and port that the member declares is taken there.
    PortClash {
        /// Address and port.
        socket: String,
        /// The member that declares it already.
        by: MemberId,
    },
    /// It has no pool of that name.
    NoPool {
        /// The pool.
        pool: String,
    },
    /// Its pool has no room.
    PoolFull {
        /// The pool.
        pool: String,
        /// Bytes that are asked for.
        wanted: u64,
        /// Bytes that are not promised to other claims.
        free: u64,
    },
    /// A claim that only one host may use is in use on another one.
    ClaimElsewhere {
        /// The claim.
        claim: ObjectKey,
        /// The host that uses it.
        host: HostName,
    },
}

/// Why one volume does not fit a claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeRefusal {
    /// The volume.
    pub volume: String,
    /// Why not.
    pub because: VolumeMisfit,
}

/// What rules a volume out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "because", rename_all_fields = "camelCase")]
pub enum VolumeMisfit {
    /// It is, or was last, another claim's.
    Bound {
        /// That claim.
        claim: ObjectKey,
        /// Whether that claim is gone: then an operator may release the volume.
        released: bool,
    },
    /// It is kept for another claim.
    Reserved {
        /// That claim.
        claim: ObjectKey,
    },
    /// It is smaller than asked for.
    TooSmall {
        /// Its size in bytes.
        capacity: u64,
    },
    /// It is of another class.
    Class {
        /// Its class; empty without one.
        class: String,
    },
    /// It does not offer all access modes that are asked for.
    AccessModes,
    /// It lacks labels that the selector asks for.
    Labels,
    /// The claim asks for another volume by name.
    Name,
    /// Its directory is another one's that is bound, or lies around it or in it.
    Overlaps {
        /// That volume.
        volume: String,
    },
    /// It is being deleted, or in the trash.
    Deleted,
}

impl fmt::Display for VolumeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.volume)?;
        match &self.because {
            VolumeMisfit::Bound { claim, released } if *released => {
                write!(f, "is released by {claim} (berth volume release)")
            }
            VolumeMisfit::Bound { claim, .. } => write!(f, "is bound to {claim}"),
            VolumeMisfit::Reserved { claim } => write!(f, "is kept for {claim} (claimRef)"),
            VolumeMisfit::TooSmall { capacity } => write!(f, "has only {capacity} bytes"),
            VolumeMisfit::Class { class } => write!(f, "is of class '{class}'"),
            VolumeMisfit::AccessModes => f.write_str("does not offer the access modes"),
            VolumeMisfit::Labels => f.write_str("lacks labels of the selector"),
            VolumeMisfit::Name => f.write_str("is not the one asked for"),
            VolumeMisfit::Overlaps { volume } => write!(f, "shares its directory with {volume}"),
            VolumeMisfit::Deleted => f.write_str("is deleted"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfContact => f.write_str("out of contact"),
            Self::Cordoned => f.write_str("cordoned"),
            Self::Labels => f.write_str("labels do not match nodeSelector"),
            Self::SpreadTaken { by } => write!(f, "holds {by} already (spread: Require)"),
            Self::VolumeElsewhere { claim, host } => write!(f, "volume {claim} is on {host}"),
            Self::PortClash { socket, by } => write!(f, "{socket} is declared by {by}"),
            Self::NoPool { pool } => write!(f, "has no pool '{pool}'"),
            Self::PoolFull { pool, wanted, free } => {
                write!(
                    f,
                    "pool '{pool}' has {free} bytes left, {wanted} are asked for"
                )
            }
            Self::ClaimElsewhere { claim, host } => write!(f, "claim {claim} is in use on {host}"),
        }
    }
}

impl Reason {
    /// The rule's name, as `status` and the wire show it.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::PredecessorNotReady { .. } => "PredecessorNotReady",
            Self::PredecessorNotStarted { .. } => "PredecessorNotStarted",
            Self::SuccessorNotStopped { .. } => "SuccessorNotStopped",
            Self::NoEligibleHost { .. } => "NoEligibleHost",
            Self::HostUnknown { .. } => "HostUnknown",
            Self::HistoryMismatch { .. } => "HistoryMismatch",
            Self::AddressPoolMissing { .. } => "AddressPoolMissing",
            Self::AddressPoolExhausted { .. } => "AddressPoolExhausted",
            Self::ZoneNotAcknowledged { .. } => "ZoneNotAcknowledged",
            Self::StopNotConfirmed { .. } => "StopNotConfirmed",
            Self::ConfigMissing { .. } => "ConfigMissing",
            Self::FoundersIncomplete { .. } => "FoundersIncomplete",
            Self::FoundingDiskLost { .. } => "FoundingDiskLost",
            Self::ClassMissing { .. } => "ClassMissing",
            Self::NoMatchingVolume { .. } => "NoMatchingVolume",
            Self::ExportTaken { .. } => "ExportTaken",
            Self::ClaimMismatch { .. } => "ClaimMismatch",
            Self::ClaimMissing { .. } => "ClaimMissing",
            Self::ClaimPending { .. } => "ClaimPending",
            Self::VolumeInUse { .. } => "VolumeInUse",
            Self::VolumeGone { .. } => "VolumeGone",
            Self::RevisionOutdated => "RevisionOutdated",
            Self::RestartAsked => "RestartAsked",
            Self::PlanRefused { .. } => "PlanRefused",
            Self::Ordered { .. } => "Ordered",
            Self::HeldByOperator => "HeldByOperator",
            Self::CommandMissing { .. } => "CommandMissing",
            Self::UserMissing { .. } => "UserMissing",
            Self::UserForbidden { .. } => "UserForbidden",
            Self::PoolMissing { .. } => "PoolMissing",
            Self::PortTaken { .. } => "PortTaken",
            Self::VolumeForeign { .. } => "VolumeForeign",
            Self::VolumeEmpty { .. } => "VolumeEmpty",
            Self::VolumeNotEmpty { .. } => "VolumeNotEmpty",
            Self::PoolNotMounted { .. } => "PoolNotMounted",
            Self::MountFailed { .. } => "MountFailed",
            Self::VolumeHung { .. } => "VolumeHung",
            Self::VolumeStale { .. } => "VolumeStale",
            Self::VolumeBusy { .. } => "VolumeBusy",
            Self::VolumeNoSpace { .. } => "VolumeNoSpace",
            Self::UserIdMismatch { .. } => "UserIdMismatch",
            Self::PathEscape { .. } => "PathEscape",
            Self::StepFailed { .. } => "StepFailed",
            Self::RenderFailed { .. } => "RenderFailed",
            Self::BackOff { .. } => "BackOff",
            Self::StartupProbe { .. } => "StartupProbe",
            Self::ReadinessProbe { .. } => "ReadinessProbe",
            Self::LivenessProbe { .. } => "LivenessProbe",
            Self::Stopping { .. } => "Stopping",
        }
    }

    /// The verb or the event that frees what is held.
    pub fn frees(&self) -> &'static str {
        match self {
            Self::PredecessorNotReady { .. } => "event: the lower ordinal becomes ready",
            Self::PredecessorNotStarted { .. } => "event: the lower ordinal has started",
            Self::SuccessorNotStopped { .. } => "event: the higher ordinal is gone",
            Self::NoEligibleHost { .. } => "event: a host that fits comes into contact",
            Self::HostUnknown { .. } => "event: the host's agent comes back",
            Self::HistoryMismatch { .. } => "restore the right data, or event: a matching hello",
            Self::AddressPoolMissing { .. } => "berth apply -f (the AddressPool)",
            Self::AddressPoolExhausted { .. } => "berth apply -f (a larger AddressPool)",
            Self::ZoneNotAcknowledged { .. } => "event: acknowledgement, or 2 s",
            Self::StopNotConfirmed { .. } => "event: the agent reports the member gone",
            Self::ConfigMissing { .. } => "berth apply -f (the missing object)",
            Self::FoundersIncomplete { .. } => "event: every member has a host",
            Self::FoundingDiskLost { .. } => "berth delete sts, berth delete pvc, berth apply",
            Self::ClassMissing { .. } => "berth apply -f (the StorageClass)",
            Self::NoMatchingVolume { .. } => {
                "berth apply -f (a PersistentVolume that fits), or berth volume release"
            }
            Self::ExportTaken { .. } => {
                "berth volume delete (the other one), or berth apply -f (a class with another subDir)"
            }
            Self::ClaimMismatch { .. } => {
                "berth delete pvc, or berth apply -f (a claim that satisfies it)"
            }
            Self::ClaimMissing { .. } => "berth apply -f (the PersistentVolumeClaim)",
            Self::ClaimPending { .. } => "event: a volume is bound to it; see berth describe pvc",
            Self::VolumeInUse { .. } => "event: the other member is gone",
            Self::VolumeGone { .. } => "berth volume undelete",
            Self::RevisionOutdated => "event: the member is replaced",
            Self::RestartAsked => "event: the other members are available",
            Self::PlanRefused { .. } => "report a bug: the plan was unsafe and nothing was done",
            Self::Ordered { .. } => "event: the agent reports",
            Self::HeldByOperator => "berth local start (on the host)",
            Self::CommandMissing { .. } => "install the program on the host",
            Self::UserMissing { .. } => "create the user on the host",
            Self::UserForbidden { .. } => "change the set's user, or the agent's policy",
            Self::PoolMissing { .. } => "add the pool to the agent's configuration",
            Self::PortTaken { .. } => "stop the program that holds the port",
            Self::VolumeForeign { .. } => "put the right volume in place, or move this one away",
            Self::VolumeEmpty { .. } => "put the volume's data back in place",
            Self::VolumeNotEmpty { .. } => "empty the directory, or move it away",
            Self::PoolNotMounted { .. } => "mount the pool's disk on the host",
            Self::MountFailed { .. } => {
                "event: the next attempt succeeds; look at the server, or the image"
            }
            Self::VolumeHung { .. } => "event: the storage answers again",
            Self::VolumeStale { .. } => "event: the member has been restarted on a new mount",
            Self::VolumeBusy { .. } => "event: it lets go; the last resort is a reboot of the host",
            Self::VolumeNoSpace { .. } => "make room in the pool on the host",
            Self::UserIdMismatch { .. } => {
                "give the user its old number on the host, or change the owner of the files"
            }
            Self::PathEscape { .. } => "berth apply -f (another subPath), or remove the link",
            Self::StepFailed { .. } => "event: the next attempt succeeds",
            Self::RenderFailed { .. } => "berth apply -f (with the template corrected)",
            Self::BackOff { .. } => "event: the next start succeeds",
            Self::StartupProbe { .. } => "event: the startup probe passes",
            Self::ReadinessProbe { .. } => "event: the readiness probe passes",
            Self::LivenessProbe { .. } => "event: the process has been restarted",
            Self::Stopping { .. } => "event: the processes end, or KILL after the grace period",
        }
    }
}

impl fmt::Display for Reason {
    #[expect(
        clippy::too_many_lines,
        reason = "one line per reason; a table reads best whole"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PredecessorNotReady { ordinal } => write!(f, "ordinal {ordinal} is not ready"),
            Self::PredecessorNotStarted { ordinal } => {
                write!(f, "ordinal {ordinal} has not started")
            }
            Self::SuccessorNotStopped { ordinal } => write!(f, "ordinal {ordinal} is not gone"),
            Self::NoEligibleHost { hosts } if hosts.is_empty() => f.write_str("there is no host"),
            Self::NoEligibleHost { hosts } => {
                f.write_str("no host can take it: ")?;
                for (i, refusal) in hosts.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "; " };
                    write!(f, "{comma}{}: {}", refusal.host, refusal.because)?;
                }
                Ok(())
            }
            Self::HostUnknown { host } => write!(f, "{host} is out of contact"),
            Self::HistoryMismatch { hosts } => {
                write!(
                    f,
                    "what the agents of {} have was not sent by this coordinator",
                    join(hosts)
                )
            }
            Self::AddressPoolMissing { pool } => write!(f, "AddressPool '{pool}' does not exist"),
            Self::AddressPoolExhausted { pool } => write!(f, "AddressPool '{pool}' is full"),
            Self::ZoneNotAcknowledged { hosts } => {
                write!(f, "its name is not served yet on {}", join(hosts))
            }
            Self::StopNotConfirmed { host, epoch } => {
                write!(f, "epoch {epoch} on {host} is not proven gone")
            }
            Self::ConfigMissing { kind, key } => write!(f, "{kind} {key} does not exist"),
            Self::FoundersIncomplete { ordinal } => {
                write!(
                    f,
                    "all members found the set, and ordinal {ordinal} has no host"
                )
            }
            Self::FoundingDiskLost { member } => {
                write!(
                    f,
                    "founder {member} lost its volume before the set was founded"
                )
            }
            Self::ClassMissing { claim, class } => {
                write!(f, "storage class '{class}' of claim {claim} does not exist")
            }
            Self::NoMatchingVolume { claim, volumes } if volumes.is_empty() => {
                write!(f, "there is no volume for claim {claim}")
            }
            Self::NoMatchingVolume { claim, volumes } => {
                write!(f, "no volume fits claim {claim}: {}", join(volumes))
            }
            Self::ExportTaken {
                claim,
                path,
                volume,
            } => write!(
                f,
                "claim {claim} would have {path}, which overlaps volume {volume}"
            ),
            Self::ClaimMismatch { claim, differences } => write!(
                f,
                "claim {claim} does not satisfy the template: {}",
                differences.join("; ")
            ),
            Self::ClaimMissing { claim } => write!(f, "claim {claim} does not exist"),
            Self::ClaimPending { claim } => write!(f, "claim {claim} is not bound to a volume"),
            Self::VolumeInUse { claim, mode, by } => {
                write!(f, "claim {claim} ({}) is used by {by}", mode.short())
            }
            Self::VolumeGone { claim, volume } => {
                write!(f, "volume {volume} of claim {claim} is in the trash")
            }
            Self::RevisionOutdated => f.write_str("it runs an older revision of the template"),
            Self::RestartAsked => f.write_str("its restart was asked for and waits for the others"),
            Self::PlanRefused { rule } => write!(f, "the checker refused the plan: {rule}"),
            Self::Ordered { host } => write!(f, "{host} has the order"),
            Self::HeldByOperator => f.write_str("stopped by an operator on its host"),
            Self::CommandMissing {
                process,
                path,
                error,
            } => {
                write!(f, "process {process}: {path}: {error}")
            }
            Self::UserMissing { process, user } => {
                write!(
                    f,
                    "process {process}: user or group '{user}' does not exist"
                )
            }
            Self::UserForbidden { process, user } => {
                write!(
                    f,
                    "process {process}: the host's policy forbids user '{user}'"
                )
            }
            Self::PoolMissing { pool } => write!(f, "the host has no pool '{pool}'"),
            Self::PortTaken { socket, by, pid } => {
                write!(f, "{socket} is taken by {by} (pid {pid})")
            }
            Self::VolumeForeign { volume, owner } => {
                write!(f, "volume {volume} belongs to {owner}")
            }
            Self::VolumeEmpty { volume } => {
                write!(
                    f,
                    "volume {volume} was filled before and is empty or missing now"
                )
            }
            Self::VolumeNotEmpty { volume } => {
                write!(
                    f,
                    "volume {volume} is new and holds data that nobody declared"
                )
            }
            Self::PoolNotMounted { pool, path } => {
                write!(f, "{path} is not pool '{pool}': its disk is not mounted")
            }
            Self::MountFailed {
                volume,
                source,
                error,
            } => write!(f, "volume {volume}: {source}: {error}"),
            Self::VolumeHung {
                volume,
                source,
                step,
            } => write!(f, "volume {volume}: {source} does not answer ({step})"),
            Self::VolumeStale { volume, source } => write!(
                f,
                "volume {volume}: {source} is not what was mounted any more; it is mounted anew"
            ),
            Self::VolumeBusy { volume, by } => write!(f, "volume {volume} is still held by {by}"),
            Self::VolumeNoSpace {
                volume,
                wanted,
                free,
            } => write!(
                f,
                "volume {volume} needs {wanted} bytes and {free} are free"
            ),
            Self::UserIdMismatch {
                volume,
                user,
                recorded,
                here,
            } => write!(
                f,
                "volume {volume}: user '{user}' is {here} here and was {recorded} when the volume was made"
            ),
            Self::PathEscape { volume, path } => write!(
                f,
                "volume {volume}: subPath '{path}' leads over a symbolic link or out of the volume"
            ),
            Self::StepFailed { step, error } => write!(f, "{step}: {error}"),
            Self::RenderFailed { field, error } => write!(f, "{field}: {error}"),
            Self::BackOff {
                process,
                exit,
                restarts,
            } => {
                write!(f, "process {process} {exit}; restarted {restarts} times")
            }
            Self::StartupProbe { process, error } => {
                write!(f, "startup probe of {process}: {error}")
            }
            Self::ReadinessProbe { process, error } => {
                write!(f, "readiness probe of {process}: {error}")
            }
            Self::LivenessProbe { process, error } => {
                write!(f, "liveness probe of {process}: {error}")
            }
            Self::Stopping { processes } => write!(f, "stopping {}", join(processes)),
        }
    }
}

fn join<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

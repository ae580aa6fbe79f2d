//! Why something does not happen: promise I10. The enum has no catch-all, and each reason names the
//! rule, says what it knows, and names the verb or the event that frees it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Epoch, HostName, MemberId, ObjectKey, Ordinal, ProcessName},
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
    /// The member keeps its revision until it is replaced.
    RevisionOutdated,
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
            Self::RevisionOutdated => "RevisionOutdated",
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
            Self::RevisionOutdated => "event: the member is replaced",
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
            Self::RevisionOutdated => f.write_str("it runs an older revision of the template"),
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

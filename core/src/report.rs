//! What an agent observed: the other half of the order.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Epoch, MemberId, ProcessName, RunId, TemplateHash},
    volume::VolumeReport,
    waiting::Reason,
};

/// What is true of one member on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberReport {
    /// Which member.
    pub member: MemberId,
    /// Which grant of it.
    pub epoch: Epoch,
    /// The current or last start, if there was one.
    pub run: Option<RunId>,
    /// The revision that its processes are started with from now on, and whose files they have.
    #[serde(default)]
    pub revision: Option<TemplateHash>,
    /// Where it stands.
    pub phase: Phase,
    /// Whether its processes run and its startup probes, if any, have passed in this run.
    pub started: bool,
    /// Whether it serves.
    pub ready: bool,
    /// Whether it was ready once in this epoch: of a founder, what the ledger has. It stays true
    /// when the member serves no more and when it is stopped, so that nobody who hears of it late
    /// takes it for a founder still.
    #[serde(default)]
    pub passed_gate: bool,
    /// How long it has been ready, in milliseconds of the agent's clock, when this was sent.
    pub ready_for_ms: u64,
    /// How often its processes were started again.
    pub restarts: u32,
    /// Its processes, in the order of the template.
    pub processes: Vec<ProcessReport>,
    /// Why it is not running and ready, if it should be; or not gone, if it should be.
    pub waiting: Option<Reason>,
    /// Claim templates whose volume this member was started on: they are filled from now on.
    pub filled: Vec<String>,
    /// What is known of the volumes that it runs on.
    #[serde(default)]
    pub volumes: Vec<VolumeReport>,
}

/// Where a member stands on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// The order is accepted, nothing is done yet.
    Pending,
    /// Volumes, files and namespaces are made ready.
    Preparing,
    /// Processes are started.
    Starting,
    /// All processes run.
    Running,
    /// A start failed or a process ended; the next attempt is waited for.
    BackOff,
    /// Processes are being stopped.
    Stopping,
    /// Proven gone: no process is left and no volume is mounted.
    Stopped,
}

/// One process of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessReport {
    /// Its name.
    pub name: ProcessName,
    /// Its process id on the host, while it runs.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// How it last ended, if it did: `exited with 1`, `was killed by SIGKILL`, `was OOMKilled: ...`.
    pub last_exit: Option<String>,
    /// What it says that it does, by `sd_notify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What of its `resources` its host does not enforce, each with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unenforced: Vec<String>,
}

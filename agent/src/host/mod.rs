//! The one trait through which the agent touches its machine, and the values that go through it.
//!
//! Everything above it (member state machines, session, reconcile) is the same over
//! [`linux`] (real directories, namespaces, processes) and [`fake`] (in memory, fails on demand).
//! A failure is always a typed [`Reason`]: it goes to the operator as it is.

use std::{
    collections::BTreeMap,
    future::Future,
    net::IpAddr,
    path::{Path, PathBuf},
};

use berth_core::{
    ids::{BootId, Epoch, HistoryId, MemberId, ProcessName, RunId},
    order::VolumeOrder,
    rendered::RenderedMember,
    spec::Port,
    volume::PoolInfo,
    waiting::Reason,
};
use serde::{Deserialize, Serialize};

#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod handle;
pub mod linux;
pub(crate) mod watch;

pub use crate::keeper::wire::{
    ExecOrder, ExecResult, KeeperCommand, KeeperEvent, KeeperReply, KeeperStatus, ProcessStatus,
};
pub use handle::{Commanded, KeeperClient, KeeperHandle};

/// What an agent can do to its machine.
///
/// Every call may be repeated: each looks at what is there and does what is missing.
pub trait Host: Send + Sync + 'static {
    /// What the agent says about the machine in its hello.
    fn facts(&self) -> HostFacts;

    /// The member's configuration directory as its processes see it: what `{{ configDir }}` is
    /// rendered to.
    fn config_dir(&self, member: &MemberId) -> PathBuf;

    /// The directory of the member's logs: `<process>.log` is the current run of a process,
    /// `<process>.previous.log` the one before; a numeric suffix (`.log.1`) is an older part.
    fn log_dir(&self, member: &MemberId) -> PathBuf;

    /// Makes a volume ready for a start: looks at its owner record, refuses what is missing,
    /// unexpectedly empty or foreign, makes it if it is new, and writes the epoch into the record.
    ///
    /// # Errors
    /// `PoolMissing`, `VolumeForeign`, `VolumeEmpty`, `VolumeNotEmpty`, `UserMissing`,
    /// `UserForbidden`, `StepFailed`.
    fn prepare_volume(
        &self,
        request: PrepareVolume,
    ) -> impl Future<Output = Result<PreparedVolume, Reason>> + Send;

    /// Looks whether the declared ports are free on the address.
    ///
    /// # Errors
    /// `PortTaken` with the program that holds the first taken one, `StepFailed`.
    fn check_ports(
        &self,
        address: &str,
        ports: &[Port],
    ) -> impl Future<Output = Result<(), Reason>> + Send;

    /// Starts a member under a new keeper. Returns when the namespaces are set up and the first
    /// init process or, without one, every process was executed.
    ///
    /// On an error nothing of the run is left but its run directory ([`Host::cleanup`] removes it).
    ///
    /// # Errors
    /// `CommandMissing`, `UserMissing`, `UserForbidden`, `StepFailed`.
    fn start_keeper(
        &self,
        launch: KeeperLaunch,
    ) -> impl Future<Output = Result<KeeperHandle, Reason>> + Send;

    /// Takes up a keeper that an earlier agent started. `None` if there is none alive: boot id,
    /// process id and start time are those of the record, and it answers with the record's run.
    ///
    /// # Errors
    /// `StepFailed` if it is alive and does not answer.
    fn adopt(
        &self,
        member: &MemberId,
    ) -> impl Future<Output = Result<Option<KeeperHandle>, Reason>> + Send;

    /// Kills the keeper of this run, and with it everything, without asking it: it may not answer.
    /// Its handle's events end as soon as all of it is gone. Does nothing if it is gone already,
    /// or if another run is on record.
    ///
    /// # Errors
    /// `StepFailed`.
    fn kill(
        &self,
        member: &MemberId,
        run: &RunId,
    ) -> impl Future<Output = Result<(), Reason>> + Send;

    /// What is on record about runs, alive or not, in the order of the members.
    ///
    /// # Errors
    /// `StepFailed`.
    fn list_runs(&self) -> impl Future<Output = Result<Vec<RunRecord>, Reason>> + Send;

    /// Removes what a run left on the host, and makes sure of it: no process, no mount, no cgroup,
    /// no run directory. Volumes, configuration and logs stay. Does nothing if nothing is left.
    ///
    /// # Errors
    /// `StepFailed`, also if the keeper is alive.
    fn cleanup(&self, member: &MemberId) -> impl Future<Output = Result<(), Reason>> + Send;
}

/// What an agent says about its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The kernel's boot id.
    pub boot: BootId,
    /// `/etc/machine-id`; empty if there is none.
    pub machine_id: String,
    /// Its volume pools.
    pub pools: BTreeMap<String, PoolInfo>,
}

/// A volume to make ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareVolume {
    /// For whom.
    pub member: MemberId,
    /// Under which grant.
    pub epoch: Epoch,
    /// The history of the store that granted it.
    pub history: HistoryId,
    /// The volume.
    pub volume: VolumeOrder,
    /// Who is to own a new volume's directory: the first process that mounts it.
    pub owner: VolumeOwner,
}

/// Who is to own a new volume's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeOwner {
    /// The process, for error messages.
    pub process: ProcessName,
    /// Its user, by name or number.
    pub user: String,
    /// Its group, by name or number; the user's own if absent.
    pub group: Option<String>,
}

/// A volume that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedVolume {
    /// The claim template's name.
    pub name: String,
    /// The directory of the data on the host.
    pub path: PathBuf,
}

/// A member to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeeperLaunch {
    /// Which start this is.
    pub run: RunId,
    /// What to run.
    pub rendered: RenderedMember,
    /// Where each volume's data is, by claim template.
    pub volumes: BTreeMap<String, PathBuf>,
    /// What its `/etc/resolv.conf` says.
    pub dns: DnsSettings,
}

/// What a member's `/etc/resolv.conf` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsSettings {
    /// The agent's own server; it listens on port 53 there.
    pub server: IpAddr,
    /// Search domains, such as `default.svc.berth.internal`.
    pub search: Vec<String>,
}

/// What is on disk about one run, so that a new agent finds its keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// Whose.
    pub member: MemberId,
    /// Which start; its boot id tells records of an earlier boot.
    pub run: RunId,
    /// The keeper's process id on the host.
    pub pid: u32,
    /// Its start time in clock ticks since boot, from `/proc/<pid>/stat`: a process id that was
    /// used again has another.
    pub start_time: u64,
    /// The member's cgroup directory, if it has one.
    pub cgroup: Option<PathBuf>,
}

/// A [`Reason::StepFailed`].
pub fn step_failed(step: impl Into<String>, error: impl ToString) -> Reason {
    Reason::StepFailed {
        step: step.into(),
        error: error.to_string(),
    }
}

/// A [`Reason::StepFailed`] about a path.
pub fn path_failed(step: &str, path: &Path, error: impl ToString) -> Reason {
    step_failed(format!("{step} {}", path.display()), error)
}

/// The name of a member's directories, `<namespace>_<set>-<ordinal>`: no id contains an underscore.
pub fn dir_name(member: &MemberId) -> String {
    format!("{}_{}", member.set.namespace, member.name())
}

/// The member from the name of its directory.
pub fn member_of_dir(name: &str) -> Option<MemberId> {
    let (namespace, member) = name.split_once('_')?;
    format!("{namespace}/{member}").parse().ok()
}

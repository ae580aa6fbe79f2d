//! The one trait through which the agent touches its machine, and the values that go through it.
//!
//! Everything above it (member state machines, session, reconcile) is the same over
//! [`linux`] (real directories, namespaces, processes) and [`fake`] (in memory, fails on demand).
//! A failure is always a typed [`Reason`]: it goes to the operator as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use berth_core::{
    ids::{BootId, Epoch, HistoryId, MemberId, ProcessName, RunId},
    keeper::{Exit, LeasedRun, cgroup::Controller},
    machine::MachineIds,
    order::VolumeOrder,
    prerequisite::{Fact, Prerequisite},
    rendered::RenderedMember,
    spec::Port,
    time::Timestamp,
    volume::{
        MountedVolume, Pools, VolumeHealth, VolumeReport, transfer::Weight, work::VolumeWork,
    },
    waiting::Reason,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[cfg(any(test, feature = "fake"))]
pub mod fake;
mod handle;
pub mod linux;
pub mod storage;
pub(crate) mod watch;

use crate::keeper::spec::Identity;
pub use crate::keeper::wire::{
    AttachOrder, Attached, ExecOrder, ExecResult, KeeperCommand, KeeperEvent, KeeperReply,
    KeeperStatus, ProcessStatus, TerminalOrder,
};
pub use handle::{Commanded, KeeperClient, KeeperHandle};
pub use storage::Place;

/// What an agent can do to its machine.
///
/// Every call may be repeated: each looks at what is there and does what is missing.
pub trait Host: Send + Sync + 'static {
    /// What the agent says about the machine in its hello.
    fn facts(&self) -> HostFacts;

    /// Looks at the volume pools: a disk may be mounted, or gone, since the last time. Ends in bounded
    /// time; one that is not there or does not answer is told as missing.
    fn look_at_pools(&self) -> impl Future<Output = Pools> + Send;

    /// Changes with every change of what is mounted on the machine; ends where that cannot be told.
    fn mounts(&self) -> tokio::sync::watch::Receiver<u64>;

    /// The member's configuration directory as its processes see it: what `{{ configDir }}` is
    /// rendered to.
    fn config_dir(&self, member: &MemberId) -> PathBuf;

    /// The directory of the member's logs: `<process>.log` is the current run of a process,
    /// `<process>.previous.log` the one before; a numeric suffix (`.log.1`) is an older part.
    fn log_dir(&self, member: &MemberId) -> PathBuf;

    /// Makes a member's volumes ready for a start: looks at each one's owner record, refuses what is
    /// missing, unexpectedly empty or foreign, makes it if it is new, and writes the epoch into the
    /// record. It ends in bounded time, whatever the storage does.
    ///
    /// # Errors
    /// `PoolMissing`, `PoolNotMounted`, `MountFailed`, `VolumeHung`, `VolumeForeign`, `VolumeEmpty`,
    /// `VolumeNotEmpty`, `VolumeNoSpace`, `UserMissing`, `Forbidden`, `UserIdMismatch`,
    /// `StepFailed`.
    fn prepare_volumes(
        &self,
        request: PrepareVolumes,
    ) -> impl Future<Output = Result<Vec<PreparedVolume>, Reason>> + Send;

    /// Looks at the volumes that a run has mounted, and how full they are. It ends in bounded time,
    /// whatever the storage does; volumes that could not be looked at for another reason are left
    /// out.
    fn look_at_volumes(
        &self,
        member: &MemberId,
        run: &RunId,
    ) -> impl Future<Output = BTreeMap<String, VolumeHealth>> + Send;

    /// Moves a volume to the trash, brings it back, or makes it larger. It ends in bounded time,
    /// whatever the storage does. One at a time for a volume.
    ///
    /// # Errors
    /// `PoolMissing`, `PoolNotMounted`, `MountFailed`, `VolumeHung`, `VolumeForeign`, `VolumeEmpty`,
    /// `VolumeBusy`, `VolumeNoSpace`, `StepFailed`.
    fn volume_work(&self, work: VolumeWork) -> impl Future<Output = Result<(), Reason>> + Send;

    /// Sends the data of a volume of a member that moves: first what it holds, then all of it. From
    /// before the first byte nobody is started on it by an order that does not know of the move. It
    /// ends when nobody takes the parts any more.
    ///
    /// # Errors
    /// As [`Self::volume_work`].
    fn send_volume(
        &self,
        work: VolumeWork,
        parts: mpsc::Sender<VolumePart>,
    ) -> impl Future<Output = Result<(), Reason>> + Send;

    /// Makes a volume of what another host sends: all of it, proven the same and durable, or nothing.
    ///
    /// # Errors
    /// As [`Self::volume_work`]; `StepFailed` if not all comes, or something else than was announced.
    fn receive_volume(
        &self,
        work: VolumeWork,
        parts: mpsc::Receiver<VolumePart>,
    ) -> impl Future<Output = Result<(), Reason>> + Send;

    /// Looks for what sets require of a host. Ends in bounded time, whatever a path lies on; what
    /// could not be found out is told as that.
    fn look_at(
        &self,
        required: &[Prerequisite],
    ) -> impl Future<Output = Vec<(Prerequisite, Fact)>> + Send;

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
    /// `CommandMissing`, `UserMissing`, `Forbidden`, `StepFailed`.
    fn start_keeper(
        &self,
        launch: KeeperLaunch,
    ) -> impl Future<Output = Result<KeeperHandle, Reason>> + Send;

    /// Whether the host lets a member be as it is rendered: asked before its keeper is told of another
    /// rendering. A start asks by itself.
    ///
    /// # Errors
    /// `Forbidden`.
    fn permits(&self, rendered: &RenderedMember) -> Result<(), Reason>;

    /// Begins a program in a member that runs, as one of its processes would be. It is killed when
    /// what is returned is dropped, and when the member stops.
    ///
    /// # Errors
    /// `CommandMissing`; `StepFailed` if the member does not run or has no such process.
    fn attach(
        &self,
        member: &MemberId,
        order: AttachOrder,
    ) -> impl Future<Output = Result<AttachedProgram, Reason>> + Send;

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

    /// The time on the clock of leases: it counts through suspends, and begins with the boot.
    fn boottime(&self) -> Timestamp;

    /// Waits until a time has come on the clock of leases, also if that is while the machine sleeps.
    fn wait_until(&self, at: Timestamp) -> impl Future<Output = ()> + Send;

    /// Reboots the machine at once: a member is not gone at the end of its lease, and may be started
    /// elsewhere. Does nothing where the host's policy does not let it.
    ///
    /// # Errors
    /// `StepFailed`.
    fn reboot(&self) -> Result<(), Reason>;

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

/// Part of the data of a volume, on its way to another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VolumePart {
    /// What the volume holds: the first part.
    Weight(Weight),
    /// A piece of an archive of it.
    Data(Vec<u8>),
    /// That was all.
    End,
    /// Nothing more comes, and why.
    Failed(String),
}

/// A program that is watched while it runs. What is not read holds it back.
#[derive(Debug)]
pub struct AttachedProgram {
    /// What it is told.
    pub input: mpsc::Sender<AttachInput>,
    /// What it says; the last is `End` or `Failed`.
    pub output: mpsc::Receiver<AttachOutput>,
}

/// What a program is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttachInput {
    /// Its input.
    Data(Vec<u8>),
    /// The end of its input.
    End,
    /// Its terminal has another size.
    Resize {
        /// Its height in cells.
        rows: u16,
        /// Its width in cells.
        columns: u16,
    },
    /// A signal, by its number.
    Signal(i32),
}

/// What a program says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttachOutput {
    /// To its output, or its terminal.
    Output(Vec<u8>),
    /// To its errors.
    Error(Vec<u8>),
    /// It has ended.
    End(Exit),
    /// Nothing more is known of it.
    Failed(Reason),
}

/// What an agent says about its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The kernel's boot id.
    pub boot: BootId,
    /// What tells it from others.
    pub machine: MachineIds,
    /// What it can hold processes to.
    pub controllers: BTreeSet<Controller>,
    /// Whether it reboots itself when a member is not gone at the end of its lease.
    pub self_fences: bool,
    /// Whether it does so by a watchdog.
    pub watchdog: bool,
    /// How long it takes to be down once it begins to.
    pub reboot_takes: Duration,
}

/// The volumes of a member to make ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareVolumes {
    /// For whom.
    pub member: MemberId,
    /// Under which grant.
    pub epoch: Epoch,
    /// The history of the store that granted it.
    pub history: HistoryId,
    /// Each volume, and who is to own its directory if it is new: the first process that mounts it.
    pub volumes: Vec<(VolumeOrder, VolumeOwner)>,
}

/// Who is to own a new volume's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeOwner {
    /// The process, for error messages.
    pub process: ProcessName,
    /// Its user, by name or number.
    pub user: String,
    /// Its group, by name or number; the user's own if absent.
    pub group: Option<String>,
}

/// A volume that is ready to be mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreparedVolume {
    /// The name that `volumeMounts` refer to.
    pub name: String,
    /// Where its data is, for people.
    pub source: String,
    /// Where its data is.
    pub place: Place,
    /// Whether nobody may write to it.
    pub read_only: bool,
    /// The epoch that its owner record has now, if one lies beside the data.
    pub epoch: Option<Epoch>,
    /// Who owns it, as numbers.
    pub identity: Identity,
    /// What is told of it.
    pub report: VolumeReport,
}

/// A member to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeeperLaunch {
    /// Which start this is.
    pub run: RunId,
    /// What to run.
    pub rendered: RenderedMember,
    /// Its volumes, made ready.
    pub volumes: Vec<PreparedVolume>,
    /// What its `/etc/resolv.conf` says.
    pub dns: DnsSettings,
    /// The lease that it runs on, if it has one: its keeper ends it in time, whoever is still there.
    #[serde(default)]
    pub lease: Option<LeasedRun>,
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
    /// The volumes that its keeper has mounted.
    #[serde(default)]
    pub volumes: Vec<RunVolume>,
}

/// A volume that a keeper has mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunVolume {
    /// What it is.
    pub volume: MountedVolume,
    /// The keeper's descriptor of it.
    pub fd: i32,
    /// Whether other volumes write to the same file system.
    pub shared: bool,
    /// What the kernel must let go of before it is used again.
    pub held: Option<HeldDevice>,
}

/// A device of the kernel that exists as long as a mount does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum HeldDevice {
    /// A loop device that shows an image.
    Loop {
        /// The device, `/dev/loop3`.
        device: String,
        /// The device number of the image's file system.
        on: u64,
        /// The image's inode there.
        inode: u64,
    },
    /// The device of an NFS mount, `0:57`.
    Nfs {
        /// Its numbers, as the kernel lists them.
        device: String,
    },
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

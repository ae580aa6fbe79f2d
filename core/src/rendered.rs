//! A member with every template rendered: what a keeper is told to run. Nothing in it is a choice.
//!
//! [`crate::template::render_member`] makes it from a [`crate::order::MemberOrder`]; the agent adds
//! where each volume's data is and hands it to the keeper. It is also what the keeper keeps, so
//! that it can start a process again while no agent runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{MemberId, ProcessName},
    keeper::BackoffLimits,
    spec::{HttpGetAction, Port, Probe, Sealed},
};

/// A rendered member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenderedMember {
    /// Which member.
    pub member: MemberId,
    /// Its host name, `<set>-<ordinal>`.
    pub hostname: String,
    /// Its DNS name, without a final dot.
    pub fqdn: String,
    /// Its address: written to its `/etc/hosts`; its declared ports must be free there.
    pub address: String,
    /// Its configuration directory, as its processes see it.
    pub config_dir: String,
    /// Copied into the configuration directory first, if set.
    pub config_copy_from: Option<String>,
    /// Run one after another before the processes; the sidecars among them stay up.
    pub init_processes: Vec<RenderedProcess>,
    /// Started in this order, stopped in the reverse one.
    pub processes: Vec<RenderedProcess>,
    /// From the first preStop to KILL, in seconds.
    pub grace_seconds: u32,
    /// How long a start waits after an end.
    #[serde(default)]
    pub backoff: BackoffLimits,
    /// Whether its processes see the host's file systems read-only.
    #[serde(default)]
    pub read_only_root: bool,
    /// The host that it is on.
    #[serde(default)]
    pub host: String,
}

/// A rendered process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenderedProcess {
    /// Its name.
    pub name: ProcessName,
    /// Program (an absolute path) and arguments.
    pub argv: Vec<String>,
    /// Its whole environment; sealed, because values may come from Secrets.
    pub env: BTreeMap<String, Sealed>,
    /// Where it starts.
    pub working_dir: String,
    /// User, by name or number.
    pub user: String,
    /// Group, by name or number; the user's own if absent.
    pub group: Option<String>,
    /// Groups beside the user's own, by name or number.
    #[serde(default)]
    pub supplemental_groups: Vec<String>,
    /// Permission bits that its files do not get.
    #[serde(default = "default_umask")]
    pub umask: u32,
    /// Capabilities that it keeps, without `CAP_`.
    pub capabilities: Vec<String>,
    /// Resource limits by lower-case name.
    pub rlimits: BTreeMap<String, Rlimit>,
    /// What its cgroup is to enforce.
    #[serde(default)]
    pub limits: Limits,
    /// Where its volumes appear.
    pub mounts: Vec<RenderedMount>,
    /// Files to write before each start.
    pub files: Vec<RenderedFile>,
    /// Ports that it declares.
    pub ports: Vec<Port>,
    /// Probes, their texts rendered and their ports resolved to numbers.
    pub startup_probe: Option<Probe>,
    /// See `startup_probe`.
    pub readiness_probe: Option<Probe>,
    /// See `startup_probe`.
    pub liveness_probe: Option<Probe>,
    /// Done beside its start.
    #[serde(default)]
    pub post_start: Option<Hook>,
    /// Done before the stop signal.
    #[serde(default)]
    pub pre_stop: Option<Hook>,
    /// The signal that asks it to stop, such as `SIGTERM`.
    pub kill_signal: String,
    /// The signal that tells it of a changed file.
    #[serde(default = "default_reload_signal")]
    pub reload_signal: String,
    /// Whether it is spared when a grace period is over.
    #[serde(default)]
    pub never_kill: bool,
    /// Whether the host's journal gets its output, too.
    #[serde(default)]
    pub journald: bool,
    /// Of an init process: whether it stays up.
    #[serde(default)]
    pub sidecar: bool,
}

/// What its files do not get where a process says nothing of it.
pub const DEFAULT_UMASK: u32 = 0o022;

fn default_umask() -> u32 {
    DEFAULT_UMASK
}

/// What tells a process of a changed file, if it names no other signal.
pub const DEFAULT_RELOAD_SIGNAL: &str = "SIGHUP";

fn default_reload_signal() -> String {
    DEFAULT_RELOAD_SIGNAL.to_owned()
}

/// A resource limit of setrlimit(2); `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rlimit {
    /// What counts.
    pub soft: Option<u64>,
    /// What the process may raise that to.
    pub hard: Option<u64>,
}

/// What the cgroup of a process is to enforce. What it comes to is in [`crate::keeper::cgroup`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// The most memory, in bytes.
    pub memory: Option<u64>,
    /// Memory that it is promised, in bytes.
    pub memory_request: Option<u64>,
    /// The most time, in thousandths of a CPU.
    pub cpu_milli: Option<u64>,
    /// Time that it is promised, in thousandths of a CPU.
    pub cpu_request_milli: Option<u64>,
    /// The most processes and threads.
    pub pids: Option<u64>,
    /// Its share of busy disks.
    pub io_weight: Option<u32>,
    /// The most that it gets of single disks.
    pub io: Vec<RenderedIoLimit>,
    /// Whether it is started only where all of this is enforced.
    pub require: bool,
}

/// The most that a process gets of one disk, per second.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RenderedIoLimit {
    /// The block device.
    pub device: String,
    /// Bytes read.
    pub read_bps: Option<u64>,
    /// Bytes written.
    pub write_bps: Option<u64>,
    /// Reads.
    pub read_iops: Option<u64>,
    /// Writes.
    pub write_iops: Option<u64>,
}

impl RenderedProcess {
    /// Whether any of its probes listens to what it says itself.
    pub fn notifies(&self) -> bool {
        let probes = [
            &self.startup_probe,
            &self.readiness_probe,
            &self.liveness_probe,
        ];
        let mut given = probes.into_iter().flatten();
        given.any(|probe| probe.notify.is_some())
    }
}

/// What is done beside the start of a process, or before its stop signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Hook {
    /// Program (an absolute path) and arguments, run in the member's namespaces.
    Exec(Vec<String>),
    /// A request, its texts rendered, its port a number and its host given.
    HttpGet(HttpGetAction),
    /// A pause, in seconds.
    Sleep(u32),
}

/// Where a volume appears.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenderedMount {
    /// The name of a claim template, or of an entry of the template's `volumes`.
    pub volume: String,
    /// An absolute path in the member's mount namespace.
    pub mount_path: String,
    /// Whether it is read-only there.
    pub read_only: bool,
    /// The directory of the volume that appears there, relative and plain; `None` for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenderedFile {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// The text; sealed, because it may come from a Secret.
    pub content: Sealed,
    /// Whether it comes from a Secret: then it is kept in memory only.
    #[serde(default)]
    pub secret: bool,
    /// When it is written.
    pub when: crate::spec::FileWhen,
    /// What happens to the process when the text would change.
    pub on_change: crate::spec::OnChange,
}

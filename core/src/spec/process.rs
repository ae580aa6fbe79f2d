//! One process of a member: what to execute, as whom, with which files, ports and limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    lenient,
    probe::{ExecAction, HttpGetAction, Probe},
    resources::{Resources, RlimitValue},
};

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Process {
    /// Its name, unique within the member.
    pub name: String,
    /// The program and its first arguments; required. The program is an absolute path.
    pub command: Vec<String>,
    /// More arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment; `$(VAR)` refers to variables before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// Whole config objects as environment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_from: Vec<EnvFromSource>,
    /// Ports that it listens on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Where it starts; `/` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The user it runs as, by name or number; required, and not root unless the host allows it.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub user: Option<String>,
    /// The group; the user's own when left out.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub group: Option<String>,
    /// Groups beside the ones that its user is in, by name or number.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::list"
    )]
    pub supplemental_groups: Vec<String>,
    /// Permission bits that its files do not get, in octal; `0022` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<String>,
    /// Capabilities that it keeps; none when left out.
    pub capabilities: Capabilities,
    /// Resource limits by name (`nofile`, `memlock`, ...): a number, or `unlimited`, or a pair of
    /// soft and hard limit.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rlimits: BTreeMap<String, RlimitValue>,
    /// What it may use, where the host has cgroup v2.
    pub resources: Resources,
    /// Where its volumes appear.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_mounts: Vec<VolumeMount>,
    /// Files that are written before it starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSource>,
    /// Passed once before readiness and liveness count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_probe: Option<Probe>,
    /// Whether it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// Whether it lives; it is restarted when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// What to do beside its start and before it is stopped.
    pub lifecycle: Lifecycle,
    /// `Always` makes an init process a sidecar: it stays up until the mains are down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// The signal that asks it to stop; `SIGTERM` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_signal: Option<String>,
    /// The signal that tells it of a changed file with `onChange: Signal`; `SIGHUP` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_signal: Option<String>,
    /// Whether it is spared when a grace period is over: what stops waits for its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub never_kill: bool,
    /// Where its output goes beside its log files.
    #[serde(skip_serializing_if = "LogTargets::only_files")]
    pub log: LogTargets,
}

/// Where the output of a process goes beside its log files, which are always written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LogTargets {
    /// The journal of the host.
    pub journald: bool,
}

impl LogTargets {
    /// Whether there is none.
    pub fn only_files(&self) -> bool {
        *self == Self::default()
    }
}

/// When a process is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Whenever it has ended.
    Always,
}

/// One environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value, a template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where its value comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvVarSource>,
}

/// Where the value of a variable comes from; exactly one is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EnvVarSource {
    /// A key of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeySelector>,
    /// A key of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeySelector>,
    /// A fact about the member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldSelector>,
    /// A number of the process's own `resources`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_field_ref: Option<ResourceFieldSelector>,
}

/// A fact about the member, such as `metadata.name`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FieldSelector {
    /// `v1` if given, as Kubernetes prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Which.
    pub field_path: String,
}

/// A number of `resources`, such as `limits.memory`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ResourceFieldSelector {
    /// Which: `limits` or `requests`, `.cpu` or `.memory`.
    pub resource: String,
    /// What one of the answer stands for, a quantity; `1` when left out. Parts count as a whole.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::text"
    )]
    pub divisor: Option<String>,
}

/// A key of a config object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KeySelector {
    /// The object, in the set's namespace.
    pub name: String,
    /// The key in it.
    pub key: String,
    /// Whether the process starts without it.
    pub optional: bool,
}

/// All keys of a config object as environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EnvFromSource {
    /// Put before each key.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// A ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ObjectReference>,
    /// A Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ObjectReference>,
}

/// A config object of the same namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ObjectReference {
    /// Its name.
    pub name: String,
    /// Whether the process starts without it.
    pub optional: bool,
}

/// A port that a process listens on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Port {
    /// Its name, unique within the member; named ports get SRV records.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The number, 1 to 65535.
    pub container_port: u32,
    /// TCP when left out.
    pub protocol: Protocol,
}

/// Transport of a port.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// Capabilities of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Capabilities {
    /// Those that it keeps, such as `NET_BIND_SERVICE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
}

/// Where a volume appears to a process. All processes of a member share one mount namespace, so a
/// path means the same volume in all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VolumeMount {
    /// The name of a claim template, or of an entry of the template's `volumes`.
    pub name: String,
    /// An absolute path.
    pub mount_path: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// The directory of the volume that appears there, relative to the volume's root: all of the
    /// volume when left out. It is made, for the process's user, if it is missing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_path: String,
    /// As `subPath`, a template, with `$(VAR)` of the process's environment in it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub_path_expr: String,
}

/// A file that is written before a process starts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FileSource {
    /// Absolute, or relative to `{{ configDir }}`.
    pub path: String,
    /// Permission bits in octal, such as `0640`; `0644` when left out, `0400` from a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// The text itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// A key of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<KeySelector>,
    /// A key of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<KeySelector>,
    /// Whether the text is a template.
    pub template: bool,
    /// When it is written.
    pub when: FileWhen,
    /// What happens to a process that runs when the text changes. The file is written anew at once.
    pub on_change: OnChange,
}

/// When a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FileWhen {
    /// Before every start.
    #[default]
    Start,
    /// Before the first start of the member only.
    Once,
    /// When it is not there.
    IfMissing,
}

/// What a changed file does to its process, beside being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnChange {
    /// Nothing.
    #[default]
    Ignore,
    /// It gets its reload signal.
    Signal,
    /// It is restarted.
    Restart,
}

/// What is done around a process's life.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lifecycle {
    /// Done beside its start, at least once for each: until it has ended well, the process does not
    /// count as started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_start: Option<LifecycleHandler>,
    /// Done before the stop signal, within the grace period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<LifecycleHandler>,
}

/// What a hook does; exactly one is given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LifecycleHandler {
    /// Runs a program in the member's namespaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,
    /// Sends a request; any answer is a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_get: Option<HttpGetAction>,
    /// Waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sleep: Option<SleepAction>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SleepAction {
    /// How long, in seconds.
    pub seconds: u32,
}

//! The command line: clap types only, no decisions.

use std::path::PathBuf;

use berth_proto::transport::Endpoint;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit;

mod access;
mod admin;
mod debug;
mod dns;
mod exec;
mod local;
mod rollout;
mod snapshot;
mod verbs;
mod waiting;

pub(crate) use access::{
    ConfigCommand, TokenCommand, TokenCreateArgs, UserCommand, UserCreateArgs,
};
pub(crate) use admin::{
    AcceptRestoreArgs, AdminCommand, AuditCommand, AuditListArgs, AuditVerifyArgs, BackupArgs,
    CheckBackupArgs, Since,
};
pub(crate) use debug::{DebugCommand, SimulateArgs};
pub(crate) use dns::{DnsArgs, DnsCommand};
pub(crate) use exec::ExecArgs;
pub(crate) use local::{AgentArgs, LocalArgs, LocalCommand};
pub(crate) use rollout::{
    ChangeArgs, HistoryArgs, RolloutCommand, SetArgs, StatusArgs as RolloutStatusArgs, UndoArgs,
};
pub(crate) use snapshot::{SnapshotCommand, SnapshotCreateArgs, SnapshotRestoreArgs};
pub(crate) use verbs::{
    ConditionArgs, DrainArgs, ForceArgs, HostCommand, LabelArgs, LostHostArgs, MemberCommand,
    MoveArgs, OfflineArgs, RefoundArgs, ReplaceArgs, RestartArgs, SetCommand, VolumeCommand,
    VolumeDeleteArgs, VolumeListArgs,
};
pub(crate) use waiting::{Condition, Limit, WaitArgs, WaitOptions};

/// A StatefulSet for bare hosts: every member of a clustered application gets a fixed place.
#[derive(Debug, Parser)]
#[command(name = "berth", version, after_help = exit::HELP, propagate_version = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where the coordinator listens: unix:/PATH or IP:PORT. It goes before that of the context
    /// [default: unix:/run/berth/coordinator/api.sock].
    #[arg(
        long,
        global = true,
        env = "BERTH_ENDPOINT",
        hide_env_values = true,
        help_heading = "Connection",
        value_name = "ENDPOINT"
    )]
    pub(crate) endpoint: Option<Endpoint>,
    /// Which coordinator, and as whom: the name of a context, or its file [default: the one of `berth
    /// config use`].
    #[arg(
        long,
        global = true,
        env = "BERTH_CONTEXT",
        hide_env_values = true,
        help_heading = "Connection",
        value_name = "CONTEXT"
    )]
    pub(crate) context: Option<String>,
    /// The namespace [default: the context's, or `default`].
    #[arg(
        short,
        long,
        global = true,
        env = "BERTH_NAMESPACE",
        hide_env_values = true,
        help_heading = "Connection",
        value_name = "NAMESPACE"
    )]
    pub(crate) namespace: Option<String>,
}

impl Global {
    /// The namespace, where no context says it.
    pub(crate) fn namespace(&self) -> String {
        let namespace = self.namespace.clone();
        namespace.unwrap_or_else(|| "default".to_owned())
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a coordinator and several hosts on this machine, to try Berth out.
    Dev(DevArgs),
    /// Store what manifests say; members are started, changed and stopped accordingly.
    Apply(ApplyArgs),
    /// Show what `apply` would do, and do nothing.
    ///
    /// What changes of the objects, field by field; the plan that would be executed at once, each
    /// step with why; and, marked as a forecast, what would follow if every start becomes ready and
    /// every stop ends. Ends with exit code 0 if nothing would change, and 2 if something would.
    Plan(PlanArgs),
    /// Show objects, members or hosts.
    Get(GetArgs),
    /// Show all there is to know about one object, member or host.
    Describe(NamedArgs),
    /// Show sets and their members, and why each one waits.
    Status(StatusArgs),
    /// Explain why members wait.
    ///
    /// Without an argument: the rules that `status` names, and what each means. With the name of a
    /// rule: what usually causes it, and what frees it. With the name of a member: why this one waits
    /// now.
    Explain(ExplainArgs),
    /// Wait until a set is as it should be.
    Wait(WaitArgs),
    /// Change the number of members of a set.
    Scale(ScaleArgs),
    /// Delete objects. A set stops in order first; its claims and volumes stay, unless its
    /// persistentVolumeClaimRetentionPolicy says otherwise.
    ///
    /// A deleted claim leaves its volume released, or in the trash if its class says `Delete`;
    /// `berth volume undelete` brings claim and volume back either way. A deleted PersistentVolume
    /// is forgotten, and its data left where it is; one that is bound is refused.
    Delete(DeleteArgs),
    /// Show what a member's process wrote.
    Logs(LogsArgs),
    /// Run a program in a member, as one of its processes would be.
    ///
    /// It has the namespaces, mounts, user, environment and limits of the process. It is killed when
    /// this command ends, however that comes, and when the member stops. The command ends with the
    /// program's exit code, or with 128 and the number of the signal that killed it.
    ///
    /// For example: berth exec -it etcd-0 -- sh
    Exec(ExecArgs),
    /// Show what happened.
    Events(EventsArgs),
    /// Rollouts: how one gets on, the revisions of a set, and the way back.
    #[command(subcommand)]
    Rollout(RolloutCommand),
    /// Machines with an agent.
    #[command(subcommand)]
    Host(HostCommand),
    /// Whole sets.
    #[command(subcommand)]
    Set(SetCommand),
    /// Single members of a set.
    #[command(subcommand)]
    Member(MemberCommand),
    /// Volumes: what holds the data, and what becomes of it.
    #[command(subcommand, visible_aliases = ["volumes", "vol"])]
    Volume(VolumeCommand),
    /// Copies of volumes as they were at one time.
    #[command(subcommand, visible_alias = "snapshots")]
    Snapshot(SnapshotCommand),
    /// Who may join and who may do what, and the coordinator's own store.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Contexts: which coordinators there are, and as whom you work with them.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask the agent of this host, without a coordinator.
    Local(LocalArgs),
    /// What helps to understand Berth itself; no cluster is touched.
    #[command(subcommand)]
    Debug(DebugCommand),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Write the manual pages into a directory: one for each command.
    #[command(hide = true)]
    Man(ManArgs),
    /// Print the version.
    Version,
}

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Columns.
    #[default]
    Table,
    /// More columns.
    Wide,
    /// JSON, stable for scripts.
    Json,
    /// YAML.
    Yaml,
}

/// The choice of a format.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// The choice of all namespaces.
#[derive(Debug, Args)]
pub(crate) struct AllNamespaces {
    /// In every namespace.
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
}

/// Manifests.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// A file, a directory of manifests, or - for standard input. May be given several times.
    #[arg(
        short,
        long = "filename",
        required = true,
        num_args = 1..,
        value_name = "FILE"
    )]
    pub(crate) files: Vec<PathBuf>,
}

/// What `apply` takes from the manifest although something else was said since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Take {
    /// The number of members, although `berth scale` set another one.
    Replicas,
    /// Whether updates are paused, although `berth rollout pause` or `resume` said otherwise.
    Paused,
}

/// `berth dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// How many hosts to pretend.
    #[arg(long, default_value_t = 3, value_name = "N",
        value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) hosts: u8,
    /// Where everything is kept; the same directory brings the same cluster back.
    #[arg(long, default_value = "/var/lib/berth/dev", value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// `berth apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Do it even if it stops, shrinks, replaces or deletes something.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Let the manifest win over a later command.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    pub(crate) take: Vec<Take>,
    #[command(flatten)]
    pub(crate) wait: WaitOptions,
}

/// `berth plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Let the manifest win over a later command.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    pub(crate) take: Vec<Take>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// `berth get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// sts, svc, cm, secret, pool, sc, pv, pvc, vs, member or host; or KIND/NAME.
    pub(crate) kind: String,
    /// Only this one.
    pub(crate) name: Option<String>,
    /// With -o json or yaml: show the values of secrets; else only how long each is.
    #[arg(long)]
    pub(crate) show_secrets: bool,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) all: AllNamespaces,
}

/// One object, member or host.
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// KIND/NAME, or KIND.
    pub(crate) kind: String,
    /// The name, if not given with the kind.
    pub(crate) name: Option<String>,
}

/// `berth status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only this set: sts/NAME, or sts.
    pub(crate) set: Option<String>,
    /// The name, if not given with the kind.
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) all: AllNamespaces,
}

/// `berth explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A rule, such as BackOff, or a member, such as etcd-0.
    #[arg(value_name = "RULE|MEMBER")]
    pub(crate) what: Option<String>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// `berth scale`.
#[derive(Debug, Args)]
pub(crate) struct ScaleArgs {
    /// sts/NAME, or sts.
    pub(crate) set: String,
    /// The name, if not given with the kind.
    pub(crate) name: Option<String>,
    /// The number of members from now on.
    #[arg(long, allow_negative_numbers = true, value_name = "N")]
    pub(crate) replicas: u32,
    /// Do it even if members stop.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) wait: WaitOptions,
}

/// `berth delete`.
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// KIND/NAME, or KIND.
    #[arg(required_unless_present = "files")]
    pub(crate) kind: Option<String>,
    /// The name, if not given with the kind.
    pub(crate) name: Option<String>,
    /// Delete what these manifests name.
    #[arg(
        short,
        long = "filename",
        conflicts_with_all = ["kind", "name"],
        num_args = 1..,
        value_name = "FILE"
    )]
    pub(crate) files: Vec<PathBuf>,
    /// Confirms the deletion of the set or claim with this name. May be given several times.
    #[arg(long, visible_alias = "confirm", value_name = "NAME")]
    pub(crate) yes_i_mean: Vec<String>,
    /// What becomes of the members of a set.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub(crate) cascade: Cascade,
    /// Show what would stop and what would be lost, and do nothing.
    #[arg(long, conflicts_with = "wait")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) wait: WaitOptions,
}

/// What becomes of the members of a set that is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Cascade {
    /// They stop, the highest first.
    #[default]
    Foreground,
    /// They run on as they are; a set of the name that is applied later takes them back.
    Orphan,
}

/// `berth logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
    #[command(flatten)]
    pub(crate) what: WhichLogs,
}

/// Which part of which log.
#[derive(Debug, Args)]
pub(crate) struct WhichLogs {
    /// The process; the first one when left out.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) process: Option<String>,
    /// Go on as it grows.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Of the run before the current one.
    #[arg(long, conflicts_with = "follow")]
    pub(crate) previous: bool,
    /// Only the last N lines.
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<u32>,
}

/// `berth events`.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Only of this one: sts/etcd, member/etcd-0, host/host-1.
    pub(crate) subject: Option<String>,
    /// Go on with each new one.
    #[arg(short, long)]
    pub(crate) watch: bool,
    /// At most the last N.
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
    #[command(flatten)]
    pub(crate) all: AllNamespaces,
}

/// `berth completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

/// `berth man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// A directory that is there.
    pub(crate) dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

//! `berth local`: clap types only.

use berth_proto::transport::Endpoint;
use clap::{Args, Subcommand};

use super::{FormatArgs, WhichLogs};

/// `berth local`.
#[derive(Debug, Args)]
pub(crate) struct LocalArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
    #[command(subcommand)]
    pub(crate) command: LocalCommand,
}

/// Which agent.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    /// Where the agent of this host listens: unix:/PATH.
    #[arg(
        long,
        global = true,
        env = "BERTH_AGENT_SOCKET",
        hide_env_values = true,
        default_value = "unix:/run/berth/agent.sock",
        help_heading = "Connection",
        value_name = "ENDPOINT"
    )]
    pub(crate) socket: Endpoint,
}

/// What to ask the agent.
#[derive(Debug, Subcommand)]
pub(crate) enum LocalCommand {
    /// The members on this host.
    List(FormatArgs),
    /// One member on this host.
    Status(LocalMemberArgs),
    /// What a member's process wrote.
    Logs(LocalLogsArgs),
    /// Stop a member, and keep it stopped on this host until `berth local start`, whatever is ordered
    /// of it, also after a reboot.
    Stop(LocalMemberArgs),
    /// Start a member that `berth local stop` stopped.
    Start(LocalMemberArgs),
    /// Stop a member's processes and start them again.
    Restart(LocalMemberArgs),
    /// Stop all members of this host in order, because it goes down, and wait until they are gone.
    ///
    /// They start again when the host has booted, or with `berth local resume`. It needs no
    /// coordinator. `systemctl stop berth-members` does the same, as does every shutdown of the host.
    Shutdown,
    /// Take a shutdown back: the members start again.
    Resume,
}

/// One member.
#[derive(Debug, Args)]
pub(crate) struct LocalMemberArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
}

/// `berth local logs`.
#[derive(Debug, Args)]
pub(crate) struct LocalLogsArgs {
    /// The member, such as etcd-0.
    pub(crate) member: String,
    #[command(flatten)]
    pub(crate) what: WhichLogs,
}

//! `berth host dns`: clap types only.

use clap::{Args, Subcommand};

use super::AgentArgs;

/// `berth host dns`.
#[derive(Debug, Args)]
pub(crate) struct DnsArgs {
    #[command(flatten)]
    pub(crate) agent: AgentArgs,
    #[command(subcommand)]
    pub(crate) command: DnsCommand,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum DnsCommand {
    /// Have systemd-resolved ask the agent for the zone, and for nothing else.
    Enable,
    /// Undo it.
    Disable,
    /// Show whether it is so.
    Status,
}

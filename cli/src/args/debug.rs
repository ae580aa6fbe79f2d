//! `berth debug`: what helps to understand Berth itself. Nothing of it touches a cluster.

use std::path::PathBuf;

use berth_core::sim::script::COMMANDS;
use clap::{Args, Subcommand};

/// `berth debug`.
#[derive(Debug, Subcommand)]
pub(crate) enum DebugCommand {
    /// Play a history in a simulated cluster, and print what came of it.
    ///
    /// The planner, the checker, the ledgers and the members of the simulated cluster are those of this
    /// release; hosts, network, disks and time are not real. After every event the promises are checked;
    /// one that is broken is told, and the command ends with 1. The same script or seed gives the same
    /// history every time. No coordinator is asked, and nothing is changed.
    ///
    /// For example: berth debug simulate --seed 7
    Simulate(SimulateArgs),
}

/// `berth debug simulate`.
#[derive(Debug, Args)]
#[command(after_help = format!("Commands of a script, one a line; # begins a comment:\n{COMMANDS}"))]
pub(crate) struct SimulateArgs {
    /// The script.
    #[arg(required_unless_present = "seed", value_name = "SCRIPT")]
    pub(crate) script: Option<PathBuf>,
    /// Play the random hour of this seed instead, as the tests do.
    #[arg(long, conflicts_with = "script", value_name = "N")]
    pub(crate) seed: Option<u64>,
}

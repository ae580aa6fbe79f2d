//! `berth`: the operator's command. Parses, runs, and turns the outcome into an exit code.

mod args;
mod client;
mod commands;
mod error;
mod exit;
mod output;
mod refusal;
mod sources;
mod target;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{args::Cli, exit::Exit};

fn main() -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => run(cli),
        Err(error) => return output::usage(&error).into(),
    };
    match outcome {
        Ok(()) => Exit::Success.into(),
        Err(error) => output::failure(&error).into(),
    }
}

fn run(cli: Cli) -> Result<(), error::CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(error::CliError::Runtime)?;
    let outcome = runtime.block_on(commands::run(cli));
    // A thread that still waits for an answer from the terminal must not hold the exit back.
    runtime.shutdown_background();
    outcome
}

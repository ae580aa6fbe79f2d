//! `berth`: the operator's command. Parses, runs, and turns the outcome into an exit code.

mod args;
mod client;
mod commands;
mod contexts;
mod error;
mod exit;
mod output;
mod refusal;
mod sources;
mod target;
mod terminal;
mod watch;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::{Cli, Command},
    exit::Exit,
};

fn main() -> ExitCode {
    let outcome = match Cli::try_parse() {
        Ok(cli) => {
            // Its codes say whether anything would change; whatever stands against that is one.
            let plans = matches!(cli.command, Command::Plan(_));
            run(cli).map_err(|error| (error, plans))
        }
        Err(error) => return output::usage(&error).into(),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err((error, true)) => {
            output::failure(&error);
            Exit::Failure.into()
        }
        Err((error, false)) => output::failure(&error).into(),
    }
}

fn run(cli: Cli) -> Result<Exit, error::CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(error::CliError::Runtime)?;
    let outcome = runtime.block_on(commands::run(cli));
    // A thread that still waits for an answer from the terminal must not hold the exit back.
    runtime.shutdown_background();
    outcome
}

//! `berth debug simulate`: a written or a random history of a simulated cluster.

use std::{fs, path::Path};

use berth_core::sim::{
    Violation, random,
    script::{self, ScriptError},
};

use crate::{
    args::{DebugCommand, SimulateArgs},
    error::CliError,
    output,
};

/// Plays it.
pub(crate) fn run(command: &DebugCommand) -> Result<(), CliError> {
    let DebugCommand::Simulate(SimulateArgs { script, seed }) = command;
    match (script, seed) {
        (Some(path), _) => written(path),
        (None, seed) => seeded(seed.unwrap_or_default()),
    }
}

fn written(path: &Path) -> Result<(), CliError> {
    let text = fs::read_to_string(path).map_err(|source| CliError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    })?;
    match script::play(&text) {
        Ok(transcript) => output::data(&transcript),
        Err(ScriptError::Violation(violation)) => Err(broken(&violation)),
        Err(error @ ScriptError::Line { .. }) => Err(CliError::Usage {
            message: format!("{}: {error}", path.display()),
            hint: "correct the line".to_owned(),
        }),
    }
}

fn seeded(seed: u64) -> Result<(), CliError> {
    match random::hour(seed) {
        Ok(outcome) => {
            let mut text = outcome.log.join("\n");
            text.push('\n');
            output::data(&text)
        }
        Err(violation) => Err(broken(&violation)),
    }
}

fn broken(violation: &Violation) -> CliError {
    CliError::Failed {
        message: violation.to_string(),
        source: None,
        hint: "this is a bug of Berth: report it with the script or the seed".to_owned(),
    }
}

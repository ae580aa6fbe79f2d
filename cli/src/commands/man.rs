//! `berth man`: the manual pages that a package holds.

use clap::CommandFactory as _;

use crate::{
    args::{Cli, ManArgs},
    error::CliError,
};

/// Writes a page for each command.
pub(crate) fn run(args: &ManArgs) -> Result<(), CliError> {
    let written = clap_mangen::generate_to(Cli::command(), &args.dir);
    written.map_err(|source| CliError::File {
        doing: "write manual pages to",
        path: args.dir.clone(),
        source,
    })
}

//! `berth version`.

use crate::{error::CliError, output};

/// Prints the version.
pub(crate) fn run() -> Result<(), CliError> {
    output::data(&format!("berth {}", env!("CARGO_PKG_VERSION")))
}

//! `berth admin audit`: whether the coordinator's audit log is what was written.

use std::{fs, io, path::Path};

use berth_core::audit::{self, file_names};
use serde::Serialize;

use crate::{
    args::AuditVerifyArgs,
    error::CliError,
    output::{self, format},
};

/// What a log comes to.
#[derive(Serialize)]
struct Verified {
    lines: usize,
    last: u64,
    hash: String,
}

/// Follows the chain through all files of a directory.
///
/// # Errors
/// If a file cannot be read, or the first line that is not what was written.
pub(crate) fn verify(args: &AuditVerifyArgs) -> Result<(), CliError> {
    let directory = &args.directory;
    let texts = read(directory)?;
    let lines = || texts.iter().flat_map(|text| text.lines());
    let chain = audit::verify(lines()).map_err(|source| CliError::Audit {
        path: directory.clone(),
        source,
    })?;
    let verified = Verified {
        lines: lines().count(),
        last: chain.seq,
        hash: chain.hash,
    };
    match format::structured(args.format.output, &verified)? {
        Some(text) => output::data(&text),
        None => {
            let Verified { lines, last, hash } = verified;
            output::data(&format!(
                "{lines} lines are as they were written; the last is {last}, {hash}"
            ))
        }
    }
}

/// The files that there are, the oldest first. What follows the last end of a line is being written.
fn read(directory: &Path) -> Result<Vec<String>, CliError> {
    let mut texts = Vec::new();
    for name in file_names() {
        let path = directory.join(&name);
        match fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let whole = text.rfind('\n').and_then(|end| text.get(..=end));
                texts.push(whole.unwrap_or_default().to_owned());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && name != audit::FILE => {}
            Err(source) => {
                let doing = "read";
                return Err(CliError::File {
                    doing,
                    path,
                    source,
                });
            }
        }
    }
    Ok(texts)
}

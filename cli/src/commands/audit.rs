//! `berth admin audit`: what the coordinator was asked, and whether its audit log is what was written.

use std::{fs, io, path::Path};

use berth_core::{
    audit::{self, file_names},
    time::Timestamp,
};
use berth_proto::v1;
use serde::Serialize;

use super::Context;
use crate::{
    args::{AuditListArgs, AuditVerifyArgs, Format, Since},
    error::CliError,
    output::{self, age, audit::CallView, format},
    refusal,
};

/// Shows what was asked of the coordinator.
pub(crate) async fn list(context: &Context, args: AuditListArgs) -> Result<(), CliError> {
    let since = args.since.map_or(Timestamp(0), |since| match since {
        Since::Ago(ago) => Timestamp(0).plus(age::now().since(Timestamp(0).plus(ago))),
        Since::At(time) => time,
    });
    let request = v1::ListAuditRequest {
        since_ms: since.0.try_into().unwrap_or(i64::MAX),
        who: args.user,
        method: args.method,
        limit: args.limit,
    };
    let answer = context.coordinator.admin().list_audit(request).await;
    let answer = answer.map_err(|status| refusal::from_status("list the audit log", &status))?;
    let calls = answer.into_inner().calls.into_iter();
    let views: Vec<CallView> = calls.map(CallView::from).collect();
    let output = args.format.output;
    match format::structured(output, &views)? {
        // What is shown as it is in JSON may do something to a terminal.
        Some(text) if output == Format::Json => output::data(&audit::escaped(&text)),
        Some(text) => output::data(&text),
        None if views.is_empty() => {
            output::note("no such calls");
            Ok(())
        }
        None => output::data(&CallView::table(&views)),
    }
}

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

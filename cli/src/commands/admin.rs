//! `berth admin`: backups of the coordinator's store, and which history of it goes on.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use berth_core::store::backup::{self, Backup};
use berth_proto::v1;

use super::{Context, audit, confirm};
use crate::{
    args::{AcceptRestoreArgs, AdminCommand, AuditCommand, BackupArgs, CheckBackupArgs, Format},
    error::CliError,
    output::{self, admin, format},
    refusal,
};

/// Does something with the coordinator's store.
pub(crate) async fn run(context: &Context, command: AdminCommand) -> Result<(), CliError> {
    match command {
        AdminCommand::Backup(args) => backup(context, &args).await,
        AdminCommand::CheckBackup(args) => check(&args),
        AdminCommand::History(args) => history(context, args.output).await,
        AdminCommand::AcceptRestore(args) => accept(context, args).await,
        // They have homes of their own.
        AdminCommand::Audit(AuditCommand::List(args)) => audit::list(context, args).await,
        AdminCommand::Audit(AuditCommand::Verify(args)) => audit::verify(&args),
        AdminCommand::Token(_) | AdminCommand::User(_) => Ok(()),
    }
}

async fn history(context: &Context, output: Format) -> Result<(), CliError> {
    let request = v1::StoreHistoryRequest {};
    let answer = context.coordinator.admin().history(request).await;
    let answer = answer.map_err(|status| refusal::from_status("read the history", &status))?;
    let view = admin::HistoryView::from(answer.into_inner());
    match format::structured(output, &view)? {
        Some(text) => output::data(&text),
        None => output::data(&view.text()),
    }
}

async fn accept(context: &Context, args: AcceptRestoreArgs) -> Result<(), CliError> {
    let send = async |confirmed| {
        let request = v1::AcceptRestoreRequest { confirmed };
        context.coordinator.admin().accept_restore(request).await
    };
    let message = "this gives up what was decided elsewhere";
    let answer = confirm::or_ask(context, "accept the restore", message, args.yes, send).await?;
    let (history, term) = (&answer.history, answer.term);
    output::data(&format!("history {history} goes on in term {term}"))?;
    if !answer.awaited.is_empty() {
        let hosts = answer.awaited.join(", ");
        output::note(&format!(
            "nothing is started before these were heard of: {hosts}; `berth admin history` shows \
             who is left"
        ));
    }
    Ok(())
}

/// Writes a backup under another name first, so that the name stands for a whole one only.
async fn backup(context: &Context, args: &BackupArgs) -> Result<(), CliError> {
    let file = &args.file;
    let there = file.try_exists().map_err(|e| failed("look for", file, e))?;
    if there {
        return Err(CliError::Usage {
            message: format!("{} is there already", file.display()),
            hint: "give another name".to_owned(),
        });
    }
    let part = file.with_added_extension("part");
    let written = download(context, &part).await;
    let written = written.and_then(|()| read(&part)).and_then(|backup| {
        fs::rename(&part, file).map_err(|e| failed("name", file, e))?;
        sync_directory(file).map_err(|e| failed("sync the directory of", file, e))?;
        Ok(backup)
    });
    let backup = match written {
        Ok(backup) => backup,
        Err(error) => {
            // A part of a backup is of no use to anyone.
            fs::remove_file(&part).ok();
            return Err(error);
        }
    };
    let (records, revision) = (backup.header.records, backup.header.revision);
    output::data(&format!(
        "{}: {records} records as of revision {revision}",
        file.display()
    ))
}

async fn download(context: &Context, part: &Path) -> Result<(), CliError> {
    let doing = "take a backup";
    let refused = |status| refusal::from_status(doing, &status);
    let mut open = OpenOptions::new();
    let open = open.write(true).create(true).truncate(true).mode(0o600);
    let mut out = open.open(part).map_err(|e| failed("make", part, e))?;
    let mut admin = context.coordinator.admin();
    let answer = admin.backup(v1::BackupRequest {}).await;
    let mut chunks = answer.map_err(refused)?.into_inner();
    while let Some(chunk) = chunks.message().await.map_err(refused)? {
        let written = out.write_all(&chunk.data);
        written.map_err(|e| failed("write", part, e))?;
    }
    out.sync_all().map_err(|e| failed("sync", part, e))
}

fn sync_directory(file: &Path) -> io::Result<()> {
    let directory = file.parent().filter(|path| *path != Path::new(""));
    File::open(directory.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Shows of what a backup is.
///
/// # Errors
/// If it is not whole.
pub(crate) fn check(args: &CheckBackupArgs) -> Result<(), CliError> {
    let backup = read(&args.file)?;
    match format::structured(args.format.output, &backup.header)? {
        Some(text) => output::data(&text),
        None => output::data(&admin::header(&backup.header)),
    }
}

fn read(file: &Path) -> Result<Backup, CliError> {
    let bytes = fs::read(file).map_err(|e| failed("read", file, e))?;
    backup::read(&bytes).map_err(|source| CliError::Backup {
        path: file.to_owned(),
        source,
    })
}

fn failed(doing: &'static str, file: &Path, source: io::Error) -> CliError {
    CliError::File {
        doing,
        path: PathBuf::from(file),
        source,
    }
}

//! `berth admin`: who may join and do what, and the coordinator's own store.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{FormatArgs, TokenCommand, UserCommand};

/// `berth admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Tokens that hosts join with.
    #[command(subcommand, visible_alias = "tokens")]
    Token(TokenCommand),
    /// Operators: who may do what, from afar.
    #[command(subcommand, visible_alias = "users")]
    User(UserCommand),
    /// Write a backup of all that the coordinator decided and was told, while it runs.
    ///
    /// The file has every object and every decision as of one moment, secrets too: it is for its
    /// owner only. It is checked before it counts as written. Events are not in it. Restore it with
    /// `berth-coordinator restore FILE`, on the coordinator's machine while no coordinator runs.
    Backup(BackupArgs),
    /// Check that a backup is whole, and show of what it is.
    CheckBackup(CheckBackupArgs),
    /// What was asked of the coordinator, by whom.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show which history of the store is in force, and what stands against it.
    History(FormatArgs),
    /// Go on with this store although it was restored, or agents have what it never sent.
    ///
    /// Run it only if no other coordinator runs on a newer store: what was decided since the backup
    /// is given up. It proves nothing. The store gets a new history, in a term above all that were
    /// seen, so that agents obey no other. Each host then says what it has: members that moved
    /// meanwhile are left where they run and placed anew as the budget allows, those that the store
    /// does not know are stopped, their data stays. Nothing is started until every host was heard
    /// of, or was confirmed dead. Risks: a host that joined after the backup and is not in contact
    /// now may run a member that is started elsewhere; have all agents connected first.
    AcceptRestore(AcceptRestoreArgs),
}

/// `berth admin audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no line of an audit log was changed, added or taken away.
    ///
    /// It reads files, on the coordinator's machine or a copy of them: each line has the hash of the line
    /// before. It shows the number and the hash of the last line; keep them elsewhere, and a log that was
    /// cut off at its end, or written anew as a whole, is told from the one that you checked.
    Verify(AuditVerifyArgs),
}

/// `berth admin audit verify`.
#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArgs {
    /// The directory with audit.log and the older files.
    #[arg(default_value = "/var/lib/berth/coordinator/audit")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// `berth admin backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The file to write; it must not be there yet.
    pub(crate) file: PathBuf,
}

/// `berth admin check-backup`.
#[derive(Debug, Args)]
pub(crate) struct CheckBackupArgs {
    /// What `berth admin backup` wrote.
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// `berth admin accept-restore`.
#[derive(Debug, Args)]
pub(crate) struct AcceptRestoreArgs {
    /// Do it, although members may stop.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

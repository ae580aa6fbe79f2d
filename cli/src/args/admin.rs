//! `berth admin`: who may join and do what, and the coordinator's own store.

use std::{path::PathBuf, time::Duration};

use berth_core::{spec::period::parse_period, time::Timestamp};
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
    /// Show what was asked of the coordinator, by whom, and what came of it.
    ///
    /// Calls that only look are not in it. `GONE` is the result of those whose caller went away before the
    /// answer: they may be done all the same. Those without a result are under way, or the coordinator
    /// ended before it was known.
    List(AuditListArgs),
}

/// `berth admin audit list`.
#[derive(Debug, Args)]
pub(crate) struct AuditListArgs {
    /// Only what was asked since then: 10m, 24h, or 2026-11-21T22:24:54Z.
    #[arg(long, value_parser = ago)]
    pub(crate) since: Option<Since>,
    /// Only calls of this caller: ann, host-1, root.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) user: String,
    /// Only calls of methods with this in their name: Scale, MemberService.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) method: String,
    /// At most the last N, and never more than 1000.
    #[arg(long, default_value_t = 200, value_name = "N")]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// Since when.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Since {
    /// For so long.
    Ago(Duration),
    /// An instant.
    At(Timestamp),
}

fn ago(text: &str) -> Result<Since, String> {
    if let Ok(period) = parse_period(text) {
        return Ok(Since::Ago(period));
    }
    text.parse().map(Since::At).map_err(|_| {
        "give how long ago, such as 10m or 24h, or a time such as 2026-11-21T22:24:54Z".to_owned()
    })
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

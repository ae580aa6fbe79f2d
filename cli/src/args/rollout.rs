//! `berth rollout`: kubectl's words. The help of each says what it proves and what it risks.

use clap::{ArgAction, Args, Subcommand};

use super::{FormatArgs, Limit};

/// `berth rollout`.
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Wait until a rollout is over, and say what it waits for.
    ///
    /// It is over when every member that the update strategy updates has the newest revision, all
    /// are available, and no member is left that is not wanted any more.
    Status(StatusArgs),
    /// Show the revisions of a set, or one of them with its template.
    History(HistoryArgs),
    /// Go back to an older revision: to its template, and to its ConfigMaps and Secrets as they
    /// were.
    ///
    /// Only the keys that the template uses are written back. Members are replaced as after any
    /// other change. Risks: other sets that use the same objects get the older values too; the plan
    /// names them. It brings back no data, and not the number of members.
    Undo(UndoArgs),
    /// Replace every member by one like it, in the order of an update.
    ///
    /// It stamps the template with the time, so it is a revision like others. For a single member
    /// there is `berth member restart`.
    Restart(ChangeArgs),
    /// Hold updates back: members stay as they are, and the template may be changed meanwhile.
    ///
    /// Starts, scaling and restarts that an operator asks for go on. A member that is lost comes
    /// back with the revision that the set came from.
    /// A manifest that is applied later and says nothing of `paused` leaves it so.
    Pause(ChangeArgs),
    /// Let updates go on that were held back; also of a rollout that is stalled.
    ///
    /// Shows which members are restarted by that, and asks.
    Resume(ChangeArgs),
}

/// A set.
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// sts/NAME, or sts.
    pub(crate) set: String,
    /// The name, if not given with the kind.
    pub(crate) name: Option<String>,
}

/// `berth rollout status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) set: SetArgs,
    /// Wait until it is over; with `--watch=false` say only how it stands.
    #[arg(
        short,
        long,
        action = ArgAction::Set,
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        value_name = "BOOL"
    )]
    pub(crate) watch: bool,
    /// How long to wait at most, such as 90s or 5m; without a limit when left out.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Limit>,
}

/// `berth rollout history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) set: SetArgs,
    /// Only this one, with its template and the config that it uses. Of secrets only the sizes.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) revision: Option<u64>,
    #[command(flatten)]
    pub(crate) format: FormatArgs,
}

/// `berth rollout undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// The revision to go back to; 0 is the one before the newest.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) to_revision: u64,
}

/// What changes a rollout.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) set: SetArgs,
    /// Do it even if it stops or restarts something.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Show the plan, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

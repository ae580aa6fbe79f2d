//! What a command can fail with: one sentence, the chain of causes, lines to act on, and a hint.

use std::{error::Error as StdError, io, path::PathBuf};

use berth_core::{audit::ChainError, store::backup::BackupError};
use thiserror::Error;

use crate::exit::Exit;

/// What the gRPC library says before every cause that it has.
const EMPTY_WORDS: &str = "transport error";

/// A cause of any kind.
pub(crate) type Cause = Box<dyn StdError + Send + Sync>;

/// Why a command failed.
#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// The runtime could not be made.
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    /// The command line is wrong in a way that its parser cannot see.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What would be right.
        hint: String,
    },
    /// Something that the command needs is missing on this machine.
    #[error("{message}")]
    Missing {
        /// What is missing.
        message: String,
        /// How to provide it.
        hint: String,
    },
    /// A file could not be read or written.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// `read`, `write`, ...
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is no backup that can be used.
    #[error("{} is of no use", path.display())]
    Backup {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: BackupError,
    },
    /// An audit log is not what was written.
    #[error("the audit log in {} is broken", path.display())]
    Audit {
        /// The directory.
        path: PathBuf,
        /// Where.
        #[source]
        source: ChainError,
    },
    /// Standard output or the terminal failed.
    #[error("cannot {doing}")]
    Terminal {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nobody answers at an endpoint.
    #[error("cannot reach {peer}")]
    Unreachable {
        /// `the coordinator`, `the agent`, with the endpoint where it is known.
        peer: String,
        /// Why.
        #[source]
        source: Cause,
        /// What to try.
        hint: String,
    },
    /// The other end refused what was asked.
    #[error("cannot {doing}: {message}")]
    Answer {
        /// What was tried.
        doing: String,
        /// What the other end said.
        message: String,
        /// One line per mistake, as given.
        lines: Vec<String>,
        /// The class of the refusal.
        exit: Exit,
        /// What to try.
        hint: String,
    },
    /// It would disrupt something and nobody confirmed it. What it would do was shown.
    #[error("{message}; nothing was done")]
    NeedsConfirmation {
        /// What is not confirmed.
        message: String,
        /// How to confirm.
        hint: String,
    },
    /// What was asked for does not exist.
    #[error("{what} does not exist")]
    NotFound {
        /// What was asked for.
        what: String,
        /// Where to look.
        hint: String,
    },
    /// What was waited for did not happen in time.
    #[error("{what} did not happen within {limit}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// The time given.
        limit: String,
        /// Where to look.
        hint: String,
    },
    /// Ctrl-C while waiting.
    #[error("interrupted; {stays}")]
    Interrupted {
        /// What stays as it is.
        stays: String,
        /// How to go on.
        hint: String,
    },
    /// Something else.
    #[error("{message}")]
    Failed {
        /// What.
        message: String,
        /// Why, where there is more to say.
        #[source]
        source: Option<Cause>,
        /// What to try.
        hint: String,
    },
}

impl CliError {
    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Runtime(_) | Self::Terminal { .. } | Self::Audit { .. } | Self::Failed { .. } => {
                Exit::Failure
            }
            Self::Usage { .. } | Self::Missing { .. } | Self::File { .. } | Self::Backup { .. } => {
                Exit::Usage
            }
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Answer { exit, .. } => *exit,
            Self::NeedsConfirmation { .. } => Exit::NeedsConfirmation,
            Self::NotFound { .. } => Exit::NotFound,
            Self::Timeout { .. } => Exit::Timeout,
            Self::Interrupted { .. } => Exit::Interrupted,
        }
    }

    /// The same refusal, with a hint that fits the command better.
    pub(crate) fn hinting(mut self, better: &str) -> Self {
        if let Self::Answer { hint, .. } = &mut self {
            better.clone_into(hint);
        }
        self
    }

    /// The same refusal of something that only looks: there is no input to correct.
    pub(crate) fn of_a_look(mut self, better: &str) -> Self {
        if let Self::Answer { hint, exit, .. } = &mut self
            && *exit == Exit::Refused
        {
            better.clone_into(hint);
            *exit = Exit::Failure;
        }
        self
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> &str {
        match self {
            Self::Runtime(_) => "raise the limits on open files and processes",
            Self::File { .. } => "check the path and who may use it",
            Self::Backup { .. } => "take another one with `berth admin backup FILE`",
            Self::Audit { .. } => "compare it with a copy from elsewhere",
            Self::Terminal { .. } => "check where the output goes",
            Self::Usage { hint, .. }
            | Self::Missing { hint, .. }
            | Self::Unreachable { hint, .. }
            | Self::Answer { hint, .. }
            | Self::NeedsConfirmation { hint, .. }
            | Self::NotFound { hint, .. }
            | Self::Timeout { hint, .. }
            | Self::Interrupted { hint, .. }
            | Self::Failed { hint, .. } => hint,
        }
    }

    /// Lines that say what exactly is wrong, ready for an editor to jump to.
    pub(crate) fn lines(&self) -> &[String] {
        if let Self::Answer { lines, .. } = self {
            lines
        } else {
            &[]
        }
    }

    /// The causes, outermost first, without those that say nothing.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if causes.last() != Some(&text) && text != EMPTY_WORDS {
                causes.push(text);
            }
            next = cause.source();
        }
        causes
    }
}

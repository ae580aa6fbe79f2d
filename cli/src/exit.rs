//! The exit codes of `berth`, in the one place that scripts and people may rely on.

use std::process::ExitCode;

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Success,
    /// It failed for a reason that has no code of its own.
    Failure,
    /// Of `berth plan` only: something would change.
    Changes,
    /// The command line is wrong, or something that the command needs is missing on this machine.
    Usage,
    /// It would stop, shrink, replace or delete something and nobody said yes. Nothing was done.
    NeedsConfirmation,
    /// What was asked for does not exist.
    NotFound,
    /// What was waited for did not happen in the time given.
    Timeout,
    /// The input is invalid, or the change is forbidden. Nothing was stored.
    Refused,
    /// The coordinator (or, for `berth local`, the agent) does not answer.
    Unreachable,
    /// Interrupted by Ctrl-C while it waited.
    Interrupted,
    /// Of `berth exec` only: how the program ended.
    Remote(u8),
}

/// The codes, for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done
  1    failed
  2    wrong usage, or something that the command needs is missing; of `berth plan` that
       something would change (0: nothing would; 1: it could not be planned)
  3    needs a confirmation: the plan was shown and nothing was done
  4    not found
  5    what was waited for did not happen in time
  6    refused: the input is invalid or the change is forbidden; nothing was stored
  7    the coordinator (or the agent, for `berth local`) does not answer
  130  interrupted while waiting
`berth exec` ends with the code of the program, once that runs.";

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Changes | Self::Usage => 2,
            Self::NeedsConfirmation => 3,
            Self::NotFound => 4,
            Self::Timeout => 5,
            Self::Refused => 6,
            Self::Unreachable => 7,
            Self::Interrupted => 130,
            Self::Remote(code) => code,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented_once() {
        let all = [
            Exit::Success,
            Exit::Failure,
            Exit::Usage,
            Exit::NeedsConfirmation,
            Exit::NotFound,
            Exit::Timeout,
            Exit::Refused,
            Exit::Unreachable,
            Exit::Interrupted,
        ];
        let documented: Vec<u8> = HELP
            .lines()
            .skip(1)
            .filter_map(|line| line.split_whitespace().next()?.parse().ok())
            .collect();
        assert_eq!(documented, all.map(Exit::code));
    }
}

//! What can be waited for, and for how long: clap types and their parsers only.

use std::{fmt, str::FromStr, time::Duration};

use clap::Args;

/// `--wait` and `--timeout` of commands that change something.
#[derive(Debug, Default, Args)]
pub(crate) struct WaitOptions {
    /// Wait until it is done, and show the progress of each member. Ctrl-C ends the waiting only.
    #[arg(long)]
    pub(crate) wait: bool,
    /// How long to wait at most, such as 90s or 5m; without a limit when left out.
    #[arg(long, requires = "wait", value_name = "TIME")]
    pub(crate) timeout: Option<Limit>,
}

/// `berth wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArgs {
    /// sts/NAME, or sts.
    pub(crate) set: String,
    /// The name, if not given with the kind.
    pub(crate) name: Option<String>,
    /// Available (all members are available), Ready (all members are ready), Progressing (no rollout
    /// is halted), Deleted, or replicas=N (exactly N members exist, all ready).
    #[arg(long = "for", value_name = "CONDITION")]
    pub(crate) condition: Condition,
    /// How long to wait at most, such as 90s or 5m; without a limit when left out.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Limit>,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// All members exist and are available.
    Available,
    /// All members exist and are ready.
    Ready,
    /// No rollout is halted.
    Progressing,
    /// As `Available`, and all members that an update concerns run the newest template.
    RolledOut,
    /// The set and its members are gone.
    Deleted,
    /// Exactly so many members exist, and all are ready.
    Replicas(u32),
}

impl FromStr for Condition {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let lower = lower.strip_prefix("condition=").unwrap_or(&lower);
        match lower {
            "available" => Ok(Self::Available),
            "ready" => Ok(Self::Ready),
            "progressing" => Ok(Self::Progressing),
            "deleted" | "delete" => Ok(Self::Deleted),
            _ => lower
                .strip_prefix("replicas=")
                .and_then(|n| n.parse().ok())
                .map(Self::Replicas)
                .ok_or_else(|| {
                    "use Available, Ready, Progressing, Deleted or replicas=N".to_owned()
                }),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Available => f.write_str("Available"),
            Self::Ready => f.write_str("Ready"),
            Self::Progressing => f.write_str("Progressing"),
            Self::RolledOut => f.write_str("Available with the newest template"),
            Self::Deleted => f.write_str("Deleted"),
            Self::Replicas(n) => write!(f, "replicas={n}"),
        }
    }
}

/// A time limit that prints as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// How long.
    pub(crate) duration: Duration,
    text: String,
}

impl FromStr for Limit {
    type Err = String;
    /// Takes `90` (seconds), `90s`, `5m`, `1h30m`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || "give a time such as 90s, 5m or 1h30m".to_owned();
        let duration = if let Ok(seconds) = text.parse::<u64>() {
            Duration::from_secs(seconds)
        } else {
            let signed: jiff::SignedDuration = text.parse().map_err(|_| refusal())?;
            Duration::try_from(signed).map_err(|_| refusal())?
        };
        let text = if text.bytes().all(|b| b.is_ascii_digit()) {
            format!("{text}s")
        } else {
            text.to_owned()
        };
        Ok(Self { duration, text })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_people_write_them() {
        for (text, seconds, shown) in [
            ("90", 90, "90s"),
            ("90s", 90, "90s"),
            ("5m", 300, "5m"),
            ("1h30m", 5400, "1h30m"),
        ] {
            let limit: Limit = text.parse().unwrap();
            assert_eq!(limit.duration, Duration::from_secs(seconds), "{text}");
            assert_eq!(limit.to_string(), shown);
        }
        for text in ["", "soon", "-5s"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
    }

    #[test]
    fn conditions_are_read_in_any_case() {
        assert_eq!("available".parse(), Ok(Condition::Available));
        assert_eq!("condition=Ready".parse(), Ok(Condition::Ready));
        assert_eq!("replicas=0".parse(), Ok(Condition::Replicas(0)));
        for text in ["", "replicas", "replicas=-1", "RolledOut"] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }
}

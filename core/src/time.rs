//! Time as a value. `core` never reads a clock; whoever calls it says what time it is.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Milliseconds since the Unix epoch on the coordinator's wall clock, or, inside an agent's state
/// machines, milliseconds of the agent's own monotonic clock. The two are never mixed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The instant that lies `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// How long ago `earlier` was; zero if it lies ahead (a clock that was set back).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        {
            Some(time) => time.fmt(f),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// Why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{text}' is not a time since 1970; write one such as 2026-11-21T22:24:54Z")]
pub struct TimeError {
    /// The text.
    pub text: String,
}

impl FromStr for Timestamp {
    type Err = TimeError;
    /// Takes RFC 3339.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let time = text.parse().ok().map(jiff::Timestamp::as_millisecond);
        let since = time.and_then(|ms| u64::try_from(ms).ok());
        since.map(Self).ok_or_else(|| TimeError {
            text: text.to_owned(),
        })
    }
}

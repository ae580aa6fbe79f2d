//! The agent's clock: milliseconds since it was started. Only differences mean anything, and it
//! never goes back.

use std::time::Duration;

use berth_core::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Milliseconds since the boot, on the clock that counts through suspends: that of leases. Keepers
/// and agents of one boot agree on it.
pub(crate) fn boottime() -> Timestamp {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let millis = u64::try_from(now.tv_nsec / 1_000_000).unwrap_or(0);
    Timestamp(seconds.saturating_mul(1000).saturating_add(millis))
}

/// A clock that began when it was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(0).plus(self.origin.elapsed())
    }

    /// When a time has surely come.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.origin + Duration::from_millis(at.0)
    }
}

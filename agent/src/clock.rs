//! The agent's clock: milliseconds since it was started. Only differences mean anything, and it
//! never goes back.

use std::time::Duration;

use berth_core::time::Timestamp;
use tokio::time::Instant;

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

//! The coordinator's clock: the wall clock of its start, carried on by the monotonic clock, so that
//! a step of the wall clock neither lengthens nor shortens any wait.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use berth_core::time::Timestamp;

/// Tells the time; cheap to copy, all copies agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Timestamp,
    began: Instant,
}

impl Clock {
    /// Takes the wall clock's word once.
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            wall: Timestamp(0).plus(wall.unwrap_or_default()),
            began: Instant::now(),
        }
    }

    /// Now.
    pub fn now(self) -> Timestamp {
        self.wall.plus(self.began.elapsed())
    }
}

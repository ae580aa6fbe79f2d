//! The coordinator's clock: the wall clock of its start, carried on by the monotonic clock, so that
//! a step of the wall clock neither lengthens nor shortens any wait.
//!
//! Only one thing cannot be mended once such a wait was too short: the trash. So it is emptied only by a
//! clock that has run for a while and that the wall clock still agrees with: a machine may boot with a wrong
//! one, and be set right minutes later.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use berth_core::{state::State, time::Timestamp};

/// By how much the wall clock may have been set since the start, for the clock to be believed.
const SET: Duration = Duration::from_secs(60);
/// How long the clock must have run, and agreed, for the trash to be emptied by it.
const PROBATION: Duration = Duration::from_secs(3600);

/// Tells the time; cheap to copy, all copies agree.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    wall: Timestamp,
    began: Instant,
}

impl Clock {
    /// Takes the wall clock's word once.
    pub fn start() -> Self {
        Self {
            wall: wall(),
            began: Instant::now(),
        }
    }

    /// Now.
    pub fn now(self) -> Timestamp {
        self.wall.plus(self.began.elapsed())
    }

    /// Whether the wall clock tells another time by now.
    fn differs(self) -> bool {
        let (now, wall) = (self.now(), wall());
        now.since(wall).max(wall.since(now)) > SET
    }
}

fn wall() -> Timestamp {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(0).plus(wall.unwrap_or_default())
}

/// Nothing is removed for good for a while: the clock just began, or it differs.
pub(crate) fn doubt(state: &mut State, now: Timestamp) {
    let probation = state.trash_keep.unwrap_or(PROBATION).min(PROBATION);
    state.trash_from = now.plus(probation);
}

/// Looks whether the clock still agrees with the wall clock when something is to be removed.
pub(crate) fn look(clock: Clock, state: &mut State) {
    let now = clock.now();
    if now >= state.trash_from && clock.differs() {
        doubt(state, now);
        tracing::warn!(
            "the system's clock was set since this coordinator started: the trash is not emptied; restart \
             berth-coordinator, so that it takes the time anew"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A clock that took the word of a wall clock which was wrong by an hour, two hours ago.
    fn wrong() -> Clock {
        Clock {
            wall: wall().plus(HOUR),
            began: Instant::now(),
        }
    }

    #[test]
    fn a_clock_that_was_set_since_empties_no_trash() {
        let mut state = State {
            trash_keep: Some(HOUR),
            ..State::default()
        };
        look(Clock::start(), &mut state);
        assert_eq!(state.trash_from, Timestamp(0), "it agrees");
        look(wrong(), &mut state);
        let until = state.trash_from;
        assert!(until > wrong().now().plus(HOUR / 2), "{until:?}");
        look(wrong(), &mut state);
        assert_eq!(state.trash_from, until, "it is said once in a while");
        let minute = Duration::from_secs(60);
        state.trash_keep = Some(minute);
        doubt(&mut state, Timestamp(0));
        assert_eq!(state.trash_from, Timestamp(0).plus(minute));
    }
}

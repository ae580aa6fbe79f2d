//! How long a start waits after an end. The first restart of a process that had run is immediate
//! (an accident should cost milliseconds, not a second); from then on one second, doubled up to a
//! minute, so that a broken program does not eat the host. Ten minutes of running forget the past.

use std::time::Duration;

/// A process that ended earlier than this after its start has failed to start.
pub const RAN: Duration = Duration::from_secs(1);
/// The first pause.
pub const FIRST: Duration = Duration::from_secs(1);
/// The longest pause.
pub const LONGEST: Duration = Duration::from_secs(60);
/// A run of this length forgets earlier failures.
pub const FORGET: Duration = Duration::from_secs(600);

/// A random number from 0 to 999, given by whoever may be random: pauses are stretched or shortened
/// by up to a tenth with it, so that members that failed together do not return together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Jitter(u32);

impl Jitter {
    /// No change.
    pub const NONE: Self = Self(500);

    /// From any number.
    pub fn new(random: u32) -> Self {
        Self(random % 1000)
    }

    fn apply(self, pause: Duration) -> Duration {
        // 900 to 1100 thousandths.
        pause * (900 + self.0 / 5) / 1000
    }
}

/// The failures of one process so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// A run of this length ended, or (zero) could not begin: the pause before the next start.
    #[must_use]
    pub fn ended(&mut self, ran: Duration, jitter: Jitter) -> Duration {
        if ran >= FORGET {
            self.failures = 0;
        }
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        if failures == 0 && ran >= RAN {
            return Duration::ZERO;
        }
        let doublings = failures.saturating_sub(1).min(16);
        jitter.apply((FIRST * 2_u32.pow(doublings)).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pauses(runs: &[u64]) -> Vec<u64> {
        let mut backoff = Backoff::default();
        let pause = |secs: &u64| backoff.ended(Duration::from_secs(*secs), Jitter::NONE);
        runs.iter()
            .map(pause)
            .map(|pause| pause.as_secs())
            .collect()
    }

    #[test]
    fn the_first_restart_of_a_process_that_had_run_is_immediate() {
        assert_eq!(
            pauses(&[5, 5, 5, 5, 5, 5, 5, 5, 5]),
            [0, 1, 2, 4, 8, 16, 32, 60, 60]
        );
    }

    #[test]
    fn a_process_that_never_ran_waits_from_the_first_time() {
        assert_eq!(pauses(&[0, 0, 0]), [1, 1, 2]);
    }

    #[test]
    fn ten_minutes_of_running_forget_the_past() {
        assert_eq!(pauses(&[0, 0, 0, 600, 0]), [1, 1, 2, 0, 1]);
        assert_eq!(pauses(&[0, 0, 0, 599]), [1, 1, 2, 4]);
    }

    proptest! {
        #[test]
        fn a_pause_never_leaves_its_bounds(
            runs in proptest::collection::vec((0_u64..2000, any::<u32>()), 1..200),
        ) {
            let mut backoff = Backoff::default();
            for (secs, random) in runs {
                let ran = Duration::from_secs(secs);
                let pause = backoff.ended(ran, Jitter::new(random));
                prop_assert!(pause <= LONGEST * 11 / 10);
                prop_assert!(pause.is_zero() || pause >= FIRST * 9 / 10);
                prop_assert!(!pause.is_zero() || ran >= RAN);
            }
        }
    }
}

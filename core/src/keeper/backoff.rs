//! How long a start waits after an end. The first restart of a process that had run is immediate
//! (an accident should cost milliseconds, not a second); from then on one second, doubled up to a
//! minute, so that a broken program does not eat the host. Ten minutes of running forget the past.
//! A set may say other numbers (`restartBackoff`); the immediate first restart stays.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A process that ended earlier than this after its start has failed to start.
pub const RAN: Duration = Duration::from_secs(1);
/// More steps than it takes from any first pause to any longest one.
const MOST_STEPS: u32 = 64;

/// The numbers of the pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackoffLimits {
    /// The first pause.
    pub first: Duration,
    /// Each further pause is this many times the one before; at least 1.
    pub factor: u32,
    /// The longest pause.
    pub cap: Duration,
    /// A run of this length forgets earlier failures.
    pub reset: Duration,
}

impl Default for BackoffLimits {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            factor: 2,
            cap: Duration::from_secs(60),
            reset: Duration::from_secs(600),
        }
    }
}

impl BackoffLimits {
    /// The pause after this many failures that were followed by one.
    fn pause(&self, earlier: u32) -> Duration {
        let mut pause = self.first.min(self.cap);
        for _ in 0..earlier.min(MOST_STEPS) {
            pause = pause.saturating_mul(self.factor.max(1)).min(self.cap);
        }
        pause
    }
}

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
    pub fn ended(&mut self, limits: &BackoffLimits, ran: Duration, jitter: Jitter) -> Duration {
        if ran >= limits.reset {
            self.failures = 0;
        }
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        if failures == 0 && ran >= RAN {
            return Duration::ZERO;
        }
        jitter.apply(limits.pause(failures.saturating_sub(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pauses(runs: &[u64]) -> Vec<u64> {
        pauses_by(&BackoffLimits::default(), runs)
    }

    fn pauses_by(limits: &BackoffLimits, runs: &[u64]) -> Vec<u64> {
        let mut backoff = Backoff::default();
        let pause = |secs: &u64| backoff.ended(limits, Duration::from_secs(*secs), Jitter::NONE);
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

    #[test]
    fn a_set_may_have_its_own_numbers() {
        let kubernetes = BackoffLimits {
            first: Duration::from_secs(10),
            factor: 2,
            cap: Duration::from_secs(300),
            reset: Duration::from_secs(600),
        };
        assert_eq!(
            pauses_by(&kubernetes, &[5, 5, 5, 5, 5, 5, 5, 5, 600]),
            [0, 10, 20, 40, 80, 160, 300, 300, 0]
        );
        let even = BackoffLimits {
            factor: 1,
            ..kubernetes
        };
        assert_eq!(pauses_by(&even, &[0, 0, 0]), [10, 10, 10]);
    }

    proptest! {
        #[test]
        fn a_pause_never_leaves_its_bounds(
            runs in proptest::collection::vec((0_u64..2000, any::<u32>()), 1..200),
        ) {
            let (limits, mut backoff) = (BackoffLimits::default(), Backoff::default());
            for (secs, random) in runs {
                let ran = Duration::from_secs(secs);
                let pause = backoff.ended(&limits, ran, Jitter::new(random));
                prop_assert!(pause <= limits.cap * 11 / 10);
                prop_assert!(pause.is_zero() || pause >= limits.first * 9 / 10);
                prop_assert!(!pause.is_zero() || ran >= RAN);
            }
        }
    }
}

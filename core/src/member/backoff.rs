//! Pauses between attempts of a step that fails: 1 s, doubling to 60 s, each shortened by up to a
//! quarter so that members that fail together do not try again together.

use std::time::Duration;

use crate::{time::Timestamp, waiting::Reason};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// How often in a row something failed, why, and when it may be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backoff {
    seed: u64,
    failures: u32,
    until: Option<Timestamp>,
    reason: Option<Reason>,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            failures: 0,
            until: None,
            reason: None,
        }
    }

    /// Notes a failure; the pause begins now.
    pub(super) fn fail(&mut self, now: Timestamp, reason: Reason) {
        self.until = Some(now.plus(self.pause(self.failures)));
        self.failures = self.failures.saturating_add(1);
        self.reason = Some(reason);
    }

    /// Notes a failure that may be tried again at once if it is the first.
    pub(super) fn fail_once_free(&mut self, now: Timestamp, reason: Reason) {
        if self.failures == 0 {
            self.failures = 1;
            self.until = None;
            self.reason = Some(reason);
        } else {
            self.fail(now, reason);
        }
    }

    /// A step before the one that failed was done again: the pause is over, and the reason stands until
    /// what failed is done. Who looks meanwhile sees why it is not ready, and not now this and now nothing.
    pub(super) fn resumed(&mut self) {
        self.until = None;
    }

    /// What failed was done. Forgets the failure, but not how many there were: what follows may fail too.
    pub(super) fn explained(&mut self) {
        self.reason = None;
        self.until = None;
    }

    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
        self.explained();
    }

    pub(super) fn may(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    pub(super) fn until(&self) -> Option<Timestamp> {
        self.until
    }

    pub(super) fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    fn pause(&self, failures: u32) -> Duration {
        let whole = FIRST
            .saturating_mul(1_u32.checked_shl(failures.min(16)).unwrap_or(u32::MAX))
            .min(LONGEST);
        // An xorshift step per failure is spread well enough for this.
        let mut bits = (self.seed ^ (u64::from(failures) << 17)) | 1;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        let shortened = u32::try_from(bits % 250).unwrap_or(0);
        whole * (1000 - shortened) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_differ_between_members() {
        let reason = || Reason::HeldByOperator;
        let pauses = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..10)
                .map(|_| {
                    backoff.fail(Timestamp(0), reason());
                    backoff.until().unwrap().0
                })
                .collect::<Vec<_>>()
        };
        let (one, other) = (pauses(1), pauses(2));
        assert_ne!(one, other);
        for (n, pause) in one.iter().enumerate() {
            let whole = (1000_u64 << n).min(60_000);
            assert!(
                (whole * 3 / 4..=whole).contains(pause),
                "pause {n}: {pause}"
            );
        }
    }

    #[test]
    fn the_first_failure_may_be_free() {
        let mut backoff = Backoff::new(7);
        backoff.fail_once_free(Timestamp(5), Reason::HeldByOperator);
        assert!(backoff.may(Timestamp(5)));
        backoff.fail_once_free(Timestamp(6), Reason::HeldByOperator);
        assert!(!backoff.may(Timestamp(7)));
        backoff.reset();
        assert!(backoff.may(Timestamp(7)) && backoff.reason().is_none());
    }
}

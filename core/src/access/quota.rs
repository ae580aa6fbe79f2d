//! How much of the coordinator one caller may have: so many calls in a time, and so many open streams, so
//! that nobody who calls in a loop keeps the others waiting.
//!
//! Calls come out of a bucket that fills evenly. Of each caller there is kept when his would be full again,
//! and how many streams he has: one whose bucket is full, and who has none, is forgotten.

use std::{collections::BTreeMap, time::Duration};

use thiserror::Error;

/// What each caller has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Calls in a second, for as long as he likes.
    pub per_second: u32,
    /// Calls at once, after he made none for a while.
    pub at_once: u32,
    /// Streams that are open at the same time.
    pub streams: u32,
}

/// Callers that are known apart. If there are more, those who come later share.
const CALLERS: usize = 4096;

/// He has what he may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Exhausted {
    /// All calls.
    #[error("that is more than {per_second} calls a second")]
    Calls {
        /// How many he may make.
        per_second: u32,
        /// After which there is another.
        again: Duration,
    },
    /// All streams.
    #[error("{open} streams are open already")]
    Streams {
        /// How many he has.
        open: u32,
    },
}

/// What each caller has had. The time is that since any moment, the same one always.
#[derive(Debug)]
pub struct Quotas<K> {
    allowance: Allowance,
    callers: BTreeMap<K, Had>,
    others: Had,
}

#[derive(Debug, Clone, Copy, Default)]
struct Had {
    full_at: Duration,
    streams: u32,
}

/// Whose account a stream is on: needed to close it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account<K>(Option<K>);

impl<K: Ord + Clone> Quotas<K> {
    /// With the same for everybody.
    pub fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            callers: BTreeMap::new(),
            others: Had::default(),
        }
    }

    /// Takes one call out of somebody's bucket.
    ///
    /// # Errors
    /// If it is empty.
    pub fn call(&mut self, who: &K, now: Duration) -> Result<(), Exhausted> {
        let Allowance {
            per_second,
            at_once,
            ..
        } = self.allowance;
        let each = Duration::from_secs(1) / per_second.max(1);
        let (had, _) = self.of(who, now);
        let full_at = had.full_at.max(now) + each;
        let over = full_at.saturating_sub(now + each * at_once.max(1));
        if !over.is_zero() {
            let again = over;
            return Err(Exhausted::Calls { per_second, again });
        }
        had.full_at = full_at;
        Ok(())
    }

    /// Opens a stream for somebody.
    ///
    /// # Errors
    /// If he has as many as he may have.
    pub fn open(&mut self, who: &K, now: Duration) -> Result<Account<K>, Exhausted> {
        let most = self.allowance.streams;
        let (had, account) = self.of(who, now);
        if had.streams >= most {
            return Err(Exhausted::Streams { open: had.streams });
        }
        had.streams += 1;
        Ok(account)
    }

    /// A stream has ended.
    pub fn close(&mut self, account: &Account<K>) {
        let had = match &account.0 {
            Some(who) => self.callers.get_mut(who),
            None => Some(&mut self.others),
        };
        if let Some(had) = had {
            had.streams = had.streams.saturating_sub(1);
        }
    }

    /// How many streams are open.
    pub fn streams(&self) -> u32 {
        let all = self.callers.values().chain([&self.others]);
        all.map(|had| had.streams).sum()
    }

    /// What somebody has had, and on whose account.
    fn of(&mut self, who: &K, now: Duration) -> (&mut Had, Account<K>) {
        if !self.callers.contains_key(who) {
            if self.callers.len() >= CALLERS {
                self.callers
                    .retain(|_, had| had.full_at > now || had.streams > 0);
            }
            if self.callers.len() >= CALLERS {
                return (&mut self.others, Account(None));
            }
        }
        let had = self.callers.entry(who.clone()).or_default();
        (had, Account(Some(who.clone())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALLOWANCE: Allowance = Allowance {
        per_second: 10,
        at_once: 3,
        streams: 2,
    };

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_bucket_is_emptied_at_once_and_fills_evenly() {
        let mut quotas = Quotas::new(ALLOWANCE);
        for _ in 0..3 {
            assert_eq!(quotas.call(&"ann", at(0)), Ok(()));
        }
        let again = at(100);
        let per_second = 10;
        let empty = Err(Exhausted::Calls { per_second, again });
        assert_eq!(quotas.call(&"ann", at(0)), empty);
        assert_eq!(quotas.call(&"bob", at(0)), Ok(()), "everybody has his own");
        let again = at(1);
        let empty = Err(Exhausted::Calls { per_second, again });
        assert_eq!(quotas.call(&"ann", at(99)), empty);
        assert_eq!(quotas.call(&"ann", at(100)), Ok(()), "as it was told");
        assert!(quotas.call(&"ann", at(100)).is_err());
    }

    #[test]
    fn so_many_streams_are_open_and_no_more() {
        let mut quotas = Quotas::new(ALLOWANCE);
        let first = quotas.open(&"ann", at(0)).unwrap();
        let second = quotas.open(&"ann", at(0)).unwrap();
        let full = Err(Exhausted::Streams { open: 2 });
        assert_eq!(quotas.open(&"ann", at(9_000)), full);
        assert!(quotas.open(&"bob", at(0)).is_ok());
        quotas.close(&first);
        assert!(quotas.open(&"ann", at(0)).is_ok());
        quotas.close(&second);
        assert_eq!(quotas.streams(), 2);
    }

    #[test]
    fn a_crowd_of_callers_takes_no_more_room_and_whoever_is_known_keeps_his_own() {
        let mut quotas = Quotas::new(ALLOWANCE);
        let first = quotas.open(&0, at(0)).unwrap();
        for who in 1..10_000 {
            quotas.call(&who, at(0)).ok();
        }
        assert_eq!(quotas.callers.len(), CALLERS);
        assert!(quotas.call(&10_000, at(0)).is_err(), "they share one");
        assert!(quotas.call(&0, at(0)).is_ok());
        // All of them have full buckets again.
        assert!(quotas.call(&10_000, at(1_000)).is_ok());
        assert_eq!(quotas.callers.len(), 2, "who has a stream is not forgotten");
        quotas.close(&first);
        assert_eq!(quotas.streams(), 0);
    }

    proptest! {
        #[test]
        fn in_no_time_are_there_more_calls_than_the_bucket_has(
            gaps in proptest::collection::vec(0_u64..300, 1..200)
        ) {
            let mut quotas = Quotas::new(ALLOWANCE);
            let mut now = 0;
            let mut granted = Vec::new();
            for gap in gaps {
                now += gap;
                match quotas.call(&(), at(now)) {
                    Ok(()) => granted.push(now),
                    Err(Exhausted::Calls { again, .. }) => {
                        // Whoever waits as he is told is let in.
                        now += u64::try_from(again.as_millis()).unwrap();
                        prop_assert_eq!(quotas.call(&(), at(now)), Ok(()));
                        granted.push(now);
                    }
                    Err(other) => prop_assert!(false, "{}", other),
                }
            }
            for (first, from) in granted.iter().enumerate() {
                for (last, to) in granted.iter().enumerate().skip(first) {
                    let most = 3 + (to - from) / 100;
                    prop_assert!(last - first < usize::try_from(most).unwrap());
                }
            }
        }
    }
}

//! Works on volumes that failed: who failed last with each, so that the next try is another host's
//! where another one can do it. A host that did not try yet does so at once, so that the one that can
//! do it is soon found; whoever failed before waits. It outlives the streams, because the host that
//! tries next is not the one that failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use berth_core::{
    ids::{HostName, ObjectKey},
    time::Timestamp,
};

/// How long after the last failure a host that failed before tries again.
const RETRY: Duration = Duration::from_secs(30);

/// The last failure of each work that is still to be done.
#[derive(Debug, Clone, Default)]
pub struct Failures(BTreeMap<ObjectKey, Failure>);

#[derive(Debug, Clone)]
struct Failure {
    /// Who failed last.
    host: HostName,
    at: Timestamp,
    /// How often it failed.
    times: u32,
    /// What each host failed with last.
    tried: BTreeMap<HostName, Tried>,
}

#[derive(Debug, Clone)]
struct Tried {
    id: u64,
    stream: u64,
    /// The same again is no news, nor for the next decision.
    error: String,
}

/// Whom a work is sent to, or was: the host and its stream.
pub type Worker<'a> = (&'a HostName, u64);

impl Failures {
    /// Takes in that a work failed; whether that is news.
    pub(super) fn add(
        &mut self,
        volume: &ObjectKey,
        id: u64,
        (host, stream): Worker<'_>,
        at: Timestamp,
        error: &str,
    ) -> bool {
        let known = self.0.remove(volume);
        let times = known.as_ref().map_or(0, |known| known.times) + 1;
        let mut tried = known.map(|known| known.tried).unwrap_or_default();
        let now = Tried {
            id,
            stream,
            error: error.to_owned(),
        };
        let before = tried.insert(host.clone(), now);
        let host = host.clone();
        let failure = Failure {
            host,
            at,
            times,
            tried,
        };
        self.0.insert(volume.clone(), failure);
        before.is_none_or(|before| before.error != error)
    }

    /// Forgets what is not to be done any more.
    pub(super) fn keep(&mut self, open: &BTreeSet<ObjectKey>) {
        self.0.retain(|volume, _| open.contains(volume));
    }

    /// The host that failed last with each volume.
    pub fn hosts(&self) -> BTreeMap<ObjectKey, HostName> {
        let all = self.0.iter();
        all.map(|(volume, failure)| (volume.clone(), failure.host.clone()))
            .collect()
    }

    /// How often a work failed.
    pub fn times(&self, volume: &ObjectKey) -> u32 {
        self.0.get(volume).map_or(0, |failure| failure.times)
    }

    /// Who failed last with a volume, and with what.
    pub fn last(&self, volume: &ObjectKey) -> Option<(&HostName, &str)> {
        let failure = self.0.get(volume)?;
        let tried = failure.tried.get(&failure.host)?;
        Some((&failure.host, &tried.error))
    }

    /// When a host may try a work again; `None` if it did not fail there, or if the host has
    /// connected anew since: much may have changed there.
    pub fn retry_at(
        &self,
        volume: &ObjectKey,
        id: u64,
        (host, stream): Worker<'_>,
    ) -> Option<Timestamp> {
        let failure = self.0.get(volume)?;
        let tried = failure.tried.get(host)?;
        (tried.id == id && tried.stream == stream).then(|| failure.at.plus(RETRY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{NOW, name};

    fn host(n: u8) -> HostName {
        format!("host-{n}").parse().unwrap()
    }

    #[test]
    fn a_host_that_failed_waits_unless_it_connected_anew() {
        let (one, two) = (host(1), host(2));
        let mut failures = Failures::default();
        assert_eq!(failures.retry_at(&name(), 7, (&one, 1)), None);
        failures.add(&name(), 7, (&one, 1), NOW, "no route");
        assert_eq!(failures.hosts(), [(name(), one.clone())].into());
        assert_eq!(failures.last(&name()), Some((&one, "no route")));
        let after = |at: Timestamp| Some(at.plus(RETRY));
        assert_eq!(failures.retry_at(&name(), 7, (&one, 1)), after(NOW));
        assert_eq!(failures.retry_at(&name(), 7, (&one, 3)), None, "anew");
        assert_eq!(failures.retry_at(&name(), 8, (&one, 1)), None, "another");
        assert_eq!(failures.retry_at(&name(), 7, (&two, 2)), None, "its turn");
        let later = NOW.plus(RETRY);
        failures.add(&name(), 7, (&two, 2), later, "no route");
        assert_eq!(failures.hosts(), [(name(), two.clone())].into());
        assert_eq!(failures.retry_at(&name(), 7, (&one, 1)), after(later));
        assert_eq!(failures.retry_at(&name(), 7, (&two, 2)), after(later));
        failures.keep(&BTreeSet::from([name()]));
        assert_eq!(failures.hosts().len(), 1);
        failures.keep(&BTreeSet::new());
        assert!(failures.hosts().is_empty());
    }

    #[test]
    fn the_same_error_of_a_host_is_told_once_however_often_the_work_goes_round() {
        let (one, two) = (host(1), host(2));
        let mut failures = Failures::default();
        let mut add = |host, error| failures.add(&name(), 7, (host, 1), NOW, error);
        assert!(add(&one, "no route"));
        assert!(add(&two, "no route"));
        assert!(!add(&one, "no route"));
        assert!(!add(&two, "no route"));
        assert!(add(&one, "no space"));
    }
}

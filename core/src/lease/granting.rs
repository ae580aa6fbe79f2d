//! The coordinator's end of the leases: when each host's last renewal arrived that was acknowledged, and
//! whose renewals are not acknowledged any more because their members are being started elsewhere.
//!
//! A renewal is acknowledged only on a stream that was sent what follows from the newest commit, so that
//! a host never gets time for a grant that was given up. While a commit gives one up, nothing is
//! acknowledged to its host at all.

use std::collections::{BTreeMap, BTreeSet};

use crate::{history::Past, ids::HostName, time::Timestamp};

/// What is known of the leases. Not durable: after a start they are counted from there.
#[derive(Debug, Clone, Default)]
pub struct Granting {
    renewed: BTreeMap<HostName, Timestamp>,
    ending: BTreeSet<HostName>,
}

/// That a renewal is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Whether it is for what runs only: nothing may be started on it.
    pub running_only: bool,
}

impl Granting {
    /// Takes in a renewal that arrived now. `current` says whether its stream was sent what follows from
    /// the newest commit. Once it is acknowledged its host may run for another lease, and start what it
    /// was ordered if the store's history lets it; `None` if it is not.
    pub fn renew(
        &mut self,
        host: &HostName,
        now: Timestamp,
        current: bool,
        past: &Past,
    ) -> Option<Granted> {
        if !current || self.ending.contains(host) {
            return None;
        }
        // Before it can have been heard of.
        self.renewed.insert(host.clone(), now);
        let running_only = !past.lets_start();
        Some(Granted { running_only })
    }

    /// When the last renewal of a host arrived that was acknowledged.
    pub fn renewed(&self, host: &HostName) -> Option<Timestamp> {
        self.renewed.get(host).copied()
    }

    /// Acknowledges no renewal of these hosts until [`Self::ended`].
    pub fn ends(&mut self, hosts: &BTreeSet<HostName>) {
        self.ending.extend(hosts.iter().cloned());
    }

    /// The orders that follow have gone out.
    pub fn ended(&mut self, hosts: &BTreeSet<HostName>) {
        self.ending.retain(|host| !hosts.contains(host));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::host_name;

    #[test]
    fn who_is_behind_or_whose_grant_is_given_up_gets_no_time() {
        let (host, past) = (host_name(1), Past::default());
        let mut granting = Granting::default();
        let at = Timestamp(5);
        assert_eq!(granting.renew(&host, at, false, &past), None);
        let ending = BTreeSet::from([host.clone()]);
        granting.ends(&ending);
        assert_eq!(granting.renew(&host, at, true, &past), None);
        assert_eq!(granting.renewed(&host), None, "what is not acknowledged");
        granting.ended(&ending);
        let granted = granting.renew(&host, at, true, &past);
        assert_eq!(
            granted,
            Some(Granted {
                running_only: false
            })
        );
        assert_eq!(granting.renewed(&host), Some(at));
    }

    #[test]
    fn nothing_is_started_on_a_history_in_question() {
        let past = Past {
            restored: Some(Timestamp(1)),
            ..Past::default()
        };
        let granted = Granting::default().renew(&host_name(1), Timestamp(5), true, &past);
        assert_eq!(granted, Some(Granted { running_only: true }));
    }
}

//! The lease: for how long a host may run the members of Failover sets without a word from the
//! coordinator, and from when on they are surely gone there. Both ends are here, side by side,
//! because they are only right together.
//!
//! * The host counts from when it *sent* the newest renewal that was acknowledged, on a clock that
//!   counts through suspends: its deadline is `D = sent + L`.
//! * The coordinator counts from when that renewal *arrived*, or from when its own term began (an
//!   earlier coordinator may have acknowledged until then), and waits `L(1+r)/(1-r) + K` longer.
//!
//! A message never arrives before it was sent, and the rate of a clock is wrong by `r` at most, so
//! what the coordinator waits for lies `K` or more behind `D`. Within `K` the host's keepers kill
//! what still runs, and the host reboots if they cannot.
//!
//! The terms are part of a grant: what was agreed with a host that is out of contact cannot change,
//! whatever a manifest or the configuration says by now.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    bug::{self, Bug},
    spec::{FailurePolicy, LeaseClass, StatefulSetSpec},
    time::Timestamp,
};

/// By how much the rate of a clock may be wrong, in thousandths: the fault model's 2 %.
pub const RATE_ERROR_MILLI: u64 = 20;
/// So many renewals fit into a lease: it outlives a few that are lost.
const RENEWALS: u32 = 5;
/// The shortest lease: its renewals are 200 ms apart, which a host under load still sends in time.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(1);
/// The least time from the end of a lease to its members being surely gone: half of it is for the
/// kernel to take apart what was killed, the other half for the host to reboot.
pub const SHORTEST_KILL_MARGIN: Duration = Duration::from_millis(500);

/// How long leases are, by class, and what is added for killing. From the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leases {
    /// Of the class `Default`.
    pub default: Duration,
    /// Of the class `Fast`.
    pub fast: Duration,
    /// From the end of a lease to its members being surely gone.
    pub kill_margin: Duration,
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            default: Duration::from_secs(15),
            fast: Duration::from_secs(3),
            kill_margin: Duration::from_secs(2),
        }
    }
}

/// Why leases cannot be so.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// The renewals could not keep it.
    #[error(
        "{field}: {given:?} is shorter than the renewals can hold; give {SHORTEST_LEASE:?} or more"
    )]
    TooShort {
        /// The field.
        field: &'static str,
        /// What it says.
        given: Duration,
    },
    /// Killing takes time.
    #[error(
        "killMargin: {given:?} is too short to kill a member and make sure of it; give \
         {SHORTEST_KILL_MARGIN:?} or more"
    )]
    KillMargin {
        /// What it says.
        given: Duration,
    },
}

impl Leases {
    /// Checks that hosts can hold them.
    ///
    /// # Errors
    /// The first length that they cannot.
    pub fn check(&self) -> Result<(), LeaseError> {
        for (field, given) in [("default", self.default), ("fast", self.fast)] {
            if given < SHORTEST_LEASE {
                return Err(LeaseError::TooShort { field, given });
            }
        }
        if self.kill_margin < SHORTEST_KILL_MARGIN {
            let given = self.kill_margin;
            return Err(LeaseError::KillMargin { given });
        }
        Ok(())
    }

    /// The length of a class.
    pub fn length(&self, class: LeaseClass) -> Duration {
        match class {
            LeaseClass::Default => self.default,
            LeaseClass::Fast => self.fast,
        }
    }

    /// The length of a set's lease, if the `fenceGrace` of the set is half of it or more: a member
    /// would be stopped after one renewal that comes late.
    pub fn too_short_for(&self, spec: &StatefulSetSpec) -> Option<Duration> {
        let length = self.length(spec.lease_class());
        let moves = spec.failure_policy == FailurePolicy::Failover;
        (moves && spec.fence_grace(length) > longest_grace(length)).then_some(length)
    }

    /// What a member of a set is granted with, before it is known where; nothing for one that does
    /// not move by itself.
    pub fn terms(&self, spec: &StatefulSetSpec) -> Option<LeaseTerms> {
        match spec.failure_policy {
            FailurePolicy::Hold => None,
            FailurePolicy::Failover => {
                let length = self.length(spec.lease_class());
                let grace = spec.fence_grace(length).min(longest_grace(length));
                Some(LeaseTerms {
                    length_ms: millis(length),
                    grace_ms: millis(grace),
                    kill_ms: millis(self.kill_margin),
                    self_fences: false,
                })
            }
        }
    }
}

/// How long before the end of a lease a member is asked to stop at the earliest, also where a class
/// was configured shorter than the set was written for: always less than half of it.
pub fn longest_grace(lease: Duration) -> Duration {
    (lease / 2).saturating_sub(Duration::from_millis(1))
}

/// What a grant says of the lease that it rests on. Durable with the grant; in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseTerms {
    /// From when a renewal was sent to the end of the lease, in milliseconds.
    pub length_ms: u64,
    /// How long before the end the member is asked to stop, in milliseconds.
    pub grace_ms: u64,
    /// From the end to the member being surely gone, in milliseconds.
    pub kill_ms: u64,
    /// Whether its host reboots itself when the member is not gone in time: each of its keepers was
    /// started with that, because a host refuses to start it without.
    #[serde(default)]
    pub self_fences: bool,
}

impl LeaseTerms {
    /// From when a renewal was sent to the end of the lease.
    pub fn length(&self) -> Duration {
        Duration::from_millis(self.length_ms)
    }

    /// How long before the end the member is asked to stop.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }

    /// From the end to the member being surely gone.
    pub fn kill_margin(&self) -> Duration {
        Duration::from_millis(self.kill_ms)
    }

    /// The host's end: how long after the newest acknowledged renewal was sent a stream is given up.
    /// As much time is left for another one before the member is asked to stop.
    pub fn patience(&self) -> Duration {
        self.length().saturating_sub(self.grace()) / 2
    }

    /// The host's end: `D`, when what runs on a renewal that was sent then is to be dead.
    pub fn deadline(&self, sent: Timestamp) -> Timestamp {
        sent.plus(self.length())
    }

    /// The host's end: whether there is time to run anything before the end of a lease whose newest
    /// renewal was sent then.
    pub fn may_run(&self, sent: Timestamp, now: Timestamp) -> bool {
        now.plus(self.grace()) < self.deadline(sent)
    }

    /// The coordinator's end: from when on the member is surely gone, if its host's last renewal
    /// arrived then and the coordinator's term began at `term_began`.
    pub fn surely_over(&self, term_began: Timestamp, renewed: Option<Timestamp>) -> Timestamp {
        let began = if bug::on(Bug::OwnStartNotCounted) {
            Timestamp::default()
        } else {
            term_began
        };
        let from = renewed.map_or(began, |renewed| renewed.max(began));
        let error = if bug::on(Bug::ClockRateIgnored) {
            0
        } else {
            RATE_ERROR_MILLI
        };
        let length = if bug::on(Bug::LeaseOffByOne) {
            self.length_ms - self.length_ms / u64::from(RENEWALS)
        } else {
            self.length_ms
        };
        // L(1+r)/(1-r), rounded up.
        let slowest = length.saturating_mul(1000 + error).div_ceil(1000 - error);
        from.plus(Duration::from_millis(slowest))
            .plus(self.kill_margin())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// From one renewal to the next, on a host whose shortest lease is this long.
pub fn renew_every(shortest: Duration) -> Duration {
    shortest / RENEWALS
}

/// The host's end of one stream: which renewals were sent and when, and which of them count. Times
/// are those of one clock that counts through suspends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Renewals {
    /// Those that are not acknowledged, with the time they were sent at.
    open: BTreeMap<u64, Timestamp>,
    last: u64,
    acknowledged: Acknowledged,
    refused: bool,
}

/// When the newest renewals of a host were sent that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acknowledged {
    /// The newest of all: what runs may run on.
    pub runs: Option<Timestamp>,
    /// The newest that something may be started on. A store that may not know of every grant
    /// acknowledges for what runs only.
    pub starts: Option<Timestamp>,
}

impl Acknowledged {
    /// One that was sent then, for what runs only or for starts too.
    pub fn of(sent: Timestamp, running_only: bool) -> Self {
        Self {
            runs: Some(sent),
            starts: (!running_only).then_some(sent),
        }
    }

    /// The newest of these and those.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            runs: self.runs.max(other.runs),
            starts: self.starts.max(other.starts),
        }
    }
}

impl Renewals {
    /// Notes a renewal that is sent now; its number.
    pub fn send(&mut self, now: Timestamp) -> u64 {
        self.last += 1;
        self.open.insert(self.last, now);
        if bug::on(Bug::RenewalUnacknowledged) {
            self.acknowledged = self.acknowledged.max(Acknowledged::of(now, false));
        }
        self.last
    }

    /// Notes the acknowledgement of a renewal, and so of all before it, that arrives now.
    pub fn acknowledge(&mut self, number: u64, running_only: bool, now: Timestamp) {
        if let Some(sent) = self.open.get(&number).copied() {
            let sent = if bug::on(Bug::DeadlineFromReceipt) {
                now
            } else {
                sent
            };
            let newer = Acknowledged::of(sent, running_only);
            self.acknowledged = self.acknowledged.max(newer);
            self.open = self.open.split_off(&number.saturating_add(1));
        }
    }

    /// Since when nothing is known to have come through: when the newest acknowledged renewal was
    /// sent or, before the first one, the first of all.
    pub fn silent_since(&self) -> Option<Timestamp> {
        let first = self.open.values().next().copied();
        self.acknowledged.runs.or(first)
    }

    /// Notes whether the newest order was refused: what is acknowledged then is not for what the host
    /// has.
    pub fn refuse(&mut self, refused: bool) {
        self.refused = refused;
    }

    /// When the newest renewals were sent that count for what the host has. To be told to its
    /// [`HostLeases`] whenever there may be others.
    pub fn newest(&self) -> Acknowledged {
        if self.refused {
            Acknowledged::default()
        } else {
            self.acknowledged
        }
    }
}

mod granting;
mod host;
pub use granting::{Granted, Granting};
pub use host::{HostLeases, LeaseEffect, LeaseEvent};

#[cfg(test)]
mod tests;

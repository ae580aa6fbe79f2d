//! What proves that a grant is gone, and what else that tells.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a grant is proven gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// It was never ordered to run.
    NeverOrdered,
    /// Its agent, in contact, reported it stopped.
    ReportedStopped,
    /// Its agent, in contact, has nothing of this epoch and has acknowledged the order.
    ReportedAbsent,
    /// Its host is out of contact, and an operator confirmed it dead.
    ConfirmedDead,
    /// Nothing proves it: an operator answers for it.
    Forced,
    /// Its host is out of contact, and the lease that it rested on is surely over.
    LeaseOver,
    /// Its host is out of contact, and a fence command confirmed that it is off.
    Fenced,
}

impl Proof {
    /// Whether it tells that the member served under the grant, or that it did not: who stopped it
    /// said so before, and what was never ordered never ran. What a host did that nobody heard of, or
    /// whose agent lost what it knew, nobody knows.
    pub fn tells_if_it_served(&self) -> bool {
        match self {
            Self::NeverOrdered | Self::ReportedStopped => true,
            Self::ReportedAbsent
            | Self::ConfirmedDead
            | Self::Forced
            | Self::LeaseOver
            | Self::Fenced => false,
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NeverOrdered => "it was never ordered to run",
            Self::ReportedStopped => "its agent reported it stopped",
            Self::ReportedAbsent => "its agent has nothing of it",
            Self::ConfirmedDead => "its host was confirmed dead by an operator",
            Self::Forced => "an operator forced it, nothing proves it gone",
            Self::LeaseOver => "its host is out of contact, and its lease is over",
            Self::Fenced => "its host is out of contact, and fenced off",
        })
    }
}

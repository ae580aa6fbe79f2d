//! What makes sure that a member of a Failover set is gone from a host that is out of contact.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Claim, Member, Set, State};
use crate::{
    ids::{ClaimKey, HostName, MemberId, SetKey},
    spec::FailurePolicy,
    volume::{VolumeSource, access::shared_claims},
    waiting::Reason,
};

/// The commands that are configured for a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fences {
    /// One that switches it off, and tells that it is.
    pub power: bool,
    /// One that keeps it from the servers of its volumes.
    pub storage: bool,
}

/// What was confirmed of a host that is out of contact. Not durable: it is found out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fenced {
    /// It is off: nothing runs there, and nothing is written any more.
    Off,
    /// It cannot write to the servers of its volumes any more. What runs there is not known.
    Storage,
}

/// What enforces that at most one epoch of each member of a set runs (I2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Enforcement {
    /// Nothing moves without a proof: a member whose host is out of contact stays down elsewhere.
    Hold,
    /// It has no member that could be lost.
    NoMember,
    /// Its hosts kill it when their lease is over, and reboot if they cannot.
    Lease,
    /// As with a lease, and what reboots a host is its watchdog.
    Watchdog,
    /// A fence command confirms that its old host is off, or cannot write.
    Fenced,
    /// Nothing can: a member whose host is lost stays down, as in a set that holds.
    Nothing,
}

impl Enforcement {
    /// What is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::NoMember => "no member",
            Self::Lease => "lease",
            Self::Watchdog => "watchdog",
            Self::Fenced => "fenced",
            Self::Nothing => "nothing: a lost member stays down; configure a fence command",
        }
    }
}

impl State {
    /// Whether anything could make sure that a member is gone from a host that is out of contact.
    pub fn can_fence(&self, host: &HostName) -> bool {
        let known = self.hosts.get(host);
        known.is_some_and(|known| known.record.self_fences)
            || self.fences.get(host).is_some_and(|fences| fences.power)
    }

    /// Which hosts are to be fenced now, by what the members that wait on them need; only where a
    /// command is there for it, and never one that is in contact. Whoever can be switched off is:
    /// that proves most.
    pub fn to_fence<'a>(
        &self,
        waiting: impl Iterator<Item = &'a Reason>,
    ) -> BTreeMap<HostName, Fenced> {
        let mut found = BTreeMap::new();
        for reason in waiting {
            let (Reason::FenceNotConfirmed { host } | Reason::UnfencedWriter { host, .. }) = reason
            else {
                continue;
            };
            let known = self.hosts.get(host);
            if known.is_none_or(|known| known.contact.connected) {
                continue;
            }
            let fences = self.fences.get(host).copied().unwrap_or_default();
            let writes = matches!(reason, Reason::UnfencedWriter { .. });
            if fences.power {
                found.insert(host.clone(), Fenced::Off);
            } else if fences.storage && writes {
                found.insert(host.clone(), Fenced::Storage);
            }
        }
        found
    }

    /// The first claim of a member that it writes to and whose volume is on a server: what its host
    /// has not written yet outlives it.
    pub fn written_elsewhere(&self, id: &MemberId) -> Option<ClaimKey> {
        self.written(id, |claim| {
            let source = self.volume_of(claim).map(|volume| &volume.source);
            matches!(source, Some(VolumeSource::Nfs(_)))
        })
    }

    /// The first claim of a member that it writes to and whose volume holds no owner record: that is
    /// with the coordinator.
    pub fn unrecorded(&self, id: &MemberId) -> Option<ClaimKey> {
        self.written(id, |claim| claim.owner.is_some())
    }

    fn written(&self, id: &MemberId, is_meant: impl Fn(&Claim) -> bool) -> Option<ClaimKey> {
        let own = self.claims_of_member(id);
        let own = own.map(|(key, _)| key.clone());
        let set = self.sets.get(&id.set);
        let member = set.and_then(|set| set.members.get(&id.ordinal));
        let template = set
            .zip(member)
            .and_then(|(set, m)| set.template_of(&m.revision));
        let shared = template.into_iter().flat_map(|t| shared_claims(id, t));
        let mut all = own.chain(shared.map(|(_, key)| key));
        all.find(|key| {
            let claim = self.claims.get(key).filter(|claim| !claim.is_read_only());
            claim.is_some_and(&is_meant)
        })
    }

    /// What enforces that at most one epoch of each member of a set runs: the weakest of what holds
    /// for each.
    pub fn enforcement(&self, key: &SetKey, set: &Set) -> Enforcement {
        if set.spec.failure_policy == FailurePolicy::Hold {
            return Enforcement::Hold;
        }
        let each = set.members.iter().map(|(ordinal, member)| {
            let id = MemberId {
                set: key.clone(),
                ordinal: *ordinal,
            };
            self.enforced(&id, member)
        });
        each.max().unwrap_or(Enforcement::NoMember)
    }

    /// What would prove a member gone from its host, and its last writes with it.
    fn enforced(&self, id: &MemberId, member: &Member) -> Enforcement {
        let known = self.hosts.get(&member.host);
        // As it was granted: its keepers may be older than what its host can by now.
        let granted = member.lease.is_none_or(|lease| lease.self_fences);
        let reboots = granted && known.is_some_and(|known| known.record.self_fences);
        let fences = self.fences.get(&member.host).copied().unwrap_or_default();
        let writes = self.written_elsewhere(id).is_some();
        let watchdog = known.is_some_and(|known| known.record.watchdog);
        if reboots && !writes && watchdog {
            Enforcement::Watchdog
        } else if reboots && !writes {
            Enforcement::Lease
        } else if fences.power || (reboots && fences.storage) {
            Enforcement::Fenced
        } else {
            Enforcement::Nothing
        }
    }
}

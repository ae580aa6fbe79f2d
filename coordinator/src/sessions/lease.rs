//! The coordinator's end of the leases: when each host's last renewal arrived, and whose renewals
//! are not acknowledged any more because their members are being started elsewhere.
//!
//! A renewal is acknowledged only on a stream that was sent what follows from the newest commit, so
//! that a host never gets time for a grant that was given up. While a commit gives one up, nothing is
//! acknowledged to its host at all; [`Ending`] is held until the orders that follow have gone out.

use std::collections::{BTreeMap, BTreeSet};

use berth_core::{ids::HostName, time::Timestamp};
use berth_proto::v1::{CoordinatorMessage, RenewAck, coordinator_message::Message};

use super::Sessions;

/// What is known of the leases. Not durable: after a start they are counted from there.
#[derive(Debug, Default)]
pub(super) struct Leased {
    renewed: BTreeMap<HostName, Timestamp>,
    ending: BTreeSet<HostName>,
}

/// As long as this is there, no renewal of some hosts is acknowledged.
#[derive(Debug)]
pub struct Ending {
    sessions: Sessions,
    hosts: BTreeSet<HostName>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let leased = &mut self.sessions.registry().leased;
        leased.ending.retain(|host| !self.hosts.contains(host));
    }
}

impl Sessions {
    /// Takes in a renewal that arrived now, and acknowledges it: from now on its host may run for
    /// another lease, and start what it was ordered if `lets_start`.
    pub(super) fn renew(
        &self,
        (host, stream): (&HostName, u64),
        (number, now): (u64, Timestamp),
        lets_start: bool,
    ) {
        let mut registry = self.registry();
        let Some(slot) = registry.slots.get(host) else {
            return;
        };
        // What follows from the newest commit may be what was held back.
        let behind = slot.link.behind || slot.link.stream != stream;
        if behind || registry.leased.ending.contains(host) {
            return;
        }
        let ack = CoordinatorMessage {
            message: Some(Message::RenewAck(RenewAck {
                number,
                running_only: !lets_start,
            })),
        };
        let (send, ended) = (slot.send.clone(), slot.ended.clone());
        // Before it can have been heard of.
        registry.leased.renewed.insert(host.clone(), now);
        if send.push(Ok(ack)).is_err() {
            tracing::warn!(%host, "the agent does not read its messages; its stream is ended");
            ended.cancel();
        }
    }

    /// When the last renewal of a host arrived that was acknowledged.
    pub fn renewed(&self, host: &HostName) -> Option<Timestamp> {
        self.registry().leased.renewed.get(host).copied()
    }

    /// Acknowledges no renewal of these hosts until what is returned is dropped. The reconcile loop
    /// alone asks, one time after another.
    pub fn end_leases(&self, hosts: BTreeSet<HostName>) -> Ending {
        let ending = &mut self.registry().leased.ending;
        ending.extend(hosts.iter().cloned());
        Ending {
            sessions: self.clone(),
            hosts,
        }
    }
}

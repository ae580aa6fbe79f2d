//! The coordinator's end of the leases: which renewals are acknowledged is decided in
//! [`berth_core::lease::Granting`].
//!
//! While a commit gives a grant up, nothing is acknowledged to its host at all; [`Ending`] is held until
//! the orders that follow have gone out.

use std::collections::BTreeSet;

use berth_core::{history::Past, ids::HostName, time::Timestamp};
use berth_proto::v1::{CoordinatorMessage, RenewAck, coordinator_message::Message};

use super::Sessions;

/// As long as this is there, no renewal of some hosts is acknowledged.
#[derive(Debug)]
pub struct Ending {
    sessions: Sessions,
    hosts: BTreeSet<HostName>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.sessions.registry().granting.ended(&self.hosts);
    }
}

impl Sessions {
    /// Takes in a renewal that arrived now, and acknowledges it if it may be.
    pub(super) fn renew(
        &self,
        (host, stream): (&HostName, u64),
        (number, now): (u64, Timestamp),
        past: &Past,
    ) {
        let mut registry = self.registry();
        let Some(slot) = registry.slots.get(host) else {
            return;
        };
        // What follows from the newest commit may be what was held back.
        let link = registry.links.get(host);
        let current = link.is_some_and(|link| !link.behind && link.stream == stream);
        let (send, ended) = (slot.send.clone(), slot.ended.clone());
        let Some(granted) = registry.granting.renew(host, now, current, past) else {
            return;
        };
        let ack = CoordinatorMessage {
            message: Some(Message::RenewAck(RenewAck {
                number,
                running_only: granted.running_only,
            })),
        };
        if send.push(Ok(ack)).is_err() {
            tracing::warn!(%host, "the agent does not read its messages; its stream is ended");
            ended.cancel();
        }
    }

    /// When the last renewal of a host arrived that was acknowledged.
    pub fn renewed(&self, host: &HostName) -> Option<Timestamp> {
        self.registry().granting.renewed(host)
    }

    /// Acknowledges no renewal of these hosts until what is returned is dropped. The reconcile loop
    /// alone asks, one time after another.
    pub fn end_leases(&self, hosts: BTreeSet<HostName>) -> Ending {
        self.registry().granting.ends(&hosts);
        Ending {
            sessions: self.clone(),
            hosts,
        }
    }
}

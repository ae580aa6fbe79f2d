//! The host's lease, as the driver acts on it. What follows from what is decided in
//! [`berth_core::lease::HostLeases`].
//!
//! What counts comes through the driver's queue, behind the orders that came before it.

use std::sync::Arc;

use berth_core::{
    ids::{MemberId, RunId},
    lease::{LeaseEffect, LeaseEvent},
    member::Event,
    time::Timestamp,
};

use super::{
    act::{Actor, answer},
    driver::Driver,
};
use crate::host::{Host, KeeperClient};

impl<H: Host> Actor<H> {
    /// Tells a keeper of a renewal. One that does not hear it ends its member too early, not too late.
    fn renew(self: &Arc<Self>, member: MemberId, sent: Timestamp, client: KeeperClient) {
        self.spawn(async move {
            if let Err(reason) = answer("renew the lease", client.renew(sent)).await {
                tracing::warn!(%member, "{reason}");
            }
        });
    }

    /// Kills a keeper whose member outlives its lease.
    fn end(self: &Arc<Self>, member: MemberId, run: RunId) {
        let actor = Arc::clone(self);
        self.spawn(async move {
            tracing::error!(%member, "its lease is over, and its keeper has not ended it; it is killed");
            if let Err(reason) = actor.host.kill(&member, &run).await {
                tracing::error!(%member, "{reason}");
            }
        });
    }
}

impl<H: Host> Driver<H> {
    /// Takes in what happened to the leases, and does what follows.
    pub(super) fn lease(&mut self, event: LeaseEvent) {
        let now = self.actor.host.boottime();
        for effect in self.leases.step(now, event) {
            self.end_or_renew(effect);
        }
    }

    fn end_or_renew(&mut self, effect: LeaseEffect) {
        match effect {
            LeaseEffect::Held(member, held) => self.step(&member, Event::Lease(held)),
            LeaseEffect::Renew(member, sent) => {
                let slot = self.slots.get(&member);
                if let Some(client) = slot.and_then(|slot| slot.client.clone()) {
                    self.actor.renew(member, sent, client);
                }
            }
            LeaseEffect::Kill(member, run) => self.actor.end(member, run),
            LeaseEffect::Reboot(member) => {
                tracing::error!(%member, "it is not gone in time; the host reboots if it may");
                if let Err(reason) = self.actor.host.reboot() {
                    tracing::error!(%member, "{reason}");
                }
            }
        }
    }
}

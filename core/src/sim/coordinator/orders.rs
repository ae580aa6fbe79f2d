//! What hosts are to have: recorded as sent, then sent; and what a planted bug leaves of that after a
//! crash.

use std::collections::BTreeMap;

use crate::{
    bug::{self, Bug},
    ids::{ContentHash, Generation, HostName, MemberId},
    order::{MemberOrder, OrderHead, order_hash},
    sim::{net::ToAgent, world::World},
    state::{
        State,
        orders::{delta, host_order, snapshot},
    },
};

/// What the disk has of a coordinator that does not write in time.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    pub(super) state: Option<State>,
    pub(super) sent: Option<BTreeMap<HostName, SentOrder>>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct SentOrder {
    pub(super) head: OrderHead,
    pub(super) members: BTreeMap<MemberId, MemberOrder>,
    pub(super) hashes: BTreeMap<Generation, ContentHash>,
}

impl World {
    /// Notes what is on disk before a change: with nothing planted every change is there at once.
    pub(in crate::sim) fn before_change(&mut self) {
        let coordinator = &mut self.coordinator;
        if bug::on(Bug::ReplyBeforeSync) {
            coordinator.unsynced.state = Some(coordinator.state.clone());
        }
    }

    pub(super) fn lose_unsynced(&mut self) {
        let unsynced = std::mem::take(&mut self.coordinator.unsynced);
        if let Some(state) = unsynced.state {
            self.coordinator.state = state;
        }
        if let Some(sent) = unsynced.sent {
            self.coordinator.sent = sent;
        }
    }

    pub(super) fn send_complete(&mut self, host: &HostName) {
        let stream = self.coordinator.streams.get(host).copied();
        let sent = self.coordinator.sent.get(host).cloned();
        if let (Some(stream), Some(sent)) = (stream, sent) {
            let order = snapshot(sent.head, &sent.members);
            self.send_down(host, stream, ToAgent::Order(order));
        }
    }

    /// Records the orders that changed, and sends them to the hosts that listen; whether there were
    /// any.
    pub(super) fn record_orders(&mut self, send: bool) -> bool {
        let state = &self.coordinator.state;
        let before = self.coordinator.ordered.as_ref();
        if before.is_some_and(|before| orders_alike(before, state)) {
            return false;
        }
        let mut recorded = false;
        if bug::on(Bug::OrderSentFirst) {
            self.coordinator.unsynced.sent = Some(self.coordinator.sent.clone());
        }
        self.coordinator.ordered = Some(self.coordinator.state.clone());
        let hosts: Vec<HostName> = self.coordinator.state.hosts.keys().cloned().collect();
        for host in hosts {
            let members = host_order(&self.coordinator.state, &host);
            let sent = self
                .coordinator
                .sent
                .get(&host)
                .cloned()
                .unwrap_or_default();
            if sent.members == members && !(sent.hashes.is_empty() && send) {
                continue;
            }
            let head = OrderHead {
                history: self.coordinator.history.clone(),
                term: self.coordinator.state.term,
                generation: sent.head.generation.next(),
                hash: order_hash(&members),
            };
            let change = delta(&sent.head, &sent.members, head.clone(), &members);
            let mut hashes = sent.hashes;
            hashes.insert(head.generation, head.hash.clone());
            let record = SentOrder {
                head,
                members,
                hashes,
            };
            self.coordinator.sent.insert(host.clone(), record);
            if let Some(host) = self.coordinator.state.hosts.get_mut(&host) {
                host.contact.settled = false;
            }
            recorded = true;
            let stream = self.coordinator.streams.get(&host).copied();
            if let Some(stream) = stream.filter(|_| send) {
                self.send_down(&host, stream, ToAgent::Order(change));
            }
        }
        recorded
    }
}

/// Whether the same orders follow from two states: contact decides none.
fn orders_alike(a: &State, b: &State) -> bool {
    let mut hosts = a.hosts.values().zip(b.hosts.values());
    a.term == b.term
        && a.sets == b.sets
        && a.claims == b.claims
        && a.foundings == b.foundings
        && a.services == b.services
        && a.config_maps == b.config_maps
        && a.secrets == b.secrets
        && a.persistent_volumes == b.persistent_volumes
        && a.volumes == b.volumes
        && a.hosts.len() == b.hosts.len()
        && hosts.all(|(a, b)| a.record == b.record)
}

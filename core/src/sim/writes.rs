//! What a host has in memory and not on a server yet. It outlives the process that wrote it: a kill ends
//! no write. It is gone when the host is off, or the server takes nothing from it; else it comes, some
//! time, and then nothing of a later epoch may have been written.

use std::time::Duration;

use crate::{
    ids::{Epoch, HostName, MemberId},
    sim::{
        net::Happening,
        storage::{Place, place},
        world::World,
    },
};

/// How long a host that has nothing else to do keeps what is to be written, at most.
const KEPT: u64 = 30;

/// What an epoch of a member wrote and is not on its server.
#[derive(Debug, Clone)]
pub(super) struct Dirty {
    epoch: Epoch,
    places: Vec<Place>,
}

impl World {
    /// A member that is started writes to its volumes.
    pub(super) fn begin_writing(&mut self, name: &HostName, id: &MemberId, epoch: Epoch) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let order = host.ledger.effective(id);
        let volumes = order.map(|order| order.volumes).unwrap_or_default();
        let on_servers = volumes.iter().filter(|volume| volume.source.is_shared());
        let places: Vec<Place> = on_servers.map(|volume| place(&volume.source)).collect();
        if places.is_empty() || host.fenced_off {
            return;
        }
        for at in &places {
            let newest = self.truth.writers.entry((at.clone(), id.clone()));
            let newest = newest.or_insert(epoch);
            *newest = epoch.max(*newest);
        }
        host.dirty.insert(id.clone(), Dirty { epoch, places });
    }

    /// What runs no more left something behind. When it is written is nobody's choice; it follows from
    /// the epoch, so that nothing else of a history depends on it.
    pub(super) fn leave_writes(&mut self, name: &HostName, id: &MemberId, epoch: Epoch) {
        let Some(host) = self.hosts.get(name) else {
            return;
        };
        if host.dirty.contains_key(id) {
            let boot = host.boots;
            let happening = Happening::WritesBack {
                host: name.clone(),
                boot,
                member: id.clone(),
                epoch,
            };
            let after = Duration::from_secs(1 + epoch.counter % KEPT);
            self.schedule(after, happening);
        }
    }

    pub(super) fn writes_back(&mut self, name: &HostName, boot: u64, id: &MemberId, epoch: Epoch) {
        let host = self.hosts.get(name);
        let same = host.filter(|host| host.up && host.boots == boot);
        let left = same.and_then(|host| host.dirty.get(id));
        if left.is_some_and(|left| left.epoch == epoch) {
            self.written_back(name, id);
        }
    }

    /// What a member left is on its server now.
    pub(super) fn written_back(&mut self, name: &HostName, id: &MemberId) {
        let host = self.hosts.get_mut(name);
        let Some(left) = host.and_then(|host| host.dirty.remove(id)) else {
            return;
        };
        for at in left.places {
            let newest = self.truth.writers.get(&(at.clone(), id.clone()));
            if let Some(newest) = newest.filter(|newest| **newest > left.epoch) {
                let (_, directory) = &at;
                let detail = format!(
                    "{name} writes to {directory} what epoch {} of {id} left, after epoch {newest} did",
                    left.epoch
                );
                self.truth.breaks("I2", detail);
            }
        }
    }
}

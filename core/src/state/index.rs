//! What is asked of the state by something else than a key: who is on a host, whose is an address,
//! which members share a claim.
//!
//! Nobody keeps the index by hand. It remembers the maps that it was made of, and before it is asked
//! it takes in what changed since: [`Map::changes`] tells at the cost of the changes. So it cannot
//! be out of date, whoever changed the state and how; a test holds it against one made anew.

use std::{net::IpAddr, sync::Arc};

use crate::{
    ids::{ClaimKey, HostName, MemberId, Namespace, ObjectKey, SetKey, Uid, ZoneSerial},
    map::{Change, Map},
    memo::Memo,
    spec::{Protocol, Service},
    state::{Claim, Host, Set, Snapshot, State, Volume, VolumeState},
    time::Timestamp,
    zone,
};

mod claims;
mod groups;
mod members;
mod room;
#[cfg(test)]
pub(crate) mod tests;

pub use claims::OwnClaims;
use groups::{Counts, Groups, Runs};

/// An address, a port and its transport: what two members may not both declare.
pub type Socket = (IpAddr, u32, Protocol);

/// A label of a namespace's members: its key and value.
pub(super) type Label = (Namespace, String, String);
/// A pool of a host.
pub(super) type Pool = (HostName, String);
/// A directory in a pool of a host.
pub(super) type Place = (HostName, String, String);

/// What follows from the state, by what is asked for. See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Index {
    /// The members that are assigned to each host.
    pub on_host: Groups<HostName, MemberId>,
    /// Those of them of which nothing was ordered yet.
    pub unstarted_on: Groups<HostName, MemberId>,
    /// The hosts that have an address, in its canonical form.
    pub hosts_at: Groups<IpAddr, HostName>,
    /// The hosts whose agents reported a member last, in contact or not.
    pub reported_on: Groups<MemberId, HostName>,
    /// The members that declare a socket.
    pub sockets: Groups<Socket, MemberId>,
    /// How many ordinals own an address, hosts have it, and members are named with it.
    pub addresses: Counts<IpAddr>,
    /// The IPv4 addresses of those, run by run.
    pub taken: Runs,
    /// How many members were named first in a zone.
    pub named: Counts<ZoneSerial>,
    /// The assigned members that share a claim.
    pub sharers: Groups<ClaimKey, MemberId>,
    /// The sets that depend on a set.
    pub dependants: Groups<SetKey, SetKey>,
    /// Sets with one member per host.
    pub per_host: Groups<(), SetKey>,
    /// The claims of the members of a set.
    pub claims_of: Map<SetKey, OwnClaims>,
    /// Claims that were made by hand and have no volume.
    pub unbound: Groups<(), ClaimKey>,
    /// How many claims have an id.
    pub uids: Counts<Arc<Uid>>,
    /// The volumes that are, or were, a claim's.
    pub volumes_of: Groups<ClaimKey, ObjectKey>,
    /// Volumes in the trash, by the time since when.
    pub trash: Groups<Timestamp, ObjectKey>,
    /// Volumes into which data is being copied.
    pub copying: Groups<(), ObjectKey>,
    /// Volumes that an agent may have something to do about: all but those that are just there.
    pub at_work: Groups<(), ObjectKey>,
    /// Volumes that a class made, and whose claim is not there.
    pub loose: Groups<(), ObjectKey>,
    /// Bytes of the volumes and snapshots in a pool of a host.
    pub used: Map<Arc<Pool>, u128>,
    /// Volumes on servers.
    pub on_servers: Groups<(), ObjectKey>,
    /// The volumes in a directory of a pool of a host.
    pub at: Groups<Arc<Place>, ObjectKey>,
    /// Sets whose `serviceName` is this one.
    pub named_by: Groups<ObjectKey, SetKey>,
    /// Sets with a revision whose members have a label.
    pub labelled: Groups<Arc<Label>, SetKey>,
    /// Services by the first label that they select.
    pub selecting: Groups<Arc<Label>, ObjectKey>,
    seen: Seen,
}

/// What an index is made of.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    hosts: Map<HostName, Host>,
    sets: Map<SetKey, Set>,
    claims: Map<ClaimKey, Claim>,
    volumes: Map<ObjectKey, Volume>,
    snapshots: Map<ObjectKey, Snapshot>,
    services: Map<ObjectKey, Service>,
}

impl Seen {
    fn of(state: &State) -> Self {
        Self {
            hosts: state.hosts.clone(),
            sets: state.sets.clone(),
            claims: state.claims.clone(),
            volumes: state.volumes.clone(),
            snapshots: state.snapshots.clone(),
            services: state.services.clone(),
        }
    }
}

impl State {
    /// The index of this state as it is now.
    pub fn index(&self) -> Arc<Index> {
        let mut memo = self.memo.lock();
        let index = memo.get_or_insert_default();
        if !index.is_of(self) {
            Arc::make_mut(index).follow(self);
        }
        Arc::clone(index)
    }

    /// Finds out now what is asked of it later, so that its copies need not.
    pub fn remember(&self) {
        self.index();
        zone::hash(self);
    }

    /// Has what was found out about a copy ([`Self::remember`]), also of a state that has changed since.
    pub fn recall(&self, copy: &Self) {
        self.memo.recall(&copy.memo);
        self.zone_memo.recall(&copy.zone_memo);
    }

    /// A copy that has no index. Field by field: a copy of the whole would ask for the index, whose
    /// lock is held where this is called.
    pub(crate) fn bare(&self) -> Self {
        Self {
            history: self.history.clone(),
            term: self.term,
            zone_name: self.zone_name.clone(),
            zone: self.zone.clone(),
            past: self.past.clone(),
            hosts: self.hosts.clone(),
            sets: self.sets.clone(),
            claims: self.claims.clone(),
            foundings: self.foundings.clone(),
            services: self.services.clone(),
            config_maps: self.config_maps.clone(),
            secrets: self.secrets.clone(),
            address_pools: self.address_pools.clone(),
            storage_classes: self.storage_classes.clone(),
            persistent_volumes: self.persistent_volumes.clone(),
            volumes: self.volumes.clone(),
            trash_keep: self.trash_keep,
            trash_from: self.trash_from,
            leases: self.leases,
            term_began: self.term_began,
            fences: self.fences.clone(),
            volume_snapshots: self.volume_snapshots.clone(),
            snapshots: self.snapshots.clone(),
            memo: Memo::default(),
            zone_memo: Memo::default(),
        }
    }
}

impl Index {
    fn is_of(&self, state: &State) -> bool {
        let seen = &self.seen;
        seen.sets.is_same(&state.sets)
            && seen.hosts.is_same(&state.hosts)
            && seen.claims.is_same(&state.claims)
            && seen.volumes.is_same(&state.volumes)
            && seen.snapshots.is_same(&state.snapshots)
            && seen.services.is_same(&state.services)
    }

    /// Takes in what changed.
    fn follow(&mut self, state: &State) {
        let state = Seen::of(state);
        let before = std::mem::replace(&mut self.seen, state.clone());
        for Change { key, before, after } in state.hosts.changes(&before.hosts) {
            self.host(key, before, after);
        }
        for Change { key, before, after } in state.sets.changes(&before.sets) {
            self.set(key, before, after);
        }
        for Change { key, before, .. } in state.claims.changes(&before.claims) {
            self.claim(key, before, state.claims.get_shared(key));
        }
        self.volumes(&before, &state);
        for Change { key, before, after } in state.services.changes(&before.services) {
            for (service, is_there) in [(before, false), (after, true)] {
                if let Some(label) = service.and_then(|service| first_label(key, service)) {
                    self.selecting.put(&Arc::new(label), key, is_there);
                }
            }
        }
    }

    fn host(&mut self, name: &HostName, before: Option<&Host>, after: Option<&Host>) {
        let address = |host: &Host| host.record.advertise_address;
        self.address_of(before.map(address), after.map(address));
        let at = |host: &Host| address(host).to_canonical();
        let (old, new) = (before.map(at), after.map(at));
        self.hosts_at.swap(old.as_ref(), new.as_ref(), name);
        let none = Map::new();
        let reports = |host: Option<&Host>| {
            host.map_or_else(|| none.clone(), |host| host.contact.members.clone())
        };
        let (old, new) = (reports(before), reports(after));
        for Change { key, before, after } in new.changes(&old) {
            if before.is_some() != after.is_some() {
                self.reported_on.put(key, name, after.is_some());
            }
        }
    }

    fn address_of(&mut self, before: Option<IpAddr>, after: Option<IpAddr>) {
        if before != after {
            before.into_iter().for_each(|old| self.address(old, false));
            after.into_iter().for_each(|new| self.address(new, true));
        }
    }

    fn address(&mut self, address: IpAddr, is_there: bool) {
        if self.addresses.put(&address, is_there)
            && let IpAddr::V4(address) = address
        {
            self.taken.put(address.to_bits(), is_there);
        }
    }
}

/// The first label that a service selects; a service without a selector takes in no member.
pub(crate) fn first_label(
    key: &ObjectKey,
    service: &Service,
) -> Option<(Namespace, String, String)> {
    let (label, value) = service.spec.selector.iter().next()?;
    Some((key.namespace.clone(), label.clone(), value.clone()))
}

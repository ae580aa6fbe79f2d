//! What an operator does to the simulated cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    ids::{ClaimKey, HostName, MemberId, ObjectKey, Ordinal, SetKey, Uid},
    sim::World,
    spec::{
        AccessMode, AddressPool, AddressPoolSpec, ConfigMap, DataSource, LabelSelector,
        NfsVolumeSource, PersistentVolume, PersistentVolumeClaimSpec, Provisioner, ReclaimPolicy,
        StorageClass,
    },
    state::{Claim, Draining, Offline, Ordered, Set},
};

mod copies;
mod set;
mod volumes;

pub use set::SetOptions;
pub use volumes::Word;

/// The class of the volumes that operators make.
pub const BY_HAND: &str = "hand";
/// The label of hosts that sets are placed by.
pub const RACK: &str = "rack";
/// The class whose volumes are directories of a server.
pub const SERVER: &str = "nfs";

/// What selects the volume of one member.
fn slot(value: &str) -> LabelSelector {
    let mut selector = LabelSelector::default();
    let labels = &mut selector.match_labels;
    labels.insert("slot".to_owned(), value.to_owned());
    selector
}

impl World {
    /// Whether a set is there.
    pub fn has_set(&self, key: &SetKey) -> bool {
        self.coordinator.state.sets.contains_key(key)
    }

    /// Applies a set, new or changed. Nothing comes of it while the coordinator is down, nor of a
    /// set that is being deleted: the coordinator refuses such a change.
    pub fn put_set(&mut self, key: &SetKey, options: &SetOptions) {
        if !self.coordinator.up {
            return;
        }
        self.before_change();
        let spec = options.spec(key);
        self.scheduled_uid += 1;
        let uid = Uid(format!("set-{}", self.scheduled_uid));
        let sets = &mut self.coordinator.state.sets;
        let set = sets.or_insert_with(key.clone(), || Set {
            uid,
            ..Set::default()
        });
        if set.deleting.is_some() {
            return;
        }
        set.spec = Arc::new(spec);
        // A set of the name takes the members of an earlier one back.
        set.orphaned = None;
        self.revise(key);
        if options.quorum {
            self.quorums.insert(key.clone());
        }
        self.truth_of_answer(key);
        self.reconcile();
    }

    /// Applies the ConfigMap of a set, or deletes it.
    pub fn put_config(&mut self, key: &SetKey, config: Option<(u32, u32)>) {
        if !self.coordinator.up {
            return;
        }
        let maps = &mut self.coordinator.state.config_maps;
        match config {
            None => {
                maps.remove(key);
            }
            Some((env, file)) => {
                let mut map = ConfigMap::default();
                for (name, value) in [("env", env), ("file", file)] {
                    map.data.insert(name.to_owned(), value.to_string());
                }
                maps.insert(key.clone(), map);
            }
        }
        self.revise(key);
        self.reconcile();
    }

    fn revise(&mut self, key: &SetKey) {
        self.coordinator.state.revise(key, self.now);
        let set = self.coordinator.state.sets.get(key);
        if let Some(revision) = set.and_then(|set| set.revisions.get(&set.revision)) {
            let config = Arc::clone(&revision.config);
            let hash = set.map(|set| set.revision.clone()).unwrap_or_default();
            self.truth.configs.insert(hash, config);
        }
    }

    /// Asks for the restart of a member, if it was ordered to run.
    pub fn restart(&mut self, id: &MemberId) {
        let now = self.now;
        let set = self.coordinator.state.sets.get_mut(&id.set);
        let member = set.and_then(|set| set.members.get_mut(&id.ordinal));
        if let Some(member) = member.filter(|member| member.ordered == Ordered::Run)
            && self.coordinator.up
        {
            member.restart_asked.get_or_insert(now);
        }
        self.reconcile();
    }

    /// Asks for the deletion of a set.
    pub fn delete_set(&mut self, key: &SetKey) {
        let now = self.now;
        let sets = &mut self.coordinator.state.sets;
        if let Some(set) = sets.get_mut(key).filter(|_| self.coordinator.up) {
            set.orphaned = None;
            set.deleting.get_or_insert(now);
        }
        self.reconcile();
    }

    /// Applies an address pool.
    pub fn put_pool(&mut self, key: &SetKey, cidr: &str, default: bool) {
        let cidr = cidr.to_owned();
        let pool = AddressPool {
            spec: AddressPoolSpec { cidr, default },
            ..AddressPool::default()
        };
        let pools = &mut self.coordinator.state.address_pools;
        pools.insert(key.clone(), pool);
        self.reconcile();
    }

    /// Applies a class that makes directories on a server.
    pub fn put_class(&mut self) {
        let mut class = StorageClass {
            provisioner: Provisioner::Nfs,
            reclaim_policy: ReclaimPolicy::Delete,
            ..StorageClass::default()
        };
        SERVER.clone_into(&mut class.metadata.name);
        "nas".clone_into(&mut class.parameters.server);
        "/exports".clone_into(&mut class.parameters.share);
        if let Ok(key) = ObjectKey::of_cluster(SERVER) {
            let classes = &mut self.coordinator.state.storage_classes;
            classes.insert(key, class);
        }
        self.reconcile();
    }

    /// Makes a volume on a server for the member of a name, unless there is one of its own name.
    pub fn put_volume(&mut self, name: &str, member: &str) {
        let Ok(key) = ObjectKey::of_cluster(name) else {
            return;
        };
        if !self.coordinator.up {
            return;
        }
        let mut volume = PersistentVolume::default();
        name.clone_into(&mut volume.metadata.name);
        let labels = &mut volume.metadata.labels;
        labels.insert("slot".to_owned(), member.to_owned());
        volume.spec.access_modes = vec![AccessMode::ReadWriteOnce];
        BY_HAND.clone_into(&mut volume.spec.storage_class_name);
        volume.spec.nfs = Some(NfsVolumeSource {
            server: "nas".to_owned(),
            path: format!("/static/{name}"),
            read_only: false,
        });
        let volumes = &mut self.coordinator.state.persistent_volumes;
        volumes.or_insert_with(key, || volume);
        self.reconcile();
    }

    /// Makes a claim of a class by hand, unless there is one of its name. One of [`BY_HAND`] selects
    /// the volume that is for the member after whom it is named, `data-<member>`.
    pub fn put_claim(&mut self, key: &ClaimKey, class: &str) {
        self.make_claim(key, class, None);
    }

    fn make_claim(&mut self, key: &ClaimKey, class: &str, source: Option<DataSource>) {
        let taken = self.coordinator.state.claims.contains_key(key);
        if taken || !self.coordinator.up {
            return;
        }
        self.scheduled_uid += 1;
        let member = key.name.as_str().strip_prefix("data-");
        let mut spec = PersistentVolumeClaimSpec {
            storage_class_name: Some(class.to_owned()),
            selector: member.filter(|_| class == BY_HAND).map(slot),
            data_source: source,
            ..PersistentVolumeClaimSpec::default()
        };
        if member.is_none() {
            spec.access_modes.push(AccessMode::ReadWriteMany);
        }
        let claim = Claim {
            uid: Uid(format!("claim-{}", self.scheduled_uid)),
            member: None,
            template: String::new(),
            spec,
            labels: BTreeMap::new(),
            volume: None,
            filled: false,
            owner: None,
            created_at: self.now,
            goes_with: None,
        };
        let claims = &mut self.coordinator.state.claims;
        claims.insert(key.clone(), claim);
        self.reconcile();
    }

    /// Cordons a host, or lets it take members again.
    pub fn cordon(&mut self, host: &HostName, cordoned: bool) {
        if let Some(host) = self.coordinator.state.hosts.get_mut(host) {
            host.record.unschedulable = cordoned;
        }
        self.reconcile();
    }

    /// Drains a host, or ends its drain. Those that live there by their data are stopped too if it is
    /// said.
    pub fn drain(&mut self, host: &HostName, draining: bool, stop_pinned: bool) {
        let since = self.now;
        if let Some(host) = self.coordinator.state.hosts.get_mut(host) {
            host.record.unschedulable = draining;
            let drain = Draining { since, stop_pinned };
            host.record.directives.draining = draining.then_some(drain);
        }
        self.reconcile();
    }

    /// Labels a host with its rack, or takes the label away.
    pub fn rack(&mut self, host: &HostName, rack: Option<&str>) {
        if let Some(host) = self.coordinator.state.hosts.get_mut(host) {
            host.record.label(RACK, rack);
        }
        self.reconcile();
    }

    /// Takes a member offline, or lets it come back.
    pub fn offline(&mut self, id: &MemberId, offline: bool) {
        let since = self.now;
        if let Some(set) = self.coordinator.state.sets.get_mut(&id.set) {
            if offline {
                let reason = String::new();
                let offline = Offline { since, reason };
                set.offline.or_insert_with(id.ordinal, || offline);
            } else {
                set.offline.remove(&id.ordinal);
            }
        }
        self.reconcile();
    }

    /// Every member of every set, with where it is, and why it waits.
    pub fn show(&self) -> Vec<String> {
        let state = &self.coordinator.state;
        let mut lines = Vec::new();
        for (key, set) in &state.sets {
            let assigned = set.members.keys().copied();
            let ordinals: BTreeSet<Ordinal> = set.declared().chain(assigned).collect();
            for ordinal in ordinals {
                let id = MemberId {
                    set: key.clone(),
                    ordinal,
                };
                let place = set.members.get(&ordinal).map_or_else(
                    || "-".to_owned(),
                    |member| format!("{} {} {:?}", member.host, member.address, member.ordered),
                );
                let keeper = self.hosts.values().any(|h| h.keepers.contains_key(&id));
                let runs = if keeper { "runs" } else { "down" };
                let waits = self.coordinator.report.waiting.get(&id);
                let why = waits.map_or_else(String::new, |why| format!("  {}: {why}", why.rule()));
                lines.push(format!("{}  {place}  {runs}{why}", id.name()));
            }
        }
        lines
    }
}

//! What an operator does to the simulated cluster.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    ids::{ClaimKey, HostName, MemberId, ObjectKey, Ordinal, SetKey, Uid},
    sim::World,
    spec::{
        AccessMode, AddressPool, AddressPoolSpec, ClaimReference, ClaimTemplate, EnvVar,
        GatePolicy, LabelSelector, MemberVolume, Membership, NfsVolumeSource, PersistentVolume,
        PersistentVolumeClaimSpec, Port, Process, Provisioner, Spread, StatefulSetSpec,
        StorageClass,
    },
    state::{Claim, Set, Volume},
    volume::access::sharers,
};

/// A set, as far as the simulation tells sets apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetOptions {
    /// How many members.
    pub replicas: u32,
    /// `podManagementPolicy`
    pub policy: GatePolicy,
    /// `bootstrapPolicy`
    pub bootstrap: Option<GatePolicy>,
    /// `coldStartPolicy`
    pub cold: Option<GatePolicy>,
    /// `spread`
    pub spread: Spread,
    /// Whether its number of members is fixed once it is founded.
    pub fixed: bool,
    /// Whether each member has a claim `data`.
    pub claim: bool,
    /// The class of that claim; the built-in one if it is not said. Claims of [`BY_HAND`] select the
    /// volume with their own label.
    pub class: Option<String>,
    /// A claim that all members use.
    pub shared: Option<String>,
    /// Whether a member is ready only while more than half of them run.
    pub quorum: bool,
    /// The port that each member declares.
    pub port: Option<u32>,
    /// `minReadySeconds`
    pub min_ready: u32,
    /// Changes the template.
    pub revision: u32,
    /// `addressPool`
    pub pool: Option<String>,
}

impl Default for SetOptions {
    fn default() -> Self {
        Self {
            replicas: 1,
            policy: GatePolicy::OrderedReady,
            bootstrap: None,
            cold: None,
            spread: Spread::Require,
            fixed: false,
            claim: false,
            class: None,
            shared: None,
            quorum: false,
            port: None,
            min_ready: 0,
            revision: 1,
            pool: None,
        }
    }
}

/// The class of the volumes that operators make.
pub const BY_HAND: &str = "hand";
/// The class whose volumes are directories of a server.
pub const SERVER: &str = "nfs";

fn slot(value: &str) -> LabelSelector {
    let mut selector = LabelSelector::default();
    let labels = &mut selector.match_labels;
    labels.insert("slot".to_owned(), value.to_owned());
    selector
}

impl SetOptions {
    fn spec(&self) -> StatefulSetSpec {
        let mut process = Process {
            name: "main".to_owned(),
            command: vec!["/bin/app".to_owned()],
            user: Some("app".to_owned()),
            env: vec![EnvVar {
                name: "REVISION".to_owned(),
                value: Some(self.revision.to_string()),
                ..EnvVar::default()
            }],
            ..Process::default()
        };
        process.ports.extend(self.port.map(|container_port| Port {
            container_port,
            ..Port::default()
        }));
        let mut spec = StatefulSetSpec {
            replicas: Some(self.replicas.into()),
            pod_management_policy: self.policy,
            bootstrap_policy: self.bootstrap,
            cold_start_policy: self.cold,
            membership: self.fixed.then_some(Membership::Static),
            spread: self.spread,
            min_ready_seconds: self.min_ready,
            address_pool: self.pool.clone(),
            ..StatefulSetSpec::default()
        };
        spec.template.spec.processes.push(process);
        if self.claim {
            let mut template = ClaimTemplate::default();
            template.metadata.name = "data".to_owned();
            template.spec.storage_class_name.clone_from(&self.class);
            if self.class.as_deref() == Some(BY_HAND) {
                template.spec.selector = Some(slot("{{ member }}"));
            }
            spec.volume_claim_templates.push(template);
        }
        let shared = self.shared.iter().map(|claim| MemberVolume {
            name: "shared".to_owned(),
            persistent_volume_claim: ClaimReference {
                claim_name: claim.clone(),
                read_only: false,
            },
        });
        spec.template.spec.volumes.extend(shared);
        spec
    }
}

impl World {
    /// Applies a set, new or changed. Nothing comes of it while the coordinator is down, nor of a
    /// set that is being deleted: the coordinator refuses such a change.
    pub fn put_set(&mut self, key: &SetKey, options: &SetOptions) {
        if !self.coordinator.up {
            return;
        }
        let spec = options.spec();
        self.scheduled_uid += 1;
        let uid = Uid(format!("set-{}", self.scheduled_uid));
        let sets = &mut self.coordinator.state.sets;
        let set = sets.entry(key.clone()).or_insert_with(|| Set {
            uid,
            ..Set::default()
        });
        if set.deleting.is_some() {
            return;
        }
        set.spec = Arc::new(spec);
        self.coordinator.state.revise(key, self.now);
        if options.quorum {
            self.quorums.insert(key.clone());
        }
        self.reconcile();
    }

    /// Asks for the deletion of a set.
    pub fn delete_set(&mut self, key: &SetKey) {
        let now = self.now;
        let sets = &mut self.coordinator.state.sets;
        if let Some(set) = sets.get_mut(key).filter(|_| self.coordinator.up) {
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
        volumes.entry(key).or_insert(volume);
        self.reconcile();
    }

    /// Makes a claim of a class by hand, unless there is one of its name. One of [`BY_HAND`] selects
    /// the volume that is for the member after whom it is named, `data-<member>`.
    pub fn put_claim(&mut self, key: &ClaimKey, class: &str) {
        let taken = self.coordinator.state.claims.contains_key(key);
        if taken || !self.coordinator.up {
            return;
        }
        self.scheduled_uid += 1;
        let member = key.name.as_str().strip_prefix("data-");
        let mut spec = PersistentVolumeClaimSpec {
            storage_class_name: Some(class.to_owned()),
            selector: member.filter(|_| class == BY_HAND).map(slot),
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
        };
        let claims = &mut self.coordinator.state.claims;
        claims.insert(key.clone(), claim);
        self.reconcile();
    }

    /// Deletes the claims that no member uses and no set was founded on, and gives their volumes free: those made by hand to
    /// whoever asks next, emptied, the others for good.
    pub fn drop_claims(&mut self) {
        if !self.coordinator.up {
            return;
        }
        let state = &mut self.coordinator.state;
        let before = state.clone();
        let assigned = |id: &MemberId| {
            let set = before.sets.get(&id.set);
            set.is_some_and(|set| set.members.contains_key(&id.ordinal))
        };
        let founds = |key: &ClaimKey| {
            before
                .foundings
                .values()
                .any(|f| f.filled.contains_key(key))
        };
        state.claims.retain(|key, claim| {
            let founds = founds(key);
            founds
                || claim.member.as_ref().is_some_and(assigned)
                || sharers(&before, key).next().is_some()
        });
        let claims = state.claims.clone();
        let gone = |volume: &Volume| {
            let bound = volume.claim.as_ref();
            bound.is_some_and(|bound| claims.get(&bound.key).is_none_or(|c| c.uid != bound.uid))
        };
        let freed = state.volumes.values().filter(|volume| gone(volume));
        self.truth.freed(freed);
        state
            .volumes
            .retain(|_, volume| !(volume.provisioned && gone(volume)));
        for volume in state.volumes.values_mut() {
            if gone(volume) {
                volume.claim = None;
            }
        }
        self.reconcile();
    }

    /// Cordons a host, or lets it take members again.
    pub fn cordon(&mut self, host: &HostName, cordoned: bool) {
        if let Some(host) = self.coordinator.state.hosts.get_mut(host) {
            host.record.unschedulable = cordoned;
        }
        self.reconcile();
    }

    /// Every member of every set, with where it is, and why it waits.
    pub fn show(&self) -> Vec<String> {
        let state = &self.coordinator.state;
        let mut lines = Vec::new();
        for (key, set) in &state.sets {
            let assigned = set.members.keys().copied();
            let ordinals: std::collections::BTreeSet<Ordinal> =
                set.declared().chain(assigned).collect();
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

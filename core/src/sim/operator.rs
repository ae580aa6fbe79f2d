//! What an operator does to the simulated cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    ids::{ClaimKey, HostName, MemberId, ObjectKey, Ordinal, SetKey, Uid},
    sim::World,
    spec::{
        AccessMode, AddressPool, AddressPoolSpec, Amount, ClaimReference, ClaimTemplate, ConfigMap,
        ConfigUpdate, DataSource, Dependency, DisruptionBudget, EnvVar, EnvVarSource, FileSource,
        GatePolicy, KeySelector, LabelSelector, MemberVolume, Membership, NfsVolumeSource,
        OnChange, Ordinals, Override, PersistentVolume, PersistentVolumeClaimSpec, Placement, Port,
        Process, Provisioner, ReclaimPolicy, RetentionPolicy, RollingUpdate, Spread,
        StatefulSetSpec, StorageClass, TopologySpreadConstraint, UpdateKind, UpdateStrategy,
        WhenUnsatisfiable,
    },
    state::{Claim, Draining, Offline, Ordered, Set},
};

mod copies;
mod volumes;

pub use volumes::Word;

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
    /// Whether members use the keys `env` and `file` of a ConfigMap named as the set.
    pub config: bool,
    /// Whether a changed file reaches members that run.
    pub reload: bool,
    /// `ordinals.reserved`
    pub reserved: BTreeSet<u32>,
    /// An ordinal whose member has arguments of its own.
    pub special: Option<u32>,
    /// Whether there is one member on each host of rack a instead of `replicas`.
    pub per_host: bool,
    /// Whether members are spread evenly over the racks.
    pub racks: Option<WhenUnsatisfiable>,
    /// `ordinals.start`
    pub start: u32,
    /// `updateStrategy.type`
    pub update: UpdateKind,
    /// `updateStrategy.rollingUpdate.partition`
    pub partition: u32,
    /// `updateStrategy.rollingUpdate.maxUnavailable`
    pub max_unavailable: Option<Amount>,
    /// `disruptionBudget.minAvailable`
    pub min_available: Option<Amount>,
    /// `progressDeadlineSeconds`
    pub deadline: Option<u32>,
    /// `autoRollback`
    pub auto_rollback: bool,
    /// `paused`
    pub paused: bool,
    /// `persistentVolumeClaimRetentionPolicy`
    pub retention: RetentionPolicy,
    /// `dependsOn`, of one set.
    pub needs: Option<Dependency>,
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
            config: false,
            reload: false,
            reserved: BTreeSet::new(),
            special: None,
            per_host: false,
            racks: None,
            start: 0,
            update: UpdateKind::RollingUpdate,
            partition: 0,
            max_unavailable: None,
            min_available: None,
            deadline: None,
            auto_rollback: false,
            paused: false,
            retention: RetentionPolicy::default(),
            needs: None,
        }
    }
}

/// The class of the volumes that operators make.
pub const BY_HAND: &str = "hand";
/// The label of hosts that sets are placed by.
pub const RACK: &str = "rack";
/// The class whose volumes are directories of a server.
pub const SERVER: &str = "nfs";

fn slot(value: &str) -> LabelSelector {
    let mut selector = LabelSelector::default();
    let labels = &mut selector.match_labels;
    labels.insert("slot".to_owned(), value.to_owned());
    selector
}

/// What makes a process depend on the config of its set.
fn configure(process: &mut Process, key: &SetKey) {
    let selector = |entry: &str| {
        Some(KeySelector {
            name: key.name.to_string(),
            key: entry.to_owned(),
            optional: false,
        })
    };
    process.env.push(EnvVar {
        name: "CONFIG".to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            config_map_key_ref: selector("env"),
            ..EnvVarSource::default()
        }),
    });
    process.files.push(FileSource {
        path: "app.conf".to_owned(),
        config_map: selector("file"),
        on_change: OnChange::Signal,
        ..FileSource::default()
    });
}

impl SetOptions {
    fn update_strategy(&self) -> UpdateStrategy {
        UpdateStrategy {
            kind: self.update,
            rolling_update: Some(RollingUpdate {
                partition: self.partition,
                max_unavailable: self.max_unavailable.clone(),
            }),
        }
    }

    fn spec(&self, key: &SetKey) -> StatefulSetSpec {
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
        if self.config {
            configure(&mut process, key);
        }
        let mut spec = StatefulSetSpec {
            replicas: Some(self.replicas.into()),
            pod_management_policy: self.policy,
            bootstrap_policy: self.bootstrap,
            cold_start_policy: self.cold,
            membership: self.fixed.then_some(Membership::Static),
            spread: self.spread,
            min_ready_seconds: self.min_ready,
            address_pool: self.pool.clone(),
            config_update: if self.reload {
                ConfigUpdate::Reload
            } else {
                ConfigUpdate::Rollout
            },
            ordinals: Ordinals {
                start: self.start,
                ..Ordinals::default()
            },
            update_strategy: Some(self.update_strategy()),
            disruption_budget: self.min_available.clone().map(|least| DisruptionBudget {
                min_available: Some(least),
                max_unavailable: None,
            }),
            progress_deadline_seconds: self.deadline,
            auto_rollback: self.auto_rollback,
            paused: self.paused,
            persistent_volume_claim_retention_policy: self.retention,
            depends_on: self.needs.iter().cloned().collect(),
            ..StatefulSetSpec::default()
        };
        spec.template.spec.processes.push(process);
        self.place(&mut spec);
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

impl SetOptions {
    fn place(&self, spec: &mut StatefulSetSpec) {
        spec.ordinals.reserved.clone_from(&self.reserved);
        spec.overrides.extend(self.special.map(|ordinal| Override {
            ordinals: ordinal.to_string(),
            args: Some(vec!["--special".to_owned()]),
            ..Override::default()
        }));
        let member = &mut spec.template.spec;
        if self.per_host {
            spec.replicas = None;
            spec.placement = Placement::PerHost;
            let selector = &mut member.node_selector;
            selector.insert(RACK.to_owned(), "a".to_owned());
        }
        let constraint = self
            .racks
            .map(|when_unsatisfiable| TopologySpreadConstraint {
                topology_key: RACK.to_owned(),
                max_skew: 1,
                when_unsatisfiable,
            });
        member.topology_spread_constraints.extend(constraint);
    }
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
        let spec = options.spec(key);
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
        // A set of the name takes the members of an earlier one back.
        set.orphaned = None;
        self.revise(key);
        if options.quorum {
            self.quorums.insert(key.clone());
        }
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
        volumes.entry(key).or_insert(volume);
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
                set.offline.entry(id.ordinal).or_insert(offline);
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

//! A set as the simulated operator writes it.

use std::collections::BTreeSet;

use super::{BY_HAND, RACK, slot};
use crate::{
    ids::SetKey,
    sample::use_config,
    spec::{
        Amount, ClaimReference, ClaimTemplate, ConfigUpdate, Dependency, DisruptionBudget, EnvVar,
        FailurePolicy, GatePolicy, LeaseClass, MemberVolume, Membership, OnChange, Ordinals,
        Override, Placement, Port, Process, RetentionPolicy, RollingUpdate, Spread,
        StatefulSetSpec, TopologySpreadConstraint, UpdateKind, UpdateStrategy, WhenUnsatisfiable,
    },
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
    /// Whether hosts must have the user of the process.
    pub requires: bool,
    /// The class of its leases, if its members fail over.
    pub failover: Option<LeaseClass>,
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
            requires: false,
            failover: None,
            needs: None,
        }
    }
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

    fn let_move(&self, spec: &mut StatefulSetSpec) {
        if self.failover.is_some() {
            spec.failure_policy = FailurePolicy::Failover;
            spec.lease_class = self.failover;
        }
    }

    pub(super) fn spec(&self, key: &SetKey) -> StatefulSetSpec {
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
            let file = ("app.conf", "file", OnChange::Signal);
            use_config(&mut process, key.name.as_str(), &[file]);
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
            paused: Some(self.paused),
            persistent_volume_claim_retention_policy: self.retention,
            depends_on: self.needs.iter().cloned().collect(),
            ..StatefulSetSpec::default()
        };
        spec.template.spec.processes.push(process);
        self.place(&mut spec);
        self.let_move(&mut spec);
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
        if self.requires {
            member.requires.users.push("app".to_owned());
        }
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

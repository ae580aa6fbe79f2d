//! The sets of random histories: what one is like for all of its history.

use proptest::prelude::*;

use super::{
    SETS,
    storage::{self, BY_HAND, Storage},
    ways::{FILES, Way},
};
use crate::{
    fixture::{quantity, spec},
    prerequisite::Prerequisite,
    sample::use_config,
    spec::{
        AccessMode, ClaimReference, Dependency, DependencyGate, EnvVar, GatePolicy, MemberVolume,
        Membership, Override, Placement, ReadinessGate, Retention, RetentionPolicy, Spread,
        StatefulSetSpec, TopologySpreadConstraint, WhenUnsatisfiable,
    },
};

/// How a set is, for the whole history.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) policy: GatePolicy,
    pub(super) bootstrap: Option<GatePolicy>,
    pub(super) cold: Option<GatePolicy>,
    pub(super) storage: Storage,
    pub(super) spread: Spread,
    pub(super) founded: bool,
    pub(super) min_ready: u32,
    pub(super) place: Place,
    pub(super) retention: RetentionPolicy,
    /// It needs the set before it.
    pub(super) needs: Option<DependencyGate>,
    /// Its members use a config object of its name.
    pub(super) config: bool,
    /// Its hosts must have [`required`].
    pub(super) requires: bool,
    /// Its members wait for a condition besides their processes.
    pub(super) gated: bool,
}

/// What sets require of their hosts, if they do.
pub(super) fn required() -> Prerequisite {
    let name = "db".to_owned();
    Prerequisite::User { name }
}

/// Where the members of a set go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Place {
    Anywhere,
    /// Evenly over the racks, strictly or not.
    Even(bool),
    /// One on each host of rack a.
    PerHost,
}

impl Place {
    fn write(self, wanted: &mut StatefulSetSpec) {
        match self {
            Self::Anywhere => {}
            Self::Even(strict) => {
                let constraint = TopologySpreadConstraint {
                    topology_key: "rack".to_owned(),
                    max_skew: 1,
                    when_unsatisfiable: if strict {
                        WhenUnsatisfiable::DoNotSchedule
                    } else {
                        WhenUnsatisfiable::ScheduleAnyway
                    },
                };
                let constraints = &mut wanted.template.spec.topology_spread_constraints;
                constraints.push(constraint);
            }
            Self::PerHost => {
                wanted.replicas = None;
                wanted.placement = Placement::PerHost;
                let selector = &mut wanted.template.spec.node_selector;
                selector.insert("rack".to_owned(), "a".to_owned());
            }
        }
    }
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        2 => Just(Place::Anywhere),
        1 => any::<bool>().prop_map(Place::Even),
        1 => Just(Place::PerHost),
    ]
}

fn retention() -> impl Strategy<Value = RetentionPolicy> {
    let one = || prop_oneof![Just(Retention::Retain), Just(Retention::Delete)];
    (one(), one()).prop_map(|(when_deleted, when_scaled)| RetentionPolicy {
        when_deleted,
        when_scaled,
    })
}

fn needs() -> impl Strategy<Value = Option<DependencyGate>> {
    let gates = [
        DependencyGate::Started,
        DependencyGate::Ready,
        DependencyGate::Available,
    ];
    prop::option::weighted(0.3, prop::sample::select(gates.to_vec()))
}

fn policy() -> impl Strategy<Value = GatePolicy> {
    prop_oneof![
        Just(GatePolicy::OrderedReady),
        Just(GatePolicy::OrderedStarted),
        Just(GatePolicy::Parallel),
    ]
}

pub(super) fn kind() -> impl Strategy<Value = Kind> {
    let policies = (
        policy(),
        prop::option::of(policy()),
        prop::option::of(policy()),
    );
    let rest = (
        storage::storage(),
        any::<bool>(),
        any::<bool>(),
        0..3_u32,
        place(),
    );
    let uses = (
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
    );
    (policies, rest, retention(), needs(), uses).prop_map(
        |(
            (policy, bootstrap, cold),
            (storage, require, founded, ready, place),
            retention,
            needs,
            (config, requires, gated),
        )| {
            // Members of different hosts cannot share what only one of them may use.
            let together = storage == Storage::Shared(AccessMode::ReadWriteOnce);
            let place = if together { Place::Anywhere } else { place };
            let per_host = place == Place::PerHost;
            Kind {
                policy,
                bootstrap,
                cold,
                storage,
                spread: if per_host || require && !together {
                    Spread::Require
                } else {
                    Spread::Prefer
                },
                founded: founded && !per_host,
                min_ready: ready * 5,
                place,
                retention,
                needs,
                config,
                requires,
                gated,
            }
        },
    )
}

impl Kind {
    /// Whether its ordinals may begin elsewhere. Where a volume pins each member to a host of its own,
    /// those who come back may find another one there.
    pub(super) fn may_shift(&self) -> bool {
        let pinned = self.storage == Storage::Local && self.spread == Spread::Require;
        !self.founded && !pinned && self.place != Place::PerHost
    }

    pub(super) fn spec(
        &self,
        set: usize,
        replicas: i64,
        revision: u8,
        way: &Way,
    ) -> StatefulSetSpec {
        let own = match self.storage {
            Storage::None | Storage::Shared(_) => None,
            Storage::Local => Some("local"),
            Storage::Nfs => Some("nfs"),
            Storage::Static => Some(BY_HAND),
        };
        let mut wanted = spec(replicas, own.is_some());
        for template in &mut wanted.volume_claim_templates {
            template.spec.storage_class_name = own.map(str::to_owned);
            // It grows with the revisions.
            template.spec.resources.requests = quantity(4 + u64::from(revision));
        }
        if let Storage::Shared(_) = self.storage {
            wanted.template.spec.volumes.push(MemberVolume {
                name: "shared".to_owned(),
                persistent_volume_claim: ClaimReference {
                    claim_name: format!("shared-{}", SETS[set]),
                    read_only: false,
                },
            });
        }
        wanted.pod_management_policy = self.policy;
        wanted.bootstrap_policy = self.bootstrap;
        wanted.cold_start_policy = self.cold;
        wanted.spread = self.spread;
        wanted.membership = self.founded.then_some(Membership::Static);
        wanted.min_ready_seconds = self.min_ready;
        self.place.write(&mut wanted);
        if self.requires {
            wanted.template.spec.requires.users.push("db".to_owned());
        }
        if self.gated {
            wanted.template.spec.readiness_gates.push(ReadinessGate {
                condition_type: "synced".to_owned(),
            });
        }
        if revision == 1 {
            wanted.overrides.push(Override {
                ordinals: "0".to_owned(),
                args: Some(vec!["-x".to_owned()]),
                ..Override::default()
            });
        }
        if revision == 2 && !self.founded && self.place != Place::PerHost {
            wanted.ordinals.reserved.insert(1);
        }
        wanted.persistent_volume_claim_retention_policy = self.retention;
        let before = set.checked_sub(1).and_then(|before| SETS.get(before));
        if let (Some(gate), Some(before)) = (self.needs, before) {
            let set = (*before).to_owned();
            wanted.depends_on.push(Dependency { set, gate });
        }
        way.write(&mut wanted, self.may_shift());
        let process = &mut wanted.template.spec.processes[0];
        if self.config {
            use_config(process, SETS[set], &FILES);
        }
        process.ports[0].container_port += u32::try_from(set).unwrap();
        if self.spread == Spread::Prefer {
            process.ports.clear();
        }
        process.env.push(EnvVar {
            name: "REVISION".to_owned(),
            // The first two differ for ordinal 0 alone.
            value: Some((revision / 2).to_string()),
            ..EnvVar::default()
        });
        wanted
    }
}

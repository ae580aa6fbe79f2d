//! StatefulSet: how many members, in which order, each from which template.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    depends::Dependency,
    meta::ObjectMeta,
    ordinals::Ordinals,
    overrides::{Override, effective},
    period::{PeriodError, parse_period},
    placement::{Placement, TopologySpreadConstraint},
    process::{Process, RestartPolicy},
    requires::Requires,
    retention::RetentionPolicy,
    update::{Amount, DisruptionBudget, UpdateKind, UpdateStrategy},
    volume::{ClaimTemplate, MemberVolume},
};
use crate::{ids::Ordinal, keeper::BackoffLimits};

/// As many older revisions as a StatefulSet keeps when nothing is said.
const REVISION_HISTORY: u32 = 10;

/// A set of members with sticky identity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StatefulSet {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: StatefulSetSpec,
}

/// What is wanted of a set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StatefulSetSpec {
    /// How many members, 0 or more; 1 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i64>,
    /// Which numbers the members have.
    #[serde(skip_serializing_if = "Ordinals::is_default")]
    pub ordinals: Ordinals,
    /// Optional; checked against the template's labels if given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// The service whose name the members' DNS names carry; the set's own name when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// What the next ordinal waits for when the coordinator starts members.
    pub pod_management_policy: GatePolicy,
    /// The same for the first boot, until the set is founded; as `podManagementPolicy` when left
    /// out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap_policy: Option<GatePolicy>,
    /// The same for starting again when all members are down; `Parallel` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold_start_policy: Option<GatePolicy>,
    /// Whether the number of members may change after founding. `Static` when left out for a set
    /// whose template uses `founding`, else `Dynamic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub membership: Option<Membership>,
    /// What becomes of a member whose host is out of contact.
    #[serde(skip_serializing_if = "FailurePolicy::is_default")]
    pub failure_policy: FailurePolicy,
    /// How long a host may run members of a Failover set without a word from the coordinator;
    /// `Default` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_class: Option<LeaseClass>,
    /// How long before the end of its lease a member is asked to stop, before it is killed, such as
    /// `2s`; a quarter of the lease when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fence_grace: Option<String>,
    /// Whether two members may share a host.
    pub spread: Spread,
    /// Whether there are `replicas` members, or one per host.
    #[serde(skip_serializing_if = "Placement::is_default")]
    pub placement: Placement,
    /// The AddressPool that gives each ordinal its own address; the default pool, if there is
    /// one, when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_pool: Option<String>,
    /// How long a member must have been ready to count as available, in seconds.
    pub min_ready_seconds: u32,
    /// What becomes of members when only config changes that reaches them through files.
    pub config_update: ConfigUpdate,
    /// How many revisions that no member has any more are kept; 10 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i64>,
    /// How members come to a newer template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_strategy: Option<UpdateStrategy>,
    /// How many members may be taken down at a time, whatever for; one when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disruption_budget: Option<DisruptionBudget>,
    /// For how long a rollout may not get better before it is paused, in seconds; 600 and
    /// `minReadySeconds` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_deadline_seconds: Option<u32>,
    /// Whether a rollout that does not get better is taken back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auto_rollback: bool,
    /// Whether no member is updated for now; false when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// What becomes of the claims of members that leave; all are kept when left out.
    pub persistent_volume_claim_retention_policy: RetentionPolicy,
    /// Sets that must be up before the first member of this one starts, and that stop after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// How one member looks.
    pub template: MemberTemplate,
    /// What differs for single ordinals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// One claim per template and member.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<ClaimTemplate>,
}

impl StatefulSetSpec {
    /// The number of members asked for; 1 when left out.
    pub fn replicas(&self) -> u32 {
        self.replicas
            .map_or(1, |n| u32::try_from(n.max(0)).unwrap_or(u32::MAX))
    }

    /// The ordinals that `replicas` asks for, lowest first; what a set has with `placement: PerHost`
    /// is in its state.
    pub fn declared(&self) -> impl DoubleEndedIterator<Item = Ordinal> + use<> {
        self.ordinals.first(self.replicas())
    }

    /// Whether no member is updated for now.
    pub fn is_paused(&self) -> bool {
        self.paused == Some(true)
    }

    /// How many revisions that no member has any more are kept.
    pub fn revision_history_limit(&self) -> u32 {
        self.revision_history_limit.map_or(REVISION_HISTORY, |n| {
            u32::try_from(n.max(0)).unwrap_or(u32::MAX)
        })
    }

    /// The template as it is for an ordinal.
    pub fn template_for(&self, ordinal: Ordinal) -> Cow<'_, MemberTemplate> {
        effective(&self.template, &self.overrides, ordinal)
    }

    /// How members come to a newer template.
    pub fn update_kind(&self) -> UpdateKind {
        self.update_strategy
            .as_ref()
            .map_or(UpdateKind::RollingUpdate, |strategy| strategy.kind)
    }

    /// How many of the lowest members keep the older template.
    pub fn partition(&self) -> u32 {
        let strategy = self.update_strategy.as_ref();
        let rolling = strategy.filter(|strategy| strategy.kind == UpdateKind::RollingUpdate);
        let rolling = rolling.and_then(|strategy| strategy.rolling_update.as_ref());
        rolling.map_or(0, |rolling| rolling.partition)
    }

    /// How many members may be unavailable for an update.
    pub fn max_unavailable(&self) -> Option<&Amount> {
        let strategy = self.update_strategy.as_ref()?;
        strategy.rolling_update.as_ref()?.max_unavailable.as_ref()
    }

    /// For how long a rollout may not get better before it is paused, in seconds.
    pub fn progress_deadline_seconds(&self) -> u32 {
        self.progress_deadline_seconds
            .unwrap_or_else(|| self.min_ready_seconds.saturating_add(600))
    }

    /// How long a host may run its members without a word from the coordinator.
    pub fn lease_class(&self) -> LeaseClass {
        self.lease_class.unwrap_or(LeaseClass::Default)
    }

    /// How long before the end of a lease of that length a member is asked to stop.
    pub fn fence_grace(&self, lease: Duration) -> Duration {
        let given = self.fence_grace.as_deref();
        let given = given.and_then(|text| parse_period(text).ok());
        given.unwrap_or(lease / 4)
    }

    /// The policy until the set is founded.
    pub fn bootstrap_policy(&self) -> GatePolicy {
        self.bootstrap_policy.unwrap_or(self.pod_management_policy)
    }

    /// The policy when all members are down.
    pub fn cold_start_policy(&self) -> GatePolicy {
        self.cold_start_policy.unwrap_or(GatePolicy::Parallel)
    }

    /// Whether the number of members is fixed once founded.
    pub fn membership(&self) -> Membership {
        self.membership.unwrap_or_else(|| {
            if crate::template::uses_founding(&self.template) {
                Membership::Static
            } else {
                Membership::Dynamic
            }
        })
    }
}

/// What holds the next ordinal back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum GatePolicy {
    /// Every lower ordinal is ready, and has been for `minReadySeconds`.
    #[default]
    OrderedReady,
    /// Every lower ordinal's processes run and its startup probe, if any, has passed in this run.
    OrderedStarted,
    /// Nothing.
    Parallel,
}

/// What becomes of members when only config changes that reaches them through files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ConfigUpdate {
    /// They are replaced, as after a change of the template.
    #[default]
    Rollout,
    /// Their files are written anew while they run, and `onChange` of each file says what its
    /// process is told. What is in an environment still replaces them.
    Reload,
}

/// Whether the number of members may change once the set is founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Membership {
    /// It may not: the application would not learn of it.
    Static,
    /// It may.
    Dynamic,
}

/// What becomes of a member whose host is out of contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum FailurePolicy {
    /// It stays: it runs on there, and nowhere else without a proof that it is gone.
    #[default]
    Hold,
    /// Its host stops it when a lease runs out, and then it is started on another one.
    Failover,
}

impl FailurePolicy {
    fn is_default(&self) -> bool {
        *self == Self::Hold
    }
}

/// How long a host may run members of a Failover set without a word from the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LeaseClass {
    /// 15 s, unless the coordinator is configured otherwise.
    Default,
    /// 3 s, unless the coordinator is configured otherwise.
    Fast,
}

/// Whether two members of a set may share a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Spread {
    /// They may not.
    #[default]
    Require,
    /// They may when there are fewer hosts than members.
    Prefer,
}

/// Selection by labels: all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelSelector {
    /// Labels that must be there with these values.
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on single labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelExpression>,
}

impl LabelSelector {
    /// Whether labels are selected; a selector that says nothing selects all.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let equal = |(name, value): (&String, &String)| labels.get(name) == Some(value);
        self.match_labels.iter().all(equal)
            && self.match_expressions.iter().all(|one| one.holds(labels))
    }
}

/// A condition on one label, as in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelExpression {
    /// The label's name.
    pub key: String,
    /// What must hold of it.
    pub operator: LabelOperator,
    /// The values that `In` and `NotIn` ask about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl LabelExpression {
    /// Whether it holds of an object with these labels.
    pub fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            LabelOperator::In => listed,
            LabelOperator::NotIn => !listed,
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

/// What must hold of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum LabelOperator {
    /// It has one of the values.
    #[default]
    In,
    /// It has none of the values, or is not there.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// How one member looks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MemberTemplate {
    /// Labels of the members.
    pub metadata: ObjectMeta,
    /// Their processes.
    pub spec: MemberSpec,
}

/// The processes of a member and what they share.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MemberSpec {
    /// Run one after another before the processes; each must exit 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_processes: Vec<Process>,
    /// Started in this order, stopped in the reverse one.
    pub processes: Vec<Process>,
    /// Volumes of claims that all members use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<MemberVolume>,
    /// From the stop signal to KILL, in seconds; 30 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<u32>,
    /// How long a process that ended waits for its next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_backoff: Option<RestartBackoff>,
    /// Conditions that must be true, beside its processes, for a member to be ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readiness_gates: Vec<ReadinessGate>,
    /// Labels that the host must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// How evenly the members are spread over label domains.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// What the host must have before a member is started there.
    #[serde(skip_serializing_if = "Requires::is_empty")]
    pub requires: Requires,
    /// The member's writable directory for its configuration files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_dir: Option<ConfigDir>,
    /// Whether its processes see the host's file systems read-only. Its volumes, its configuration
    /// directory, `/tmp` and `/dev/shm` stay as they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only_root_filesystem: bool,
}

impl MemberSpec {
    /// The processes that stay up, in the order of their start: sidecars and mains.
    pub fn lasting(&self) -> impl Iterator<Item = &Process> {
        let sidecar = |process: &&Process| process.restart_policy == Some(RestartPolicy::Always);
        let sidecars = self.init_processes.iter().filter(sidecar);
        sidecars.chain(&self.processes)
    }

    /// From the stop signal to KILL, in seconds.
    pub fn grace_seconds(&self) -> u32 {
        self.termination_grace_period_seconds.unwrap_or(30)
    }
}

/// How long a process that ended waits for its next start. The first restart of one that had run
/// for a second is immediate, whatever is said here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RestartBackoff {
    /// The first pause, such as `10s`; `1s` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// Each further pause is this many times the one before; 2 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factor: Option<u32>,
    /// The longest pause; `1m` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<String>,
    /// A run of this length forgets earlier failures; `10m` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<String>,
}

impl RestartBackoff {
    /// Its numbers, with those that were left out.
    ///
    /// # Errors
    /// The field that is no length of time, and why.
    pub fn limits(&self) -> Result<BackoffLimits, (&'static str, PeriodError)> {
        let default = BackoffLimits::default();
        let period = |name, text: &Option<String>, left_out| match text {
            None => Ok(left_out),
            Some(text) => parse_period(text).map_err(|error| (name, error)),
        };
        Ok(BackoffLimits {
            first: period("first", &self.first, default.first)?,
            factor: self.factor.unwrap_or(default.factor),
            cap: period("cap", &self.cap, default.cap)?,
            reset: period("reset", &self.reset, default.reset)?,
        })
    }
}

/// A condition that must be true for a member to be ready. Operators and their programs set it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ReadinessGate {
    /// The condition's type, such as `example.com/registered`.
    pub condition_type: String,
}

/// The member's configuration directory, `{{ configDir }}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConfigDir {
    /// A directory of the host whose content is copied there before the member's own files.
    pub copy_from: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_selects_what_it_says() {
        let labels = |text: &[(&str, &str)]| -> BTreeMap<String, String> {
            text.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let ssd = labels(&[("disk", "ssd"), ("slot", "0")]);
        let mut selector = LabelSelector::default();
        assert!(selector.matches(&ssd) && selector.matches(&labels(&[])));
        selector.match_labels = labels(&[("slot", "0")]);
        assert!(selector.matches(&ssd));
        assert!(!selector.matches(&labels(&[("slot", "1")])));
        for (operator, values, expected) in [
            (LabelOperator::In, &["hdd", "ssd"][..], (true, false, false)),
            (LabelOperator::NotIn, &["hdd", "ssd"], (false, true, true)),
            (LabelOperator::Exists, &[], (true, true, false)),
            (LabelOperator::DoesNotExist, &[], (false, false, true)),
        ] {
            selector.match_expressions = vec![LabelExpression {
                key: "disk".to_owned(),
                operator,
                values: values.iter().map(ToString::to_string).collect(),
            }];
            let tape = labels(&[("disk", "tape"), ("slot", "0")]);
            let found = (
                selector.matches(&ssd),
                selector.matches(&tape),
                selector.matches(&labels(&[("slot", "0")])),
            );
            assert_eq!(found, expected, "{operator:?}");
        }
    }
}

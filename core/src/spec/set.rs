//! StatefulSet: how many members, in which order, each from which template.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    depends::Dependency,
    meta::ObjectMeta,
    ordinals::Ordinals,
    process::Process,
    retention::RetentionPolicy,
    volume::{ClaimTemplate, MemberVolume},
};
use crate::ids::Ordinal;

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
    /// Whether two members may share a host.
    pub spread: Spread,
    /// The AddressPool that gives each ordinal its own address; the default pool, if there is
    /// one, when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_pool: Option<String>,
    /// How long a member must have been ready to count as available, in seconds.
    pub min_ready_seconds: u32,
    /// What becomes of the claims of members that leave; all are kept when left out.
    pub persistent_volume_claim_retention_policy: RetentionPolicy,
    /// Sets that must be up before the first member of this one starts, and that stop after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// How one member looks.
    pub template: MemberTemplate,
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

    /// The ordinals that are asked for, lowest first.
    pub fn declared(&self) -> impl DoubleEndedIterator<Item = Ordinal> + use<> {
        self.ordinals.first(self.replicas())
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

/// Whether the number of members may change once the set is founded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Membership {
    /// It may not: the application would not learn of it.
    Static,
    /// It may.
    Dynamic,
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
    /// Labels that the host must have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// The member's writable directory for its configuration files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_dir: Option<ConfigDir>,
}

impl MemberSpec {
    /// From the stop signal to KILL, in seconds.
    pub fn grace_seconds(&self) -> u32 {
        self.termination_grace_period_seconds.unwrap_or(30)
    }
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

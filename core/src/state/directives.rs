//! What operators decided by verbs, beside what their manifests say: which hosts are drained and how
//! they are labelled, which members are offline. All of it is durable and survives an apply.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{HostRecord, Set, State};
use crate::{
    ids::{HostName, MemberId, Ordinal},
    machine::MachineIds,
    time::Timestamp,
};

/// What operators decided of a host, beside that it is cordoned.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HostDirectives {
    /// Its members are to leave it.
    pub draining: Option<Draining>,
    /// It is dead: an operator said so, and nothing else proves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead: Option<ConfirmedDead>,
    /// Labels that operators set, and those of the agent's configuration that they took away: they
    /// win over the configuration.
    pub labels: BTreeMap<String, Option<String>>,
}

/// That an operator confirmed a host dead: nothing of what was granted to it runs, nor ever will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmedDead {
    /// Since when.
    pub since: Timestamp,
    /// Whether its agent came back since: it proves nothing any more, and the host takes no member
    /// before it is uncordoned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub returned: bool,
}

/// A host that is being drained; it is cordoned too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Draining {
    /// Since when.
    pub since: Timestamp,
    /// Whether members that cannot live elsewhere are stopped, and stay down until it ends.
    pub stop_pinned: bool,
}

/// A member that an operator took offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offline {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the operator's words; may be empty.
    pub reason: String,
}

/// The host that an ordinal has under `placement: PerHost`. No other ordinal of the set ever gets
/// that host, nor this one another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnHost {
    /// The host.
    pub host: HostName,
    /// Whether the host has the labels that the set asks for; without them its ordinal is not
    /// wanted, and kept for it.
    pub selected: bool,
}

impl HostRecord {
    /// Whether an operator keeps new members away: it is cordoned, or being drained.
    pub fn is_closed(&self) -> bool {
        self.unschedulable || self.directives.draining.is_some()
    }

    /// The record to keep of a host whose agent says this: what operators decided stays.
    #[must_use]
    pub fn said_by_agent(mut self, known: Option<&Self>) -> Self {
        if let Some(known) = known {
            self.unschedulable = known.unschedulable;
            self.directives = known.directives.clone();
            if !self.is_machine_of(known) {
                // The one that died was another machine.
                self.directives.dead = None;
            }
        }
        self.agent_labels.clone_from(&self.labels);
        self.relabel();
        self
    }

    /// Whether an agent that says this is on the machine of a known host. What one of them does not
    /// know does not tell them apart.
    pub fn is_machine_of(&self, known: &Self) -> bool {
        let same = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
        same(&self.machine_id, &known.machine_id) && same(&self.product_uuid, &known.product_uuid)
    }

    /// What tells its machine from others.
    pub fn machine(&self) -> MachineIds {
        MachineIds {
            machine_id: self.machine_id.clone(),
            product_uuid: self.product_uuid.clone(),
        }
    }

    /// Sets a label, or takes it away with `None`. What the agent's configuration says by itself is
    /// no directive.
    pub fn label(&mut self, key: &str, value: Option<&str>) {
        let value = value.map(ToOwned::to_owned);
        if self.agent_labels.get(key) == value.as_ref() {
            self.directives.labels.remove(key);
        } else {
            self.directives.labels.insert(key.to_owned(), value);
        }
        self.relabel();
    }

    fn relabel(&mut self) {
        self.labels.clone_from(&self.agent_labels);
        for (key, value) in &self.directives.labels {
            match value {
                Some(value) => self.labels.insert(key.clone(), value.clone()),
                None => self.labels.remove(key),
            };
        }
    }

    /// Whether it has all labels of a node selector.
    pub fn is_selected(&self, selector: &BTreeMap<String, String>) -> bool {
        let mut selector = selector.iter();
        selector.all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

impl Set {
    /// Whether an operator took a member offline.
    pub fn is_offline(&self, ordinal: Ordinal) -> bool {
        self.offline.contains_key(&ordinal)
    }
}

impl State {
    /// The members of sets with one member per host that stop when a host has other labels.
    pub fn left_by_labels(
        &self,
        host: &HostName,
        labels: &BTreeMap<String, String>,
    ) -> Vec<MemberId> {
        let mut found = Vec::new();
        for (key, set) in &self.sets {
            let mut selector = set.spec.template.spec.node_selector.iter();
            if selector.all(|(label, value)| labels.get(label) == Some(value)) {
                continue;
            }
            let own = set.own_hosts.iter();
            let here = own.filter(|(_, own)| own.selected && own.host == *host);
            found.extend(here.map(|(ordinal, _)| MemberId {
                set: key.clone(),
                ordinal: *ordinal,
            }));
        }
        found
    }

    /// Whether a member cannot live on another host: data of its own is on this one, or it is this
    /// host's member.
    pub fn is_pinned_to(&self, id: &MemberId, host: &HostName) -> bool {
        let set = self.sets.get(&id.set);
        let own = set.and_then(|set| set.own_hosts.get(&id.ordinal));
        let mut claims = self.claims_of_member(id);
        own.is_some_and(|own| own.host == *host)
            || claims.any(|(_, claim)| self.host_of(claim) == Some(host))
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::state;

    #[test]
    fn labels_of_operators_win_until_they_are_those_of_the_agent_again() {
        let mut state = state(1);
        let host = state.hosts.values_mut().next().unwrap();
        let said = host.record.clone();
        let mut record = said.clone().said_by_agent(None);
        record.label("rack", Some("a"));
        record.label("n", None);
        let again = said.clone().said_by_agent(Some(&record));
        assert_eq!(again, record, "a reconnect changes nothing");
        assert_eq!(
            again.labels.into_iter().collect::<Vec<_>>(),
            [("rack".to_owned(), "a".to_owned())]
        );
        record.label("rack", None);
        record.label("n", Some("1"));
        assert_eq!(record.directives.labels.len(), 0);
        assert_eq!(record.labels, said.labels);
    }
}

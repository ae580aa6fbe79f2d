//! Spread over label domains, as `topologySpreadConstraints` asks: hosts with the same value of a
//! label are one domain (a rack, a zone), and the members of the set are counted in each.
//!
//! As in Kubernetes, the domains are those of the hosts that the set's node selector admits, whether
//! or not they are in contact; and where members are is never changed for the sake of a constraint,
//! it governs where one goes.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::{HostName, Ordinal},
    plan::placement::Need,
    spec::{HOSTNAME, TopologySpreadConstraint, WhenUnsatisfiable},
    state::{Host, State},
    waiting::Refusal,
};

/// How the members of a set are spread, the one that is to be placed left out.
#[derive(Debug)]
pub(super) struct Domains<'a> {
    constraints: Vec<(&'a TopologySpreadConstraint, BTreeMap<String, u32>)>,
}

/// The domain that a host is in.
fn domain<'a>(key: &str, name: &'a HostName, host: &'a Host) -> Option<&'a str> {
    if key == HOSTNAME {
        return Some(name.as_str());
    }
    host.record.labels.get(key).map(String::as_str)
}

impl<'a> Domains<'a> {
    pub(super) fn new(state: &State, need: &Need<'a>) -> Self {
        let constraints = need.template.spec.topology_spread_constraints.iter();
        let counted = constraints.map(|constraint| (constraint, count(state, need, constraint)));
        Self {
            constraints: counted.collect(),
        }
    }

    /// Which constraint rules a host out.
    pub(super) fn refusal(&self, name: &HostName, host: &Host) -> Option<Refusal> {
        let strict = self.constraints.iter().filter(|(constraint, _)| {
            constraint.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule
        });
        let mut refusals = strict.filter_map(|(constraint, counts)| {
            let key = constraint.topology_key.clone();
            let Some(domain) = domain(&key, name, host) else {
                return Some(Refusal::NoDomain { key });
            };
            let members = counts.get(domain).copied().unwrap_or_default();
            let least = counts.values().min().copied().unwrap_or_default();
            let skew = members.saturating_add(1).saturating_sub(least);
            (skew > constraint.max_skew).then(|| Refusal::Skew {
                key,
                domain: domain.to_owned(),
                members,
                least,
                max_skew: constraint.max_skew,
            })
        });
        refusals.next()
    }

    /// How full the domains of a host are; less is better.
    pub(super) fn crowd(&self, name: &HostName, host: &Host) -> u64 {
        let crowds = self.constraints.iter().map(|(constraint, counts)| {
            let members = domain(&constraint.topology_key, name, host)
                .map(|domain| counts.get(domain).copied().unwrap_or_default());
            // A host that is in no domain at all is the last choice.
            u64::from(members.unwrap_or(u32::MAX))
        });
        crowds.sum()
    }
}

/// The members in each domain.
fn count(
    state: &State,
    need: &Need<'_>,
    constraint: &TopologySpreadConstraint,
) -> BTreeMap<String, u32> {
    let key = &constraint.topology_key;
    let selector = &need.template.spec.node_selector;
    let mut counts = BTreeMap::new();
    for (name, host) in &state.hosts {
        if host.record.is_selected(selector)
            && let Some(domain) = domain(key, name, host)
        {
            counts.entry(domain.to_owned()).or_default();
        }
    }
    for host in here(state, need).values() {
        let domain = state.hosts.get(host).and_then(|on| domain(key, host, on));
        if let Some(count) = domain.and_then(|domain| counts.get_mut(domain)) {
            *count += 1_u32;
        }
    }
    counts
}

/// Where the other members of the set are: assigned, or with data that will bring them back there.
fn here(state: &State, need: &Need<'_>) -> BTreeMap<Ordinal, HostName> {
    let declared: BTreeSet<Ordinal> = need.set.declared().collect();
    let left = state.claims_of(need.key).filter_map(|(_, claim)| {
        let ordinal = claim.member.as_ref()?.ordinal;
        Some((ordinal, state.host_of(claim)?.clone()))
    });
    let mut found: BTreeMap<Ordinal, HostName> = left
        .filter(|(ordinal, _)| declared.contains(ordinal))
        .collect();
    let members = need.set.members.iter();
    found.extend(members.map(|(ordinal, member)| (*ordinal, member.host.clone())));
    found.remove(&need.ordinal);
    found
}

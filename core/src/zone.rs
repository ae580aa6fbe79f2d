//! The zone: every DNS record of the cluster, as a pure function of the state.
//!
//! Names follow the Kubernetes DNS-based service discovery, version 1.1.0. They depend on what was
//! decided (assignments), not on what runs: a declared member has its name before its first start
//! and while it is down, and a name without an address answers "no data", never "no such name".
//! Only the lists of a service depend on readiness. While a host is out of contact, its members
//! stay in these lists as they were last known: losing the coordinator must not take names away.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    ids::{ContentHash, MemberId, SetKey, ZoneSerial},
    order::hex,
    spec::{PortRef, Protocol, Service},
    state::{Member, Ordered, Set, State},
};

/// The version of the schema that `dns-version.<zone>` states.
const SCHEMA: &str = "1.1.0";
/// SRV weight of every member: they are alike.
const WEIGHT: u16 = 100;

/// All records, with the serial under which they were published.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Zone {
    /// The zone's name, such as `berth.internal`, without a final dot.
    pub origin: String,
    /// Grows with every change.
    pub serial: ZoneSerial,
    /// Records by name: lower case, fully qualified, without a final dot. Reverse names are here
    /// too. A name without records exists and has no data.
    pub records: BTreeMap<String, Vec<RecordData>>,
}

/// One record of a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Where a service listens.
    Srv {
        /// Lower ones are tried first.
        priority: u16,
        /// Share among equal priorities.
        weight: u16,
        /// The port.
        port: u16,
        /// The member's name, without a final dot.
        target: String,
    },
    /// The name of an address, without a final dot.
    Ptr(String),
    /// A text.
    Txt(String),
}

impl From<IpAddr> for RecordData {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::A(address),
            IpAddr::V6(address) => Self::Aaaa(address),
        }
    }
}

impl Zone {
    /// Hash over origin and records, in lower-case hexadecimal. The serial is not part of it: two
    /// zones with the same records have the same hash.
    pub fn hash(&self) -> ContentHash {
        let mut hasher = Sha256::new();
        hasher.update(self.origin.as_bytes());
        for record in &self.records {
            // Text keys and no floats: this cannot fail.
            hasher.update(b"\n");
            hasher.update(serde_json::to_vec(&record).unwrap_or_default());
        }
        ContentHash(hex(&hasher.finalize()))
    }
}

/// The name under which an address is looked up backwards, without a final dot.
pub fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let digits = hex(&v6.octets());
            let reversed: Vec<String> = digits.chars().rev().map(String::from).collect();
            format!("{}.ip6.arpa", reversed.join("."))
        }
    }
}

/// Every record that follows from the state, under the serial that the state has.
pub fn build(state: &State) -> Zone {
    let mut builder = Builder {
        state,
        records: BTreeMap::new(),
    };
    builder.add(
        format!("dns-version.{}", state.zone_name).to_ascii_lowercase(),
        RecordData::Txt(SCHEMA.to_owned()),
    );
    for (key, set) in &state.sets {
        builder.members(key, set);
    }
    for (key, service) in &state.services {
        let name = state.service_fqdn(&key.namespace, key.name.as_str());
        builder.records.entry(name).or_default();
        for (set_key, set) in &state.sets {
            if set_key.namespace == key.namespace {
                builder.selected(&Selection::of(key, service), set_key, set);
            }
        }
    }
    let records = builder
        .records
        .into_iter()
        .map(|(name, data)| (name, data.into_iter().collect()))
        .collect();
    Zone {
        origin: state.zone_name.to_ascii_lowercase(),
        serial: state.zone.serial,
        records,
    }
}

/// Collects records; sets keep them sorted and single.
struct Builder<'a> {
    state: &'a State,
    records: BTreeMap<String, BTreeSet<RecordData>>,
}

/// What a service takes in; also a `serviceName` that no Service backs, for the members' own ports.
struct Selection<'a> {
    name: &'a str,
    service: Option<&'a Service>,
}

impl<'a> Selection<'a> {
    fn of(key: &'a SetKey, service: &'a Service) -> Self {
        Self {
            name: key.name.as_str(),
            service: Some(service),
        }
    }

    fn takes(&self, labels: &BTreeMap<String, String>) -> bool {
        let Some(service) = self.service else {
            return true;
        };
        let selector = &service.spec.selector;
        // As in Kubernetes, a service without a selector has no members of its own.
        !selector.is_empty()
            && selector
                .iter()
                .all(|(name, value)| labels.get(name) == Some(value))
    }

    fn publishes_unready(&self) -> bool {
        self.service
            .is_some_and(|service| service.spec.publish_not_ready_addresses)
    }
}

impl Builder<'_> {
    fn add(&mut self, name: String, data: RecordData) {
        self.records.entry(name).or_default().insert(data);
    }

    /// The names of a set's members, their addresses and reverse names, and, if no Service backs
    /// the set's `serviceName`, the lists of that name.
    fn members(&mut self, key: &SetKey, set: &Set) {
        let assigned = set.members.keys().copied();
        let ordinals: BTreeSet<_> = set.declared().chain(assigned).collect();
        for ordinal in ordinals {
            let id = MemberId {
                set: key.clone(),
                ordinal,
            };
            let name = self.state.member_fqdn(set, &id);
            let records = self.records.entry(name.clone()).or_default();
            if let Some(member) = set.members.get(&ordinal) {
                records.insert(member.address.into());
                self.add(reverse_name(member.address), RecordData::Ptr(name));
            }
        }
        let service = set.service_name(key);
        let backed = self
            .state
            .services
            .keys()
            .any(|have| have.namespace == key.namespace && have.name.as_str() == service);
        if !backed {
            let name = self.state.service_fqdn(&key.namespace, service);
            self.records.entry(name).or_default();
            let own = Selection {
                name: service,
                service: None,
            };
            self.selected(&own, key, set);
        }
    }

    /// The records that a service has for the members of one set.
    fn selected(&mut self, selection: &Selection<'_>, key: &SetKey, set: &Set) {
        let base = self.state.service_fqdn(&key.namespace, selection.name);
        for (ordinal, member) in &set.members {
            let id = MemberId {
                set: key.clone(),
                ordinal: *ordinal,
            };
            let Some(template) = set.template_of(&member.revision) else {
                continue;
            };
            if !selection.takes(&template.metadata.labels) {
                continue;
            }
            let ports = named_ports(selection.service, set, member);
            for (port, protocol, _) in &ports {
                self.records
                    .entry(srv_name(&base, port, *protocol))
                    .or_default();
            }
            if !selection.publishes_unready() && !serves(self.state, &id, member) {
                continue;
            }
            self.add(base.clone(), member.address.into());
            for (port, protocol, number) in ports {
                let data = RecordData::Srv {
                    priority: 0,
                    weight: WEIGHT,
                    port: number,
                    target: self.state.member_fqdn(set, &id),
                };
                self.add(srv_name(&base, &port, protocol), data);
            }
        }
    }
}

fn srv_name(base: &str, port: &str, protocol: Protocol) -> String {
    let protocol = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("_{port}._{protocol}.{base}").to_ascii_lowercase()
}

/// The named ports of a service as this member has them; of the member itself without a service.
fn named_ports(
    service: Option<&Service>,
    set: &Set,
    member: &Member,
) -> Vec<(String, Protocol, u16)> {
    let Some(template) = set.template_of(&member.revision) else {
        return Vec::new();
    };
    let own = || template.spec.lasting().flat_map(|p| &p.ports);
    let Some(service) = service else {
        return own()
            .filter(|port| !port.name.is_empty())
            .filter_map(|port| {
                let number = u16::try_from(port.container_port).ok()?;
                Some((port.name.clone(), port.protocol, number))
            })
            .collect();
    };
    let named = service
        .spec
        .ports
        .iter()
        .filter(|port| !port.name.is_empty());
    named
        .filter_map(|port| {
            let number = match &port.target_port {
                None | Some(PortRef::Number(0)) => port.port,
                Some(PortRef::Number(number)) => *number,
                Some(PortRef::Name(name)) => own().find(|p| p.name == *name)?.container_port,
            };
            Some((
                port.name.clone(),
                port.protocol,
                u16::try_from(number).ok()?,
            ))
        })
        .collect()
}

/// Whether a member belongs in the lists of ready members.
fn serves(state: &State, id: &MemberId, member: &Member) -> bool {
    if member.ordered != Ordered::Run {
        return false;
    }
    let Some(host) = state.hosts.get(&member.host) else {
        return false;
    };
    let set = state.sets.get(&id.set);
    if set.is_none_or(|set| set.shut_gate(member).is_some()) {
        return false;
    }
    match host.contact.members.get(id) {
        Some(seen) => seen.report.epoch == member.epoch && seen.report.ready,
        // Nothing was heard of it since the coordinator started: what is durable decides.
        None => !host.contact.connected && member.passed_gate,
    }
}

#[cfg(test)]
mod tests;

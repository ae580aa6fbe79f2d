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

use crate::{
    ids::{ContentHash, MemberId, ObjectKey, Ordinal, SetKey, ZoneSerial},
    order::hex,
    spec::{PortRef, Protocol, Service},
    state::{Index, Member, Ordered, Set, State},
};

mod sum;
mod tally;

pub use tally::{Tally, hash};

use sum::Sum;

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
    ///
    /// It is a sum with one number for each record, so that it follows a change without the rest. It
    /// tells zones apart that differ by accident; who could choose records to have two zones agree is
    /// an operator, and needs no such trick.
    pub fn hash(&self) -> ContentHash {
        let mut sum = Sum::of(&self.origin);
        for (name, records) in &self.records {
            sum.put(name, None, true);
            for record in records {
                sum.put(name, Some(record), true);
            }
        }
        sum.hash()
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

/// A name, and one of its records; without one it says that the name exists.
type Item = (String, Option<RecordData>);

/// What every zone has.
fn base(origin: &str) -> Item {
    let name = format!("dns-version.{origin}").to_ascii_lowercase();
    (name, Some(RecordData::Txt(SCHEMA.to_owned())))
}

/// Every record that follows from the state, under the serial that the state has.
pub fn build(state: &State) -> Zone {
    let mut records: BTreeMap<String, BTreeSet<RecordData>> = BTreeMap::new();
    let mut put = |(name, data): Item| records.entry(name).or_default().extend(data);
    put(base(&state.zone_name));
    let index = state.index();
    for (key, set) in &state.sets {
        items_of_set(state, key, set).into_iter().for_each(&mut put);
        for ordinal in named(set) {
            let items = items_of_member((state, &index), key, set, ordinal);
            items.into_iter().for_each(&mut put);
        }
    }
    for key in state.services.keys() {
        put(item_of_service(state, key));
    }
    let records = records
        .into_iter()
        .map(|(name, data)| (name, data.into_iter().collect()))
        .collect();
    Zone {
        origin: state.zone_name.to_ascii_lowercase(),
        serial: state.zone.serial,
        records,
    }
}

/// What a service takes in; also a `serviceName` that no Service backs, for the members' own ports.
struct Selection<'a> {
    name: &'a str,
    service: Option<&'a Service>,
}

impl<'a> Selection<'a> {
    fn of(key: &'a ObjectKey, service: &'a Service) -> Self {
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

/// The members of a set that have names: those that are wanted, and those that are assigned.
fn named(set: &Set) -> BTreeSet<Ordinal> {
    let assigned = set.members.keys().copied();
    set.declared().chain(assigned).collect()
}

/// Whether a Service backs the `serviceName` of a set.
fn is_backed(state: &State, key: &SetKey, set: &Set) -> bool {
    let name = set.service_name(key).parse();
    name.is_ok_and(|name| {
        let namespace = key.namespace.clone();
        state.services.contains_key(&ObjectKey { namespace, name })
    })
}

/// The name of a service.
fn item_of_service(state: &State, key: &ObjectKey) -> Item {
    let name = state.service_fqdn(&key.namespace, key.name.as_str());
    (name, None)
}

/// The name of a set's `serviceName`, if no Service backs it.
fn items_of_set(state: &State, key: &SetKey, set: &Set) -> Vec<Item> {
    if is_backed(state, key, set) {
        return Vec::new();
    }
    let name = state.service_fqdn(&key.namespace, set.service_name(key));
    vec![(name, None)]
}

/// The name of a member, its address and reverse name, and what it adds to the lists of services; to
/// that of the set's own `serviceName`, if no Service backs it.
fn items_of_member(
    (state, index): (&State, &Index),
    key: &SetKey,
    set: &Set,
    ordinal: Ordinal,
) -> Vec<Item> {
    let id = MemberId {
        set: key.clone(),
        ordinal,
    };
    let name = state.member_fqdn(set, &id);
    let Some(member) = set.members.get(&ordinal) else {
        return vec![(name, None)];
    };
    let mut items = vec![
        (name.clone(), Some(member.address.into())),
        (reverse_name(member.address), Some(RecordData::Ptr(name))),
    ];
    let labels = set.template_of(&member.revision).into_iter();
    for (label, value) in labels.flat_map(|template| &template.metadata.labels) {
        let label = (key.namespace.clone(), label.clone(), value.clone());
        for key in index.selecting.of(&label) {
            if let Some(service) = state.services.get(key) {
                let selection = Selection::of(key, service);
                listed(state, &selection, &id, set, member, &mut items);
            }
        }
    }
    if !is_backed(state, key, set) {
        let own = Selection {
            name: set.service_name(key),
            service: None,
        };
        listed(state, &own, &id, set, member, &mut items);
    }
    items
}

/// The records that a service has for a member.
fn listed(
    state: &State,
    selection: &Selection<'_>,
    id: &MemberId,
    set: &Set,
    member: &Member,
    items: &mut Vec<Item>,
) {
    let Some(template) = set.template_of(&member.revision) else {
        return;
    };
    if !selection.takes(&template.metadata.labels) {
        return;
    }
    let base = state.service_fqdn(&id.set.namespace, selection.name);
    let ports = named_ports(selection.service, set, member);
    let names = ports
        .iter()
        .map(|(port, protocol, _)| srv_name(&base, port, *protocol));
    items.extend(names.map(|name| (name, None)));
    if !selection.publishes_unready() && !serves(state, id, member) {
        return;
    }
    items.push((base.clone(), Some(member.address.into())));
    for (port, protocol, number) in ports {
        let data = RecordData::Srv {
            priority: 0,
            weight: WEIGHT,
            port: number,
            target: state.member_fqdn(set, id),
        };
        items.push((srv_name(&base, &port, protocol), Some(data)));
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

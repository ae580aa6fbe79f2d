//! A zone, arranged for answering: every name that exists, in lower case, with its records by type.
//!
//! It is built once for each zone and never changed, so questions need no lock. Names exist in
//! three ways, and none of them is ever answered with NXDOMAIN: those with records; those that are
//! declared and have no address yet; and those that only have names below them (RFC 8020).
//! Reverse names are ours one by one: next to an address of a member there are addresses that we
//! know nothing about.

use std::{collections::HashMap, net::IpAddr};

use berth_core::{
    ids::{ContentHash, ZoneSerial},
    zone::{RecordData, Zone},
};
use hickory_resolver::proto::{
    ProtoError,
    rr::{
        LowerName, Name, RData, Record, RecordType,
        rdata::{A, AAAA, NS, PTR, SOA, SRV, TXT},
    },
};
use thiserror::Error;

/// For how many seconds a client may keep an answer (Kubernetes' DNS has the same).
pub(super) const TTL: u32 = 5;
/// The longest character-string of a TXT record.
const MAX_TXT: usize = 255;
/// The server's own name, below the zone.
const SERVER: &str = "ns.dns";

/// Why a zone cannot be served. The one served before stays.
#[derive(Debug, Error)]
#[error("zone {serial}: '{name}' is not a DNS name; this is a bug of the coordinator, report it")]
pub struct ZoneError {
    serial: ZoneSerial,
    name: String,
    #[source]
    source: ProtoError,
}

/// What is served. Before the first zone it is empty, and knows only which names it must not
/// pass on.
#[derive(Debug)]
pub(super) struct Index {
    origin: LowerName,
    serial: ZoneSerial,
    hash: ContentHash,
    known: bool,
    nodes: HashMap<LowerName, Node>,
}

/// The records of one name.
#[derive(Debug, Default)]
pub(super) struct Node {
    sets: Vec<(RecordType, Vec<RData>)>,
}

/// What there is at a name.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// The name exists.
    Node(&'a Node),
    /// The name would be ours and does not exist.
    Missing,
    /// The name would be ours, and no zone has come yet that could tell.
    Unknown,
    /// The name is none of ours.
    Foreign,
}

impl Index {
    /// An index that knows of no zone yet.
    ///
    /// # Errors
    /// If the origin is not a name.
    pub(super) fn unknown(origin: &str) -> Result<Self, ZoneError> {
        Ok(Self {
            origin: parse(ZoneSerial(0), origin)?.into(),
            serial: ZoneSerial(0),
            hash: ContentHash::default(),
            known: false,
            nodes: HashMap::new(),
        })
    }

    /// Arranges a zone. `servers` are the addresses that this server answers on.
    ///
    /// # Errors
    /// If a name or a target in it is not a DNS name.
    pub(super) fn build(
        zone: &Zone,
        hash: ContentHash,
        servers: &[IpAddr],
    ) -> Result<Self, ZoneError> {
        let origin = parse(zone.serial, &zone.origin)?;
        let mut index = Self {
            origin: LowerName::new(&origin),
            serial: zone.serial,
            hash,
            known: true,
            nodes: HashMap::with_capacity(zone.records.len() + 8),
        };
        for (name, records) in &zone.records {
            let name = parse(zone.serial, name)?;
            index.declare(&name);
            let node = index.node(&name);
            for record in records {
                node.push(data(zone.serial, record)?);
            }
            node.shrink();
        }
        let server = parse(zone.serial, &format!("{SERVER}.{}", zone.origin))?;
        index.declare(&server);
        for address in servers {
            index.node(&server).push(RData::from(*address));
        }
        index.node(&origin).push(RData::NS(NS(server)));
        let apex = index.soa(&index.origin);
        index.node(&origin).push(apex.data);
        Ok(index)
    }

    /// Makes a name exist, and those between it and the zone's origin.
    fn declare(&mut self, name: &Name) {
        let mut name = LowerName::new(name);
        let ours = self.origin.zone_of(&name);
        loop {
            self.nodes.entry(name.clone()).or_default();
            if !ours || name == self.origin {
                return;
            }
            name = name.base_name();
        }
    }

    fn node(&mut self, name: &Name) -> &mut Node {
        self.nodes.entry(LowerName::new(name)).or_default()
    }

    /// What there is at a name.
    pub(super) fn find(&self, name: &LowerName) -> Found<'_> {
        match self.nodes.get(name) {
            Some(node) => Found::Node(node),
            None if !self.origin.zone_of(name) => Found::Foreign,
            None if self.known => Found::Missing,
            None => Found::Unknown,
        }
    }

    /// The SOA for a negative answer about a name. Its minimum and TTL are 0, so that nobody
    /// remembers that a name did not exist yet. A reverse name is a zone of its own.
    pub(super) fn soa(&self, name: &LowerName) -> Record {
        let apex = if self.origin.zone_of(name) {
            &self.origin
        } else {
            name
        };
        // Serials are compared modulo 2^32 (RFC 1982); ours has more bits.
        let serial = u32::try_from(self.serial.0 & u64::from(u32::MAX)).unwrap_or_default();
        let below = |label: &str| {
            Name::from_ascii(label)
                .and_then(|label| label.append_domain(&self.origin))
                .unwrap_or_else(|_| Name::from(&self.origin))
        };
        let soa = SOA::new(
            below(SERVER),
            below("hostmaster"),
            serial,
            7200,
            1800,
            86400,
            0,
        );
        Record::from_rdata(Name::from(apex), 0, RData::SOA(soa))
    }

    /// Whether a name has an address, maybe among others.
    pub(super) fn has_address(&self, name: &str, address: IpAddr) -> bool {
        let Ok(name) = parse(self.serial, name) else {
            return false;
        };
        let Found::Node(node) = self.find(&name.into()) else {
            return false;
        };
        let (kind, data) = match address {
            IpAddr::V4(v4) => (RecordType::A, RData::A(A(v4))),
            IpAddr::V6(v6) => (RecordType::AAAA, RData::AAAA(AAAA(v6))),
        };
        node.records(kind).contains(&data)
    }

    /// Serial and hash of the zone.
    pub(super) fn head(&self) -> (ZoneSerial, ContentHash) {
        (self.serial, self.hash.clone())
    }
}

impl Node {
    fn push(&mut self, data: RData) {
        let kind = data.record_type();
        match self.sets.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, set)) => set.push(data),
            None => self.sets.push((kind, vec![data])),
        }
    }

    /// Gives back the room for records to come: a record takes 184 bytes, and most sets have one.
    fn shrink(&mut self) {
        self.sets.shrink_to_fit();
        for (_, set) in &mut self.sets {
            set.shrink_to_fit();
        }
    }

    /// The records of one type; of any one type for ANY, which asks for no more than that
    /// (RFC 8482, 4.1).
    pub(super) fn records(&self, kind: RecordType) -> &[RData] {
        self.sets
            .iter()
            .find(|(k, _)| *k == kind || kind == RecordType::ANY)
            .map_or(&[], |(_, set)| set)
    }
}

fn parse(serial: ZoneSerial, name: &str) -> Result<Name, ZoneError> {
    let mut parsed = Name::from_ascii(name).map_err(|source| ZoneError {
        serial,
        name: name.to_owned(),
        source,
    })?;
    parsed.set_fqdn(true);
    Ok(parsed)
}

fn data(serial: ZoneSerial, record: &RecordData) -> Result<RData, ZoneError> {
    Ok(match record {
        RecordData::A(address) => RData::A(A(*address)),
        RecordData::Aaaa(address) => RData::AAAA(AAAA(*address)),
        RecordData::Srv {
            priority,
            weight,
            port,
            target,
        } => RData::SRV(SRV::new(*priority, *weight, *port, parse(serial, target)?)),
        RecordData::Ptr(target) => RData::PTR(PTR(parse(serial, target)?)),
        RecordData::Txt(text) => {
            RData::TXT(TXT::from_bytes(text.as_bytes().chunks(MAX_TXT).collect()))
        }
    })
}

//! Rules about services and address pools, and the range of a pool.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use thiserror::Error;

use super::{
    Problems, Unique, meta,
    process::{port_name, port_number},
};
use crate::spec::{AddressPool, PortRef, Service};

/// Why a text is not a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CidrError {
    /// Another form.
    #[error("'{text}' is not a range of IPv4 addresses; write one such as 127.77.0.0/16")]
    Shape {
        /// The refused text.
        text: String,
    },
    /// The address is not the first of its range.
    #[error("'{text}' does not begin its range; write {range}")]
    HostBits {
        /// The refused text.
        text: String,
        /// The range that it lies in.
        range: Cidr,
    },
}

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    first: u32,
    prefix: u32,
}

impl Cidr {
    /// The first address, which names the network.
    pub fn first(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first)
    }

    /// The last address, which is the broadcast address.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first | !mask(self.prefix))
    }

    /// The length of the prefix in bits.
    pub fn prefix(self) -> u32 {
        self.prefix
    }

    /// Whether an address lies in the range.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        (self.first()..=self.last()).contains(&address)
    }

    /// Whether two ranges have an address in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.first()) || other.contains(self.first())
    }
}

fn mask(prefix: u32) -> u32 {
    u32::MAX.checked_shl(32 - prefix).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first(), self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let shape = || CidrError::Shape {
            text: text.to_owned(),
        };
        let (address, prefix) = text.split_once('/').ok_or_else(shape)?;
        let address: Ipv4Addr = address.parse().map_err(|_| shape())?;
        let prefix: u32 = prefix.parse().map_err(|_| shape())?;
        if prefix > 32 {
            return Err(shape());
        }
        let first = address.to_bits() & mask(prefix);
        let range = Self { first, prefix };
        if range.first() == address {
            Ok(range)
        } else {
            Err(CidrError::HostBits {
                text: text.to_owned(),
                range,
            })
        }
    }
}

pub(super) fn pool(problems: &mut Problems, pool: &AddressPool) {
    let namespace = &pool.metadata.namespace;
    if !namespace.is_empty() && namespace != "default" {
        problems.add(
            "metadata.namespace",
            "an AddressPool belongs to no namespace; leave it out",
        );
    }
    let field = "spec.cidr";
    match pool.spec.cidr.parse::<Cidr>() {
        Err(_) if pool.spec.cidr.is_empty() => {
            problems.add(field, "no range is given; give one such as 127.77.0.0/16");
        }
        Err(e) => problems.add(field, e.to_string()),
        Ok(range) if !range.first().is_loopback() => problems.add(
            field,
            format!("{range} does not lie in 127.0.0.0/8; other ranges are not supported yet"),
        ),
        Ok(range) if !(8..=30).contains(&range.prefix()) => problems.add(
            field,
            format!("/{} is not a useful size; give /8 to /30", range.prefix()),
        ),
        Ok(_) => {}
    }
}

pub(super) fn service(problems: &mut Problems, service: &Service) {
    let spec = &service.spec;
    meta::labels(problems, "spec.selector", &spec.selector);
    if let Some(ip) = spec.cluster_ip.as_deref()
        && ip != "None"
    {
        problems.add(
            "spec.clusterIP",
            format!("'{ip}' cannot be served, Berth has no virtual addresses; give None"),
        );
    }
    let mut names = Unique::default();
    for (i, port) in spec.ports.iter().enumerate() {
        let at = format!("spec.ports[{i}]");
        let field = format!("{at}.name");
        names.check(problems, &field, &port.name);
        if !port.name.is_empty() {
            port_name(problems, &field, &port.name);
        } else if spec.ports.len() > 1 {
            problems.add(field, "no name is given; each of several ports needs one");
        }
        port_number(problems, &format!("{at}.port"), port.port);
        if let Some(PortRef::Number(n)) = port.target_port {
            port_number(problems, &format!("{at}.targetPort"), n);
        }
    }
}

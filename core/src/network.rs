//! Which address a host may have: members without one of their own have their host's, and names lead
//! there. An agent that was taken over must not draw to itself what is meant for somebody else, nor lead
//! clients of the names to whatever they have on their own machine.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::Deserialize;
use thiserror::Error;

use crate::{
    ids::HostName,
    state::{HostRecord, State},
};

/// A range of addresses, such as `192.0.2.0/24`; of one if it has no prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

/// Why a text is no range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{text}' is not a range of addresses; write one such as 192.0.2.0/24, from its first address on"
)]
pub struct NetworkError {
    text: String,
}

impl Network {
    /// Whether it has an address. One of IPv4 is the same when it is written as one of IPv6.
    pub fn contains(self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NetworkError;
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let one = || text.parse().ok().map(|address: IpAddr| address.into());
        let range = text.parse().ok().or_else(one);
        // One that begins elsewhere was meant otherwise.
        let whole = |range: &IpNet| range.addr() == range.network();
        let refused = || NetworkError {
            text: text.to_owned(),
        };
        range.filter(whole).map(Self).ok_or_else(refused)
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;
    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a host may not have an address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressRefusal {
    /// Nothing is reached by it.
    #[error(
        "host {host} says to have {address}, which is no address of a single machine; correct \
         advertiseAddress in its configuration"
    )]
    NotOfOne {
        /// The host.
        host: HostName,
        /// The address.
        address: IpAddr,
    },
    /// Everybody who uses it reaches himself.
    #[error(
        "host {host} says to have {address}, by which others reach themselves; give one that other \
         machines reach as advertiseAddress in its configuration"
    )]
    OnlyItself {
        /// The host.
        host: HostName,
        /// The address.
        address: IpAddr,
    },
    /// The operator said where hosts are.
    #[error(
        "host {host} says to have {address}, which is in none of hosts.allowedNetworks of the \
         coordinator's configuration; correct one or the other"
    )]
    Elsewhere {
        /// The host.
        host: HostName,
        /// The address.
        address: IpAddr,
    },
    /// Another host is reached by it now.
    #[error(
        "host {host} says to have {address}, which is the address of host {other}, which is connected; \
         correct advertiseAddress in its configuration"
    )]
    Taken {
        /// The host.
        host: HostName,
        /// The address.
        address: IpAddr,
        /// Whose it is.
        other: HostName,
    },
}

/// Whether a host may have the address that its agent says. `from` is where the agent connects from;
/// `None` if it is on the coordinator's machine. `allowed` are the operator's ranges; any if empty.
///
/// An address that another host had is free as soon as that one is out of contact, so that hosts which
/// got each other's addresses while all were off are not refused for good.
///
/// # Errors
/// Why not.
pub fn check_address(
    state: &State,
    said: &HostRecord,
    from: Option<IpAddr>,
    allowed: &[Network],
) -> Result<(), AddressRefusal> {
    let (host, address) = (said.name.clone(), said.advertise_address.to_canonical());
    let local = from.is_none_or(|from| from.to_canonical().is_loopback());
    if !is_of_one(address) {
        return Err(AddressRefusal::NotOfOne { host, address });
    }
    if address.is_loopback() && !local {
        return Err(AddressRefusal::OnlyItself { host, address });
    }
    if !allowed.is_empty() && !allowed.iter().any(|network| network.contains(address)) {
        return Err(AddressRefusal::Elsewhere { host, address });
    }
    let index = state.index();
    let other = index.hosts_at.of(&address).find(|name| {
        let known = state.hosts.get(name);
        **name != host && known.is_some_and(|other| other.contact.connected)
    });
    match other {
        Some(other) => Err(AddressRefusal::Taken {
            host,
            address,
            other: other.clone(),
        }),
        None => Ok(()),
    }
}

/// Whether one machine can be reached by it, from others on other networks too.
fn is_of_one(address: IpAddr) -> bool {
    let special = address.is_unspecified() || address.is_multicast();
    let link = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    !special && !link
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{host_name, state};

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_has_what_is_in_it() {
        for (range, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.0.0.1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("192.0.2.0/24", "::ffff:192.0.2.1", "::192.0.2.1"),
        ] {
            let range = network(range);
            assert!(range.contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(
                !range.contains(outside.parse().unwrap()),
                "{range} {outside}"
            );
        }
        assert_eq!(network("192.0.2.7").to_string(), "192.0.2.7/32");
        for text in [
            "",
            "x",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "192.0.2.0/",
            "::/129",
        ] {
            let told = text.parse::<Network>().unwrap_err().to_string();
            assert!(told.contains("write one such as"), "{told}");
        }
    }

    /// What comes of a host that says to have an address, and connects from another.
    fn refused(address: &str, from: Option<&str>, allowed: &[&str]) -> Option<String> {
        let state = state(2);
        let said = HostRecord {
            advertise_address: address.parse().unwrap(),
            ..state.hosts[&host_name(1)].record.clone()
        };
        let allowed: Vec<Network> = allowed.iter().map(|text| network(text)).collect();
        let from = from.map(|from| from.parse().unwrap());
        let checked = check_address(&state, &said, from, &allowed);
        checked.err().map(|refusal| refusal.to_string())
    }

    #[test]
    fn a_host_has_no_address_that_is_not_its_own() {
        let from = Some("192.0.2.9");
        for (address, allowed, part) in [
            ("0.0.0.0", vec![], "no address of a single machine"),
            ("255.255.255.255", vec![], "no address of a single machine"),
            ("224.0.0.1", vec![], "no address of a single machine"),
            ("169.254.169.254", vec![], "no address of a single machine"),
            ("fe80::1", vec![], "no address of a single machine"),
            ("127.0.0.1", vec![], "reach themselves"),
            ("::ffff:127.0.0.1", vec![], "reach themselves"),
            (
                "198.51.100.1",
                vec!["192.0.2.0/24", "10.0.0.0/8"],
                "hosts.allowedNetworks",
            ),
            ("10.0.0.2", vec![], "the address of host host-2"),
        ] {
            let told = refused(address, from, &allowed).unwrap_or_default();
            assert!(told.contains(part), "{address}: {told}");
        }
        assert_eq!(refused("192.0.2.9", from, &["192.0.2.0/24"]), None);
        assert_eq!(refused("10.0.0.1", from, &[]), None, "its own from before");
        // On one machine everything is reached by such addresses.
        assert_eq!(refused("127.77.0.1", Some("127.0.0.1"), &[]), None);
        assert_eq!(refused("127.77.0.1", None, &[]), None);
    }

    #[test]
    fn the_address_of_a_host_that_is_away_is_free() {
        let mut state = state(2);
        let mut said = state.hosts[&host_name(1)].record.clone();
        let other = state.hosts.get_mut(&host_name(2)).unwrap();
        other.contact.connected = false;
        said.advertise_address = other.record.advertise_address;
        assert_eq!(check_address(&state, &said, None, &[]), Ok(()));
    }
}

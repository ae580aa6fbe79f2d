//! What an agent says of itself when it connects.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use berth_core::{
    history::{Heard, Place, Places},
    ids::{BootId, ContentHash, Epoch, MemberId, Uid, ZoneSerial},
    keeper::cgroup::Controller,
    lease::LeaseTerms,
    state::{HostDirectives, HostRecord, ZoneHead},
    volume::{PoolInfo, PoolKind, Pools},
};

use super::{ConvertError, id};
use crate::v1;

/// The first message of an agent's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Its host. Not cordoned: only the coordinator knows that.
    pub host: HostRecord,
    /// Whether its pools were looked at; if not, they are told later, and what was told before holds.
    pub pools_known: bool,
    /// The boot of the host.
    pub boot: BootId,
    /// The agent's release.
    pub version: String,
    /// What its ledger says.
    pub heard: Heard,
    /// The zone that it serves.
    pub zone: ZoneHead,
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> Self {
        let controllers = hello.host.controllers.iter();
        Self {
            controllers: controllers.map(ToString::to_string).collect(),
            self_fences: hello.host.self_fences,
            watchdog: hello.host.watchdog,
            host: hello.host.name.to_string(),
            advertise_address: hello.host.advertise_address.to_string(),
            labels: hello.host.labels.into_iter().collect(),
            pools: hello.host.pools.into_iter().map(to_pool).collect(),
            pools_follow: !hello.pools_known,
            machine_id: hello.host.machine_id,
            product_uuid: hello.host.product_uuid,
            boot_id: hello.boot.0,
            agent_version: hello.version,
            head: Some(hello.heard.head.into()),
            highest_epochs: to_epochs(hello.heard.highest_epochs),
            members: to_epochs(hello.heard.members),
            leases: to_leases(hello.heard.leases),
            places: to_places(hello.heard.places),
            zone_serial: hello.zone.serial.0,
            zone_hash: hello.zone.hash.0,
        }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = ConvertError;
    fn try_from(hello: v1::Hello) -> Result<Self, ConvertError> {
        let host = HostRecord {
            name: id("host", &hello.host)?,
            advertise_address: address("advertise_address", &hello.advertise_address)?,
            labels: hello.labels.into_iter().collect(),
            pools: hello.pools.into_iter().map(from_pool).collect(),
            unschedulable: false,
            machine_id: hello.machine_id,
            product_uuid: hello.product_uuid,
            controllers: hello
                .controllers
                .iter()
                .filter_map(|name| Controller::of_name(name))
                .collect(),
            agent_labels: BTreeMap::new(),
            self_fences: hello.self_fences,
            watchdog: hello.watchdog,
            directives: HostDirectives::default(),
        };
        Ok(Self {
            host,
            pools_known: !hello.pools_follow,
            boot: BootId(hello.boot_id),
            version: hello.agent_version,
            heard: Heard {
                head: hello.head.unwrap_or_default().into(),
                highest_epochs: from_epochs("highest_epochs", &hello.highest_epochs)?,
                members: from_epochs("members", &hello.members)?,
                leases: from_leases(hello.leases)?,
                places: from_places(hello.places),
                zone: ZoneSerial(hello.zone_serial),
            },
            zone: ZoneHead {
                serial: ZoneSerial(hello.zone_serial),
                hash: ContentHash(hello.zone_hash),
            },
        })
    }
}

fn to_epochs(epochs: BTreeMap<MemberId, Epoch>) -> HashMap<String, String> {
    let text = |(member, epoch): (MemberId, Epoch)| (member.to_string(), epoch.to_string());
    epochs.into_iter().map(text).collect()
}

fn from_epochs(
    field: &'static str,
    epochs: &HashMap<String, String>,
) -> Result<BTreeMap<MemberId, Epoch>, ConvertError> {
    let parsed = epochs
        .iter()
        .map(|(member, epoch)| Ok((id(field, member)?, id(field, epoch)?)));
    parsed.collect()
}

fn to_leases(leases: BTreeMap<MemberId, LeaseTerms>) -> HashMap<String, v1::LeaseTerms> {
    let terms = |(member, terms): (MemberId, LeaseTerms)| {
        let terms = v1::LeaseTerms {
            length_ms: terms.length_ms,
            grace_ms: terms.grace_ms,
            kill_ms: terms.kill_ms,
            self_fences: terms.self_fences,
        };
        (member.to_string(), terms)
    };
    leases.into_iter().map(terms).collect()
}

fn from_leases(
    leases: HashMap<String, v1::LeaseTerms>,
) -> Result<BTreeMap<MemberId, LeaseTerms>, ConvertError> {
    let terms = |(member, terms): (String, v1::LeaseTerms)| {
        let terms = LeaseTerms {
            length_ms: terms.length_ms,
            grace_ms: terms.grace_ms,
            kill_ms: terms.kill_ms,
            self_fences: terms.self_fences,
        };
        Ok((id("leases", &member)?, terms))
    };
    leases.into_iter().map(terms).collect()
}

fn to_places(places: Places) -> HashMap<String, v1::VolumePlace> {
    let place =
        |(claim, Place { pool, dir }): (Uid, Place)| (claim.0, v1::VolumePlace { pool, dir });
    places.into_iter().map(place).collect()
}

fn from_places(places: HashMap<String, v1::VolumePlace>) -> Places {
    let place = |(claim, place): (String, v1::VolumePlace)| {
        let v1::VolumePlace { pool, dir } = place;
        (Uid(claim), Place { pool, dir })
    };
    places.into_iter().map(place).collect()
}

impl From<Pools> for v1::Pools {
    fn from(pools: Pools) -> Self {
        Self {
            pools: pools.into_iter().map(to_pool).collect(),
        }
    }
}

impl From<v1::Pools> for Pools {
    fn from(message: v1::Pools) -> Self {
        message.pools.into_iter().map(from_pool).collect()
    }
}

fn to_pool((name, info): (String, PoolInfo)) -> v1::Pool {
    v1::Pool {
        name,
        image: info.kind == PoolKind::Image,
        capacity_bytes: info.capacity,
        limits: info.limits,
        clones: info.clones,
        missing: info.missing,
        trouble: info.trouble,
        path: info.path,
        available_bytes: info.available,
    }
}

fn from_pool(pool: v1::Pool) -> (String, PoolInfo) {
    let info = PoolInfo {
        kind: if pool.image {
            PoolKind::Image
        } else {
            PoolKind::Directory
        },
        capacity: pool.capacity_bytes,
        limits: pool.limits,
        clones: pool.clones,
        missing: pool.missing,
        trouble: pool.trouble,
        path: pool.path,
        available: pool.available_bytes,
    };
    (pool.name, info)
}

fn address(field: &'static str, text: &str) -> Result<IpAddr, ConvertError> {
    text.parse().map_err(|_| ConvertError::Address {
        field,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use berth_core::{
        ids::{Generation, HistoryId, Term},
        order::OrderHead,
    };

    use super::*;

    fn hello() -> Hello {
        let gone = PoolInfo {
            kind: PoolKind::Image,
            missing: true,
            trouble: "not mounted".to_owned(),
            path: "/srv/gone".to_owned(),
            available: 7,
            ..PoolInfo::default()
        };
        let place = Place {
            pool: "default".to_owned(),
            dir: "default_data-etcd-1".to_owned(),
        };
        Hello {
            host: HostRecord {
                name: "host-1".parse().unwrap(),
                advertise_address: "127.77.0.1".parse().unwrap(),
                labels: [("rack".to_owned(), "a".to_owned())].into(),
                pools: [
                    ("default".to_owned(), PoolInfo::default()),
                    ("gone".to_owned(), gone),
                ]
                .into(),
                unschedulable: false,
                machine_id: "m".to_owned(),
                product_uuid: "p".to_owned(),
                controllers: [Controller::Memory, Controller::Pids].into(),
                self_fences: true,
                watchdog: true,
                agent_labels: BTreeMap::new(),
                directives: HostDirectives::default(),
            },
            pools_known: false,
            boot: BootId("b".to_owned()),
            version: "0.1.0".to_owned(),
            heard: Heard {
                head: OrderHead {
                    history: HistoryId("h".to_owned()),
                    term: Term(1),
                    generation: Generation(2),
                    hash: ContentHash("x".to_owned()),
                },
                highest_epochs: [("default/etcd-0".parse().unwrap(), Epoch::default())].into(),
                members: [("default/etcd-1".parse().unwrap(), Epoch::default())].into(),
                leases: [("default/etcd-1".parse().unwrap(), LEASE)].into(),
                places: [(Uid("u".to_owned()), place)].into(),
                zone: ZoneSerial::default(),
            },
            zone: ZoneHead::default(),
        }
    }

    const LEASE: LeaseTerms = LeaseTerms {
        length_ms: 15_000,
        grace_ms: 3_750,
        kill_ms: 2_000,
        self_fences: true,
    };

    #[test]
    fn a_hello_arrives_as_it_was_sent() {
        assert_eq!(Hello::try_from(v1::Hello::from(hello())).unwrap(), hello());
    }

    #[test]
    fn what_is_no_address_or_name_is_refused_with_its_field() {
        let mut wire = v1::Hello::from(hello());
        wire.advertise_address = "host-1".to_owned();
        let error = Hello::try_from(wire).unwrap_err().to_string();
        assert!(
            error.starts_with("advertise_address is 'host-1'"),
            "{error}"
        );
        let mut wire = v1::Hello::from(hello());
        wire.host = "Host 1".to_owned();
        let error = Hello::try_from(wire).unwrap_err().to_string();
        assert!(error.starts_with("host "), "{error}");
    }
}

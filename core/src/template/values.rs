//! The names that templates know, and the values behind them.
//!
//! The names are those of the manifest documentation; names of two words are known in both
//! spellings (`configDir` and `config_dir`), because a manifest speaks camelCase and Jinja
//! snake_case.

use std::{collections::BTreeMap, fmt, sync::Arc};

use minijinja::{
    Value,
    value::{Enumerator, Object},
};

use crate::{
    ids::Ordinal,
    order::{Peer, RenderValues},
};

/// Every name that a template may refer to.
pub const NAMES: [&str; 15] = [
    "namespace",
    "set",
    "member",
    "ordinal",
    "replicas",
    "fqdn",
    "address",
    "peers",
    "founders",
    "founding",
    "host",
    "previous_address",
    "previousAddress",
    "configDir",
    "config_dir",
];

/// The values of one member, for the engine.
pub(crate) fn context(values: &RenderValues, config_dir: &str) -> Value {
    named(values, config_dir, known_labels)
}

/// How labels of a host become a value.
type Labels = fn(&BTreeMap<String, String>) -> Value;

fn named(values: &RenderValues, config_dir: &str, labels: Labels) -> Value {
    let previous = values
        .previous_address
        .as_ref()
        .map_or_else(|| Value::from(()), |address| Value::from(address.as_str()));
    let list = |peers: &[Peer]| {
        Value::from(
            peers
                .iter()
                .map(|one| peer(one, labels))
                .collect::<Vec<_>>(),
        )
    };
    map([
        ("namespace", Value::from(values.namespace.as_str())),
        ("set", Value::from(values.set.as_str())),
        ("member", Value::from(values.member.as_str())),
        ("ordinal", Value::from(values.ordinal)),
        ("replicas", Value::from(values.replicas)),
        ("fqdn", Value::from(values.fqdn.as_str())),
        ("address", Value::from(values.address.as_str())),
        ("peers", list(&values.peers)),
        ("founders", list(&values.founders)),
        ("founding", Value::from(values.founding)),
        ("host", map([("labels", labels(&values.host_labels))])),
        ("previous_address", previous.clone()),
        ("previousAddress", previous),
        ("configDir", Value::from(config_dir)),
        ("config_dir", Value::from(config_dir)),
    ])
}

fn peer(peer: &Peer, labels: Labels) -> Value {
    map([
        ("name", Value::from(peer.name.as_str())),
        ("fqdn", Value::from(peer.fqdn.as_str())),
        ("address", Value::from(peer.address.as_str())),
        ("ordinal", Value::from(peer.ordinal.0)),
        ("host", map([("labels", labels(&peer.host_labels))])),
    ])
}

fn known_labels(labels: &BTreeMap<String, String>) -> Value {
    Value::from_pairs(labels)
}

fn map<const N: usize>(entries: [(&'static str, Value); N]) -> Value {
    Value::from_pairs(entries)
}

/// Values for trying a template out before any host is known: every label exists.
pub(crate) fn sample(namespace: &str, set: &str, ordinal: u32, founding: bool) -> Value {
    let replicas = ordinal.max(2) + 1;
    let peers: Vec<Peer> = (0..replicas)
        .map(|n| Peer {
            name: format!("{set}-{n}"),
            fqdn: format!("{set}-{n}.{set}.{namespace}.svc.berth.internal"),
            address: "192.0.2.1".to_owned(),
            ordinal: Ordinal(n),
            host_labels: BTreeMap::new(),
        })
        .collect();
    let values = RenderValues {
        namespace: namespace.to_owned(),
        set: set.to_owned(),
        member: format!("{set}-{ordinal}"),
        ordinal,
        replicas,
        fqdn: format!("{set}-{ordinal}.{set}.{namespace}.svc.berth.internal"),
        address: "192.0.2.1".to_owned(),
        founders: peers.clone(),
        peers: peers.into(),
        founding,
        host: "sample".to_owned(),
        host_address: "192.0.2.1".to_owned(),
        previous_address: (!founding).then(|| "192.0.2.2".to_owned()),
        ..RenderValues::default()
    };
    named(&values, "/run/sample", |_| Value::from_object(AnyLabel))
}

/// Labels of a host that nobody knows yet: each has a value.
struct AnyLabel;

impl fmt::Debug for AnyLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyLabel")
    }
}

impl Object for AnyLabel {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        key.as_str().map(|_| Value::from("sample"))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::NonEnumerable
    }
}

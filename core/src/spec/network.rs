//! Service (a name for ready members) and AddressPool (an address per ordinal).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{meta::ObjectMeta, probe::PortRef, process::Protocol};

/// A headless service: DNS names for the ready members that it selects.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Service {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What it selects.
    pub spec: ServiceSpec,
}

/// What a service selects and names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceSpec {
    /// Labels of the members.
    pub selector: BTreeMap<String, String>,
    /// Named ports get SRV records.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// Only `None` (headless) is served.
    #[serde(rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    pub cluster_ip: Option<String>,
    /// Whether members that are not ready are named too.
    pub publish_not_ready_addresses: bool,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServicePort {
    /// Its name in SRV records.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The number.
    pub port: u32,
    /// The member's port, when it differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_port: Option<PortRef>,
    /// TCP when left out.
    pub protocol: Protocol,
}

/// Addresses that ordinals get one each of, kept for as long as the set exists.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AddressPool {
    /// Its name; pools have no namespace of their own and live in `default`.
    pub metadata: ObjectMeta,
    /// Its range.
    pub spec: AddressPoolSpec,
}

/// The range of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AddressPoolSpec {
    /// The range, such as `127.77.0.0/16`. For now within 127.0.0.0/8: those addresses need no
    /// configuration on a host.
    pub cidr: String,
    /// Whether sets that name no pool take from this one.
    pub default: bool,
}

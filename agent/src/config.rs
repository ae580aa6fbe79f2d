//! The agent's configuration file.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use berth_core::{
    ids::{HostName, IdError},
    spec::capability,
    volume::PoolKind,
};
use berth_proto::transport::{Endpoint, EndpointError};
use serde::Deserialize;
use thiserror::Error;

use crate::{
    dns::{DnsConfig, Upstreams},
    host::{linux::LocalPolicy, storage::Pool},
};

/// The file as it is written. Every field but the first three has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigFile {
    /// The host's name, unique in the cluster.
    pub host: String,
    /// Where the coordinator is.
    pub coordinator: String,
    /// The address that members without one of their own have.
    pub advertise_address: IpAddr,
    /// Labels for placement.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Pools for local volumes: each a directory, or a directory and how volumes are kept in it.
    #[serde(default = "default_pools")]
    pub pools: BTreeMap<String, PoolFile>,
    /// The ledger and the kept zone.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// Keepers' sockets and records, and the members' configuration directories.
    #[serde(default = "default_run_dir")]
    pub run_dir: PathBuf,
    /// The members' logs.
    #[serde(default = "default_log_dir")]
    pub log_dir: PathBuf,
    /// The DNS server.
    #[serde(default)]
    pub dns: DnsFile,
    /// The socket for `berth local`.
    #[serde(default = "default_local")]
    pub local: String,
    /// What members may do on this host, whatever the coordinator says.
    #[serde(default)]
    pub policy: PolicyFile,
    /// The DNS zone; the coordinator's.
    #[serde(default = "default_zone")]
    pub zone: String,
}

/// A pool for local volumes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "a directory, or {path: <directory>, type: directory|image}"
)]
pub enum PoolFile {
    /// Its directory; each volume is a directory in it.
    Path(PathBuf),
    /// With the kind of its volumes.
    Pool(PoolTable),
}

/// A pool with the kind of its volumes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolTable {
    /// Its directory. The agent makes none: an unmounted disk must not be taken for an empty pool.
    pub path: PathBuf,
    /// How it keeps volumes.
    #[serde(default, rename = "type")]
    pub kind: PoolKind,
}

impl From<PoolFile> for Pool {
    fn from(file: PoolFile) -> Self {
        let (path, kind) = match file {
            PoolFile::Path(path) => (path, PoolKind::default()),
            PoolFile::Pool(PoolTable { path, kind }) => (path, kind),
        };
        Self { path, kind }
    }
}

/// The DNS server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DnsFile {
    /// Where it listens. Members use the first; it has port 53, since a `resolv.conf` names none.
    pub listen: Vec<SocketAddr>,
    /// Who is asked about other names; the system's own when left out.
    pub upstreams: Option<Vec<SocketAddr>>,
}

impl Default for DnsFile {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::new(127, 0, 0, 153), 53))],
            upstreams: None,
        }
    }
}

/// What members may do on this host. What it leaves out is as in [`LocalPolicy::default`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PolicyFile {
    /// Whether processes may run as root.
    pub allow_root: bool,
    /// The users that processes may run as; any but root if empty.
    pub allowed_users: Vec<String>,
    /// What `b` is written to, to reboot the host at once, when a member is not gone at the end of its
    /// lease: `/proc/sysrq-trigger`. Left out, the host never reboots itself.
    pub self_reboot: Option<PathBuf>,
    /// The groups that processes may be in beside those of their user.
    pub allowed_groups: Vec<String>,
    /// The capabilities that processes may keep, with or without `CAP_`.
    pub allowed_capabilities: Vec<String>,
}

impl Default for PolicyFile {
    fn default() -> Self {
        let usual = LocalPolicy::default();
        Self {
            allow_root: usual.allow_root,
            allowed_users: usual.allowed_users,
            self_reboot: None,
            allowed_groups: usual.allowed_groups,
            allowed_capabilities: usual.allowed_capabilities,
        }
    }
}

impl PolicyFile {
    /// With every capability by its one name, and which of them are none.
    fn check(self) -> (LocalPolicy, Vec<ConfigError>) {
        let mut allowed_capabilities = Vec::new();
        let mut errors = Vec::new();
        for (index, name) in self.allowed_capabilities.into_iter().enumerate() {
            match capability(&name) {
                Some(known) => allowed_capabilities.push(known.to_owned()),
                None => errors.push(ConfigError::Capability { index, name }),
            }
        }
        let policy = LocalPolicy {
            file: LocalPolicy::default().file,
            allow_root: self.allow_root,
            allowed_users: self.allowed_users,
            allowed_groups: self.allowed_groups,
            allowed_capabilities,
        };
        (policy, errors)
    }
}

/// The configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The host's name.
    pub host: HostName,
    /// Where the coordinator is.
    pub coordinator: Endpoint,
    /// The address that members without one of their own have.
    pub advertise_address: IpAddr,
    /// Labels for placement.
    pub labels: BTreeMap<String, String>,
    /// Pools for local volumes.
    pub pools: BTreeMap<String, Pool>,
    /// The ledger and the kept zone.
    pub data_dir: PathBuf,
    /// Keepers' sockets and records, and the members' configuration directories.
    pub run_dir: PathBuf,
    /// The members' logs.
    pub log_dir: PathBuf,
    /// The DNS server.
    pub dns: DnsConfig,
    /// Who the members ask for names.
    pub resolver: IpAddr,
    /// The socket for `berth local`.
    pub local: Endpoint,
    /// What members may do on this host.
    pub policy: LocalPolicy,
    /// What is written to, to reboot the host.
    pub self_reboot: Option<PathBuf>,
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The host's name.
    #[error("host: no name of a host; correct it")]
    Host {
        /// What is wrong with it.
        #[source]
        source: IdError,
    },
    /// An endpoint.
    #[error("{field}: no endpoint; correct it")]
    Endpoint {
        /// `coordinator` or `local`.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: EndpointError,
    },
    /// A path that is not absolute.
    #[error("{field}: {path} is not absolute; begin it with /")]
    Relative {
        /// Which.
        field: String,
        /// The path.
        path: PathBuf,
    },
    /// A pool in the way of another directory.
    #[error("pools.{pool}: {path} lies in {other} ({other_path}), or holds it; give each its own")]
    Overlap {
        /// The pool.
        pool: String,
        /// Its directory.
        path: PathBuf,
        /// The other field.
        other: String,
        /// The other directory.
        other_path: PathBuf,
    },
    /// A capability that there is not.
    #[error(
        "policy.allowedCapabilities[{index}]: '{name}' is not a capability; give a name such as \
         NET_BIND_SERVICE"
    )]
    Capability {
        /// Where in the list.
        index: usize,
        /// The name.
        name: String,
    },
    /// No address for the DNS server.
    #[error("dns.listen: no address; give one, such as 127.0.0.153:53")]
    NoDns,
    /// The members' resolver is on a port that `resolv.conf` cannot name.
    #[error("dns.listen[0]: {address} is not on port 53, where members ask; use port 53")]
    DnsPort {
        /// The address.
        address: SocketAddr,
    },
}

impl TryFrom<ConfigFile> for Config {
    type Error = Vec<ConfigError>;

    fn try_from(file: ConfigFile) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let host = file
            .host
            .parse()
            .map_err(|source| ConfigError::Host { source });
        let endpoint = |field, text: &str| {
            let parsed = text.parse::<Endpoint>();
            parsed.map_err(|source| ConfigError::Endpoint { field, source })
        };
        let coordinator = endpoint("coordinator", &file.coordinator);
        let local = endpoint("local", &file.local);
        let pools: BTreeMap<String, Pool> = file
            .pools
            .iter()
            .map(|(name, pool)| (name.clone(), pool.clone().into()))
            .collect();
        errors.extend(relative_paths(&file, &pools));
        errors.extend(overlaps(&file, &pools));
        let self_reboot = file.policy.self_reboot.clone();
        let (policy, unknown) = file.policy.check();
        errors.extend(unknown);
        let first = file.dns.listen.first().copied().ok_or(ConfigError::NoDns);
        let resolver = first.and_then(|address| match address.port() {
            53 => Ok(address.ip()),
            _ => Err(ConfigError::DnsPort { address }),
        });
        let mut keep = |error: ConfigError| errors.push(error);
        let host: Option<HostName> = host.map_err(&mut keep).ok();
        let coordinator = coordinator.map_err(&mut keep).ok();
        let local = local.map_err(&mut keep).ok();
        let resolver = resolver.map_err(&mut keep).ok();
        let (Some(host), Some(coordinator), Some(local), Some(resolver), true) =
            (host, coordinator, local, resolver, errors.is_empty())
        else {
            return Err(errors);
        };
        Ok(Self {
            host,
            coordinator,
            advertise_address: file.advertise_address,
            labels: file.labels,
            pools,
            dns: DnsConfig {
                listen: file.dns.listen,
                upstreams: file
                    .dns
                    .upstreams
                    .map_or(Upstreams::System, Upstreams::These),
                data_dir: file.data_dir.clone(),
                origin: file.zone,
            },
            data_dir: file.data_dir,
            run_dir: file.run_dir,
            log_dir: file.log_dir,
            resolver,
            local,
            policy,
            self_reboot,
        })
    }
}

/// Pools that share a directory, with each other or with the agent's own.
fn overlaps(file: &ConfigFile, pools: &BTreeMap<String, Pool>) -> Vec<ConfigError> {
    let own = [
        ("dataDir", &file.data_dir),
        ("runDir", &file.run_dir),
        ("logDir", &file.log_dir),
    ];
    let mut errors = Vec::new();
    for (n, (name, pool)) in pools.iter().enumerate() {
        let before = pools.iter().take(n);
        let before = before.map(|(other, pool)| (format!("pools.{other}"), &pool.path));
        let own = own.map(|(field, path)| (field.to_owned(), path));
        for (other, path) in before.chain(own) {
            if path.starts_with(&pool.path) || pool.path.starts_with(path) {
                errors.push(ConfigError::Overlap {
                    pool: name.clone(),
                    path: pool.path.clone(),
                    other,
                    other_path: path.clone(),
                });
            }
        }
    }
    errors
}

fn relative_paths(file: &ConfigFile, pools: &BTreeMap<String, Pool>) -> Vec<ConfigError> {
    let mut paths: Vec<(String, &PathBuf)> = pools
        .iter()
        .map(|(name, pool)| (format!("pools.{name}"), &pool.path))
        .collect();
    paths.push(("dataDir".to_owned(), &file.data_dir));
    paths.push(("runDir".to_owned(), &file.run_dir));
    paths.push(("logDir".to_owned(), &file.log_dir));
    let reboot = file.policy.self_reboot.as_ref();
    paths.extend(reboot.map(|path| ("policy.selfReboot".to_owned(), path)));
    let relative = paths.into_iter().filter(|(_, path)| !path.is_absolute());
    relative
        .map(|(field, path)| ConfigError::Relative {
            field,
            path: path.clone(),
        })
        .collect()
}

fn default_pools() -> BTreeMap<String, PoolFile> {
    let path = PoolFile::Path("/var/lib/berth/volumes".into());
    [("default".to_owned(), path)].into()
}

fn default_data_dir() -> PathBuf {
    "/var/lib/berth/agent".into()
}

fn default_run_dir() -> PathBuf {
    "/run/berth/agent".into()
}

fn default_log_dir() -> PathBuf {
    "/var/log/berth".into()
}

fn default_local() -> String {
    "unix:/run/berth/agent.sock".to_owned()
}

fn default_zone() -> String {
    "berth.internal".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, Vec<ConfigError>> {
        serde_json::from_str::<ConfigFile>(text).unwrap().try_into()
    }

    #[test]
    fn three_fields_are_enough() {
        let config = read(
            r#"{"host": "host-1", "coordinator": "127.0.0.1:7400", "advertiseAddress": "10.0.0.1"}"#,
        )
        .unwrap();
        assert_eq!(config.resolver, IpAddr::from([127, 0, 0, 153]));
        assert_eq!(config.local.to_string(), "unix:/run/berth/agent.sock");
        assert_eq!(config.policy, LocalPolicy::default());
    }

    #[test]
    fn a_policy_has_capabilities_by_their_names() {
        let with = |list: &str| {
            let policy = format!(r#"{{"allowedCapabilities": {list}}}"#);
            let file: PolicyFile = serde_json::from_str(&policy).unwrap();
            file.check()
        };
        let (policy, errors) = with(r#"["CAP_NET_RAW", "sys_nice"]"#);
        assert_eq!(policy.allowed_capabilities, ["NET_RAW", "SYS_NICE"]);
        assert!(errors.is_empty(), "{errors:?}");
        let (policy, _) = with("[]");
        assert_eq!(policy.allowed_capabilities, Vec::<String>::new());
    }

    #[test]
    fn a_pool_is_a_directory_and_may_say_how_it_keeps_volumes() {
        let config = read(
            r#"{"host": "host-1", "coordinator": "127.0.0.1:7400", "advertiseAddress": "10.0.0.1",
                "pools": {"default": "/srv/berth", "fast": {"path": "/nvme", "type": "image"}}}"#,
        )
        .unwrap();
        assert_eq!(config.pools["default"].kind, PoolKind::Directory);
        assert_eq!(config.pools["fast"].kind, PoolKind::Image);
        assert_eq!(config.pools["fast"].path, PathBuf::from("/nvme"));
    }

    #[test]
    fn each_pool_has_a_directory_of_its_own() {
        for (pools, wrong) in [
            (r#"{"a": "/srv/a", "b": "/srv/a/"}"#, 1),
            (r#"{"a": "/srv", "b": {"path": "/srv/b"}}"#, 1),
            (r#"{"a": "/var/lib/berth/agent/pool"}"#, 1),
            (r#"{"a": "/run/berth/agent"}"#, 1),
            (r#"{"a": "/"}"#, 3),
            (r#"{"a": "/srv/a", "b": "/srv/ab"}"#, 0),
        ] {
            let text = format!(
                r#"{{"host": "host-1", "coordinator": "127.0.0.1:7400",
                    "advertiseAddress": "10.0.0.1", "pools": {pools}}}"#
            );
            let told = read(&text).err().unwrap_or_default();
            assert_eq!(told.len(), wrong, "{pools}: {told:?}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let errors = read(
            r#"{"host": "Host", "coordinator": "here", "advertiseAddress": "10.0.0.1",
                "dataDir": "data", "pools": {"fast": "fast"},
                "dns": {"listen": ["127.0.0.1:5353"]},
                "policy": {"allowedCapabilities": ["SYS_NICE", "ALL"]}}"#,
        )
        .unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        for field in [
            "host",
            "coordinator",
            "dataDir",
            "pools.fast",
            "dns.listen[0]",
            "policy.allowedCapabilities[1]",
        ] {
            assert!(
                told.iter().any(|t| t.starts_with(field)),
                "{field}: {told:?}"
            );
        }
        assert_eq!(told.len(), 6);
    }
}

//! The agent's configuration file.

mod policy;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use berth_core::{
    ids::{HostName, IdError},
    volume::PoolKind,
};
use berth_proto::transport::{Endpoint, EndpointError};
use serde::Deserialize;
use thiserror::Error;

use crate::{
    dns::{DnsConfig, Upstreams},
    host::{
        linux::{LocalPolicy, SelfReboot},
        storage::Pool,
    },
    identity::Joined,
};

pub use policy::PolicyFile;

/// Where metrics are served by default: another port than that of a coordinator on the same host.
const METRICS_PORT: u16 = 7402;

/// The file as it is written. Every field has a default; the first three have those that the host
/// joined with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigFile {
    /// The host's name, unique in the cluster.
    #[serde(default)]
    pub host: Option<String>,
    /// Where the coordinator is.
    #[serde(default)]
    pub coordinator: Option<String>,
    /// The address that members without one of their own have.
    #[serde(default)]
    pub advertise_address: Option<IpAddr>,
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
    /// For Prometheus.
    #[serde(default)]
    pub metrics: MetricsFile,
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

/// For Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricsFile {
    /// Where metrics are served, if anywhere.
    pub listen: Vec<SocketAddr>,
}

impl Default for MetricsFile {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS_PORT))],
        }
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
    /// Where metrics are served.
    pub metrics: Vec<SocketAddr>,
    /// Who the members ask for names.
    pub resolver: IpAddr,
    /// The socket for `berth local`.
    pub local: Endpoint,
    /// What members may do on this host.
    pub policy: LocalPolicy,
    /// What reboots the host when a member is not gone at the end of its lease.
    pub self_reboot: Option<SelfReboot>,
}

impl ConfigFile {
    /// With what the host joined with, where the file says nothing.
    #[must_use]
    pub fn or_joined(self, joined: Option<Joined>) -> Self {
        let Some(joined) = joined else {
            return self;
        };
        Self {
            host: self.host.or_else(|| Some(joined.host.to_string())),
            coordinator: self
                .coordinator
                .or_else(|| Some(joined.coordinator.to_string())),
            advertise_address: self.advertise_address.or(Some(joined.advertise_address)),
            ..self
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Neither the file nor a join says it.
    #[error("{field}: missing; run 'berth-agent join ADDRESS TOKEN', or write it")]
    Missing {
        /// Which.
        field: &'static str,
    },
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
    /// Two ways for the host to reboot itself.
    #[error("policy.watchdog: policy.selfReboot is given, too; give one of the two")]
    TwoReboots,
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
        let missing = |field| ConfigError::Missing { field };
        let host = file.host.as_deref().ok_or_else(|| missing("host"));
        let host =
            host.and_then(|text| text.parse().map_err(|source| ConfigError::Host { source }));
        let endpoint = |field, text: &str| {
            let parsed = text.parse::<Endpoint>();
            parsed.map_err(|source| ConfigError::Endpoint { field, source })
        };
        let coordinator = file.coordinator.as_deref();
        let coordinator = coordinator.ok_or_else(|| missing("coordinator"));
        let coordinator = coordinator.and_then(|text| endpoint("coordinator", text));
        let advertised = file.advertise_address;
        let advertised = advertised.ok_or_else(|| missing("advertiseAddress"));
        let local = endpoint("local", &file.local);
        let pools: BTreeMap<String, Pool> = file
            .pools
            .iter()
            .map(|(name, pool)| (name.clone(), pool.clone().into()))
            .collect();
        errors.extend(relative_paths(&file, &pools));
        errors.extend(overlaps(&file, &pools));
        let self_reboot = file.policy.reboot();
        let (policy, unknown) = file.policy.check();
        errors.extend(unknown);
        let resolver = file.dns.resolver();
        let mut keep = |error: ConfigError| errors.push(error);
        let host: Option<HostName> = host.map_err(&mut keep).ok();
        let coordinator = coordinator.map_err(&mut keep).ok();
        let local = local.map_err(&mut keep).ok();
        let advertised = advertised.map_err(&mut keep).ok();
        let resolver = resolver.map_err(&mut keep).ok();
        let self_reboot = self_reboot.map_err(&mut keep).ok().flatten();
        let (
            Some(host),
            Some(coordinator),
            Some(advertise_address),
            Some(local),
            Some(resolver),
            true,
        ) = (
            host,
            coordinator,
            advertised,
            local,
            resolver,
            errors.is_empty(),
        )
        else {
            return Err(errors);
        };
        Ok(Self {
            host,
            coordinator,
            advertise_address,
            labels: file.labels,
            pools,
            dns: dns(file.dns, &file.data_dir, file.zone),
            data_dir: file.data_dir,
            run_dir: file.run_dir,
            log_dir: file.log_dir,
            metrics: file.metrics.listen,
            resolver,
            local,
            policy,
            self_reboot,
        })
    }
}

impl DnsFile {
    /// Who the members ask for names.
    fn resolver(&self) -> Result<IpAddr, ConfigError> {
        let address = self.listen.first().copied().ok_or(ConfigError::NoDns)?;
        match address.port() {
            53 => Ok(address.ip()),
            _ => Err(ConfigError::DnsPort { address }),
        }
    }
}

fn dns(file: DnsFile, data_dir: &Path, origin: String) -> DnsConfig {
    let upstreams = file.upstreams;
    DnsConfig {
        listen: file.listen,
        upstreams: upstreams.map_or(Upstreams::System, Upstreams::These),
        data_dir: data_dir.to_owned(),
        origin,
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
    let watchdog = file.policy.watchdog.as_ref();
    paths.extend(watchdog.map(|path| ("policy.watchdog".to_owned(), path)));
    let lists = [
        ("allowedCommands", &file.policy.allowed_commands),
        ("allowedPaths", &file.policy.allowed_paths),
    ];
    for (key, list) in lists {
        let listed = list.iter().enumerate();
        paths.extend(listed.map(|(index, path)| (format!("policy.{key}[{index}]"), path)));
    }
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
        assert_eq!(config.metrics, ["127.0.0.1:7402".parse().unwrap()]);
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
                "policy": {"allowedCapabilities": ["SYS_NICE", "ALL"],
                    "selfReboot": "/proc/sysrq-trigger", "watchdog": "/dev/watchdog0"}}"#,
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
            "policy.watchdog",
        ] {
            assert!(
                told.iter().any(|t| t.starts_with(field)),
                "{field}: {told:?}"
            );
        }
        assert_eq!(told.len(), 7);
    }
}

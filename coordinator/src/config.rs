//! The coordinator's configuration file.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use berth_core::{
    ids::check_label,
    lease::{LeaseError, Leases},
    manifest::{Violation, read_config},
    network::Network,
    spec::period::{PeriodError, parse_period},
};
use berth_proto::transport::{Endpoint, EndpointError};
use serde::Deserialize;
use thiserror::Error;

use crate::{
    fencing::{Fencing, FencingError, FencingFile},
    limits::{Limits, LimitsError, LimitsFile},
    pki::{TlsConfig, TlsError, TlsFile},
    secrets::{KeyError, KeySource, SecretsFile},
};

/// Where metrics are served by default: beside the port that the documents use for gRPC.
const METRICS_PORT: u16 = 7401;

/// What the file says. Every field has a default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct File {
    /// Where to listen: `unix:/PATH` or `IP:PORT`.
    listen: Vec<String>,
    /// Where the store is kept.
    data_dir: PathBuf,
    /// The DNS zone of all names.
    zone: String,
    /// What was deleted.
    trash: Trash,
    /// How long hosts may run members of Failover sets without a word.
    leases: LeaseFile,
    /// How hosts that are out of contact are switched off.
    fencing: FencingFile,
    /// What is taken from hosts.
    hosts: HostsFile,
    /// For whoever watches.
    metrics: MetricsFile,
    /// Certificates.
    tls: TlsFile,
    /// How secrets are kept.
    secrets: SecretsFile,
    /// What is taken from callers.
    limits: LimitsFile,
}

/// For Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct MetricsFile {
    /// Where metrics are served, if anywhere.
    listen: Vec<SocketAddr>,
}

impl Default for MetricsFile {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS_PORT))],
        }
    }
}

/// What is taken from hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct HostsFile {
    /// Where their addresses are; anywhere if empty.
    allowed_networks: Vec<Network>,
}

/// How long leases are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct LeaseFile {
    /// Those of the class `Default`.
    default: String,
    /// Those of the class `Fast`.
    fast: String,
    /// From the end of a lease to its members being surely gone.
    kill_margin: String,
}

impl Default for LeaseFile {
    fn default() -> Self {
        Self {
            default: "15s".to_owned(),
            fast: "3s".to_owned(),
            kill_margin: "2s".to_owned(),
        }
    }
}

impl LeaseFile {
    fn check(&self) -> Result<Leases, ConfigError> {
        let period = |field, text: &str| {
            parse_period(text).map_err(|why| ConfigError::Period { field, why })
        };
        let leases = Leases {
            default: period("default", &self.default)?,
            fast: period("fast", &self.fast)?,
            kill_margin: period("killMargin", &self.kill_margin)?,
        };
        leases.check().map_err(ConfigError::Lease)?;
        Ok(leases)
    }
}

/// The trash of volumes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Trash {
    /// How long data stays there before it is removed for good: `7d`, `12h`, or `forever`.
    keep: String,
}

impl Default for Trash {
    fn default() -> Self {
        Self {
            keep: "7d".to_owned(),
        }
    }
}

impl Default for File {
    fn default() -> Self {
        Self {
            listen: vec![
                "unix:/run/berth/coordinator/api.sock".to_owned(),
                "0.0.0.0:7400".to_owned(),
            ],
            data_dir: PathBuf::from("/var/lib/berth/coordinator"),
            zone: "berth.internal".to_owned(),
            trash: Trash::default(),
            leases: LeaseFile::default(),
            fencing: FencingFile::default(),
            hosts: HostsFile::default(),
            metrics: MetricsFile::default(),
            tls: TlsFile::default(),
            secrets: SecretsFile::default(),
            limits: LimitsFile::default(),
        }
    }
}

/// The checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; at least one.
    pub listen: Vec<Endpoint>,
    /// Where the store is kept.
    pub data_dir: PathBuf,
    /// The DNS zone of all names, in lower case, without a final dot.
    pub zone: String,
    /// How long data stays in the trash; `None` for ever.
    pub trash_keep: Option<Duration>,
    /// How long leases are.
    pub leases: Leases,
    /// How hosts are fenced.
    pub fencing: Fencing,
    /// Where the addresses of hosts are; anywhere if empty.
    pub host_networks: Vec<Network>,
    /// Where metrics are served.
    pub metrics: Vec<SocketAddr>,
    /// Certificates.
    pub tls: TlsConfig,
    /// Where the keys are that secrets are sealed with.
    pub secrets: KeySource,
    /// What is taken from callers.
    pub limits: Limits,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}; give --config a file that exists")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is wrong.
    #[error("{}", lines(.0))]
    Invalid(Vec<Violation>),
    /// An entry of `listen` is no endpoint.
    #[error("listen: {0}")]
    Endpoint(EndpointError),
    /// There is nowhere to listen.
    #[error("listen is empty; give at least one endpoint")]
    NoEndpoint,
    /// A part of the zone's name is no DNS label.
    #[error("zone: '{zone}' is not a DNS name; use labels of a-z, 0-9 and '-' with dots between")]
    Zone {
        /// The name.
        zone: String,
    },
    /// The length of a lease is none.
    #[error("leases.{field}: {why}")]
    Period {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: PeriodError,
    },
    /// No host could hold such a lease.
    #[error("leases.{0}")]
    Lease(LeaseError),
    /// A host cannot be fenced so.
    #[error(transparent)]
    Fencing(#[from] FencingError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys for secrets.
    #[error(transparent)]
    Secrets(#[from] KeyError),
    /// What is taken from callers.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// The time in the trash is none.
    #[error("trash.keep: '{keep}' is no time; write one such as 7d or 12h, or forever")]
    Keep {
        /// What it says.
        keep: String,
    },
}

/// A number of days, hours or minutes.
fn keep(text: &str) -> Result<Option<Duration>, ConfigError> {
    if text == "forever" {
        return Ok(None);
    }
    let refuse = || ConfigError::Keep {
        keep: text.to_owned(),
    };
    let unit = text.chars().last().and_then(|unit| match unit {
        'd' => Some(24 * 3600),
        'h' => Some(3600),
        'm' => Some(60),
        _ => None,
    });
    let count = text.get(..text.len().saturating_sub(1));
    let count = count.and_then(|count| count.parse::<u64>().ok());
    let seconds = count
        .zip(unit)
        .and_then(|(count, unit)| count.checked_mul(unit));
    seconds
        .map(|seconds| Some(Duration::from_secs(seconds)))
        .ok_or_else(refuse)
}

fn lines(violations: &[Violation]) -> String {
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let file: File = read_config(name, text).map_err(ConfigError::Invalid)?;
        if file.listen.is_empty() {
            return Err(ConfigError::NoEndpoint);
        }
        let zone = file.zone.trim_end_matches('.').to_ascii_lowercase();
        if zone.split('.').any(|label| check_label(label).is_err()) {
            return Err(ConfigError::Zone { zone: file.zone });
        }
        let listen = file.listen.iter().map(|text| text.parse());
        Ok(Self {
            listen: listen
                .collect::<Result<_, _>>()
                .map_err(ConfigError::Endpoint)?,
            secrets: file.secrets.check(&file.data_dir)?,
            data_dir: file.data_dir,
            zone,
            trash_keep: keep(&file.trash.keep)?,
            leases: file.leases.check()?,
            fencing: file.fencing.check()?,
            host_networks: file.hosts.allowed_networks,
            metrics: file.metrics.listen,
            limits: file.limits.check()?,
            tls: file.tls.check(|text| keep(text).ok().flatten())?,
        })
    }

    /// The file of the store.
    pub fn store_path(&self) -> PathBuf {
        self.data_dir.join(crate::store::FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gives_the_documented_defaults() {
        let config = Config::parse("c.yaml", "").unwrap();
        assert_eq!(
            config.listen[0].to_string(),
            "unix:/run/berth/coordinator/api.sock"
        );
        assert_eq!(config.data_dir, Path::new("/var/lib/berth/coordinator"));
        assert_eq!(config.zone, "berth.internal");
        assert_eq!(config.trash_keep, Some(Duration::from_secs(7 * 24 * 3600)));
        assert_eq!(config.metrics, ["127.0.0.1:7401".parse().unwrap()]);
    }

    #[test]
    fn mistakes_are_told() {
        let told = |text: &str| Config::parse("c.yaml", text).unwrap_err().to_string();
        assert!(
            told("zones: x").contains("c.yaml:1"),
            "{}",
            told("zones: x")
        );
        assert!(told("listen: [nowhere]").starts_with("listen: 'nowhere'"));
        assert!(told("metrics: {listen: [here]}").contains("c.yaml:1"));
        let text = told("hosts: {allowedNetworks: [192.0.2.1/24]}");
        assert!(text.contains("'192.0.2.1/24' is not a range"), "{text}");
        assert!(told("listen: []").starts_with("listen is empty"));
        assert!(told("zone: a..b").starts_with("zone: 'a..b'"));
        for keep in ["7", "d", "-1d", "1w", "99999999999999999d", ""] {
            let text = told(&format!("trash: {{keep: '{keep}'}}"));
            assert!(text.starts_with("trash.keep: '"), "{text}");
        }
        for (leases, expected) in [
            ("fast: soon", "leases.fast: 'soon' is not a length of time"),
            (
                "fast: 900ms",
                "leases.fast: 900ms is shorter than the renewals can hold",
            ),
            ("killMargin: 0s", "leases.killMargin: 0ns is too short"),
        ] {
            let text = told(&format!("leases: {{{leases}}}"));
            assert!(text.starts_with(expected), "{text}");
        }
        for (limits, expected) in [
            ("streams: 0", "limits.streams is 0"),
            ("callTimeout: 0s", "limits.callTimeout is 0"),
            ("callTimeout: soon", "limits.callTimeout: 'soon' is not"),
            ("callsAtOnce: -1", "c.yaml:1"),
        ] {
            let text = told(&format!("limits: {{{limits}}}"));
            assert!(text.starts_with(expected), "{text}");
        }
        let read = |keep: &str| {
            let text = format!("trash: {{keep: {keep}}}");
            Config::parse("c.yaml", &text).unwrap().trash_keep
        };
        assert_eq!(read("90m"), Some(Duration::from_secs(5400)));
        assert_eq!(read("forever"), None);
    }
}

//! Where everything of `berth dev` is: directories, sockets, addresses, and the config files that
//! say so to the daemons.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    os::unix::fs::DirBuilderExt as _,
    path::{self, Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{error::CliError, output::format};

/// The range that members take their addresses from; all of 127.0.0.0/8 is there without
/// configuration.
pub(crate) const POOL: &str = "127.77.0.0/16";
/// The domain of all names.
pub(crate) const ZONE: &str = "berth.internal";
/// Hosts have the first addresses of the pool.
const HOSTS: [u8; 3] = [127, 77, 0];
/// The DNS server of host-1 is here, that of host-2 one further on. A resolver always asks at 53.
const DNS: [u8; 3] = [127, 0, 0];
const FIRST_DNS: u8 = 153;
const DNS_PORT: u16 = 53;
/// Where the coordinator is for its agents; outside of the pool.
const COORDINATOR: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 78, 0, 1), 7400);
/// The path of a unix socket has at most 107 bytes; the longest one below the directory needs
/// `/host-100/run/<member of 63 bytes>...`, which agents keep short on their own; this leaves room
/// for the ones made here.
const MAX_DIR: usize = 60;

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The directory.
    pub(crate) dir: PathBuf,
    /// The hosts.
    pub(crate) hosts: Vec<HostLayout>,
}

/// One pretended host.
#[derive(Debug, Clone)]
pub(crate) struct HostLayout {
    /// Its name, `host-1`.
    pub(crate) name: String,
    /// Its address.
    pub(crate) address: Ipv4Addr,
    /// Where its agent answers DNS queries.
    pub(crate) dns: SocketAddrV4,
    /// Its directory.
    pub(crate) dir: PathBuf,
}

impl Layout {
    /// The layout below a directory.
    pub(crate) fn new(dir: &Path, hosts: u8) -> Result<Self, CliError> {
        let dir = path::absolute(dir).map_err(|source| CliError::File {
            doing: "find",
            path: dir.to_owned(),
            source,
        })?;
        if dir.as_os_str().len() > MAX_DIR || dir.to_str().is_none() {
            return Err(CliError::Missing {
                message: format!("{} is no place for sockets", dir.display()),
                hint: format!("give --dir a path of at most {MAX_DIR} bytes, in UTF-8"),
            });
        }
        let hosts = (1..=hosts)
            .map(|number| HostLayout::new(&dir, number))
            .collect();
        Ok(Self { dir, hosts })
    }

    /// Where the coordinator listens.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix:{}", self.dir.join("coordinator.sock").display())
    }

    /// Where agents reach it: they join and connect as from another machine.
    pub(crate) fn address(&self) -> SocketAddrV4 {
        COORDINATOR
    }

    /// The coordinator's config file.
    pub(crate) fn coordinator_config(&self) -> PathBuf {
        self.dir.join("coordinator/coordinator.yaml")
    }

    /// Where the agents listen for `berth local`, for people to read.
    pub(crate) fn socket_pattern(&self) -> String {
        format!("unix:{}/host-N/agent.sock", self.dir.display())
    }

    /// Writes all config files, and makes the directories that they name.
    pub(crate) fn write_configs(&self) -> Result<(), CliError> {
        let coordinator = self.dir.join("coordinator");
        make(&coordinator)?;
        let config = json!({
            "listen": [self.endpoint(), self.address()],
            "dataDir": coordinator.join("data"),
            "zone": ZONE,
        });
        write(&self.coordinator_config(), &config)?;
        for host in &self.hosts {
            make(&host.dir)?;
            // An agent does not make a pool: on a real host, its disk may not be mounted.
            for pool in [host.pool(), host.images()] {
                make(&pool)?;
            }
            write(&host.config(), &host.agent_config(self.address()))?;
        }
        Ok(())
    }
}

impl HostLayout {
    fn new(dir: &Path, number: u8) -> Self {
        let name = format!("host-{number}");
        let [a, b, c] = HOSTS;
        let [x, y, z] = DNS;
        let dns = Ipv4Addr::new(x, y, z, FIRST_DNS.saturating_add(number - 1));
        Self {
            dir: dir.join(&name),
            address: Ipv4Addr::new(a, b, c, number),
            dns: SocketAddrV4::new(dns, DNS_PORT),
            name,
        }
    }

    /// The agent's config file.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("agent.yaml")
    }

    /// What the agent proves itself with, once the host has joined.
    pub(crate) fn identity(&self) -> PathBuf {
        self.data_dir().join("pki/identity.pem")
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Where the agent listens for `berth local`.
    pub(crate) fn socket(&self) -> String {
        format!("unix:{}", self.dir.join("agent.sock").display())
    }

    /// Where the members' volumes are.
    fn pool(&self) -> PathBuf {
        self.dir.join("volumes")
    }

    /// Where volumes are that are images: they cannot outgrow their size.
    fn images(&self) -> PathBuf {
        self.dir.join("images")
    }

    /// Where the agent keeps the records of its members' keepers.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    fn agent_config(&self, coordinator: SocketAddrV4) -> Value {
        json!({
            "host": self.name,
            "coordinator": coordinator,
            "advertiseAddress": self.address,
            "pools": {
                "default": self.pool(),
                "images": { "path": self.images(), "type": "image" },
            },
            "dataDir": self.data_dir(),
            "runDir": self.run_dir(),
            "logDir": self.dir.join("log"),
            "dns": { "listen": [self.dns] },
            "metrics": { "listen": [format!("{}:7402", self.address)] },
            "local": self.socket(),
            "zone": ZONE,
        })
    }
}

fn make(dir: &Path) -> Result<(), CliError> {
    // Members run as users of their own and must be able to reach their volumes.
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755);
    builder.create(dir).map_err(|source| CliError::File {
        doing: "create",
        path: dir.to_owned(),
        source,
    })
}

fn write(path: &Path, config: &Value) -> Result<(), CliError> {
    let text = format!(
        "# Written by `berth dev` at every start; changes are lost.\n{}",
        format::yaml(config)?
    );
    fs::write(path, text).map_err(|source| CliError::File {
        doing: "write",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_has_addresses_of_its_own() {
        let layout = Layout::new(Path::new("/x"), 100).unwrap();
        let last = layout.hosts.last().unwrap();
        assert_eq!(last.address.to_string(), "127.77.0.100");
        assert_eq!(last.dns.to_string(), "127.0.0.252:53");
        let mut all: Vec<_> = layout.hosts.iter().map(|host| host.dns).collect();
        all.dedup();
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn a_directory_too_deep_for_sockets_is_refused() {
        let deep = format!("/{}", "x".repeat(MAX_DIR));
        let error = Layout::new(Path::new(&deep), 1).unwrap_err();
        assert!(error.hint().contains("--dir"));
    }

    #[test]
    fn config_files_are_written_with_absolute_paths() {
        let dir = tempfile::Builder::new().prefix("b").tempdir().unwrap();
        let layout = Layout::new(dir.path(), 2).unwrap();
        layout.write_configs().unwrap();
        let text = fs::read_to_string(dir.path().join("host-2/agent.yaml")).unwrap();
        let expected = format!("coordinator: {}", layout.address());
        assert!(text.contains(&expected), "{text}");
        assert!(text.contains("127.0.0.154:53"), "{text}");
        assert!(layout.coordinator_config().exists());
        for pool in ["host-1/volumes", "host-2/images"] {
            assert!(dir.path().join(pool).is_dir(), "{pool}");
        }
        assert!(text.contains("type: image"), "{text}");
    }
}

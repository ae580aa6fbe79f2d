//! The agent's DNS server: names of members and services from the last accepted zone, other names
//! from the upstream resolvers.
//!
//! Every agent serves the whole zone itself, so that members find each other without the
//! coordinator and without another host. Two rules decide its form. *A question never waits for
//! anything of ours*: it is answered from one immutable [`index::Index`], which [`publish`] swaps.
//! *A declared name is never denied*: without an address it has no records, and nothing negative
//! may be remembered (promise I9).
//!
//! | file | what |
//! |---|---|
//! | `index` | a zone, arranged for answering |
//! | `answer` | question and index to answer; pure |
//! | `wire` | bytes to question, answer to bytes; pure |
//! | `forward` | names that are not ours |
//! | `listen` | sockets and their loops |
//! | `persist` | the zone on disk |
//!
//! hickory encodes and decodes. Its server is not used: its in-memory zone searches every name for
//! a negative answer, and its UDP loop starts a task for each question.
//!
//! [`publish`]: DnsServer::publish

mod answer;
mod forward;
mod index;
mod listen;
mod persist;
mod wire;

#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use arc_swap::ArcSwap;
use berth_core::{
    ids::{ContentHash, ZoneSerial},
    zone::Zone,
};
use hickory_resolver::net::NetError;
use thiserror::Error;
use tokio::{sync::Mutex, task::spawn_blocking};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{forward::Forwarder, index::Index};
pub use self::{index::ZoneError, persist::PersistError};

/// What the server needs to know.
#[derive(Debug, Clone)]
pub struct DnsConfig {
    /// Where it listens, each on UDP and TCP. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Who is asked about other names.
    pub upstreams: Upstreams,
    /// Where the last accepted zone is kept.
    pub data_dir: PathBuf,
    /// The zone that the first zone will be of; until that comes, its names are answered with
    /// SERVFAIL instead of being passed on.
    pub origin: String,
}

/// Who is asked about names that are not ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstreams {
    /// The resolvers of `/etc/resolv.conf`.
    System,
    /// These; none if empty.
    These(Vec<SocketAddr>),
}

/// Why the server does not start.
#[derive(Debug, Error)]
pub enum DnsError {
    /// A socket cannot be opened.
    #[error("cannot serve DNS on {address}; free it, or set dns.listen to another")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// All addresses of the host at once: answers would leave from another address than the one
    /// that was asked.
    #[error("dns.listen: {address} is not one address; give each address of the host by itself")]
    Unspecified {
        /// Which.
        address: SocketAddr,
    },
    /// The forwarder cannot be made.
    #[error("cannot use the upstream resolvers; correct dns.upstreams")]
    Upstreams {
        /// What hickory said.
        #[source]
        source: NetError,
    },
    /// The configured origin is not a name.
    #[error("the zone's origin is not a DNS name; correct it")]
    Origin {
        /// What is wrong with it.
        #[source]
        source: ZoneError,
    },
}

/// Why a zone was not taken over. Nothing of it must be acknowledged.
#[derive(Debug, Error)]
pub enum PublishError {
    /// Its content is not what was sent. The zone served before stays.
    #[error("zone {serial} does not have the hash that it came with; it must be sent again")]
    Hash {
        /// Its serial.
        serial: ZoneSerial,
    },
    /// It cannot be served. The zone served before stays.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// It is served, and would be forgotten at the next start.
    #[error(transparent)]
    Persist(#[from] PersistError),
    /// The agent is going down.
    #[error("the agent is stopping; the zone must be sent again")]
    Stopping,
}

/// A running server. It stops when it is dropped; [`DnsServer::stop`] also waits until its sockets
/// are closed.
#[derive(Debug)]
pub struct DnsServer {
    shared: Arc<Shared>,
    local: Vec<SocketAddr>,
    data_dir: Arc<PathBuf>,
    // Zones are taken over one after another, so that the file is never older than what is served.
    publishing: Mutex<()>,
}

/// What the loops of the sockets share.
#[derive(Debug)]
struct Shared {
    index: ArcSwap<Index>,
    forwarder: Forwarder,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl DnsServer {
    /// Opens the sockets and serves the zone that was kept, if there is one.
    ///
    /// # Errors
    /// If a socket cannot be opened, or the configuration makes no sense. A kept zone that cannot
    /// be read is reported in the log, and no reason not to start: the coordinator sends it again.
    pub async fn start(config: DnsConfig) -> Result<Self, DnsError> {
        let sockets = listen::open(&config.listen)?;
        let local: Vec<SocketAddr> = sockets.iter().map(listen::Sockets::local).collect();
        let servers = addresses(&local);
        let data_dir = Arc::new(config.data_dir);
        let kept = spawn_blocking({
            let dir = Arc::clone(&data_dir);
            move || kept(&dir, &servers)
        });
        let index = match kept.await.unwrap_or_default() {
            Some(index) => index,
            None => Index::unknown(&config.origin).map_err(|source| DnsError::Origin { source })?,
        };
        let shared = Arc::new(Shared {
            index: ArcSwap::from_pointee(index),
            forwarder: Forwarder::new(&config.upstreams, &local)?,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        for sockets in sockets {
            sockets.serve(&shared);
        }
        Ok(Self {
            shared,
            local,
            data_dir,
            publishing: Mutex::new(()),
        })
    }

    /// Takes over a zone that came with a hash. When it returns, every question is answered from
    /// this zone, and it is on disk: it can be acknowledged.
    ///
    /// # Errors
    /// If the zone is not what was sent, cannot be served, or cannot be kept.
    pub async fn publish(&self, zone: Zone, hash: &ContentHash) -> Result<(), PublishError> {
        let _one_at_a_time = self.publishing.lock().await;
        let shared = Arc::clone(&self.shared);
        let dir = Arc::clone(&self.data_dir);
        let servers = addresses(&self.local);
        let hash = hash.clone();
        // Arranging and writing a large zone takes milliseconds, which the sockets' loops need.
        spawn_blocking(move || {
            if zone.hash() != hash {
                return Err(PublishError::Hash {
                    serial: zone.serial,
                });
            }
            let index = Index::build(&zone, hash.clone(), &servers)?;
            shared.index.store(Arc::new(index));
            Ok(persist::save(&dir, &zone, &hash)?)
        })
        .await
        .unwrap_or(Err(PublishError::Stopping))
    }

    /// Serial and hash of the zone that is served; 0 and empty before the first.
    pub fn serving(&self) -> (ZoneSerial, ContentHash) {
        self.shared.index.load().head()
    }

    /// Whether this name is answered with this address, maybe among others.
    pub fn has_address(&self, name: &str, address: IpAddr) -> bool {
        self.shared.index.load().has_address(name, address)
    }

    /// Where it listens; with the ports that were chosen, if 0 was asked for.
    pub fn local(&self) -> &[SocketAddr] {
        &self.local
    }

    /// Stops, and returns when the sockets are closed.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

fn addresses(local: &[SocketAddr]) -> Vec<IpAddr> {
    local.iter().map(SocketAddr::ip).collect()
}

/// The zone of the last run. Whatever is wrong with it is one log line: names can come again.
fn kept(dir: &std::path::Path, servers: &[IpAddr]) -> Option<Index> {
    let (zone, hash) = match persist::load(dir) {
        Ok(kept) => kept?,
        Err(error) => {
            tracing::error!(%error, "the kept zone is not used; the coordinator sends it again");
            return None;
        }
    };
    Index::build(&zone, hash, servers)
        .inspect_err(|error| tracing::error!(%error, "the kept zone is not used"))
        .ok()
}

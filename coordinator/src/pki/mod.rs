//! The coordinator's certificates: its authority, with which it certifies agents and operators, and its
//! own certificate, which is made at every start, is kept in memory only, and is replaced in time.

mod config;

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use berth_core::time::Timestamp;
use berth_pki::{Authority, PkiError, Subject, authority::AuthorityHash, tls};
use berth_proto::transport::ServerTls;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

pub use config::{TlsConfig, TlsError, TlsFile};

/// How long the coordinator's own certificate is valid; it is replaced after two thirds of that.
const OWN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The directory of a made authority, below the store's.
const DIRECTORY: &str = "pki";

/// A certificate and the one of the authority that issued it, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Of the key that was asked for.
    pub certificate: String,
    /// The authority's.
    pub authority: String,
}

/// Cheap to clone; all copies issue with the same authority.
#[derive(Debug, Clone)]
pub struct Pki(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: TlsConfig,
    directory: std::path::PathBuf,
    authority: ArcSwap<Authority>,
    tls: ServerTls,
}

fn authority(config: &TlsConfig, made: &Path, now: Timestamp) -> Result<Authority, PkiError> {
    match &config.authority {
        Some(given) => Authority::load(given),
        None => Authority::open(made, now),
    }
}

impl Pki {
    /// Reads the authority, or makes one, and the coordinator's own certificate.
    ///
    /// # Errors
    /// If its files cannot be used.
    pub fn open(config: TlsConfig, data_dir: &Path, now: Timestamp) -> Result<Self, PkiError> {
        let directory = data_dir.join(DIRECTORY);
        let authority = authority(&config, &directory, now)?;
        let own = authority.serve_as(&config.names, now, OWN_LIFE)?;
        let tls = ServerTls::new(tls::server(authority.certificate(), own)?);
        let inner = Inner {
            config,
            directory,
            authority: ArcSwap::from_pointee(authority),
            tls,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// What listeners speak TLS with, now and from the next certificate on.
    pub fn tls(&self) -> ServerTls {
        self.0.tls.clone()
    }

    /// What tells the authority from others.
    pub fn hash(&self) -> AuthorityHash {
        self.0.authority.load().hash()
    }

    /// Certifies the key of a request as a host's or an operator's.
    ///
    /// # Errors
    /// If the request is none.
    pub fn issue(&self, subject: &Subject, csr: &[u8], now: Timestamp) -> Result<Issued, PkiError> {
        let authority = self.0.authority.load();
        let life = match subject {
            Subject::Host(_) => self.0.config.host_life,
            Subject::User(_) | Subject::Coordinator => self.0.config.user_life,
        };
        Ok(Issued {
            certificate: authority.issue(subject, csr, now, life)?,
            authority: authority.pem().to_owned(),
        })
    }

    /// Reads the authority again and makes a new certificate; connections that are open stay.
    ///
    /// # Errors
    /// If its files cannot be used; then all is as before.
    pub fn reload(&self, now: Timestamp) -> Result<(), PkiError> {
        let Inner { config, .. } = &*self.0;
        let authority = authority(config, &self.0.directory, now)?;
        let own = authority.serve_as(&config.names, now, OWN_LIFE)?;
        self.0
            .tls
            .replace(tls::server(authority.certificate(), own)?);
        self.0.authority.store(Arc::new(authority));
        Ok(())
    }

    /// Keeps the coordinator's certificate valid, and reads the authority again on SIGHUP.
    pub async fn keep_fresh(self, clock: Clock, shutdown: CancellationToken) {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                tracing::warn!(%error, "SIGHUP is not heard; restart to reload certificates");
                return;
            }
        };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(OWN_LIFE * 2 / 3) => {}
                _ = hangup.recv() => {}
            }
            match self.reload(clock.now()) {
                Ok(()) => tracing::info!(authority = %self.hash(), "certificates are loaded anew"),
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "certificates cannot be loaded anew; those from before go on"
                ),
            }
        }
    }
}

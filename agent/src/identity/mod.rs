//! What this host proves itself with: a key that never leaves it, and a certificate of the cluster's
//! authority, which is renewed long before its end.
//!
//! Both are in `pki/identity.pem` below the data directory, what the host joined with beside it in
//! `pki/joined.json`. Without a coordinator nothing of it is needed: members run on.

mod join;

use std::{
    fs,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use berth_core::{error::chain, ids::HostName, time::Timestamp};
use berth_pki::{
    Credentials, PkiError, Subject, authority::AuthorityHash, private, request::Request, tls,
};
use berth_proto::{
    transport::{ClientTls, ConnectError, Endpoint, Remote},
    v1::{RenewRequest, identity_service_client::IdentityServiceClient},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use crate::config::Config;

pub use join::{JoinError, Wish, join};

/// The key and the certificate.
const FILE: &str = "pki/identity.pem";
/// What the host joined with.
const JOINED: &str = "pki/joined.json";
/// The longest pause between two looks at the clock: it may be set meanwhile.
const LOOK: Duration = Duration::from_secs(600);
/// Between two tries to renew.
const RETRY: Duration = Duration::from_secs(60);

/// Why this host has no identity.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// The files.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// There are none.
    #[error(
        "{} is missing: this host has not joined; run 'berth-agent join ADDRESS TOKEN' with a token \
         of 'berth admin token create'", .0.display()
    )]
    NotJoined(PathBuf),
    /// They are another host's.
    #[error(
        "{} is the certificate of {subject}, and this host is {host} by its configuration; correct \
         'host', or join it as {host}", .file.display()
    )]
    OtherHost {
        /// The file.
        file: PathBuf,
        /// Whose it is.
        subject: Subject,
        /// Who this host is.
        host: HostName,
    },
    /// What the host joined with cannot be read.
    #[error("{} cannot be read; run 'berth-agent join' again", .path.display())]
    Joined {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
}

/// What a host joined with: what its configuration file need not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// The host's name.
    pub host: HostName,
    /// Where the coordinator is.
    pub coordinator: SocketAddr,
    /// The address by which the host reached it.
    pub advertise_address: IpAddr,
}

impl Joined {
    /// What is remembered; `None` if this host has not joined.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, IdentityError> {
        let path = data_dir.join(JOINED);
        let read = fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?));
        match read {
            Ok(joined) => Ok(Some(joined)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IdentityError::Joined { path, source }),
        }
    }
}

/// This host, as it proves to be.
#[derive(Debug)]
pub struct Identity {
    endpoint: Endpoint,
    proof: Option<Proof>,
}

#[derive(Debug)]
struct Proof {
    file: PathBuf,
    credentials: Credentials,
    tls: ClientTls,
}

pub(super) fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(0).plus(now.unwrap_or_default())
}

impl Identity {
    /// Reads it. Through a unix socket, root needs none.
    ///
    /// # Errors
    /// If it is missing, another host's, or others can read it.
    pub fn of(config: &Config) -> Result<Self, IdentityError> {
        let endpoint = config.coordinator.clone();
        if let Endpoint::Unix(_) = endpoint {
            let proof = None;
            return Ok(Self { endpoint, proof });
        }
        let file = config.data_dir.join(FILE);
        if !file.exists() {
            return Err(IdentityError::NotJoined(file));
        }
        let credentials = Credentials::load(&file)?;
        let subject = &credentials.certified().subject;
        if *subject != Subject::Host(config.host.clone()) {
            return Err(IdentityError::OtherHost {
                subject: subject.clone(),
                host: config.host.clone(),
                file,
            });
        }
        if let Err(error) = credentials.check_time(now()) {
            // The members run on, and the coordinator may see it otherwise.
            tracing::error!("{error}");
        }
        let tls = ClientTls::new(tls::client(&credentials)?);
        let proof = Some(Proof {
            file,
            credentials,
            tls,
        });
        Ok(Self { endpoint, proof })
    }

    /// How the coordinator is reached, now and with every later certificate.
    pub fn coordinator(&self) -> Remote {
        Remote {
            endpoint: self.endpoint.clone(),
            tls: self.proof.as_ref().map(|proof| proof.tls.clone()),
        }
    }

    /// Renews the certificate, again and again: when it is time, and at a SIGHUP.
    pub async fn keep_fresh(self) {
        let hangup = signal(SignalKind::hangup());
        let mut hangup = hangup
            .inspect_err(|error| tracing::warn!(%error, "SIGHUP is not heard"))
            .ok();
        let remote = self.coordinator();
        let Some(mut proof) = self.proof else {
            return;
        };
        loop {
            let due = proof.credentials.certified().renew_at();
            let left = due.since(now());
            if !left.is_zero() {
                tokio::select! {
                    () = sleep(left.min(LOOK)) => continue,
                    () = heard(hangup.as_mut()) => {}
                }
            }
            match proof.renew(&remote).await {
                Ok(until) => tracing::info!(%until, "the certificate is renewed"),
                Err(error) => {
                    let until = proof.credentials.certified().not_after;
                    let error = chain(&error);
                    tracing::warn!(%until, error, "the certificate is not renewed; trying again");
                    let left = until.since(now());
                    sleep(RETRY.min(left / 10).max(Duration::from_secs(1))).await;
                }
            }
        }
    }
}

/// Returns when the signal came.
async fn heard(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Why a certificate is not renewed.
#[derive(Debug, Error)]
enum RenewError {
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the coordinator refused")]
    Refused(#[from] tonic::Status),
    #[error("the coordinator sent the certificate of another authority")]
    OtherAuthority,
}

impl Proof {
    async fn renew(&mut self, remote: &Remote) -> Result<Timestamp, RenewError> {
        let request = Request::new()?;
        let csr = request.csr().to_vec();
        let mut client = IdentityServiceClient::new(remote.connect().await?);
        let renewed = client.renew(RenewRequest { csr }).await?.into_inner();
        let new = self.credentials.renewed(
            &request.key_pem(),
            &renewed.certificate,
            &renewed.authority,
        )?;
        // Its certificate may be another by now, its key may not: nobody has said that it is trusted.
        if AuthorityHash::of(new.authority())? != AuthorityHash::of(self.credentials.authority())? {
            return Err(RenewError::OtherAuthority);
        }
        new.save(&self.file)?;
        self.tls.replace(tls::client(&new)?);
        self.credentials = new;
        Ok(self.credentials.certified().not_after)
    }
}

/// Writes what a host joined with: first who it is, then the rest, without which that is not used.
fn keep(data_dir: &Path, credentials: &Credentials, joined: &Joined) -> Result<(), PkiError> {
    credentials.save(&data_dir.join(FILE))?;
    let path = data_dir.join(JOINED);
    let text = serde_json::to_string(joined).map_err(|error| PkiError::File {
        doing: "write",
        path: path.clone(),
        source: error.into(),
    })?;
    private::write(&path, &text)
}

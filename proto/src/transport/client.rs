//! Connections.

use std::{fmt, io, sync::Arc};

use arc_swap::ArcSwap;
use berth_pki::{problem, tls};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, rustls::ClientConfig};
use tonic::transport::{Channel, Endpoint as Target};
use tower::service_fn;

use super::{Endpoint, http2};

/// What requests call the other end. It is told apart by its certificate, or by its socket.
const SECURED: &str = "http://berth-coordinator";
const LOCAL: &str = "http://localhost";

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Nobody answers.
    #[error("cannot connect to {endpoint}")]
    Failed {
        /// Where to.
        endpoint: Endpoint,
        /// What the system said.
        #[source]
        source: tonic::transport::Error,
    },
    /// Somebody answers, and TLS is not agreed on.
    #[error("cannot connect to {endpoint}: {why}")]
    Tls {
        /// Where to.
        endpoint: Endpoint,
        /// What is wrong, in plain words.
        why: String,
    },
    /// Without a certificate there is nothing to say.
    #[error(
        "{endpoint} is not on this machine, and there is no certificate to prove with who asks; give \
         one, or a unix socket"
    )]
    NoCertificate {
        /// Where to.
        endpoint: Endpoint,
    },
}

/// With what a client speaks TLS. All copies of it take the next certificate when there is one.
#[derive(Debug, Clone)]
pub struct ClientTls(Arc<ArcSwap<ClientConfig>>);

impl ClientTls {
    /// With these settings.
    pub fn new(config: Arc<ClientConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// Has every connection from now on be opened with others.
    pub fn replace(&self, config: Arc<ClientConfig>) {
        self.0.store(config);
    }
}

/// How a coordinator is reached.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where it is.
    pub endpoint: Endpoint,
    /// With what; a unix socket needs nothing.
    pub tls: Option<ClientTls>,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

impl Remote {
    /// Opens a connection. It notices by itself when the other end is gone.
    ///
    /// # Errors
    /// If nobody answers within three seconds, or it is not the coordinator.
    pub async fn connect(&self) -> Result<Channel, ConnectError> {
        let Endpoint::Tcp(address) = &self.endpoint else {
            return connect(&self.endpoint).await;
        };
        let Some(ClientTls(config)) = self.tls.clone() else {
            let endpoint = self.endpoint.clone();
            return Err(ConnectError::NoCertificate { endpoint });
        };
        let address = *address;
        let connector = service_fn(move |_| {
            let config = config.load_full();
            async move {
                let stream = TcpStream::connect(address).await?;
                // Small messages go out at once; a failure costs latency only.
                stream.set_nodelay(true).ok();
                let name = tls::coordinator().map_err(io::Error::other)?;
                let secured = TlsConnector::from(config).connect(name, stream).await?;
                Ok::<_, io::Error>(TokioIo::new(secured))
            }
        });
        let opened = http2::client(SECURED)
            .connect_with_connector(connector)
            .await;
        opened.map_err(|source| failed(&self.endpoint, source))
    }
}

fn failed(endpoint: &Endpoint, source: tonic::transport::Error) -> ConnectError {
    let endpoint = endpoint.clone();
    match problem::explain(&source) {
        Some(why) => ConnectError::Tls { endpoint, why },
        None => ConnectError::Failed { endpoint, source },
    }
}

/// Opens a connection to somebody else's server, without TLS, for a single question. Whoever asks
/// bounds the time.
///
/// # Errors
/// What is wrong with the host, or what the system said.
pub async fn plain(host: &str, port: u32) -> Result<Channel, String> {
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    let target = Target::from_shared(format!("http://{host}:{port}"));
    let target = target.map_err(|e| e.to_string())?;
    target.connect().await.map_err(|error| {
        let source = std::error::Error::source(&error);
        source.map_or_else(|| error.to_string(), ToString::to_string)
    })
}

/// Opens a connection to a unix socket of this machine.
///
/// # Errors
/// If the endpoint is another, or does not answer within three seconds.
pub async fn connect(endpoint: &Endpoint) -> Result<Channel, ConnectError> {
    let Endpoint::Unix(path) = endpoint else {
        let endpoint = endpoint.clone();
        return Err(ConnectError::NoCertificate { endpoint });
    };
    let path = path.clone();
    let connector = service_fn(move |_| {
        let path = path.clone();
        async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    let opened = http2::client(LOCAL).connect_with_connector(connector).await;
    opened.map_err(|source| failed(endpoint, source))
}

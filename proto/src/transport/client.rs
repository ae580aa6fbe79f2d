//! Connections.

use std::{io, time::Duration};

use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint as Target};
use tower::service_fn;

use super::Endpoint;

/// How often an idle connection is asked whether it lives.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// After which a connection that does not answer is given up.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(4);
/// After which a connection that cannot be opened is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The largest refusal that is taken. gRPC sends a status, with a line for each mistake in a
/// manifest, as header fields, for which the library's own limit of 16 KiB is too low.
const MAX_STATUS_BYTES: u32 = 1 << 20;

/// Why there is no connection.
#[derive(Debug, Error)]
#[error("cannot connect to {endpoint}")]
pub struct ConnectError {
    /// Where to.
    pub endpoint: Endpoint,
    /// What the system said.
    #[source]
    pub source: tonic::transport::Error,
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

/// Opens a connection. It notices by itself when the other end is gone.
///
/// # Errors
/// If the endpoint does not answer within three seconds.
pub async fn connect(endpoint: &Endpoint) -> Result<Channel, ConnectError> {
    let wrap = |source| ConnectError {
        endpoint: endpoint.clone(),
        source,
    };
    let target = match endpoint {
        Endpoint::Unix(_) => Target::from_static("http://localhost"),
        Endpoint::Tcp(address) => Target::from_shared(format!("http://{address}")).map_err(wrap)?,
    };
    let target = target
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_max_header_list_size(MAX_STATUS_BYTES)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    match endpoint {
        Endpoint::Tcp(_) => target.connect().await.map_err(wrap),
        Endpoint::Unix(path) => {
            let path = path.clone();
            let connector = service_fn(move |_| {
                let path = path.clone();
                async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
            });
            target.connect_with_connector(connector).await.map_err(wrap)
        }
    }
}

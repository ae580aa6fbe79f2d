//! Listeners.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt as _, net::UnixStream as StdUnixStream},
    pin::Pin,
    task::{Context, Poll},
};

use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::Endpoint;

/// Why there is no listener.
#[derive(Debug, Error)]
#[error("cannot listen on {endpoint}; free it or configure another")]
pub struct ListenError {
    /// Where.
    pub endpoint: Endpoint,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Accepted connections, for `serve_with_incoming`.
#[derive(Debug)]
pub struct Incoming {
    listener: Listener,
    local: Endpoint,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// One accepted connection.
#[derive(Debug)]
pub struct Peer(Connection);

#[derive(Debug)]
enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Opens a listener. A unix socket is readable and writable by its owner only; one that a dead
/// process left behind is replaced.
///
/// # Errors
/// If the address is taken or not allowed.
pub async fn listen(endpoint: &Endpoint) -> Result<Incoming, ListenError> {
    let wrap = |source| ListenError {
        endpoint: endpoint.clone(),
        source,
    };
    let (listener, local) = match endpoint {
        Endpoint::Tcp(address) => {
            let listener = TcpListener::bind(address).await.map_err(wrap)?;
            let local = listener.local_addr().map_err(wrap)?;
            (Listener::Tcp(listener), Endpoint::Tcp(local))
        }
        Endpoint::Unix(path) => {
            if path.exists() && StdUnixStream::connect(path).is_err() {
                fs::remove_file(path).map_err(wrap)?;
            }
            let listener = UnixListener::bind(path).map_err(wrap)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(wrap)?;
            (Listener::Unix(listener), endpoint.clone())
        }
    };
    Ok(Incoming { listener, local })
}

impl Incoming {
    /// Where it listens; with the port that was chosen, if 0 was asked for.
    pub fn local(&self) -> &Endpoint {
        &self.local
    }
}

impl Stream for Incoming {
    type Item = io::Result<Peer>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let accepted = match &self.get_mut().listener {
            Listener::Unix(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, _)| Connection::Unix(stream)),
            Listener::Tcp(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| {
                // Small messages go out at once; a failure costs latency only.
                stream.set_nodelay(true).ok();
                Connection::Tcp(stream)
            }),
        };
        accepted.map(|result| Some(result.map(Peer)))
    }
}

impl Connected for Peer {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Peer {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Connection::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Connection::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Connection::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Connection::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Connection::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Connection::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Connection::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Connection::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

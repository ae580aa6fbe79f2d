//! Listeners.

use std::{
    collections::VecDeque,
    fs, io,
    net::SocketAddr,
    os::unix::{fs::PermissionsExt as _, net::UnixStream as StdUnixStream},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::ArcSwap;
use berth_pki::Certified;
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream, UnixListener},
    task::{AbortHandle, JoinSet},
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tokio_stream::Stream;

use super::{Endpoint, peer::Peer, taken};

/// How long somebody who connects may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long he may take when others wait for his place.
const CROWDED: Duration = Duration::from_secs(1);
/// How many may be about to. The others wait in the kernel.
const HANDSHAKES: usize = 512;
/// Until the next try when no connection can be taken: most often the process has too many files open.
const PAUSE: Duration = Duration::from_millis(50);

/// Why there is no listener.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The system does not let.
    #[error("cannot listen on {endpoint}; free it or configure another")]
    Failed {
        /// Where.
        endpoint: Endpoint,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Somebody else listens there.
    #[error("cannot listen on {endpoint}: {} listens there; stop it or configure another", .by.join(", "))]
    Taken {
        /// Where.
        endpoint: Endpoint,
        /// Who.
        by: Vec<String>,
    },
    /// Nobody is to be talked to in plain text.
    #[error("{endpoint} is not a unix socket; give unix:/PATH")]
    NotLocal {
        /// Where.
        endpoint: Endpoint,
    },
}

/// With what a server speaks TLS: each connection takes what there is when it is opened.
#[derive(Debug, Clone)]
pub struct ServerTls(Arc<ArcSwap<ServerConfig>>);

impl ServerTls {
    /// With these settings.
    pub fn new(config: Arc<ServerConfig>) -> Self {
        Self(Arc::new(ArcSwap::new(config)))
    }

    /// Has every connection from now on take others. Those that are open stay.
    pub fn replace(&self, config: Arc<ServerConfig>) {
        self.0.store(config);
    }
}

/// Accepted connections, for `serve_with_incoming`. Whoever is slow to agree on TLS holds nobody up, and
/// nothing that happens to a connection ends the listener.
#[derive(Debug)]
pub struct Incoming {
    listener: Listener,
    local: Endpoint,
    handshakes: JoinSet<Option<Peer>>,
    /// Those of them that may go on still, the oldest first.
    oldest: VecDeque<(Instant, AbortHandle)>,
    pause: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener, ServerTls),
}

/// Opens a unix socket. It is readable and writable by its owner only; one that a dead process left
/// behind is replaced.
///
/// # Errors
/// If the address is another, is taken or not allowed.
pub async fn listen(endpoint: &Endpoint) -> Result<Incoming, ListenError> {
    let Endpoint::Unix(path) = endpoint else {
        let endpoint = endpoint.clone();
        return Err(ListenError::NotLocal { endpoint });
    };
    let wrap = |source| failed(endpoint.clone(), source, || taken::socket(path));
    if path.exists() && StdUnixStream::connect(path).is_err() {
        fs::remove_file(path).map_err(wrap)?;
    }
    let listener = UnixListener::bind(path).map_err(wrap)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(wrap)?;
    Ok(Incoming::new(Listener::Unix(listener), endpoint.clone()))
}

/// Opens a port at which TLS is spoken, and nothing else.
///
/// # Errors
/// If the address is taken or not allowed.
pub async fn listen_tls(address: SocketAddr, tls: ServerTls) -> Result<Incoming, ListenError> {
    let wrap = |source| failed(Endpoint::Tcp(address), source, || taken::port(address));
    let listener = TcpListener::bind(address).await.map_err(wrap)?;
    let local = listener.local_addr().map_err(wrap)?;
    Ok(Incoming::new(
        Listener::Tcp(listener, tls),
        Endpoint::Tcp(local),
    ))
}

fn failed(
    endpoint: Endpoint,
    source: io::Error,
    holders: impl FnOnce() -> Vec<String>,
) -> ListenError {
    let taken = source.kind() == io::ErrorKind::AddrInUse;
    let by = if taken { holders() } else { Vec::new() };
    match by.is_empty() {
        true => ListenError::Failed { endpoint, source },
        false => ListenError::Taken { endpoint, by },
    }
}

impl Incoming {
    fn new(listener: Listener, local: Endpoint) -> Self {
        Self {
            listener,
            local,
            handshakes: JoinSet::new(),
            oldest: VecDeque::new(),
            pause: None,
        }
    }

    /// Where it listens; with the port that was chosen, if 0 was asked for.
    pub fn local(&self) -> &Endpoint {
        &self.local
    }

    /// The next connection that needs no handshake; those that do are begun.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Peer>>> {
        match &self.listener {
            Listener::Unix(listener) => listener
                .poll_accept(cx)
                .map_ok(|(stream, _)| Some(Peer::local(stream))),
            Listener::Tcp(listener, ServerTls(tls)) => {
                listener.poll_accept(cx).map_ok(|(stream, address)| {
                    let acceptor = TlsAcceptor::from(tls.load_full());
                    let task = self.handshakes.spawn(secured(acceptor, stream, address));
                    while self
                        .oldest
                        .front()
                        .is_some_and(|(_, task)| task.is_finished())
                    {
                        self.oldest.pop_front();
                    }
                    self.oldest.push_back((Instant::now(), task));
                    None
                })
            }
        }
    }
}

impl Incoming {
    /// Somebody waits, and there is no room: ends the handshakes of those who take long, and has the next
    /// try come soon.
    fn make_room(&mut self) {
        while let Some((began, task)) = self.oldest.front() {
            if !task.is_finished() && began.elapsed() < CROWDED {
                break;
            }
            task.abort();
            self.oldest.pop_front();
        }
        self.pause = Some(Box::pin(sleep(PAUSE)));
    }
}

/// Agrees on TLS with somebody.
async fn secured(acceptor: TlsAcceptor, stream: TcpStream, address: SocketAddr) -> Option<Peer> {
    // Small messages go out at once; a failure costs latency only.
    stream.set_nodelay(true).ok();
    let agreed = timeout(HANDSHAKE, acceptor.accept(stream)).await;
    let stream = match agreed {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "no TLS is agreed on with a client");
            return None;
        }
        Err(_) => {
            tracing::debug!(%address, "a client does not go on with TLS");
            return None;
        }
    };
    let (_, session) = stream.get_ref();
    let shown = session.peer_certificates().and_then(<[_]>::first);
    let certified = match shown.map(|certificate| Certified::read(certificate)) {
        None => None,
        Some(Ok(certified)) => Some(certified),
        Some(Err(error)) => {
            tracing::debug!(%address, %error, "a client has a certificate of the authority that is of no use");
            return None;
        }
    };
    Some(Peer::remote(stream, address, certified))
}

impl Stream for Incoming {
    type Item = io::Result<Peer>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match this.handshakes.poll_join_next(cx) {
                Poll::Ready(Some(Ok(Some(peer)))) => return Poll::Ready(Some(Ok(peer))),
                Poll::Ready(Some(_)) => continue,
                Poll::Ready(None) | Poll::Pending => {}
            }
            if let Some(pause) = &mut this.pause {
                if pause.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.pause = None;
            }
            if this.handshakes.len() >= HANDSHAKES {
                this.make_room();
                continue;
            }
            match this.poll_accept(cx) {
                Poll::Ready(Ok(Some(peer))) => return Poll::Ready(Some(Ok(peer))),
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Err(error)) => {
                    tracing::warn!(%error, endpoint = %this.local, "a connection cannot be taken");
                    this.make_room();
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

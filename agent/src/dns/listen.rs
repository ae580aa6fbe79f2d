//! Sockets and their loops. Each address has one TCP listener and two UDP sockets that share the
//! port: one more core answers, and the kernel spreads the clients.
//!
//! Own names are answered in the loop itself, from memory; only a question that must wait for an
//! upstream gets a task. No datagram, however broken, ends a loop.

use std::{
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{
    DnsError, Shared,
    answer::answer,
    wire::{self, Parsed, Request, Response, Transport},
};

/// UDP sockets per address.
const UDP_SOCKETS: usize = 2;
/// Longer questions than this are cut, and so refused as broken.
const MAX_QUESTION: usize = 4096;
/// TCP connections per address at a time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// After which a TCP connection that says nothing, or takes nothing, is closed (RFC 7766, 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// A pause after the system refused a socket something, so that the loop does not spin.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a free TCP port is looked for whose UDP port is free too.
const PORT_ATTEMPTS: usize = 16;
const BACKLOG: i32 = 256;
/// Room for a burst; the system may give less.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The sockets of one address.
#[derive(Debug)]
pub(super) struct Sockets {
    local: SocketAddr,
    tcp: TcpListener,
    udp: Vec<UdpSocket>,
}

/// Opens all sockets, or none.
pub(super) fn open(addresses: &[SocketAddr]) -> Result<Vec<Sockets>, DnsError> {
    addresses.iter().map(|address| open_one(*address)).collect()
}

fn open_one(address: SocketAddr) -> Result<Sockets, DnsError> {
    if address.ip().is_unspecified() {
        return Err(DnsError::Unspecified { address });
    }
    let mut attempts = if address.port() == 0 {
        PORT_ATTEMPTS
    } else {
        1
    };
    loop {
        attempts -= 1;
        match bind(address) {
            Ok(sockets) => return Ok(sockets),
            Err(_) if attempts > 0 => {}
            Err(source) => return Err(DnsError::Listen { address, source }),
        }
    }
}

/// TCP first: unlike the UDP sockets it shares its port with nobody, so a second agent on the same
/// address is refused here instead of taking half of the questions.
fn bind(address: SocketAddr) -> io::Result<Sockets> {
    let tcp = socket(address, Type::STREAM, Protocol::TCP)?;
    tcp.set_reuse_address(true)?;
    tcp.bind(&address.into())?;
    tcp.listen(BACKLOG)?;
    let tcp = TcpListener::from_std(tcp.into())?;
    let local = tcp.local_addr()?;
    let udp = (0..UDP_SOCKETS).map(|_| {
        let udp = socket(local, Type::DGRAM, Protocol::UDP)?;
        udp.set_reuse_port(true)?;
        udp.set_recv_buffer_size(RECEIVE_BUFFER)?;
        udp.bind(&local.into())?;
        UdpSocket::from_std(udp.into())
    });
    Ok(Sockets {
        local,
        tcp,
        udp: udp.collect::<io::Result<_>>()?,
    })
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl Sockets {
    /// The address, with its port.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Starts the loops; they end with `shared.stop`.
    pub(super) fn serve(self, shared: &Arc<Shared>) {
        for udp in self.udp {
            spawn(shared, serve_udp(Arc::new(udp), Arc::clone(shared)));
        }
        spawn(shared, serve_tcp(self.tcp, Arc::clone(shared)));
    }
}

fn spawn(shared: &Arc<Shared>, task: impl Future<Output = ()> + Send + 'static) {
    let stop = shared.stop.clone();
    shared.tasks.spawn(async move {
        stop.run_until_cancelled(task).await;
    });
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = vec![0; MAX_QUESTION];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "DNS over UDP: receiving failed");
                sleep(PAUSE).await;
                continue;
            }
        };
        match shared.reply(&buffer[..length], Transport::Udp) {
            Reply::Now(bytes) => send(&socket, &bytes, client).await,
            Reply::Never => {}
            Reply::Later(request) => {
                let Some(slot) = shared.forwarder.slot() else {
                    if let Some(bytes) = wire::encode(&request, busy()) {
                        send(&socket, &bytes, client).await;
                    }
                    continue;
                };
                let socket = Arc::clone(&socket);
                let waiting = Arc::clone(&shared);
                spawn(&shared, async move {
                    let response = waiting.forwarder.resolve(&request).await;
                    if let Some(bytes) = wire::encode(&request, response) {
                        send(&socket, &bytes, client).await;
                    }
                    drop(slot);
                });
            }
        }
    }
}

/// An answer that cannot be sent is a lost datagram: the client asks again.
async fn send(socket: &UdpSocket, bytes: &[u8], client: SocketAddr) {
    if let Err(error) = socket.send_to(bytes, client).await {
        tracing::debug!(%error, %client, "DNS over UDP: an answer could not be sent");
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&connections).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, client)) => {
                let served = Arc::clone(&shared);
                spawn(&shared, async move {
                    if let Err(error) = converse(stream, &served).await {
                        tracing::debug!(%error, %client, "DNS over TCP: the connection failed");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "DNS over TCP: no connection can be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

/// Questions and answers of one connection, each after its length in two bytes (RFC 1035, 4.2.2),
/// until the client closes it or falls silent.
async fn converse(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let Ok(question) = timeout(IDLE, receive(&mut stream)).await else {
            return Ok(());
        };
        let Some(question) = question? else {
            return Ok(());
        };
        let bytes = match shared.reply(&question, Transport::Tcp) {
            Reply::Now(bytes) => bytes,
            Reply::Never => return Ok(()),
            Reply::Later(request) => {
                let response = match shared.forwarder.slot() {
                    Some(_slot) => shared.forwarder.resolve(&request).await,
                    None => busy(),
                };
                match wire::encode(&request, response) {
                    Some(bytes) => bytes,
                    None => return Ok(()),
                }
            }
        };
        let Ok(length) = u16::try_from(bytes.len()) else {
            return Ok(());
        };
        let framed = [&length.to_be_bytes()[..], &bytes].concat();
        let Ok(written) = timeout(IDLE, stream.write_all(&framed)).await else {
            return Ok(());
        };
        written?;
    }
}

/// The next question; `None` if the client closed the connection between two.
async fn receive(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 2];
    match stream.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question).await?;
    Ok(Some(question))
}

fn busy() -> Response {
    Response::code(hickory_resolver::proto::op::ResponseCode::ServFail)
}

/// What happens with a question.
enum Reply {
    Now(Vec<u8>),
    Later(Request),
    Never,
}

impl Shared {
    /// Replies from memory where that is possible. A bug in decoding or encoding must not end a
    /// loop, because every member's names hang on it; it costs the one question.
    fn reply(&self, question: &[u8], transport: Transport) -> Reply {
        catch_unwind(AssertUnwindSafe(|| self.reply_now(question, transport))).unwrap_or_else(
            |_| {
                tracing::error!(?question, "a DNS question made the server panic; report it");
                Reply::Never
            },
        )
    }

    fn reply_now(&self, question: &[u8], transport: Transport) -> Reply {
        let request = match wire::parse(question, transport) {
            Parsed::Ask(request) => request,
            Parsed::Refuse(bytes) => return Reply::Now(bytes),
            Parsed::Ignore => return Reply::Never,
        };
        let Some(mut response) = answer(&self.index.load(), &request) else {
            return Reply::Later(request);
        };
        response.recursion_available = self.forwarder.available();
        wire::encode(&request, response).map_or(Reply::Never, Reply::Now)
    }
}

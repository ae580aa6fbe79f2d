//! An accepted connection: who is at the other end, and how long he may hold it without a use for it.
//!
//! Whoever began to speak HTTP/2 is asked whether he lives ([`super::http2`]); this is about those who do
//! not begin, and about those without a certificate, who have nothing to say but a few words.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use berth_pki::Certified;
use rustix::process::geteuid;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Sleep, sleep},
};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

/// How long somebody who is connected may take to begin.
const BEGIN: Duration = Duration::from_secs(10);
/// What HTTP/2 begins with, in bytes.
const PREFACE: usize = 24;
/// How long somebody without a certificate has a connection: it takes a second to join.
const STRANGER: Duration = Duration::from_secs(30);

/// One accepted connection.
#[derive(Debug)]
pub struct Peer {
    connection: Connection,
    info: PeerInfo,
    limit: Option<Limit>,
}

#[derive(Debug)]
enum Connection {
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// When the connection is cut.
#[derive(Debug)]
struct Limit {
    at: Pin<Box<Sleep>>,
    /// After so many bytes it is not cut any more; `None` if it is in any case.
    lifted_after: Option<usize>,
}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerInfo {
    /// A process of this machine.
    Local {
        /// Its user, as the kernel says; `None` if it does not.
        uid: Option<u32>,
    },
    /// Somebody else.
    Remote {
        /// From where.
        address: SocketAddr,
        /// Who, by a certificate of the authority; `None` if he has none.
        certified: Option<Certified>,
    },
}

impl PeerInfo {
    /// Whether it is root, or the user that this program runs as, on this machine: whoever is one of
    /// them can read all that this program has. The mode of a socket keeps others away, too, for as long
    /// as nobody widens it.
    pub fn is_owner(&self) -> bool {
        match self {
            Self::Local { uid: Some(uid) } => *uid == 0 || *uid == geteuid().as_raw(),
            Self::Local { uid: None } | Self::Remote { .. } => false,
        }
    }
}

impl Peer {
    /// A process of this machine.
    pub(super) fn local(stream: UnixStream) -> Self {
        let uid = stream.peer_cred().ok().map(|peer| peer.uid());
        Self::new(Connection::Unix(stream), PeerInfo::Local { uid })
    }

    /// Somebody with whom TLS is agreed on.
    pub(super) fn remote(
        stream: TlsStream<TcpStream>,
        address: SocketAddr,
        certified: Option<Certified>,
    ) -> Self {
        let info = PeerInfo::Remote { address, certified };
        Self::new(Connection::Tls(Box::new(stream)), info)
    }

    fn new(connection: Connection, info: PeerInfo) -> Self {
        let stranger = matches!(
            info,
            PeerInfo::Remote {
                certified: None,
                ..
            }
        );
        let (time, lifted_after) = match stranger {
            true => (STRANGER, None),
            false => (BEGIN, Some(PREFACE)),
        };
        let at = Box::pin(sleep(time));
        Self {
            connection,
            info,
            limit: Some(Limit { at, lifted_after }),
        }
    }

    /// So many bytes came.
    fn came(&mut self, bytes: usize) {
        let left = self.limit.as_mut().and_then(|it| it.lifted_after.as_mut());
        if let Some(left) = left {
            *left = left.saturating_sub(bytes);
            if *left == 0 {
                self.limit = None;
            }
        }
    }
}

impl Connected for Peer {
    type ConnectInfo = PeerInfo;
    fn connect_info(&self) -> PeerInfo {
        self.info.clone()
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(limit) = &mut this.limit
            && limit.at.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        ready!(match &mut this.connection {
            Connection::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Connection::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        })?;
        this.came(buf.filled().len().saturating_sub(before));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().connection {
            Connection::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Connection::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().connection {
            Connection::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().connection {
            Connection::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::Instant,
    };

    use super::*;

    /// Speaks to a peer, and reads what he is told until he is cut off; after how long.
    async fn cut_off(info: PeerInfo, said: &[u8]) -> Option<Duration> {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        theirs.write_all(said).await.unwrap();
        let mut peer = Peer::new(Connection::Unix(ours), info);
        let mut read = vec![0; said.len()];
        peer.read_exact(&mut read).await.unwrap();
        let began = Instant::now();
        let hour = Duration::from_secs(3600);
        let more = tokio::time::timeout(hour, peer.read(&mut read)).await;
        more.ok().map(|more| {
            assert_eq!(more.unwrap_err().kind(), io::ErrorKind::TimedOut);
            began.elapsed()
        })
    }

    fn rounded(time: Option<Duration>) -> Option<u64> {
        time.map(|time| time.as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_begin_is_cut_off_and_whoever_did_is_not() {
        let local = || PeerInfo::Local { uid: Some(0) };
        assert_eq!(rounded(cut_off(local(), b"P").await), Some(10));
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        assert_eq!(rounded(cut_off(local(), preface).await), None);
        let stranger = PeerInfo::Remote {
            address: ([192, 0, 2, 1], 1).into(),
            certified: None,
        };
        assert_eq!(rounded(cut_off(stranger, preface).await), Some(30));
    }
}

//! The one place that opens gRPC connections and listeners, for all of Berth's programs.
//!
//! Both ends stand together because they must agree: unix sockets for root on the same machine, by
//! what the kernel says of the other end, and mutual TLS for everybody else. There is no third way.

mod client;
mod endpoint;
pub mod http2;
mod peer;
mod server;
mod taken;

pub use client::{ClientTls, ConnectError, Remote, connect, plain};
pub use endpoint::{Endpoint, EndpointError};
pub use peer::{Peer, PeerInfo};
pub use server::{Incoming, ListenError, ServerTls, listen, listen_tls};

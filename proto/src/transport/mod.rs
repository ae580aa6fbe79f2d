//! The one place that opens gRPC connections and listeners, for all of Berth's programs.
//!
//! Both ends stand together because they must agree: today a root-only unix socket and plain TCP;
//! mTLS becomes the only TCP mode here, and nowhere else.

mod client;
mod endpoint;
mod server;

pub use client::{ConnectError, connect, plain};
pub use endpoint::{Endpoint, EndpointError};
pub use server::{Incoming, ListenError, Peer, listen};

//! What both ends of a connection agree on below gRPC: every number of HTTP/2, and how large messages may
//! be. They stand together because they depend on each other: who asks whether the other end lives must ask
//! more rarely than the other gives up, and what one end may send the other must take.

use std::time::Duration;

use tonic::transport::{Endpoint, Server};

/// The largest message that a coordinator takes: a manifest of 1 MiB and what is around it.
pub const MESSAGE: usize = (1 << 20) + (64 << 10);
/// The largest message of those that somebody without a certificate may send, too.
pub const SMALL: usize = 64 << 10;
/// The largest answer that a client takes from its coordinator, and an agent from its own: all objects of a
/// large cluster, or the zone.
pub const ANSWER: usize = 64 << 20;

/// How long a connection may be idle before it is asked whether it lives. Longer than from one renewal of a
/// lease to the next (3 s): an agent that renews is heard already, and ten thousand that are asked beside that
/// cost the coordinator more than their renewals do.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// After which a connection that does not answer is given up. What runs beside a lease is not judged by it: a
/// stream on which nothing is renewed is ended sooner.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// After which a connection that cannot be opened is given up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Calls of one connection; a client that has more waits.
const CALLS: u32 = 256;
/// The header fields of a call, with its metadata.
const HEADERS: u32 = 16 << 10;
/// Calls that were taken back before they were looked at: more of them end the connection, so that asking
/// and taking back in a loop costs whoever does it more than the coordinator.
const TAKEN_BACK: usize = 20;
/// The largest refusal that a client takes. gRPC sends a status, with a line for each mistake in a manifest,
/// as header fields, for which the library's own limit of 16 KiB is too low.
const STATUS: u32 = 1 << 20;

/// A server with these settings, for all listeners of a program.
pub fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(CALLS)
        .http2_max_header_list_size(HEADERS)
        .http2_max_pending_accept_reset_streams(Some(TAKEN_BACK))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}

/// A client with these settings, to somebody who is called by a name.
pub(super) fn client(name: &'static str) -> Endpoint {
    Endpoint::from_static(name)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_max_header_list_size(STATUS)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
}

//! Names that are not ours, asked of the resolvers that are configured or that the system uses.
//!
//! Never of ourselves: a host whose `resolv.conf` names this server would otherwise send every
//! question in a circle.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{
    Resolver, TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{op::ResponseCode, rr::Record},
    system_conf::{parse_resolv_conf, read_system_conf},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    DnsError as StartError, Upstreams,
    wire::{Request, Response},
};

/// One attempt at one upstream.
const ATTEMPT: Duration = Duration::from_secs(2);
/// All attempts together; below the 5 s after which clients ask again.
const DEADLINE: Duration = Duration::from_millis(4500);
/// Questions that may wait for upstreams at a time; more are refused, so that upstreams that hang
/// cost a bounded amount of memory.
const IN_FLIGHT: usize = 512;
/// Where systemd-resolved says whom it asks; not there without it.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// The well-known port.
const PORT: u16 = 53;

/// Asks other resolvers. It keeps their answers for as long as they allow.
#[derive(Debug)]
pub(super) struct Forwarder {
    resolver: Option<TokioResolver>,
    slots: Arc<Semaphore>,
}

impl Forwarder {
    /// Prepares to ask the upstreams, except those that are ourselves.
    pub(super) fn new(upstreams: &Upstreams, own: &[SocketAddr]) -> Result<Self, StartError> {
        let mut servers = match upstreams {
            Upstreams::These(addresses) => addresses.iter().map(|a| server(*a)).collect(),
            Upstreams::System => system(),
        };
        servers.retain(|server| !is_own(server, own));
        let resolver = if servers.is_empty() {
            tracing::warn!("no upstream resolver: only names of the zone are answered");
            None
        } else {
            let config = ResolverConfig::from_name_servers(servers);
            let provider = TokioRuntimeProvider::default();
            let resolver = Resolver::builder_with_config(config, provider)
                .with_options(options())
                .build()
                .map_err(|source| StartError::Upstreams { source })?;
            Some(resolver)
        };
        Ok(Self {
            resolver,
            slots: Arc::new(Semaphore::new(IN_FLIGHT)),
        })
    }

    /// Whether other names are resolved at all.
    pub(super) fn available(&self) -> bool {
        self.resolver.is_some()
    }

    /// A place among the questions that wait; `None` if all are taken.
    pub(super) fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    /// Asks an upstream.
    pub(super) async fn resolve(&self, request: &Request) -> Response {
        let Some(resolver) = self
            .resolver
            .as_ref()
            .filter(|_| request.recursion_desired())
        else {
            return Response::code(ResponseCode::Refused);
        };
        let mut name = request.query().name().clone();
        name.set_fqdn(true);
        let mut response = match timeout(DEADLINE, resolver.lookup(name, request.kind())).await {
            Ok(Ok(lookup)) => Response {
                answers: lookup.answers().to_vec(),
                ..Response::code(ResponseCode::NoError)
            },
            Ok(Err(error)) => failure(&error),
            Err(_) => Response::code(ResponseCode::ServFail),
        };
        response.recursion_available = true;
        response
    }
}

fn server(address: SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

/// The system's resolvers; none if it has none, which is no reason not to serve our own names.
fn system() -> Vec<NameServerConfig> {
    // Behind systemd-resolved those that it asks itself: it may ask us (`berth host dns enable`).
    let behind = fs::read(RESOLVED).ok();
    let behind = behind.and_then(|text| parse_resolv_conf(text).ok());
    match behind.map_or_else(read_system_conf, Ok) {
        Ok((config, _)) => config.name_servers().to_vec(),
        Err(error) => {
            tracing::warn!(%error, "the system's resolvers cannot be read");
            Vec::new()
        }
    }
}

fn is_own(server: &NameServerConfig, own: &[SocketAddr]) -> bool {
    let port = server.connections.first().map_or(PORT, |c| c.port);
    own.contains(&SocketAddr::new(canonical(server.ip), port))
}

/// An IPv4 address that is written as an IPv6 one is the IPv4 one.
fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = ATTEMPT;
    options.attempts = 2;
    options.edns0 = true;
    // The host's own /etc/hosts is not for its members; each member has one.
    options.use_hosts_file = ResolveHosts::Never;
    // A client that asks for an address wants to see the aliases that lead to it (RFC 1034, 4.3.2).
    options.preserve_intermediates = true;
    options
}

/// What an upstream's refusal or silence means to the client.
fn failure(error: &NetError) -> Response {
    if let NetError::Dns(DnsError::NoRecordsFound(none)) = error {
        let soa = none.soa.as_deref().cloned();
        return Response {
            authorities: soa.map(Record::into_record_of_rdata).into_iter().collect(),
            ..Response::code(none.response_code)
        };
    }
    tracing::debug!(%error, "an upstream resolver failed");
    Response::code(ResponseCode::ServFail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_never_ask_ourselves() {
        let own: Vec<SocketAddr> = ["127.0.0.153:53", "[::1]:53"]
            .map(|a| a.parse().unwrap())
            .into();
        for (upstream, expected) in [
            ("127.0.0.153:53", true),
            ("[::ffff:127.0.0.153]:53", true),
            ("[::1]:53", true),
            ("127.0.0.153:5353", false),
            ("127.0.0.53:53", false),
        ] {
            let upstream = server(upstream.parse().unwrap());
            assert_eq!(is_own(&upstream, &own), expected, "{upstream:?}");
        }
    }
}

//! IdentityService: hosts join, and everybody renews his own certificate.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use berth_core::{
    access::{Caller, JoinToken, TokenId, TokenRefusal},
    ids::HostName,
    store::Batch,
    time::Timestamp,
};
use berth_pki::{PkiError, Subject, Token};
use berth_proto::{
    convert::ConvertError,
    transport::PeerInfo,
    v1::{
        JoinRequest, JoinResponse, RenewRequest, RenewResponse,
        identity_service_server::IdentityService,
    },
};
use tonic::{Request, Response, Status};

use super::{access, status::ServiceError};
use crate::{
    context::Context,
    notes::{self, NORMAL, WARNING},
    pki::Issued,
    state::{View, claims::write_as_known, keys::token_key},
    store::RecordError,
};

/// Bad tokens that one address may come with in [`WINDOW`].
const TRIES: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; when there are more, the whole world shares their tries.
const ADDRESSES: usize = 4096;
/// What the clock of a host that joins may be off by.
const CLOCK: Duration = Duration::from_secs(5 * 60);

/// The service.
#[derive(Debug)]
pub(super) struct Identities {
    context: Context,
    bad: Arc<Mutex<Tries>>,
}

/// When bad tokens came, by address; a unix socket has none.
#[derive(Debug, Default)]
struct Tries(BTreeMap<Option<IpAddr>, Vec<Timestamp>>);

impl Tries {
    /// Whether an address may try a token.
    fn may(&mut self, address: Option<IpAddr>, now: Timestamp) -> bool {
        self.0.retain(|_, times| {
            times.retain(|time| now.since(*time) < WINDOW);
            !times.is_empty()
        });
        let known = self.0.get(&address).map_or(0, Vec::len);
        known < TRIES && (known > 0 || self.0.len() < ADDRESSES)
    }

    fn failed(&mut self, address: Option<IpAddr>, now: Timestamp) {
        self.0.entry(address).or_default().push(now);
    }
}

/// Why a host does not join.
enum Refused {
    /// The token is of no use; such tries are counted.
    Token(TokenRefusal),
    Other(ServiceError),
}

impl<E: Into<ServiceError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

impl Identities {
    pub(super) fn new(context: Context) -> Self {
        Self {
            context,
            bad: Arc::default(),
        }
    }

    async fn admit(&self, host: &HostName, request: &JoinRequest) -> Result<Issued, Refused> {
        let hash = Token::hash(&request.secret);
        let id: TokenId = request
            .token_id
            .parse()
            .map_err(|_| Refused::Token(TokenRefusal::Unknown))?;
        loop {
            let now = self.context.clock.now();
            let (batch, issued) = {
                let view = self.context.view.read();
                let token = view.access.tokens.get(&id);
                let token = token.ok_or(Refused::Token(TokenRefusal::Unknown))?;
                let known = is_known(&view, host);
                let checked = token.check(&hash, host, known, now);
                checked.map_err(Refused::Token)?;
                check_clock(request.time_ms, now)?;
                // Before the token is used up: a bad request leaves it as it is.
                let subject = Subject::Host(host.clone());
                let issued = self.context.pki.issue(&subject, &request.csr, now)?;
                let used = JoinToken {
                    used: Some((host.clone(), now)),
                    ..token.clone()
                };
                let mut batch = Batch::default();
                let key = token_key(&id).map_err(RecordError::from)?;
                write_as_known(&view, key, &used, &mut batch)?;
                let text = format!("{host} joined with token {id}");
                let note = notes::host(now, host, NORMAL, "HostJoined", text);
                batch.notes.push(note);
                (batch, issued)
            };
            if self.context.commit(batch).await?.is_some() {
                return Ok(issued);
            }
        }
    }
}

/// Whether somebody has the name, or is about to: he joined, and was not heard of yet.
fn is_known(view: &View, host: &HostName) -> bool {
    let joined = |token: &JoinToken| matches!(&token.used, Some((by, _)) if by == host);
    let removed = view.access.revocations.get(host);
    let since = |token: &JoinToken| match (&token.used, removed) {
        (Some((_, at)), Some(removed)) => *at > removed.until,
        (Some(_), None) => true,
        (None, _) => false,
    };
    let mut tokens = view.access.tokens.values();
    view.state.hosts.contains_key(host) || tokens.any(|token| joined(token) && since(token))
}

fn check_clock(theirs: u64, now: Timestamp) -> Result<(), ServiceError> {
    let theirs = Timestamp(theirs);
    let off = theirs.since(now).max(now.since(theirs));
    if theirs == Timestamp(0) || off <= CLOCK {
        return Ok(());
    }
    let how = if theirs < now { "behind" } else { "ahead of" };
    Err(ServiceError::Refused {
        rule: "CLOCK",
        subject: "timeMs".to_owned(),
        message: format!(
            "the clock of the host ({theirs}) is {} minutes {how} the coordinator's ({now}); set the \
             one that is wrong (does an NTP service run?) and join again",
            off.as_secs() / 60
        ),
    })
}

fn address<T>(request: &Request<T>) -> Option<IpAddr> {
    match request.extensions().get::<PeerInfo>() {
        Some(PeerInfo::Remote { address, .. }) => Some(address.ip()),
        Some(PeerInfo::Local { .. }) | None => None,
    }
}

/// What comes of a request that is none.
pub(super) fn unissued(error: PkiError) -> ServiceError {
    ServiceError::Refused {
        rule: "CSR",
        subject: "csr".to_owned(),
        message: berth_core::error::chain(&error),
    }
}

impl From<PkiError> for ServiceError {
    fn from(error: PkiError) -> Self {
        unissued(error)
    }
}

#[tonic::async_trait]
impl IdentityService for Identities {
    async fn join(&self, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
        let address = address(&request);
        let now = self.context.clock.now();
        let bad = || self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        if !bad().may(address, now) {
            return Err(Status::resource_exhausted(
                "too many tokens of no use came from this address; wait a minute, and try again with \
                 one that 'berth admin token create' made",
            ));
        }
        let request = request.into_inner();
        let host: HostName = request.host.parse().map_err(|source| {
            let field = "host";
            ServiceError::from(ConvertError::Id { field, source })
        })?;
        match self.admit(&host, &request).await {
            Ok(Issued {
                certificate,
                authority,
            }) => Ok(Response::new(JoinResponse {
                certificate,
                authority,
            })),
            Err(Refused::Token(why)) => {
                bad().failed(address, now);
                let from = address.map_or_else(|| "this machine".to_owned(), |ip| ip.to_string());
                let text = format!("somebody at {from} wanted to join as {host}: {why}");
                let note = notes::host(now, &host, WARNING, "JoinRefused", text);
                self.context.note(vec![note]);
                Err(Status::permission_denied(why.to_string()))
            }
            Err(Refused::Other(error)) => Err(error.into()),
        }
    }

    async fn renew(
        &self,
        request: Request<RenewRequest>,
    ) -> Result<Response<RenewResponse>, Status> {
        let subject = match access::caller_of(&request) {
            Caller::Host { host, .. } => Subject::Host(host),
            Caller::User { name, .. } => Subject::User(name),
            Caller::Root | Caller::Nobody => {
                return Err(Status::failed_precondition(
                    "there is no certificate to renew: none was shown; connect with it over TLS",
                ));
            }
        };
        let now = self.context.clock.now();
        let csr = request.into_inner().csr;
        let issued = self.context.pki.issue(&subject, &csr, now);
        let issued = issued.map_err(ServiceError::from)?;
        Ok(Response::new(RenewResponse {
            certificate: issued.certificate,
            authority: issued.authority,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_five_bad_tokens_a_minute() {
        let mut tries = Tries::default();
        let (one, two) = (Some([192, 0, 2, 1].into()), Some([192, 0, 2, 2].into()));
        for n in 0..5 {
            assert!(tries.may(one, Timestamp(n)));
            tries.failed(one, Timestamp(n));
        }
        assert!(!tries.may(one, Timestamp(5)));
        assert!(tries.may(two, Timestamp(5)));
        assert!(
            tries.may(one, Timestamp(60_000)),
            "a minute after the first"
        );
        assert!(tries.may(one, Timestamp(120_000)));
        assert!(tries.0.is_empty());
    }

    #[test]
    fn a_clock_an_hour_off_is_told_before_anything_else() {
        let now = Timestamp(1_795_000_000_000);
        assert!(check_clock(0, now).is_ok());
        assert!(check_clock(now.0 + 299_000, now).is_ok());
        for (theirs, how) in [
            (now.0 - 3_600_000, "60 minutes behind"),
            (now.0 + 3_600_000, "60 minutes ahead of"),
        ] {
            let error = check_clock(theirs, now).unwrap_err().to_string();
            assert!(error.contains(how), "{error}");
        }
    }
}

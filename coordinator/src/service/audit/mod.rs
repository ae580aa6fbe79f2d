//! Every call that changes something is written down before it is done, and what came of it after.
//! Around the guard, so that what is refused is in the log, too: with one layer, and no handler knows.

mod about;

use std::{
    pin::Pin,
    task::{Context as Poller, Poll},
};

use berth_core::{access::Rights, audit::Entry};
use berth_proto::transport::{
    PeerInfo,
    http2::{MESSAGE, SMALL},
};
use futures_util::future::Either;
use tonic::{Code, Status, body::Body, codegen::http};
use tower::{Layer, Service};

use super::access;
use crate::{audit::AuditLog, context::Context};

/// Methods that only look, and those with which agents report; all others are written down.
const UNWRITTEN: [(&str, &[&str]); 12] = [
    ("berth.v1.ObjectService", &["Plan", "Get", "List", "Watch"]),
    ("berth.v1.SetService", &["Status", "ListStatus", "History"]),
    ("berth.v1.MemberService", &["List", "Watch", "Logs"]),
    ("berth.v1.HostService", &["List"]),
    ("berth.v1.VolumeService", &["List", "Get"]),
    ("berth.v1.EventService", &["List", "Watch"]),
    ("berth.v1.AdminService", &["History", "ListAudit"]),
    ("berth.v1.AccessService", &["ListTokens", "ListUsers"]),
    // What a host reports of itself; what follows from it is in the events.
    ("berth.v1.AgentService", &["Session", "Exec", "Transfer"]),
    ("grpc.health.v1.Health", &["Check", "List", "Watch"]),
    (
        "grpc.reflection.v1.ServerReflection",
        &["ServerReflectionInfo"],
    ),
    (
        "grpc.reflection.v1alpha.ServerReflection",
        &["ServerReflectionInfo"],
    ),
];

/// The role of those without one: what they send is not waited for long.
const NOTHING: &str = "nothing";

/// Whether calls of the method at a path are written down.
pub(super) fn is_written(path: &str) -> bool {
    let Some((service, method)) = path.trim_start_matches('/').split_once('/') else {
        // There is no such method.
        return false;
    };
    let of = |(name, methods): &(&str, &[&str])| *name == service && methods.contains(&method);
    access::is_method(path) && !UNWRITTEN.iter().any(of)
}

/// Writes down what all services are asked.
#[derive(Debug, Clone)]
pub(super) struct Audit(pub(super) Context);

impl<S> Layer<S> for Audit {
    type Service = Audited<S>;
    fn layer(&self, inner: S) -> Audited<S> {
        Audited {
            context: self.0.clone(),
            inner,
        }
    }
}

/// Services whose calls are written down.
#[derive(Debug, Clone)]
pub(super) struct Audited<S> {
    context: Context,
    inner: S,
}

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S> Service<http::Request<Body>> for Audited<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Boxed<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Poller<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if !is_written(request.uri().path()) {
            return Either::Left(self.inner.call(request));
        }
        // The one that said that it is ready is the one that is called.
        let another = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, another);
        Either::Right(Box::pin(written(self.context.clone(), inner, request)))
    }
}

async fn written<S>(
    context: Context,
    mut inner: S,
    request: http::Request<Body>,
) -> Result<http::Response<Body>, S::Error>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
{
    let log = context.audit.clone();
    let mut entry = caller(&context, &request);
    entry.call = log.call();
    let method = entry.method.clone();
    let (parts, body) = request.into_parts();
    let longest = if entry.role == NOTHING {
        SMALL
    } else {
        MESSAGE
    };
    let (first, body) = about::first_message(body, longest).await;
    about::request(&method, &first, &mut entry);
    if let Err(error) = log.write(entry.clone()).await {
        let text = berth_core::error::chain(&error);
        // As the store says it of a disk that is full.
        return Ok(Status::resource_exhausted(text).into_http());
    }
    let answered = Answered::new(log, entry);
    let response = inner.call(http::Request::from_parts(parts, body)).await?;
    let (parts, body) = response.into_parts();
    let code = parts.headers.get("grpc-status");
    // Without one it is OK so far: it comes after the messages.
    let code = code.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()));
    let (first, body) = about::answer(&method, code, body).await;
    answered.with(code, &method, &first);
    Ok(http::Response::from_parts(parts, body))
}

/// Who calls what, and from where.
fn caller(context: &Context, request: &http::Request<Body>) -> Entry {
    let peer = request.extensions().get();
    let caller = access::caller(peer);
    let rights = context.view.read().access.rights(&caller);
    let role = match &rights {
        Ok(Rights::Root) => "root".to_owned(),
        Ok(Rights::Agent(_)) => "agent".to_owned(),
        Ok(Rights::Operator { role, .. }) => role.to_string(),
        Ok(Rights::Nothing) | Err(_) => NOTHING.to_owned(),
    };
    let from = match peer {
        Some(PeerInfo::Remote { address, .. }) => address.to_string(),
        Some(PeerInfo::Local { uid: Some(uid) }) => format!("unix socket, user {uid}"),
        Some(PeerInfo::Local { uid: None }) | None => "unix socket".to_owned(),
    };
    Entry {
        who: access::name(&caller),
        role,
        from,
        method: request.uri().path().trim_start_matches('/').to_owned(),
        ..Entry::default()
    }
}

/// What was asked, until it is known what came of it. Somebody who goes away before is told as such:
/// what he asked for may be done all the same.
struct Answered {
    log: AuditLog,
    entry: Option<Entry>,
}

impl Answered {
    fn new(log: AuditLog, asked: Entry) -> Self {
        let entry = Some(Entry {
            about: Default::default(),
            ..asked
        });
        Self { log, entry }
    }

    fn with(mut self, code: Code, method: &str, first: &[u8]) {
        if let Some(mut entry) = self.entry.take() {
            about::response(method, first, &mut entry);
            entry.result = Some(name(code).to_owned());
            self.log.note(entry);
        }
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        if let Some(mut entry) = self.entry.take() {
            entry.result = Some("GONE".to_owned());
            self.log.note(entry);
        }
    }
}

/// A code as gRPC writes it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests;

//! Who may call what: looked up for every call, before anything else is done for it.
//!
//! What a method needs is in [`table`]; what a caller has is in the store. The [`Rights`] go on with
//! the request, for the methods that are about a namespace or a host.

mod lasting;
mod table;

use std::{
    pin::Pin,
    task::{Context as Poller, Poll},
};

use berth_core::{
    access::{Caller, Rights, Role},
    ids::Namespace,
    manifest::ParsedObject,
    spec::Kind,
};
use berth_pki::Subject;
use berth_proto::{convert::ConvertError, transport::PeerInfo, v1::ObjectRef};
use futures_util::future::{Either, Ready, ready};
use tonic::{Code, Request, Status, body::Body, codegen::http};
use tower::{Layer, Service};

use super::status::ServiceError;
use crate::context::Context;
use lasting::while_known;
#[cfg(test)]
pub(super) use table::TABLE;
use table::needs;
pub(super) use table::{Needs, is_counted, is_long, services};

/// Guards all services.
#[derive(Debug, Clone)]
pub(super) struct Guard(pub(super) Context);

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;
    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            context: self.0.clone(),
            inner,
        }
    }
}

/// Services behind the guard.
#[derive(Debug, Clone)]
pub(super) struct Guarded<S> {
    context: Context,
    inner: S,
}

type Boxed<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<
        S::Future,
        Either<Boxed<S::Response, S::Error>, Ready<Result<S::Response, S::Error>>>,
    >;

    fn poll_ready(&mut self, cx: &mut Poller<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        match admit(&self.context, &request) {
            Ok((caller, rights)) => {
                let lasts = is_long(request.uri().path());
                let lasts = lasts && matches!(caller, Caller::User { .. });
                request.extensions_mut().insert(caller.clone());
                request.extensions_mut().insert(rights);
                let answer = self.inner.call(request);
                if !lasts {
                    return Either::Left(answer);
                }
                let context = self.context.clone();
                let answer = async { Ok(while_known(context, caller, answer.await?)) };
                Either::Right(Either::Left(Box::pin(answer)))
            }
            Err(status) => Either::Right(Either::Right(ready(Ok(status.into_http())))),
        }
    }
}

/// Who is at the other end. Without an answer it is nobody.
pub(super) fn caller(peer: Option<&PeerInfo>) -> Caller {
    match peer {
        Some(peer) if peer.is_owner() => Caller::Root,
        Some(PeerInfo::Remote {
            certified: Some(certified),
            ..
        }) => match &certified.subject {
            Subject::Host(host) => Caller::Host {
                host: host.clone(),
                issued: certified.issued,
            },
            Subject::User(name) => Caller::User {
                name: name.clone(),
                issued: certified.issued,
            },
            Subject::Coordinator => Caller::Nobody,
        },
        Some(PeerInfo::Local { .. } | PeerInfo::Remote { .. }) | None => Caller::Nobody,
    }
}

fn admit(context: &Context, request: &http::Request<Body>) -> Result<(Caller, Rights), Status> {
    let caller = caller(request.extensions().get());
    let rights = context.view.read().access.rights(&caller);
    let rights = rights.map_err(|why| Status::unauthenticated(why.to_string()))?;
    let path = request.uri().path();
    let Some(needs) = needs(path) else {
        // Nobody learns what there is.
        return Err(match rights {
            Rights::Nothing => refused(&caller, &rights, path, Needs::Certificate),
            Rights::Root | Rights::Agent(_) | Rights::Operator { .. } => {
                Status::new(Code::Unimplemented, format!("there is no method {path}"))
            }
        });
    };
    if needs.met_by(&rights) {
        Ok((caller, rights))
    } else {
        Err(refused(&caller, &rights, path, needs))
    }
}

/// Whether there is a method at a path.
pub(super) fn is_method(path: &str) -> bool {
    needs(path).is_some()
}

/// Who somebody is, in a word or two.
pub(super) fn name(caller: &Caller) -> String {
    match caller {
        Caller::Host { host, .. } => format!("host {host}"),
        Caller::User { name, .. } => format!("user {name}"),
        Caller::Root => "root".to_owned(),
        Caller::Nobody => "nobody".to_owned(),
    }
}

/// Who somebody is, for people.
fn shown(caller: &Caller, rights: &Rights) -> String {
    match (caller, rights) {
        (Caller::Host { host, .. }, _) => format!("host {host}"),
        (Caller::User { name, .. }, Rights::Operator { role, namespaces }) => {
            let at: Vec<&str> = namespaces.iter().map(|name| name.as_str()).collect();
            match at.as_slice() {
                [] => format!("user {name} ({role})"),
                at => format!("user {name} ({role} in {})", at.join(", ")),
            }
        }
        (Caller::User { name, .. }, _) => format!("user {name}"),
        (Caller::Root, _) => "root".to_owned(),
        (Caller::Nobody, _) => "somebody without a certificate".to_owned(),
    }
}

fn refused(caller: &Caller, rights: &Rights, path: &str, needs: Needs) -> Status {
    let needed = match needs {
        Needs::Nothing | Needs::Certificate => "a certificate of this cluster".to_owned(),
        Needs::Agent => "the certificate of a host".to_owned(),
        Needs::Cluster(role) => format!("the role {role} in the whole cluster"),
        Needs::In(role) => format!("the role {role}"),
    };
    if *rights == Rights::Nothing {
        return Status::unauthenticated(
            "the coordinator talks to those with a certificate of its authority only; join the host \
             with 'berth-agent join', or ask an admin for 'berth admin user create'",
        );
    }
    Status::permission_denied(format!(
        "{} may not call {}: that needs {needed}; ask an admin",
        shown(caller, rights),
        path.trim_start_matches('/'),
    ))
}

/// What whoever sent a request may do; it passed the guard.
pub(super) fn rights<T>(request: &Request<T>) -> Rights {
    request
        .extensions()
        .get()
        .cloned()
        .unwrap_or(Rights::Nothing)
}

/// Who sent a request.
pub(super) fn caller_of<T>(request: &Request<T>) -> Caller {
    request
        .extensions()
        .get()
        .cloned()
        .unwrap_or(Caller::Nobody)
}

/// Refuses what is about another namespace than those that a caller may work in. An empty name is
/// `default`, as everywhere.
pub(super) fn in_namespace(rights: &Rights, namespace: &str) -> Result<(), Status> {
    let wanted = match namespace {
        "" => Namespace::default(),
        name => name.parse().map_err(|source| {
            let field = "namespace";
            ServiceError::from(ConvertError::Id { field, source })
        })?,
    };
    match rights.reach(&wanted) {
        true => Ok(()),
        false => Err(elsewhere(rights, wanted.as_str())),
    }
}

fn elsewhere(rights: &Rights, wanted: &str) -> Status {
    let theirs = match rights {
        Rights::Operator { namespaces, .. } => {
            let names: Vec<&str> = namespaces.iter().map(Namespace::as_str).collect();
            names.join(", ")
        }
        Rights::Root | Rights::Agent(_) | Rights::Nothing => "none".to_owned(),
    };
    Status::permission_denied(format!(
        "your role is for the namespace {theirs}, and this is about {wanted}; give --namespace, or ask \
         an admin"
    ))
}

/// For what is about one thing of a namespace.
pub(super) fn about_one<T>(request: &Request<T>, namespace: &str) -> Result<(), Status> {
    in_namespace(&rights(request), namespace)
}

/// For what is about all that there is in a namespace, or in every one if it has no name.
pub(super) fn about_all<T>(request: &Request<T>, namespace: &str) -> Result<(), Status> {
    let rights = rights(request);
    match (namespace, rights.limited()) {
        ("", true) => Err(elsewhere(&rights, "every namespace")),
        ("", false) => Ok(()),
        (namespace, _) => in_namespace(&rights, namespace),
    }
}

/// For what is about the members of a set, or of all where none is named.
pub(super) fn about_set<T>(request: &Request<T>, namespace: &str, set: &str) -> Result<(), Status> {
    match set {
        "" => about_all(request, namespace),
        _ => about_one(request, namespace),
    }
}

/// For what names an object. Those of the cluster are not for whoever is limited to namespaces.
pub(super) fn about_ref<T>(
    request: &Request<T>,
    reference: Option<&ObjectRef>,
) -> Result<(), Status> {
    let rights = rights(request);
    let Some(reference) = reference.filter(|_| rights.limited()) else {
        // Without one there is nothing to find.
        return Ok(());
    };
    let kind = reference.kind.parse::<Kind>();
    if kind.is_ok_and(Kind::is_cluster_scoped) {
        return Err(elsewhere(&rights, "the whole cluster"));
    }
    in_namespace(&rights, &reference.namespace)
}

/// For what is about several objects.
pub(super) fn about_objects(rights: &Rights, objects: &[ParsedObject]) -> Result<(), ServiceError> {
    for one in objects {
        let cluster = one.object.kind().is_cluster_scoped();
        if (cluster && rights.limited()) || !rights.reach(&one.key.namespace) {
            let wanted = match cluster {
                true => "the whole cluster",
                false => one.key.namespace.as_str(),
            };
            return Err(ServiceError::Denied(
                elsewhere(rights, wanted).message().to_owned(),
            ));
        }
    }
    Ok(())
}

/// The values of secrets are not for those who look only.
pub(super) fn secrets<T>(request: &Request<T>, shown: bool) -> Result<(), Status> {
    let looks_only = matches!(
        rights(request),
        Rights::Operator {
            role: Role::Viewer,
            ..
        }
    );
    if shown && looks_only {
        let text =
            "the values of secrets are not for viewers; leave --show-secrets out, or ask an admin";
        return Err(Status::permission_denied(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests;

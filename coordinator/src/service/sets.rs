//! SetService: the status of sets, and how many members they have.

use std::sync::Arc;

use berth_core::{
    admission::{self, ORPHANED_REFUSED, Outcome},
    ids::{ObjectKey, SetKey},
    plan::disruptions,
    spec::{Kind, Membership, Object},
    state::Set,
};
use berth_proto::{
    convert::object::namespace,
    v1::{
        HistoryRequest, HistoryResponse, ListSetStatusRequest, ListSetStatusResponse,
        RefoundRequest, RefoundResponse, RolloutPauseRequest, RolloutResponse,
        RolloutRestartRequest, ScaleRequest, ScaleResponse, SetStatus, SetStatusRequest,
        UndoRequest, set_service_server::SetService,
    },
};
use tonic::{Request, Response, Status};

use super::{
    access,
    apply::{Known, to_batch},
    leaving,
    objects::named,
    rollout,
    status::ServiceError,
    view::Look,
};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::View,
};

/// The service.
#[derive(Debug)]
pub(super) struct Sets(pub(super) Context);

pub(super) fn key(namespace_text: &str, name: &str) -> Result<SetKey, ServiceError> {
    let reference = berth_proto::v1::ObjectRef {
        kind: Kind::StatefulSet.as_str().to_owned(),
        namespace: namespace(namespace_text)?.to_string(),
        name: name.to_owned(),
    };
    Ok(named(Some(reference))?.1)
}

pub(super) fn not_found(key: &SetKey) -> ServiceError {
    ServiceError::NotFound {
        what: format!("StatefulSet {key}"),
    }
}

/// Of an orphaned set nothing is decided until it is applied again.
pub(super) fn refuse_orphaned(key: &SetKey, set: &Set) -> Result<(), ServiceError> {
    if set.orphaned.is_none() {
        return Ok(());
    }
    Err(ServiceError::Refused {
        rule: "ORPHANED",
        subject: format!("StatefulSet/{}", key.name),
        message: format!("{key}: {ORPHANED_REFUSED}"),
    })
}

fn generation(view: &View, key: &SetKey) -> u64 {
    let object = view.objects.get(&(Kind::StatefulSet, key.clone()));
    object.map_or(0, |object| object.meta().generation)
}

fn statuses(context: &Context, wanted: impl Fn(&SetKey) -> bool) -> Vec<SetStatus> {
    let board = Arc::clone(&context.board.borrow());
    let view = context.view.read();
    let look = Look {
        state: &view.state,
        board: &board,
        now: context.clock.now(),
    };
    let sets = view.state.sets.iter().filter(|(key, _)| wanted(key));
    sets.map(|(key, set)| look.set(key, set, generation(&view, key)))
        .collect()
}

async fn scale(context: &Context, request: ScaleRequest) -> Result<ScaleResponse, ServiceError> {
    let key = key(&request.namespace, &request.name)?;
    loop {
        let (previous, batch) = {
            let view = context.view.read();
            let id = (Kind::StatefulSet, key.clone());
            let Some(Object::StatefulSet(before)) = view.objects.get(&id) else {
                return Err(not_found(&key));
            };
            let previous = before.spec.replicas();
            let known = Known::of(&view);
            let existing = known.existing(&view);
            let scaled = admission::scale(existing, &key, request.replicas);
            let is_static = before.spec.membership() == Membership::Static;
            let change = scaled.map_err(|violations| {
                if is_static {
                    refused(&key, &violations)
                } else {
                    ServiceError::Invalid(violations)
                }
            })?;
            let now = context.clock.now();
            let (mut batch, after) = to_batch(&view, std::slice::from_ref(&change), now)?;
            let disruptions = disruptions(&view.state, &after, now);
            if !disruptions.is_empty() && !request.confirmed {
                return Err(ServiceError::Unconfirmed { disruptions });
            }
            if change.outcome != Outcome::Unchanged {
                let text = format!("from {previous} to {} members", request.replicas);
                let note = notes::object(now, Kind::StatefulSet, &key, NORMAL, "Scaled", text);
                batch.notes = vec![note];
            }
            (previous, batch)
        };
        if let Some(revision) = context.commit(batch).await? {
            return Ok(ScaleResponse {
                previous_replicas: previous,
                revision,
            });
        }
    }
}

/// A set whose membership is fixed: no correction of the request would help.
fn refused(key: &ObjectKey, violations: &[berth_core::manifest::Violation]) -> ServiceError {
    let lines: Vec<&str> = violations.iter().map(|one| one.message.as_str()).collect();
    ServiceError::Refused {
        rule: "MEMBERSHIP",
        subject: format!("StatefulSet/{}", key.name),
        message: lines.join("; "),
    }
}

#[tonic::async_trait]
impl SetService for Sets {
    async fn scale(
        &self,
        request: Request<ScaleRequest>,
    ) -> Result<Response<ScaleResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        Ok(Response::new(scale(&self.0, request.into_inner()).await?))
    }

    async fn refound(
        &self,
        request: Request<RefoundRequest>,
    ) -> Result<Response<RefoundResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let revision = leaving::refound(&self.0, request.into_inner()).await?;
        Ok(Response::new(RefoundResponse { revision }))
    }

    async fn status(
        &self,
        request: Request<SetStatusRequest>,
    ) -> Result<Response<SetStatus>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let request = request.into_inner();
        let key = key(&request.namespace, &request.name)?;
        let status = statuses(&self.0, |other| *other == key).pop();
        Ok(Response::new(status.ok_or_else(|| not_found(&key))?))
    }

    async fn history(
        &self,
        request: Request<HistoryRequest>,
    ) -> Result<Response<HistoryResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let history = rollout::history(&self.0, request.into_inner())?;
        Ok(Response::new(history))
    }

    async fn undo(
        &self,
        request: Request<UndoRequest>,
    ) -> Result<Response<RolloutResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let response = rollout::undo(&self.0, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn rollout_restart(
        &self,
        request: Request<RolloutRestartRequest>,
    ) -> Result<Response<RolloutResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let response = rollout::restart(&self.0, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn rollout_pause(
        &self,
        request: Request<RolloutPauseRequest>,
    ) -> Result<Response<RolloutResponse>, Status> {
        access::about_one(&request, &request.get_ref().namespace)?;
        let response = rollout::pause(&self.0, request.into_inner()).await?;
        Ok(Response::new(response))
    }

    async fn list_status(
        &self,
        request: Request<ListSetStatusRequest>,
    ) -> Result<Response<ListSetStatusResponse>, Status> {
        access::about_all(&request, &request.get_ref().namespace)?;
        let namespace = request.into_inner().namespace;
        let wanted = |key: &SetKey| namespace.is_empty() || key.namespace.as_str() == namespace;
        let sets = statuses(&self.0, wanted);
        Ok(Response::new(ListSetStatusResponse { sets }))
    }
}

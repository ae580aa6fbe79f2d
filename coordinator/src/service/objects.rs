//! ObjectService: reading objects here, changing them in [`super::apply`] and [`super::delete`],
//! following them in [`super::watch`].

use std::sync::Arc;

use berth_core::{ids::ObjectKey, spec::Kind, store::Key, volume::class};
use berth_proto::{
    convert::object as wire,
    v1::{
        ApplyRequest, ApplyResponse, DeleteRequest, DeleteResponse, GetRequest, ListRequest,
        ListResponse, Object, PlanRequest, PlanResponse, WatchEvent, WatchRequest,
        object_service_server::ObjectService,
    },
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    access, apply, classes, delete, persistent, plan, render, status::ServiceError, view::Look,
    watch,
};
use crate::context::Context;

/// The service.
#[derive(Debug)]
pub(super) struct Objects(pub(super) Context);

/// The kind and key that a request names.
pub(super) fn named(
    reference: Option<berth_proto::v1::ObjectRef>,
) -> Result<(Kind, ObjectKey), ServiceError> {
    let missing = berth_proto::convert::ConvertError::Missing { field: "ref" };
    Ok(wire::reference(&reference.ok_or(missing)?)?)
}

fn get(context: &Context, request: GetRequest) -> Result<Object, ServiceError> {
    let secrets = render::Secrets::asked(request.show_secrets);
    let (kind, object) = named(request.r#ref)?;
    let board = Arc::clone(&context.board.borrow());
    let entry = persistent::entry(&context.store.read(), kind, &object);
    if entry.is_none()
        && kind == Kind::StorageClass
        && object.name.as_str() == class::BUILT_IN
        && let Some(built_in) = classes::built_in(&context.view.read())?
    {
        return Ok(built_in);
    }
    let (key, entry) = entry.ok_or_else(|| ServiceError::NotFound {
        what: format!("{kind} {object}"),
    })?;
    let view = context.view.read();
    let look = Look {
        state: &view.state,
        board: &board,
        now: context.clock.now(),
    };
    render::object(&look, &view, &key, entry.revision, &entry.value, secrets)
}

fn list(context: &Context, request: &ListRequest) -> Result<ListResponse, ServiceError> {
    let kind: Kind = request.kind.parse().map_err(|source| {
        let field = "kind";
        ServiceError::from(berth_proto::convert::ConvertError::Id { field, source })
    })?;
    let board = Arc::clone(&context.board.borrow());
    let (revision, entries) = {
        let model = context.store.read();
        let wanted = |key: &Key| kind.is_in(&request.namespace, &key.object);
        let mut entries = persistent::entries(&model, kind);
        entries.retain(|(key, _)| wanted(key));
        (model.revision().0, entries)
    };
    let view = context.view.read();
    let look = Look {
        state: &view.state,
        board: &board,
        now: context.clock.now(),
    };
    let objects = entries.iter().map(|(key, entry)| {
        let secrets = render::Secrets::asked(request.show_secrets);
        render::object(&look, &view, key, entry.revision, &entry.value, secrets)
    });
    let mut objects: Vec<Object> = objects.collect::<Result<_, _>>()?;
    if kind == Kind::StorageClass {
        objects.extend(classes::built_in(&view)?);
    }
    Ok(ListResponse { objects, revision })
}

#[tonic::async_trait]
impl ObjectService for Objects {
    async fn apply(
        &self,
        request: Request<ApplyRequest>,
    ) -> Result<Response<ApplyResponse>, Status> {
        let applied =
            apply::apply(&self.0, &access::rights(&request), request.into_inner()).await?;
        Ok(Response::new(applied))
    }

    async fn plan(&self, request: Request<PlanRequest>) -> Result<Response<PlanResponse>, Status> {
        let rights = access::rights(&request);
        let plan = plan::plan(&self.0, &rights, request.into_inner()).await?;
        Ok(Response::new(plan))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<Object>, Status> {
        access::about_ref(&request, request.get_ref().r#ref.as_ref())?;
        access::secrets(&request, request.get_ref().show_secrets)?;
        Ok(Response::new(get(&self.0, request.into_inner())?))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        access::about_all(&request, &request.get_ref().namespace)?;
        access::secrets(&request, request.get_ref().show_secrets)?;
        Ok(Response::new(list(&self.0, &request.into_inner())?))
    }

    type WatchStream = ReceiverStream<Result<WatchEvent, Status>>;

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        access::about_all(&request, &request.get_ref().namespace)?;
        Ok(Response::new(watch::start(&self.0, request.into_inner())?))
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        access::about_ref(&request, request.get_ref().r#ref.as_ref())?;
        let deleted = delete::delete(&self.0, request.into_inner()).await?;
        Ok(Response::new(deleted))
    }
}

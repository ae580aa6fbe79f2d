//! HostService: the machines, and whether new members may come to them.

use berth_core::{
    ids::HostName,
    state::HostRecord,
    store::{Batch, Key, RecordKind},
};
use berth_proto::{
    convert::ConvertError,
    v1::{
        HostStatus, ListHostsRequest, ListHostsResponse, SetUnschedulableRequest,
        SetUnschedulableResponse, host_service_server::HostService,
    },
};
use tonic::{Request, Response, Status};

use super::{apply::commit, status::ServiceError, view};
use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{View, claims::write_as_known, records::host_key},
};

/// The service.
#[derive(Debug)]
pub(super) struct Hosts(pub(super) Context);

impl Hosts {
    fn all(&self) -> Vec<HostStatus> {
        let links = self.0.sessions.statuses();
        let mismatches = self.0.sessions.mismatches();
        let view = self.0.view.read();
        let hosts = view
            .state
            .hosts
            .iter()
            .map(|(name, host)| view::host(&view, host, links.get(name), mismatches.get(name)));
        hosts.collect()
    }

    async fn cordon(&self, name: &HostName, unschedulable: bool) -> Result<bool, ServiceError> {
        loop {
            let batch = self.prepare(&self.0.view.read(), name, unschedulable)?;
            if batch.is_empty() {
                return Ok(false);
            }
            if commit(&self.0, batch).await?.is_some() {
                return Ok(true);
            }
        }
    }

    fn prepare(
        &self,
        view: &View,
        name: &HostName,
        unschedulable: bool,
    ) -> Result<Batch, ServiceError> {
        let mut batch = Batch::default();
        let host = view.state.hosts.get(name);
        let host = host.ok_or_else(|| ServiceError::NotFound {
            what: format!("host {name}"),
        })?;
        if host.record.unschedulable == unschedulable {
            return Ok(batch);
        }
        let record = HostRecord {
            unschedulable,
            ..host.record.clone()
        };
        let key: Key = host_key(RecordKind::Host, name).map_err(crate::store::RecordError::from)?;
        write_as_known(view, key, &record, &mut batch)?;
        let (reason, text) = if unschedulable {
            (
                "Cordoned",
                "it takes no new members; those that are there stay",
            )
        } else {
            ("Uncordoned", "it takes members again")
        };
        let now = self.0.clock.now();
        let note = notes::host(now, name, NORMAL, reason, text.to_owned());
        batch.notes.push(note);
        Ok(batch)
    }
}

#[tonic::async_trait]
impl HostService for Hosts {
    async fn list(
        &self,
        _request: Request<ListHostsRequest>,
    ) -> Result<Response<ListHostsResponse>, Status> {
        let hosts = self.all();
        Ok(Response::new(ListHostsResponse { hosts }))
    }

    async fn set_unschedulable(
        &self,
        request: Request<SetUnschedulableRequest>,
    ) -> Result<Response<SetUnschedulableResponse>, Status> {
        let request = request.into_inner();
        let name: HostName = request.host.parse().map_err(|source| {
            let field = "host";
            ServiceError::from(ConvertError::Id { field, source })
        })?;
        let changed = self.cordon(&name, request.unschedulable).await?;
        let hosts = self.all().into_iter();
        let mut members = hosts.filter(|host| host.name == request.host);
        let members = members.next().map(|host| host.members);
        Ok(Response::new(SetUnschedulableResponse {
            changed,
            members: members.unwrap_or_default(),
        }))
    }
}

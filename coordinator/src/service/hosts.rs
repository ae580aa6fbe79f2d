//! HostService: the machines.

use berth_proto::v1::{ListHostsRequest, ListHostsResponse, host_service_server::HostService};
use tonic::{Request, Response, Status};

use super::view;
use crate::context::Context;

/// The service.
#[derive(Debug)]
pub(super) struct Hosts(pub(super) Context);

#[tonic::async_trait]
impl HostService for Hosts {
    async fn list(
        &self,
        _request: Request<ListHostsRequest>,
    ) -> Result<Response<ListHostsResponse>, Status> {
        let links = self.0.sessions.statuses();
        let mismatches = self.0.sessions.mismatches();
        let view = self.0.view.read();
        let hosts = view
            .state
            .hosts
            .iter()
            .map(|(name, host)| view::host(&view, host, links.get(name), mismatches.get(name)));
        Ok(Response::new(ListHostsResponse {
            hosts: hosts.collect(),
        }))
    }
}

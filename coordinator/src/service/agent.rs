//! AgentService: hands the stream to the sessions.

use berth_proto::v1::{AgentMessage, agent_service_server::AgentService};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    context::Context,
    sessions::{self, Outgoing},
};

/// The service.
#[derive(Debug)]
pub(super) struct Agents(pub(super) Context);

#[tonic::async_trait]
impl AgentService for Agents {
    type SessionStream = ReceiverStream<Outgoing>;

    async fn session(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let outgoing = sessions::run(self.0.clone(), request.into_inner());
        Ok(Response::new(outgoing))
    }
}

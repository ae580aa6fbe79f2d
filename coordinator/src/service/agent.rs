//! AgentService: hands the stream to the sessions.

use berth_proto::{
    transport::PeerInfo,
    v1::{AgentMessage, ExecInput, ExecOutput, TransferPart, agent_service_server::AgentService},
};
use tonic::{Request, Response, Status, Streaming};

use super::{
    Streamed,
    access::{caller_of, rights},
    exec, transfer,
};
use crate::{
    context::Context,
    sessions::{self, Opener, Outbound},
};

/// The service.
#[derive(Debug)]
pub(super) struct Agents(pub(super) Context);

#[tonic::async_trait]
impl AgentService for Agents {
    type SessionStream = Outbound;
    type ExecStream = Streamed<ExecInput>;
    type TransferStream = Streamed<TransferPart>;

    async fn exec(
        &self,
        request: Request<Streaming<ExecOutput>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        let inputs = exec::arrived(&self.0, &rights(&request), request.into_inner()).await?;
        Ok(Response::new(inputs))
    }

    async fn transfer(
        &self,
        request: Request<Streaming<TransferPart>>,
    ) -> Result<Response<Self::TransferStream>, Status> {
        let parts = transfer::open(&self.0, &rights(&request), request.into_inner()).await?;
        Ok(Response::new(parts))
    }

    async fn session(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let from = match request.extensions().get() {
            Some(PeerInfo::Remote { address, .. }) => Some(address.ip()),
            Some(PeerInfo::Local { .. }) | None => None,
        };
        let caller = caller_of(&request);
        let opener = Opener { caller, from };
        let outgoing = sessions::run(self.0.clone(), opener, request.into_inner());
        Ok(Response::new(outgoing))
    }
}

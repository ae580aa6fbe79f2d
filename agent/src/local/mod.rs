//! What `berth local` talks to: this host's members, over a socket that only root can use. It
//! needs no coordinator, and what is asked here is durable before it is answered.

use std::{net::SocketAddr, sync::Arc};

use berth_core::{
    ids::{HostName, MemberId},
    report::Phase,
};
use berth_proto::v1::{
    self, LocalListRequest, LocalListResponse, LocalMemberRequest, LocalMemberResponse,
    LocalNamesRequest, LocalNamesResponse, LocalResumeRequest, LocalResumeResponse,
    LocalShutdownProgress, LocalShutdownRequest, LocalStatusRequest, LocalStatusResponse, LogChunk,
    LogsRequest, local_service_server::LocalService,
};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{
    host::Host,
    ledger::LedgerStore,
    logs::{self, LogError, LogQuery},
    reconcile::{LocalError, Members},
    session::first_process,
};

mod serve;
mod shutdown;
mod status;

pub use serve::{ServeError, serve};

/// Chunks of a log that wait to be sent.
const CHUNKS: usize = 4;
/// The port of DNS where none is said.
const DNS_PORT: u16 = 53;

/// The service.
#[derive(Debug)]
pub struct Local<H> {
    /// This host.
    pub name: HostName,
    /// For the logs' directories.
    pub host: Arc<H>,
    /// What is ordered.
    pub ledger: LedgerStore,
    /// What is true.
    pub members: Members,
    /// The zone of its names, and where the agent serves them.
    pub names: (String, Vec<SocketAddr>),
    /// Whether a session with the coordinator is open.
    pub connected: watch::Receiver<bool>,
}

impl<H: Host> Local<H> {
    async fn member(&self, id: &MemberId) -> Result<(v1::MemberStatus, bool), Status> {
        let seen = self.members.look(id).await.map_err(refuse)?;
        let order = self.ledger.read().effective(id);
        let held = seen.held;
        Ok((status::member(&self.name, &seen, order.as_ref()), held))
    }
}

#[tonic::async_trait]
impl<H: Host> LocalService for Local<H> {
    async fn list(
        &self,
        _request: Request<LocalListRequest>,
    ) -> Result<Response<LocalListResponse>, Status> {
        // Not a complete report, as the coordinator asks for, which then needs no word of what is gone.
        let changes = self.members.changes(Some(0)).await;
        let changes = changes.ok_or_else(|| refuse(LocalError::Stopping))?;
        let mut members = Vec::new();
        for report in changes.members {
            // One that was forgotten meanwhile is not listed.
            if let Ok((member, _)) = self.member(&report.member).await {
                members.push(member);
            }
        }
        Ok(Response::new(LocalListResponse {
            host: self.name.to_string(),
            coordinator_connected: *self.connected.borrow(),
            members,
        }))
    }

    async fn status(
        &self,
        request: Request<LocalStatusRequest>,
    ) -> Result<Response<LocalStatusResponse>, Status> {
        let id = parse(request.into_inner().member.unwrap_or_default())?;
        let (member, held_by_operator) = self.member(&id).await?;
        Ok(Response::new(LocalStatusResponse {
            member: Some(member),
            held_by_operator,
        }))
    }

    type LogsStream = ReceiverStream<Result<LogChunk, Status>>;

    async fn logs(
        &self,
        request: Request<LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let request = request.into_inner();
        let id = parse(LocalMemberRequest {
            namespace: request.namespace,
            member: request.member,
        })?;
        let process = match request.process.as_str() {
            "" => first_process(&self.ledger, &id)
                .ok_or_else(|| refuse(LocalError::Unknown { member: id.clone() }))?,
            name => name
                .parse()
                .map_err(|error| Status::invalid_argument(format!("process: {error}")))?,
        };
        let query = LogQuery {
            follow: request.follow,
            previous: request.previous,
            tail_lines: request.tail_lines,
        };
        let dir = self.host.log_dir(&id);
        let (out, answer) = mpsc::channel(CHUNKS);
        tokio::spawn(async move {
            let (chunks, mut queue) = mpsc::channel::<Vec<u8>>(CHUNKS);
            let forwarded = out.clone();
            let forward = async move {
                while let Some(data) = queue.recv().await {
                    if forwarded.send(Ok(LogChunk { data })).await.is_err() {
                        return;
                    }
                }
            };
            let reading = async {
                let result = logs::read(&dir, &process, query, &chunks).await;
                drop(chunks);
                result
            };
            // A listener that went away, away from a log that is silent, is noticed here.
            let gone = out.closed();
            let result = tokio::select! {
                (result, ()) = async { tokio::join!(reading, forward) } => result,
                () = gone => return,
            };
            if let Err(error) = result {
                drop(out.send(Err(log_status(&error))).await);
            }
        });
        Ok(Response::new(ReceiverStream::new(answer)))
    }

    async fn stop(
        &self,
        request: Request<LocalMemberRequest>,
    ) -> Result<Response<LocalMemberResponse>, Status> {
        let id = parse(request.into_inner())?;
        let mut version = self.members.version();
        self.members.hold(&id, true).await.map_err(refuse)?;
        // It is durable; the answer waits until it is done, as `systemctl stop` does.
        loop {
            version.borrow_and_update();
            match self.members.look(&id).await {
                Ok(seen) if seen.report.phase != Phase::Stopped && seen.held => {}
                Ok(_) | Err(LocalError::Unknown { .. }) => break,
                Err(error) => return Err(refuse(error)),
            }
            if version.changed().await.is_err() {
                return Err(refuse(LocalError::Stopping));
            }
        }
        Ok(Response::new(LocalMemberResponse {}))
    }

    async fn start(
        &self,
        request: Request<LocalMemberRequest>,
    ) -> Result<Response<LocalMemberResponse>, Status> {
        let id = parse(request.into_inner())?;
        self.members.hold(&id, false).await.map_err(refuse)?;
        Ok(Response::new(LocalMemberResponse {}))
    }

    async fn restart(
        &self,
        request: Request<LocalMemberRequest>,
    ) -> Result<Response<LocalMemberResponse>, Status> {
        let id = parse(request.into_inner())?;
        self.members.restart(&id).await.map_err(refuse)?;
        Ok(Response::new(LocalMemberResponse {}))
    }

    async fn names(
        &self,
        _request: Request<LocalNamesRequest>,
    ) -> Result<Response<LocalNamesResponse>, Status> {
        let (zone, servers) = &self.names;
        let servers = servers.iter().map(|server| match server.port() {
            DNS_PORT => server.ip().to_string(),
            _ => server.to_string(),
        });
        Ok(Response::new(LocalNamesResponse {
            zone: zone.clone(),
            servers: servers.collect(),
        }))
    }

    type ShutdownStream = ReceiverStream<Result<LocalShutdownProgress, Status>>;

    async fn shutdown(
        &self,
        _request: Request<LocalShutdownRequest>,
    ) -> Result<Response<Self::ShutdownStream>, Status> {
        let boot = Some(self.host.facts().boot);
        self.members.shut_down(boot).await.map_err(refuse)?;
        // The driver has begun: what is told from here on is of the shutdown.
        if !self.members.clone().turn().await {
            return Err(refuse(LocalError::Stopping));
        }
        let (out, progress) = mpsc::channel(CHUNKS);
        tokio::spawn(shutdown::follow(self.members.clone(), out));
        Ok(Response::new(ReceiverStream::new(progress)))
    }

    async fn resume(
        &self,
        _request: Request<LocalResumeRequest>,
    ) -> Result<Response<LocalResumeResponse>, Status> {
        self.members.shut_down(None).await.map_err(refuse)?;
        Ok(Response::new(LocalResumeResponse {}))
    }
}

fn parse(request: LocalMemberRequest) -> Result<MemberId, Status> {
    let namespace = match request.namespace.as_str() {
        "" => "default",
        namespace => namespace,
    };
    let text = format!("{namespace}/{}", request.member);
    text.parse()
        .map_err(|error| Status::invalid_argument(format!("member: {error}")))
}

fn refuse(error: LocalError) -> Status {
    let text = error.to_string();
    match error {
        LocalError::Unknown { .. } => Status::not_found(text),
        LocalError::Held { .. } => Status::failed_precondition(text),
        LocalError::Ledger(_) => Status::internal(text),
        LocalError::Stopping => Status::unavailable(text),
    }
}

fn log_status(error: &LogError) -> Status {
    match error {
        LogError::None { .. } => Status::not_found(error.to_string()),
        LogError::Io { source, .. } => Status::internal(format!("{error}: {source}")),
    }
}

//! A server of the agents' protocol that knows nothing and only answers: what the library itself takes for
//! many streams, beside what the coordinator takes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use berth_coordinator::clock::Clock;
use berth_pki::tls;
use berth_proto::{
    transport::{Endpoint, ServerTls, listen_tls},
    v1::{
        AgentMessage, CoordinatorMessage, ExecInput, ExecOutput, RenewAck, TransferPart, Welcome,
        Zone,
        agent_message::Message as Up,
        agent_service_server::{AgentService, AgentServiceServer},
        coordinator_message::Message as Down,
    },
};
use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use super::streams::authority;

/// A certificate's life: longer than any run of this.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// Messages that may wait for one agent.
const QUEUE: usize = 16;

/// Serves with the authority of a coordinator, until it is killed.
///
/// # Errors
/// If it cannot listen.
pub async fn serve(data: &Path, announce: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let authority = authority(data)?;
    let own = authority.serve_as(&[], Clock::start().now(), LIFE)?;
    let secured = ServerTls::new(tls::server(authority.certificate(), own)?);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let incoming = listen_tls(address, secured).await?;
    if let Endpoint::Tcp(address) = incoming.local() {
        announce(*address);
    }
    let service = AgentServiceServer::new(Answers::default());
    let server = Server::builder().add_service(service);
    Ok(server.serve_with_incoming(incoming).await?)
}

/// What goes to an agent.
type Answer = Result<CoordinatorMessage, Status>;

#[derive(Debug, Clone, Default)]
struct Answers(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    streams: Vec<mpsc::Sender<Answer>>,
    serial: u64,
}

fn down(message: Down) -> Answer {
    Ok(CoordinatorMessage {
        message: Some(message),
    })
}

impl Answers {
    /// What is said to one agent follows from one message of it, but for the change that all are told.
    async fn answer(&self, out: &mpsc::Sender<Answer>, message: Option<Up>) {
        let answer = match message {
            Some(Up::Hello(_)) => Down::Welcome(Welcome {
                history: "answers".to_owned(),
                term: 1,
                ..Welcome::default()
            }),
            Some(Up::Renew(renew)) => Down::RenewAck(RenewAck {
                number: renew.number,
                running_only: false,
            }),
            Some(Up::Pools(_)) => return self.tell_all().await,
            _ => return,
        };
        out.send(down(answer)).await.ok();
    }

    async fn tell_all(&self) {
        let (streams, serial) = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.serial += 1;
            (known.streams.clone(), known.serial)
        };
        for out in streams {
            let zone = Zone {
                serial,
                last: true,
                ..Zone::default()
            };
            out.send(down(Down::Zone(zone))).await.ok();
        }
    }
}

type Nothing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AgentService for Answers {
    type SessionStream = ReceiverStream<Answer>;
    type ExecStream = Nothing<ExecInput>;
    type TransferStream = Nothing<TransferPart>;

    async fn session(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (out, queue) = mpsc::channel(QUEUE);
        {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.streams.push(out.clone());
        }
        let (mut incoming, answers) = (request.into_inner(), self.clone());
        tokio::spawn(async move {
            while let Some(Ok(AgentMessage { message })) = incoming.next().await {
                answers.answer(&out, message).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(queue)))
    }

    async fn exec(
        &self,
        _: Request<Streaming<ExecOutput>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        Err(Status::unimplemented("it only answers"))
    }

    async fn transfer(
        &self,
        _: Request<Streaming<TransferPart>>,
    ) -> Result<Response<Self::TransferStream>, Status> {
        Err(Status::unimplemented("it only answers"))
    }
}

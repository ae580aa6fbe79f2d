//! A coordinator that does what the bench says: one agent's stream, and nothing else.

use std::{pin::Pin, time::Duration};

use anyhow::Context as _;
use berth_proto::{
    transport::{self, Endpoint},
    v1::{
        AgentMessage, CoordinatorMessage, ExecInput, ExecOutput, TransferPart,
        agent_message::Message as FromAgent,
        agent_service_server::{AgentService, AgentServiceServer},
        coordinator_message::Message as ToAgent,
    },
};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// How long the agent may take to come, and to answer.
const PATIENCE: Duration = Duration::from_secs(20);
const QUEUE: usize = 64;

/// The stream of the one agent that comes.
#[derive(Debug)]
pub struct Session {
    to_agent: mpsc::Sender<Result<CoordinatorMessage, Status>>,
    from_agent: mpsc::Receiver<FromAgent>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Session {
    /// Listens for it.
    ///
    /// # Errors
    /// If the socket cannot be opened.
    pub async fn listen(endpoint: &Endpoint) -> anyhow::Result<Self> {
        let incoming = transport::listen(endpoint).await?;
        let (to_agent, outgoing) = mpsc::channel(QUEUE);
        let (heard, from_agent) = mpsc::channel(QUEUE);
        let service = AgentServiceServer::new(Played {
            outgoing: Mutex::new(Some(outgoing)),
            heard,
        });
        let serving = Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming);
        Ok(Self {
            to_agent,
            from_agent,
            server: tokio::spawn(serving),
        })
    }

    /// Sends a message; it waits for the agent to come if it has not yet.
    ///
    /// # Errors
    /// If the agent is gone.
    pub async fn send(&self, message: ToAgent) -> anyhow::Result<()> {
        let message = CoordinatorMessage {
            message: Some(message),
        };
        self.to_agent
            .send(Ok(message))
            .await
            .context("the agent's stream ended")
    }

    /// Waits for a message, and lets others pass.
    ///
    /// # Errors
    /// If it does not come in time.
    pub async fn until(
        &mut self,
        what: &str,
        wanted: impl Fn(&FromAgent) -> bool,
    ) -> anyhow::Result<()> {
        let find = async {
            while let Some(message) = self.from_agent.recv().await {
                if wanted(&message) {
                    return Ok(());
                }
            }
            anyhow::bail!("the agent's stream ended before its {what}")
        };
        timeout(PATIENCE, find)
            .await
            .with_context(|| format!("no {what} from the agent"))?
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Played {
    outgoing: Mutex<Option<mpsc::Receiver<Result<CoordinatorMessage, Status>>>>,
    heard: mpsc::Sender<FromAgent>,
}

#[tonic::async_trait]
impl AgentService for Played {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<CoordinatorMessage, Status>> + Send>>;
    type ExecStream = Pin<Box<dyn Stream<Item = Result<ExecInput, Status>> + Send>>;
    type TransferStream = Pin<Box<dyn Stream<Item = Result<TransferPart, Status>> + Send>>;

    async fn exec(
        &self,
        _: Request<Streaming<ExecOutput>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        Err(Status::not_found("nobody waits for a program here"))
    }

    async fn transfer(
        &self,
        _: Request<Streaming<TransferPart>>,
    ) -> Result<Response<Self::TransferStream>, Status> {
        Err(Status::not_found("no data is asked for here"))
    }

    async fn session(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let outgoing = self.outgoing.lock().await.take();
        let outgoing = outgoing.ok_or_else(|| Status::aborted("only the first stream is heard"))?;
        let heard = self.heard.clone();
        let mut incoming = request.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(message)) = incoming.message().await {
                if let Some(message) = message.message
                    && heard.send(message).await.is_err()
                {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

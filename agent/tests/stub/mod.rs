//! A coordinator that does what a test says, an order for one member, and waits with a deadline.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use berth_core::{
    ids::{ContentHash, Epoch, Generation, HistoryId, MemberId, TemplateHash, Term, Uid},
    order::{
        ConfigData, Desired, MemberOrder, OrderDelta, OrderHead, RenderValues, VolumeOrder,
        order_hash,
    },
    report::MemberReport,
    spec::{MemberSpec, Process, VolumeMount},
};
use berth_proto::{
    convert::{hello::Hello, report::AgentReport},
    transport::{Endpoint, listen},
    v1::{
        AgentMessage, CoordinatorMessage, ExecInput, ExecOutput, Order, TransferPart, Welcome,
        agent_message::Message as FromAgent,
        agent_service_server::{AgentService, AgentServiceServer},
        coordinator_message::Message as ToAgent,
    },
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A coordinator's listener. It ends when it is dropped.
pub(crate) struct Stub {
    sessions: mpsc::Receiver<Agent>,
    server: tokio::task::JoinHandle<()>,
}

/// One open session with an agent.
pub(crate) struct Agent {
    pub(crate) hello: Hello,
    pub(crate) out: mpsc::Sender<Result<CoordinatorMessage, Status>>,
    incoming: Streaming<AgentMessage>,
    reports: BTreeMap<MemberId, MemberReport>,
}

struct Service(mpsc::Sender<Agent>);

#[tonic::async_trait]
impl AgentService for Service {
    type SessionStream = ReceiverStream<Result<CoordinatorMessage, Status>>;
    type ExecStream = ReceiverStream<Result<ExecInput, Status>>;
    type TransferStream = ReceiverStream<Result<TransferPart, Status>>;

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
        let mut incoming = request.into_inner();
        let first = incoming.message().await?.and_then(|m| m.message);
        let Some(FromAgent::Hello(hello)) = first else {
            return Err(Status::invalid_argument("no hello"));
        };
        let (out, queue) = mpsc::channel(16);
        let agent = Agent {
            hello: hello.try_into().unwrap(),
            out,
            incoming,
            reports: BTreeMap::new(),
        };
        self.0.send(agent).await.unwrap();
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

impl Stub {
    pub(crate) async fn listen(endpoint: &Endpoint) -> Self {
        let incoming = listen(endpoint).await.unwrap();
        let (agents, sessions) = mpsc::channel(4);
        let service = AgentServiceServer::new(Service(agents));
        let server = Server::builder().add_service(service);
        let server = tokio::spawn(async move {
            server.serve_with_incoming(incoming).await.unwrap();
        });
        Self { sessions, server }
    }

    /// The next session, before its welcome.
    pub(crate) async fn hello(&mut self) -> Agent {
        let agent = timeout(DEADLINE, self.sessions.recv()).await;
        agent.expect("a session").unwrap()
    }

    /// The next session, welcomed.
    pub(crate) async fn agent(&mut self) -> Agent {
        let agent = self.hello().await;
        agent.welcome("h", 1).await;
        agent
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Agent {
    pub(crate) async fn welcome(&self, history: &str, term: u64) {
        self.welcome_after(&[], history, term).await;
    }

    /// Serves a history that took the place of others.
    pub(crate) async fn welcome_after(&self, former: &[&str], history: &str, term: u64) {
        let welcome = Welcome {
            history: history.to_owned(),
            term,
            former: former.iter().map(ToString::to_string).collect(),
            lease_ms: 15_000,
        };
        self.send(ToAgent::Welcome(welcome)).await;
    }

    pub(crate) async fn send(&self, message: ToAgent) {
        let message = Some(message);
        self.out
            .send(Ok(CoordinatorMessage { message }))
            .await
            .unwrap();
    }

    /// The next message; `None` when the agent ended the session.
    pub(crate) async fn next(&mut self) -> Option<FromAgent> {
        let next = timeout(DEADLINE, self.incoming.message()).await;
        let message = next.expect("a message").ok().flatten()?.message?;
        if let FromAgent::Report(report) = &message {
            let report = AgentReport::try_from(report.clone()).unwrap();
            if report.complete {
                self.reports.clear();
            }
            for member in &report.forgotten {
                self.reports.remove(member);
            }
            let members = report.members.into_iter();
            self.reports.extend(members.map(|r| (r.member.clone(), r)));
        }
        Some(message)
    }

    /// Sends a complete order and waits for its acknowledgement; the refusal, empty for none.
    pub(crate) async fn order(&mut self, delta: &OrderDelta) -> String {
        let order = Order::try_from(delta.clone()).unwrap();
        self.send(ToAgent::Order(order)).await;
        loop {
            if let FromAgent::OrderAck(ack) = self.next().await.expect("an acknowledgement") {
                return ack.refusal;
            }
        }
    }

    /// Waits until the agent has reported a member as expected.
    pub(crate) async fn until(
        &mut self,
        member: &MemberId,
        expected: impl Fn(&MemberReport) -> bool,
    ) -> MemberReport {
        loop {
            if let Some(report) = self.reports.get(member).filter(|r| expected(r)) {
                return report.clone();
            }
            let last = self.reports.get(member).cloned();
            assert!(self.next().await.is_some(), "the session ended at {last:?}");
        }
    }

    /// Waits until the agent has nothing of a member.
    pub(crate) async fn until_gone(&mut self, member: &MemberId) {
        while self.reports.contains_key(member) {
            assert!(self.next().await.is_some(), "the session ended");
        }
    }
}

pub(crate) fn ready(report: &MemberReport) -> bool {
    report.ready
}

/// A member of one process, which is given, and one volume at `/data`.
pub(crate) fn member_order(name: &str, desired: Desired, command: &[&str]) -> MemberOrder {
    let member: MemberId = format!("default/{name}").parse().unwrap();
    let process = Process {
        name: "main".to_owned(),
        command: command.iter().map(|part| (*part).to_owned()).collect(),
        user: Some("nobody".to_owned()),
        volume_mounts: vec![VolumeMount {
            name: "data".to_owned(),
            mount_path: "/data".to_owned(),
            ..VolumeMount::default()
        }],
        ..Process::default()
    };
    MemberOrder {
        epoch: Epoch {
            term: Term(1),
            counter: 1,
        },
        desired,
        revision: TemplateHash("r".to_owned()),
        lease: None,
        depends_on: Vec::new(),
        template: Arc::new(MemberSpec {
            processes: vec![process],
            ..MemberSpec::default()
        }),
        values: RenderValues {
            namespace: "default".to_owned(),
            set: member.set.name.to_string(),
            member: name.to_owned(),
            fqdn: format!("{name}.x.default.svc.berth.internal"),
            address: "127.0.0.1".to_owned(),
            ..RenderValues::default()
        },
        volumes: vec![VolumeOrder::local(
            "data",
            member.claim("data").unwrap(),
            Uid(format!("uid-{name}")),
            "host-1".parse().unwrap(),
            "default",
        )],
        config: ConfigData::default(),
        member,
    }
}

/// A complete order.
pub(crate) fn complete(generation: u64, orders: Vec<MemberOrder>) -> OrderDelta {
    let members = orders.iter().map(|o| (o.member.clone(), o.clone()));
    let hash: ContentHash = order_hash(&members.collect());
    OrderDelta {
        head: OrderHead {
            history: HistoryId("h".to_owned()),
            term: Term(1),
            generation: Generation(generation),
            hash,
        },
        base: None,
        upserts: orders,
        removals: Vec::new(),
    }
}

pub(crate) fn socket(dir: &Path, name: &str) -> Endpoint {
    Endpoint::Unix(dir.join(name))
}

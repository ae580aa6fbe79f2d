//! An agent without a host: it speaks the protocol and keeps a ledger in memory. Members that it is
//! ordered to run become ready at once, or when the test says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex},
};

use berth_core::{
    history::Heard,
    ids::{BootId, Epoch, Generation, HistoryId, MemberId, ReportNumber, RunId, RunNumber, Term},
    order::{Desired, MemberOrder, OrderDelta, OrderHead, order_hash},
    prerequisite::{Answer, Fact, Prerequisite},
    report::{MemberReport, Phase},
    session::{Served, check_welcome},
    state::{HostRecord, ZoneHead},
    volume::{
        Pools,
        work::{VolumeDone, VolumeTask, VolumeWork},
    },
    zone::Zone,
};
use berth_proto::{
    convert::{
        hello::Hello,
        host::{Answers, Questions},
        report::AgentReport,
        work::Numbered,
        zone::ZoneAssembly,
    },
    transport::{Endpoint, connect},
    v1::{
        self, AgentMessage, LogData, OrderAck, ZoneAck, agent_message::Message,
        agent_service_client::AgentServiceClient, coordinator_message, exec_input::Input,
        exec_output::Output,
    },
};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Duration, Instant, interval},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// What survives a restart of the agent, and what a test looks at.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) head: OrderHead,
    pub(crate) members: BTreeMap<MemberId, MemberOrder>,
    pub(crate) highest: BTreeMap<MemberId, Epoch>,
    pub(crate) zone: Option<(Zone, ZoneHead)>,
    /// Members in the order in which they were first ordered to run, in each epoch.
    pub(crate) started: Vec<MemberId>,
    /// Members in the order in which they were ordered to stop.
    pub(crate) stopped: Vec<MemberId>,
    /// Orders that came complete.
    pub(crate) complete_orders: u32,
    /// Orders that came at all.
    pub(crate) orders: u32,
    /// Members that the test lets become ready.
    pub(crate) held: BTreeSet<MemberId>,
    /// Whether volumes hold back starts, as those that hold foreign data do: nothing is filled.
    pub(crate) volumes_wait: bool,
    /// The works on volumes that it was asked to do, in order.
    pub(crate) works: Vec<Numbered<VolumeWork>>,
    /// How many programs have ended because nobody watches them any more.
    pub(crate) watched_to_the_end: u32,
    /// What every work fails with.
    pub(crate) work_fails: Option<String>,
    /// What its host lacks of what it was asked for, and what it was asked for.
    pub(crate) lacks: bool,
    pub(crate) asked: BTreeSet<Prerequisite>,
    /// Whether works are not answered.
    pub(crate) works_silently: bool,
    /// Whether it renews no lease, as one that hangs.
    pub(crate) silent: bool,
    /// Whether it reports again and again, as one that has much to tell.
    pub(crate) talks: bool,
    /// The renewals that were sent, and when the newest acknowledged one was.
    renewals: Vec<Instant>,
    pub(crate) renewed: Option<Instant>,
    /// Whether that was acknowledged for what runs only.
    pub(crate) running_only: bool,
    known: BTreeSet<MemberId>,
}

/// A connected agent. Dropping it breaks the stream.
pub(crate) struct Agent {
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    poke: mpsc::Sender<Poke>,
    task: JoinHandle<Status>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a test makes it say.
enum Poke {
    /// How its members are.
    Report,
    /// What its host has of what it was asked for.
    Answers,
    /// That a work on a volume is done.
    Done(Box<Numbered<VolumeWork>>),
    /// What its pools are now.
    Pools(Pools),
}

impl Poke {
    fn message(self, ledger: &Mutex<Ledger>, number: &mut u64) -> Message {
        match self {
            Self::Report => report(&mut ledger.lock().unwrap(), number, false),
            Self::Answers => answers(&ledger.lock().unwrap()),
            Self::Done(work) => done(*work, None),
            Self::Pools(pools) => Message::Pools(pools.into()),
        }
    }
}

/// Who the agent says it is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) host: &'static str,
    pub(crate) machine: &'static str,
}

impl Agent {
    pub(crate) async fn connect(endpoint: &Endpoint, host: &'static str) -> Self {
        let identity = Identity {
            host,
            machine: host,
        };
        Self::with(endpoint, identity, Arc::default()).await
    }

    /// Connects with what an earlier agent left.
    pub(crate) async fn with(
        endpoint: &Endpoint,
        identity: Identity,
        ledger: Arc<Mutex<Ledger>>,
    ) -> Self {
        let (poke, poked) = mpsc::channel(16);
        let task = tokio::spawn(run(endpoint.clone(), identity, Arc::clone(&ledger), poked));
        Self { ledger, poke, task }
    }

    /// The status that the stream ended with.
    pub(crate) async fn ended(mut self) -> Status {
        (&mut self.task).await.unwrap()
    }

    /// From now on this member does not become ready.
    pub(crate) fn hold(&self, member: &str) {
        self.ledger
            .lock()
            .unwrap()
            .held
            .insert(member.parse().unwrap());
    }

    /// Lets a held member become ready.
    pub(crate) async fn release(&self, member: &str) {
        let id: MemberId = member.parse().unwrap();
        self.ledger.lock().unwrap().held.remove(&id);
        self.poke.send(Poke::Report).await.unwrap();
    }

    /// What its host was asked for is there from now on.
    pub(crate) async fn install(&self) {
        self.ledger.lock().unwrap().lacks = false;
        self.poke.send(Poke::Answers).await.unwrap();
    }

    /// Says that a work is done.
    pub(crate) async fn answer(&self, work: Numbered<VolumeWork>) {
        self.poke.send(Poke::Done(Box::new(work))).await.unwrap();
    }

    /// Says what its pools are now.
    pub(crate) async fn pools(&self, pools: Pools) {
        self.poke.send(Poke::Pools(pools)).await.unwrap();
    }

    pub(crate) fn started(&self) -> Vec<String> {
        let ledger = self.ledger.lock().unwrap();
        ledger.started.iter().map(ToString::to_string).collect()
    }

    /// The tasks on volumes that it was given, in order.
    pub(crate) fn tasks(&self) -> Vec<VolumeTask> {
        let ledger = self.ledger.lock().unwrap();
        ledger.works.iter().map(|work| work.of.task).collect()
    }

    pub(crate) fn stopped(&self) -> Vec<String> {
        let ledger = self.ledger.lock().unwrap();
        ledger.stopped.iter().map(ToString::to_string).collect()
    }
}

#[expect(clippy::too_many_lines, reason = "one arm per message")]
async fn run(
    endpoint: Endpoint,
    identity: Identity,
    ledger: Arc<Mutex<Ledger>>,
    mut poked: mpsc::Receiver<Poke>,
) -> Status {
    let channel = connect(&endpoint).await.unwrap();
    let (send, outgoing) = mpsc::channel(64);
    let say = async |message: Message| {
        let message = AgentMessage {
            message: Some(message),
        };
        send.send(message).await.ok();
    };
    let first = hello(&identity, &ledger.lock().unwrap());
    say(Message::Hello(first)).await;
    let mut client = AgentServiceClient::new(channel);
    let reply = client.session(ReceiverStream::new(outgoing)).await;
    let mut incoming = match reply {
        Ok(reply) => reply.into_inner(),
        Err(status) => return status,
    };
    let mut assembly = ZoneAssembly::default();
    let mut number = 0;
    let mut beat = interval(Duration::from_millis(100));
    loop {
        let message = tokio::select! {
            message = incoming.message() => message,
            _ = beat.tick() => {
                let renewal = renew(&mut ledger.lock().unwrap());
                if let Some(renewal) = renewal {
                    say(renewal).await;
                }
                let told = {
                    let mut ledger = ledger.lock().unwrap();
                    ledger.talks.then(|| report(&mut ledger, &mut number, false))
                };
                if let Some(told) = told {
                    say(told).await;
                }
                continue;
            }
            Some(poke) = poked.recv() => {
                say(poke.message(&ledger, &mut number)).await;
                continue;
            }
        };
        let message = match message {
            Ok(Some(message)) => message.message,
            Ok(None) => return Status::ok("the stream ended"),
            Err(status) => return status,
        };
        match message.unwrap() {
            coordinator_message::Message::Welcome(welcome) => {
                follow(&mut ledger.lock().unwrap(), welcome);
                let told = report(&mut ledger.lock().unwrap(), &mut number, true);
                say(told).await;
            }
            coordinator_message::Message::Order(order) => {
                let ack = accept(&mut ledger.lock().unwrap(), order);
                say(Message::OrderAck(ack)).await;
                let told = report(&mut ledger.lock().unwrap(), &mut number, false);
                say(told).await;
            }
            coordinator_message::Message::Zone(chunk) => {
                let acked = take_zone(&mut ledger.lock().unwrap(), &mut assembly, chunk);
                if let Some(ack) = acked {
                    say(ack).await;
                }
            }
            coordinator_message::Message::LogRequest(request) => say(log(&request)).await,
            coordinator_message::Message::VolumeWork(work) => {
                let answer = work_on(&mut ledger.lock().unwrap(), work);
                if let Some(answer) = answer {
                    say(answer).await;
                }
            }
            coordinator_message::Message::HostQuestions(questions) => {
                let Questions(required) = questions.try_into().unwrap();
                ledger.lock().unwrap().asked.extend(required);
                let told = answers(&ledger.lock().unwrap());
                say(told).await;
            }
            coordinator_message::Message::ExecOrder(order) => {
                tokio::spawn(exec(endpoint.clone(), order, Arc::clone(&ledger)));
            }
            coordinator_message::Message::RenewAck(ack) => {
                let mut ledger = ledger.lock().unwrap();
                let at = usize::try_from(ack.number).unwrap();
                ledger.renewed = ledger.renewals.get(at).copied();
                ledger.running_only = ack.running_only;
            }
            coordinator_message::Message::LogCancel(_)
            | coordinator_message::Message::SendOrder(_) => {}
        }
    }
}

fn renew(ledger: &mut Ledger) -> Option<Message> {
    if ledger.silent || ledger.members.values().all(|order| order.lease.is_none()) {
        return None;
    }
    let number = ledger.renewals.len().try_into().unwrap();
    ledger.renewals.push(Instant::now());
    Some(Message::Renew(v1::Renew { number }))
}

fn answers(ledger: &Ledger) -> Message {
    let fact = if ledger.lacks {
        Fact::Absent
    } else {
        Fact::Value("999".to_owned())
    };
    let answer = |of: &Prerequisite| Answer {
        of: of.clone(),
        finding: of.judge(&fact),
    };
    let all = Answers(ledger.asked.iter().map(answer).collect());
    Message::HostAnswers(all.try_into().unwrap())
}

fn take_zone(ledger: &mut Ledger, assembly: &mut ZoneAssembly, chunk: v1::Zone) -> Option<Message> {
    let (zone, hash) = assembly.add(chunk).unwrap()?;
    let head = ZoneHead {
        serial: zone.serial,
        hash,
    };
    ledger.zone = Some((zone, head.clone()));
    Some(Message::ZoneAck(ZoneAck {
        serial: head.serial.0,
        hash: head.hash.0,
    }))
}

/// A program that says again what it is told, and ends with code 3 at the end of its input.
async fn exec(endpoint: Endpoint, order: v1::ExecOrder, ledger: Arc<Mutex<Ledger>>) {
    let (send, outgoing) = mpsc::channel(4);
    let say = async |output: Output| {
        let output = Some(output);
        send.send(v1::ExecOutput { output }).await.ok();
    };
    say(Output::Ticket(order.ticket)).await;
    let mut client = AgentServiceClient::new(connect(&endpoint).await.unwrap());
    let mut inputs = client
        .exec(ReceiverStream::new(outgoing))
        .await
        .unwrap()
        .into_inner();
    let command = order.command.unwrap().command.join(" ");
    say(Output::Stderr(command.into_bytes())).await;
    while let Ok(Some(message)) = inputs.message().await {
        match message.input.unwrap() {
            Input::Stdin(bytes) => say(Output::Stdout(bytes)).await,
            Input::StdinEnd(_) => {
                let (code, error) = (3, String::new());
                say(Output::End(v1::ExecEnd { code, error })).await;
            }
            Input::Resize(_) | Input::Signal(_) => {}
        }
    }
    ledger.lock().unwrap().watched_to_the_end += 1;
}

fn work_on(ledger: &mut Ledger, work: v1::VolumeWork) -> Option<Message> {
    let work = Numbered::<VolumeWork>::try_from(work).unwrap();
    ledger.works.push(work.clone());
    let error = ledger.work_fails.clone();
    (!ledger.works_silently).then(|| done(work, error))
}

fn done(work: Numbered<VolumeWork>, error: Option<String>) -> Message {
    let done = Numbered {
        id: work.id,
        of: VolumeDone {
            volume: work.of.volume,
            task: work.of.task,
            error,
        },
    };
    Message::VolumeDone(done.try_into().unwrap())
}

fn log(request: &v1::LogRequest) -> Message {
    Message::LogData(LogData {
        id: request.id,
        data: format!("log of {}\n", request.member).into_bytes(),
        end: true,
        error: String::new(),
    })
}

/// Each host has an address of its own.
fn address(host: &str) -> IpAddr {
    let sum = |sum: u8, byte: u8| sum.wrapping_mul(31).wrapping_add(byte);
    [127, 77, 0, host.bytes().fold(0, sum)].into()
}

fn hello(identity: &Identity, ledger: &Ledger) -> v1::Hello {
    // A machine has one boot, unless the test says otherwise.
    let machine = identity.machine.split_once('/');
    let (machine, boot) = machine.unwrap_or((identity.machine, "boot"));
    Hello {
        host: HostRecord {
            name: identity.host.parse().unwrap(),
            advertise_address: address(identity.host),
            labels: BTreeMap::new(),
            pools: [(
                "default".to_owned(),
                berth_core::volume::PoolInfo::default(),
            )]
            .into(),
            unschedulable: false,
            machine_id: machine.to_owned(),
            product_uuid: String::new(),
            controllers: BTreeSet::new(),
            self_fences: true,
            watchdog: false,
            agent_labels: BTreeMap::new(),
            directives: berth_core::state::HostDirectives::default(),
        },
        pools_known: true,
        boot: BootId(boot.to_owned()),
        version: "test".to_owned(),
        heard: Heard {
            head: ledger.head.clone(),
            highest_epochs: ledger.highest.clone(),
            members: ledger
                .members
                .iter()
                .map(|(id, order)| (id.clone(), order.epoch))
                .collect(),
            leases: ledger
                .members
                .iter()
                .filter_map(|(id, order)| Some((id.clone(), order.lease?)))
                .collect(),
            places: berth_core::history::Places::new(),
            zone: ledger
                .zone
                .as_ref()
                .map(|(_, head)| head.serial)
                .unwrap_or_default(),
        },
        zone: ledger
            .zone
            .as_ref()
            .map(|(_, head)| head.clone())
            .unwrap_or_default(),
    }
    .into()
}

fn follow(ledger: &mut Ledger, welcome: v1::Welcome) {
    let served = Served {
        history: HistoryId(welcome.history),
        former: welcome.former.into_iter().map(HistoryId).collect(),
        term: Term(welcome.term),
    };
    let Ok(record) = check_welcome(&ledger.head, &served) else {
        panic!("a coordinator that no agent would listen to")
    };
    if record.is_some() {
        ledger.head.history = served.history;
        ledger.head.term = served.term;
    }
}

fn accept(ledger: &mut Ledger, order: v1::Order) -> OrderAck {
    let delta = OrderDelta::try_from(order).unwrap();
    assert!(
        delta.head.generation >= ledger.head.generation,
        "a generation fell"
    );
    if let Some(base) = delta.base {
        assert_eq!(
            base, ledger.head.generation,
            "a change against another order"
        );
    } else {
        ledger.complete_orders += 1;
    }
    ledger.orders += 1;
    let members = delta.apply_to(&ledger.members);
    assert_eq!(order_hash(&members), delta.head.hash, "the order's hash");
    for (id, order) in &members {
        let before = ledger.members.get(id);
        let changed =
            before.is_none_or(|old| (old.epoch, old.desired) != (order.epoch, order.desired));
        let highest = ledger.highest.entry(id.clone()).or_default();
        assert!(order.epoch >= *highest, "an epoch fell");
        *highest = order.epoch;
        match order.desired {
            Desired::Run if changed => ledger.started.push(id.clone()),
            Desired::Stop if changed => ledger.stopped.push(id.clone()),
            Desired::Run | Desired::Stop => {}
        }
    }
    ledger.members = members;
    ledger.head = delta.head.clone();
    OrderAck {
        head: Some(delta.head.into()),
        refusal: String::new(),
    }
}

fn report(ledger: &mut Ledger, number: &mut u64, complete: bool) -> Message {
    *number += 1;
    let members = ledger
        .members
        .values()
        .map(|order| member(ledger, order))
        .collect();
    let now: BTreeSet<MemberId> = ledger.members.keys().cloned().collect();
    let forgotten = ledger.known.difference(&now).cloned().collect();
    ledger.known = now;
    let report = AgentReport {
        number: ReportNumber(*number),
        complete,
        members,
        forgotten,
        generation: Generation(ledger.head.generation.0),
    };
    Message::Report(report.try_into().unwrap())
}

fn member(ledger: &Ledger, order: &MemberOrder) -> MemberReport {
    let runs = order.desired == Desired::Run;
    let ready = runs && !ledger.held.contains(&order.member);
    let filled = order
        .volumes
        .iter()
        .filter(|_| runs && !ledger.volumes_wait);
    MemberReport {
        member: order.member.clone(),
        epoch: order.epoch,
        run: Some(RunId {
            epoch: order.epoch,
            boot: BootId("boot".to_owned()),
            number: RunNumber(1),
        }),
        revision: None,
        phase: if runs { Phase::Running } else { Phase::Stopped },
        started: runs,
        ready,
        passed_gate: ready,
        ready_for_ms: 0,
        restarts: 0,
        processes: Vec::new(),
        waiting: None,
        volumes: Vec::new(),
        filled: filled.map(|volume| volume.name.clone()).collect(),
    }
}

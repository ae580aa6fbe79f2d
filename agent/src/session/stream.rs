//! One session: hello, welcome, then orders, zones and log requests in; acknowledgements, reports
//! and log data out. Reports are made when they can be sent, so that changes meet in one.

use std::{sync::Arc, time::Duration};

use berth_core::{
    ids::{HistoryId, ReportNumber, Term},
    lease::{Renewals, SHORTEST_LEASE, renew_every},
    prerequisite::{Answer, Prerequisite},
    session::{Served, check_welcome},
    state::{HostRecord, ZoneHead},
};
use berth_proto::{
    convert::{
        hello::Hello,
        host::{Answers, Questions},
        report::AgentReport,
        zone::ZoneAssembly,
    },
    transport::http2::ANSWER,
    v1::{
        self, AgentMessage, CoordinatorMessage, agent_message::Message as Out,
        agent_service_client::AgentServiceClient, coordinator_message::Message as In,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::Streaming;

use super::{
    Session, SessionError, attempt_limit, exec::Runner, logs::Tails, transfer::Ends, works::Worker,
};
use crate::{
    host::Host,
    reconcile::{Changes, OrderError},
};

/// Messages that wait to be sent.
const QUEUE: usize = 64;
/// A coordinator that makes no room in the queue for so long does not read.
const READING: Duration = Duration::from_secs(10);

/// What one session remembers.
struct Open {
    out: mpsc::Sender<AgentMessage>,
    zone: ZoneAssembly,
    renewals: Renewals,
    /// The lease of members that have none of their own.
    longest: Duration,
    tails: Tails,
    /// The number of the last report, and up to which version it told everything.
    reported: (ReportNumber, Option<u64>),
    version: watch::Receiver<u64>,
    /// Tells what changes of the pools.
    _pools: AbortOnDropHandle<()>,
}

/// What an open session does next.
enum Next {
    Message(Option<In>),
    /// There is something to report.
    Changed,
    /// A renewal is due.
    Renew,
}

impl<H: Host> Session<H> {
    /// Opens a session and serves it to its end.
    pub(super) async fn one(&self, failures: u32) -> SessionError {
        match self.open(failures).await {
            Ok((mut open, mut incoming, mut renew)) => {
                self.connected.send_replace(true);
                tracing::info!(coordinator = %self.coordinator, "connected");
                let ended = self.serve(&mut open, &mut incoming, &mut renew).await;
                self.members.names_told(None);
                ended.err().unwrap_or(SessionError::Closed)
            }
            Err(error) => error.explained(),
        }
    }

    async fn open(
        &self,
        failures: u32,
    ) -> Result<(Open, Streaming<CoordinatorMessage>, Interval), SessionError> {
        let connect = self.coordinator.connect();
        let limit = attempt_limit(failures, self.shortest_lease());
        let connected = timeout(limit, connect).await;
        let channel = connected.map_err(|_| SessionError::Silent)??;
        let mut client = AgentServiceClient::new(channel)
            .max_decoding_message_size(ANSWER)
            .max_encoding_message_size(ANSWER);
        let (out, queue) = mpsc::channel(QUEUE);
        let hello = self.hello().await;
        let told = hello.pools_known.then(|| hello.host.pools.clone());
        send(&out, Out::Hello(hello.into())).await?;
        let welcomed = timeout(limit, async {
            let mut incoming = client
                .session(ReceiverStream::new(queue))
                .await?
                .into_inner();
            let first = incoming.message().await?;
            Ok::<_, SessionError>((incoming, first))
        });
        let (incoming, first) = welcomed.await.map_err(|_| SessionError::Silent)??;
        let Some(In::Welcome(welcome)) = first.and_then(|message| message.message) else {
            return Err(SessionError::Silent);
        };
        let served = Served {
            history: HistoryId(welcome.history),
            former: welcome.former.into_iter().map(HistoryId).collect(),
            term: Term(welcome.term),
        };
        let (follows, is_first) = {
            let ledger = self.ledger.read();
            (check_welcome(&ledger.head, &served)?, !ledger.has_order())
        };
        if let Some(record) = follows {
            let history = &served.history;
            if !is_first {
                tracing::warn!(%history, "the store has another history, which this host follows now");
            }
            self.ledger.write(vec![record]).await?;
        }
        let longest = Duration::from_millis(welcome.lease_ms).max(SHORTEST_LEASE);
        let renew = every(self.shortest_lease().unwrap_or(longest));
        let open = Open {
            tails: Tails::new(out.clone()),
            _pools: self.pools.tell(told, out.clone()),
            out,
            zone: ZoneAssembly::default(),
            renewals: Renewals::default(),
            longest,
            reported: (ReportNumber(0), None),
            version: self.members.version(),
        };
        Ok((open, incoming, renew))
    }

    /// Waits for a look at the pools only where no lease runs out meanwhile.
    async fn hello(&self) -> Hello {
        let pools = match self.shortest_lease() {
            Some(_) => self.pools.now(),
            None => self.pools.seen().await,
        };
        let ledger = self.ledger.read();
        let (serial, hash) = self.dns.serving();
        Hello {
            pools_known: pools.is_some(),
            host: HostRecord {
                pools: pools.unwrap_or_default(),
                ..self.record.clone()
            },
            boot: self.boot.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            heard: ledger.heard(serial),
            zone: ZoneHead { serial, hash },
        }
    }

    async fn serve(
        &self,
        open: &mut Open,
        incoming: &mut Streaming<CoordinatorMessage>,
        renew: &mut Interval,
    ) -> Result<(), SessionError> {
        self.report(open).await?;
        loop {
            let give_up = self.give_up_at(open);
            let next = tokio::select! {
                message = incoming.message() => {
                    Next::Message(message?.ok_or(SessionError::Closed)?.message)
                }
                changed = open.version.changed() => {
                    changed.map_err(|_| SessionError::Stopping)?;
                    Next::Changed
                }
                _ = renew.tick() => Next::Renew,
                () = until(give_up) => return Err(SessionError::Unanswered),
            };
            // What cannot be sent waits no longer than what does not come.
            tokio::select! {
                done = self.take_next(open, renew, next) => done?,
                () = until(give_up) => return Err(SessionError::Unanswered),
            }
        }
    }

    async fn take_next(
        &self,
        open: &mut Open,
        renew: &mut Interval,
        next: Next,
    ) -> Result<(), SessionError> {
        match next {
            Next::Message(None) => Ok(()),
            Next::Message(Some(message)) => {
                self.take(open, message).await?;
                let lease = self.shortest_lease().unwrap_or(open.longest);
                if renew.period() != renew_every(lease) {
                    *renew = every(lease);
                }
                Ok(())
            }
            Next::Changed => self.report(open).await,
            Next::Renew => {
                let number = open.renewals.send(self.host.boottime());
                self.members.renewed(open.renewals.newest());
                send(&open.out, Out::Renew(v1::Renew { number })).await
            }
        }
    }

    /// The shortest lease that a member of this host runs on.
    pub(super) fn shortest_lease(&self) -> Option<Duration> {
        let ledger = self.ledger.read();
        let leases = ledger.members.values().filter_map(|order| order.lease);
        leases.map(|terms| terms.length()).min()
    }

    /// When a stream on which nothing comes back is given up: while there is time for another one
    /// before a member is asked to stop.
    fn give_up_at(&self, open: &Open) -> Option<Instant> {
        let patience = {
            let ledger = self.ledger.read();
            let leases = ledger.members.values().filter_map(|order| order.lease);
            leases.map(|terms| terms.patience()).min()?
        };
        let at = open.renewals.silent_since()?.plus(patience);
        Some(Instant::now() + at.since(self.host.boottime()))
    }

    async fn take(&self, open: &mut Open, message: In) -> Result<(), SessionError> {
        match message {
            In::Order(order) => self.take_order(open, order).await,
            In::Zone(chunk) => self.take_zone(open, chunk).await,
            In::RenewAck(ack) => {
                let now = self.host.boottime();
                open.renewals.acknowledge(ack.number, ack.running_only, now);
                self.members.renewed(open.renewals.newest());
                Ok(())
            }
            In::LogRequest(request) => {
                open.tails.begin(&*self.host, &self.ledger, request);
                Ok(())
            }
            In::LogCancel(cancel) => {
                open.tails.end(cancel.id);
                Ok(())
            }
            In::VolumeWork(work) => {
                let worker = Worker { ends: self.ends() };
                self.works
                    .begin(worker, (work.try_into()?, open.out.clone()));
                Ok(())
            }
            In::ExecOrder(order) => {
                let runner = Runner {
                    coordinator: self.coordinator.clone(),
                    host: Arc::clone(&self.host),
                    ledger: self.ledger.clone(),
                };
                tokio::spawn(runner.run(order));
                Ok(())
            }
            In::SendOrder(order) => {
                tokio::spawn(self.ends().send(order));
                Ok(())
            }
            In::HostQuestions(questions) => {
                let Questions(required) = questions.try_into()?;
                let (host, out) = (Arc::clone(&self.host), open.out.clone());
                // Beside the session: storage that hangs holds up nothing else.
                tokio::spawn(async move { answer(&*host, &required, &out).await });
                Ok(())
            }
            // A second welcome says nothing new.
            In::Welcome(_) => Ok(()),
        }
    }

    fn ends(&self) -> Ends<H> {
        Ends {
            coordinator: self.coordinator.clone(),
            name: self.record.name.clone(),
            host: Arc::clone(&self.host),
            ledger: self.ledger.clone(),
        }
    }

    /// Makes an order durable and acknowledges it, or says which rule refuses it.
    async fn take_order(&self, open: &mut Open, order: v1::Order) -> Result<(), SessionError> {
        let head = order.head.clone();
        let delta = order.try_into()?;
        let refusal = match self.members.order(&delta).await {
            Ok(_) => String::new(),
            Err(OrderError::Refused(refusal)) => {
                tracing::error!(generation = %delta.head.generation, "order refused: {refusal}");
                open.renewals.refuse(true);
                refusal.to_string()
            }
            Err(OrderError::Ledger(error)) => return Err(error.into()),
        };
        send(&open.out, Out::OrderAck(v1::OrderAck { head, refusal })).await
    }

    /// Serves a zone once it is complete, then acknowledges it.
    async fn take_zone(&self, open: &mut Open, chunk: v1::Zone) -> Result<(), SessionError> {
        let Some((zone, hash)) = open.zone.add(chunk)? else {
            return Ok(());
        };
        let serial = zone.serial.0;
        self.dns.publish(zone, &hash).await?;
        self.members.names_told(Some(&self.dns));
        let hash = hash.0;
        send(&open.out, Out::ZoneAck(v1::ZoneAck { serial, hash })).await
    }

    /// Sends what changed since the last report; everything in the first.
    async fn report(&self, open: &mut Open) -> Result<(), SessionError> {
        open.version.borrow_and_update();
        let (number, after) = open.reported;
        let changes = self.members.changes(after).await;
        let Changes {
            version,
            generation,
            members,
            forgotten,
        } = changes.ok_or(SessionError::Stopping)?;
        let number = number.next();
        open.reported = (number, Some(version));
        let report = AgentReport {
            number,
            complete: after.is_none(),
            members,
            forgotten,
            generation,
        };
        send(&open.out, Out::Report(report.try_into()?)).await
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// When a lease of this length is renewed; for the first time at once.
fn every(lease: Duration) -> Interval {
    let mut renew = interval(renew_every(lease));
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    renew
}

/// Looks for what is asked, and says what it comes to.
async fn answer<H: Host>(host: &H, required: &[Prerequisite], out: &mpsc::Sender<AgentMessage>) {
    let facts = host.look_at(required).await;
    let answers = facts.into_iter().map(|(of, fact)| Answer {
        finding: of.judge(&fact),
        of,
    });
    match v1::HostAnswers::try_from(Answers(answers.collect())) {
        // A session that ended asks again with the next.
        Ok(message) => drop(send(out, Out::HostAnswers(message)).await),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "an answer to the coordinator cannot be written");
        }
    }
}

pub(super) async fn send(
    out: &mpsc::Sender<AgentMessage>,
    message: Out,
) -> Result<(), SessionError> {
    let message = AgentMessage {
        message: Some(message),
    };
    let sent = timeout(READING, out.send(message)).await;
    let sent = sent.map_err(|_| SessionError::Unread)?;
    sent.map_err(|_| SessionError::Closed)
}

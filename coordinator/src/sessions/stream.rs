//! One agent's stream, from its hello to its end.

use std::{pin::pin, time::Duration};

use berth_core::{
    ids::{Generation, HostName, ZoneSerial},
    session::Served,
    state::Ordered,
    time::Timestamp,
};
use berth_proto::{
    convert::{ConvertError, hello::Hello, host::Answers, report::AgentReport},
    v1::{
        AgentMessage, CoordinatorMessage, HostAnswers, OrderAck, Report, Welcome, ZoneAck,
        agent_message, coordinator_message::Message,
    },
};
use tokio::time::{sleep, timeout};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;

use super::{
    Joined, Joining, Machine, Opener,
    hello::{HelloError, accept, check_caller, check_name, take_answer},
    host as record,
    outbox::{Outbound, Outbox, outbox},
    report, work,
};
use crate::{
    context::Context,
    notes::{self, NORMAL, WARNING},
    service::status::{ServiceError, hello_status},
};

/// How long a stream may take to begin with a hello.
const HELLO: Duration = Duration::from_secs(10);

/// Serves one stream of somebody; what comes back goes to the agent.
pub fn run<S>(context: Context, opener: Opener, incoming: S) -> Outbound
where
    S: Stream<Item = Result<AgentMessage, Status>> + Send + Unpin + 'static,
{
    let (send, outgoing) = outbox(context.trigger.clone());
    tokio::spawn(async move {
        let session = Session {
            context,
            opener,
            send,
        };
        session.serve(incoming).await;
    });
    outgoing
}

/// The shortest lease of the members of a host, and since when it is that.
struct Shortest {
    length: Duration,
    since: Timestamp,
}

struct Session {
    context: Context,
    opener: Opener,
    send: Outbox,
}

impl Session {
    async fn serve<S>(self, mut incoming: S)
    where
        S: Stream<Item = Result<AgentMessage, Status>> + Send + Unpin,
    {
        let hello = tokio::select! {
            () = self.context.shutdown.cancelled() => return,
            hello = first(&mut incoming) => hello,
        };
        let hello = match hello {
            Ok(hello) => hello,
            Err(error) => return self.refuse(&error),
        };
        let host = hello.host.name.clone();
        let joined = match self.join(hello).await {
            Ok(joined) => joined,
            Err(error) => return self.refuse(&error),
        };
        let stream = joined.stream;
        self.follow(&host, joined, incoming).await;
        self.leave(&host, stream);
    }

    fn refuse(&self, error: &HelloError) {
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "a stream is refused"
        );
        // The agent may have gone.
        self.send.push(Err(hello_status(error))).ok();
    }

    /// What an agent goes by whose members have no lease of their own.
    fn default_lease_ms(&self) -> u64 {
        let leases = self.context.view.read().state.leases;
        u64::try_from(leases.default.as_millis()).unwrap_or(u64::MAX)
    }

    async fn join(&self, hello: Hello) -> Result<Joined, HelloError> {
        let base = accept(&self.context, &self.opener, &hello).await?;
        check_name(&self.context, &self.context.view.read(), &hello)?;
        let served = served(&self.context);
        let former = served.former.iter().map(|history| history.0.clone());
        let welcome = Message::Welcome(Welcome {
            history: served.history.0.clone(),
            term: served.term.0,
            former: former.collect(),
            lease_ms: self.default_lease_ms(),
        });
        let message = CoordinatorMessage {
            message: Some(welcome),
        };
        // If it cannot be sent, the stream is at its end, and found so below.
        self.send.push(Ok(message)).ok();
        let (host, zone) = (hello.host.name.clone(), hello.zone.clone());
        let machine = Machine::of(&hello);
        let joined = self.context.sessions.join(Joining {
            host: host.clone(),
            machine: machine.clone(),
            version: hello.version.clone(),
            base,
            hello: hello.heard.head.clone(),
            zone: hello.zone.clone(),
            send: self.send.clone(),
        });
        let joined = joined.map_err(|taken| machine.refused(&hello, &taken))?;
        // Another may have removed the host since the hello was judged: its stream was not there to end.
        let view = self.context.view.read();
        if let Err(error) = check_caller(&view, &self.opener.caller, &hello) {
            self.context.sessions.leave(&host, joined.stream);
            return Err(error);
        }
        drop(view);
        if self.context.view.read().state.history != served.history {
            self.context.sessions.leave(&host, joined.stream);
            return Err(HelloError::Overtaken);
        }
        // After joining: what an older stream says from now on does not count any more.
        let now = self.context.clock.now();
        let mut view = self.context.view.write();
        let current = view.state.zone.clone();
        if let Some(contact) = view.contact(&host) {
            contact.join(joined.stream, self.context.sessions.renewed(&host), now);
            if zone == current {
                contact.zone_acked = current.serial;
            }
        }
        Ok(joined)
    }

    /// Reads until the stream ends. Reports count only after the loop has synced the stream: until
    /// then it is not known which order they are to answer.
    async fn follow<S>(&self, host: &HostName, joined: Joined, mut incoming: S)
    where
        S: Stream<Item = Result<AgentMessage, Status>> + Send + Unpin,
    {
        self.context.trigger.fire();
        let mut gone = pin!(self.send.gone());
        tokio::select! {
            () = joined.ended.cancelled() => return,
            () = self.context.shutdown.cancelled() => return,
            () = &mut gone => return,
            synced = joined.synced => if synced.is_err() { return },
        }
        let mut lease = None;
        loop {
            lease = self.shortest_lease(host, lease);
            let patience = lease.as_ref().map(|lease| self.patience(host, lease));
            if patience.is_some_and(|patience| patience.is_zero()) {
                tracing::warn!(%host, "the agent renews no lease; its stream is ended");
                return;
            }
            let message = tokio::select! {
                () = joined.ended.cancelled() => return,
                () = self.context.shutdown.cancelled() => return,
                () = &mut gone => {
                    tracing::warn!(%host, "the agent reads nothing; its stream is ended");
                    return;
                }
                () = sleep(patience.unwrap_or_default()), if patience.is_some() => continue,
                message = incoming.next() => message,
            };
            let Some(Ok(AgentMessage { message })) = message else {
                return;
            };
            let Some(message) = message else { continue };
            if let Err(status) = self.take(host, joined.stream, message).await {
                tracing::warn!(%host, %status, "the stream is ended");
                self.send.push(Err(status)).ok();
                return;
            }
        }
    }

    /// The shortest lease of what a host was ordered, if any has one. `seen` is what it was before: an
    /// agent that has just been given a shorter one has its whole length to renew it.
    fn shortest_lease(&self, host: &HostName, seen: Option<Shortest>) -> Option<Shortest> {
        let view = self.context.view.read();
        let index = view.state.index();
        let leases = index.on_host.of(host).filter_map(|id| {
            let member = view.state.sets.get(&id.set)?.members.get(&id.ordinal)?;
            member.lease.filter(|_| member.ordered != Ordered::Nothing)
        });
        let length = leases.map(|terms| terms.length()).min()?;
        let same = seen.filter(|seen| seen.length == length);
        Some(same.unwrap_or_else(|| Shortest {
            length,
            since: self.context.clock.now(),
        }))
    }

    /// How long a host may renew nothing from now on, whatever else it says: its members stop when
    /// their leases are over, and can be started elsewhere the sooner the stream is given up.
    fn patience(&self, host: &HostName, lease: &Shortest) -> Duration {
        let renewed = self.context.sessions.renewed(host);
        let from = renewed.map_or(lease.since, |renewed| renewed.max(lease.since));
        from.plus(lease.length).since(self.context.clock.now())
    }

    async fn take(
        &self,
        host: &HostName,
        stream: u64,
        message: agent_message::Message,
    ) -> Result<(), Status> {
        match message {
            agent_message::Message::Hello(_) => {
                return Err(Status::invalid_argument(
                    "a stream has one hello; connect anew",
                ));
            }
            agent_message::Message::Renew(renew) => {
                let now = self.context.clock.now();
                let past = self.context.view.read().state.past.clone();
                let sessions = &self.context.sessions;
                sessions.renew((host, stream), (renew.number, now), &past);
            }
            agent_message::Message::OrderAck(ack) => self.order_ack(host, stream, ack)?,
            agent_message::Message::ZoneAck(ack) => self.zone_ack(host, &ack),
            agent_message::Message::Report(report) => {
                self.report(host, stream, report)?;
                let taken = take_answer(&self.context, host).await;
                taken.map_err(ServiceError::from)?;
            }
            agent_message::Message::LogData(data) => {
                self.context.sessions.log_data(host, stream, data);
            }
            agent_message::Message::Pools(pools) => {
                if self.context.sessions.is_newest(host, stream) {
                    let taken = record::pools(&self.context, host, &pools.into()).await;
                    taken.map_err(ServiceError::from)?;
                }
            }
            agent_message::Message::HostAnswers(answers) => {
                self.host_answers(host, stream, answers)?;
            }
            agent_message::Message::VolumeDone(done) => {
                let done = done.try_into();
                let done = done.map_err(|error: ConvertError| invalid(&error))?;
                if self.context.sessions.is_newest(host, stream) {
                    let taken = work::take(&self.context, host, stream, done).await;
                    taken.map_err(ServiceError::from)?;
                }
            }
        }
        Ok(())
    }

    fn order_ack(&self, host: &HostName, stream: u64, ack: OrderAck) -> Result<(), Status> {
        let head = ack.head.unwrap_or_default();
        if ack.refusal.is_empty() {
            let generation = Generation(head.generation);
            self.context
                .sessions
                .update(host, stream, Vec::new(), |link| {
                    link.acked = link.acked.max(generation);
                });
            return Ok(());
        }
        let message = format!("it refused order {}: {}", head.generation, ack.refusal);
        let now = self.context.clock.now();
        let (reason, sessions) = ("OrderRefused", &self.context.sessions);
        // The agent comes back with the same order and refuses the same again.
        if sessions.is_news(host, reason, Generation(head.generation), &ack.refusal) {
            let event = notes::host(now, host, WARNING, reason, message.clone());
            self.context.note(vec![event]);
        }
        Err(Status::failed_precondition(message))
    }

    fn zone_ack(&self, host: &HostName, ack: &ZoneAck) {
        let mut view = self.context.view.write();
        if let Some(contact) = view.contact(host) {
            let serial = ZoneSerial(ack.serial);
            contact.zone_acked = contact.zone_acked.max(serial);
        }
        drop(view);
        self.context.trigger.fire();
    }

    fn host_answers(
        &self,
        host: &HostName,
        stream: u64,
        answers: HostAnswers,
    ) -> Result<(), Status> {
        let answers = Answers::try_from(answers).map_err(|error| invalid(&error))?;
        let now = self.context.clock.now();
        {
            let mut view = self.context.view.write();
            if !self.context.sessions.is_newest(host, stream) {
                return Err(Status::aborted("a newer stream of this host took over"));
            }
            if let Some(contact) = view.contact(host) {
                contact.answered(answers.0, now);
            }
        }
        self.context.trigger.fire();
        Ok(())
    }

    fn report(&self, host: &HostName, stream: u64, report: Report) -> Result<(), Status> {
        let report = AgentReport::try_from(report);
        let report = report.map_err(|error| invalid(&error))?;
        let now = self.context.clock.now();
        let events = {
            let mut view = self.context.view.write();
            if !self.context.sessions.is_newest(host, stream) {
                return Err(Status::aborted("a newer stream of this host took over"));
            }
            let newest = view.sent.get(host).map(|sent| sent.head.generation);
            let Some(contact) = view.contact(host) else {
                return Err(Status::aborted("the host was removed"));
            };
            let was_connected = contact.connected;
            let mut events = report::take(contact, report, newest.unwrap_or_default(), now);
            let (back, members) = (contact.connected && !was_connected, contact.members.len());
            let known = view.state.hosts.get(host);
            let dead = known.is_some_and(|known| known.record.directives.dead.is_some());
            if back && dead {
                let message = format!(
                    "it was confirmed dead and is back, with {members} members, which are stopped; \
                     'berth host uncordon {host}' lets it take members again"
                );
                events.push(notes::host(now, host, WARNING, "DeadHostBack", message));
            } else if back {
                let message = format!("{members} members are there");
                events.push(notes::host(now, host, NORMAL, "HostConnected", message));
            }
            events
        };
        self.context.note(events);
        self.context.trigger.fire();
        Ok(())
    }

    fn leave(&self, host: &HostName, stream: u64) {
        if !self.context.sessions.leave(host, stream) {
            return;
        }
        let now = self.context.clock.now();
        let was_connected = {
            let mut view = self.context.view.write();
            let renewed = self.context.sessions.renewed(host);
            view.contact(host)
                .is_some_and(|contact| contact.leave(renewed, now))
        };
        self.context.trigger.fire();
        // A stream that ends before its first report is no loss: nothing was known by it.
        if !was_connected {
            return;
        }
        let message = "its stream ended; what runs there is not known until it returns";
        let event = notes::host(now, host, WARNING, "HostLost", message.to_owned());
        self.context.note(vec![event]);
    }
}

/// What the coordinator serves now.
fn served(context: &Context) -> Served {
    let view = context.view.read();
    Served {
        history: view.state.history.clone(),
        former: view.state.past.former.clone(),
        term: view.state.term,
    }
}

fn invalid(error: &ConvertError) -> Status {
    Status::invalid_argument(error.to_string())
}

async fn first<S>(incoming: &mut S) -> Result<Hello, HelloError>
where
    S: Stream<Item = Result<AgentMessage, Status>> + Unpin,
{
    let message = timeout(HELLO, incoming.next()).await;
    let Ok(Some(Ok(AgentMessage {
        message: Some(agent_message::Message::Hello(hello)),
    }))) = message
    else {
        return Err(HelloError::None);
    };
    Ok(Hello::try_from(hello)?)
}

//! The agents' streams: who is connected, what each was sent, and how to reach it.
//!
//! The newest stream of a host wins; an older one is ended. A stream is *synced* once the
//! reconcile loop has held what the agent has against what it is to have: only the loop records and
//! sends orders, so that nothing is sent that is not on disk. Nothing here waits for an agent: one
//! that does not read its messages loses its stream and connects again ([`outbox`]).

mod exec;
mod failures;
mod hello;
mod host;
mod lease;
mod logs;
mod outbox;
mod report;
mod stream;
mod transfer;
mod work;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use berth_core::{
    access::Caller,
    ids::{BootId, Generation, HostName, MemberId, ObjectKey},
    lease::Granting,
    map::Map,
    order::{MemberOrder, OrderHead},
    session::Base,
    state::ZoneHead,
    time::Timestamp,
};
use berth_proto::{
    convert::hello::Hello,
    v1::{CoordinatorMessage, coordinator_message::Message},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub use exec::{ExecEnds, ExecError, ExecTicket};
pub use failures::{Failures, Worker};
pub use hello::HelloError;
pub use host::HostError;
pub use lease::Ending;
use logs::LogRoutes;
pub use logs::{LogChunks, LogError};
pub use outbox::Outbound;
use outbox::Outbox;
pub use stream::run;
pub use transfer::{Arriving, Progress, Transfer};

/// Who opened a stream, and from where.
#[derive(Debug, Clone)]
pub struct Opener {
    /// Who.
    pub caller: Caller,
    /// The address that the connection is from; `None` if it is of this machine.
    pub from: Option<IpAddr>,
}

/// A complete order and its head.
#[derive(Debug, Clone, PartialEq)]
pub struct SentOrder {
    /// Its head.
    pub head: OrderHead,
    /// Its members.
    pub members: Arc<BTreeMap<MemberId, MemberOrder>>,
}

/// One agent's stream, as the reconcile loop sees it.
#[derive(Debug, Clone)]
pub struct Link {
    /// Tells streams of one host apart.
    pub stream: u64,
    /// What the agent had when it connected.
    pub base: Base,
    /// The head that it had then.
    pub hello: OrderHead,
    /// What it was last sent on this stream, or had already; `None` until it is synced.
    pub order: Option<SentOrder>,
    /// The newest order that it acknowledged.
    pub acked: Generation,
    /// The zone that it was last sent, or had already.
    pub zone: Option<ZoneHead>,
    /// Whether an order was recorded and held back, because the agent reads slowly.
    pub behind: bool,
    /// The numbers of the works on volumes that it was sent and has not answered, as far as they
    /// are still to be done.
    pub work: BTreeMap<ObjectKey, u64>,
}

/// What is shown of a host's stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// The agent's release.
    pub version: String,
    /// The newest order that it acknowledged.
    pub acked: Generation,
}

/// What tells two agents of one name apart: one machine has one boot at a time, so that a copy of
/// its disk is noticed while both are connected.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Machine {
    machine: String,
    boot: BootId,
}

impl Machine {
    fn of(hello: &Hello) -> Self {
        Self {
            machine: hello.host.machine().to_string(),
            boot: hello.boot.clone(),
        }
    }

    fn refused(&self, hello: &Hello, taken: &Self) -> HelloError {
        HelloError::NameTaken {
            host: hello.host.name.clone(),
            taken: taken.to_string(),
            ours: self.to_string(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "machine {}, boot {}", self.machine, self.boot)
    }
}

#[derive(Debug)]
struct Slot {
    stream: u64,
    machine: Machine,
    version: String,
    send: Outbox,
    synced: Option<oneshot::Sender<()>>,
    ended: CancellationToken,
    logs: LogRoutes,
}

#[derive(Debug, Default)]
struct Registry {
    slots: BTreeMap<HostName, Slot>,
    /// What the reconcile loop sees of each of them: it looks again and again, so a copy costs nothing.
    links: Map<HostName, Link>,
    failures: Failures,
    granting: Granting,
    /// Programs whose agents have not opened their streams yet, by ticket.
    programs: BTreeMap<String, (HostName, oneshot::Sender<ExecEnds>)>,
    /// Hosts that were asked to send data and have not opened their streams yet, by ticket.
    senders: BTreeMap<String, (HostName, oneshot::Sender<Arriving>)>,
    /// How far data is on its way, by the volume that is to hold it, with its member.
    transfers: BTreeMap<ObjectKey, (MemberId, Progress)>,
    /// The last refusal of each kind that was told of a host.
    refusals: BTreeMap<(HostName, &'static str), (Generation, String)>,
}

impl Registry {
    /// A stream that is still its host's newest.
    fn slot(&mut self, host: &HostName, stream: u64) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(host);
        slot.filter(|slot| slot.stream == stream)
    }

    fn take_out(&mut self, host: &HostName) -> Option<Slot> {
        self.links.remove(host);
        self.slots.remove(host)
    }
}

/// All streams; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    registry: Arc<Mutex<Registry>>,
    counter: Arc<AtomicU64>,
}

/// What a session gets when it joins.
struct Joined {
    stream: u64,
    synced: oneshot::Receiver<()>,
    ended: CancellationToken,
}

/// Who joins.
struct Joining {
    host: HostName,
    machine: Machine,
    version: String,
    base: Base,
    hello: OrderHead,
    zone: ZoneHead,
    send: Outbox,
}

impl Sessions {
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Enters a stream; an older one of the same host ends.
    ///
    /// # Errors
    /// The machine that the name is taken by, if another joined since the hello was judged.
    fn join(&self, who: Joining) -> Result<Joined, Machine> {
        let stream = self.counter.fetch_add(1, Ordering::Relaxed);
        let (synced, wait) = oneshot::channel();
        let ended = CancellationToken::new();
        let acked = match who.base {
            Base::Generation(generation) => generation,
            Base::Complete => Generation::default(),
        };
        let link = Link {
            stream,
            base: who.base,
            hello: who.hello,
            order: None,
            acked,
            zone: Some(who.zone),
            behind: false,
            work: BTreeMap::new(),
        };
        let slot = Slot {
            stream,
            machine: who.machine,
            version: who.version,
            send: who.send,
            synced: Some(synced),
            ended: ended.clone(),
            logs: LogRoutes::default(),
        };
        let mut registry = self.registry();
        let taken = registry.slots.get(&who.host).map(|slot| &slot.machine);
        if let Some(taken) = taken.filter(|taken| **taken != slot.machine) {
            return Err(taken.clone());
        }
        registry.links.insert(who.host.clone(), link);
        if let Some(old) = registry.slots.insert(who.host, slot) {
            old.end(Status::aborted("a newer stream of this host took over"));
        }
        Ok(Joined {
            stream,
            synced: wait,
            ended,
        })
    }

    /// Takes a stream out; whether it was still the host's newest.
    fn leave(&self, host: &HostName, stream: u64) -> bool {
        let mut registry = self.registry();
        let ours = registry.slot(host, stream).is_some();
        if ours {
            registry.take_out(host);
        }
        ours
    }

    /// Whether the agent of a host has a stream, also one that it did not report on yet.
    pub fn has_stream(&self, host: &HostName) -> bool {
        self.registry().slots.contains_key(host)
    }

    /// Whether a stream is its host's newest.
    fn is_newest(&self, host: &HostName, stream: u64) -> bool {
        self.registry().slot(host, stream).is_some()
    }

    /// Why a host's name is not to be had: another machine is connected with it.
    fn taken(&self, hello: &Hello) -> Option<HelloError> {
        let ours = Machine::of(hello);
        let registry = self.registry();
        let slot = registry.slots.get(&hello.host.name)?;
        (slot.machine != ours).then(|| ours.refused(hello, &slot.machine))
    }

    /// Whether a refusal is another than the last of its kind that was told of a host.
    fn is_news(
        &self,
        host: &HostName,
        reason: &'static str,
        generation: Generation,
        text: &str,
    ) -> bool {
        let refusal = (generation, text.to_owned());
        let mut registry = self.registry();
        let last = registry
            .refusals
            .insert((host.clone(), reason), refusal.clone());
        last != Some(refusal)
    }

    /// The streams as the reconcile loop sees them.
    pub fn links(&self) -> Map<HostName, Link> {
        self.registry().links.clone()
    }

    /// What is shown of each stream.
    pub fn statuses(&self) -> BTreeMap<HostName, LinkStatus> {
        let registry = self.registry();
        let slots = registry.slots.iter();
        slots
            .map(|(host, slot)| {
                let link = registry.links.get(host);
                let status = LinkStatus {
                    version: slot.version.clone(),
                    acked: link.map(|link| link.acked).unwrap_or_default(),
                };
                (host.clone(), status)
            })
            .collect()
    }

    /// Changes a stream if it is still the host's newest, and sends messages on it. An agent that
    /// does not read them loses its stream.
    pub fn update(
        &self,
        host: &HostName,
        stream: u64,
        messages: Vec<Message>,
        change: impl FnOnce(&mut Link),
    ) {
        let mut registry = self.registry();
        let Registry { slots, links, .. } = &mut *registry;
        let slot = slots.get_mut(host);
        let slot = slot.filter(|slot| slot.stream == stream);
        let Some((slot, link)) = slot.zip(links.get_mut(host)) else {
            return;
        };
        change(link);
        for message in messages {
            let message = CoordinatorMessage {
                message: Some(message),
            };
            if slot.send.push(Ok(message)).is_err() {
                tracing::warn!(%host, "the agent does not read its messages; its stream is ended");
                slot.ended.cancel();
                return;
            }
        }
        if link.order.is_some()
            && let Some(synced) = slot.synced.take()
        {
            // The session may have ended meanwhile.
            synced.send(()).ok();
        }
    }

    /// As [`Self::update`], for what follows from the state; whether there was room. While much waits
    /// for the agent to read it nothing is sent, and the loop is woken when there is room again.
    #[must_use]
    pub fn offer(
        &self,
        host: &HostName,
        stream: u64,
        messages: Vec<Message>,
        change: impl FnOnce(&mut Link),
    ) -> bool {
        let full = {
            let registry = self.registry();
            let slot = registry.slots.get(host);
            slot.is_some_and(|slot| !messages.is_empty() && !slot.send.has_room())
        };
        if !full {
            self.update(host, stream, messages, change);
        }
        !full
    }

    /// The works on volumes that failed.
    pub fn work_failures(&self) -> Failures {
        self.registry().failures.clone()
    }

    /// Forgets the failures of what is not to be done any more.
    pub fn keep_failures(&self, open: &BTreeSet<ObjectKey>) {
        self.registry().failures.keep(open);
    }

    /// Takes in that a work failed which a stream was sent; whether that is news. An answer to what
    /// was not asked for on it, or not any more, says nothing.
    fn work_failed(
        &self,
        (volume, id): (&ObjectKey, u64),
        worker: Worker<'_>,
        now: Timestamp,
        error: &str,
    ) -> bool {
        let (host, stream) = worker;
        let mut registry = self.registry();
        let link = registry.links.get_mut(host);
        let Some(link) = link.filter(|link| link.stream == stream) else {
            return false;
        };
        if link.work.get(volume) != Some(&id) {
            return false;
        }
        link.work.remove(volume);
        registry.failures.add(volume, id, worker, now, error)
    }

    /// Ends the stream of a host that may have none any more.
    pub fn revoke(&self, host: &HostName, why: &str) {
        let slot = self.registry().take_out(host);
        if let Some(slot) = slot {
            slot.end(Status::unauthenticated(why));
        }
    }

    /// Ends every stream, and says why.
    pub fn end_all(&self, why: &str) {
        let mut registry = self.registry();
        registry.links.clear();
        for (_, slot) in std::mem::take(&mut registry.slots) {
            slot.end(Status::unavailable(why));
        }
    }
}

impl Slot {
    fn end(&self, status: Status) {
        // If it cannot be sent, the stream ends without a word.
        self.send.push(Err(status)).ok();
        self.ended.cancel();
    }
}

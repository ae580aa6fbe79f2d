//! The one task that owns the member machines: it passes events in and effects out, and never
//! waits for an effect.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
};

use berth_core::{
    ids::{MemberId, RunId},
    lease::{HostLeases, LeaseEvent},
    ledger::Record,
    member::{Done, Effect, Event, Machine, Standing, Wanted},
    order::MemberOrder,
    rendered::RenderedMember,
    time::Timestamp,
    waiting::Reason,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Duration, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Changes, Command, Seen,
    act::{Acted, Actor, Needs, Prepared},
    board::Board,
    shutdown,
    timers::Timers,
};
use crate::{
    clock::Clock,
    host::{Host, KeeperClient},
    ledger::LedgerError,
};

/// Before the host is asked again what runs are on record, if it could not say.
const LIST_AGAIN: Duration = Duration::from_secs(1);

/// A member and what its effects need.
pub(super) struct Slot {
    pub(super) machine: Machine,
    prepared: Option<Arc<Prepared>>,
    rendered: Option<Arc<RenderedMember>>,
    pub(super) client: Option<KeeperClient>,
    /// What its keeper surely starts processes from; not known of an adopted one.
    told: Option<Arc<RenderedMember>>,
    pub(super) run: Option<RunId>,
    /// The reason that it was last seen to wait for, and since when.
    waiting: (Option<Reason>, Timestamp),
}

pub(super) struct Driver<H> {
    pub(super) actor: Arc<Actor<H>>,
    queue: mpsc::UnboundedReceiver<Command>,
    pub(super) slots: BTreeMap<MemberId, Slot>,
    /// Members with a run on record here. Those that are in no order are removed once there is one:
    /// without any order, a ledger was lost, and nothing is known of them.
    on_record: BTreeSet<MemberId>,
    board: Board,
    timers: Timers,
    pub(super) leases: HostLeases,
    /// Why nothing may be started: the ledger is of another machine.
    barred: Option<Reason>,
    /// Whether the host goes down.
    pub(super) shutting_down: bool,
    pub(super) clock: Clock,
}

impl<H: Host> Driver<H> {
    pub(super) fn new(actor: Arc<Actor<H>>, queue: mpsc::UnboundedReceiver<Command>) -> Self {
        let leases = HostLeases::of_host(actor.host.facts().reboot_takes);
        let barred = actor.ledger.read().barred(&actor.host.facts().machine);
        Self {
            barred,
            shutting_down: shutdown::is_under_way(&actor),
            actor,
            queue,
            slots: BTreeMap::new(),
            on_record: BTreeSet::new(),
            board: Board::new(),
            timers: Timers::default(),
            leases,
            clock: Clock::new(),
        }
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.board.watch()
    }

    /// Runs until the token is cancelled, or the ledger fails.
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> Result<(), LedgerError> {
        self.begin();
        let actor = Arc::clone(&self.actor);
        let ledger = actor.ledger.clone();
        let mut failure = pin!(ledger.failed());
        let result = loop {
            let wake = self.timers.next().map(|at| self.clock.instant(at));
            let lease = self.leases.wake_at();
            tokio::select! {
                command = self.queue.recv() => {
                    let Some(command) = command else { break Ok(()) };
                    self.take(command);
                }
                () = async { sleep_until(wake.unwrap_or_else(tokio::time::Instant::now)).await },
                    if wake.is_some() => {
                    let now = self.clock.now();
                    while let Some(member) = self.timers.pop(now) {
                        self.step(&member, Event::Tick);
                    }
                }
                () = actor.host.wait_until(lease.unwrap_or_default()), if lease.is_some() => {
                    self.lease(LeaseEvent::Tick);
                }
                error = &mut failure => break Err(error),
                () = shutdown.cancelled() => break Ok(()),
            }
        };
        self.actor.stop.cancel();
        self.actor.tasks.close();
        self.actor.tasks.wait().await;
        result
    }

    /// Takes up what the ledger says, and asks the host what else there is.
    fn begin(&mut self) {
        if let Some(reason) = &self.barred {
            tracing::error!("{reason}; nothing is started before a coordinator knows this machine");
        }
        let members: Vec<MemberId> = {
            let ledger = self.actor.ledger.read();
            let all = ledger.members.keys().chain(ledger.leaving.keys());
            all.cloned().collect()
        };
        for member in members {
            self.order(&member);
        }
        self.stop_in_turn();
        let actor = Arc::clone(&self.actor);
        self.actor.spawn(async move {
            loop {
                match actor.host.list_runs().await {
                    Ok(runs) => return actor.send(Command::Runs(runs)),
                    Err(reason) => tracing::warn!("{reason}"),
                }
                sleep(LIST_AGAIN).await;
            }
        });
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Order(changed) => {
                for member in &changed {
                    self.order(member);
                }
                self.remove_strays();
                self.board.touch();
            }
            Command::Held(member) => {
                let held = self.actor.ledger.read().held.contains(&member);
                self.step(&member, Event::Held(held));
            }
            Command::Shutdown => self.shutdown_changed(),
            // Who asked may have given up.
            Command::Turn(reply) => drop(reply.send(())),
            Command::Renewed(newest) => {
                if newest.runs.is_some() {
                    self.claim_machine();
                }
                self.lease(LeaseEvent::Renewed(newest));
            }
            Command::MachineClaimed => self.lift_bar(),
            Command::Event(member, event) => {
                if let Event::KeeperGone { run } = &event {
                    self.lease(LeaseEvent::Ended(member.clone(), run.clone()));
                }
                self.step(&member, event);
            }
            Command::Acted {
                member,
                step,
                result,
            } => self.acted(&member, step, result),
            Command::Refreshed {
                member,
                run,
                revision,
                rendered,
            } => {
                let slot = self.slots.get_mut(&member);
                if let Some(slot) = slot.filter(|slot| slot.run.as_ref() == Some(&run)) {
                    slot.rendered = Some(Arc::clone(&rendered));
                    slot.told = Some(rendered);
                }
                self.step(&member, Event::Refreshed { run, revision });
            }
            Command::Runs(runs) => {
                self.on_record = runs.into_iter().map(|run| run.member).collect();
                self.remove_strays();
            }
            Command::Forgotten(member) => self.forgotten(&member),
            Command::Changes { after, reply } => {
                // A session that ended meanwhile needs no answer, nor does a caller below.
                drop(reply.send(self.changes(after)));
            }
            Command::Look { member, reply } => drop(reply.send(self.look(&member))),
        }
    }

    /// Tells a member's machine what the ledger says of it.
    fn order(&mut self, member: &MemberId) {
        let (standing, held, last_run, terms) = {
            let ledger = self.actor.ledger.read();
            let standing = match ledger.members.get(member) {
                Some(order) => {
                    let passed_gate = ledger.has_passed(member, order.epoch);
                    let wanted = wanted(order, |uid| ledger.filled.contains(uid));
                    Standing::Ordered(Wanted {
                        passed_gate,
                        ..wanted
                    })
                }
                None => Standing::Removed,
            };
            let last_run = ledger.runs.get(member).cloned();
            let order = ledger.members.get(member);
            let terms = order.and_then(|order| Some((order.epoch, order.lease?)));
            (standing, ledger.held.contains(member), last_run, terms)
        };
        if !self.slots.contains_key(member) {
            let boot = self.actor.host.facts().boot;
            let mut machine = Machine::new(member.clone(), boot, last_run, seed());
            // Nothing is done before the first order, so this only sets what is true already.
            machine.step(self.clock.now(), Event::Held(held));
            machine.step(self.clock.now(), Event::Barred(self.bar()));
            self.slots.insert(member.clone(), Slot::new(machine));
        }
        self.lease(LeaseEvent::Ordered(member.clone(), terms));
        self.step(member, Event::Order(standing));
    }

    /// A coordinator acknowledged a renewal: what is ordered is ordered of this machine, and the
    /// ledger is its own from now on.
    fn claim_machine(&self) {
        if self.barred.is_some() {
            let ids = self.actor.host.facts().machine;
            let record = Record::Machine { ids };
            self.actor.note(record, Some(Command::MachineClaimed));
        }
    }

    fn lift_bar(&mut self) {
        if self.barred.take().is_none() {
            return;
        }
        tracing::warn!("the coordinator knows this machine as the host; its members are started");
        let members: Vec<MemberId> = self.slots.keys().cloned().collect();
        for member in members {
            self.step(&member, Event::Barred(self.bar()));
        }
    }

    /// Why nothing may be started.
    pub(super) fn bar(&self) -> Option<Reason> {
        let going = || self.shutting_down.then_some(Reason::HostShuttingDown);
        self.barred.clone().or_else(going)
    }

    fn remove_strays(&mut self) {
        if !self.actor.ledger.read().has_order() {
            return;
        }
        for member in std::mem::take(&mut self.on_record) {
            if !self.slots.contains_key(&member) {
                tracing::warn!(%member, "a run that no order knows of; it is removed");
                self.order(&member);
            }
        }
    }

    fn acted(&mut self, member: &MemberId, step: u64, result: Result<Acted, Reason>) {
        let Some(slot) = self.slots.get_mut(member) else {
            return;
        };
        let mut up = None;
        let result = result.map(|acted| match acted {
            Acted::Done => Done::Done,
            Acted::Prepared(prepared) => {
                slot.prepared = Some(prepared);
                Done::Done
            }
            Acted::Up {
                client,
                rendered,
                done,
                renewed,
            } => {
                let done = *done;
                slot.run = run_of(&done);
                up = Some((slot.run.clone(), renewed));
                let started = matches!(done, Done::Started(_));
                slot.told = rendered.clone().filter(|_| started);
                (slot.client, slot.rendered) = (client, rendered);
                done
            }
        });
        if let Some((run, known)) = up {
            let member = member.clone();
            self.lease(LeaseEvent::Runs { member, run, known });
        }
        // A start and an adoption write down which volumes are filled.
        self.order(member);
        self.step(member, Event::Done { step, result });
    }

    pub(super) fn step(&mut self, member: &MemberId, event: Event) {
        let now = self.clock.now();
        let Some(slot) = self.slots.get_mut(member) else {
            return;
        };
        let effects = slot.machine.step(now, event);
        let wake = slot.machine.wake_at();
        if effects.contains(&Effect::Changed) {
            let waiting = slot.machine.report(now).waiting;
            if slot.waiting.0 != waiting {
                slot.waiting = (waiting, now);
            }
        }
        self.timers.set(member, wake);
        for effect in effects {
            self.effect(member, effect);
        }
    }

    fn effect(&mut self, member: &MemberId, effect: Effect) {
        let Some(slot) = self.slots.get(member) else {
            return;
        };
        let id = member.clone();
        match effect {
            Effect::Act { step, action } => {
                let needs = Needs {
                    prepared: slot.prepared.clone(),
                    client: slot.client.clone(),
                    run: slot.run.clone(),
                    lease: self.leases.run_of(member),
                };
                self.actor.act(id, step, action, needs);
            }
            Effect::Probe(attempt) => {
                let rendered = slot.rendered.as_deref();
                let client = slot.client.clone();
                self.actor.probe(attempt, rendered, client, id);
            }
            Effect::LookAtVolumes { run } => self.actor.look_at_volumes(id, run),
            Effect::RestartProcess {
                process,
                grace,
                restarts,
            } => {
                if let (Some(client), Some(run)) = (slot.client.clone(), slot.run.clone()) {
                    let what = (process, grace, restarts);
                    self.actor.restart_process(id, run, what, client);
                }
            }
            Effect::TellPassed { process, restarts } => {
                if let (Some(client), Some(run)) = (slot.client.clone(), slot.run.clone()) {
                    self.actor.tell_passed(id, run, (process, restarts), client);
                }
            }
            Effect::Refresh => {
                if let (Some(client), Some(run)) = (slot.client.clone(), slot.run.clone()) {
                    let known = slot.told.clone();
                    self.actor.refresh(id, run, known, client);
                }
            }
            Effect::PassedGate { epoch } => {
                let record = Record::PassedGate {
                    member: id.clone(),
                    epoch,
                };
                let recorded = Command::Event(id, Event::GateRecorded { epoch });
                self.actor.note(record, Some(recorded));
            }
            Effect::Forget => {
                let record = Record::Forgotten { member: id.clone() };
                self.actor.note(record, Some(Command::Forgotten(id)));
            }
            Effect::Changed => {
                self.board.change(member);
                self.stop_in_turn();
            }
        }
    }

    /// Drops a member, unless it was ordered again meanwhile.
    fn forgotten(&mut self, member: &MemberId) {
        if self.actor.ledger.read().members.contains_key(member) {
            return;
        }
        tracing::info!(%member, "forgotten");
        self.slots.remove(member);
        self.timers.set(member, None);
        self.lease(LeaseEvent::Forgotten(member.clone()));
        self.board.forget(member);
    }

    fn changes(&mut self, after: Option<u64>) -> Changes {
        let now = self.clock.now();
        let (version, members, forgotten) = self.board.after(after);
        let slots = members.iter().filter_map(|member| self.slots.get(member));
        Changes {
            version,
            generation: self.actor.ledger.read().head.generation,
            members: slots.map(|slot| slot.machine.report(now)).collect(),
            forgotten,
        }
    }

    fn look(&self, member: &MemberId) -> Option<Seen> {
        let slot = self.slots.get(member)?;
        Some(Seen {
            report: slot.machine.report(self.clock.now()),
            held: slot.machine.held(),
            waiting_for: self.clock.now().since(slot.waiting.1),
        })
    }
}

impl Slot {
    fn new(machine: Machine) -> Self {
        Self {
            machine,
            prepared: None,
            rendered: None,
            client: None,
            told: None,
            run: None,
            waiting: (None, Timestamp(0)),
        }
    }
}

fn wanted(order: &MemberOrder, filled: impl Fn(&berth_core::ids::Uid) -> bool) -> Wanted {
    let volumes = order.volumes.iter();
    Wanted {
        epoch: order.epoch,
        desired: order.desired,
        revision: order.revision.clone(),
        founding: order.values.founding,
        lease: order.lease,
        passed_gate: false,
        volumes: volumes
            .map(|v| (v.name.clone(), v.filled || filled(&v.claim_uid)))
            .collect(),
    }
}

fn run_of(done: &Done) -> Option<RunId> {
    match done {
        Done::Started(running) | Done::Adopted(Some(running)) => Some(running.run.clone()),
        Done::Adopted(None) | Done::Done => None,
    }
}

/// Spreads the pauses of members that fail together.
fn seed() -> u64 {
    let bits = uuid::Uuid::now_v7().as_u128();
    u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(1)
}

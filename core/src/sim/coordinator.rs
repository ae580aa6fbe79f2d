//! The coordinator: a store of what was decided, and the loop that plans, checks, commits and sends.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    check::plan_checked,
    decide::{Decider, Decision},
    history::{Heard, forgot},
    ids::{Epoch, Generation, HistoryId, HostName, MemberId, ObjectKey, Term, ZoneSerial},
    lease::Granting,
    map::Map,
    plan::{Report, Step},
    prerequisite,
    promise::Promise,
    report::MemberReport,
    session::{SentOrders, Served, match_hello},
    sim::{
        fence::Fencer,
        leaving::TRASH,
        net::{Happening, StreamId, ToAgent, ToCoordinator},
        storage::Sent,
        world::World,
    },
    state::{Claim, Contact, Observation, State, Turn, lost},
    time::Timestamp,
    waiting::Reason,
    zone,
};

mod orders;

pub(super) use orders::SentOrder;
use orders::Unsynced;

/// More plans in a row than this follow from their own effect.
const PLANS: u32 = 50;

/// The coordinator. What is durable survives [`World::crash_coordinator`].
#[derive(Debug)]
pub(super) struct Coordinator {
    /// Durable, but for the contacts.
    pub(super) state: State,
    /// Whether it runs.
    pub(super) up: bool,
    pub(super) decider: Decider,
    /// What everything waits for, by the last plan.
    pub(super) report: Report,
    /// After so many steps the next commit is cut off and the coordinator crashes.
    pub(super) crash_after: Option<usize>,
    /// The orders that were recorded as sent. Durable.
    pub(super) sent: BTreeMap<HostName, SentOrder>,
    /// The last epoch of every member, of sets that are gone too. Durable.
    pub(super) epochs: BTreeMap<MemberId, Epoch>,
    /// A backup of what is durable.
    pub(super) saved: Option<Box<Saved>>,
    pub(super) streams: BTreeMap<HostName, StreamId>,
    pub(super) fencer: Fencer,
    /// Its end of the leases.
    pub(super) granting: Granting,
    /// The claims that volumes had when those were deleted. Durable.
    pub(super) former: Map<ObjectKey, Claim>,
    /// Who failed last with the work on a volume.
    pub(super) failed: BTreeMap<ObjectKey, HostName>,
    /// The work that was sent.
    pub(super) works: BTreeMap<ObjectKey, Sent>,
    /// What the recorded orders follow from.
    pub(super) ordered: Option<State>,
    /// What a planted bug left unwritten, as it is on disk.
    unsynced: Unsynced,
}

/// What a backup has.
#[derive(Debug, Clone)]
pub(super) struct Saved {
    pub(super) state: State,
    pub(super) sent: BTreeMap<HostName, SentOrder>,
    pub(super) epochs: BTreeMap<MemberId, Epoch>,
    pub(super) former: Map<ObjectKey, Claim>,
}

impl Coordinator {
    pub(super) fn new() -> Self {
        Self {
            state: State {
                history: HistoryId("history".to_owned()),
                term: Term(1),
                zone_name: "berth.internal".to_owned(),
                trash_keep: Some(TRASH),
                ..State::default()
            },
            up: true,
            decider: Decider::default(),
            report: Report::default(),
            crash_after: None,
            sent: BTreeMap::new(),
            epochs: BTreeMap::new(),
            saved: None,
            streams: BTreeMap::new(),
            fencer: Fencer::default(),
            granting: Granting::default(),
            former: Map::new(),
            failed: BTreeMap::new(),
            works: BTreeMap::new(),
            ordered: None,
            unsynced: Unsynced::default(),
        }
    }

    /// Whether a stream is the one that it talks on.
    fn listens(&self, host: &HostName, stream: StreamId) -> bool {
        self.up && self.streams.get(host) == Some(&stream)
    }
}

impl World {
    /// The coordinator is gone with everything that is not durable; it starts again after a while.
    pub fn crash_coordinator(&mut self, back_after: Duration) {
        if !self.coordinator.up {
            return;
        }
        self.say("fault", "the coordinator crashes");
        self.tally.fault("coordinator crash");
        self.coordinator.up = false;
        self.coordinator.crash_after = None;
        self.coordinator.streams.clear();
        self.coordinator.failed.clear();
        self.coordinator.works.clear();
        self.coordinator.fencer.crash();
        self.coordinator.decider = Decider::default();
        self.coordinator.ordered = None;
        self.lose_unsynced();
        let hosts: Vec<HostName> = self.wires.keys().cloned().collect();
        for host in hosts {
            self.break_stream(&host);
        }
        self.schedule(back_after, Happening::CoordinatorStarts);
    }

    pub(super) fn start_coordinator(&mut self) {
        if self.coordinator.up {
            return;
        }
        let now = self.now;
        self.coordinator.up = true;
        self.coordinator.state.term = self.coordinator.state.term.next();
        self.coordinator.state.term_began = now;
        self.coordinator.granting = Granting::default();
        for host in self.coordinator.state.hosts.values_mut() {
            host.contact = Contact {
                since: now,
                ..Contact::default()
            };
        }
        let term = self.coordinator.state.term;
        self.say("coord", &format!("starts in term {term}"));
        self.truth_of_store();
        self.reconcile();
    }

    pub(super) fn contact_lost(&mut self, host: &HostName, stream: StreamId) {
        if !self.coordinator.listens(host, stream) {
            return;
        }
        self.coordinator.streams.remove(host);
        let now = self.now;
        let renewed = self.coordinator.granting.renewed(host);
        if let Some(host) = self.coordinator.state.hosts.get_mut(host) {
            host.contact.leave(renewed, now);
        }
        self.say("coord", &format!("loses contact with {host}"));
        self.reconcile();
    }

    pub(super) fn coordinator_hears(
        &mut self,
        host: &HostName,
        stream: StreamId,
        message: ToCoordinator,
    ) {
        if let ToCoordinator::Hello { heard, zone } = &message {
            self.welcome(host, stream, heard, *zone);
            return;
        }
        if !self.coordinator.listens(host, stream) {
            return;
        }
        if let ToCoordinator::Renew { number } = message {
            self.take_renewal(host, stream, number);
            return;
        }
        match message {
            ToCoordinator::Hello { .. }
            | ToCoordinator::Renew { .. }
            | ToCoordinator::OrderAck { refused: false } => {}
            ToCoordinator::OrderAck { refused: true } => self.send_complete(host),
            ToCoordinator::ZoneAck(serial) => {
                if let Some(host) = self.coordinator.state.hosts.get_mut(host) {
                    host.contact.zone_acked = host.contact.zone_acked.max(serial);
                }
            }
            ToCoordinator::Report {
                complete,
                members,
                forgotten,
                generation,
            } => {
                self.take_report(host, complete, members, &forgotten, generation);
                self.take_answer(host);
            }
            ToCoordinator::Answers(answers) => {
                let now = self.now;
                if let Some(host) = self.coordinator.state.hosts.get_mut(host) {
                    host.contact.answered(answers, now);
                }
            }
        }
        self.reconcile();
    }

    fn welcome(&mut self, host: &HostName, stream: StreamId, heard: &Heard, zone: ZoneSerial) {
        if !self.coordinator.up {
            self.break_stream(host);
            return;
        }
        let sent = self.coordinator.sent.get(host).cloned().unwrap_or_default();
        let recorded = SentOrders {
            history: self.coordinator.state.history.clone(),
            former: self.coordinator.state.past.former.clone(),
            began: self.coordinator.state.past.began,
            term: self.coordinator.state.term,
            orders: sent.hashes,
            epochs: self.coordinator.epochs.clone(),
        };
        if let Err(mismatch) = match_hello(&recorded, &heard.head, &heard.highest_epochs) {
            self.mismatched(host, heard, &mismatch);
            return;
        }
        if let Some(after) = lost::returned(&self.coordinator.state, host) {
            self.coordinator.state = after;
        }
        if let Some(after) = forgot(&self.coordinator.state, host, &heard.head) {
            self.say("coord", &format!("{host} forgot what its founders did"));
            self.coordinator.state = after;
        }
        self.hear(host, heard);
        let sent = self.coordinator.sent.get(host).cloned().unwrap_or_default();
        self.coordinator.streams.insert(host.clone(), stream);
        let renewed = self.coordinator.granting.renewed(host);
        let now = self.now;
        if let Some(host) = self.coordinator.state.hosts.get_mut(host) {
            host.contact.join(stream, renewed, now);
            host.contact.zone_acked = zone;
        }
        let state = &self.coordinator.state;
        let served = Served {
            history: state.history.clone(),
            former: state.past.former.clone(),
            term: state.term,
        };
        self.send_down(host, stream, ToAgent::Welcome(served));
        self.send_zone(host, stream);
        let has = (&heard.head.generation, &heard.head.hash);
        if has != (&sent.head.generation, &sent.head.hash) {
            self.send_complete(host);
        }
    }

    fn send_zone(&mut self, host: &HostName, stream: StreamId) {
        let zone = zone::build(&self.coordinator.state);
        self.send_down(host, stream, ToAgent::Zone(Box::new(zone)));
    }

    fn take_report(
        &mut self,
        host: &HostName,
        complete: bool,
        members: Vec<MemberReport>,
        forgotten: &[MemberId],
        generation: Generation,
    ) {
        let newest = self.coordinator.sent.get(host).map(|sent| &sent.head);
        let newest = newest.map(|head| head.generation).unwrap_or_default();
        let now = self.now;
        let Some(known) = self.coordinator.state.hosts.get_mut(host) else {
            return;
        };
        let contact = &mut known.contact;
        let mut old = Map::new();
        if complete {
            old = std::mem::take(&mut contact.members);
            if !contact.connected {
                contact.connected = true;
                contact.since = now;
            }
        }
        for report in members {
            let id = report.member.clone();
            let before = contact.members.remove(&id).or_else(|| old.remove(&id));
            contact.members.insert(id, observe(before, report, now));
        }
        for id in forgotten {
            contact.members.remove(id);
        }
        contact.settled = contact.connected && generation == newest;
    }

    /// Plans, checks, commits and sends until there is nothing to do.
    pub(super) fn reconcile(&mut self) {
        for _ in 0..PLANS {
            if !self.coordinator.up {
                return;
            }
            let coordinator = &mut self.coordinator;
            let decision = coordinator.decider.decide(&coordinator.state, self.now);
            if let Some(breach) = decision.breaches.first() {
                let promise = breach.rule.promise();
                let promise = promise.map_or("checker", Promise::number);
                self.truth
                    .breaks(promise, format!("the checker refuses {breach}"));
            }
            let Decision {
                plan,
                report,
                look_at,
                ..
            } = decision;
            let idle = plan.steps.is_empty();
            let crash = self.coordinator.crash_after.filter(|_| !idle);
            let end = crash.unwrap_or(plan.steps.len()).min(plan.steps.len());
            for step in plan.steps.iter().take(end) {
                self.commit(step);
            }
            if crash.is_some() {
                self.record_orders(false);
                let back = self.delay(1000, 100, 5000);
                self.crash_coordinator(back);
                return;
            }
            self.tally.reasons(report.waiting.values());
            // Names first, on every stream.
            self.publish();
            let recorded = self.record_orders(true);
            let wake_at = report.wake_at;
            // A host that has orders to answer is another one to who plans.
            if idle && !recorded {
                let (scope, report) = self.coordinator.decider.tell();
                self.coordinator.report.absorb(&scope, report);
                self.send_works();
                if self.wakes_checked == 100 || self.rng.chance(self.wakes_checked) {
                    self.nothing_is_left();
                }
                let ask_at = self.ask();
                let fence_at = self.fence();
                if let Some(at) = [wake_at, look_at, ask_at, fence_at]
                    .into_iter()
                    .flatten()
                    .min()
                {
                    self.schedule_at(at, Happening::CoordinatorWakes);
                }
                return;
            }
        }
        let detail = format!("{PLANS} plans in a row had steps");
        self.truth.breaks("rest", detail);
    }

    /// What was not reached by a change has nothing to do: whoever plans everything finds no step,
    /// and the same reasons.
    fn nothing_is_left(&mut self) {
        let (plan, report, _) = plan_checked(&self.coordinator.state, self.now);
        if let Some(step) = plan.steps.first() {
            self.truth
                .breaks("wake-up", format!("nobody was woken for: {step}"));
        }
        if report != self.coordinator.report {
            let detail = format!(
                "what is said of a set is not what would be found now: {:#?}, not {report:#?}",
                self.coordinator.report
            );
            self.truth.breaks("wake-up", detail);
        }
    }

    /// Asks hosts what the plan wants to know; when the next question is due.
    fn ask(&mut self) -> Option<Timestamp> {
        let now = self.now;
        let coordinator = &self.coordinator;
        let (due, wake) = prerequisite::questions(&coordinator.state, &coordinator.report, now);
        for (name, required) in due {
            let stream = self.coordinator.streams.get(&name).copied();
            let host = self.coordinator.state.hosts.get_mut(&name);
            if let (Some(stream), Some(host)) = (stream, host) {
                for one in &required {
                    host.contact.ask(one.clone(), now);
                }
                self.send_down(&name, stream, ToAgent::Questions(required));
            }
        }
        wake
    }

    fn commit(&mut self, step: &Step) {
        if let Step::Assign { member, epoch, .. } = step {
            self.coordinator.epochs.insert(member.clone(), *epoch);
        }
        let now = self.now;
        self.tally.step(step);
        self.truth.decided(&self.coordinator.state, step);
        if let Step::CompleteMove { member, .. } = step {
            let state = &self.coordinator.state;
            self.truth.moved(state, &self.storage, member);
        }
        self.coordinator.state.apply(step, now);
        if is_news(step) {
            self.say("coord", &step.to_string());
        }
    }

    /// Sends the zone to every host that listens and did not get this one.
    fn publish(&mut self) {
        let serial = self.coordinator.state.zone.serial;
        if self.truth.published == serial {
            return;
        }
        self.truth.published = serial;
        for (host, stream) in self.coordinator.streams.clone() {
            self.send_zone(&host, stream);
        }
    }

    /// Whether nobody waits for anything.
    pub(super) fn at_rest(&self) -> bool {
        let coordinator = &self.coordinator;
        let hosts = coordinator.state.hosts.values();
        let in_contact = hosts.filter(|host| host.contact.connected && host.contact.settled);
        coordinator.up
            && self.works_are_done()
            && coordinator.report.waiting.values().all(Reason::is_wanted)
            && in_contact.count() == coordinator.state.hosts.len()
            && coordinator.state.sets.values().all(|set| {
                let wanted: Vec<_> = set.declared().collect();
                set.deleting.is_none()
                    && set.orphaned.is_none()
                    && set.members.keys().copied().eq(wanted)
            })
    }
}

/// Whether a step is worth a line of its own; the others follow from one that is.
fn is_news(step: &Step) -> bool {
    !matches!(
        step,
        Step::FillClaim { .. }
            | Step::DropRevision { .. }
            | Step::Rollout {
                turn: Turn::Begins { .. } | Turn::Goes { .. } | Turn::Betters { .. } | Turn::Rests,
                ..
            }
    )
}

fn observe(before: Option<Observation>, report: MemberReport, now: Timestamp) -> Observation {
    let before = before.filter(|seen| seen.report.epoch == report.epoch);
    let rule = |report: &MemberReport| report.waiting.as_ref().map(Reason::rule);
    let since = |seen: &Observation| seen.report.run == report.run;
    let kept = before.as_ref().filter(|seen| since(seen));
    let began = Timestamp(now.0.saturating_sub(report.ready_for_ms));
    let same_reason = before
        .as_ref()
        .filter(|seen| rule(&seen.report) == rule(&report));
    Observation {
        ready_since: report
            .ready
            .then(|| kept.and_then(|seen| seen.ready_since).unwrap_or(began)),
        waiting_since: same_reason.map_or(now, |seen| seen.waiting_since),
        report,
    }
}

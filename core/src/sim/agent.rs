//! The agent: its stream, its ledger, and what its member machines ask for.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    bug::{self, Bug},
    ids::{HostName, MemberId, RunId},
    lease::{LeaseEvent, Renewals},
    ledger::{Acceptance, Record},
    member::{Action, Effect, Event, Machine, Standing},
    order::OrderDelta,
    prerequisite::Answer,
    session::check_welcome,
    sim::{
        host::{Agent, AgentWork},
        net::{Happening, StreamId, ToAgent, ToCoordinator},
        world::World,
    },
};

/// How long an agent waits before it opens its next stream.
const RETRY: u64 = 500;
/// How long a host is cut off whose founder dies as it passes its gate.
const AMBUSH: Duration = Duration::from_secs(5);

impl World {
    pub(super) fn connect(&mut self, name: &HostName) {
        let possible = self.coordinator.up;
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let linked = host.linked && host.up;
        let Some(agent) = host.agent.as_mut().filter(|agent| agent.stream.is_none()) else {
            return;
        };
        if !possible || !linked {
            let again = self.delay(RETRY, 50, 1500);
            self.schedule(again, Happening::Connect(name.clone()));
            return;
        }
        self.streams += 1;
        let stream = self.streams;
        agent.stream = Some(stream);
        agent.welcome = false;
        agent.names_told = false;
        agent.renewals = Renewals::default();
        let hello = ToCoordinator::Hello {
            heard: Box::new(host.ledger.heard(host.zone.serial)),
            zone: host.zone.serial,
        };
        self.wires.insert(name.clone(), stream);
        self.last_arrival.remove(&(name.clone(), true));
        self.last_arrival.remove(&(name.clone(), false));
        self.send_up(name, stream, hello);
    }

    pub(super) fn stream_lost(&mut self, name: &HostName, stream: StreamId) {
        let host = self.hosts.get_mut(name);
        let agent = host.and_then(|host| host.agent.as_mut());
        if let Some(agent) = agent.filter(|agent| agent.stream == Some(stream)) {
            agent.stream = None;
            agent.welcome = false;
            agent.names_told = false;
            if bug::on(Bug::StreamLossStops) {
                let members: Vec<_> = agent.machines.keys().cloned().collect();
                for id in members {
                    self.tell(name, &id, Event::Order(Standing::Removed));
                }
            }
            let again = self.delay(RETRY, 50, 1500);
            self.schedule(again, Happening::Connect(name.clone()));
        }
    }

    pub(super) fn agent_hears(&mut self, name: &HostName, stream: StreamId, message: ToAgent) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let Some(agent) = host.agent.as_mut().filter(|a| a.stream == Some(stream)) else {
            return;
        };
        match message {
            ToAgent::Welcome(served) => {
                match check_welcome(&host.ledger.head, &served) {
                    Ok(None) => {}
                    Ok(Some(record)) => host.ledger.apply(&record),
                    Err(refusal) => {
                        let detail = format!("{name} refuses the coordinator: {refusal}");
                        self.truth.breaks("I6", detail);
                        return;
                    }
                }
                agent.welcome = true;
                // Who cut it off from its storage lets it in again.
                host.fenced_off = false;
                self.report_all(name);
                self.begin_renewing(name);
            }
            ToAgent::Zone(zone) => {
                let serial = zone.serial.max(host.zone.serial);
                let unserved = bug::on(Bug::ZoneAckedUnserved) && host.zone.serial.0 > 0;
                agent.names_told = true;
                if zone.serial >= host.zone.serial && !unserved {
                    host.zone = *zone;
                }
                let ack = ToCoordinator::ZoneAck(serial);
                self.send_up(name, stream, ack);
            }
            ToAgent::RenewAck {
                number,
                running_only,
            } => self.acknowledged(name, number, running_only),
            ToAgent::Order(delta) => self.accept(name, stream, &delta),
            ToAgent::Questions(required) => {
                let answers = required.into_iter().map(|of| Answer {
                    finding: host.find(&of),
                    of,
                });
                let answers = ToCoordinator::Answers(answers.collect());
                self.send_up(name, stream, answers);
            }
        }
    }

    fn accept(&mut self, name: &HostName, stream: StreamId, delta: &OrderDelta) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let changed = match host.ledger.accept(delta) {
            Err(_) => {
                if let Some(agent) = host.agent.as_mut() {
                    agent.renewals.refuse(true);
                }
                let refused = ToCoordinator::OrderAck { refused: true };
                self.send_up(name, stream, refused);
                return;
            }
            Ok(Acceptance::Known) => BTreeSet::new(),
            Ok(Acceptance::New { record, changed }) => {
                if let Some(written) = host.sync_fails.take() {
                    if written {
                        host.ledger.apply(&record);
                    }
                    self.tally.fault("ledger sync fails");
                    let back = self.delay(1000, 100, 8000);
                    self.crash_agent(name, back);
                    return;
                }
                if bug::on(Bug::LedgerAfterAck) || bug::on(Bug::OrderSkippedOnReplay) {
                    host.unwritten = Some(host.ledger.clone());
                }
                let before = host.ledger.members.clone();
                host.ledger.apply(&record);
                host.keep_moved(before);
                changed
            }
        };
        self.truth.acknowledges(name, &host.ledger.head);
        for (id, order) in &host.ledger.members {
            if changed.contains(id) {
                self.truth.takes(name, id, order.epoch);
                self.truth.took(name, id, self.now);
            }
        }
        let boot = host.boot(name);
        for id in &changed {
            let last = host.ledger.runs.get(id).cloned();
            let Some(agent) = host.agent.as_mut() else {
                return;
            };
            let machine = || Machine::new(id.clone(), boot.clone(), last, 7);
            agent.machines.entry(id.clone()).or_insert_with(machine);
        }
        self.send_up(name, stream, ToCoordinator::OrderAck { refused: false });
        // A report about an order is about all of it: what it does not mention counts as absent.
        self.holds_reports(name, true);
        for id in changed {
            self.tell_standing(name, &id);
        }
        self.holds_reports(name, false);
        self.report_all(name);
        let host = self.hosts.get_mut(name);
        if let Some(agent) = host.and_then(|host| host.agent.as_mut()) {
            agent.renewals.refuse(false);
        }
        self.begin_renewing(name);
    }

    fn holds_reports(&mut self, name: &HostName, holds: bool) {
        let host = self.hosts.get_mut(name);
        if let Some(agent) = host.and_then(|host| host.agent.as_mut()) {
            agent.holds_reports = holds;
        }
    }

    /// A report of everything that the host has, about the order that it has.
    fn report_all(&mut self, name: &HostName) {
        let now = self.now;
        let Some(host) = self.hosts.get(name) else {
            return;
        };
        let Some(agent) = host.agent.as_ref().filter(|agent| agent.welcome) else {
            return;
        };
        let Some(stream) = agent.stream else { return };
        let report = ToCoordinator::Report {
            complete: true,
            members: agent.machines.values().map(|m| m.report(now)).collect(),
            forgotten: Vec::new(),
            generation: host.ledger.head.generation,
        };
        self.send_up(name, stream, report);
    }

    fn report_one(&mut self, name: &HostName, id: &MemberId) {
        let now = self.now;
        let Some(host) = self.hosts.get(name) else {
            return;
        };
        let free = |agent: &&Agent| agent.welcome && !agent.holds_reports;
        let Some(agent) = host.agent.as_ref().filter(free) else {
            return;
        };
        let Some(stream) = agent.stream else { return };
        let machine = agent.machines.get(id);
        let forgotten = machine.is_none().then(|| id.clone());
        let report = ToCoordinator::Report {
            complete: false,
            members: machine.map(|m| m.report(now)).into_iter().collect(),
            forgotten: forgotten.into_iter().collect(),
            generation: host.ledger.head.generation,
        };
        self.send_up(name, stream, report);
    }

    pub(super) fn tell_standing(&mut self, name: &HostName, id: &MemberId) {
        let Some(host) = self.hosts.get(name) else {
            return;
        };
        let standing = host.standing(id);
        self.lease_ordered(name, id);
        self.tell(name, id, Event::Order(standing));
    }

    /// Feeds a machine one event and begins what it asks for.
    pub(super) fn tell(&mut self, name: &HostName, id: &MemberId, event: Event) {
        if let Event::KeeperGone { run } = &event {
            self.lease(name, LeaseEvent::Ended(id.clone(), run.clone()));
        }
        let now = self.now;
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let Some(agent) = host.agent.as_mut() else {
            return;
        };
        let life = agent.life;
        let Some(machine) = agent.machines.get_mut(id) else {
            return;
        };
        let effects = machine.step(now, event);
        let wake = machine.wake_at();
        for effect in effects {
            self.carry_out(name, life, id, effect);
        }
        if let Some(at) = wake {
            let work = AgentWork::Wake(id.clone());
            let host = name.clone();
            self.schedule_at(at, Happening::Agent { host, life, work });
        }
    }

    fn carry_out(&mut self, name: &HostName, life: u64, id: &MemberId, effect: Effect) {
        match effect {
            Effect::Act { step, action } => {
                if let Action::Start(run) = &action {
                    self.capture_lease(name, id);
                    self.write_start(name, id, run);
                }
                self.truth_of_action(name, id, &action);
                let work = AgentWork::Action {
                    member: id.clone(),
                    step,
                    action,
                };
                let takes = self.delay(1, 0, 60);
                let host = name.clone();
                self.schedule(takes, Happening::Agent { host, life, work });
            }
            Effect::Probe(attempt) => {
                let member = id.clone();
                let work = AgentWork::Probe { member, attempt };
                let takes = self.delay(1, 0, 20);
                let host = name.clone();
                self.schedule(takes, Happening::Agent { host, life, work });
            }
            // The simulated template has no liveness probe, and the simulated keeper starts no
            // process by itself.
            // The simulated run has no volumes to look at.
            Effect::RestartProcess { .. }
            | Effect::TellPassed { .. }
            | Effect::LookAtVolumes { .. } => {}
            Effect::Refresh => self.refresh(name, id),
            Effect::PassedGate { epoch } => {
                let member = id.clone();
                self.truth.served(id);
                self.write(name, &Record::PassedGate { member, epoch });
                if std::mem::take(&mut self.ambush) {
                    self.cut_link(name, AMBUSH);
                    self.kill_keeper(id);
                }
                self.tell(name, id, Event::GateRecorded { epoch });
            }
            Effect::Forget => {
                let member = id.clone();
                self.write(name, &Record::Forgotten { member });
                let host = self.hosts.get_mut(name);
                if let Some(agent) = host.and_then(|host| host.agent.as_mut()) {
                    agent.machines.remove(id);
                }
                self.lease(name, LeaseEvent::Forgotten(id.clone()));
                self.report_one(name, id);
            }
            Effect::Changed => {
                self.notice_readiness(name, id);
                self.report_one(name, id);
            }
        }
    }

    /// The keeper gets what the member's order says by now.
    fn refresh(&mut self, name: &HostName, id: &MemberId) {
        let Some(host) = self.hosts.get(name) else {
            return;
        };
        let (order, keeper) = (host.ledger.effective(id), host.keepers.get(id));
        let (Some(order), Some(keeper)) = (order, keeper) else {
            return;
        };
        if order.epoch != keeper.run.epoch {
            return;
        }
        let (run, revision) = (keeper.run.clone(), order.revision.clone());
        self.truth_of_config(id, &order);
        self.tell(name, id, Event::Refreshed { run, revision });
    }

    fn notice_readiness(&mut self, name: &HostName, id: &MemberId) {
        let now = self.now;
        let agent = self.hosts.get(name).and_then(|host| host.agent.as_ref());
        let machine = agent.and_then(|agent| agent.machines.get(id));
        let ready = machine.is_some_and(|machine| machine.report(now).ready);
        if !ready {
            self.truth.serving.remove(id);
        } else if self.truth.serving.insert(id.clone()) {
            self.truth.ready.insert(id.clone());
            self.say(name.as_str(), &format!("{id} is ready"));
        }
    }

    fn write(&mut self, name: &HostName, record: &Record) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.ledger.apply(record);
            if let Some(unwritten) = &mut host.unwritten
                && bug::on(Bug::OrderSkippedOnReplay)
            {
                unwritten.apply(record);
            }
        }
    }

    /// What the ledger has before a start, and the machine then knows.
    fn write_start(&mut self, name: &HostName, id: &MemberId, run: &RunId) {
        let order = self
            .hosts
            .get(name)
            .and_then(|host| host.ledger.effective(id));
        let volumes = order.map(|order| order.volumes).unwrap_or_default();
        let (member, run) = (id.clone(), run.clone());
        self.write(name, &Record::Run { member, run });
        for volume in &volumes {
            self.truth.starts_on(volume);
            self.storage.write(volume);
        }
        let claims = volumes.into_iter().map(|volume| volume.claim_uid).collect();
        self.write(name, &Record::Filled { claims });
        self.tell_standing(name, id);
    }
}

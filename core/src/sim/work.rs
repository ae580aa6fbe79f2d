//! What the agent works on: volumes, keepers, processes, probes.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    bug::{self, Bug},
    ids::{Epoch, HostName, MemberId, ProcessName, RunId},
    keeper::Deadline,
    lease::LeaseEvent,
    member::{Action, Done, Event, ProcessChange, ProcessState, Running},
    probe::{Outcome, ProbeSpecs},
    sim::{
        host::{AgentWork, Jam, Keeper},
        net::Happening,
        world::World,
    },
    spec::Probe,
    waiting::Reason,
};

/// How long a started application takes until it could serve, in a smooth world.
const READY_AFTER: u64 = 50;
/// How long a process takes to stop.
const STOP_AFTER: u64 = 30;

fn main_process() -> Option<ProcessName> {
    "main".parse().ok()
}

impl World {
    pub(super) fn agent_works(&mut self, name: &HostName, life: u64, work: AgentWork) {
        let agent = self.hosts.get(name).and_then(|host| host.agent.as_ref());
        let same = agent.is_some_and(|agent| agent.life == life);
        match work {
            AgentWork::Action {
                member,
                step,
                action,
            } => {
                if same {
                    let result = self.act(name, &member, &action);
                    if matches!(result, Ok(Done::Adopted(_) | Done::Started(_))) {
                        self.lease_begins(name, &member, action == Action::Adopt);
                    }
                    self.tell(name, &member, Event::Done { step, result });
                } else if self.rough && self.rng.chance(50) {
                    // The agent died in the middle: the keeper may live all the same.
                    if let Action::Start(run) = &action {
                        self.orphan(name, &member, run);
                    }
                }
            }
            AgentWork::Probe { member, attempt } if same => {
                let outcome = self.probe(name, &member);
                self.tell(name, &member, Event::Probed { attempt, outcome });
            }
            AgentWork::Wake(member) if same => self.tell(name, &member, Event::Tick),
            AgentWork::Renew(stream) if same => self.renew(name, life, stream),
            AgentWork::Leases if same => self.lease(name, LeaseEvent::Tick),
            AgentWork::Hears(member, event) if same => self.tell(name, &member, *event),
            AgentWork::Probe { .. }
            | AgentWork::Wake(_)
            | AgentWork::Renew(_)
            | AgentWork::Leases
            | AgentWork::Hears(..) => {}
        }
    }

    fn act(&mut self, name: &HostName, id: &MemberId, action: &Action) -> Result<Done, Reason> {
        if self.fails(3) {
            self.tally.fault("step fails");
            return Err(Reason::StepFailed {
                step: format!("{action:?}"),
                error: "by chance".to_owned(),
            });
        }
        match action {
            Action::Adopt => {
                let running = self.adopt(name, id);
                Ok(Done::Adopted(running))
            }
            Action::Cleanup => {
                let host = self.hosts.get(name);
                let lives = host.is_some_and(|host| host.keepers.contains_key(id));
                if lives {
                    return Err(Reason::StepFailed {
                        step: "clean up".to_owned(),
                        error: "a keeper lives".to_owned(),
                    });
                }
                self.written_back(name, id);
                Ok(Done::Done)
            }
            Action::Prepare(epoch) => self.prepare(name, id, *epoch).map(|()| Done::Done),
            Action::CheckPorts => Ok(Done::Done),
            Action::Start(run) => {
                self.check_name(name, id)?;
                self.spawn(name, id, run);
                let running = self.adopt(name, id);
                Ok(running.map_or(Done::Done, Done::Started))
            }
            Action::Stop | Action::Kill => {
                self.ask_to_stop(name, id);
                Ok(Done::Done)
            }
        }
    }

    fn prepare(&mut self, name: &HostName, id: &MemberId, epoch: Epoch) -> Result<(), Reason> {
        let Some(host) = self.hosts.get(name) else {
            return Ok(());
        };
        let order = host.ledger.effective(id);
        let order = order.filter(|order| order.epoch == epoch);
        let order = order.ok_or_else(|| Reason::StepFailed {
            step: "prepare".to_owned(),
            error: format!("epoch {epoch} is not ordered any more"),
        })?;
        let required = order.template.requires.each();
        let unmet: Vec<_> = required
            .filter_map(|one| host.find(&one).unmet(one))
            .collect();
        if !unmet.is_empty() {
            let host = name.clone();
            return Err(Reason::RequirementUnmet { host, unmet });
        }
        for volume in order.volumes {
            self.storage.stayed(&volume)?;
            self.truth.uses(name, &volume);
            self.storage.guard(&volume)?;
        }
        Ok(())
    }

    /// In contact an agent starts nothing that it does not answer for.
    fn check_name(&self, name: &HostName, id: &MemberId) -> Result<(), Reason> {
        let Some(host) = self.hosts.get(name) else {
            return Ok(());
        };
        let told = host.agent.as_ref().is_some_and(|agent| agent.names_told);
        let Some(order) = host.ledger.effective(id).filter(|_| told) else {
            return Ok(());
        };
        // Who goes on serving the zone before believes to serve the newest.
        if host.serves(&order.values) || bug::on(Bug::ZoneAckedUnserved) {
            return Ok(());
        }
        let hosts = vec![name.clone()];
        Err(Reason::ZoneNotAcknowledged { hosts })
    }

    /// A start whose agent did not live to see it.
    fn orphan(&mut self, name: &HostName, id: &MemberId, run: &RunId) {
        let host = self.hosts.get(name);
        let free = host.is_some_and(|host| {
            host.up && host.boot(name) == run.boot && !host.keepers.contains_key(id)
        });
        // The next agent looks before it acts; once it has looked, nothing of the old one comes.
        let looked = host.is_some_and(|host| host.agent.is_some());
        if free && !looked {
            self.spawn(name, id, run);
        }
    }

    fn spawn(&mut self, name: &HostName, id: &MemberId, run: &RunId) {
        let ready_at = self.now.plus(self.delay(READY_AFTER, 1, 2000));
        let Ok(deadline) = self.begin_lease(name, id, run) else {
            return;
        };
        let keeper = Keeper {
            run: run.clone(),
            alive: true,
            restarts: 0,
            stopping: false,
            ready_at,
            deadline,
            jam: Jam::Free,
        };
        self.begin_writing(name, id, run.epoch);
        self.say(name.as_str(), &format!("{id} runs, epoch {}", run.epoch));
        self.truth_of_start(name, id, run);
        if let Some(host) = self.hosts.get_mut(name)
            && let Some(before) = host.keepers.insert(id.clone(), keeper)
        {
            let detail = format!("{id} is started beside its epoch {}", before.run.epoch);
            self.truth.breaks("I2", detail);
        }
    }

    fn adopt(&self, name: &HostName, id: &MemberId) -> Option<Running> {
        let keeper = self.hosts.get(name)?.keepers.get(id)?;
        let process = main_process()?;
        let readiness = Probe {
            period_seconds: 1,
            failure_threshold: 1,
            ..Probe::default()
        };
        let specs = ProbeSpecs {
            readiness: Some(readiness),
            ..ProbeSpecs::default()
        };
        Some(Running {
            run: keeper.run.clone(),
            init_done: true,
            stopping: keeper.stopping,
            lease: keeper.deadline.as_ref().map(Deadline::terms),
            processes: vec![ProcessState {
                pid: keeper.alive.then_some(1),
                restarts: keeper.restarts,
                last_exit: (!keeper.alive).then(|| "exited with 1".to_owned()),
                ..ProcessState::new(process.clone(), false)
            }],
            volumes: Vec::new(),
            probes: [(process, specs)].into(),
            grace: Duration::from_secs(30),
            sidecars: BTreeSet::new(),
            never_killed: BTreeSet::new(),
        })
    }

    pub(super) fn ask_to_stop(&mut self, name: &HostName, id: &MemberId) {
        let host = self.hosts.get_mut(name);
        let Some(keeper) = host.and_then(|host| host.keepers.get_mut(id)) else {
            return;
        };
        keeper.stopping = true;
        let run = Box::new((id.clone(), keeper.run.clone()));
        let takes = self.delay(STOP_AFTER, 1, 1500);
        let host = name.clone();
        self.schedule(takes, Happening::KeeperEnds { host, run });
    }

    pub(super) fn keeper_ends(&mut self, name: &HostName, id: &MemberId, run: &RunId) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let Some(keeper) = host.keepers.get_mut(id).filter(|keeper| keeper.run == *run) else {
            return;
        };
        keeper.stopping = true;
        if keeper.jam != Jam::Free {
            keeper.alive = false;
            if keeper.jam == Jam::Jammed {
                keeper.jam = Jam::Killed;
            }
            return;
        }
        host.keepers.remove(id);
        self.say(name.as_str(), &format!("{id} is gone"));
        self.leave_writes(name, id, run.epoch);
        let run = run.clone();
        self.keeper_says(name, id, Event::KeeperGone { run });
    }

    pub(super) fn process_starts(&mut self, name: &HostName, id: &MemberId, run: &RunId) {
        let ready_at = self.now.plus(self.delay(READY_AFTER, 1, 2000));
        let host = self.hosts.get_mut(name);
        let keeper = host.and_then(|host| host.keepers.get_mut(id));
        let Some(keeper) = keeper.filter(|k| k.run == *run && !k.alive && !k.stopping) else {
            return;
        };
        keeper.alive = true;
        keeper.restarts += 1;
        keeper.ready_at = ready_at;
        let restarts = keeper.restarts;
        let change = ProcessChange::Started {
            pid: 1,
            restarts,
            unenforced: Vec::new(),
        };
        self.say(name.as_str(), &format!("the process of {id} runs again"));
        self.tell_process(name, id, run, change);
    }

    pub(super) fn tell_process(
        &mut self,
        name: &HostName,
        id: &MemberId,
        run: &RunId,
        change: ProcessChange,
    ) {
        let Some(process) = main_process() else {
            return;
        };
        let event = Event::Process {
            run: run.clone(),
            process,
            init: false,
            change,
        };
        self.keeper_says(name, id, event);
    }

    /// What a readiness probe sees.
    fn probe(&self, name: &HostName, id: &MemberId) -> Outcome {
        let keeper = self.hosts.get(name).and_then(|host| host.keepers.get(id));
        let up = keeper.is_some_and(|keeper| keeper.alive && keeper.ready_at <= self.now);
        if up && !self.broken.contains(id) && self.has_quorum(id) {
            Outcome::Success
        } else {
            Outcome::Failure("connection refused".to_owned())
        }
    }

    /// Whether enough members of a set run for one of them to serve.
    fn has_quorum(&self, id: &MemberId) -> bool {
        let set = self.coordinator.state.sets.get(&id.set);
        let Some(set) = set.filter(|_| self.quorums.contains(&id.set)) else {
            return true;
        };
        let hosts = self.hosts.values();
        let alive = hosts.flat_map(|host| &host.keepers);
        let alive = alive.filter(|(other, keeper)| other.set == id.set && keeper.alive);
        let alive = u32::try_from(alive.count()).unwrap_or(u32::MAX);
        alive > set.spec.replicas() / 2
    }
}

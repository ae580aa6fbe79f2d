//! What the keeper does when its machine says so, and what it answers to agents.

use std::{io::Write, time::Duration};

use berth_core::{
    ids::ProcessName,
    keeper::{Effect, Event, Exit, RestartPlan, Slot, signal_number},
    waiting::Reason,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    cgroup,
    clients::ClientId,
    jobs::{Asker, HookKind, Job, output_pipe},
    processes::kill_session,
    run::Keeper,
    spawn::Program,
    wire::{
        ExecOrder, Hello, KeeperCommand, KeeperEvent, KeeperReply, KeeperStatus, Message, PROTOCOL,
        ProcessStatus, Request,
    },
};
use crate::host::step_failed;

impl Keeper {
    /// Does one thing, and returns the event that it leads to at once, if any.
    pub(crate) fn perform(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Start(slot) => Some(self.start(slot)),
            Effect::PostStart(slot) => self.begin_hook(slot, HookKind::PostStart),
            Effect::PreStop(slot) => self.begin_hook(slot, HookKind::PreStop),
            Effect::EndHook(slot) => {
                self.end_hook(slot);
                None
            }
            Effect::Signal(slot, number) => {
                if let Ok(signal) = Signal::try_from(number)
                    && let Some(process) = self.process(slot)
                {
                    process.signal(signal);
                }
                None
            }
            Effect::KillProcess(slot) => {
                if let Some(process) = self.processes.get(slot.0) {
                    process.kill_with_leftovers(self.cgroup.as_mut());
                }
                None
            }
            Effect::KillAll => {
                // As PID 1: everything in the namespace but this process, at once. The loop takes
                // the dead.
                let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
                self.killed();
                None
            }
            Effect::TellStarted(slot) => {
                self.tell_started(slot);
                None
            }
            Effect::TellExited(slot, exit, pause) => {
                self.tell_exited(slot, exit, pause);
                None
            }
            Effect::TellSpared(slot) => {
                if let Some(process) = self.processes.get(slot.0) {
                    let process = process.rendered.name.clone();
                    self.tell(KeeperEvent::Spared { process });
                }
                None
            }
            Effect::TellNotExecuted(slot, pause) => {
                self.tell_not_executed(slot, pause);
                None
            }
            Effect::TellInitDone => {
                self.tell(KeeperEvent::InitDone);
                None
            }
            Effect::Finish => {
                self.unmount();
                self.tell(KeeperEvent::AllStopped);
                self.finished = true;
                None
            }
        }
    }

    fn start(&mut self, slot: Slot) -> Event {
        let written = self.check_volumes().and_then(|()| self.write_files(slot));
        let Some(process) = self.processes.get_mut(slot.0) else {
            return Event::NotExecuted(slot);
        };
        if let Some(notify) = &mut process.notify {
            notify.reset();
        }
        let notify = process.notify.as_ref();
        let more_env = notify.map_or_else(Vec::new, |n| n.environment(&process.rendered));
        let cgroup = self.cgroup.as_mut();
        let started = written
            .and_then(|()| self.mounts.restore())
            .and_then(|()| cgroup::begin(cgroup, &process.rendered))
            .and_then(|begun| Ok((begun, process.log.begin_run(&self.logs)?)))
            .and_then(|(begun, output)| {
                process.unenforced = begun.unenforced;
                self.spawner.spawn(Program {
                    process: &process.rendered,
                    privileges: &process.privileges,
                    argv: &process.rendered.argv,
                    more_env: &more_env,
                    streams: output.into(),
                    cgroup: begun.leaf,
                })
            });
        match started {
            Ok(child) => {
                process.began(child);
                Event::Executed(slot)
            }
            Err(reason) => {
                self.complain(&reason);
                self.launching.get_or_insert_with(|| reason.clone());
                if let Some(process) = self.process(slot) {
                    process.failed = Some(reason);
                }
                Event::NotExecuted(slot)
            }
        }
    }

    /// Begins a program, as the process of a slot.
    pub(crate) fn execute(
        &self,
        slot: Slot,
        argv: &[String],
        asker: Asker,
        timeout: Duration,
    ) -> Result<Job, Reason> {
        let process = self.processes.get(slot.0);
        let process = process.ok_or_else(|| step_failed("execute", "no such process"))?;
        let (ours, output) = output_pipe().map_err(|e| step_failed("make a pipe", e))?;
        let leaf = cgroup::beside(self.cgroup.as_ref(), &process.rendered.name)?;
        let child = self.spawner.spawn(Program {
            process: &process.rendered,
            privileges: &process.privileges,
            argv,
            more_env: &[],
            streams: output.into(),
            cgroup: leaf,
        })?;
        Ok(Job::new(child.pid, asker, timeout, Some(ours)))
    }

    /// A job has ended: whoever waits for it is told.
    pub(crate) fn job_ended(&mut self, job: Job, exit: Exit) {
        if let Asker::Attached(..) = job.asker {
            // What it left in the background goes with it.
            kill_session(job.pid);
        }
        match job.asker {
            Asker::Client(client, id) | Asker::Attached(client, Some(id)) => {
                let reply = KeeperReply::Exec(job.result(exit));
                self.clients.send(client, &Message::Reply { id, reply });
            }
            Asker::Hook(slot, kind) => self.hook_ended(slot, kind, job, exit),
            Asker::Attached(_, None) | Asker::Nobody => {}
        }
    }

    pub(crate) fn tell(&mut self, event: KeeperEvent) {
        self.clients.broadcast(&Message::Event(event));
    }

    fn tell_started(&mut self, slot: Slot) {
        if let Some(process) = self.processes.get(slot.0)
            && let Some(child) = process.child
        {
            let event = KeeperEvent::Started {
                process: process.rendered.name.clone(),
                init: self.machine.is_init(slot),
                pid: child.host_pid,
                restarts: self.machine.starts(slot).saturating_sub(1),
                unenforced: process.unenforced.clone(),
            };
            self.tell(event);
        }
    }

    /// Takes what a process says of itself, and passes it on.
    pub(crate) fn hear(&mut self, index: usize) {
        let Some(process) = self.processes.get_mut(index) else {
            return;
        };
        let main = process.child.map(|child| child.pid);
        if let Some(notify) = &mut process.notify
            && notify.take(main)
        {
            let event = KeeperEvent::Said {
                process: process.rendered.name.clone(),
                said: notify.said().clone(),
            };
            self.tell(event);
        }
    }

    fn tell_exited(&mut self, slot: Slot, exit: Exit, pause: Option<Duration>) {
        if let Some(process) = self.processes.get(slot.0) {
            let event = KeeperEvent::Exited {
                process: process.rendered.name.clone(),
                init: self.machine.is_init(slot),
                exit,
                restarts: self.machine.starts(slot).saturating_sub(1),
                restart_in_ms: pause.map(millis),
            };
            self.tell(event);
        }
    }

    fn tell_not_executed(&mut self, slot: Slot, pause: Duration) {
        if let Some(process) = self.processes.get_mut(slot.0)
            && let Some(reason) = process.failed.take()
        {
            let event = KeeperEvent::StartFailed {
                process: process.rendered.name.clone(),
                init: self.machine.is_init(slot),
                reason,
                restart_in_ms: millis(pause),
            };
            self.tell(event);
        }
    }

    /// For people, in the keeper's own log.
    pub(crate) fn complain(&self, reason: &Reason) {
        drop(writeln!(std::io::stderr(), "{}: {reason}", self.member));
    }

    fn status(&self) -> KeeperStatus {
        let views = self.machine.views(self.now()).zip(&self.processes);
        let all = views.map(|(view, process)| ProcessStatus {
            name: view.name.clone(),
            init: view.init,
            pid: process
                .child
                .map(|child| child.host_pid)
                .filter(|_| !view.post_start),
            restarts: view.restarts,
            last_exit: view.last_exit,
            restart_in_ms: view.restart_in.map(millis),
            post_start: view.post_start,
            // What a dead one said is not its successor's.
            said: process
                .notify
                .as_ref()
                .filter(|_| process.child.is_some())
                .map(|notify| notify.said().clone()),
            unenforced: process.unenforced.clone(),
            spared: view.spared,
        });
        let at_work = |p: &ProcessStatus| p.pid.is_some() || p.restart_in_ms.is_some();
        KeeperStatus {
            init_done: self.machine.init_done(),
            stopping: self.machine.stopping(),
            stopped: self.machine.finished(),
            renewed: self.renewed(),
            lease: self.lease_terms(),
            processes: all.filter(|p| !p.init || at_work(p)).collect(),
        }
    }

    /// Greets new connections.
    pub(crate) fn greet(&mut self) {
        let hello = Message::Hello(Hello {
            protocol: PROTOCOL,
            member: self.member.clone(),
            run: self.run.clone(),
            status: self.status(),
        });
        self.clients.accept(|| hello.clone());
    }

    /// Does what an agent asks.
    pub(crate) fn answer(&mut self, client: ClientId, request: Request) {
        let Request { id, command } = request;
        let (reply, event) = match command {
            KeeperCommand::Stop { grace_ms } => {
                let grace = grace_ms.map(Duration::from_millis);
                (Some(KeeperReply::Done), Some(Event::Stop(grace)))
            }
            KeeperCommand::Kill => (Some(KeeperReply::Done), Some(Event::Kill)),
            KeeperCommand::Restart {
                process,
                grace_ms,
                failed,
                restarts,
            } => match self.to_restart(process.as_ref(), restarts) {
                Ok(slots) => {
                    let grace = grace_ms.map(Duration::from_millis);
                    let plan = RestartPlan {
                        slots,
                        grace,
                        failed,
                    };
                    (Some(KeeperReply::Done), Some(Event::Restart(plan)))
                }
                Err(reason) => (Some(KeeperReply::Refused(reason)), None),
            },
            KeeperCommand::Passed { process, restarts } => {
                let slot = self.machine.slot(&process);
                let slot = slot.filter(|slot| self.machine.is_current(*slot, restarts));
                (Some(KeeperReply::Done), slot.map(Event::Passed))
            }
            KeeperCommand::Update { rendered } => {
                let updated = self.update(*rendered);
                match updated {
                    Ok(slots) => {
                        let plan = RestartPlan {
                            slots,
                            ..RestartPlan::default()
                        };
                        (Some(KeeperReply::Done), Some(Event::Restart(plan)))
                    }
                    Err(reason) => (Some(KeeperReply::Refused(reason)), None),
                }
            }
            KeeperCommand::Signal { process, signal } => {
                (Some(done(self.send_signal(&process, &signal))), None)
            }
            KeeperCommand::Exec(order) => {
                let refused = self.exec(client, id, &order).err();
                (refused.map(KeeperReply::Refused), None)
            }
            KeeperCommand::Attach(order) => {
                let begun = self.attach(client, &order);
                (Some(begun.unwrap_or_else(KeeperReply::Refused)), None)
            }
            KeeperCommand::AttachedEnd => {
                let refused = self.taken(client, id).err();
                (refused.map(KeeperReply::Refused), None)
            }
            KeeperCommand::Interrupt { signal } => {
                (Some(done(self.interrupt(client, signal))), None)
            }
            KeeperCommand::Renew { sent } => (Some(self.renew(sent)), None),
            KeeperCommand::Status => (Some(KeeperReply::Status(self.status())), None),
        };
        if let Some(reply) = reply {
            self.clients.send(client, &Message::Reply { id, reply });
        }
        if let Some(event) = event {
            self.feed(event);
        }
    }

    fn to_restart(
        &self,
        process: Option<&ProcessName>,
        restarts: Option<u32>,
    ) -> Result<Vec<Slot>, Reason> {
        let refused = |why: &str| Err(step_failed("restart", why));
        if self.machine.stopping() {
            return refused("the member is stopping");
        }
        let Some(name) = process else {
            if !self.machine.init_done() {
                return refused("init processes are at work");
            }
            return Ok(self.machine.mains());
        };
        match self.machine.slot(name) {
            // What is said comes late: it has been started again already.
            Some(slot) if !self.machine.is_current(slot, restarts) => Ok(Vec::new()),
            Some(slot) if self.machine.may_restart(slot) => Ok(vec![slot]),
            Some(_) => refused("it has not been started yet"),
            None => refused("no such process"),
        }
    }

    fn send_signal(&self, name: &ProcessName, signal: &str) -> Result<(), Reason> {
        let failed = |why: &str| step_failed(format!("signal {name}"), why);
        let number = signal_number(signal).ok_or_else(|| failed("no such signal"))?;
        let signal = Signal::try_from(number).map_err(|e| failed(e.desc()))?;
        let slot = self.machine.slot(name);
        let process = slot.and_then(|slot| self.processes.get(slot.0));
        match process.is_some_and(|process| process.signal(signal)) {
            true => Ok(()),
            false => Err(failed("it does not run")),
        }
    }

    fn exec(&mut self, client: ClientId, id: u64, order: &ExecOrder) -> Result<(), Reason> {
        let slot = self.machine.slot(&order.process);
        let slot = slot.ok_or_else(|| step_failed("execute", "no such process"))?;
        if self.machine.killed() {
            // It would outlive the kill, and keep the stop waiting until its own deadline.
            return Err(step_failed("execute", "the member is stopped"));
        }
        let asker = Asker::Client(client, id);
        let timeout = Duration::from_millis(order.timeout_ms);
        let job = self.execute(slot, &order.argv, asker, timeout)?;
        self.jobs.push(job);
        Ok(())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The reply to what is done at once.
fn done(outcome: Result<(), Reason>) -> KeeperReply {
    outcome.map_or_else(KeeperReply::Refused, |()| KeeperReply::Done)
}

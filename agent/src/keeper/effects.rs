//! What the keeper does when its machine says so, and what it answers to agents.

use std::{io::Write, time::Duration};

use berth_core::{
    ids::ProcessName,
    keeper::{Effect, Event, Exit, Slot, signal_number},
    waiting::Reason,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    clients::ClientId,
    jobs::{Asker, Job, http_get, output_pipe},
    run::Keeper,
    spawn::Program,
    sys,
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
            Effect::PreStop(slot) => self.pre_stop(slot),
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
            Effect::TellExited(slot, exit, pause) => {
                self.tell_exited(slot, exit, pause);
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
        let restarts = self.machine.starts(slot);
        let written = self.write_files(slot);
        let Some(process) = self.processes.get_mut(slot.0) else {
            return Event::NotExecuted(slot);
        };
        let cgroup = self.cgroup.as_ref();
        let started = written
            .and_then(|()| self.mounts.restore())
            .and_then(|()| process.log.begin_run(&self.logs))
            .and_then(|output| {
                self.spawner.spawn(Program {
                    process: &process.rendered,
                    privileges: &process.privileges,
                    argv: &process.rendered.argv,
                    output,
                    cgroup: cgroup.and_then(|cgroup| cgroup.leaf(&process.rendered)),
                })
            });
        match started {
            Ok(child) => {
                process.began(child);
                let event = KeeperEvent::Started {
                    process: process.rendered.name.clone(),
                    init: slot.0 < self.machine.inits(),
                    pid: child.host_pid,
                    restarts,
                };
                self.tell(event);
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

    fn pre_stop(&mut self, slot: Slot) -> Option<Event> {
        let grace = self.grace;
        let process = self.processes.get(slot.0)?;
        let asker = Asker::PreStop(slot);
        let job = if let Some(argv) = &process.rendered.pre_stop_exec {
            self.execute(slot, argv, asker, grace)
        } else if let Some(url) = &process.rendered.pre_stop_http {
            let pid = sys::fork(|| match process.privileges.apply() {
                Ok(()) => http_get(url, grace),
                Err(_) => 126,
            });
            pid.map(|pid| Job::new(pid, asker, grace, None))
                .map_err(|e| step_failed("fork", e.desc()))
        } else {
            return Some(Event::PreStopEnded(slot));
        };
        match job {
            Ok(job) => {
                self.jobs.push(job);
                None
            }
            Err(reason) => {
                self.complain(&reason);
                Some(Event::PreStopEnded(slot))
            }
        }
    }

    fn execute(
        &self,
        slot: Slot,
        argv: &[String],
        asker: Asker,
        timeout: Duration,
    ) -> Result<Job, Reason> {
        let process = self.processes.get(slot.0);
        let process = process.ok_or_else(|| step_failed("execute", "no such process"))?;
        let (ours, output) = output_pipe().map_err(|e| step_failed("make a pipe", e))?;
        let cgroup = self.cgroup.as_ref();
        let child = self.spawner.spawn(Program {
            process: &process.rendered,
            privileges: &process.privileges,
            argv,
            output,
            cgroup: cgroup.and_then(|cgroup| cgroup.leaf(&process.rendered)),
        })?;
        Ok(Job::new(child.pid, asker, timeout, Some(ours)))
    }

    /// A job has ended: whoever waits for it is told.
    pub(crate) fn job_ended(&mut self, job: Job, exit: Exit) {
        match job.asker {
            Asker::Client(client, id) => {
                let reply = KeeperReply::Exec(job.result(exit));
                self.clients.send(client, &Message::Reply { id, reply });
            }
            Asker::PreStop(slot) => {
                if !exit.success() {
                    let output = job.result(exit).output;
                    self.complain(&step_failed("preStop", format!("{exit}: {output}")));
                }
                self.feed(Event::PreStopEnded(slot));
            }
        }
    }

    fn tell(&mut self, event: KeeperEvent) {
        self.clients.broadcast(&Message::Event(event));
    }

    fn tell_exited(&mut self, slot: Slot, exit: Exit, pause: Option<Duration>) {
        if let Some(process) = self.processes.get(slot.0) {
            let event = KeeperEvent::Exited {
                process: process.rendered.name.clone(),
                init: slot.0 < self.machine.inits(),
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
                init: slot.0 < self.machine.inits(),
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
        let inits = self.machine.inits();
        let views = self.machine.views(self.now()).zip(&self.processes);
        let all: Vec<_> = views
            .map(|(view, process)| ProcessStatus {
                name: view.name.clone(),
                init: view.init,
                pid: process.child.map(|child| child.host_pid),
                restarts: view.restarts,
                last_exit: view.last_exit,
                restart_in_ms: view.restart_in.map(millis),
            })
            .collect();
        let (init, mains) = all.split_at(inits.min(all.len()));
        let at_work = init
            .iter()
            .find(|p| p.pid.is_some() || p.restart_in_ms.is_some());
        KeeperStatus {
            init_done: self.machine.init_done(),
            stopping: self.machine.stopping(),
            stopped: self.machine.finished(),
            processes: at_work.into_iter().chain(mains).cloned().collect(),
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
            KeeperCommand::Restart { process } => match self.to_restart(process.as_ref()) {
                Ok(slots) => (Some(KeeperReply::Done), Some(Event::Restart(slots))),
                Err(reason) => (Some(KeeperReply::Refused(reason)), None),
            },
            KeeperCommand::Update { rendered } => {
                let updated = self.update(*rendered);
                match updated {
                    Ok(restart) => (Some(KeeperReply::Done), restart.map(Event::Restart)),
                    Err(reason) => (Some(KeeperReply::Refused(reason)), None),
                }
            }
            KeeperCommand::Signal { process, signal } => {
                let sent = self.send_signal(&process, &signal);
                let reply = sent.map_or_else(KeeperReply::Refused, |()| KeeperReply::Done);
                (Some(reply), None)
            }
            KeeperCommand::Exec(order) => {
                let refused = self.exec(client, id, &order).err();
                (refused.map(KeeperReply::Refused), None)
            }
            KeeperCommand::Status => (Some(KeeperReply::Status(self.status())), None),
        };
        if let Some(reply) = reply {
            self.clients.send(client, &Message::Reply { id, reply });
        }
        if let Some(event) = event {
            self.feed(event);
        }
    }

    fn to_restart(&self, process: Option<&ProcessName>) -> Result<Vec<Slot>, Reason> {
        let refused = |why: &str| Err(step_failed("restart", why));
        if self.machine.stopping() {
            return refused("the member is stopping");
        }
        if !self.machine.init_done() {
            return refused("init processes are at work");
        }
        let Some(name) = process else {
            return Ok(self.machine.mains());
        };
        match self.machine.slot(name) {
            Some(slot) if slot.0 >= self.machine.inits() => Ok(vec![slot]),
            Some(_) | None => refused("no such process"),
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

//! A run on the fake host: its processes are values, its commands take effect at once.

use berth_core::{
    ids::{MemberId, ProcessName},
    keeper::Exit,
    volume::MountedVolume,
};
use tokio::sync::mpsc;

use super::{
    super::{
        ExecResult, KeeperClient, KeeperCommand, KeeperEvent, KeeperHandle, KeeperLaunch,
        KeeperReply, KeeperStatus, ProcessStatus, step_failed,
    },
    FakeHost,
    state::State,
};

/// A run on the fake host.
#[derive(Debug)]
pub(super) struct FakeRun {
    pub(super) launch: KeeperLaunch,
    pub(super) pid: u32,
    pub(super) alive: bool,
    pub(super) status: KeeperStatus,
    listeners: Vec<mpsc::UnboundedSender<KeeperEvent>>,
}

impl FakeRun {
    fn tell(&mut self, event: &KeeperEvent) {
        self.listeners
            .retain(|listener| listener.send(event.clone()).is_ok());
    }

    /// Its volumes; all of them are remote, so that they are looked at often.
    fn volumes(&self) -> Vec<MountedVolume> {
        let volumes = self.launch.volumes.iter().map(|volume| MountedVolume {
            report: volume.report.clone(),
            source: volume.source.clone(),
            remote: true,
        });
        volumes.collect()
    }

    fn process(&mut self, name: &ProcessName) -> Option<&mut ProcessStatus> {
        let mut processes = self.status.processes.iter_mut();
        processes.find(|process| process.name == *name)
    }
}

impl FakeHost {
    /// A handle on a living run, with a task that carries out its commands.
    pub(super) fn connect(&self, member: &MemberId) -> Option<KeeperHandle> {
        let (client, mut commands) = KeeperClient::new();
        let (listener, events) = mpsc::unbounded_channel();
        let mut state = self.lock();
        let run = state.runs.get_mut(member).filter(|run| run.alive)?;
        run.listeners.push(listener);
        let handle = KeeperHandle {
            member: member.clone(),
            run: run.launch.run.clone(),
            pid: run.pid,
            volumes: run.volumes(),
            status: run.status.clone(),
            client,
            events,
        };
        drop(state);
        let (host, member, run) = (self.clone(), member.clone(), handle.run.clone());
        tokio::spawn(async move {
            while let Some(commanded) = commands.recv().await {
                let mut state = host.lock();
                if state.alive().get(&member) != Some(&run) {
                    return;
                }
                let reply = state.command(&member, commanded.command);
                drop(state);
                // An asker that went away needs no answer.
                drop(commanded.reply.send(reply));
            }
        });
        Some(handle)
    }
}

impl State {
    /// Starts a run: every init process is done and every process runs at once.
    pub(super) fn start(&mut self, launch: KeeperLaunch) {
        let member = launch.rendered.member.clone();
        let mut processes = Vec::new();
        let sidecars = launch.rendered.init_processes.iter();
        let sidecars = sidecars.filter(|process| process.sidecar);
        for process in sidecars.chain(&launch.rendered.processes) {
            processes.push(ProcessStatus {
                name: process.name.clone(),
                init: false,
                pid: Some(self.next_pid()),
                restarts: 0,
                last_exit: None,
                restart_in_ms: None,
                post_start: false,
                said: None,
                unenforced: Vec::new(),
                spared: false,
            });
        }
        let epoch = launch.run.epoch;
        self.log.push(format!("start {member} {epoch}"));
        let renewed = launch.lease.map(|lease| lease.renewed);
        let lease = launch.lease.map(|lease| lease.terms);
        let run = FakeRun {
            launch,
            pid: self.next_pid(),
            alive: true,
            status: KeeperStatus {
                init_done: true,
                stopping: false,
                stopped: false,
                renewed,
                lease,
                processes,
            },
            listeners: Vec::new(),
        };
        self.runs.insert(member, run);
    }

    pub(super) fn process_exits(
        &mut self,
        member: &MemberId,
        name: &ProcessName,
        exit: Exit,
        restart_in_ms: Option<u64>,
    ) {
        let Some(run) = self.runs.get_mut(member).filter(|run| run.alive) else {
            return;
        };
        let Some(process) = run.process(name) else {
            return;
        };
        process.pid = None;
        process.last_exit = Some(exit);
        process.restart_in_ms = restart_in_ms;
        let event = KeeperEvent::Exited {
            process: name.clone(),
            init: false,
            exit,
            restarts: process.restarts,
            restart_in_ms,
        };
        run.tell(&event);
    }

    pub(super) fn process_starts(&mut self, member: &MemberId, name: &ProcessName) {
        let pid = self.next_pid();
        let Some(run) = self.runs.get_mut(member).filter(|run| run.alive) else {
            return;
        };
        let Some(process) = run.process(name).filter(|process| process.pid.is_none()) else {
            return;
        };
        process.pid = Some(pid);
        process.restarts += 1;
        process.restart_in_ms = None;
        let event = KeeperEvent::Started {
            process: name.clone(),
            init: false,
            pid,
            restarts: process.restarts,
            unenforced: Vec::new(),
        };
        run.tell(&event);
    }

    /// The keeper ends, and with it everything.
    pub(super) fn end(&mut self, member: &MemberId) {
        let Some(run) = self.runs.get_mut(member).filter(|run| run.alive) else {
            return;
        };
        run.alive = false;
        run.tell(&KeeperEvent::Gone);
        run.listeners.clear();
        self.log.push(format!("gone {member}"));
    }

    pub(super) fn lose_connection(&mut self, member: &MemberId) {
        if let Some(run) = self.runs.get_mut(member) {
            run.listeners.clear();
        }
    }

    pub(super) fn finish_stop(&mut self, member: &MemberId) {
        self.held_stops.remove(member);
        let stopping = |run: &FakeRun| run.alive && run.status.stopping;
        if self.runs.get(member).is_some_and(stopping) {
            self.stop_all(member, Exit::Code(0));
        }
    }

    fn stop_all(&mut self, member: &MemberId, exit: Exit) {
        for name in self.running(member).into_iter().rev() {
            self.process_exits(member, &name, exit, None);
        }
        if let Some(run) = self.runs.get_mut(member) {
            run.status.stopped = true;
            run.tell(&KeeperEvent::AllStopped);
        }
        self.end(member);
    }

    fn running(&self, member: &MemberId) -> Vec<ProcessName> {
        let processes = self.runs.get(member).map(|run| &run.status.processes);
        let running = processes.into_iter().flatten().filter(|p| p.pid.is_some());
        running.map(|process| process.name.clone()).collect()
    }

    fn command(&mut self, member: &MemberId, command: KeeperCommand) -> KeeperReply {
        match command {
            KeeperCommand::Stop { .. } => {
                self.log.push(format!("stop {member}"));
                if let Some(run) = self.runs.get_mut(member) {
                    run.status.stopping = true;
                }
                if !self.held_stops.contains(member) {
                    self.stop_all(member, Exit::Code(0));
                }
                KeeperReply::Done
            }
            KeeperCommand::Kill => {
                self.log.push(format!("kill {member}"));
                self.held_stops.remove(member);
                self.stop_all(member, Exit::Signal(9));
                KeeperReply::Done
            }
            KeeperCommand::Restart { process, .. } => {
                let names = process.map_or_else(|| self.running(member), |name| vec![name]);
                for name in names {
                    self.process_exits(member, &name, Exit::Signal(15), Some(0));
                    self.process_starts(member, &name);
                }
                KeeperReply::Done
            }
            KeeperCommand::Renew { sent } => {
                if let Some(run) = self.runs.get_mut(member) {
                    run.status.renewed = Some(sent);
                }
                KeeperReply::Done
            }
            KeeperCommand::Passed { .. } => KeeperReply::Done,
            KeeperCommand::Update { .. } => {
                self.log.push(format!("update {member}"));
                KeeperReply::Done
            }
            KeeperCommand::Signal { process, signal } => {
                self.log.push(format!("signal {member} {process} {signal}"));
                KeeperReply::Done
            }
            KeeperCommand::Exec(order) => {
                self.log
                    .push(format!("exec {member} {}", order.argv.join(" ")));
                let answer = self.exec.get(member).cloned();
                KeeperReply::Exec(answer.unwrap_or_else(|| ExecResult {
                    exit: Exit::Code(0),
                    timed_out: false,
                    output: String::new(),
                }))
            }
            KeeperCommand::Attach(_)
            | KeeperCommand::AttachedEnd
            | KeeperCommand::Interrupt { .. } => {
                let error = "the fake host runs no programs";
                KeeperReply::Refused(step_failed("command the keeper", error))
            }
            KeeperCommand::Status => match self.runs.get(member) {
                Some(run) => KeeperReply::Status(run.status.clone()),
                None => KeeperReply::Refused(step_failed("command the keeper", "it is gone")),
            },
        }
    }
}

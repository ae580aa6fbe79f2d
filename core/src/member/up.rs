//! A run with a living keeper: its processes, their probes, and how far a stop has come.

use std::{collections::BTreeMap, time::Duration};

use super::{AttemptId, ProcessChange, ProcessState, Running, volumes::Volumes};
use crate::{
    ids::{ProcessName, RunId, TemplateHash},
    probe::{Outcome, ProbeKind, ProbeSpecs, ProcessProbes, Verdict},
    time::Timestamp,
    waiting::Reason,
};

/// Beyond the grace period, before everything is killed: the keeper should have done it itself. It
/// may have to free itself of some volumes whose server does not answer, and nobody else can: what
/// it leaves mounted when it is killed waits for the server.
const STOP_MARGIN: Duration = Duration::from_secs(15);
/// Before a process that could not be told to restart is told again.
const RESTART_AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Up {
    pub(super) run: RunId,
    pub(super) since: Timestamp,
    pub(super) init_done: bool,
    pub(super) processes: Vec<ProcessState>,
    pub(super) ready_since: Option<Timestamp>,
    /// The revision that its keeper was told last.
    pub(super) told: Option<TemplateHash>,
    pub(super) volumes: Volumes,
    /// When everything is killed, once a stop was asked for.
    kill_at: Option<Timestamp>,
    grace: Duration,
    specs: BTreeMap<ProcessName, ProbeSpecs>,
    /// The probes of the processes that run, with the number of the start.
    probes: BTreeMap<ProcessName, (u64, ProcessProbes)>,
    starts: u64,
    /// Processes to be told to restart, and when.
    restarts: BTreeMap<ProcessName, Timestamp>,
}

impl Up {
    pub(super) fn new(now: Timestamp, running: Running) -> Self {
        let mut up = Self {
            run: running.run,
            since: now,
            init_done: running.init_done,
            processes: running.processes,
            ready_since: None,
            told: None,
            volumes: Volumes::new(now, running.volumes),
            kill_at: None,
            grace: running.grace,
            specs: running.probes,
            probes: BTreeMap::new(),
            starts: 0,
            restarts: BTreeMap::new(),
        };
        let alive = |p: &&ProcessState| p.pid.is_some() && !p.init;
        let names: Vec<_> = up
            .processes
            .iter()
            .filter(alive)
            .map(|p| p.name.clone())
            .collect();
        for name in names {
            up.begin_probes(now, &name);
        }
        if running.stopping {
            up.stop_asked(now);
        }
        up
    }

    fn begin_probes(&mut self, now: Timestamp, process: &ProcessName) {
        self.starts += 1;
        let specs = self.specs.get(process).cloned().unwrap_or_default();
        let probes = ProcessProbes::new(&specs, now);
        self.probes.insert(process.clone(), (self.starts, probes));
    }

    /// A stop was asked for: it is due to be over after the grace period.
    pub(super) fn stop_asked(&mut self, now: Timestamp) {
        self.kill_at = Some(now.plus(self.grace).plus(STOP_MARGIN));
    }

    /// Everything was told to be killed: it is due to be over soon.
    pub(super) fn kill_asked(&mut self, now: Timestamp) {
        self.kill_at = Some(now.plus(STOP_MARGIN));
    }

    pub(super) fn stopping(&self) -> bool {
        self.kill_at.is_some()
    }

    pub(super) fn kill_at(&self) -> Option<Timestamp> {
        self.kill_at
    }

    pub(super) fn change(
        &mut self,
        now: Timestamp,
        name: &ProcessName,
        init: bool,
        change: ProcessChange,
    ) {
        self.restarts.remove(name);
        self.probes.remove(name);
        let process = self.process(name, init);
        match change {
            ProcessChange::Started { pid, restarts } => {
                process.pid = Some(pid);
                process.restarts = restarts;
                process.failure = None;
                if !init {
                    self.begin_probes(now, name);
                }
            }
            ProcessChange::StartFailed(reason) => {
                process.pid = None;
                process.failure = Some(reason);
            }
            ProcessChange::Exited { exit } => {
                process.pid = None;
                process.last_exit = Some(exit);
            }
        }
    }

    /// The state of a process. Init processes come and go: each is known from its first event on.
    fn process(&mut self, name: &ProcessName, init: bool) -> &mut ProcessState {
        let found = self.processes.iter().position(|p| p.name == *name);
        let index = found.unwrap_or_else(|| {
            let at = if init { 0 } else { self.processes.len() };
            let state = ProcessState {
                name: name.clone(),
                init,
                pid: None,
                restarts: 0,
                last_exit: None,
                failure: None,
            };
            self.processes.insert(at, state);
            at
        });
        &mut self.processes[index]
    }

    pub(super) fn init_done(&mut self) {
        self.init_done = true;
        self.processes.retain(|process| !process.init);
    }

    /// The attempts that are due. A stop ends startup and liveness probes: the process may be busy
    /// stopping.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<AttemptId> {
        if self.stopping() {
            return Vec::new();
        }
        let mut attempts = Vec::new();
        for (process, (start, probes)) in &mut self.probes {
            attempts.extend(probes.due(now).into_iter().map(|kind| AttemptId {
                run: self.run.clone(),
                process: process.clone(),
                kind,
                start: *start,
            }));
        }
        attempts
    }

    /// Whether the volumes are to be looked at now. While it stops, nothing follows from it.
    pub(super) fn look_due(&mut self, now: Timestamp) -> bool {
        !self.stopping() && self.volumes.due(now)
    }

    pub(super) fn probed(&mut self, now: Timestamp, attempt: &AttemptId, outcome: Outcome) {
        let Some((start, probes)) = self.probes.get_mut(&attempt.process) else {
            return;
        };
        if *start != attempt.start || self.run != attempt.run {
            return;
        }
        let verdict = probes.result(now, attempt.kind, outcome);
        let restart = verdict == Some(Verdict::Failed) && probes.halted();
        if restart {
            self.restarts.insert(attempt.process.clone(), now);
        }
    }

    /// The processes that are to be told to restart now; each is told once.
    pub(super) fn restarts_due(&mut self, now: Timestamp) -> Vec<ProcessName> {
        let due = self.restarts.iter().filter(|(_, at)| **at <= now);
        let due: Vec<_> = due.map(|(process, _)| process.clone()).collect();
        for process in &due {
            self.restarts.remove(process);
        }
        due
    }

    pub(super) fn restart_failed(&mut self, now: Timestamp, process: &ProcessName) {
        let halted = |(_, probes): &(u64, ProcessProbes)| probes.halted();
        if self.probes.get(process).is_some_and(halted) {
            let at = now.plus(RESTART_AGAIN);
            self.restarts.insert(process.clone(), at);
        }
    }

    pub(super) fn wake_at(&mut self) -> Option<Timestamp> {
        if self.stopping() {
            return None;
        }
        let restart = self.restarts.values().min().copied();
        let probes = self.probes.values_mut();
        probes
            .filter_map(|(_, probes)| probes.wake_at())
            .chain(restart)
            .chain(self.volumes.wake_at())
            .min()
    }

    fn mains(&self) -> impl Iterator<Item = &ProcessState> {
        self.processes.iter().filter(|process| !process.init)
    }

    /// Whether all processes run and their startup probes have passed.
    pub(super) fn started(&self) -> bool {
        let passed = |p: &ProcessState| {
            p.pid.is_some() && self.probes.get(&p.name).is_some_and(|(_, s)| s.started())
        };
        self.init_done && self.mains().all(passed)
    }

    /// Whether it serves. A member that stops does not.
    pub(super) fn ready(&self) -> bool {
        let ready = |p: &ProcessState| self.probes.get(&p.name).is_some_and(|(_, s)| s.ready());
        self.started()
            && !self.stopping()
            && self.volumes.reason().is_none()
            && self.mains().all(ready)
    }

    /// Whether all processes run.
    pub(super) fn running(&self) -> bool {
        self.init_done && self.mains().all(|process| process.pid.is_some())
    }

    /// Whether a process ended, or could not be executed, and waits for its next start.
    pub(super) fn waits(&self) -> bool {
        let waits =
            |p: &ProcessState| p.pid.is_none() && (p.last_exit.is_some() || p.failure.is_some());
        self.processes.iter().any(waits)
    }

    pub(super) fn alive(&self) -> Vec<ProcessName> {
        let alive = self.processes.iter().filter(|p| p.pid.is_some());
        alive.map(|process| process.name.clone()).collect()
    }

    pub(super) fn restart_count(&self) -> u32 {
        self.mains().map(|process| process.restarts).sum()
    }

    /// Why it is not running and ready.
    pub(super) fn reason(&self) -> Option<Reason> {
        // What its processes do without their data is what follows from it.
        let volumes = self.volumes.reason().cloned();
        volumes.or_else(|| self.processes.iter().find_map(|p| self.process_reason(p)))
    }

    fn process_reason(&self, state: &ProcessState) -> Option<Reason> {
        let process = state.name.clone();
        if state.pid.is_none() {
            if let Some(reason) = &state.failure {
                return Some(reason.clone());
            }
            let (exit, restarts) = (state.last_exit.clone()?, state.restarts);
            return Some(Reason::BackOff {
                process,
                exit,
                restarts,
            });
        }
        let (_, probes) = self.probes.get(&process)?;
        if !probes.started() {
            let error = probes.error(ProbeKind::Startup);
            return Some(Reason::StartupProbe { process, error });
        }
        if probes.halted() {
            let error = probes.error(ProbeKind::Liveness);
            return Some(Reason::LivenessProbe { process, error });
        }
        if !probes.ready() {
            let error = probes.error(ProbeKind::Readiness);
            return Some(Reason::ReadinessProbe { process, error });
        }
        None
    }
}

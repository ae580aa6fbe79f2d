//! A run with a living keeper: its processes, their probes, and how far a stop has come.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{ProcessChange, ProcessState, Running, volumes::Volumes};
use crate::{
    ids::{ProcessName, RunId, TemplateHash},
    lease::LeaseTerms,
    notify::Said,
    probe::{Outcome, ProbeKind, ProbeSpecs, ProcessProbes, Verdict},
    time::Timestamp,
    waiting::{ProbeFailure, Reason},
};

/// Names one attempt of a probe, so that a result that comes late counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptId {
    /// The run.
    pub run: RunId,
    /// The process.
    pub process: ProcessName,
    /// Which probe.
    pub kind: ProbeKind,
    /// Which start of the process within the run.
    pub start: u64,
}

/// Beyond the grace period, before everything is killed: the keeper should have done it itself. It
/// may have to free itself of some volumes whose server does not answer, and nobody else can: what
/// it leaves mounted when it is killed waits for the server.
const STOP_MARGIN: Duration = Duration::from_secs(15);
/// Before a keeper that could not be told something of a process is told again.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// How far a stop has come.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stop {
    /// When the grace period is over.
    overdue_at: Timestamp,
    /// When everything is killed, if it ever is.
    kill_at: Option<Timestamp>,
    /// The grace period is over.
    overdue: bool,
}

/// A restart that the keeper is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Restart {
    at: Timestamp,
    grace: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Up {
    pub(super) run: RunId,
    /// The lease that its keeper ends it by.
    pub(super) lease: Option<LeaseTerms>,
    pub(super) since: Timestamp,
    pub(super) init_done: bool,
    pub(super) processes: Vec<ProcessState>,
    pub(super) ready_since: Option<Timestamp>,
    /// The revision that its keeper was told last.
    pub(super) told: Option<TemplateHash>,
    pub(super) volumes: Volumes,
    stop: Option<Stop>,
    grace: Duration,
    sidecars: BTreeSet<ProcessName>,
    never_killed: BTreeSet<ProcessName>,
    specs: BTreeMap<ProcessName, ProbeSpecs>,
    /// The probes of the processes that run, with the number of the start.
    probes: BTreeMap<ProcessName, (u64, ProcessProbes)>,
    starts: u64,
    /// Processes to be told to restart.
    restarts: BTreeMap<ProcessName, Restart>,
    /// Sidecars whose startup probe passed and is to be told, and when.
    passes: BTreeMap<ProcessName, Timestamp>,
}

impl Up {
    pub(super) fn new(now: Timestamp, running: Running) -> Self {
        let mut up = Self {
            run: running.run,
            lease: running.lease,
            since: now,
            init_done: running.init_done,
            processes: running.processes,
            ready_since: None,
            told: None,
            volumes: Volumes::new(now, running.volumes),
            stop: None,
            grace: running.grace,
            sidecars: running.sidecars,
            never_killed: running.never_killed,
            specs: running.probes,
            probes: BTreeMap::new(),
            starts: 0,
            restarts: BTreeMap::new(),
            passes: BTreeMap::new(),
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
        let mut probes = ProcessProbes::new(&specs, now);
        if let Some(state) = self.processes.iter().find(|p| p.name == *process) {
            probes.hear(now, &state.said);
        }
        self.probes.insert(process.clone(), (self.starts, probes));
    }

    /// A stop was asked for: it is due to be over after the grace period. Whoever has a process that
    /// is never killed is not killed either.
    pub(super) fn stop_asked(&mut self, now: Timestamp) {
        let overdue_at = now.plus(self.grace);
        let killed = self.never_killed.is_empty();
        self.stop = Some(Stop {
            overdue_at,
            kill_at: killed.then(|| overdue_at.plus(STOP_MARGIN)),
            overdue: false,
        });
        for (_, probes) in self.probes.values_mut() {
            probes.stop();
        }
        self.restarts.clear();
        self.passes.clear();
    }

    /// Everything was told to be killed: it is due to be over soon.
    pub(super) fn kill_asked(&mut self, now: Timestamp) {
        self.stop = Some(Stop {
            overdue_at: now,
            kill_at: Some(now.plus(STOP_MARGIN)),
            overdue: true,
        });
    }

    pub(super) fn stopping(&self) -> bool {
        self.stop.is_some()
    }

    pub(super) fn kill_at(&self) -> Option<Timestamp> {
        self.stop.as_ref()?.kill_at
    }

    /// What still runs after the grace period because it is never killed, if anything does.
    pub(super) fn spared(&self) -> Option<Vec<ProcessName>> {
        self.stop.as_ref().filter(|stop| stop.overdue)?;
        let mut alive = self.alive();
        alive.retain(|process| self.never_killed.contains(process));
        (!alive.is_empty()).then_some(alive)
    }

    pub(super) fn change(
        &mut self,
        now: Timestamp,
        name: &ProcessName,
        init: bool,
        change: ProcessChange,
    ) {
        match change {
            ProcessChange::Said(said) => self.hear(now, name, init, said),
            ProcessChange::Spared => self.process(name, init).spared = true,
            ProcessChange::Started { .. }
            | ProcessChange::StartFailed(_)
            | ProcessChange::PostStart
            | ProcessChange::Exited { .. } => self.lived(now, name, init, change),
        }
    }

    /// A process began or ended: whatever was known of it was of an earlier start.
    fn lived(&mut self, now: Timestamp, name: &ProcessName, init: bool, change: ProcessChange) {
        self.restarts.remove(name);
        self.passes.remove(name);
        self.probes.remove(name);
        let process = self.process(name, init);
        process.post_start = false;
        process.spared = false;
        match change {
            ProcessChange::Started {
                pid,
                restarts,
                unenforced,
            } => {
                process.pid = Some(pid);
                process.restarts = restarts;
                process.unenforced = unenforced;
                process.failure = None;
                if !init {
                    self.begin_probes(now, name);
                }
            }
            ProcessChange::StartFailed(reason) => {
                process.pid = None;
                process.failure = Some(reason);
            }
            ProcessChange::PostStart => {
                process.post_start = true;
                process.failure = None;
            }
            ProcessChange::Exited { exit, success } => {
                process.pid = None;
                process.last_exit = Some(exit);
                process.said = Said::default();
                if init && success {
                    self.processes.retain(|process| process.name != *name);
                }
            }
            ProcessChange::Said(_) | ProcessChange::Spared => {}
        }
    }

    /// How often the current start of a process came again.
    pub(super) fn restarts_of(&self, name: &ProcessName) -> u32 {
        let found = self.processes.iter().find(|process| process.name == *name);
        found.map_or(0, |process| process.restarts)
    }

    fn hear(&mut self, now: Timestamp, name: &ProcessName, init: bool, said: Said) {
        if let Some((_, probes)) = self.probes.get_mut(name) {
            probes.hear(now, &said);
        }
        self.process(name, init).said = said;
    }

    /// Comes to verdicts about what was said, and not said, by now.
    pub(super) fn listen(&mut self, now: Timestamp) {
        if let Some(stop) = &mut self.stop {
            stop.overdue |= stop.overdue_at <= now;
        }
        let mut verdicts = Vec::new();
        for (process, (_, probes)) in &mut self.probes {
            while let Some((kind, verdict)) = probes.listen(now) {
                verdicts.push((process.clone(), kind, verdict));
            }
        }
        for (process, kind, verdict) in verdicts {
            self.conclude(now, &process, kind, &verdict);
        }
    }

    /// What follows for the process from a verdict about it.
    fn conclude(
        &mut self,
        now: Timestamp,
        process: &ProcessName,
        kind: ProbeKind,
        verdict: &Verdict,
    ) {
        // The result of an attempt that was under way when the stop came.
        if self.stopping() {
            return;
        }
        match (kind, verdict) {
            (ProbeKind::Startup, Verdict::Passed) if self.sidecars.contains(process) => {
                self.passes.insert(process.clone(), now);
            }
            (ProbeKind::Startup | ProbeKind::Liveness, Verdict::Failed) => {
                let grace = self.grace_after(process, kind);
                let restart = Restart { at: now, grace };
                self.restarts.insert(process.clone(), restart);
            }
            (ProbeKind::Startup | ProbeKind::Liveness, Verdict::Passed)
            | (ProbeKind::Readiness, _) => {}
        }
    }

    /// The state of a process. Init processes come and go: each is known from its first event on.
    fn process(&mut self, name: &ProcessName, init: bool) -> &mut ProcessState {
        let found = self.processes.iter().position(|p| p.name == *name);
        let index = found.unwrap_or_else(|| {
            let at = if init { 0 } else { self.processes.len() };
            let state = ProcessState::new(name.clone(), init);
            self.processes.insert(at, state);
            at
        });
        &mut self.processes[index]
    }

    pub(super) fn init_done(&mut self) {
        self.init_done = true;
        self.processes.retain(|process| !process.init);
    }

    /// The grace period of a process whose probe failed, if the probe says one.
    fn grace_after(&self, process: &ProcessName, kind: ProbeKind) -> Option<Duration> {
        let spec = self.specs.get(process)?.get(kind)?;
        let seconds = spec.termination_grace_period_seconds?;
        Some(Duration::from_secs(seconds.into()))
    }

    /// The attempts that are due. A stop ends startup and liveness probes: the process may be busy
    /// stopping.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<AttemptId> {
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
        if let Some(verdict) = probes.result(now, attempt.kind, outcome) {
            self.conclude(now, &attempt.process, attempt.kind, &verdict);
        }
    }

    /// The processes that are to be told to restart now, with their grace periods; each is told
    /// once.
    pub(super) fn restarts_due(&mut self, now: Timestamp) -> Vec<(ProcessName, Option<Duration>)> {
        let due = self.restarts.extract_if(.., |_, restart| restart.at <= now);
        due.map(|(process, restart)| (process, restart.grace))
            .collect()
    }

    pub(super) fn restart_failed(&mut self, now: Timestamp, process: &ProcessName) {
        let Some((_, probes)) = self.probes.get(process) else {
            return;
        };
        if !probes.halted() || self.stopping() {
            return;
        }
        let failed = if probes.started() {
            ProbeKind::Liveness
        } else {
            ProbeKind::Startup
        };
        let at = now.plus(TELL_AGAIN);
        let grace = self.grace_after(process, failed);
        self.restarts.insert(process.clone(), Restart { at, grace });
    }

    /// The sidecars of which the keeper is to be told now that their startup probe passed.
    pub(super) fn passes_due(&mut self, now: Timestamp) -> Vec<ProcessName> {
        let due = self.passes.extract_if(.., |_, at| *at <= now);
        due.map(|(process, _)| process).collect()
    }

    pub(super) fn passed_lost(&mut self, now: Timestamp, process: ProcessName) {
        let runs = self.probes.get(&process);
        if runs.is_some_and(|(_, probes)| probes.started()) && !self.stopping() {
            self.passes.insert(process, now.plus(TELL_AGAIN));
        }
    }

    pub(super) fn wake_at(&mut self) -> Option<Timestamp> {
        let probes = self.probes.values_mut();
        let probes = probes.filter_map(|(_, probes)| probes.wake_at());
        let Some(stop) = &self.stop else {
            let restarts = self.restarts.values().map(|restart| restart.at);
            let told = restarts.chain(self.passes.values().copied());
            return probes.chain(told).chain(self.volumes.wake_at()).min();
        };
        let overdue = (!stop.overdue).then_some(stop.overdue_at);
        probes.chain(overdue).min()
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
        let ended = |p: &ProcessState| p.last_exit.is_some() || p.failure.is_some();
        let waits = |p: &ProcessState| p.pid.is_none() && !p.post_start && ended(p);
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
        if let Some(reason) = &state.failure {
            return Some(reason.clone());
        }
        if state.init {
            return Some(Reason::InitProcess {
                process,
                exit: state.last_exit.clone(),
                restarts: state.restarts,
            });
        }
        if state.post_start {
            let error = None;
            return Some(Reason::PostStart { process, error });
        }
        if state.pid.is_none() {
            let (exit, restarts) = (state.last_exit.clone()?, state.restarts);
            return Some(Reason::BackOff {
                process,
                exit,
                restarts,
            });
        }
        if state.spared {
            let processes = vec![process];
            return Some(Reason::NeverKilled { processes });
        }
        let (_, probes) = self.probes.get(&process)?;
        if !probes.started() {
            let error = probes.error(ProbeKind::Startup);
            return Some(Reason::StartupProbe(ProbeFailure { process, error }));
        }
        if probes.halted() {
            let error = probes.error(ProbeKind::Liveness);
            return Some(Reason::LivenessProbe(ProbeFailure { process, error }));
        }
        if !probes.ready() {
            let error = probes.error(ProbeKind::Readiness);
            return Some(Reason::ReadinessProbe(ProbeFailure { process, error }));
        }
        None
    }
}

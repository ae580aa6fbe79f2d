//! The life of one member under its keeper: init processes one after another, with the sidecars
//! among them, then the mains; restarts with back-off; the stop sequence. `step(now, event)` returns
//! what to do, and [`KeeperMachine::deadline`] says when to come back without an event.
//!
//! A process has started when what is to be done beside its start (postStart) has ended well; if it
//! does not, the process is stopped and counts as failed. The next one in the order waits for it,
//! and, behind a sidecar with a startup probe, for that probe. Only the first start of each keeps
//! the order: what comes back later waits for nobody.
//!
//! A stop (and each restart of some processes) goes through them in reverse order of start: preStop,
//! stop signal, wait for the end, next. So sidecars go after the mains. One grace period covers all
//! of it. What is left then is killed, but for what is never to be: then the rest keeps its order
//! and waits on. A stop is over only when the keeper has no child any more ([`Event::Empty`]), so
//! that a daemon that slipped away counts too.

use std::time::Duration;

use super::{Backoff, BackoffLimits, Exit, Jitter};
use crate::{ids::ProcessName, time::Timestamp};

mod event;
mod start;
mod stop;

pub use event::{Effect, Event, MemberPlan, ProcessPlan, RestartPlan, Role, Slot, SlotView};
use stop::{Sequence, Told};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Not begun, or not to be started again.
    Down,
    /// [`Effect::Start`] is under way.
    Starting,
    Running {
        since: Timestamp,
        /// What is to be done beside the start has not ended.
        post_start: bool,
    },
    BackOff {
        until: Timestamp,
    },
}

#[derive(Debug, Clone)]
struct Process {
    plan: ProcessPlan,
    life: Life,
    /// Whether its first start was asked for.
    asked: bool,
    /// Of a sidecar: whether what comes next may start. It stays so.
    opened: bool,
    /// It is being stopped because it failed.
    failed: bool,
    /// How far its end is under way.
    told: Told,
    starts: u32,
    last_exit: Option<Exit>,
    backoff: Backoff,
}

impl Process {
    fn new(plan: ProcessPlan) -> Self {
        Self {
            plan,
            life: Life::Down,
            asked: false,
            opened: false,
            failed: false,
            told: Told::Nothing,
            starts: 0,
            last_exit: None,
            backoff: Backoff::default(),
        }
    }

    /// Whether its start is under way, with what is to be done beside it.
    fn starting(&self) -> bool {
        match self.life {
            Life::Starting => true,
            Life::Running { post_start, .. } => post_start,
            Life::Down | Life::BackOff { .. } => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Init,
    Up,
    /// The stop sequence is at work.
    Stopping,
    /// Everything was killed; the last child is waited for.
    Draining,
    Finished,
}

/// The life of one member under its keeper.
#[derive(Debug, Clone)]
pub struct KeeperMachine {
    processes: Vec<Process>,
    grace: Duration,
    limits: BackoffLimits,
    phase: Phase,
    /// Restarts under way, or the stop.
    sequences: Vec<Sequence>,
}

impl KeeperMachine {
    /// A member that has not begun.
    pub fn new(plan: MemberPlan) -> Self {
        Self {
            processes: plan.processes.into_iter().map(Process::new).collect(),
            grace: plan.grace,
            limits: plan.backoff,
            phase: Phase::New,
            sequences: Vec::new(),
        }
    }

    /// Takes an event at an instant of any clock that only goes forward; `jitter` is used if it
    /// leads to a pause.
    pub fn step(&mut self, now: Timestamp, jitter: Jitter, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        match event {
            Event::Begin => self.begin(&mut out),
            Event::Executed(slot) => self.executed(now, slot, &mut out),
            Event::NotExecuted(slot) => self.not_executed(now, jitter, slot, &mut out),
            Event::PostStartEnded(slot, well) => self.post_start_ended(now, slot, well, &mut out),
            Event::Passed(slot) => self.passed(slot, &mut out),
            Event::Exited(slot, exit) => self.exited(now, jitter, (slot, exit), &mut out),
            Event::PreStopEnded(slot) => self.pre_stop_ended(now, slot, &mut out),
            Event::Empty => {
                if self.phase == Phase::Draining {
                    self.phase = Phase::Finished;
                    out.push(Effect::Finish);
                }
            }
            Event::Stop(grace) => self.stop(now, grace, &mut out),
            Event::Kill => self.kill_all(&mut out),
            Event::Restart(plan) => self.restart(now, &plan, &mut out),
            Event::Tick => self.tick(now, &mut out),
        }
        out
    }

    /// When [`Event::Tick`] is due.
    pub fn deadline(&self) -> Option<Timestamp> {
        let waits = self.processes.iter().filter_map(|p| match p.life {
            Life::BackOff { until } => Some(until),
            Life::Down | Life::Starting | Life::Running { .. } => None,
        });
        let sequences = self.sequences.iter().filter_map(|s| s.deadline);
        waits.chain(sequences).min()
    }

    /// Every process, in the order of the slots.
    pub fn views(&self, now: Timestamp) -> impl Iterator<Item = SlotView<'_>> {
        let slots = (0..self.processes.len()).map(Slot);
        slots.zip(&self.processes).map(move |(slot, p)| SlotView {
            name: &p.plan.name,
            init: p.plan.role == Role::Init,
            running: matches!(p.life, Life::Running { .. }),
            post_start: p.life != Life::Starting && p.starting(),
            restarts: p.starts.saturating_sub(1),
            last_exit: p.last_exit,
            restart_in: match p.life {
                Life::BackOff { until } => Some(until.since(now)),
                Life::Down | Life::Starting | Life::Running { .. } => None,
            },
            spared: self.spares(slot),
        })
    }

    /// Whether what is said of a process is said of its current start, by how often it was started
    /// again; whoever names none means the current one.
    pub fn is_current(&self, slot: Slot, restarts: Option<u32>) -> bool {
        restarts.is_none_or(|restarts| restarts == self.starts(slot).saturating_sub(1))
    }

    /// How often a process was started.
    pub fn starts(&self, slot: Slot) -> u32 {
        self.processes.get(slot.0).map_or(0, |p| p.starts)
    }

    /// Whether a process is an init process that runs to its end.
    pub fn is_init(&self, slot: Slot) -> bool {
        self.role(slot) == Some(Role::Init)
    }

    fn role(&self, slot: Slot) -> Option<Role> {
        self.processes.get(slot.0).map(|p| p.plan.role)
    }

    /// The slot of a process.
    pub fn slot(&self, name: &ProcessName) -> Option<Slot> {
        let found = self.processes.iter().position(|p| p.plan.name == *name);
        found.map(Slot)
    }

    /// The processes that the member is for.
    pub fn mains(&self) -> Vec<Slot> {
        let all = (0..self.processes.len()).map(Slot);
        all.filter(|slot| self.role(*slot) == Some(Role::Main))
            .collect()
    }

    /// Whether a process can be stopped and started again now: a sidecar or a main that was started.
    /// A first start keeps its place in the order, whatever else is restarted.
    pub fn may_restart(&self, slot: Slot) -> bool {
        let asked = self.processes.get(slot.0).is_some_and(|p| p.asked);
        let up = matches!(self.phase, Phase::Init | Phase::Up);
        asked && up && !self.is_init(slot)
    }

    /// Whether every init process has exited with 0.
    pub fn init_done(&self) -> bool {
        !matches!(self.phase, Phase::New | Phase::Init)
    }

    /// Whether a stop or kill was asked for.
    pub fn stopping(&self) -> bool {
        matches!(
            self.phase,
            Phase::Stopping | Phase::Draining | Phase::Finished
        )
    }

    /// Whether everything was killed: nothing may begin any more.
    pub fn killed(&self) -> bool {
        matches!(self.phase, Phase::Draining | Phase::Finished)
    }

    /// Whether a stop or kill is over.
    pub fn finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    fn exited(
        &mut self,
        now: Timestamp,
        jitter: Jitter,
        (slot, exit): (Slot, Exit),
        out: &mut Vec<Effect>,
    ) {
        let (stopping, in_sequence) = (self.stopping(), self.in_sequence(slot));
        let Some(process) = self.processes.get_mut(slot.0) else {
            return;
        };
        let Life::Running { since, post_start } = process.life else {
            return;
        };
        process.last_exit = Some(exit);
        process.life = Life::Down;
        let failed = std::mem::take(&mut process.failed);
        let told = std::mem::replace(&mut process.told, Told::Nothing);
        if self.phase != Phase::Draining {
            out.push(Effect::KillProcess(slot));
        }
        if post_start || told == Told::PreStop {
            out.push(Effect::EndHook(slot));
        }
        let init_over = self.is_init(slot) && exit.success();
        if stopping || init_over || (in_sequence && !failed) {
            let again = (in_sequence && !stopping).then_some(Duration::ZERO);
            out.push(Effect::TellExited(slot, exit, again));
        } else {
            // One that never got as far as to be started has not run.
            let ran = if post_start {
                Duration::ZERO
            } else {
                now.since(since)
            };
            self.start_later(now, jitter, (slot, exit, ran), out);
        }
        self.advance(out);
        self.go_on(out);
    }

    fn start_later(
        &mut self,
        now: Timestamp,
        jitter: Jitter,
        (slot, exit, ran): (Slot, Exit, Duration),
        out: &mut Vec<Effect>,
    ) {
        let Some(process) = self.processes.get_mut(slot.0) else {
            return;
        };
        let pause = process.backoff.ended(&self.limits, ran, jitter);
        if !pause.is_zero() {
            process.life = Life::BackOff {
                until: now.plus(pause),
            };
        }
        out.push(Effect::TellExited(slot, exit, Some(pause)));
        self.leave_sequences(slot);
        if pause.is_zero() {
            self.start(slot, out);
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        for at in 0..self.sequences.len() {
            let deadline = self.sequences.get(at).and_then(|s| s.deadline);
            if deadline.is_some_and(|due| due <= now) {
                self.overdue(now, at, out);
            }
        }
        let due: Vec<_> = self
            .processes
            .iter()
            .enumerate()
            .filter(|(_, p)| matches!(p.life, Life::BackOff { until } if until <= now))
            .map(|(index, _)| Slot(index))
            .collect();
        for slot in due {
            self.start(slot, out);
        }
    }
}

#[cfg(test)]
mod tests;

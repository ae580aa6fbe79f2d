//! The life of one member under its keeper: init processes one after another, then the processes;
//! restarts with back-off; the stop sequence. `step(now, event)` returns what to do, and
//! [`KeeperMachine::deadline`] says when to come back without an event.
//!
//! A stop (and a restart of some processes) goes through them in reverse order of start: preStop,
//! stop signal, wait for the end, next. One grace period covers all of it. What is left then is
//! killed. A stop is over only when the keeper has no child any more ([`Event::Empty`]), so that a
//! daemon that slipped away counts too.

use std::time::Duration;

use super::{Backoff, Exit, Jitter};
use crate::{ids::ProcessName, time::Timestamp};

mod event;
mod stop;

pub use event::{Effect, Event, MemberPlan, ProcessPlan, Slot, SlotView};
use stop::Sequence;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Not begun, or not to be started again.
    Down,
    /// [`Effect::Start`] is under way.
    Starting,
    Running {
        since: Timestamp,
    },
    BackOff {
        until: Timestamp,
    },
}

#[derive(Debug, Clone)]
struct Process {
    plan: ProcessPlan,
    init: bool,
    life: Life,
    starts: u32,
    last_exit: Option<Exit>,
    backoff: Backoff,
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
    inits: usize,
    grace: Duration,
    phase: Phase,
    sequence: Option<Sequence>,
}

impl KeeperMachine {
    /// A member that has not begun.
    pub fn new(plan: MemberPlan) -> Self {
        let process = |init| {
            move |plan| Process {
                plan,
                init,
                life: Life::Down,
                starts: 0,
                last_exit: None,
                backoff: Backoff::default(),
            }
        };
        let inits = plan.init.len();
        let init = plan.init.into_iter().map(process(true));
        Self {
            processes: init
                .chain(plan.processes.into_iter().map(process(false)))
                .collect(),
            inits,
            grace: plan.grace,
            phase: Phase::New,
            sequence: None,
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
            Event::Exited(slot, exit) => self.exited(now, jitter, (slot, exit), &mut out),
            Event::PreStopEnded(slot) => self.pre_stop_ended(slot, &mut out),
            Event::Empty => {
                if self.phase == Phase::Draining {
                    self.phase = Phase::Finished;
                    out.push(Effect::Finish);
                }
            }
            Event::Stop(grace) => self.stop(now, grace, &mut out),
            Event::Kill => self.kill_all(&mut out),
            Event::Restart(slots) => self.restart(now, &slots, &mut out),
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
        waits
            .chain(self.sequence.as_ref().map(|s| s.deadline))
            .min()
    }

    /// Every process, in the order of the slots.
    pub fn views(&self, now: Timestamp) -> impl Iterator<Item = SlotView<'_>> {
        self.processes.iter().map(move |p| SlotView {
            name: &p.plan.name,
            init: p.init,
            running: matches!(p.life, Life::Running { .. }),
            restarts: p.starts.saturating_sub(1),
            last_exit: p.last_exit,
            restart_in: match p.life {
                Life::BackOff { until } => Some(until.since(now)),
                Life::Down | Life::Starting | Life::Running { .. } => None,
            },
        })
    }

    /// How often a process was started.
    pub fn starts(&self, slot: Slot) -> u32 {
        self.processes.get(slot.0).map_or(0, |p| p.starts)
    }

    /// How many slots are those of init processes.
    pub fn inits(&self) -> usize {
        self.inits
    }

    /// The slot of a process.
    pub fn slot(&self, name: &ProcessName) -> Option<Slot> {
        let found = self.processes.iter().position(|p| p.plan.name == *name);
        found.map(Slot)
    }

    /// The processes that are no init processes.
    pub fn mains(&self) -> Vec<Slot> {
        (self.inits..self.processes.len()).map(Slot).collect()
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

    /// Whether a stop or kill is over.
    pub fn finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    fn begin(&mut self, out: &mut Vec<Effect>) {
        if self.phase == Phase::New {
            self.phase = Phase::Init;
            self.next_init(out);
        }
    }

    /// Starts the first init process that has not exited with 0, or else the processes.
    fn next_init(&mut self, out: &mut Vec<Effect>) {
        let inits = self.processes.iter().take(self.inits);
        let undone = inits
            .enumerate()
            .find(|(_, p)| !p.last_exit.is_some_and(Exit::success));
        if let Some((index, _)) = undone {
            self.start(Slot(index), out);
            return;
        }
        self.phase = Phase::Up;
        out.push(Effect::TellInitDone);
        for slot in self.mains() {
            self.start(slot, out);
        }
    }

    fn start(&mut self, slot: Slot, out: &mut Vec<Effect>) {
        if let Some(process) = self.processes.get_mut(slot.0) {
            process.life = Life::Starting;
            out.push(Effect::Start(slot));
        }
    }

    fn executed(&mut self, now: Timestamp, slot: Slot, out: &mut Vec<Effect>) {
        if let Some(process) = self.processes.get_mut(slot.0) {
            process.life = Life::Running { since: now };
            process.starts = process.starts.saturating_add(1);
        }
        // It was started in the same breath in which a stop came.
        if self.phase == Phase::Draining {
            out.push(Effect::KillAll);
        }
    }

    fn not_executed(&mut self, now: Timestamp, jitter: Jitter, slot: Slot, out: &mut Vec<Effect>) {
        let stopping = self.stopping();
        let Some(process) = self.processes.get_mut(slot.0) else {
            return;
        };
        if stopping {
            process.life = Life::Down;
            return;
        }
        let pause = process.backoff.ended(Duration::ZERO, jitter);
        process.life = Life::BackOff {
            until: now.plus(pause),
        };
        out.push(Effect::TellNotExecuted(slot, pause));
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
        let Life::Running { since } = process.life else {
            return;
        };
        process.last_exit = Some(exit);
        process.life = Life::Down;
        if self.phase != Phase::Draining {
            out.push(Effect::KillProcess(slot));
        }
        let init_over = process.init && exit.success();
        if stopping || in_sequence || init_over {
            let again = (in_sequence && !stopping).then_some(Duration::ZERO);
            out.push(Effect::TellExited(slot, exit, again));
            if init_over && !stopping {
                self.next_init(out);
            } else {
                self.advance(out);
            }
            return;
        }
        let pause = process.backoff.ended(now.since(since), jitter);
        out.push(Effect::TellExited(slot, exit, Some(pause)));
        if pause.is_zero() {
            self.start(slot, out);
        } else {
            process.life = Life::BackOff {
                until: now.plus(pause),
            };
        }
    }

    fn in_sequence(&self, slot: Slot) -> bool {
        self.sequence
            .as_ref()
            .is_some_and(|s| s.again.contains(&slot))
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.sequence.as_ref().is_some_and(|s| s.deadline <= now) {
            if self.phase == Phase::Stopping {
                self.kill_all(out);
                return;
            }
            self.kill_sequence(now, out);
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

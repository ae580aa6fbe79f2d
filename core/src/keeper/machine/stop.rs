//! The ways down: the stop sequence, restarts through it, and KILL.

use std::time::Duration;

use super::{Effect, KeeperMachine, Life, Phase, Process, RestartPlan, Slot};
use crate::time::Timestamp;

/// What the stop signal has at least after a preStop that took the whole grace period, once in a
/// sequence; the number of Kubernetes.
const AFTER_PRE_STOP: Duration = Duration::from_secs(2);
/// Before something that was killed and is still there is killed again, at least.
const KILL_AGAIN: Duration = Duration::from_secs(1);

/// Processes on their way down, one after another. Restarts go on side by side, each in its own time:
/// one that takes long holds no other up, and cuts no other's grace period. A stop is one for all.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequence {
    /// Still to be stopped; the last one is next.
    queue: Vec<Slot>,
    /// Being stopped.
    current: Option<Slot>,
    /// The signal had its time after a preStop that was too long.
    extended: bool,
    /// When the grace period is over; none once it is, and something waits on all the same.
    pub(super) deadline: Option<Timestamp>,
    /// It is over: what may be killed is killed when its turn comes, the rest gets its signal.
    overdue: bool,
    /// Started again afterwards, in this order; empty if the member stops.
    again: Vec<Slot>,
}

impl Sequence {
    /// Whether it has still to do with a process.
    fn has(&self, slot: Slot) -> bool {
        self.stops(slot) || self.again.contains(&slot)
    }

    /// Whether a process is on its way down in it, or its turn is to come.
    fn stops(&self, slot: Slot) -> bool {
        self.current == Some(slot) || self.queue.contains(&slot)
    }

    /// Has nothing more to do with a process: it is down and has a start of its own to wait for.
    fn leave(&mut self, slot: Slot) {
        self.current.take_if(|current| *current == slot);
        self.queue.retain(|other| *other != slot);
        self.again.retain(|other| *other != slot);
    }

    fn shorten(&mut self, deadline: Timestamp) {
        self.deadline = self.deadline.map(|old| old.min(deadline));
    }
}

/// What a process that runs was told about its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    /// Its preStop is at work.
    PreStop,
    /// The stop signal.
    Signal,
}

impl Process {
    /// Gives up a start that it waits for.
    fn forget_start(&mut self) {
        if matches!(self.life, Life::BackOff { .. }) {
            self.life = Life::Down;
        }
    }
}

impl KeeperMachine {
    pub(super) fn stop(&mut self, now: Timestamp, grace: Option<Duration>, out: &mut Vec<Effect>) {
        let deadline = now.plus(grace.unwrap_or(self.grace));
        match self.phase {
            Phase::New | Phase::Init | Phase::Up => {}
            Phase::Stopping => {
                for sequence in &mut self.sequences {
                    sequence.shorten(deadline);
                }
                return;
            }
            Phase::Draining | Phase::Finished => return,
        }
        self.phase = Phase::Stopping;
        for process in &mut self.processes {
            process.forget_start();
        }
        // What restarts are taking down goes on its way, and is waited for first.
        let restarts = std::mem::take(&mut self.sequences);
        let current: Vec<Slot> = restarts.iter().filter_map(|s| s.current).collect();
        let all = (0..self.processes.len()).map(Slot);
        let mut queue: Vec<Slot> = all.filter(|slot| !current.contains(slot)).collect();
        queue.extend(current);
        self.sequences.push(Sequence {
            queue,
            deadline: Some(deadline),
            ..Sequence::default()
        });
        self.advance(out);
    }

    pub(super) fn restart(&mut self, now: Timestamp, plan: &RestartPlan, out: &mut Vec<Effect>) {
        let deadline = now.plus(plan.grace.unwrap_or(self.grace));
        let mut slots = plan.slots.clone();
        slots.retain(|slot| self.may_restart(*slot));
        if plan.failed {
            // What is down, or on its way, has its own time to come back.
            slots.retain(|slot| self.runs(*slot));
        } else {
            let twice = |s: &&mut Sequence| slots.iter().any(|slot| s.has(*slot));
            for sequence in self.sequences.iter_mut().filter(twice) {
                sequence.shorten(deadline);
            }
        }
        slots.retain(|slot| !self.in_sequence(*slot));
        slots.sort();
        slots.dedup();
        for slot in &slots {
            if let Some(process) = self.processes.get_mut(slot.0) {
                process.failed = plan.failed;
                process.forget_start();
            }
        }
        if slots.is_empty() {
            return;
        }
        self.sequences.push(Sequence {
            queue: slots.clone(),
            again: slots,
            deadline: Some(deadline),
            ..Sequence::default()
        });
        self.advance(out);
    }

    fn runs(&self, slot: Slot) -> bool {
        let process = self.processes.get(slot.0);
        process.is_some_and(|p| matches!(p.life, Life::Running { .. }))
    }

    fn is_down(&self, slot: Slot) -> bool {
        let process = self.processes.get(slot.0);
        process.is_none_or(|p| p.life == Life::Down)
    }

    pub(super) fn in_sequence(&self, slot: Slot) -> bool {
        self.sequences.iter().any(|sequence| sequence.has(slot))
    }

    /// No restart has anything more to do with a process.
    pub(super) fn leave_sequences(&mut self, slot: Slot) {
        for sequence in &mut self.sequences {
            sequence.leave(slot);
        }
    }

    /// Goes on with the sequences whose current process is down.
    pub(super) fn advance(&mut self, out: &mut Vec<Effect>) {
        let mut at = 0;
        while at < self.sequences.len() {
            self.release(at, out);
            if self.proceed(at, out) {
                at += 1;
                continue;
            }
            let over = self.sequences.remove(at);
            if self.phase == Phase::Stopping {
                self.kill_all(out);
            }
            for slot in over.again {
                self.start(slot, out);
            }
        }
    }

    /// Takes the next process of a sequence down, if it is time to. False once none is left.
    fn proceed(&mut self, at: usize, out: &mut Vec<Effect>) -> bool {
        let current = self.sequences.get(at).and_then(|s| s.current);
        if current.is_some_and(|slot| !self.is_down(slot)) {
            return true;
        }
        let next = |s: &mut Sequence| s.queue.pop();
        while let Some(slot) = self.sequences.get_mut(at).and_then(next) {
            if !self.is_down(slot) {
                self.take_down(at, slot, out);
                return true;
            }
        }
        false
    }

    /// Nothing waits for a restart that is overdue: what is down is started without the others.
    fn release(&mut self, at: usize, out: &mut Vec<Effect>) {
        let sequence = self.sequences.get(at);
        let Some(sequence) = sequence.filter(|s| s.overdue && self.phase != Phase::Stopping) else {
            return;
        };
        let mut free = sequence.again.clone();
        free.retain(|slot| self.is_down(*slot));
        for slot in free {
            self.leave_sequences(slot);
            self.start(slot, out);
        }
    }

    /// The first thing to do about a process whose turn it is.
    fn take_down(&mut self, at: usize, slot: Slot, out: &mut Vec<Effect>) {
        let (Some(process), Some(sequence)) =
            (self.processes.get_mut(slot.0), self.sequences.get_mut(at))
        else {
            return;
        };
        sequence.current = Some(slot);
        let plan = &process.plan;
        if sequence.overdue && !plan.never_kill {
            out.push(Effect::KillProcess(slot));
            return;
        }
        if sequence.overdue {
            out.push(Effect::TellSpared(slot));
        }
        // A restart may have told it before the stop came.
        if process.told != Told::Nothing {
            return;
        }
        if plan.pre_stop && !sequence.overdue {
            process.told = Told::PreStop;
            out.push(Effect::PreStop(slot));
        } else {
            process.told = Told::Signal;
            out.push(Effect::Signal(slot, plan.stop_signal));
        }
    }

    pub(super) fn pre_stop_ended(&mut self, now: Timestamp, slot: Slot, out: &mut Vec<Effect>) {
        let process = self.processes.get_mut(slot.0);
        let Some(process) = process.filter(|p| p.told == Told::PreStop) else {
            return;
        };
        process.told = Told::Signal;
        out.push(Effect::Signal(slot, process.plan.stop_signal));
        // However long it took, the signal has its time.
        let least = now.plus(AFTER_PRE_STOP);
        let short = |s: &&mut Sequence| s.stops(slot) && s.deadline.is_some_and(|at| at < least);
        for sequence in self.sequences.iter_mut().filter(short) {
            if !std::mem::replace(&mut sequence.extended, true) {
                sequence.deadline = Some(least);
            }
        }
    }

    /// The grace period of a sequence is over.
    pub(super) fn overdue(&mut self, now: Timestamp, at: usize, out: &mut Vec<Effect>) {
        let spared = |p: &Process| p.plan.never_kill && p.life != Life::Down;
        let spares = self.processes.iter().any(spared);
        let Some(sequence) = self.sequences.get_mut(at) else {
            return;
        };
        let mut hooks = false;
        for (index, process) in self.processes.iter_mut().enumerate() {
            let slot = Slot(index);
            if process.told != Told::PreStop || !sequence.stops(slot) {
                continue;
            }
            hooks = true;
            process.told = Told::Signal;
            out.push(Effect::EndHook(slot));
            if !sequence.extended || process.plan.never_kill {
                out.push(Effect::Signal(slot, process.plan.stop_signal));
            }
        }
        if hooks && !std::mem::replace(&mut sequence.extended, true) {
            sequence.deadline = Some(now.plus(AFTER_PRE_STOP));
            return;
        }
        if self.phase == Phase::Stopping && !spares {
            self.kill_all(out);
            return;
        }
        let again = std::mem::replace(&mut sequence.overdue, true);
        sequence.deadline = None;
        let current = sequence.current;
        let current = current.and_then(|slot| Some((slot, self.processes.get(slot.0)?)));
        match current {
            Some((_, process)) if process.plan.never_kill && again => {}
            Some((slot, process)) if process.plan.never_kill => out.push(Effect::TellSpared(slot)),
            Some((slot, _)) => {
                sequence.deadline = Some(now.plus(self.grace.max(KILL_AGAIN)));
                out.push(Effect::KillProcess(slot));
            }
            None => {}
        }
        self.release(at, out);
    }

    /// Whether a process is waited for beyond its grace period, because it is never killed.
    pub(super) fn spares(&self, slot: Slot) -> bool {
        let process = self.processes.get(slot.0);
        let overdue = |s: &Sequence| s.overdue && s.current == Some(slot);
        process.is_some_and(|p| p.plan.never_kill && p.life != Life::Down)
            && self.sequences.iter().any(overdue)
    }

    pub(super) fn kill_all(&mut self, out: &mut Vec<Effect>) {
        if self.phase == Phase::Finished {
            return;
        }
        self.phase = Phase::Draining;
        self.sequences.clear();
        for process in &mut self.processes {
            process.forget_start();
        }
        out.push(Effect::KillAll);
    }
}

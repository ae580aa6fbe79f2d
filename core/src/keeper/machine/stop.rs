//! The ways down: the stop sequence, restarts through it, and KILL.

use std::time::Duration;

use super::{Effect, KeeperMachine, Life, Phase, Process, RestartPlan, Slot};
use crate::time::Timestamp;

/// What the stop signal has at least after a preStop that took the whole grace period, once in a
/// sequence; the number of Kubernetes.
const AFTER_PRE_STOP: Duration = Duration::from_secs(2);
/// Before something that was killed and is still there is killed again, at least.
const KILL_AGAIN: Duration = Duration::from_secs(1);

/// Processes on their way down, one after another.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequence {
    /// Still to be stopped; the last one is next.
    queue: Vec<Slot>,
    /// Being stopped.
    pub(super) current: Option<Slot>,
    /// The preStop of the current one is at work.
    hook: bool,
    /// The signal had its time after a preStop that was too long.
    extended: bool,
    /// When the grace period is over; none once it is, and something waits on all the same.
    pub(super) deadline: Option<Timestamp>,
    /// It is over: what may be killed is killed when its turn comes, the rest gets its signal.
    overdue: bool,
    /// Started again afterwards, in this order; empty if the member stops.
    pub(super) again: Vec<Slot>,
}

impl Sequence {
    /// Forgets the hook of the current process; whether there was one.
    pub(super) fn end_hook(&mut self) -> bool {
        std::mem::take(&mut self.hook)
    }

    /// Has nothing more to do with a process: it is down and has a start of its own to wait for.
    pub(super) fn leave(&mut self, slot: Slot) {
        self.current.take_if(|current| *current == slot);
        self.queue.retain(|other| *other != slot);
        self.again.retain(|other| *other != slot);
    }
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
        match (&mut self.sequence, self.phase) {
            (Some(sequence), Phase::Stopping) => {
                sequence.deadline = sequence.deadline.map(|old| old.min(deadline));
                return;
            }
            (_, Phase::Draining | Phase::Finished) => return,
            (_, Phase::New | Phase::Init | Phase::Up | Phase::Stopping) => {}
        }
        self.phase = Phase::Stopping;
        let earlier = self.sequence.take().unwrap_or_default();
        for process in &mut self.processes {
            process.forget_start();
        }
        let all = (0..self.processes.len()).map(Slot);
        self.sequence = Some(Sequence {
            queue: all.filter(|slot| Some(*slot) != earlier.current).collect(),
            current: earlier.current,
            hook: earlier.hook,
            deadline: Some(deadline),
            ..Sequence::default()
        });
        self.advance(out);
    }

    pub(super) fn restart(&mut self, now: Timestamp, plan: &RestartPlan, out: &mut Vec<Effect>) {
        let able = plan.slots.iter().filter(|slot| self.may_restart(**slot));
        let slots: Vec<Slot> = able.copied().collect();
        if slots.is_empty() {
            return;
        }
        let deadline = now.plus(plan.grace.unwrap_or(self.grace));
        let mut sequence = self.sequence.take().unwrap_or_else(|| Sequence {
            deadline: Some(deadline),
            ..Sequence::default()
        });
        sequence.deadline = sequence.deadline.map(|old| old.min(deadline));
        for slot in slots {
            if sequence.again.contains(&slot) {
                continue;
            }
            sequence.again.push(slot);
            sequence.queue.push(slot);
            if let Some(process) = self.processes.get_mut(slot.0) {
                process.failed = plan.failed;
                process.forget_start();
            }
        }
        sequence.again.sort();
        sequence.queue.sort();
        self.sequence = Some(sequence);
        self.advance(out);
    }

    /// Goes on with the sequence once its current process is down.
    pub(super) fn advance(&mut self, out: &mut Vec<Effect>) {
        self.release(out);
        let Some(sequence) = &mut self.sequence else {
            return;
        };
        let down = |slot: &Slot| {
            let process = self.processes.get(slot.0);
            process.is_none_or(|p| p.life == Life::Down)
        };
        if sequence.current.is_some_and(|slot| !down(&slot)) {
            return;
        }
        sequence.current = None;
        while let Some(slot) = sequence.queue.pop() {
            if down(&slot) {
                continue;
            }
            sequence.current = Some(slot);
            self.take_down(slot, out);
            return;
        }
        if !sequence.again.iter().all(down) {
            return;
        }
        let again = std::mem::take(&mut sequence.again);
        self.sequence = None;
        if self.phase == Phase::Stopping {
            self.kill_all(out);
        }
        for slot in again {
            self.start(slot, out);
        }
    }

    /// Nothing waits for a restart that is overdue: what is down is started without the others.
    fn release(&mut self, out: &mut Vec<Effect>) {
        let Some(sequence) = self.sequence.as_mut() else {
            return;
        };
        if !sequence.overdue || self.phase == Phase::Stopping {
            return;
        }
        let down = |slot: &Slot| {
            let process = self.processes.get(slot.0);
            process.is_none_or(|p| p.life == Life::Down)
        };
        let free: Vec<Slot> = sequence.again.iter().copied().filter(down).collect();
        for slot in free {
            if let Some(sequence) = self.sequence.as_mut() {
                sequence.leave(slot);
            }
            self.start(slot, out);
        }
    }

    /// The first thing to do about a process whose turn it is.
    fn take_down(&mut self, slot: Slot, out: &mut Vec<Effect>) {
        let (Some(process), Some(sequence)) = (self.processes.get(slot.0), self.sequence.as_mut())
        else {
            return;
        };
        let plan = &process.plan;
        if sequence.overdue && !plan.never_kill {
            out.push(Effect::KillProcess(slot));
        } else if plan.pre_stop && !sequence.overdue {
            sequence.hook = true;
            out.push(Effect::PreStop(slot));
        } else {
            out.push(Effect::Signal(slot, plan.stop_signal));
        }
    }

    pub(super) fn pre_stop_ended(&mut self, now: Timestamp, slot: Slot, out: &mut Vec<Effect>) {
        let Some(sequence) = &mut self.sequence else {
            return;
        };
        if sequence.current != Some(slot) || !sequence.end_hook() {
            return;
        }
        // However long it took, the signal has its time.
        let least = now.plus(AFTER_PRE_STOP);
        if sequence.deadline.is_some_and(|at| at < least) && !sequence.extended {
            sequence.extended = true;
            sequence.deadline = Some(least);
        }
        if let Some(process) = self.processes.get(slot.0) {
            out.push(Effect::Signal(slot, process.plan.stop_signal));
        }
    }

    /// The grace period is over.
    pub(super) fn overdue(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let spared = |p: &Process| p.plan.never_kill && p.life != Life::Down;
        let stops = self.phase == Phase::Stopping;
        let spares = self.processes.iter().any(spared);
        let Some(sequence) = &mut self.sequence else {
            return;
        };
        let current = sequence.current.and_then(|slot| self.processes.get(slot.0));
        if let (Some(slot), Some(process)) = (sequence.current, current)
            && sequence.end_hook()
        {
            out.push(Effect::EndHook(slot));
            if !sequence.extended {
                sequence.extended = true;
                sequence.deadline = Some(now.plus(AFTER_PRE_STOP));
                out.push(Effect::Signal(slot, process.plan.stop_signal));
                return;
            }
            if process.plan.never_kill {
                out.push(Effect::Signal(slot, process.plan.stop_signal));
            }
        }
        if stops && !spares {
            self.kill_all(out);
            return;
        }
        sequence.overdue = true;
        sequence.deadline = None;
        if let (Some(slot), Some(process)) = (sequence.current, current)
            && !process.plan.never_kill
        {
            sequence.deadline = Some(now.plus(self.grace.max(KILL_AGAIN)));
            out.push(Effect::KillProcess(slot));
        }
        self.release(out);
    }

    pub(super) fn kill_all(&mut self, out: &mut Vec<Effect>) {
        if self.phase == Phase::Finished {
            return;
        }
        self.phase = Phase::Draining;
        self.sequence = None;
        for process in &mut self.processes {
            process.forget_start();
        }
        out.push(Effect::KillAll);
    }
}

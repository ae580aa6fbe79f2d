//! The ways down: the stop sequence, restarts through it, and KILL.

use std::time::Duration;

use super::{Effect, KeeperMachine, Life, Phase, Process, Slot};
use crate::time::Timestamp;

/// Processes on their way down, one after another.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    /// Still to be stopped; the last one is next.
    pub(super) queue: Vec<Slot>,
    /// Being stopped.
    pub(super) current: Option<Slot>,
    pub(super) deadline: Timestamp,
    /// Started again afterwards, in this order; empty if the member stops.
    pub(super) again: Vec<Slot>,
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
                sequence.deadline = sequence.deadline.min(deadline);
                return;
            }
            (_, Phase::Draining | Phase::Finished) => return,
            (_, Phase::New | Phase::Init | Phase::Up | Phase::Stopping) => {}
        }
        self.phase = Phase::Stopping;
        let current = self.sequence.take().and_then(|s| s.current);
        for process in &mut self.processes {
            process.forget_start();
        }
        let all = (0..self.processes.len()).map(Slot);
        self.sequence = Some(Sequence {
            queue: all.filter(|slot| Some(*slot) != current).collect(),
            current,
            deadline,
            again: Vec::new(),
        });
        self.advance(out);
    }

    pub(super) fn restart(&mut self, now: Timestamp, slots: &[Slot], out: &mut Vec<Effect>) {
        if self.phase != Phase::Up {
            return;
        }
        let deadline = now.plus(self.grace);
        let mut sequence = self.sequence.take().unwrap_or(Sequence {
            queue: Vec::new(),
            current: None,
            deadline,
            again: Vec::new(),
        });
        for slot in slots {
            let known = slot.0 >= self.inits && slot.0 < self.processes.len();
            if known && !sequence.again.contains(slot) {
                sequence.again.push(*slot);
                sequence.queue.push(*slot);
            }
        }
        sequence.again.sort();
        sequence.queue.sort();
        for slot in &sequence.again {
            if let Some(process) = self.processes.get_mut(slot.0) {
                process.forget_start();
            }
        }
        self.sequence = Some(sequence);
        self.advance(out);
    }

    /// Goes on with the sequence once its current process is down.
    pub(super) fn advance(&mut self, out: &mut Vec<Effect>) {
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
            match self.processes.get(slot.0) {
                Some(process) if process.plan.pre_stop => out.push(Effect::PreStop(slot)),
                Some(process) => out.push(Effect::Signal(slot, process.plan.stop_signal)),
                None => {}
            }
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

    pub(super) fn pre_stop_ended(&mut self, slot: Slot, out: &mut Vec<Effect>) {
        let current = self.sequence.as_ref().and_then(|s| s.current);
        if current != Some(slot) {
            return;
        }
        if let Some(process) = self.processes.get(slot.0) {
            out.push(Effect::Signal(slot, process.plan.stop_signal));
        }
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

    /// The grace period of a restart is over: what is still up is killed, and a further grace
    /// period bounds the wait for its end.
    pub(super) fn kill_sequence(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(sequence) = &mut self.sequence else {
            return;
        };
        sequence.queue.clear();
        sequence.current = None;
        sequence.deadline = now.plus(self.grace.max(Duration::from_secs(1)));
        let up = |slot: &&Slot| {
            let process = self.processes.get(slot.0);
            process.is_some_and(|p| p.life != Life::Down)
        };
        let left = sequence.again.iter().filter(up);
        out.extend(left.map(|slot| Effect::KillProcess(*slot)));
    }
}

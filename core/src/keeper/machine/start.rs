//! The way up: which process is started next, and when it counts as started.

use std::time::Duration;

use super::{Effect, Jitter, KeeperMachine, Life, Phase, RestartPlan, Role, Slot};
use crate::{keeper::Exit, time::Timestamp};

/// What an order of first starts says of one process.
enum Next {
    /// It is not started yet, and nothing before it is missing.
    Start,
    /// What comes after it waits.
    Wait,
    /// It holds nothing up.
    Pass,
}

impl KeeperMachine {
    pub(super) fn begin(&mut self, out: &mut Vec<Effect>) {
        if self.phase == Phase::New {
            self.phase = Phase::Init;
            self.go_on(out);
        }
    }

    /// Starts the next process in the order, if nothing before it is missing.
    pub(super) fn go_on(&mut self, out: &mut Vec<Effect>) {
        if self.phase == Phase::Init && self.next(false, out) {
            self.phase = Phase::Up;
            out.push(Effect::TellInitDone);
        }
        if self.phase == Phase::Up {
            self.next(true, out);
        }
    }

    /// Looks at the mains, or at what comes before them. Whether none of these is missing.
    fn next(&mut self, mains: bool, out: &mut Vec<Effect>) -> bool {
        for index in 0..self.processes.len() {
            let slot = Slot(index);
            if (self.role(slot) == Some(Role::Main)) != mains {
                continue;
            }
            match self.look(slot) {
                Next::Start => {
                    self.start(slot, out);
                    return false;
                }
                Next::Wait => return false,
                Next::Pass => {}
            }
        }
        true
    }

    fn look(&self, slot: Slot) -> Next {
        let Some(process) = self.processes.get(slot.0) else {
            return Next::Pass;
        };
        let holds = match process.plan.role {
            Role::Init => !process.last_exit.is_some_and(Exit::success),
            Role::Sidecar { .. } => !process.opened,
            Role::Main => process.starting(),
        };
        match (process.asked, holds) {
            (false, _) => Next::Start,
            (true, true) => Next::Wait,
            (true, false) => Next::Pass,
        }
    }

    pub(super) fn start(&mut self, slot: Slot, out: &mut Vec<Effect>) {
        if let Some(process) = self.processes.get_mut(slot.0) {
            process.life = Life::Starting;
            process.asked = true;
            out.push(Effect::Start(slot));
        }
    }

    pub(super) fn executed(&mut self, now: Timestamp, slot: Slot, out: &mut Vec<Effect>) {
        let Some(process) = self.processes.get_mut(slot.0) else {
            return;
        };
        let post_start = process.plan.post_start;
        process.life = Life::Running {
            since: now,
            post_start,
        };
        process.starts = process.starts.saturating_add(1);
        if self.phase == Phase::Draining {
            // It was started in the same breath in which a stop came.
            out.push(Effect::KillAll);
        } else if post_start {
            out.push(Effect::PostStart(slot));
        } else {
            self.started(slot, out);
        }
    }

    /// It counts as started from now on.
    fn started(&mut self, slot: Slot, out: &mut Vec<Effect>) {
        out.push(Effect::TellStarted(slot));
        if let Some(process) = self.processes.get_mut(slot.0) {
            let probed = process.plan.role
                == Role::Sidecar {
                    startup_probe: true,
                };
            process.opened |= !probed;
        }
        self.go_on(out);
    }

    pub(super) fn post_start_ended(
        &mut self,
        now: Timestamp,
        slot: Slot,
        well: bool,
        out: &mut Vec<Effect>,
    ) {
        let leaves = self.stopping() || self.in_sequence(slot);
        let Some(process) = self.processes.get_mut(slot.0) else {
            return;
        };
        let Life::Running { since, post_start } = process.life else {
            return;
        };
        // Of an earlier run, or of one that is on its way down anyway.
        if !post_start || leaves {
            return;
        }
        if well {
            process.life = Life::Running {
                since,
                post_start: false,
            };
            self.started(slot, out);
            return;
        }
        let plan = RestartPlan {
            slots: vec![slot],
            grace: None,
            failed: true,
        };
        self.restart(now, &plan, out);
    }

    pub(super) fn passed(&mut self, slot: Slot, out: &mut Vec<Effect>) {
        if let Some(process) = self.processes.get_mut(slot.0)
            && matches!(process.life, Life::Running { .. })
        {
            process.opened = true;
            self.go_on(out);
        }
    }

    pub(super) fn not_executed(
        &mut self,
        now: Timestamp,
        jitter: Jitter,
        slot: Slot,
        out: &mut Vec<Effect>,
    ) {
        let stopping = self.stopping();
        let Some(process) = self.processes.get_mut(slot.0) else {
            return;
        };
        if stopping {
            process.life = Life::Down;
            return;
        }
        let pause = process.backoff.ended(&self.limits, Duration::ZERO, jitter);
        process.life = Life::BackOff {
            until: now.plus(pause),
        };
        out.push(Effect::TellNotExecuted(slot, pause));
        self.go_on(out);
    }
}

//! Any events in any order, with a driver whose processes end when the test says so.

use proptest::prelude::*;

use super::*;

proptest! {
    /// Whatever happens: nothing runs twice, nothing starts once a stop was asked for, nothing is
    /// killed that must not be, a stop ends within its grace period (or when what is never killed
    /// ends), and without one every process is up or has a time to start.
    #[test]
    fn safe_after_every_event_and_live_at_the_end(
        kinds in proptest::collection::vec((0_u8..6, any::<[bool; 3]>()), 1..6),
        choices in proptest::collection::vec((0_u8..12, 0_usize..6, 0_u64..40_000), 0..80),
    ) {
        live(&kinds, &choices)?;
    }
}

type Kind = (u8, [bool; 3]);
type Choice = (u8, usize, u64);

/// One life, to a settled end.
fn live(kinds: &[Kind], choices: &[Choice]) -> Result<(), TestCaseError> {
    let plan = any_plan(kinds);
    let count = plan.processes.len();
    let mut w = World::new(plan);
    w.feed(Event::Begin)?;
    for (what, slot, wait) in choices.iter().copied() {
        let slot = slot % count;
        let at = Slot(slot);
        match what {
            0..=2 if w.running.contains(&at) => w.end(at, i32::from(what))?,
            3 => w.feed(Event::PreStopEnded(at))?,
            4 => w.feed(again(&[slot]))?,
            5 if wait < 4000 => w.stop(wait)?,
            6 => w.fail_next = true,
            7 => w.feed(failed(slot, wait))?,
            8 => w.feed(Event::PostStartEnded(at, wait % 3 > 0))?,
            9 => w.feed(Event::Passed(at))?,
            10 if wait < 8000 => w.restart_from(slot, count)?,
            _ => w.wait(wait)?,
        }
    }
    w.settle()
}

/// Found by the property: the last main, whose turn had not come, was asked to restart while a
/// sidecar did, could then not be executed, and was sent a signal while it waited to be tried again.
#[test]
fn a_restart_of_what_never_started_beside_another_restart_signals_nothing_that_is_down() {
    let kinds = [
        (3, [false; 3]),
        (3, [false; 3]),
        (1, [true, false, false]),
        (1, [false; 3]),
    ];
    let choices = [(7, 5, 0), (6, 0, 0), (4, 3, 0), (0, 2, 0), (0, 1, 0)];
    live(&kinds, &choices).unwrap();
}

fn any_plan(kinds: &[(u8, [bool; 3])]) -> MemberPlan {
    let roles = |main: bool| {
        let of_kind = move |(kind, _): &(u8, [bool; 3])| match kind {
            0 => (Role::Init, false),
            1 => (SIDECAR, false),
            2 => (PROBED, false),
            _ => (Role::Main, true),
        };
        let roles = kinds.iter().map(of_kind);
        roles
            .filter(move |(_, is)| *is == main)
            .map(|(role, _)| role)
    };
    let mut all: Vec<Role> = roles(false).chain(roles(true)).collect();
    if all.last() != Some(&Role::Main) {
        all.push(Role::Main);
    }
    let mut plan = of(&all, false);
    for (process, (_, [post_start, pre_stop, never_kill])) in plan.processes.iter_mut().zip(kinds) {
        let init = process.role == Role::Init;
        process.post_start = *post_start && !init;
        process.pre_stop = *pre_stop;
        process.never_kill = *never_kill;
    }
    plan
}

/// A driver whose processes end when the test says so.
struct World {
    machine: KeeperMachine,
    /// What is never killed, by slot.
    spared: Vec<bool>,
    pre_stop: bool,
    now: u64,
    running: std::collections::BTreeSet<Slot>,
    /// What runs and had its stop signal.
    signalled: std::collections::BTreeSet<Slot>,
    /// Several were restarted with one grace period for all, which may not be enough for each.
    several: bool,
    stop_by: Option<u64>,
    fail_next: bool,
    finished: bool,
}

impl World {
    fn new(plan: MemberPlan) -> Self {
        Self {
            spared: plan.processes.iter().map(|p| p.never_kill).collect(),
            pre_stop: plan.processes.iter().any(|p| p.pre_stop),
            machine: KeeperMachine::new(plan),
            now: 0,
            running: std::collections::BTreeSet::new(),
            signalled: std::collections::BTreeSet::new(),
            several: false,
            stop_by: None,
            fail_next: false,
            finished: false,
        }
    }

    fn feed(&mut self, event: Event) -> Result<(), TestCaseError> {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.machine.step(Timestamp(self.now), Jitter::NONE, event) {
                match effect {
                    Effect::Start(slot) => {
                        prop_assert!(self.stop_by.is_none(), "start after stop");
                        if std::mem::take(&mut self.fail_next) {
                            events.push(Event::NotExecuted(slot));
                        } else {
                            prop_assert!(self.running.insert(slot), "runs twice");
                            self.signalled.remove(&slot);
                            events.push(Event::Executed(slot));
                        }
                    }
                    Effect::KillAll => {
                        let all = std::mem::take(&mut self.running);
                        prop_assert!(!all.iter().any(|s| self.spared[s.0]), "kills {all:?}");
                        let killed = all.into_iter().map(|s| Event::Exited(s, Exit::Signal(9)));
                        events.push(Event::Empty);
                        events.extend(killed);
                    }
                    Effect::KillProcess(slot) => {
                        if self.running.remove(&slot) {
                            prop_assert!(!self.spared[slot.0], "kills {slot:?}");
                            let warned = self.signalled.contains(&slot);
                            let one_grace = self.several || self.stop_by.is_some();
                            prop_assert!(warned || one_grace, "kills {slot:?} out of the blue");
                            events.push(Event::Exited(slot, Exit::Signal(9)));
                        }
                    }
                    Effect::Signal(slot, _) => {
                        prop_assert!(self.running.contains(&slot), "signals what is down");
                        self.signalled.insert(slot);
                    }
                    Effect::Finish => {
                        prop_assert!(self.running.is_empty());
                        prop_assert!(!self.finished);
                        self.finished = true;
                    }
                    Effect::PostStart(slot) | Effect::PreStop(slot) => {
                        prop_assert!(self.running.contains(&slot), "a hook of what is down");
                    }
                    Effect::TellSpared(slot) => {
                        prop_assert!(self.running.contains(&slot), "what is down is waited for");
                        prop_assert!(self.machine.processes[slot.0].plan.never_kill);
                    }
                    Effect::EndHook(_)
                    | Effect::TellStarted(_)
                    | Effect::TellExited(..)
                    | Effect::TellNotExecuted(..)
                    | Effect::TellInitDone => {}
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, slot: Slot, code: i32) -> Result<(), TestCaseError> {
        self.running.remove(&slot);
        self.feed(Event::Exited(slot, Exit::Code(code)))
    }

    fn restart_from(&mut self, first: usize, count: usize) -> Result<(), TestCaseError> {
        self.several = true;
        self.feed(again(&(first..count).collect::<Vec<_>>()))
    }

    fn stop(&mut self, grace: u64) -> Result<(), TestCaseError> {
        let by = self.now + grace;
        self.stop_by = Some(self.stop_by.map_or(by, |old| old.min(by)));
        self.feed(Event::Stop(Some(Duration::from_millis(grace))))
    }

    fn wait(&mut self, millis: u64) -> Result<(), TestCaseError> {
        let until = self.now + millis;
        while let Some(deadline) = self.machine.deadline().filter(|d| d.0 <= until) {
            self.now = self.now.max(deadline.0);
            self.feed(Event::Tick)?;
        }
        self.now = until;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), TestCaseError> {
        if let Some(by) = self.stop_by {
            let late = if self.pre_stop { 2000 } else { 0 };
            self.wait((by + late).saturating_sub(self.now))?;
            // What is never killed ends some day; nothing else is left by then.
            while let Some(slot) = self.running.last().copied() {
                prop_assert!(
                    self.running.iter().any(|s| self.spared[s.0]),
                    "the stop did not end in time"
                );
                self.end(slot, 0)?;
            }
            prop_assert!(self.finished, "the stop did not end");
            return Ok(());
        }
        self.fail_next = false;
        self.wait(200_000)?;
        let views: Vec<_> = self.machine.views(Timestamp(self.now)).collect();
        for view in &views {
            let up = view.running || view.restart_in.is_some();
            let before = !self.machine.init_done() || views.iter().any(|v| v.post_start);
            prop_assert!(up || view.init || before, "{views:?}");
        }
        prop_assert!(views.iter().any(|v| v.running || v.restart_in.is_some()));
        Ok(())
    }
}

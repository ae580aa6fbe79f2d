//! The machine with a driver that answers at once, and, as a property, with one that does not.

use proptest::prelude::*;

use super::*;

const GRACE: u64 = 30_000;

fn plan(inits: usize, mains: usize, pre_stop: bool) -> MemberPlan {
    let process = |kind: &str| {
        let kind = kind.to_owned();
        move |n: usize| ProcessPlan {
            name: format!("{kind}{n}").parse().unwrap(),
            stop_signal: 15,
            pre_stop,
        }
    };
    MemberPlan {
        init: (0..inits).map(process("init")).collect(),
        processes: (0..mains).map(process("p")).collect(),
        grace: Duration::from_millis(GRACE),
    }
}

/// Steps, and answers every start at once. What was done is returned, a word each.
struct Driver {
    machine: KeeperMachine,
    now: u64,
}

impl Driver {
    fn new(plan: MemberPlan) -> Self {
        Self {
            machine: KeeperMachine::new(plan),
            now: 0,
        }
    }

    fn step(&mut self, event: Event) -> Vec<String> {
        let mut words = Vec::new();
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for effect in self.machine.step(Timestamp(self.now), Jitter::NONE, event) {
                if let Effect::Start(slot) = effect {
                    events.push_back(Event::Executed(slot));
                }
                words.push(word(&effect));
            }
        }
        words
    }

    fn exit(&mut self, slot: usize, code: i32) -> Vec<String> {
        self.step(Event::Exited(Slot(slot), Exit::Code(code)))
    }

    fn tick_at_deadline(&mut self) -> Vec<String> {
        self.now = self.machine.deadline().unwrap().0;
        self.step(Event::Tick)
    }
}

fn word(effect: &Effect) -> String {
    match effect {
        Effect::Start(s) => format!("start{}", s.0),
        Effect::PreStop(s) => format!("prestop{}", s.0),
        Effect::Signal(s, n) => format!("signal{}:{n}", s.0),
        Effect::KillProcess(s) => format!("kill{}", s.0),
        Effect::KillAll => "killall".to_owned(),
        Effect::TellExited(s, _, None) => format!("exited{}", s.0),
        Effect::TellExited(s, _, Some(d)) => format!("exited{}+{}", s.0, d.as_millis()),
        Effect::TellNotExecuted(s, d) => format!("failed{}+{}", s.0, d.as_millis()),
        Effect::TellInitDone => "initdone".to_owned(),
        Effect::Finish => "finish".to_owned(),
    }
}

#[test]
fn init_processes_go_one_by_one_and_a_failing_one_is_tried_again() {
    let mut d = Driver::new(plan(2, 2, false));
    assert_eq!(d.step(Event::Begin), ["start0"]);
    assert_eq!(d.exit(0, 0), ["kill0", "exited0", "start1"]);
    assert_eq!(d.exit(1, 3), ["kill1", "exited1+1000"]);
    assert!(!d.machine.init_done());
    assert_eq!(d.tick_at_deadline(), ["start1"]);
    assert_eq!(
        d.exit(1, 0),
        ["kill1", "exited1", "initdone", "start2", "start3"]
    );
    assert!(d.machine.init_done());
}

#[test]
fn the_first_restart_is_immediate_and_the_second_waits() {
    let mut d = Driver::new(plan(0, 1, false));
    d.step(Event::Begin);
    d.now = 5000;
    assert_eq!(d.exit(0, 1), ["kill0", "exited0+0", "start0"]);
    assert_eq!(d.exit(0, 1), ["kill0", "exited0+1000"]);
    assert_eq!(d.machine.deadline(), Some(Timestamp(6000)));
    assert_eq!(d.tick_at_deadline(), ["start0"]);
    assert_eq!(d.machine.starts(Slot(0)), 3);
}

#[test]
fn a_start_that_fails_waits_and_is_tried_again() {
    let mut machine = KeeperMachine::new(plan(0, 1, false));
    machine.step(Timestamp(0), Jitter::NONE, Event::Begin);
    let out = machine.step(Timestamp(0), Jitter::NONE, Event::NotExecuted(Slot(0)));
    assert_eq!(
        out,
        [Effect::TellNotExecuted(Slot(0), Duration::from_secs(1))]
    );
    let out = machine.step(Timestamp(1000), Jitter::NONE, Event::Tick);
    assert_eq!(out, [Effect::Start(Slot(0))]);
}

#[test]
fn a_stop_goes_in_reverse_and_ends_when_no_child_is_left() {
    let mut d = Driver::new(plan(0, 3, true));
    d.step(Event::Begin);
    assert_eq!(d.step(Event::Stop(None)), ["prestop2"]);
    assert_eq!(d.step(Event::PreStopEnded(Slot(2))), ["signal2:15"]);
    // Another one ends by itself meanwhile: it is not started again, and not stopped again.
    assert_eq!(d.exit(1, 0), ["kill1", "exited1"]);
    assert_eq!(d.exit(2, 0), ["kill2", "exited2", "prestop0"]);
    assert_eq!(d.step(Event::PreStopEnded(Slot(0))), ["signal0:15"]);
    assert_eq!(d.exit(0, 0), ["kill0", "exited0", "killall"]);
    assert!(!d.machine.finished());
    assert_eq!(d.step(Event::Empty), ["finish"]);
    assert!(d.machine.finished());
}

#[test]
fn the_end_of_the_grace_period_kills_and_a_second_stop_may_shorten_it() {
    let mut d = Driver::new(plan(0, 2, false));
    d.step(Event::Begin);
    assert_eq!(d.step(Event::Stop(None)), ["signal1:15"]);
    assert_eq!(d.machine.deadline(), Some(Timestamp(GRACE)));
    let longer = Duration::from_millis(GRACE * 2);
    d.step(Event::Stop(Some(longer)));
    assert_eq!(d.machine.deadline(), Some(Timestamp(GRACE)));
    d.step(Event::Stop(Some(Duration::from_secs(1))));
    assert_eq!(d.machine.deadline(), Some(Timestamp(1000)));
    assert_eq!(d.tick_at_deadline(), ["killall"]);
    assert_eq!(d.machine.deadline(), None);
    assert_eq!(d.exit(1, 9), ["exited1"]);
    assert_eq!(d.exit(0, 9), ["exited0"]);
    assert_eq!(d.step(Event::Empty), ["finish"]);
}

#[test]
fn a_stop_while_one_waits_for_its_start_does_not_start_it() {
    let mut d = Driver::new(plan(1, 1, false));
    d.step(Event::Begin);
    d.exit(0, 1);
    assert_eq!(d.step(Event::Stop(None)), ["killall"]);
    assert_eq!(d.step(Event::Tick), Vec::<String>::new());
    assert_eq!(d.step(Event::Empty), ["finish"]);
}

#[test]
fn a_restart_of_all_goes_down_in_reverse_and_up_in_order() {
    let mut d = Driver::new(plan(0, 2, false));
    d.step(Event::Begin);
    let all = d.machine.mains();
    assert_eq!(d.step(Event::Restart(all)), ["signal1:15"]);
    assert_eq!(d.exit(1, 0), ["kill1", "exited1+0", "signal0:15"]);
    assert_eq!(d.exit(0, 0), ["kill0", "exited0+0", "start0", "start1"]);
    assert_eq!(d.machine.deadline(), None);
}

#[test]
fn a_restart_kills_what_ignores_its_signal_and_leaves_others_alone() {
    let mut d = Driver::new(plan(0, 2, false));
    d.step(Event::Begin);
    assert_eq!(d.step(Event::Restart(vec![Slot(0)])), ["signal0:15"]);
    assert_eq!(d.tick_at_deadline(), ["kill0"]);
    assert_eq!(d.exit(0, 9), ["kill0", "exited0+0", "start0"]);
}

#[test]
fn a_stop_takes_over_from_a_restart() {
    let mut d = Driver::new(plan(0, 2, false));
    d.step(Event::Begin);
    d.step(Event::Restart(vec![Slot(0)]));
    assert_eq!(d.step(Event::Stop(None)), Vec::<String>::new());
    assert_eq!(d.exit(0, 0), ["kill0", "exited0", "signal1:15"]);
    assert_eq!(d.exit(1, 0), ["kill1", "exited1", "killall"]);
}

#[test]
fn a_restart_of_a_waiting_process_starts_it_at_once() {
    let mut d = Driver::new(plan(0, 1, false));
    d.step(Event::Begin);
    d.exit(0, 1);
    assert_eq!(d.step(Event::Restart(vec![Slot(0)])), ["start0"]);
}

proptest! {
    /// Whatever happens: nothing runs twice, nothing starts once a stop was asked for, a stop ends
    /// within its grace period, and without one every process is up or has a time to start.
    #[test]
    fn safe_after_every_event_and_live_at_the_end(
        (inits, mains) in (0_usize..3, 1_usize..4),
        choices in proptest::collection::vec((0_u8..9, 0_usize..6, 0_u64..40_000), 0..80),
    ) {
        let mut w = World::new(plan(inits, mains, choices.len() % 2 == 0));
        w.feed(Event::Begin)?;
        for (what, slot, wait) in choices {
            let slot = Slot(slot % (inits + mains));
            match what {
                0..=2 if w.running.contains(&slot) => w.end(slot, i32::from(what))?,
                3 => w.feed(Event::PreStopEnded(slot))?,
                4 => w.feed(Event::Restart(vec![slot]))?,
                5 if wait < 4000 => w.stop(wait)?,
                6 => w.fail_next = true,
                _ => w.wait(wait)?,
            }
        }
        w.settle()?;
    }
}

/// A driver whose processes end when the test says so.
struct World {
    machine: KeeperMachine,
    now: u64,
    running: std::collections::BTreeSet<Slot>,
    stop_by: Option<u64>,
    fail_next: bool,
    finished: bool,
}

impl World {
    fn new(plan: MemberPlan) -> Self {
        Self {
            machine: KeeperMachine::new(plan),
            now: 0,
            running: std::collections::BTreeSet::new(),
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
                            events.push(Event::Executed(slot));
                        }
                    }
                    Effect::KillAll => {
                        let all = std::mem::take(&mut self.running);
                        let killed = all.into_iter().map(|s| Event::Exited(s, Exit::Signal(9)));
                        events.push(Event::Empty);
                        events.extend(killed);
                    }
                    Effect::KillProcess(slot) => {
                        if self.running.remove(&slot) {
                            events.push(Event::Exited(slot, Exit::Signal(9)));
                        }
                    }
                    Effect::Signal(slot, _) => {
                        prop_assert!(self.running.contains(&slot), "signals what is down");
                    }
                    Effect::Finish => {
                        prop_assert!(self.running.is_empty());
                        prop_assert!(!self.finished);
                        self.finished = true;
                    }
                    Effect::PreStop(_)
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
            self.wait(by.saturating_sub(self.now))?;
            prop_assert!(self.finished, "the stop did not end in time");
            return Ok(());
        }
        self.fail_next = false;
        self.wait(200_000)?;
        let views: Vec<_> = self.machine.views(Timestamp(self.now)).collect();
        for view in &views {
            let up = view.running || view.restart_in.is_some();
            let init_over = view.init && self.machine.init_done();
            let before_init = !view.init && !self.machine.init_done();
            prop_assert!(up || init_over || view.init || before_init, "{views:?}");
        }
        prop_assert!(views.iter().any(|v| v.running || v.restart_in.is_some()));
        Ok(())
    }
}

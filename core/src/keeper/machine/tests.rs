//! The machine with a driver that answers at once, and, as a property, with one that does not.

use super::*;

mod random;

const GRACE: u64 = 30_000;

const SIDECAR: Role = Role::Sidecar {
    startup_probe: false,
};
const PROBED: Role = Role::Sidecar {
    startup_probe: true,
};

fn of(roles: &[Role], pre_stop: bool) -> MemberPlan {
    let process = |(n, role): (usize, &Role)| ProcessPlan {
        name: format!("p{n}").parse().unwrap(),
        role: *role,
        stop_signal: 15,
        post_start: false,
        pre_stop,
        never_kill: false,
    };
    MemberPlan {
        processes: roles.iter().enumerate().map(process).collect(),
        grace: Duration::from_millis(GRACE),
        backoff: BackoffLimits::default(),
    }
}

fn plan(inits: usize, mains: usize, pre_stop: bool) -> MemberPlan {
    let roles = [vec![Role::Init; inits], vec![Role::Main; mains]].concat();
    of(&roles, pre_stop)
}

fn again(slots: &[usize]) -> Event {
    Event::Restart(RestartPlan {
        slots: slots.iter().copied().map(Slot).collect(),
        ..RestartPlan::default()
    })
}

fn failed(slot: usize, grace_ms: u64) -> Event {
    Event::Restart(RestartPlan {
        slots: vec![Slot(slot)],
        grace: Some(Duration::from_millis(grace_ms)),
        failed: true,
    })
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
                words.extend(word(&effect));
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

/// What is to be done; what is only told of a start goes without saying.
fn word(effect: &Effect) -> Option<String> {
    Some(match effect {
        Effect::TellStarted(_) => return None,
        Effect::PostStart(s) => format!("poststart{}", s.0),
        Effect::EndHook(s) => format!("endhook{}", s.0),
        Effect::Start(s) => format!("start{}", s.0),
        Effect::PreStop(s) => format!("prestop{}", s.0),
        Effect::Signal(s, n) => format!("signal{}:{n}", s.0),
        Effect::KillProcess(s) => format!("kill{}", s.0),
        Effect::KillAll => "killall".to_owned(),
        Effect::TellExited(s, _, None) => format!("exited{}", s.0),
        Effect::TellExited(s, _, Some(d)) => format!("exited{}+{}", s.0, d.as_millis()),
        Effect::TellNotExecuted(s, d) => format!("failed{}+{}", s.0, d.as_millis()),
        Effect::TellSpared(s) => format!("spared{}", s.0),
        Effect::TellInitDone => "initdone".to_owned(),
        Effect::Finish => "finish".to_owned(),
    })
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
    assert_eq!(d.machine.mains(), [Slot(0), Slot(1)]);
    assert_eq!(d.step(again(&[0, 1])), ["signal1:15"]);
    assert_eq!(d.exit(1, 0), ["kill1", "exited1+0", "signal0:15"]);
    assert_eq!(d.exit(0, 0), ["kill0", "exited0+0", "start0", "start1"]);
    assert_eq!(d.machine.deadline(), None);
}

#[test]
fn a_restart_kills_what_ignores_its_signal_and_leaves_others_alone() {
    let mut d = Driver::new(plan(0, 2, false));
    d.step(Event::Begin);
    assert_eq!(d.step(again(&[0])), ["signal0:15"]);
    assert_eq!(d.tick_at_deadline(), ["kill0"]);
    assert_eq!(d.exit(0, 9), ["kill0", "exited0+0", "start0"]);
}

#[test]
fn a_stop_takes_over_from_a_restart() {
    let mut d = Driver::new(plan(0, 2, false));
    d.step(Event::Begin);
    d.step(again(&[0]));
    assert_eq!(d.step(Event::Stop(None)), Vec::<String>::new());
    assert_eq!(d.exit(0, 0), ["kill0", "exited0", "signal1:15"]);
    assert_eq!(d.exit(1, 0), ["kill1", "exited1", "killall"]);
}

#[test]
fn a_restart_of_a_waiting_process_starts_it_at_once() {
    let mut d = Driver::new(plan(0, 1, false));
    d.step(Event::Begin);
    d.exit(0, 1);
    assert_eq!(d.step(again(&[0])), ["start0"]);
}

#[test]
fn sidecars_start_in_order_stay_up_and_go_last_in_reverse() {
    let mut d = Driver::new(of(
        &[SIDECAR, Role::Init, PROBED, Role::Init, Role::Main],
        false,
    ));
    assert_eq!(d.step(Event::Begin), ["start0", "start1"]);
    assert_eq!(d.exit(1, 0), ["kill1", "exited1", "start2"]);
    assert_eq!(d.step(Event::Passed(Slot(2))), ["start3"]);
    // One that ends comes back, and nothing that it let pass waits again.
    d.now = 5000;
    assert_eq!(d.exit(2, 0), ["kill2", "exited2+0", "start2"]);
    assert_eq!(d.exit(3, 0), ["kill3", "exited3", "initdone", "start4"]);
    assert_eq!(d.step(Event::Stop(None)), ["signal4:15"]);
    assert_eq!(d.exit(4, 0), ["kill4", "exited4", "signal2:15"]);
    assert_eq!(d.exit(2, 0), ["kill2", "exited2", "signal0:15"]);
    assert_eq!(d.exit(0, 0), ["kill0", "exited0", "killall"]);
}

#[test]
fn a_sidecar_that_fails_its_startup_probe_is_restarted_while_the_next_one_waits() {
    let mut d = Driver::new(of(&[PROBED, Role::Main], false));
    d.step(Event::Begin);
    d.now = 2000;
    assert_eq!(d.step(failed(0, 500)), ["signal0:15"]);
    assert_eq!(d.machine.deadline(), Some(Timestamp(2500)));
    assert_eq!(d.exit(0, 0), ["kill0", "exited0+0", "start0"]);
    assert_eq!(d.step(Event::Passed(Slot(0))), ["initdone", "start1"]);
}

#[test]
fn a_process_that_failed_its_probe_waits_like_one_that_ended() {
    let mut d = Driver::new(plan(0, 2, false));
    d.step(Event::Begin);
    d.now = 2000;
    d.step(failed(0, 1000));
    assert_eq!(d.exit(0, 9), ["kill0", "exited0+0", "start0"]);
    d.step(failed(0, 1000));
    assert_eq!(d.exit(0, 9), ["kill0", "exited0+1000"]);
    assert_eq!(d.tick_at_deadline(), ["start0"]);
    // One that an operator restarts does not wait.
    d.step(again(&[0]));
    assert_eq!(d.exit(0, 0), ["kill0", "exited0+0", "start0"]);
}

fn with_post_start(mains: usize) -> MemberPlan {
    let mut plan = plan(0, mains, false);
    plan.processes[0].post_start = true;
    plan
}

#[test]
fn the_next_process_waits_for_what_is_done_beside_the_start_of_the_one_before() {
    let mut d = Driver::new(with_post_start(2));
    assert_eq!(d.step(Event::Begin), ["initdone", "start0", "poststart0"]);
    assert!(d.machine.views(Timestamp(0)).next().unwrap().post_start);
    let done = Event::PostStartEnded(Slot(0), true);
    assert_eq!(d.step(done), ["start1"]);
    assert!(!d.machine.views(Timestamp(0)).next().unwrap().post_start);
}

#[test]
fn a_failed_post_start_stops_its_process_which_is_tried_again_after_a_pause() {
    let mut d = Driver::new(with_post_start(2));
    d.step(Event::Begin);
    d.now = 60_000;
    let failed = Event::PostStartEnded(Slot(0), false);
    assert_eq!(d.step(failed.clone()), ["signal0:15"]);
    assert_eq!(
        d.exit(0, 0),
        ["kill0", "endhook0", "exited0+1000", "start1"],
        "it never started, so not even the first restart is immediate"
    );
    assert_eq!(d.tick_at_deadline(), ["start0", "poststart0"]);
    // It ends by itself before the hook does.
    assert_eq!(d.exit(0, 1), ["kill0", "endhook0", "exited0+1000"]);
    assert_eq!(d.step(failed), Vec::<String>::new(), "it is of a dead run");
}

#[test]
fn a_pre_stop_that_takes_the_whole_grace_period_leaves_two_seconds_once() {
    let mut d = Driver::new(plan(0, 2, true));
    d.step(Event::Begin);
    assert_eq!(d.step(Event::Stop(None)), ["prestop1"]);
    assert_eq!(d.tick_at_deadline(), ["endhook1", "signal1:15"]);
    assert_eq!(d.machine.deadline(), Some(Timestamp(GRACE + 2000)));
    assert_eq!(d.step(Event::PreStopEnded(Slot(1))), Vec::<String>::new());
    assert_eq!(d.exit(1, 0), ["kill1", "exited1", "prestop0"]);
    assert_eq!(d.tick_at_deadline(), ["endhook0", "killall"]);
}

#[test]
fn a_pre_stop_that_ends_late_leaves_its_signal_two_seconds() {
    let mut d = Driver::new(plan(0, 1, true));
    d.step(Event::Begin);
    d.step(Event::Stop(None));
    d.now = GRACE - 100;
    assert_eq!(d.step(Event::PreStopEnded(Slot(0))), ["signal0:15"]);
    assert_eq!(d.machine.deadline(), Some(Timestamp(GRACE + 1900)));
}

#[test]
fn a_process_that_ends_by_itself_has_no_pre_stop() {
    let mut d = Driver::new(plan(0, 1, true));
    d.step(Event::Begin);
    d.now = 2000;
    assert_eq!(d.exit(0, 0), ["kill0", "exited0+0", "start0"]);
    // And one that ends during its own needs no signal.
    d.step(Event::Stop(None));
    assert_eq!(d.exit(0, 0), ["kill0", "endhook0", "exited0", "killall"]);
}

#[test]
fn what_is_never_killed_is_waited_for_and_the_rest_keeps_its_order() {
    let mut plan = of(&[SIDECAR, Role::Main, Role::Main], false);
    plan.processes[1].never_kill = true;
    let mut d = Driver::new(plan);
    d.step(Event::Begin);
    assert_eq!(d.step(Event::Stop(None)), ["signal2:15"]);
    assert_eq!(d.tick_at_deadline(), ["kill2"]);
    assert_eq!(d.exit(2, 9), ["kill2", "exited2", "spared1", "signal1:15"]);
    d.now = GRACE * 10;
    assert_eq!(d.step(Event::Tick), Vec::<String>::new());
    assert_eq!(d.exit(1, 0), ["kill1", "exited1", "kill0"]);
    assert_eq!(d.exit(0, 9), ["kill0", "exited0", "killall"]);
    assert_eq!(d.step(Event::Empty), ["finish"]);
}

#[test]
fn a_restart_never_kills_what_is_never_killed_and_a_kill_does() {
    let mut plan = plan(0, 1, false);
    plan.processes[0].never_kill = true;
    let mut d = Driver::new(plan);
    d.step(Event::Begin);
    assert_eq!(d.step(failed(0, 1000)), ["signal0:15"]);
    assert!(!spared(&d.machine, 0));
    assert_eq!(d.tick_at_deadline(), ["spared0"]);
    assert!(spared(&d.machine, 0));
    assert_eq!(d.machine.deadline(), None);
    assert_eq!(d.step(Event::Kill), ["killall"]);
}

fn spared(machine: &KeeperMachine, slot: usize) -> bool {
    machine.views(Timestamp(0)).nth(slot).unwrap().spared
}

#[test]
fn a_restart_that_waits_for_what_is_never_killed_says_so_until_that_ends() {
    let mut plan = plan(0, 2, false);
    plan.processes[1].never_kill = true;
    let mut d = Driver::new(plan);
    d.step(Event::Begin);
    assert_eq!(d.step(again(&[0, 1])), ["signal1:15"]);
    assert_eq!(d.tick_at_deadline(), ["spared1"]);
    assert!(spared(&d.machine, 1) && !spared(&d.machine, 0));
    d.exit(1, 0);
    assert!(!spared(&d.machine, 1));
}

#[test]
fn what_is_said_of_an_earlier_start_is_not_said_of_this_one() {
    let mut d = Driver::new(plan(0, 1, false));
    d.step(Event::Begin);
    let slot = Slot(0);
    assert!(d.machine.is_current(slot, Some(0)) && d.machine.is_current(slot, None));
    d.now = 5000;
    assert_eq!(d.exit(0, 1), ["kill0", "exited0+0", "start0"]);
    assert!(d.machine.is_current(slot, Some(1)) && !d.machine.is_current(slot, Some(0)));
}

#[test]
fn a_first_start_keeps_its_place_whatever_is_restarted() {
    let mut d = Driver::new(with_post_start(2));
    d.step(Event::Begin);
    assert!(!d.machine.may_restart(Slot(1)));
    assert_eq!(d.step(again(&[0, 1])), ["signal0:15"]);
    assert_eq!(
        d.exit(0, 0),
        ["kill0", "endhook0", "exited0+0", "start0", "poststart0"]
    );
    assert_eq!(d.step(Event::PostStartEnded(Slot(0), true)), ["start1"]);
}

#[test]
fn a_restart_waits_for_no_other_and_keeps_its_own_grace_period() {
    let mut plan = plan(0, 3, false);
    plan.processes[0].never_kill = true;
    let mut d = Driver::new(plan);
    d.step(Event::Begin);
    // One that is never killed takes its time, and one whose probe failed has little.
    assert_eq!(d.step(failed(0, 1000)), ["signal0:15"]);
    assert_eq!(d.step(again(&[1])), ["signal1:15"]);
    assert_eq!(d.step(failed(2, 2000)), ["signal2:15"]);
    assert_eq!(d.tick_at_deadline(), ["spared0"]);
    assert_eq!(d.tick_at_deadline(), ["kill2"]);
    assert_eq!(d.exit(2, 9), ["kill2", "exited2+0", "start2"]);
    assert_eq!(d.machine.deadline(), Some(Timestamp(GRACE)));
    assert_eq!(d.exit(1, 0), ["kill1", "exited1+0", "start1"]);
    // It is long overdue: who comes next has its signal and its time all the same.
    assert_eq!(d.step(again(&[1])), ["signal1:15"]);
    assert_eq!(d.machine.deadline(), Some(Timestamp(2000 + GRACE)));
    assert_eq!(d.exit(0, 0), ["kill0", "exited0+0", "start0"]);
}

#[test]
fn a_stop_takes_over_from_several_restarts_and_tells_nothing_twice() {
    let mut plan = plan(0, 4, false);
    plan.processes[1].pre_stop = true;
    let mut d = Driver::new(plan);
    d.step(Event::Begin);
    assert_eq!(d.step(again(&[0])), ["signal0:15"]);
    assert_eq!(d.step(again(&[1])), ["prestop1"]);
    assert_eq!(d.step(Event::Stop(None)), Vec::<String>::new());
    assert_eq!(d.exit(0, 0), ["kill0", "exited0"]);
    assert_eq!(d.step(Event::PreStopEnded(Slot(1))), ["signal1:15"]);
    assert_eq!(d.exit(1, 0), ["kill1", "exited1", "signal3:15"]);
    assert_eq!(d.tick_at_deadline(), ["killall"]);
}

#[test]
fn a_probe_that_failed_too_late_does_not_shorten_the_pause() {
    let mut d = Driver::new(plan(0, 1, false));
    d.step(Event::Begin);
    assert_eq!(d.exit(0, 1), ["kill0", "exited0+1000"]);
    assert_eq!(d.step(failed(0, 1000)), Vec::<String>::new());
    assert_eq!(d.tick_at_deadline(), ["start0"]);
    // And the run after it is not blamed.
    d.step(again(&[0]));
    assert_eq!(d.exit(0, 0), ["kill0", "exited0+0", "start0"]);
}

#[test]
fn nothing_may_begin_once_everything_was_killed() {
    let mut d = Driver::new(plan(0, 1, false));
    d.step(Event::Begin);
    d.step(Event::Stop(None));
    assert!(!d.machine.killed());
    d.tick_at_deadline();
    assert!(d.machine.killed());
    d.exit(0, 9);
    d.step(Event::Empty);
    assert!(d.machine.killed());
}

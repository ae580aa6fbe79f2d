//! The member machine against a small model of a host: by hand, and with random events and
//! failures.

use proptest::prelude::*;

use super::*;
use crate::{
    ids::{Generation, Term},
    report::Phase,
    spec::Probe,
    volume::{Ownership, Usage, VolumeReport},
    waiting::ProbeFailure,
};

mod life;

fn main_process() -> ProcessName {
    "main".parse().unwrap()
}

fn epoch(counter: u64) -> Epoch {
    Epoch {
        term: Term(1),
        counter,
    }
}

fn wanted(counter: u64, desired: Desired) -> Standing {
    Standing::Ordered(Wanted {
        epoch: epoch(counter),
        desired,
        revision: TemplateHash("r".to_owned()),
        leased: false,
        volumes: [("data".to_owned(), false)].into(),
        founding: true,
        passed_gate: false,
    })
}

fn reason() -> Reason {
    Reason::StepFailed {
        step: "step".to_owned(),
        error: "error".to_owned(),
    }
}

/// A volume on storage that may stop to answer.
fn volume() -> MountedVolume {
    MountedVolume {
        report: VolumeReport {
            name: "data".to_owned(),
            recorded: true,
            owner: Ownership {
                user: "www".to_owned(),
                uid: 33,
                gid: 33,
            },
            address: None,
            usage: None,
        },
        source: "nfs:nas:/exports/x".to_owned(),
        remote: true,
    }
}

fn usage(available: u64) -> Usage {
    Usage {
        capacity: 1000,
        available,
        shared: true,
    }
}

/// A host with one member, and the machine that runs it.
struct World {
    machine: Machine,
    now: Timestamp,
    /// What lives there.
    keeper: Option<RunId>,
    /// Whether a run left something behind.
    left: bool,
    pending: Option<(u64, Action)>,
    probes: Vec<AttemptId>,
    told_to_restart: usize,
    passes: Vec<ProcessName>,
    /// The grace periods of the restarts.
    graces: Vec<Option<Duration>>,
    sidecars: BTreeSet<ProcessName>,
    never_killed: BTreeSet<ProcessName>,
    /// Whether a run begins with init processes.
    init_at_work: bool,
    /// The runs whose volumes are being looked at.
    looks: Vec<RunId>,
    specs: ProbeSpecs,
    runs: Vec<RunId>,
    actions: Vec<Action>,
    other: Vec<Effect>,
    /// To be recorded, and recorded.
    gates: Vec<Epoch>,
    passed: Vec<Epoch>,
}

impl World {
    fn new(specs: ProbeSpecs) -> Self {
        let member = "a/x-0".parse().unwrap();
        Self {
            machine: Machine::new(member, BootId("b".into()), None, 7),
            now: Timestamp(0),
            keeper: None,
            left: false,
            pending: None,
            probes: Vec::new(),
            told_to_restart: 0,
            passes: Vec::new(),
            graces: Vec::new(),
            sidecars: BTreeSet::new(),
            never_killed: BTreeSet::new(),
            init_at_work: false,
            looks: Vec::new(),
            specs,
            runs: Vec::new(),
            actions: Vec::new(),
            other: Vec::new(),
            gates: Vec::new(),
            passed: Vec::new(),
        }
    }

    fn running(&self, run: RunId) -> Running {
        Running {
            run,
            init_done: !self.init_at_work,
            stopping: false,
            processes: vec![ProcessState {
                pid: (!self.init_at_work).then_some(1),
                ..ProcessState::new(main_process(), false)
            }],
            volumes: vec![volume()],
            probes: [(main_process(), self.specs.clone())].into(),
            grace: Duration::from_secs(30),
            sidecars: self.sidecars.clone(),
            never_killed: self.never_killed.clone(),
        }
    }

    fn step(&mut self, event: Event) {
        let effects = self.machine.step(self.now, event);
        for effect in effects {
            match effect {
                Effect::Act { step, action } => {
                    assert!(self.pending.is_none(), "two actions at a time");
                    if let Action::Start(run) = &action {
                        assert!(self.keeper.is_none() && !self.left, "a start onto remains");
                        assert!(!self.runs.contains(run), "a run id used twice");
                        self.runs.push(run.clone());
                    }
                    self.actions.push(action.clone());
                    self.pending = Some((step, action));
                }
                Effect::Probe(attempt) => self.probes.push(attempt),
                Effect::RestartProcess { grace, .. } => {
                    self.told_to_restart += 1;
                    self.graces.push(grace);
                }
                Effect::TellPassed { process, .. } => self.passes.push(process),
                Effect::LookAtVolumes { run } => {
                    assert!(!self.looks.contains(&run), "two looks at a time");
                    self.looks.push(run);
                }
                Effect::PassedGate { epoch } => {
                    assert!(
                        !self.machine.report(self.now).ready,
                        "told before it is durable"
                    );
                    self.gates.push(epoch);
                }
                Effect::Forget | Effect::Changed | Effect::Refresh => {
                    self.other.push(effect);
                }
            }
        }
        assert!(
            self.machine.wake_at().is_none_or(|at| at > self.now),
            "a wake-up that has come already: {:?}",
            self.machine
        );
    }

    /// The ledger has what it was asked to write.
    fn record(&mut self) {
        for epoch in std::mem::take(&mut self.gates) {
            self.passed.push(epoch);
            self.step(Event::GateRecorded { epoch });
        }
    }

    /// Ends the action under way. A failed start may leave a living keeper that nobody holds.
    fn finish(&mut self, ok: bool, survives: bool) {
        let Some((step, action)) = self.pending.take() else {
            return;
        };
        if let (Action::Start(run), false) = (&action, ok) {
            self.left = true;
            self.keeper = survives.then(|| run.clone());
        }
        let ok = ok && !(action == Action::Cleanup && self.keeper.is_some());
        let result = if ok {
            Ok(self.succeed(&action))
        } else {
            Err(reason())
        };
        self.step(Event::Done { step, result });
        let stopped = matches!(action, Action::Stop | Action::Kill) && ok;
        if stopped {
            self.keeper_dies();
        }
    }

    fn succeed(&mut self, action: &Action) -> Done {
        match action {
            Action::Adopt => Done::Adopted(self.keeper.clone().map(|run| self.running(run))),
            Action::Cleanup => {
                self.left = false;
                Done::Done
            }
            Action::Start(run) => {
                self.keeper = Some(run.clone());
                self.left = true;
                Done::Started(self.running(run.clone()))
            }
            Action::Prepare(_) | Action::CheckPorts | Action::Stop | Action::Kill => Done::Done,
        }
    }

    fn keeper_dies(&mut self) {
        if let Some(run) = self.keeper.take() {
            self.step(Event::KeeperGone { run });
        }
    }

    fn exit(&mut self) {
        if let Some(run) = self.keeper.clone() {
            let exit = "exited with 1".to_owned();
            self.process(
                run,
                ProcessChange::Exited {
                    exit,
                    success: false,
                },
            );
        }
    }

    fn start_again(&mut self) {
        if let Some(run) = self.keeper.clone() {
            self.process(
                run,
                ProcessChange::Started {
                    pid: 2,
                    restarts: 1,
                    unenforced: Vec::new(),
                },
            );
        }
    }

    fn process(&mut self, run: RunId, change: ProcessChange) {
        self.step(Event::Process {
            run,
            process: main_process(),
            init: false,
            change,
        });
    }

    fn probed(&mut self, outcome: &Outcome) {
        for attempt in std::mem::take(&mut self.probes) {
            let outcome = outcome.clone();
            self.step(Event::Probed { attempt, outcome });
        }
    }

    /// Every look that is under way shows this.
    fn seen(&mut self, health: &VolumeHealth) {
        for run in std::mem::take(&mut self.looks) {
            let seen = [("data".to_owned(), health.clone())].into();
            self.step(Event::VolumesSeen { run, seen });
        }
    }

    fn pass(&mut self, by: Duration) {
        self.now = self.now.plus(by);
        self.step(Event::Tick);
    }

    /// Lets everything succeed, the keeper do its part, until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.record();
            self.probed(&Outcome::Success);
            self.seen(&VolumeHealth::Fine(usage(500)));
            let halted = matches!(
                self.report().waiting,
                Some(Reason::LivenessProbe { .. } | Reason::StartupProbe { .. })
            );
            if !self.probes.is_empty() || !self.gates.is_empty() {
                continue;
            }
            if (halted && self.told_to_restart > 0) || self.report().phase == Phase::BackOff {
                self.start_again();
            }
            if self.pending.is_some() {
                self.finish(true, false);
            } else if let Some(at) = self.machine.wake_at() {
                if self.settled() {
                    return;
                }
                self.now = at;
                self.step(Event::Tick);
            } else {
                return;
            }
        }
        panic!("it does not settle: {:?}", self.machine);
    }

    /// Only readiness and liveness probes go on for ever.
    fn settled(&self) -> bool {
        self.machine.report(self.now).ready
    }

    fn report(&self) -> MemberReport {
        self.machine.report(self.now)
    }
}

#[test]
fn a_start_goes_through_every_step_and_ends_ready() {
    let mut world = World::new(ProbeSpecs::default());
    assert!(world.actions.is_empty(), "nothing before the order");
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    let run = world.keeper.clone().unwrap();
    let expected = [
        Action::Adopt,
        Action::Cleanup,
        Action::Prepare(epoch(1)),
        Action::CheckPorts,
        Action::Start(run.clone()),
    ];
    assert_eq!(world.actions, expected);
    let report = world.report();
    assert_eq!((report.phase, report.ready), (Phase::Running, true));
    assert_eq!((report.epoch, report.run), (epoch(1), Some(run)));
    assert_eq!(report.waiting, None);
    assert_eq!(world.passed, [epoch(1)]);
}

#[test]
fn a_living_run_of_the_same_epoch_is_adopted_and_one_of_another_is_replaced() {
    for (found, starts) in [(4, 0), (3, 1)] {
        let mut world = World::new(ProbeSpecs::default());
        world.left = true;
        world.keeper = Some(RunId {
            epoch: epoch(found),
            boot: BootId("b".into()),
            number: RunNumber(9),
        });
        world.step(Event::Order(wanted(4, Desired::Run)));
        world.settle();
        assert_eq!(world.runs.len(), starts);
        assert_eq!(world.report().epoch, epoch(4));
        assert!(world.report().ready);
    }
}

#[test]
fn a_stop_ends_in_stopped_only_after_the_keeper_is_gone_and_all_is_removed() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::Order(wanted(1, Desired::Stop)));
    let report = world.report();
    assert_eq!((report.phase, report.ready), (Phase::Stopping, false));
    assert!(matches!(report.waiting, Some(Reason::Stopping { processes }) if processes.len() == 1));
    world.finish(true, false);
    assert_eq!(world.report().phase, Phase::Stopping, "not cleaned up yet");
    world.settle();
    assert_eq!(world.report().phase, Phase::Stopped);
    assert_eq!(world.report().waiting, None);
}

#[test]
fn a_member_is_not_stopped_while_it_is_still_prepared() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.finish(true, false);
    world.finish(true, false);
    world.step(Event::Order(wanted(1, Desired::Stop)));
    assert_eq!(world.report().phase, Phase::Stopping);
    world.finish(true, false);
    assert_eq!(world.report().phase, Phase::Stopping, "not cleaned up yet");
    world.settle();
    assert_eq!(world.report().phase, Phase::Stopped);
}

#[test]
fn what_was_prepared_for_an_older_epoch_is_not_started_on() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.finish(true, false);
    world.finish(true, false);
    world.step(Event::Order(wanted(2, Desired::Run)));
    world.finish(true, false);
    assert!(matches!(world.pending, Some((_, Action::Cleanup))));
    world.finish(true, false);
    assert!(
        matches!(world.pending, Some((_, Action::Prepare(for_epoch))) if for_epoch == epoch(2))
    );
    world.settle();
    assert_eq!(world.report().epoch, epoch(2));
}

#[test]
fn a_keeper_that_does_not_stop_is_killed() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::Order(wanted(1, Desired::Stop)));
    let (step, _) = world.pending.take().unwrap();
    let result = Ok(Done::Done);
    world.step(Event::Done { step, result });
    assert_eq!(world.pending, None);
    world.pass(Duration::from_secs(44));
    assert_eq!(world.pending, None);
    world.pass(Duration::from_secs(2));
    assert!(matches!(world.pending, Some((_, Action::Kill))));
}

#[test]
fn a_local_stop_holds_until_it_is_let_go() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::Held(true));
    world.settle();
    let report = world.report();
    assert_eq!(report.phase, Phase::Stopped);
    assert_eq!(report.waiting, Some(Reason::HeldByOperator));
    world.step(Event::Held(false));
    world.settle();
    assert!(world.report().ready);
}

#[test]
fn a_restart_is_a_new_run() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::Restart);
    world.settle();
    assert_eq!(world.runs.len(), 2);
    assert!(world.report().ready);
    assert_eq!(world.report().restarts, 0, "it was asked for");
}

#[test]
fn a_lost_keeper_is_replaced_at_once_then_after_a_growing_pause() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let before = world.now;
        world.keeper_dies();
        world.settle();
        pauses.push(world.now.since(before).as_millis());
    }
    assert_eq!(pauses[0], 0);
    assert!(pauses[1] >= 750 && pauses[2] > pauses[1], "{pauses:?}");
    assert_eq!(world.report().restarts, 3);
    world.pass(Duration::from_secs(20));
    let before = world.now;
    world.keeper_dies();
    world.settle();
    assert_eq!(world.now, before, "a run that lasted is a fresh start");
}

#[test]
fn a_keeper_that_is_not_heard_of_is_looked_for_and_proves_nothing() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    let run = world.keeper.clone().unwrap();
    world.step(Event::KeeperLost { run: run.clone() });
    assert!(!world.report().ready);
    assert!(matches!(world.pending, Some((_, Action::Adopt))));
    world.settle();
    assert!(world.report().ready);
    assert_eq!(world.runs, [run]);
    assert_eq!(world.report().restarts, 0);
}

#[test]
fn a_failing_step_says_why_and_is_tried_again_with_growing_pauses() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.finish(true, false);
    world.finish(true, false);
    let mut pauses = Vec::new();
    for _ in 0..3 {
        assert!(matches!(world.pending, Some((_, Action::Prepare(_)))));
        world.finish(false, false);
        assert_eq!(world.report().waiting, Some(reason()));
        world.finish(true, false);
        assert_eq!(world.report().phase, Phase::BackOff);
        let at = world.machine.wake_at().unwrap();
        pauses.push(at.since(world.now));
        world.now = at;
        world.step(Event::Tick);
    }
    assert!(
        pauses.windows(2).all(|pair| pair[1] > pair[0]),
        "{pauses:?}"
    );
    world.settle();
    assert_eq!(world.report().waiting, None);
}

#[test]
fn a_new_order_does_not_wait_for_the_pause_of_an_old_failure() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.finish(true, false);
    world.finish(true, false);
    world.finish(false, false);
    world.finish(true, false);
    assert_eq!(world.pending, None);
    world.step(Event::Order(wanted(2, Desired::Run)));
    assert!(matches!(world.pending, Some((_, Action::Prepare(_)))));
}

#[test]
fn a_living_keeper_is_told_what_is_rendered_anew() {
    let told = |world: &World| {
        world
            .other
            .iter()
            .filter(|e| **e == Effect::Refresh)
            .count()
    };
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    assert_eq!(told(&world), 0, "there is no keeper yet");
    world.settle();
    let before = told(&world);
    world.step(Event::Order(wanted(1, Desired::Run)));
    assert_eq!(told(&world), before + 1, "the order's values may be others");
    let epoch = world.runs[0].epoch;
    world.step(Event::GateRecorded { epoch });
    assert_eq!(told(&world), before + 2, "it is a founder no more");
    world.step(Event::Order(wanted(2, Desired::Run)));
    assert_eq!(told(&world), before + 2, "another epoch is another run");
}

#[test]
fn that_it_served_once_is_told_as_long_as_the_epoch_lasts() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    assert!(!world.report().passed_gate);
    world.settle();
    assert!(world.report().passed_gate);
    world.step(Event::Order(wanted(1, Desired::Stop)));
    world.settle();
    let report = world.report();
    assert_eq!((report.phase, report.passed_gate), (Phase::Stopped, true));
    let next = wanted(2, Desired::Run);
    world.step(Event::Order(next));
    assert!(
        !world.report().passed_gate,
        "another epoch has its own gate"
    );
    // A new agent knows it from the ledger alone.
    let mut world = World::new(ProbeSpecs::default());
    let Standing::Ordered(wanted) = wanted(1, Desired::Stop) else {
        panic!("it is ordered");
    };
    world.step(Event::Order(Standing::Ordered(Wanted {
        passed_gate: true,
        ..wanted
    })));
    assert!(world.report().passed_gate);
}

#[test]
fn a_member_with_a_lease_starts_only_while_its_host_holds_one() {
    let mut world = World::new(ProbeSpecs::default());
    let leased = |counter| {
        let Standing::Ordered(wanted) = wanted(counter, Desired::Run) else {
            panic!("it is ordered");
        };
        Standing::Ordered(Wanted {
            leased: true,
            ..wanted
        })
    };
    world.step(Event::Order(leased(1)));
    world.settle();
    assert_eq!(world.report().waiting, Some(Reason::LeaseNotHeld));
    assert!(world.keeper.is_none() && world.machine.wake_at().is_none());
    world.step(Event::Lease(true));
    world.settle();
    assert!(world.keeper.is_some());
    // What runs has a keeper that holds the same deadline; when that killed it, nothing comes after.
    world.step(Event::Lease(false));
    world.settle();
    assert!(world.report().ready);
    world.keeper_dies();
    world.settle();
    world.pass(Duration::from_secs(3600));
    assert!(world.keeper.is_none());
    assert_eq!(world.report().waiting, Some(Reason::LeaseNotHeld));
    world.step(Event::Lease(true));
    world.settle();
    assert!(world.keeper.is_some());
}

#[test]
fn a_member_that_left_the_order_is_stopped_and_forgotten_once() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.step(Event::Order(Standing::Removed));
    world.settle();
    world.step(Event::Tick);
    let forgets = world.other.iter().filter(|e| **e == Effect::Forget);
    assert_eq!(forgets.count(), 1);
    assert!(world.keeper.is_none());
}

#[test]
fn before_its_order_is_known_nothing_is_done() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Held(true));
    world.step(Event::Tick);
    assert!(world.actions.is_empty());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    assert_eq!(world.report().waiting, Some(Reason::HeldByOperator));
    assert!(world.runs.is_empty());
}

#[test]
fn an_exited_process_is_a_back_off_with_its_exit() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.exit();
    let report = world.report();
    assert_eq!((report.phase, report.started), (Phase::BackOff, false));
    assert!(
        matches!(report.waiting, Some(Reason::BackOff { exit, .. }) if exit == "exited with 1")
    );
    world.start_again();
    assert!(world.report().ready);
    assert_eq!(world.report().restarts, 1);
}

#[test]
fn probes_decide_started_and_ready_and_a_failed_liveness_probe_restarts() {
    let mut world = World::new(ProbeSpecs {
        startup: Some(Probe::default()),
        readiness: Some(Probe::default()),
        liveness: Some(Probe::default()),
    });
    world.step(Event::Order(wanted(1, Desired::Run)));
    while world.pending.is_some() {
        world.finish(true, false);
    }
    let refused = Outcome::Failure("refused".to_owned());
    world.probed(&refused);
    assert!(matches!(
        world.report().waiting,
        Some(Reason::StartupProbe(ProbeFailure { error, .. })) if error == "refused"
    ));
    world.pass(Duration::from_millis(10));
    world.probed(&Outcome::Success);
    assert!(world.report().started && !world.report().ready);
    world.probed(&Outcome::Success);
    assert!(
        !world.report().ready,
        "a founder, and the ledger does not have it yet"
    );
    world.record();
    assert!(world.report().ready);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.report().ready_for_ms, 1000);
    for _ in 0..3 {
        world.pass(Duration::from_secs(10));
        world.probed(&refused);
    }
    assert_eq!(world.told_to_restart, 1);
    assert!(!world.report().ready);
    let run = world.keeper.clone().unwrap();
    let process = main_process();
    world.step(Event::RestartFailed { run, process });
    world.pass(Duration::from_secs(1));
    assert_eq!(world.told_to_restart, 2, "told again");
    world.start_again();
    assert!(!world.report().started, "a new run passes its own probes");
}

#[test]
fn a_probe_result_of_an_earlier_start_counts_for_nothing() {
    let mut world = World::new(ProbeSpecs {
        readiness: Some(Probe::default()),
        ..ProbeSpecs::default()
    });
    world.step(Event::Order(wanted(1, Desired::Run)));
    while world.pending.is_some() {
        world.finish(true, false);
    }
    let late = world.probes.pop().unwrap();
    world.exit();
    world.start_again();
    world.step(Event::Probed {
        attempt: late,
        outcome: Outcome::Success,
    });
    assert!(!world.report().ready);
}

#[test]
fn a_member_whose_volume_hangs_does_not_serve_until_it_answers() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.looks.len(), 1);
    // However long it takes, nothing more is asked meanwhile, and nothing follows from it yet.
    world.pass(Duration::from_secs(60));
    assert!(world.report().ready && world.looks.len() == 1);
    let step = "look: no answer".to_owned();
    world.seen(&VolumeHealth::Hung { step });
    let report = world.report();
    assert!(!report.ready && report.started, "{report:?}");
    assert!(matches!(report.waiting, Some(Reason::VolumeHung { volume, .. }) if volume == "data"));
    // It is asked again soon, so that it serves again soon.
    world.pass(Duration::from_secs(2));
    assert_eq!(world.looks.len(), 1);
    world.seen(&VolumeHealth::Fine(usage(500)));
    assert!(world.report().ready, "by itself");
    assert_eq!(world.report().waiting, None);
    assert_eq!(world.runs.len(), 1);
}

#[test]
fn a_run_on_a_volume_that_its_server_forgot_is_started_anew() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    world.pass(Duration::from_secs(1));
    let late = world.looks.clone();
    world.seen(&VolumeHealth::Stale);
    let report = world.report();
    assert!(!report.ready);
    assert!(matches!(world.pending, Some((_, Action::Stop))));
    // The stop says what it is for.
    assert!(matches!(report.waiting, Some(Reason::VolumeStale { .. })));
    world.settle();
    assert_eq!(world.runs.len(), 2);
    assert!(world.report().ready);
    assert!(
        world
            .actions
            .iter()
            .filter(|a| matches!(a, Action::Prepare(_)))
            .count()
            == 2
    );
    // What is heard of the earlier run afterwards counts for nothing.
    world.looks = late;
    world.seen(&VolumeHealth::Stale);
    assert!(world.report().ready && world.pending.is_none());
}

#[test]
fn usage_is_told_when_it_has_changed_enough() {
    let mut world = World::new(ProbeSpecs::default());
    world.step(Event::Order(wanted(1, Desired::Run)));
    world.settle();
    let told = |world: &World| world.report().volumes[0].usage.map(|usage| usage.available);
    for (now, expected) in [(500, 500), (495, 500), (510, 500), (489, 489), (0, 0)] {
        world.pass(Duration::from_secs(10));
        world.seen(&VolumeHealth::Fine(usage(now)));
        assert_eq!(told(&world), Some(expected), "{now}");
    }
    world.step(Event::Order(wanted(1, Desired::Stop)));
    world.settle();
    assert!(world.report().volumes.is_empty(), "nothing is mounted");
}

#[derive(Debug, Clone)]
enum Op {
    Run,
    Stop,
    NextEpoch,
    Remove,
    Held(bool),
    Restart,
    Finish { ok: bool, survives: bool },
    KeeperDies,
    Exit,
    StartAgain,
    Probed(bool),
    Pass(u16),
    Seen(VolumeHealth),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::Run),
        2 => Just(Op::Stop),
        1 => Just(Op::NextEpoch),
        1 => Just(Op::Remove),
        1 => any::<bool>().prop_map(Op::Held),
        1 => Just(Op::Restart),
        12 => (any::<bool>(), any::<bool>()).prop_map(|(ok, survives)| Op::Finish { ok, survives }),
        2 => Just(Op::KeeperDies),
        2 => Just(Op::Exit),
        2 => Just(Op::StartAgain),
        3 => any::<bool>().prop_map(Op::Probed),
        4 => any::<u16>().prop_map(Op::Pass),
        3 => health().prop_map(Op::Seen),
    ]
}

fn health() -> impl Strategy<Value = VolumeHealth> {
    let step = "look".to_owned();
    prop_oneof![
        Just(VolumeHealth::Fine(usage(5))),
        Just(VolumeHealth::Hung { step }),
        Just(VolumeHealth::Stale),
    ]
}

fn apply(world: &mut World, generation: &mut Generation, op: Op) {
    match op {
        Op::Run => world.step(Event::Order(wanted(generation.0, Desired::Run))),
        Op::Stop => world.step(Event::Order(wanted(generation.0, Desired::Stop))),
        Op::NextEpoch => {
            *generation = generation.next();
            world.step(Event::Order(wanted(generation.0, Desired::Run)));
        }
        Op::Remove => world.step(Event::Order(Standing::Removed)),
        Op::Held(held) => world.step(Event::Held(held)),
        Op::Restart => world.step(Event::Restart),
        Op::Finish { ok, survives } => world.finish(ok, survives),
        Op::KeeperDies => world.keeper_dies(),
        Op::Exit => world.exit(),
        Op::StartAgain => world.start_again(),
        Op::Probed(true) => world.probed(&Outcome::Success),
        Op::Probed(false) => world.probed(&Outcome::Failure("no".to_owned())),
        Op::Seen(health) => world.seen(&health),
        Op::Pass(ms) => world.pass(Duration::from_millis(u64::from(ms))),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever happens and fails: never two starts at a time, never a start onto remains (both
    /// held by the world at every step); once things succeed, the goal is reached.
    #[test]
    fn safe_at_every_step_and_the_goal_is_reached(
        ops in prop::collection::vec(op(), 0..60),
        probed in any::<bool>(),
    ) {
        let probe = probed.then(Probe::default);
        let mut world = World::new(ProbeSpecs {
            startup: probe.clone(),
            readiness: probe.clone(),
            liveness: probe,
        });
        let mut generation = Generation(1);
        for op in ops {
            apply(&mut world, &mut generation, op);
        }
        world.step(Event::Held(false));
        world.step(Event::Order(wanted(generation.0, Desired::Run)));
        world.start_again();
        world.settle();
        prop_assert!(world.report().ready, "{:?}", world.machine);
        prop_assert_eq!(world.report().epoch, epoch(generation.0));
        world.step(Event::Order(wanted(generation.0, Desired::Stop)));
        world.settle();
        prop_assert_eq!(world.report().phase, Phase::Stopped);
        prop_assert!(world.keeper.is_none() && !world.left);
    }

    /// Each action fails at its n-th time over a whole start and stop; both still end right.
    #[test]
    fn any_single_failure_is_got_over(nth in 0_usize..12, survives in any::<bool>()) {
        let mut world = World::new(ProbeSpecs::default());
        let mut count = 0;
        for (desired, phase) in [(Desired::Run, Phase::Running), (Desired::Stop, Phase::Stopped)] {
            world.step(Event::Order(wanted(1, desired)));
            for _ in 0..100 {
                if world.report().phase == phase {
                    break;
                }
                if world.pending.is_some() {
                    count += 1;
                    world.finish(count != nth + 1, survives);
                } else {
                    world.now = world.machine.wake_at().unwrap();
                    world.step(Event::Tick);
                }
            }
            prop_assert_eq!(world.report().phase, phase);
        }
        prop_assert!(world.keeper.is_none() && !world.left);
    }
}

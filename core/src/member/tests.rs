//! The member machine against a small model of a host: by hand, and with random events and
//! failures.

use super::*;
use crate::{
    ids::Term,
    machine::MachineIds,
    report::Phase,
    spec::Probe,
    volume::{Ownership, Usage, VolumeReport},
    waiting::{OtherMachine, ProbeFailure},
};

mod health;
mod life;
mod order;
mod random;

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
        lease: None,
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

fn other_machine() -> Reason {
    Reason::OtherMachine(OtherMachine {
        recorded: MachineIds::default(),
        here: MachineIds::default(),
    })
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
    /// The lease that a run begins with.
    lease: Option<LeaseTerms>,
    /// Whether a run left something behind.
    left: bool,
    /// Whether nothing may be started.
    barred: bool,
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
            lease: None,
            left: false,
            barred: false,
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
            lease: self.lease,
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
                        assert!(!self.barred, "a start that is barred");
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

    fn bar(&mut self, barred: bool) {
        self.barred = barred;
        self.step(Event::Barred(barred.then(other_machine)));
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

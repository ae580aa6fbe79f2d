//! One member on one host: what to do next, given what is ordered and what has happened.
//!
//! Pure: [`Machine::step`] takes one event and returns effects; whoever drives it carries each out
//! and says how it went with [`Event::Done`]. At most one *action* ([`Effect::Act`]) of a member is
//! under way at any time, so two starts of one member can never meet; an action that hangs holds up
//! its own member only. A member never waits for another one here: after a boot all members of a
//! host start by themselves, without a coordinator.
//!
//! ```text
//! Unknown -Adopt-> Up                                  (a keeper of an earlier agent lives)
//!              \-> Dirty -Cleanup-> Clean -Prepare-> Prepared -CheckPorts-> PortsFree -Start-> Up
//!                    ^                                   (Clean is the proof: nothing is there)
//!                    +--- the keeper is gone, or a step failed
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    bug::{self, Bug},
    ids::{BootId, Epoch, MemberId, ProcessName, RunId, RunNumber, TemplateHash},
    lease::LeaseTerms,
    order::Desired,
    probe::{Outcome, ProbeSpecs},
    report::MemberReport,
    time::Timestamp,
    volume::{MountedVolume, VolumeHealth},
    waiting::Reason,
};

mod backoff;
mod machine;
mod process;
mod up;
mod view;
mod volumes;

use backoff::Backoff;
pub use process::{ProcessChange, ProcessState};
pub use up::AttemptId;
use up::Up;

/// What the order says of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Under which grant.
    pub epoch: Epoch,
    /// Run or stop.
    pub desired: Desired,
    /// The revision of its template: another one may have removed the cause of a failure.
    pub revision: TemplateHash,
    /// The lease that it rests on, if any: it is started only while the host holds one.
    pub lease: Option<LeaseTerms>,
    /// Its volumes by claim template, and whether each is known to be filled.
    pub volumes: BTreeMap<String, bool>,
    /// Whether it is rendered as a founder: told to be ready only after the ledger has it, so that no
    /// later start is rendered as a founder again.
    pub founding: bool,
    /// Whether the ledger has it that the member was ready in this epoch.
    pub passed_gate: bool,
}

/// What the order says of a member, or that it does not say anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing is known yet: nothing is done, and what runs is left as it is.
    Unordered,
    /// The member is in the order.
    Ordered(Wanted),
    /// There is an order and the member is not in it: it is stopped and forgotten.
    Removed,
}

/// A run that has a living keeper, as it is found or was just started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Which start.
    pub run: RunId,
    /// Whether every init process has exited with 0.
    pub init_done: bool,
    /// Whether a stop was asked for by an earlier agent.
    pub stopping: bool,
    /// The lease that its keeper ends it by.
    pub lease: Option<LeaseTerms>,
    /// The processes, in the order of the template.
    pub processes: Vec<ProcessState>,
    /// Their probes.
    pub probes: BTreeMap<ProcessName, ProbeSpecs>,
    /// The volumes that it has mounted.
    pub volumes: Vec<MountedVolume>,
    /// From the stop signal to KILL.
    pub grace: Duration,
    /// The sidecars: what comes next is told of their startup probes.
    pub sidecars: BTreeSet<ProcessName>,
    /// Those that are never killed: a stop waits for them.
    pub never_killed: BTreeSet<ProcessName>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The order for the member is new, changed or gone. Also after a start of the agent.
    Order(Standing),
    /// An operator stopped the member on this host, or let go of it.
    Held(bool),
    /// The host goes down and it is the member's turn to stop, or it may run again.
    ShuttingDown(bool),
    /// Whether the host holds a lease that leaves time to run a member under its present order. What
    /// runs is its keeper's business: that holds the same deadline.
    Lease(bool),
    /// Why nothing may be started here for now, whatever is ordered: what runs is left as it is.
    Barred(Option<Reason>),
    /// An operator wants its processes stopped and started again.
    Restart,
    /// An action has ended. Results of anything but the action under way are ignored.
    Done {
        /// The number that the action was given.
        step: u64,
        /// What came of it.
        result: Result<Done, Reason>,
    },
    /// A process of a run started or ended.
    Process {
        /// Which run.
        run: RunId,
        /// Which process.
        process: ProcessName,
        /// Whether it is an init process.
        init: bool,
        /// What happened.
        change: ProcessChange,
    },
    /// Every init process of a run is done.
    InitDone {
        /// Which run.
        run: RunId,
    },
    /// The keeper of a run is gone, and every process with it.
    KeeperGone {
        /// Which run.
        run: RunId,
    },
    /// Nothing is heard of the keeper of a run any more, and it may live: it is looked for again.
    KeeperLost {
        /// Which run.
        run: RunId,
    },
    /// A probe was tried.
    Probed {
        /// Which attempt.
        attempt: AttemptId,
        /// What came of it.
        outcome: Outcome,
    },
    /// The volumes of a run were looked at: how each one is, by its name. Those of which that could
    /// not be found out are left out.
    VolumesSeen {
        /// Which run.
        run: RunId,
        /// How they are.
        seen: BTreeMap<String, VolumeHealth>,
    },
    /// A process could not be told to restart.
    RestartFailed {
        /// Which run.
        run: RunId,
        /// Which process.
        process: ProcessName,
    },
    /// The keeper of a run has what this revision renders to.
    Refreshed {
        /// Which run.
        run: RunId,
        /// The revision.
        revision: TemplateHash,
    },
    /// The keeper could not be told that a startup probe passed.
    PassedLost {
        /// Which run.
        run: RunId,
        /// Which process.
        process: ProcessName,
    },
    /// The ledger has it that the member was ready in this epoch.
    GateRecorded {
        /// The grant.
        epoch: Epoch,
    },
    /// Time has passed: [`Machine::wake_at`] has come.
    Tick,
}

/// What came of an action that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Of [`Action::Cleanup`], [`Action::Prepare`], [`Action::CheckPorts`]; of [`Action::Stop`] and
    /// [`Action::Kill`] when the keeper was told, whether or not it is known to have listened.
    Done,
    /// Of [`Action::Adopt`]: the run that lives, if one does.
    Adopted(Option<Running>),
    /// Of [`Action::Start`].
    Started(Running),
}

/// One action; only one of a member is under way at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Look for a keeper that an earlier agent started.
    Adopt,
    /// Remove what a run left, and make sure that nothing is left.
    Cleanup,
    /// Render, and ready the volumes for a start in this epoch; refused once another is ordered.
    Prepare(Epoch),
    /// See that the declared ports are free.
    CheckPorts,
    /// Write to the ledger, at once, the run and that its volumes are filled; then start the keeper.
    Start(RunId),
    /// Tell the keeper to stop everything.
    Stop,
    /// Tell the keeper to kill everything.
    Kill,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Carry out an action and say how it went, with its number.
    Act {
        /// The number.
        step: u64,
        /// What to do.
        action: Action,
    },
    /// Try a probe and say how it went.
    Probe(AttemptId),
    /// Tell the keeper to stop one process and start it again.
    RestartProcess {
        /// Which.
        process: ProcessName,
        /// From the stop signal to KILL, if its probe says another time than the member.
        grace: Option<Duration>,
        /// The start that failed, by how often it was started again: a later one is left alone.
        restarts: u32,
    },
    /// Tell the keeper that the startup probe of a sidecar has passed.
    TellPassed {
        /// Which.
        process: ProcessName,
        /// The start that passed, by how often it was started again.
        restarts: u32,
    },
    /// Look at the run's volumes, each with a deadline, and say how they are.
    LookAtVolumes {
        /// Which run.
        run: RunId,
    },
    /// Render the member anew and hand it to the living keeper, if it differs, then say so with
    /// [`Event::Refreshed`]: what the keeper starts from now on starts with it.
    Refresh,
    /// A founder was ready in this epoch: write it to the ledger, then say so with
    /// [`Event::GateRecorded`].
    PassedGate {
        /// The grant.
        epoch: Epoch,
    },
    /// Nothing is left of a member that left the order: write it to the ledger, drop the machine.
    Forget,
    /// [`Machine::report`] has changed.
    Changed,
}

/// Where a member stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Not looked at yet.
    Unknown,
    /// No keeper lives; what is left is not removed.
    Dirty,
    /// Surely nothing there.
    Clean,
    /// Volumes are ready for a start in this epoch.
    Prepared(Epoch),
    /// And its ports are free.
    PortsFree(Epoch),
    /// A keeper lives.
    Up(Box<Up>),
}

/// The steps that lead to a start, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Prepare,
    CheckPorts,
    Start,
}

/// What is to become of the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Leave,
    Run(Epoch),
    Stop,
}

/// The member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    member: MemberId,
    boot: BootId,
    standing: Standing,
    held: bool,
    /// Stopped because the host goes down.
    shutting_down: bool,
    /// Whether the host holds a lease.
    lease: bool,
    /// Why nothing may be started.
    barred: Option<Reason>,
    restart: bool,
    place: Place,
    /// The action under way.
    busy: Option<(u64, Action)>,
    steps: u64,
    last_run: Option<RunId>,
    /// Of the steps that lead to a start.
    starting: Backoff,
    /// Which of them failed last.
    failed_at: Stage,
    /// Of the steps that end and remove things.
    ending: Backoff,
    /// Restarts that the keepers before this one counted.
    restarts_before: u32,
    /// The epoch that [`Effect::PassedGate`] was asked for, and the one that the ledger has.
    passing_gate: Option<Epoch>,
    passed_gate: Option<Epoch>,
    forgotten: bool,
    reported: Option<MemberReport>,
}

impl Machine {
    /// A member of which nothing is known but its last run, from the ledger. `seed` spreads its
    /// pauses, so that members that fail together do not try again together. It does nothing
    /// before the first [`Event::Order`].
    pub fn new(member: MemberId, boot: BootId, last_run: Option<RunId>, seed: u64) -> Self {
        Self {
            member,
            boot,
            standing: Standing::Unordered,
            held: false,
            shutting_down: false,
            lease: false,
            barred: None,
            restart: false,
            place: if bug::on(Bug::KeepersNotLookedFor) {
                Place::Clean
            } else {
                Place::Unknown
            },
            busy: None,
            steps: 0,
            last_run,
            starting: Backoff::new(seed),
            failed_at: Stage::Prepare,
            ending: Backoff::new(seed.rotate_left(32)),
            restarts_before: 0,
            passing_gate: None,
            passed_gate: None,
            forgotten: false,
            reported: None,
        }
    }

    /// The member's id.
    pub fn member(&self) -> &MemberId {
        &self.member
    }

    /// Whether an operator holds it stopped.
    pub fn held(&self) -> bool {
        self.held
    }

    /// Whether it was told to stop because its host goes down.
    pub fn is_shutting_down(&self) -> bool {
        self.shutting_down
    }

    /// Takes in what happened; what to do now.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take(now, event, &mut effects);
        self.drive(now, &mut effects);
        let report = self.observe();
        if self.reported.as_ref() != Some(&report) {
            self.reported = Some(report);
            effects.push(Effect::Changed);
        }
        effects
    }

    /// When [`Event::Tick`] is due, if nothing happens before.
    pub fn wake_at(&mut self) -> Option<Timestamp> {
        let action = if self.busy.is_some() {
            None
        } else {
            self.action_at()
        };
        let probes = match &mut self.place {
            Place::Up(up) => up.wake_at(),
            Place::Unknown
            | Place::Dirty
            | Place::Clean
            | Place::Prepared(_)
            | Place::PortsFree(_) => None,
        };
        probes.into_iter().chain(action).min()
    }

    /// When the next action may begin, if it has to wait.
    fn action_at(&self) -> Option<Timestamp> {
        match self.next_action()? {
            Action::Prepare(_) | Action::CheckPorts | Action::Start(_) => self.starting.until(),
            Action::Adopt | Action::Cleanup | Action::Stop => self.ending.until(),
            Action::Kill => {
                let at = self.kill_at()?;
                Some(self.ending.until().map_or(at, |until| until.max(at)))
            }
        }
    }

    /// When everything is killed, if a stop was asked for.
    fn kill_at(&self) -> Option<Timestamp> {
        match &self.place {
            Place::Up(up) => up.kill_at(),
            Place::Unknown
            | Place::Dirty
            | Place::Clean
            | Place::Prepared(_)
            | Place::PortsFree(_) => None,
        }
    }

    /// The id of the next start in an epoch.
    fn next_run(&self, epoch: Epoch) -> RunId {
        let last = self.last_run.as_ref().filter(|run| run.epoch == epoch);
        RunId {
            epoch,
            boot: self.boot.clone(),
            number: last.map_or(RunNumber(1), |run| run.number.next()),
        }
    }
}

#[cfg(test)]
mod tests;

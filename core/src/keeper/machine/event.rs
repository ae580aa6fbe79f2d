//! The values that go into and come out of the keeper's machine.

use std::time::Duration;

use super::super::{BackoffLimits, Exit};
use crate::ids::ProcessName;

/// What a keeper has to look after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPlan {
    /// In the order of their start: what comes before the mains first.
    pub processes: Vec<ProcessPlan>,
    /// From the first preStop to KILL.
    pub grace: Duration,
    /// How long a start waits after an end.
    pub backoff: BackoffLimits,
}

/// What is to know about one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessPlan {
    /// Its name.
    pub name: ProcessName,
    /// What it is for.
    pub role: Role,
    /// The number of its stop signal.
    pub stop_signal: i32,
    /// Whether something is to be done beside its start; until then it does not count as started.
    pub post_start: bool,
    /// Whether something is to be done before the stop signal.
    pub pre_stop: bool,
    /// Whether it is not to be killed when a grace period is over.
    pub never_kill: bool,
}

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one.
    Init,
    /// Is started among the init processes and stays up until the mains are down.
    Sidecar {
        /// Whether what comes next waits for its startup probe ([`Event::Passed`]).
        startup_probe: bool,
    },
    /// What the member is for.
    Main,
}

/// A process of the plan, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub usize);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The namespaces are ready.
    Begin,
    /// [`Effect::Start`] worked.
    Executed(Slot),
    /// [`Effect::Start`] did not.
    NotExecuted(Slot),
    /// [`Effect::PostStart`] ended; whether it went well.
    PostStartEnded(Slot, bool),
    /// The startup probe of the process has passed.
    Passed(Slot),
    /// The process ended.
    Exited(Slot, Exit),
    /// [`Effect::PreStop`] ended, well or not.
    PreStopEnded(Slot),
    /// The keeper has no child any more.
    Empty,
    /// Stop everything; the member's own grace period if none is given.
    Stop(Option<Duration>),
    /// Kill everything, also what is not to be killed when a grace period is over.
    Kill,
    /// Stop some processes and start them again.
    Restart(RestartPlan),
    /// The deadline came.
    Tick,
}

/// Which processes are started again, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestartPlan {
    /// Which.
    pub slots: Vec<Slot>,
    /// From the first preStop to KILL; the member's own grace period if none is given.
    pub grace: Option<Duration>,
    /// Whether it is because they failed: then the next start waits as after a failed run.
    pub failed: bool,
}

/// What to do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write its files, execute it, answer with [`Event::Executed`] or [`Event::NotExecuted`].
    Start(Slot),
    /// Do what is to be done beside its start, answer with [`Event::PostStartEnded`].
    PostStart(Slot),
    /// Do what is to be done before its stop signal, answer with [`Event::PreStopEnded`].
    PreStop(Slot),
    /// Kill the hook of the process that is at work.
    EndHook(Slot),
    /// Send it a signal.
    Signal(Slot, i32),
    /// Kill it and whatever it left behind.
    KillProcess(Slot),
    /// Kill everything but the keeper, and say [`Event::Empty`] when no child is left.
    KillAll,
    /// Tell: it has started.
    TellStarted(Slot),
    /// Tell: it ended, and is started again after the pause, if any.
    TellExited(Slot, Exit, Option<Duration>),
    /// Tell: its grace period is over, and it is not killed.
    TellSpared(Slot),
    /// Tell: it could not be executed, and is tried again after the pause.
    TellNotExecuted(Slot, Duration),
    /// Tell: every init process has exited with 0.
    TellInitDone,
    /// Tell that all is stopped, and end.
    Finish,
}

/// What is true of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotView<'a> {
    /// Its name.
    pub name: &'a ProcessName,
    /// Whether it is an init process that runs to its end.
    pub init: bool,
    /// Whether it runs.
    pub running: bool,
    /// Whether it runs and does not count as started yet: what is done beside its start has not
    /// ended.
    pub post_start: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// How it last ended, if it did.
    pub last_exit: Option<Exit>,
    /// The time to its next start, if it waits for one.
    pub restart_in: Option<Duration>,
    /// Whether its grace period is over and it is not killed.
    pub spared: bool,
}

//! The values that go into and come out of the keeper's machine.

use std::time::Duration;

use super::super::Exit;
use crate::ids::ProcessName;

/// What a keeper has to look after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPlan {
    /// Run one after another first.
    pub init: Vec<ProcessPlan>,
    /// Started in this order.
    pub processes: Vec<ProcessPlan>,
    /// From the first preStop to KILL.
    pub grace: Duration,
}

/// What is to know about one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessPlan {
    /// Its name.
    pub name: ProcessName,
    /// The number of its stop signal.
    pub stop_signal: i32,
    /// Whether something is to be done before the stop signal.
    pub pre_stop: bool,
}

/// A process of the plan: the init processes first, then the others.
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
    /// The process ended.
    Exited(Slot, Exit),
    /// [`Effect::PreStop`] ended, well or not.
    PreStopEnded(Slot),
    /// The keeper has no child any more.
    Empty,
    /// Stop everything; the member's own grace period if none is given.
    Stop(Option<Duration>),
    /// Kill everything.
    Kill,
    /// Stop these and start them again.
    Restart(Vec<Slot>),
    /// The deadline came.
    Tick,
}

/// What to do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write its files, execute it, answer with [`Event::Executed`] or [`Event::NotExecuted`].
    Start(Slot),
    /// Do what is to be done before its stop signal, answer with [`Event::PreStopEnded`].
    PreStop(Slot),
    /// Send it a signal.
    Signal(Slot, i32),
    /// Kill it and whatever it left behind.
    KillProcess(Slot),
    /// Kill everything but the keeper, and say [`Event::Empty`] when no child is left.
    KillAll,
    /// Tell: it ended, and is started again after the pause, if any.
    TellExited(Slot, Exit, Option<Duration>),
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
    /// Whether it is an init process.
    pub init: bool,
    /// Whether it runs.
    pub running: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// How it last ended, if it did.
    pub last_exit: Option<Exit>,
    /// The time to its next start, if it waits for one.
    pub restart_in: Option<Duration>,
}

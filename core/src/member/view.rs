//! What the machine tells of its member.

use super::{Action, Goal, Machine, Place, Standing};
use crate::{
    ids::Epoch,
    report::{MemberReport, Phase, ProcessReport},
    time::Timestamp,
    waiting::Reason,
};

impl Machine {
    /// What is true of the member now.
    pub fn report(&self, now: Timestamp) -> MemberReport {
        let mut report = self.observe();
        if let Place::Up(up) = &self.place {
            let since = up.ready_since.filter(|_| report.ready);
            report.ready_for_ms = since.map_or(0, |since| now.0.saturating_sub(since.0));
        }
        report
    }

    /// The report without what changes by itself as time passes.
    pub(super) fn observe(&self) -> MemberReport {
        let phase = self.phase();
        let mut report = MemberReport {
            member: self.member.clone(),
            epoch: self.epoch(),
            run: self.last_run.clone(),
            revision: None,
            phase,
            started: false,
            ready: false,
            passed_gate: false,
            ready_for_ms: 0,
            restarts: self.restarts_before,
            processes: Vec::new(),
            waiting: self.waiting(phase),
            volumes: Vec::new(),
            filled: self.filled(),
        };
        report.run.take_if(|run| run.epoch != report.epoch);
        if let Place::Up(up) = &self.place {
            report.revision = up.told.clone();
            report.started = up.started();
            report.ready = up.ready() && phase == Phase::Running && !self.founds(up.run.epoch);
            report.restarts += up.restart_count();
            report.volumes = up.volumes.reports();
            report.processes = up
                .processes
                .iter()
                .map(|process| ProcessReport {
                    name: process.name.clone(),
                    pid: process.pid,
                    restarts: process.restarts,
                    last_exit: process.last_exit.clone(),
                    status: process.said.shown(),
                    unenforced: process.unenforced.clone(),
                })
                .collect();
        }
        report.passed_gate = report.ready || self.passed_gate == Some(report.epoch);
        report
    }

    /// The grant that the report is about: that of what is or may be here, else the ordered one.
    fn epoch(&self) -> Epoch {
        let last = self.last_run.as_ref().map(|run| run.epoch);
        let ordered = match &self.standing {
            Standing::Ordered(wanted) => Some(wanted.epoch),
            Standing::Unordered | Standing::Removed => None,
        };
        let epoch = match &self.place {
            Place::Up(up) => Some(up.run.epoch),
            Place::Unknown | Place::Dirty => last.or(ordered),
            Place::Clean | Place::Prepared(_) | Place::PortsFree(_) => ordered.or(last),
        };
        epoch.unwrap_or_default()
    }

    fn phase(&self) -> Phase {
        let runs = !matches!(self.goal(), Goal::Stop);
        let act = self.busy.as_ref().map(|(_, action)| action);
        let waits = act.is_none() && self.starting.until().is_some();
        match &self.place {
            // A preparation that is under way still writes to the volumes.
            Place::Clean if !runs && act.is_none() => Phase::Stopped,
            Place::Unknown => Phase::Pending,
            Place::Up(up) if up.stopping() || !runs => Phase::Stopping,
            Place::Up(_) if matches!(act, Some(Action::Stop | Action::Kill)) => Phase::Stopping,
            Place::Up(up) if up.waits() => Phase::BackOff,
            Place::Up(up) if up.running() => Phase::Running,
            Place::Up(_) => Phase::Starting,
            Place::Dirty | Place::Clean | Place::Prepared(_) | Place::PortsFree(_) if !runs => {
                Phase::Stopping
            }
            Place::Dirty | Place::Clean | Place::Prepared(_) | Place::PortsFree(_) => match act {
                Some(Action::Start(_)) => Phase::Starting,
                _ if waits => Phase::BackOff,
                None if self.place == Place::Clean => Phase::Pending,
                Some(
                    Action::Adopt
                    | Action::Cleanup
                    | Action::Prepare(_)
                    | Action::CheckPorts
                    | Action::Stop
                    | Action::Kill,
                )
                | None => Phase::Preparing,
            },
        }
    }

    fn waiting(&self, phase: Phase) -> Option<Reason> {
        let failed = || self.ending.reason().cloned();
        if phase == Phase::Stopped {
            if !matches!(self.standing, Standing::Ordered(_)) {
                return None;
            }
            let held = self.held.then_some(Reason::HeldByOperator);
            let going = || self.shutting_down.then_some(Reason::HostShuttingDown);
            return held.or_else(going);
        }
        if phase == Phase::Stopping {
            let (processes, volumes) = match &self.place {
                // A volume in trouble is what the stop is for, or what it takes so long for.
                Place::Up(up) => match up.spared() {
                    Some(processes) => return Some(Reason::NeverKilled { processes }),
                    None => (up.alive(), up.volumes.reason().cloned()),
                },
                Place::Unknown
                | Place::Dirty
                | Place::Clean
                | Place::Prepared(_)
                | Place::PortsFree(_) => (Vec::new(), None),
            };
            let stopping = || Reason::Stopping { processes };
            return failed().or(volumes).or_else(|| Some(stopping()));
        }
        let up = matches!(self.place, Place::Up(_));
        if let Some(reason) = self.held_off().filter(|_| !up) {
            return Some(reason);
        }
        let starting = self.starting.reason().cloned();
        starting.or_else(failed).or_else(|| match &self.place {
            Place::Up(up) => up.reason(),
            Place::Unknown
            | Place::Dirty
            | Place::Clean
            | Place::Prepared(_)
            | Place::PortsFree(_) => None,
        })
    }

    /// The claim templates whose volume is known to be filled.
    fn filled(&self) -> Vec<String> {
        let Standing::Ordered(wanted) = &self.standing else {
            return Vec::new();
        };
        let filled = wanted.volumes.iter().filter(|(_, filled)| **filled);
        filled.map(|(name, _)| name.clone()).collect()
    }
}

//! The transitions: what an event changes, and which action comes next.

use std::time::Duration;

use super::{Action, Done, Effect, Event, Goal, Machine, Place, Running, Stage, Standing, Up};
use crate::{
    bug::{self, Bug},
    ids::{Epoch, RunId},
    lease::LeaseTerms,
    order::Desired,
    time::Timestamp,
    waiting::Reason,
};

/// A run that lasted this long was a good one: what comes after it begins to count anew.
const STABLE: Duration = Duration::from_secs(10);

impl Machine {
    pub(super) fn take(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Order(standing) => self.take_order(standing, effects),
            Event::Held(held) => self.take_held(held),
            Event::ShuttingDown(down) => self.take_shutdown(down),
            Event::Lease(held) => self.lease = held,
            Event::Barred(barred) => self.barred = barred,
            Event::Restart => {
                self.restart = matches!(self.place, Place::Up(_));
                self.try_at_once();
            }
            Event::Done { step, result } => {
                if let Some((_, action)) = self.busy.take_if(|(number, _)| *number == step) {
                    self.take_result(now, &action, result, effects);
                }
            }
            Event::Process {
                run,
                process,
                init,
                change,
            } => {
                if let Some(up) = self.up(&run) {
                    up.change(now, &process, init, change);
                }
            }
            Event::InitDone { run } => {
                if let Some(up) = self.up(&run) {
                    up.init_done();
                }
            }
            Event::KeeperGone { run } => self.take_gone(now, &run),
            Event::KeeperLost { run } => {
                if self.up(&run).is_some() {
                    self.place = Place::Unknown;
                }
            }
            Event::Probed { attempt, outcome } => {
                if let Place::Up(up) = &mut self.place {
                    up.probed(now, &attempt, outcome);
                }
            }
            Event::VolumesSeen { run, seen } => {
                if let Some(up) = self.up(&run)
                    && up.volumes.seen(now, &seen)
                {
                    self.restart = true;
                }
            }
            Event::RestartFailed { run, process } => {
                if let Some(up) = self.up(&run) {
                    up.restart_failed(now, &process);
                }
            }
            Event::Refreshed { run, revision } => {
                if let Some(up) = self.up(&run) {
                    up.told = Some(revision);
                }
            }
            Event::PassedLost { run, process } => {
                if let Some(up) = self.up(&run) {
                    up.passed_lost(now, process);
                }
            }
            Event::GateRecorded { epoch } => {
                self.passed_gate = Some(epoch);
                // From now on it is started as no founder, also by the keeper alone (I7).
                self.refresh(effects);
            }
            Event::Tick => {}
        }
    }

    fn take_held(&mut self, held: bool) {
        self.held = held;
        self.try_at_once();
    }

    fn take_shutdown(&mut self, down: bool) {
        self.shutting_down = down;
        self.try_at_once();
    }

    fn up(&mut self, run: &RunId) -> Option<&mut Up> {
        match &mut self.place {
            Place::Up(up) if up.run == *run => Some(up),
            Place::Up(_)
            | Place::Unknown
            | Place::Dirty
            | Place::Clean
            | Place::Prepared(_)
            | Place::PortsFree(_) => None,
        }
    }

    fn refresh(&self, effects: &mut Vec<Effect>) {
        if let (Place::Up(up), Goal::Run(epoch)) = (&self.place, self.goal())
            && up.run.epoch == epoch
        {
            effects.push(Effect::Refresh);
        }
    }

    /// What is new may have removed the cause of a failure, so nothing waits for its pause.
    fn take_order(&mut self, standing: Standing, effects: &mut Vec<Effect>) {
        let essence = |standing: &Standing| match standing {
            Standing::Unordered | Standing::Removed => None,
            Standing::Ordered(w) => Some((w.epoch, w.desired, w.revision.clone())),
        };
        if essence(&self.standing) != essence(&standing) {
            self.try_at_once();
        }
        if let Standing::Ordered(wanted) = &standing
            && wanted.passed_gate
        {
            self.passed_gate = Some(wanted.epoch);
        }
        if self.standing != standing {
            self.standing = standing;
            self.forgotten = false;
        }
        // Values that the machine does not know of may be others.
        self.refresh(effects);
    }

    fn try_at_once(&mut self) {
        self.starting.reset();
        self.ending.reset();
    }

    fn take_result(
        &mut self,
        now: Timestamp,
        action: &Action,
        result: Result<Done, Reason>,
        effects: &mut Vec<Effect>,
    ) {
        match result {
            Ok(done) => self.take_success(now, action, done, effects),
            Err(reason) => self.take_failure(now, action, reason),
        }
    }

    fn take_success(
        &mut self,
        now: Timestamp,
        action: &Action,
        done: Done,
        effects: &mut Vec<Effect>,
    ) {
        match (action, done) {
            (Action::Adopt, Done::Adopted(Some(running))) => {
                self.ending.reset();
                self.begin_up(now, running);
                // An agent that died may not have told its keeper what was new.
                self.refresh(effects);
            }
            (Action::Adopt, Done::Adopted(None) | Done::Done) => {
                self.ending.reset();
                self.place = Place::Dirty;
            }
            (Action::Cleanup, _) => {
                self.ending.reset();
                self.place = Place::Clean;
            }
            // For the epoch that was asked for, whatever is wanted by now.
            (Action::Prepare(epoch), _) => {
                self.came_to(Stage::Prepare);
                self.place = Place::Prepared(*epoch);
            }
            (Action::CheckPorts, _) => {
                self.came_to(Stage::CheckPorts);
                if let Place::Prepared(epoch) = self.place {
                    self.place = Place::PortsFree(epoch);
                }
            }
            (Action::Start(_), Done::Started(running)) => {
                self.came_to(Stage::Start);
                self.begin_up(now, running);
                // What it was rendered from may have changed in between.
                self.refresh(effects);
            }
            (Action::Stop, _) => {
                self.ending.reset();
                if bug::on(Bug::StopConfirmedEarly) {
                    self.place = Place::Clean;
                }
                if let Place::Up(up) = &mut self.place {
                    up.stop_asked(now);
                }
            }
            (Action::Kill, _) => {
                self.ending.reset();
                if let Place::Up(up) = &mut self.place {
                    up.kill_asked(now);
                }
            }
            // A driver that answers a start with something else has lost track: look again.
            (
                Action::Start(_) | Action::Adopt,
                Done::Done | Done::Adopted(_) | Done::Started(_),
            ) => {
                self.place = Place::Unknown;
            }
        }
    }

    /// A step of a start was done, and with it the failure, unless that was later.
    fn came_to(&mut self, stage: Stage) {
        if self.failed_at <= stage {
            self.starting.explained();
        } else {
            self.starting.resumed();
        }
    }

    fn begin_up(&mut self, now: Timestamp, running: Running) {
        if self
            .last_run
            .as_ref()
            .is_none_or(|last| (last.epoch, last.number) < (running.run.epoch, running.run.number))
        {
            self.last_run = Some(running.run.clone());
        }
        self.place = Place::Up(Box::new(Up::new(now, running)));
    }

    fn take_failure(&mut self, now: Timestamp, action: &Action, reason: Reason) {
        match action {
            // It says nothing of what is wanted by now.
            Action::Prepare(epoch) if self.goal() != Goal::Run(*epoch) => {
                self.place = Place::Dirty;
            }
            // What a failed attempt left is removed at once; only the next attempt waits.
            Action::Prepare(_) => {
                self.start_failed(now, Stage::Prepare, reason);
                self.place = Place::Dirty;
            }
            Action::Start(_) => {
                self.start_failed(now, Stage::Start, reason);
                self.place = Place::Dirty;
            }
            Action::CheckPorts => self.start_failed(now, Stage::CheckPorts, reason),
            // A keeper may live after all: look again.
            Action::Adopt | Action::Cleanup => {
                self.place = Place::Unknown;
                self.ending.fail(now, reason);
            }
            // A keeper that went away meanwhile needs no second command.
            Action::Stop | Action::Kill if matches!(self.place, Place::Up(_)) => {
                self.ending.fail(now, reason);
            }
            Action::Stop | Action::Kill => {}
        }
    }

    fn start_failed(&mut self, now: Timestamp, stage: Stage, reason: Reason) {
        self.failed_at = stage;
        self.starting.fail(now, reason);
    }

    fn take_gone(&mut self, now: Timestamp, run: &RunId) {
        let Some(up) = self.up(run) else {
            return;
        };
        let (asked, lasted) = (up.stopping(), now.since(up.since));
        let restarts = up.restart_count();
        self.place = Place::Dirty;
        self.ending.reset();
        if asked || self.restart || !matches!(self.goal(), Goal::Run(_)) {
            self.starting.reset();
        } else {
            self.restarts_before = self.restarts_before.saturating_add(restarts + 1);
            if lasted >= STABLE {
                self.starting.reset();
            }
            let reason = Reason::StepFailed {
                step: "keep the processes".to_owned(),
                error: "the keeper ended, and every process with it".to_owned(),
            };
            self.failed_at = Stage::Start;
            self.starting.fail_once_free(now, reason);
        }
        self.restart = false;
    }

    pub(super) fn goal(&self) -> Goal {
        match &self.standing {
            Standing::Unordered => Goal::Leave,
            Standing::Removed => Goal::Stop,
            Standing::Ordered(_) if self.held || self.shutting_down => Goal::Stop,
            Standing::Ordered(wanted) => match wanted.desired {
                Desired::Run => Goal::Run(wanted.epoch),
                Desired::Stop => Goal::Stop,
            },
        }
    }

    pub(super) fn drive(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if let Some((step, action)) = self.begin_action(now) {
            effects.push(Effect::Act { step, action });
        }
        if let Place::Up(up) = &mut self.place {
            up.listen(now);
            effects.extend(up.due(now).into_iter().map(Effect::Probe));
            for (process, grace) in up.restarts_due(now) {
                let restarts = up.restarts_of(&process);
                effects.push(Effect::RestartProcess {
                    process,
                    grace,
                    restarts,
                });
            }
            for process in up.passes_due(now) {
                let restarts = up.restarts_of(&process);
                effects.push(Effect::TellPassed { process, restarts });
            }
            if up.look_due(now) {
                let run = up.run.clone();
                effects.push(Effect::LookAtVolumes { run });
            }
            let ready = up.ready();
            let epoch = up.run.epoch;
            up.ready_since = ready.then(|| up.ready_since.unwrap_or(now));
            if ready && self.founds(epoch) && self.passing_gate != Some(epoch) {
                self.passing_gate = Some(epoch);
                effects.push(Effect::PassedGate { epoch });
            }
        }
        let gone = self.place == Place::Clean && self.busy.is_none();
        if gone && self.standing == Standing::Removed && !self.forgotten {
            self.forgotten = true;
            effects.push(Effect::Forget);
        }
    }

    /// Whether a run of this epoch is, as far as the ledger knows, that of a founder.
    pub(super) fn founds(&self, epoch: Epoch) -> bool {
        let ordered = match &self.standing {
            Standing::Ordered(wanted) => wanted.founding && wanted.epoch == epoch,
            Standing::Unordered | Standing::Removed => false,
        };
        ordered && self.passed_gate != Some(epoch)
    }

    fn begin_action(&mut self, now: Timestamp) -> Option<(u64, Action)> {
        if self.busy.is_some() {
            return None;
        }
        let action = self.next_action()?;
        let may = match &action {
            Action::Prepare(_) | Action::CheckPorts | Action::Start(_) => self.starting.may(now),
            Action::Adopt | Action::Cleanup | Action::Stop => self.ending.may(now),
            Action::Kill => self.ending.may(now) && self.kill_at().is_some_and(|at| at <= now),
        };
        if !may {
            return None;
        }
        if let Action::Start(run) = &action {
            self.last_run = Some(run.clone());
        }
        self.steps += 1;
        self.busy = Some((self.steps, action.clone()));
        Some((self.steps, action))
    }

    /// Why it must not be started, although it is ordered to run.
    pub(super) fn held_off(&self) -> Option<Reason> {
        let Standing::Ordered(wanted) = &self.standing else {
            return None;
        };
        let unleased = wanted.lease.is_some() && !self.lease;
        let barred = self.barred.clone();
        barred.or_else(|| unleased.then_some(Reason::LeaseNotHeld))
    }

    /// Whether what the coordinator goes by is what a keeper ends its member by: it tells that a
    /// member is gone by the terms of the order.
    fn is_ended_by(&self, lease: Option<LeaseTerms>) -> bool {
        match &self.standing {
            Standing::Ordered(wanted) => wanted.lease == lease,
            Standing::Unordered | Standing::Removed => true,
        }
    }

    /// What leads towards the goal, whether or not its time has come.
    pub(super) fn next_action(&self) -> Option<Action> {
        let goal = self.goal();
        let starts = matches!(
            self.place,
            Place::Clean | Place::Prepared(_) | Place::PortsFree(_)
        );
        if starts && matches!(goal, Goal::Run(_)) && self.held_off().is_some() {
            return None;
        }
        match (&self.place, goal) {
            (_, Goal::Leave) => None,
            (Place::Unknown, _) => Some(Action::Adopt),
            (Place::Dirty, _) => Some(Action::Cleanup),
            (Place::Clean, Goal::Run(epoch)) => Some(Action::Prepare(epoch)),
            (Place::Clean, Goal::Stop) => None,
            (Place::Prepared(prepared), Goal::Run(epoch)) if *prepared == epoch => {
                Some(Action::CheckPorts)
            }
            (Place::PortsFree(prepared), Goal::Run(epoch)) if *prepared == epoch => {
                Some(Action::Start(self.next_run(epoch)))
            }
            (Place::Prepared(_) | Place::PortsFree(_), _) => Some(Action::Cleanup),
            (Place::Up(up), goal) => {
                let stays =
                    goal == Goal::Run(up.run.epoch) && !self.restart && self.is_ended_by(up.lease);
                match (up.stopping(), stays) {
                    (true, _) => Some(Action::Kill),
                    (false, true) => None,
                    (false, false) => Some(Action::Stop),
                }
            }
        }
    }
}

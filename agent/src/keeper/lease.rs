//! The keeper's hold on the end of its member's lease: a timer on a clock that counts through
//! suspends, and what reboots the host. What is to be done when is decided in core. The loop
//! does it as long as it can; [`super::guard`] holds the same end beside it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use berth_core::{
    keeper::{Act, Deadline, Event, LeasedRun},
    lease::LeaseTerms,
    time::Timestamp,
    waiting::Reason,
};
use rustix::mm::{MlockAllFlags, mlockall};

use super::{
    guard::{Guard, Own},
    run::Keeper,
    trigger::Trigger,
    wire::KeeperReply,
};
use crate::{
    clock::{Alarm, boottime},
    host::{linux::SelfReboot, step_failed},
};

/// The end of a lease, while a member runs on one.
#[derive(Debug)]
pub(crate) struct Lease {
    deadline: Deadline,
    timer: Alarm,
    /// Opened before the keeper has mounts of its own.
    reboot: Option<Trigger>,
    /// Holds the end whatever the loop waits for.
    guard: Option<Guard>,
}

impl Lease {
    /// Arms the timer.
    ///
    /// # Errors
    /// `StepFailed`, also if the lease is over already.
    pub(crate) fn open(run: LeasedRun, reboot: Option<&SelfReboot>) -> Result<Self, Reason> {
        let failed = |e: io::Error| step_failed("make a timer for the lease", e);
        let timer = Alarm::new().map_err(failed)?;
        let lease = Self {
            deadline: Deadline::new(run),
            timer,
            reboot: reboot.map(Trigger::open).transpose()?,
            guard: None,
        };
        lease.check()?;
        lease.arm().map_err(failed)?;
        Ok(lease)
    }

    /// Whether there is time to run anything.
    ///
    /// # Errors
    /// `LeaseNotHeld`.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        let at = self.deadline.wake_at();
        if at.is_some_and(|at| boottime() < at) {
            Ok(())
        } else {
            Err(Reason::LeaseNotHeld)
        }
    }

    /// Begins to hold the end by a thread of its own: from now on nothing that the loop waits for
    /// makes it late. Namespaces are to be there by then.
    ///
    /// # Errors
    /// `StepFailed`.
    pub(crate) fn guard(&mut self) -> Result<(), Reason> {
        let failed = |e: io::Error| step_failed("hold the lease", e);
        let alarm = Alarm::new().map_err(failed)?;
        let reboot = self.reboot.as_ref().map(Trigger::try_clone).transpose();
        let hands = Own {
            reboot: reboot.map_err(failed)?,
        };
        self.guard = Some(Guard::begin(self.deadline.run(), alarm, hands)?);
        Ok(())
    }

    /// It is off when nothing is left to do.
    fn arm(&self) -> io::Result<()> {
        self.timer.set(self.deadline.wake_at())
    }
}

impl Keeper {
    /// Becomes readable when something is to be done about the lease.
    pub(crate) fn lease_timer(&self) -> Option<BorrowedFd<'_>> {
        self.lease.as_ref().map(|lease| lease.timer.as_fd())
    }

    /// When the newest acknowledged renewal was sent.
    pub(crate) fn renewed(&self) -> Option<Timestamp> {
        Some(self.lease.as_ref()?.deadline.renewed())
    }

    /// The terms of the lease that ends its member.
    pub(crate) fn lease_terms(&self) -> Option<LeaseTerms> {
        Some(self.lease.as_ref()?.deadline.terms())
    }

    /// Takes in a renewal. A keeper whose member has no lease needs none.
    pub(crate) fn renew(&mut self, sent: Timestamp) -> KeeperReply {
        if let Some(lease) = &mut self.lease {
            lease.deadline.renew(sent);
            if let Some(guard) = &lease.guard {
                guard.renew(sent);
            }
        }
        self.arm_lease();
        KeeperReply::Done
    }

    fn arm_lease(&mut self) {
        let armed = self.lease.as_ref().map(Lease::arm);
        if let Some(Err(error)) = armed {
            // Nothing would end the member in time any more.
            self.complain(&step_failed("set the timer of the lease", error));
            self.feed(Event::Kill);
        }
    }

    /// Does what is due.
    pub(crate) fn keep_lease(&mut self) {
        while let Some(act) = self
            .lease
            .as_mut()
            .and_then(|lease| lease.deadline.due(boottime()))
        {
            self.complain(&Reason::LeaseNotHeld);
            match act {
                Act::Stop(left) => self.feed(Event::Stop(Some(left))),
                Act::Kill => self.feed(Event::Kill),
                Act::Reboot => self.reboot(),
            }
            if self.finished {
                return;
            }
            self.arm_lease();
        }
    }

    /// Nothing confirmed that the member is gone, and it may be started elsewhere.
    fn reboot(&mut self) {
        let error = "the member is not gone in time; the host reboots if it may";
        self.complain(&step_failed("end the lease", error));
        let lease = self.lease.as_mut();
        let trigger = lease.and_then(|lease| lease.reboot.as_mut());
        if let Some(Err(error)) = trigger.map(Trigger::fire) {
            self.complain(&step_failed("reboot", error));
        }
    }

    /// Keeps what the deadline needs in memory: it comes also when the disk hangs.
    pub(crate) fn stay_in_memory(&self) {
        let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
        if self.lease.is_some()
            && let Err(error) = mlockall(all)
        {
            self.complain(&step_failed("lock the keeper in memory", error));
        }
    }
}

//! The end of a lease, held by a thread of its own: what the keeper's loop waits for (a disk or a
//! server that hangs) never makes the deadline late. The loop asks the member to stop and knows what
//! became of it; the guard only kills everything at the end of the lease and, if the keeper is still
//! there when the member should be gone, reboots the host.
//!
//! The keeper forks, so the guard allocates nothing and takes no lock once it runs: a child would
//! inherit a lock that nobody opens.

use std::{
    io,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use berth_core::{
    keeper::{Act, Deadline, LeasedRun},
    time::Timestamp,
    waiting::Reason,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::trigger::Trigger;
use crate::{
    clock::{Alarm, boottime},
    host::step_failed,
};

/// Enough for a thread that calls the kernel and nothing else.
const STACK: usize = 64 << 10;

/// What the guard does to the host.
pub(super) trait Hands: Send + 'static {
    /// Kills every process of the member.
    fn kill(&mut self);
    /// Reboots the host, if it may.
    fn reboot(&mut self);
}

/// The keeper's own: it is PID 1 of the member's namespace.
pub(super) struct Own {
    /// What reboots the host.
    pub(super) reboot: Option<Trigger>,
}

impl Hands for Own {
    fn kill(&mut self) {
        // There may be none.
        let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    }

    fn reboot(&mut self) {
        if let Some(trigger) = &mut self.reboot {
            // The loop complains of it, if it can.
            let _ = trigger.fire();
        }
    }
}

/// Tells the guard of renewals.
#[derive(Debug)]
pub(super) struct Guard {
    renewed: Arc<AtomicU64>,
}

impl Guard {
    /// Begins to hold the end of a lease by this alarm, which is the guard's alone.
    ///
    /// # Errors
    /// `StepFailed`.
    pub(super) fn begin(
        run: LeasedRun,
        alarm: Alarm,
        mut hands: impl Hands,
    ) -> Result<Self, Reason> {
        let renewed = Arc::new(AtomicU64::new(run.renewed.0));
        let ready = Arc::new(Barrier::new(2));
        let (heard, runs) = (Arc::clone(&renewed), Arc::clone(&ready));
        let guard = move || {
            let mut deadline = Deadline::new(run);
            // From here on it does nothing but call the kernel.
            runs.wait();
            while wait(&alarm, &mut deadline, &heard, &mut hands) {}
        };
        let thread = thread::Builder::new().name("lease".to_owned());
        let began = thread.stack_size(STACK).spawn(guard);
        began.map_err(|e| step_failed("begin to hold the lease", e))?;
        ready.wait();
        Ok(Self { renewed })
    }

    /// A later renewal was acknowledged.
    pub(super) fn renew(&self, sent: Timestamp) {
        self.renewed.fetch_max(sent.0, Ordering::SeqCst);
    }
}

/// Does what is due, and waits for what comes next; whether anything does.
fn wait(
    alarm: &Alarm,
    deadline: &mut Deadline,
    renewed: &AtomicU64,
    hands: &mut impl Hands,
) -> bool {
    deadline.renew(Timestamp(renewed.load(Ordering::SeqCst)));
    while let Some(act) = deadline.due(boottime()) {
        match act {
            // The loop asks; if it cannot, the end comes all the same.
            Act::Stop(_) => {}
            Act::Kill => hands.kill(),
            Act::Reboot => hands.reboot(),
        }
    }
    let Some(at) = deadline.wake_at() else {
        return false;
    };
    let waited = alarm.set(Some(at)).and_then(|()| alarm.wait());
    match waited {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::Interrupted => true,
        Err(_) => {
            // Nothing would end the member in time any more.
            hands.kill();
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::{Receiver, Sender, channel},
        time::Duration,
    };

    use berth_core::lease::LeaseTerms;

    use super::*;

    const SOON: Duration = Duration::from_secs(60);

    struct Told(Sender<&'static str>);

    impl Hands for Told {
        fn kill(&mut self) {
            self.0.send("kill").unwrap();
        }

        fn reboot(&mut self) {
            self.0.send("reboot").unwrap();
        }
    }

    fn guarded(length_ms: u64) -> (Guard, Receiver<&'static str>, Timestamp) {
        let terms = LeaseTerms {
            length_ms,
            grace_ms: length_ms / 4,
            kill_ms: 200,
            self_fences: true,
        };
        let renewed = boottime();
        let (send, told) = channel();
        let run = LeasedRun {
            terms,
            renewed,
            reboot_ms: 0,
        };
        let guard = Guard::begin(run, Alarm::new().unwrap(), Told(send)).unwrap();
        (guard, told, renewed)
    }

    #[test]
    fn the_end_comes_while_the_loop_is_held_up() {
        // Nobody but the guard does anything here.
        let (_guard, told, renewed) = guarded(200);
        assert_eq!(told.recv_timeout(SOON), Ok("kill"));
        assert!(boottime() >= renewed.plus(Duration::from_millis(200)));
        assert_eq!(told.recv_timeout(SOON), Ok("reboot"));
        assert!(
            told.recv_timeout(SOON).is_err(),
            "it has nothing left to do"
        );
    }

    #[test]
    fn a_renewal_moves_the_end() {
        let (guard, told, renewed) = guarded(400);
        let later = renewed.plus(Duration::from_millis(600));
        guard.renew(later);
        guard.renew(renewed);
        assert_eq!(told.recv_timeout(SOON), Ok("kill"));
        assert!(boottime() >= later.plus(Duration::from_millis(400)));
    }
}

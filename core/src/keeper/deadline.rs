//! The end of a member's lease, as its keeper holds it: asked to stop some time before, killed at the
//! end, and the host rebooted when that was not enough. It needs nobody: an agent that hangs, is
//! stopped or is dead renews nothing, and that is all it takes.
//!
//! Times are those of a clock that counts through suspends; whoever drives this reads it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{lease::LeaseTerms, time::Timestamp, waiting::Reason};

/// What a run rests on, as an agent hands it to a keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeasedRun {
    /// The terms of its grant.
    pub terms: LeaseTerms,
    /// When the newest acknowledged renewal was sent, on `CLOCK_BOOTTIME`.
    pub renewed: Timestamp,
    /// How long its host takes to be down once it reboots itself, in milliseconds. A record of an
    /// earlier release has none: those hosts were down at once.
    #[serde(default)]
    pub reboot_ms: u64,
}

impl LeasedRun {
    /// Whether it may be started on a host that reboots itself when it is told to, or not: the
    /// coordinator counts on what the grant says.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub fn check_host(&self, reboots: bool) -> Result<(), Reason> {
        let failed = |error: String| {
            let step = "rest on the lease".to_owned();
            Err(Reason::StepFailed { step, error })
        };
        if !self.terms.self_fences {
            return Ok(());
        }
        if !reboots {
            return failed(
                "the member was granted to a host that reboots itself, and neither \
                 policy.selfReboot nor policy.watchdog is set any more; set one, or run \
                 'berth member restart'"
                    .to_owned(),
            );
        }
        // Begun as early as a quarter of the margin after the kill, it is over before the margin is.
        let margin = self.terms.kill_ms;
        if self.reboot_ms > margin / 2 {
            let reboot = self.reboot_ms;
            return failed(format!(
                "the host takes {reboot} ms to reboot itself, and half of the kill margin is {} ms; \
                 raise leases.killMargin of the coordinator and run 'berth member restart', or use \
                 policy.selfReboot",
                margin / 2
            ));
        }
        Ok(())
    }
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Ask everything to stop; so much time is left.
    Stop(Duration),
    /// Kill everything.
    Kill,
    /// It is not confirmed empty: reboot the host.
    Reboot,
}

/// How far it went. What was begun is not taken back: the member stops, and is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    Stopping,
    /// Since then.
    Killed(Timestamp),
    Rebooted,
}

/// The deadline of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    run: LeasedRun,
    stage: Stage,
}

impl Deadline {
    /// That of a run that begins.
    pub fn new(run: LeasedRun) -> Self {
        Self {
            run,
            stage: Stage::Running,
        }
    }

    /// Takes in that a later renewal was acknowledged; an earlier one says nothing.
    pub fn renew(&mut self, sent: Timestamp) {
        self.run.renewed = self.run.renewed.max(sent);
    }

    /// What it is the end of, with the newest renewal.
    pub fn run(&self) -> LeasedRun {
        self.run
    }

    /// The terms of the grant.
    pub fn terms(&self) -> LeaseTerms {
        self.run.terms
    }

    /// When the newest acknowledged renewal was sent.
    pub fn renewed(&self) -> Timestamp {
        self.run.renewed
    }

    /// The end of the lease.
    fn end(&self) -> Timestamp {
        self.run.terms.deadline(self.run.renewed)
    }

    /// When something is to be done, if nothing is renewed until then.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let terms = &self.run.terms;
        match self.stage {
            Stage::Running => {
                let grace = terms.grace_ms.min(self.end().0);
                Some(Timestamp(self.end().0 - grace))
            }
            Stage::Stopping => Some(self.end()),
            // Who was late itself, as after a suspend, sees what its kill did before it concludes.
            Stage::Killed(at) => {
                let margin = terms.kill_margin();
                // A host that takes its time to be down begins sooner.
                let reboot = Duration::from_millis(self.run.reboot_ms);
                let patience = (margin / 2).saturating_sub(reboot).max(margin / 4);
                Some(self.end().plus(patience).max(at.plus(margin / 4)))
            }
            Stage::Rebooted => None,
        }
    }

    /// What is to be done now, if anything: asked until there is nothing.
    pub fn due(&mut self, now: Timestamp) -> Option<Act> {
        self.wake_at().filter(|at| *at <= now)?;
        // What is late by more than one stage skips those between: nobody is asked to stop in no time.
        if now < self.end() {
            self.stage = Stage::Stopping;
            return Some(Act::Stop(self.end().since(now)));
        }
        if matches!(self.stage, Stage::Running | Stage::Stopping) {
            self.stage = Stage::Killed(now);
            return Some(Act::Kill);
        }
        self.stage = Stage::Rebooted;
        Some(Act::Reboot)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: LeaseTerms = LeaseTerms {
        length_ms: 3_000,
        grace_ms: 1_000,
        kill_ms: 2_000,
        self_fences: false,
    };

    fn deadline(renewed: u64) -> Deadline {
        Deadline::new(LeasedRun {
            terms: TERMS,
            renewed: Timestamp(renewed),
            reboot_ms: 0,
        })
    }

    fn at(deadline: &mut Deadline, now: u64) -> Option<Act> {
        deadline.due(Timestamp(now))
    }

    #[test]
    fn what_was_granted_to_a_host_that_reboots_itself_starts_on_no_other() {
        let run = |self_fences| LeasedRun {
            terms: LeaseTerms {
                self_fences,
                ..TERMS
            },
            renewed: Timestamp(10_000),
            reboot_ms: 0,
        };
        assert!(run(true).check_host(false).is_err());
        for (granted, has) in [(true, true), (false, true), (false, false)] {
            assert_eq!(run(granted).check_host(has), Ok(()));
        }
    }

    #[test]
    fn a_host_is_down_within_the_margin_however_it_reboots() {
        let slow = |reboot_ms| LeasedRun {
            terms: LeaseTerms {
                self_fences: true,
                ..TERMS
            },
            renewed: Timestamp(10_000),
            reboot_ms,
        };
        for reboot_ms in [0, 300, 1_000] {
            let run = slow(reboot_ms);
            assert_eq!(run.check_host(true), Ok(()));
            let mut one = Deadline::new(run);
            assert_eq!(at(&mut one, 13_000), Some(Act::Kill));
            let Timestamp(begins) = one.wake_at().unwrap();
            assert!(begins >= 13_500, "its kill had no time: {begins}");
            assert!(begins + reboot_ms <= 15_000, "down too late: {begins}");
            assert_eq!(at(&mut one, begins), Some(Act::Reboot));
        }
        let told = slow(1_001).check_host(true).unwrap_err().to_string();
        assert!(told.contains("leases.killMargin"), "{told}");
    }

    #[test]
    fn a_member_is_asked_to_stop_then_killed_then_its_host_reboots() {
        let mut one = deadline(10_000);
        assert_eq!(at(&mut one, 11_999), None);
        assert_eq!(
            at(&mut one, 12_000),
            Some(Act::Stop(Duration::from_secs(1)))
        );
        assert_eq!(at(&mut one, 12_999), None);
        assert_eq!(at(&mut one, 13_000), Some(Act::Kill));
        assert_eq!(at(&mut one, 13_999), None);
        assert_eq!(at(&mut one, 14_000), Some(Act::Reboot));
        assert_eq!(at(&mut one, 99_000), None);
        assert_eq!(one.wake_at(), None);
    }

    #[test]
    fn a_renewal_moves_everything_that_has_not_begun() {
        let mut one = deadline(10_000);
        one.renew(Timestamp(11_000));
        one.renew(Timestamp(9_000));
        assert_eq!(one.renewed(), Timestamp(11_000));
        assert_eq!(at(&mut one, 12_999), None);
        assert_eq!(
            at(&mut one, 13_500),
            Some(Act::Stop(Duration::from_millis(500)))
        );
        one.renew(Timestamp(13_000));
        assert_eq!(at(&mut one, 14_000), None);
        assert_eq!(at(&mut one, 16_000), Some(Act::Kill));
        one.renew(Timestamp(15_500));
        assert_eq!(at(&mut one, 17_000), None);
    }

    #[test]
    fn what_was_frozen_too_long_is_killed_at_once() {
        let mut one = deadline(10_000);
        assert_eq!(at(&mut one, 60_000), Some(Act::Kill));
        // What the kill did is seen a moment later.
        assert_eq!(at(&mut one, 60_499), None);
        assert_eq!(at(&mut one, 60_500), Some(Act::Reboot));
        let mut over = deadline(0);
        assert_eq!(at(&mut over, 13_000), Some(Act::Kill));
    }

    proptest! {
        /// Whatever is renewed when, and however late it is looked: nothing is left alive at the end
        /// of the newest lease, and nothing is done before it begins to run out.
        #[test]
        fn nothing_outlives_its_lease(
            steps in proptest::collection::vec((0..2_500_u64, proptest::option::of(0..4_000_u64)), 1..40),
        ) {
            let (mut now, mut newest) = (10_000, 10_000);
            let mut one = deadline(newest);
            let mut killed = false;
            for (pause, renewal) in steps {
                now += pause;
                while let Some(act) = one.due(Timestamp(now)) {
                    prop_assert!(now + TERMS.grace_ms >= newest + TERMS.length_ms, "{act:?} too early");
                    killed |= act == Act::Kill;
                }
                prop_assert!(killed || now < newest + TERMS.length_ms);
                if let Some(back) = renewal {
                    newest = newest.max(now.saturating_sub(back));
                    one.renew(Timestamp(newest));
                }
            }
        }
    }
}

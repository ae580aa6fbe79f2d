//! What a history came to: which steps were taken, what was waited for, and what went wrong, each so
//! many times. What nobody meets is not tested, whatever the test is called.

use std::collections::BTreeMap;

use crate::{plan::Step, variant::name, waiting::Reason};

/// So many times what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Steps that were committed, by name.
    pub steps: BTreeMap<String, u64>,
    /// Reasons to wait, by the rounds of planning that gave them.
    pub reasons: BTreeMap<&'static str, u64>,
    /// What went wrong, by name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Everything that happened, small or large.
    pub events: u64,
    /// Hosts and sets of the history.
    pub size: (u64, u64),
}

impl Tally {
    pub(super) fn step(&mut self, step: &Step) {
        *self.steps.entry(name(step)).or_default() += 1;
    }

    pub(super) fn reasons<'a>(&mut self, reasons: impl Iterator<Item = &'a Reason>) {
        for reason in reasons {
            *self.reasons.entry(reason.rule().name()).or_default() += 1;
        }
    }

    pub(super) fn fault(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// All faults together.
    pub fn faulted(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Adds what another history came to.
    pub fn add(&mut self, other: &Self) {
        for (step, count) in &other.steps {
            *self.steps.entry(step.clone()).or_default() += count;
        }
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason).or_default() += count;
        }
        for (fault, count) in &other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        self.events += other.events;
        self.size = (self.size.0 + other.size.0, self.size.1 + other.size.1);
    }
}

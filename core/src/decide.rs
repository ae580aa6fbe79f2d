//! What the coordinator decides from one moment to the next: it remembers what it decided on, and
//! plans what was reached by a change since. The first decision is about everything.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    check::{Breach, plan_scoped},
    ids::SetKey,
    plan::{
        Plan, Report, Scope,
        scope::{Open, reached},
    },
    state::State,
    time::Timestamp,
};

/// While something waits, everything is planned at least so often. Nothing needs it as long as every
/// change reaches whom it frees, which the simulator holds after each event; should one not, a member
/// waits for so long and not for ever.
const WHOLE: Duration = Duration::from_secs(60);

/// What is decided.
#[must_use]
#[derive(Debug, Clone)]
pub struct Decision {
    /// What to do.
    pub plan: Plan,
    /// Why everything else waits that it is about; and when to decide again, whatever it is about.
    pub report: Report,
    /// When to decide again about everything, if something waits.
    pub whole_at: Option<Timestamp>,
    /// What it is about.
    pub scope: Scope,
    /// What the checker refused.
    pub breaches: Vec<Breach>,
}

/// Decides again and again.
#[derive(Debug, Clone, Default)]
pub struct Decider {
    seen: Option<State>,
    /// What the last plan was about, if it had steps: they may not have been carried out.
    again: Option<Scope>,
    open: Open,
    report: Report,
    /// When everything was planned last.
    whole: Timestamp,
}

impl Decider {
    /// Decides what to do now.
    pub fn decide(&mut self, state: &State, now: Timestamp) -> Decision {
        state.remember();
        let scope = self.scope(state, now);
        let (plan, mut report, breaches) = plan_scoped(state, now, &scope);
        let idle = plan.steps.is_empty() && breaches.is_empty();
        self.again = (!idle).then(|| scope.clone());
        self.open.take(&scope, state, &report);
        report.wake_at = [report.wake_at, self.open.wake_at()]
            .into_iter()
            .flatten()
            .min();
        self.report.absorb(&scope, report.clone());
        self.seen = Some(state.clone());
        if scope == Scope::All {
            self.whole = now;
        }
        let waits = !self.report.waiting.is_empty();
        Decision {
            plan,
            report,
            whole_at: waits.then(|| self.whole.plus(WHOLE)),
            scope,
            breaches,
        }
    }

    /// Why everything waits, by the decisions so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn scope(&self, state: &State, now: Timestamp) -> Scope {
        let Some(seen) = &self.seen else {
            return Scope::All;
        };
        if !self.report.waiting.is_empty() && now >= self.whole.plus(WHOLE) {
            return Scope::All;
        }
        match (reached(seen, state, &self.open, now), &self.again) {
            (Scope::All, _) | (_, Some(Scope::All)) => Scope::All,
            (Scope::Only(reached), None) => Scope::Only(reached),
            (Scope::Only(reached), Some(Scope::Only(again))) => {
                let all: BTreeSet<SetKey> = reached.union(again).cloned().collect();
                Scope::Only(all)
            }
        }
    }
}

#[cfg(test)]
mod tests;

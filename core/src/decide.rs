//! What the coordinator decides from one moment to the next: it remembers what it decided on, and
//! plans what was reached by a change since. The first decision is about everything.

use std::time::Duration;

use crate::{
    check::{Breach, plan_scoped},
    plan::{
        Plan, Report, Scope,
        scope::{Open, reached},
    },
    state::State,
    time::Timestamp,
};

/// What waits is planned at least so often. Nothing needs it as long as every change reaches whom it
/// frees, which the simulator holds after each event; should one not, a member waits for so long and
/// not for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is decided.
#[must_use]
#[derive(Debug, Clone)]
pub struct Decision {
    /// What to do.
    pub plan: Plan,
    /// Why everything else waits that it is about; and when to decide again, whatever it is about.
    pub report: Report,
    /// When to decide again about all that waits, if something does.
    pub look_at: Option<Timestamp>,
    /// What it is about.
    pub scope: Scope,
    /// What the checker refused.
    pub breaches: Vec<Breach>,
}

/// Decides again and again.
#[derive(Debug, Clone, Default)]
pub struct Decider {
    seen: Option<State>,
    /// Whom the last plan may have left as they were: it may not have been carried out.
    again: Option<Scope>,
    open: Open,
    report: Report,
    /// When all that waits was planned last.
    looked: Timestamp,
}

impl Decider {
    /// Decides what to do now.
    pub fn decide(&mut self, state: &State, now: Timestamp) -> Decision {
        state.remember();
        let scope = self.scope(state, now);
        let (plan, mut report, breaches) = plan_scoped(state, now, &scope);
        self.open.take(&scope, state, &report);
        self.again = self.again(state, &plan, now);
        if !breaches.is_empty() {
            self.again = Some(scope.clone());
        }
        report.wake_at = [report.wake_at, self.open.wake_at()]
            .into_iter()
            .flatten()
            .min();
        self.report.absorb(&scope, report.clone());
        self.seen = Some(state.clone());
        let waits = !self.report.waiting.is_empty();
        Decision {
            plan,
            report,
            look_at: waits.then(|| self.looked.plus(PATIENCE)),
            scope,
            breaches,
        }
    }

    /// Why everything waits, by the decisions so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The sets that the steps of a plan reach. What came of the steps may be anything up to all of
    /// them; whom they do not reach stands as the plan found it either way.
    fn again(&self, before: &State, plan: &Plan, now: Timestamp) -> Option<Scope> {
        if plan.steps.is_empty() {
            return None;
        }
        let mut after = before.clone();
        for step in &plan.steps {
            after.apply(step, now);
        }
        Some(reached(before, &after, &self.open, now))
    }

    fn scope(&mut self, state: &State, now: Timestamp) -> Scope {
        let Some(seen) = &self.seen else {
            self.looked = now;
            return Scope::All;
        };
        let mut scope = reached(seen, state, &self.open, now);
        if let Some(again) = self.again.take() {
            scope = scope.with(again);
        }
        if now >= self.looked.plus(PATIENCE) {
            self.looked = now;
            let waiting = self.report.waiting.keys().map(|id| id.set.clone());
            let claims = self.report.set_claims.keys().cloned();
            scope = scope.with(Scope::Only(waiting.chain(claims).collect()));
        }
        scope
    }
}

#[cfg(test)]
mod tests;

//! What the coordinator decides from one moment to the next: it remembers what it decided on, and
//! plans what was reached by a change since. The first decision is about everything.

use std::{collections::BTreeSet, time::Duration};

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
    /// Why everything else waits that it is about; and when to decide again, whatever it is about. Who
    /// tells others asks [`Decider::tell`].
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
    /// Of what the last plan was about, what its steps reach: they may not have been carried out.
    again: Option<Scope>,
    open: Open,
    report: Report,
    /// What was decided about since [`Self::tell`].
    untold: Option<Scope>,
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
        self.again = if breaches.is_empty() {
            self.again(state, &plan, &scope, now)
        } else {
            Some(scope.clone())
        };
        self.untold = Some(match self.untold.take() {
            Some(untold) => untold.with(scope.clone()),
            None => scope.clone(),
        });
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

    /// Why everything waits that was decided about since this was asked last, and what that is. A plan
    /// with steps speaks of what is not carried out yet: this is to be asked after one without.
    pub fn tell(&mut self) -> (Scope, Report) {
        let scope = self.untold.take();
        let scope = scope.unwrap_or_else(|| Scope::Only(BTreeSet::new()));
        let report = self.report.about(&scope);
        (scope, report)
    }

    /// Those of the sets that a plan is about that its steps reach. What came of the steps may be
    /// anything up to all of them; whom they do not reach stands as the plan found it either way.
    fn again(&self, state: &State, plan: &Plan, scope: &Scope, now: Timestamp) -> Option<Scope> {
        if plan.steps.is_empty() {
            return None;
        }
        // Its own steps do reach it.
        if let Scope::Only(sets) = scope
            && sets.len() == 1
        {
            return Some(scope.clone());
        }
        let mut after = state.clone();
        for step in &plan.steps {
            after.apply(step, now);
        }
        Some(reached(state, &after, &self.open, now).within(scope))
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

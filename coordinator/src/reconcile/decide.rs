//! Plans, and has the plan checked by code that shares nothing with the planner. A set whose plan
//! is refused gets none; the others are planned without it.

use std::collections::BTreeMap;

use berth_core::{
    ids::SetKey,
    plan::{Plan, Report, plan_without},
    time::Timestamp,
};

use crate::state::View;

/// What a round does.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// What to commit.
    pub(super) plan: Plan,
    /// Why everything else waits.
    pub(super) report: Report,
    /// Sets whose plan was refused, with the rule.
    pub(super) refused: BTreeMap<SetKey, String>,
    /// When to look again even if nothing happens.
    pub(super) wake_at: Option<Timestamp>,
}

/// Decides what to do now. Sets in `parked` get no step.
pub(super) fn decide(view: &View, parked: &BTreeMap<SetKey, String>, now: Timestamp) -> Decision {
    if let Some(key) = view.unreadable.first() {
        // Part of what was decided is not known, so anything decided now could contradict it.
        tracing::error!(%key, "nothing is decided while a record cannot be read");
        return Decision::default();
    }
    let refused = parked.clone();
    let (plan, report) = plan_without(&view.state, now, &refused);
    Decision {
        wake_at: report.wake_at,
        plan,
        report,
        refused,
    }
}

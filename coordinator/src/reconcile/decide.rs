//! Plans, and has the plan checked by code that shares nothing with the planner. A set whose plan
//! is refused gets no step; the others are planned without it.

use std::collections::BTreeMap;

use berth_core::{
    check::{Breach, plan_checked},
    ids::SetKey,
    plan::{Plan, Report},
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
    /// What was refused, by set; `None` is what concerns all of them.
    pub(super) refused: BTreeMap<Option<SetKey>, String>,
}

/// Decides what to do now.
pub(super) fn decide(view: &View, now: Timestamp) -> Decision {
    let (plan, report, breaches) = plan_checked(&view.state, now);
    let mut refused = BTreeMap::new();
    for Breach { rule, set, detail } in breaches {
        let text = format!("{}: {detail}", rule.name());
        refused.entry(set).or_insert(text);
    }
    Decision {
        plan,
        report,
        refused,
    }
}

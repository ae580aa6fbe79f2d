//! Plans, and has the plan checked by code that shares nothing with the planner. A set whose plan
//! is refused gets no step; the others are planned without it. The loop and `berth plan` decide with
//! this one function, so that what is shown is what would be done.

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
pub struct Decision {
    /// What to commit.
    pub plan: Plan,
    /// Why everything else waits.
    pub report: Report,
    /// What was refused, by set; `None` is what concerns all of them.
    pub refused: BTreeMap<Option<SetKey>, String>,
}

impl Decision {
    /// What was refused, for who asks what would be done.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.refused.iter().map(|(set, rule)| match set {
            Some(set) => format!(
                "the plan of set {set} is refused ({rule}); nothing of it would be done: report this \
                 as a bug"
            ),
            None => format!(
                "the whole plan is refused ({rule}); nothing would be done: report this as a bug"
            ),
        })
    }
}

/// Decides what to do now.
pub(super) fn decide(view: &View, now: Timestamp) -> Decision {
    let (plan, report, breaches) = plan_checked(&view.state, now);
    Decision {
        plan,
        report,
        refused: refused(breaches),
    }
}

/// The first breach of each set, in words.
pub fn refused(breaches: Vec<Breach>) -> BTreeMap<Option<SetKey>, String> {
    let mut refused = BTreeMap::new();
    for Breach { rule, set, detail } in breaches {
        let text = format!("{}: {detail}", rule.name());
        refused.entry(set).or_insert(text);
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_a_warning_that_names_the_set_and_the_rule() {
        let set: SetKey = "default/web".parse().unwrap();
        let refused = [
            (Some(set), "OneEpoch: it runs".to_owned()),
            (None, "ZonePublished: no zone".to_owned()),
        ];
        let decision = Decision {
            refused: refused.into(),
            ..Decision::default()
        };
        let warnings: Vec<String> = decision.warnings().collect();
        assert!(warnings[0].contains("ZonePublished"), "{warnings:?}");
        assert!(warnings[1].contains("default/web"), "{warnings:?}");
        assert!(warnings[1].contains("OneEpoch"), "{warnings:?}");
    }
}

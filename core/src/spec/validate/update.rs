//! Rules about updates and budgets: what could never come to an end, or contradicts itself.

use super::Problems;
use crate::spec::{Amount, DisruptionBudget, Placement, StatefulSetSpec, UpdateKind};

const STRATEGY: &str = "spec.updateStrategy";
const BUDGET: &str = "spec.disruptionBudget";

pub(super) fn check(problems: &mut Problems, spec: &StatefulSetSpec) {
    strategy(problems, spec);
    if let Some(wanted) = &spec.disruption_budget {
        budget(problems, spec, wanted);
    }
    deadline(problems, spec);
    if spec.auto_rollback && spec.update_kind() == UpdateKind::OnDelete {
        problems.add(
            "spec.autoRollback",
            "with OnDelete there is no rollout that could be taken back; remove it, or write \
             updateStrategy.type: RollingUpdate",
        );
    }
}

fn strategy(problems: &mut Problems, spec: &StatefulSetSpec) {
    let Some(strategy) = &spec.update_strategy else {
        return;
    };
    if strategy.rolling_update.is_some() && strategy.kind != UpdateKind::RollingUpdate {
        problems.add(
            format!("{STRATEGY}.rollingUpdate"),
            "it is for type RollingUpdate only; remove it, or write that type",
        );
    }
    let field = format!("{STRATEGY}.rollingUpdate.maxUnavailable");
    match spec.max_unavailable() {
        Some(Amount::Quorum) => problems.add(
            field,
            "it takes a number or a percentage; for a quorum write disruptionBudget with \
             minAvailable: quorum",
        ),
        Some(wanted) => most(problems, &field, wanted),
        None => {}
    }
}

/// How many may be down: at least one, or nothing would ever happen.
fn most(problems: &mut Problems, field: &str, wanted: &Amount) {
    amount(problems, field, wanted);
    if matches!(wanted, Amount::Number(0) | Amount::Percent(0)) {
        problems.add(
            field,
            "with 0 no member could ever be replaced; give 1 or more, or write paused: true to \
             hold updates back",
        );
    }
}

fn amount(problems: &mut Problems, field: &str, wanted: &Amount) {
    match wanted {
        Amount::Percent(percent) if *percent > 100 => problems.add(
            field,
            format!("{percent}% is more than all; give at most 100%"),
        ),
        Amount::Unknown(text) => problems.add(
            field,
            format!(
                "'{text}' is no amount; give a number, a percentage such as \"30%\", or quorum"
            ),
        ),
        Amount::Number(_) | Amount::Percent(_) | Amount::Quorum => {}
    }
}

fn budget(problems: &mut Problems, spec: &StatefulSetSpec, budget: &DisruptionBudget) {
    if spec.update_kind() == UpdateKind::Recreate {
        problems.add(
            BUDGET,
            "Recreate takes all members down at once, which no budget allows; remove one of the \
             two",
        );
    }
    let replicas = spec.replicas();
    match (&budget.max_unavailable, &budget.min_available) {
        (Some(Amount::Quorum), None) => problems.add(
            format!("{BUDGET}.maxUnavailable"),
            "a quorum is what must stay; write minAvailable: quorum",
        ),
        (Some(wanted), None) => most(problems, &format!("{BUDGET}.maxUnavailable"), wanted),
        (None, Some(wanted)) => {
            let field = format!("{BUDGET}.minAvailable");
            amount(problems, &field, wanted);
            // A set without members is one that somebody stopped, not one that broke its budget.
            if let Amount::Number(number) = wanted
                && *number > replicas
                && replicas > 0
                && spec.placement == Placement::Replicas
            {
                problems.add(
                    field,
                    format!(
                        "{number} of {replicas} members can never be available; give at most \
                         {replicas}, or a percentage"
                    ),
                );
            }
        }
        (Some(_), Some(_)) => problems.add(
            BUDGET,
            "maxUnavailable and minAvailable say the same in two ways; remove one",
        ),
        (None, None) => problems.add(
            BUDGET,
            "it says nothing; give maxUnavailable or minAvailable",
        ),
    }
}

fn deadline(problems: &mut Problems, spec: &StatefulSetSpec) {
    let Some(seconds) = spec.progress_deadline_seconds else {
        return;
    };
    if seconds <= spec.min_ready_seconds {
        problems.add(
            "spec.progressDeadlineSeconds",
            format!(
                "no member is available before minReadySeconds ({}) have passed; give more than \
                 that",
                spec.min_ready_seconds
            ),
        );
    }
}

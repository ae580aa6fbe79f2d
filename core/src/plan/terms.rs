//! The terms of a set's updates in words, as `describe` shows them: where a number could be read in
//! two ways, here is what it comes to.

use crate::{
    plan::budget,
    spec::{Amount, UpdateKind},
    state::Set,
    waiting::DisruptionCause,
};

/// How members come to a newer template.
pub fn updates(set: &Set) -> String {
    match set.spec.update_kind() {
        UpdateKind::OnDelete => "OnDelete: each member when it is restarted".to_owned(),
        UpdateKind::Recreate => {
            "Recreate: all members are stopped, and start again when all are gone".to_owned()
        }
        UpdateKind::RollingUpdate => {
            let most = budget::max_unavailable(set);
            let asked = set.spec.max_unavailable();
            let asked = asked.filter(|amount| matches!(amount, Amount::Percent(_)));
            let asked = asked.map(|amount| format!(" ({})", rounded(amount, "down")));
            let asked = asked.unwrap_or_default();
            format!(
                "RollingUpdate: {}, at most {most}{asked} unavailable",
                range(set)
            )
        }
    }
}

/// Which members a rolling update concerns.
fn range(set: &Set) -> String {
    let partition = set.spec.partition();
    let first = set.first_updated();
    match (partition, set.declared().next_back()) {
        (0, _) => "from the highest ordinal down".to_owned(),
        (_, Some(last)) if first <= last => format!(
            "from ordinal {last} down to {first}, the partition keeps the lowest {partition}"
        ),
        (_, Some(_) | None) => {
            format!("no member, the partition ({partition}) keeps all of them")
        }
    }
}

/// How many members may be taken down at a time.
pub fn disruptions(set: &Set) -> String {
    let floor = budget::floor(set, DisruptionCause::Restart);
    let wanted = set.wanted();
    let spec = set.spec.disruption_budget.as_ref();
    let asked = spec.and_then(|spec| {
        let least = spec.min_available.as_ref();
        let least = least.map(|amount| format!(" (minAvailable {})", rounded(amount, "up")));
        let most = spec.max_unavailable.as_ref();
        let most = most.map(|amount| format!(" (maxUnavailable {})", rounded(amount, "down")));
        least.or(most)
    });
    let asked = asked.unwrap_or_default();
    format!("{floor} of {wanted} members stay available{asked}")
}

/// An amount, and to which side it is rounded if it is a percentage.
fn rounded(amount: &Amount, side: &str) -> String {
    match amount {
        Amount::Percent(_) => format!("{amount}, rounded {side}"),
        Amount::Number(_) | Amount::Quorum | Amount::Unknown(_) => amount.to_string(),
    }
}

//! The disruption budget: at most one member of a set is taken down at a time, and only while all
//! others are available. A disruption is durable (the order to stop) and holds the budget until the
//! member is available again.

use crate::{
    ids::{Ordinal, SetKey},
    plan::facts::facts,
    state::{Set, State},
    time::Timestamp,
};

/// Whether one more member may be taken down; the time at which it may, if only time is missing.
pub(super) fn spare(
    state: &State,
    key: &SetKey,
    set: &Set,
    now: Timestamp,
) -> Result<(), Option<Timestamp>> {
    use crate::plan::facts::Standing;
    let mut wake = None;
    for ordinal in all(set) {
        let facts = facts(state, key, ordinal);
        match facts.map_or(Standing::Down, |facts| facts.standing(now)) {
            Standing::Available => {}
            Standing::ReadyUntil(at) => wake = wake.max(Some(at)),
            Standing::Unready | Standing::Down => return Err(None),
        }
    }
    match wake {
        None => Ok(()),
        Some(at) => Err(Some(at)),
    }
}

/// Every ordinal that is wanted, or still there.
fn all(set: &Set) -> impl Iterator<Item = Ordinal> {
    let leaving = set.members.keys().copied().filter(|n| !set.is_declared(*n));
    set.declared().chain(leaving)
}

//! The disruption budget: how many members must be available besides one that is taken down.
//!
//! Everything that takes a member down asks here: updates, restarts, drains, scaling in, and config
//! that is delivered if a process starts anew with it. What was
//! granted is durable, and needs no book of its own: a member that was ordered to stop is not
//! available, and stays so until it has been started again and serves. So the budget is simply
//! counted anew for every step, on the state in which the steps before it have taken effect.
//!
//! Only others count, so a member that is not available takes nothing from the budget. It needs as many
//! others as any, though, unless it is not even ready: then nobody asks here.

use crate::{
    bug::{self, Bug},
    ids::{Ordinal, SetKey},
    plan::facts::{Roster, Standing},
    spec::{Amount, DisruptionBudget},
    state::{Set, State},
    time::Timestamp,
    waiting::{DisruptionCause, Reason},
};

/// The budget has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent {
    /// What the member was to be taken down for.
    cause: DisruptionCause,
    /// How many other members are available.
    pub(super) available: u32,
    /// How many must be.
    pub(super) floor: u32,
    /// When to look again, if only time is missing.
    pub(super) wake: Option<Timestamp>,
}

impl Spent {
    pub(super) fn reason(self) -> Reason {
        Reason::BudgetSpent {
            cause: self.cause,
            available: self.available,
            floor: self.floor,
        }
    }
}

/// Whether a wanted member may be taken down now and brought back.
pub(super) fn allows(
    members: &Roster<'_>,
    victim: Ordinal,
    cause: DisruptionCause,
    now: Timestamp,
) -> Result<(), Spent> {
    if bug::on(Bug::BudgetSkipped) {
        return Ok(());
    }
    let stays = |other: &Ordinal| *other != victim || bug::on(Bug::VictimCounted);
    let others = members.set.declared().filter(stays);
    enough(members, others, (cause, floor(members.set, cause)), now)
}

/// Whether a member that is not wanted any more may leave. Without a budget of its own a set goes
/// by the order of its policy alone, as a StatefulSet does.
pub(super) fn lets_go(
    state: &State,
    key: &SetKey,
    set: &Set,
    victim: Ordinal,
    now: Timestamp,
) -> Result<(), Spent> {
    let Some(budget) = &set.spec.disruption_budget else {
        return Ok(());
    };
    let members = Roster::new(state, key, set);
    if !members.of(victim).is_some_and(|facts| facts.available(now)) {
        return Ok(());
    }
    let others = set.members.keys().copied().filter(|other| *other != victim);
    let floor = floor_of(budget, set.wanted());
    let cause = DisruptionCause::ScaleIn;
    enough(&members, others, (cause, floor), now)
}

/// How many others must be available for a member to be taken down. For an update,
/// `updateStrategy.rollingUpdate.maxUnavailable` counts, too.
pub(super) fn floor(set: &Set, cause: DisruptionCause) -> u32 {
    let size = set.wanted();
    let update = size.saturating_sub(max_unavailable(set));
    let asked = set.spec.disruption_budget.as_ref();
    let asked = asked.map(|budget| floor_of(budget, size));
    let floor = match (cause == DisruptionCause::Update, asked) {
        (true, Some(asked)) => asked.max(update),
        (true, None) => update,
        (false, Some(asked)) => asked,
        (false, None) => size.saturating_sub(1),
    };
    // One of one, or of two, may always be down: it could never be replaced otherwise.
    if size <= 2 {
        floor.min(size.saturating_sub(1))
    } else {
        floor
    }
}

/// How many members may be unavailable for an update, at least one.
pub(super) fn max_unavailable(set: &Set) -> u32 {
    match set.spec.max_unavailable() {
        Some(Amount::Number(number)) => (*number).max(1),
        Some(Amount::Percent(percent)) => share(set.wanted(), *percent).max(1),
        Some(Amount::Quorum | Amount::Unknown(_)) | None => 1,
    }
}

/// How many of `size` members a budget wants available. Percentages are rounded to the side on
/// which more members are available.
pub(super) fn floor_of(budget: &DisruptionBudget, size: u32) -> u32 {
    let down = |amount: &Amount| match amount {
        Amount::Number(number) => (*number).max(1),
        Amount::Percent(percent) => share(size, *percent).max(1),
        Amount::Quorum | Amount::Unknown(_) => 1,
    };
    let up = |amount: &Amount| match amount {
        // More than there are would be waited for without end.
        Amount::Number(number) => (*number).min(size),
        Amount::Percent(percent) => {
            size.saturating_sub(share(size, 100_u32.saturating_sub(*percent)))
        }
        Amount::Quorum if size == 0 => 0,
        Amount::Quorum => size / 2 + 1,
        Amount::Unknown(_) => size,
    };
    match (&budget.min_available, &budget.max_unavailable) {
        (Some(least), _) => up(least),
        (None, Some(most)) => size.saturating_sub(down(most)),
        (None, None) => size.saturating_sub(1),
    }
}

/// So many of a hundred, rounded down.
fn share(size: u32, percent: u32) -> u32 {
    let share = u64::from(size) * u64::from(percent) / 100;
    u32::try_from(share).unwrap_or(u32::MAX)
}

fn enough(
    members: &Roster<'_>,
    others: impl Iterator<Item = Ordinal>,
    (cause, floor): (DisruptionCause, u32),
    now: Timestamp,
) -> Result<(), Spent> {
    let mut available = 0_u32;
    let mut wake = None;
    for other in others {
        let facts = members.of(other).filter(|facts| !facts.falters());
        match facts.map_or(Standing::Down, |facts| facts.standing(now)) {
            Standing::Available => available += 1,
            Standing::ReadyUntil(at) => wake = wake.into_iter().chain([at]).min(),
            Standing::Unready if bug::on(Bug::UnreadyCounted) => available += 1,
            Standing::Unready | Standing::Down => {}
        }
    }
    if available >= floor {
        Ok(())
    } else {
        Err(Spent {
            cause,
            available,
            floor,
            wake,
        })
    }
}

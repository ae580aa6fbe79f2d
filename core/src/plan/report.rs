//! What the plan says beside its steps: why everything else waits, and what to warn of.

use std::collections::BTreeMap;

use crate::{
    condition::Condition,
    ids::{ClaimKey, MemberId, SetKey},
    time::Timestamp,
    waiting::Reason,
};

/// Why what is not done is not done.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Why each member that is not where it should be waits.
    pub waiting: BTreeMap<MemberId, Reason>,
    /// Why each claim that was made by hand has no volume, and why each claim whose volume is to be
    /// larger waits for that.
    pub claims: BTreeMap<ClaimKey, Reason>,
    /// How each set stands, condition by condition.
    pub conditions: BTreeMap<SetKey, Vec<Condition>>,
    /// What the operator should know of a set.
    pub warnings: BTreeMap<SetKey, Vec<String>>,
    /// When to plan again even if nothing happens: the earliest deadline that a reason rests on.
    pub wake_at: Option<Timestamp>,
}

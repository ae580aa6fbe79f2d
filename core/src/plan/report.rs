//! What the plan says beside its steps: why everything else waits, and what to warn of.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    condition::Condition,
    ids::{ClaimKey, MemberId, Ordinal, SetKey},
    plan::{Scope, Subject},
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
    /// Those of these claims whose reason was found with the set of their members; the others are
    /// looked at in every plan.
    pub set_claims: BTreeMap<SetKey, BTreeSet<ClaimKey>>,
    /// What volumes and snapshots wait for that the checker refused a step of: the rule. They are
    /// looked at in every plan.
    pub refused: BTreeMap<Subject, String>,
    /// Sets that wait for something that is not their own: what others give up reaches them.
    pub unsettled: BTreeSet<SetKey>,
    /// The deadlines of `wake_at` that are a set's.
    pub wakes: BTreeMap<SetKey, Timestamp>,
    /// When to plan again even if nothing happens: the earliest deadline that a reason rests on.
    pub wake_at: Option<Timestamp>,
}

impl Report {
    /// Takes in a newer report, which is about some sets.
    pub fn absorb(&mut self, scope: &Scope, newer: Self) {
        let Scope::Only(sets) = scope else {
            *self = newer;
            return;
        };
        for set in sets {
            self.forget(set);
        }
        self.waiting.extend(newer.waiting);
        self.conditions.extend(newer.conditions);
        self.warnings.extend(newer.warnings);
        self.unsettled.extend(newer.unsettled);
        self.wakes.extend(newer.wakes);
        let kept: BTreeSet<&ClaimKey> = self.set_claims.values().flatten().collect();
        self.claims.retain(|claim, _| kept.contains(claim));
        self.claims.extend(newer.claims);
        self.set_claims.extend(newer.set_claims);
        self.refused = newer.refused;
        self.wake_at = newer.wake_at;
    }

    /// What it says of some sets, and of what is no set's.
    pub(crate) fn about(&self, scope: &Scope) -> Self {
        let Scope::Only(sets) = scope else {
            return self.clone();
        };
        let mut about = Self {
            refused: self.refused.clone(),
            wake_at: self.wake_at,
            ..Self::default()
        };
        for set in sets {
            let waiting = of_set(set, &self.waiting);
            about
                .waiting
                .extend(waiting.map(|(id, reason)| (id.clone(), reason.clone())));
            about.conditions.extend(entry(set, &self.conditions));
            about.warnings.extend(entry(set, &self.warnings));
            about.unsettled.extend(self.unsettled.get(set).cloned());
            about.wakes.extend(entry(set, &self.wakes));
            about.set_claims.extend(entry(set, &self.set_claims));
        }
        let others = self.set_claims.iter().filter(|(set, _)| !scope.has(set));
        let others: BTreeSet<&ClaimKey> = others.flat_map(|(_, claims)| claims).collect();
        let claims = self.claims.iter().filter(|(key, _)| !others.contains(key));
        about
            .claims
            .extend(claims.map(|(key, reason)| (key.clone(), reason.clone())));
        about
    }

    fn forget(&mut self, set: &SetKey) {
        for id in members(set, &self.waiting) {
            self.waiting.remove(&id);
        }
        self.conditions.remove(set);
        self.warnings.remove(set);
        self.unsettled.remove(set);
        self.wakes.remove(set);
        self.set_claims.remove(set);
    }
}

/// The members of a set that something is told of.
pub fn members<T>(set: &SetKey, told: &BTreeMap<MemberId, T>) -> Vec<MemberId> {
    of_set(set, told).map(|(id, _)| id.clone()).collect()
}

fn of_set<'a, T>(
    set: &'a SetKey,
    told: &'a BTreeMap<MemberId, T>,
) -> impl Iterator<Item = (&'a MemberId, &'a T)> {
    let first = MemberId {
        set: set.clone(),
        ordinal: Ordinal(0),
    };
    told.range(first..).take_while(|(id, _)| id.set == *set)
}

fn entry<T: Clone>(set: &SetKey, told: &BTreeMap<SetKey, T>) -> Option<(SetKey, T)> {
    let told = told.get(set)?;
    Some((set.clone(), told.clone()))
}

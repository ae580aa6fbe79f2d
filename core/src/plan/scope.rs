//! Which sets a plan is about: those whose plan may have changed since the last one.
//!
//! Nobody says what changed. It is found by holding the state against the one that was planned on
//! last, so no hint can be forgotten; here is only which sets a change reaches:
//!
//! * a set is reached by its own changes, by those of its claims and their volumes, of its hosts,
//!   of what its members reported, and of the sets that it depends on or that depend on it;
//! * a set that waits for what is not its own (a host, an address, a volume: see
//!   `Rule::rests_on_others`) is reached by any change of what it could get;
//! * what concerns all sets (the history, an address pool, a class) reaches all of them.
//!
//! A set that waits for nothing wants nothing of the others, so what they give up does not reach it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::{ClaimKey, HostName, MemberId, ObjectKey, SetKey},
    map::Change,
    plan::Report,
    state::{Claim, Index, Ordered, OwnClaims, State},
    time::Timestamp,
    waiting::{DisruptionCause, Reason},
};

/// The sets that a plan is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// These, whether or not they are there.
    Only(BTreeSet<SetKey>),
}

impl Scope {
    /// Whether a set is one of them.
    pub fn has(&self, set: &SetKey) -> bool {
        match self {
            Self::All => true,
            Self::Only(sets) => sets.contains(set),
        }
    }

    /// These sets and those.
    #[must_use]
    pub(crate) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(mut sets), Self::Only(more)) => {
                sets.extend(more);
                Self::Only(sets)
            }
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }

    /// Those of these sets that are in another scope too.
    #[must_use]
    pub(crate) fn within(self, other: &Self) -> Self {
        match self {
            Self::All => other.clone(),
            Self::Only(mut sets) => {
                sets.retain(|set| other.has(set));
                Self::Only(sets)
            }
        }
    }

    /// Those of the claims of the members of these sets that a test holds of, sorted.
    pub(super) fn claims(&self, state: &State, wanted: impl Fn(&Claim) -> bool) -> Vec<ClaimKey> {
        match self {
            Self::All => {
                let claims = state.claims.iter().filter(|(_, claim)| wanted(claim));
                claims.map(|(key, _)| key.clone()).collect()
            }
            Self::Only(sets) => {
                let index = state.index();
                let own = sets.iter().filter_map(|set| index.claims_of.get(set));
                let claims = own.flat_map(OwnClaims::iter);
                let claims = claims.filter(|(_, _, claim)| wanted(claim));
                // A claim is one set's only, so none is there twice.
                let mut claims: Vec<ClaimKey> = claims.map(|(_, key, _)| key.clone()).collect();
                claims.sort_unstable();
                claims
            }
        }
    }
}

/// What sets wait for, as far as it decides which changes reach them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Open {
    /// Sets that wait for what is not their own.
    others: BTreeSet<SetKey>,
    /// Sets with a member that waits for its name to be served.
    names: BTreeSet<SetKey>,
    /// The hosts of the members that wait, by set.
    hosts: BTreeMap<SetKey, BTreeSet<HostName>>,
    /// The sets with members that wait, by host.
    at: BTreeMap<HostName, BTreeSet<SetKey>>,
    /// When to plan a set again, if nothing happens before.
    wakes: BTreeMap<SetKey, Timestamp>,
    due: BTreeSet<(Timestamp, SetKey)>,
}

impl Open {
    /// Takes in what a plan of some sets said of them.
    pub(crate) fn take(&mut self, scope: &Scope, state: &State, report: &Report) {
        match scope {
            Scope::All => *self = Self::default(),
            Scope::Only(sets) => sets.iter().for_each(|set| self.forget(set)),
        }
        self.others.extend(report.unsettled.iter().cloned());
        for (id, reason) in &report.waiting {
            if let Reason::ZoneNotAcknowledged { .. } = reason {
                self.names.insert(id.set.clone());
            }
            let set = state.sets.get(&id.set);
            let member = set.and_then(|set| set.members.get(&id.ordinal));
            let own = member.map(|member| &member.host);
            // One that has another grant of it need not be its own.
            let other = if let Reason::StopNotConfirmed { host, .. } = reason {
                Some(host)
            } else {
                None
            };
            for host in own.into_iter().chain(other) {
                let hosts = self.hosts.entry(id.set.clone()).or_default();
                hosts.insert(host.clone());
                let sets = self.at.entry(host.clone()).or_default();
                sets.insert(id.set.clone());
            }
        }
        for (set, at) in &report.wakes {
            self.wakes.insert(set.clone(), *at);
            self.due.insert((*at, set.clone()));
        }
    }

    fn forget(&mut self, set: &SetKey) {
        self.others.remove(set);
        self.names.remove(set);
        for host in self.hosts.remove(set).unwrap_or_default() {
            if let Some(sets) = self.at.get_mut(&host) {
                sets.remove(set);
                if sets.is_empty() {
                    self.at.remove(&host);
                }
            }
        }
        if let Some(at) = self.wakes.remove(set) {
            self.due.remove(&(at, set.clone()));
        }
    }

    /// When the first set is to be planned again, if nothing happens before.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }
}

/// The sets that are reached by what changed between two states, and by the time.
pub(crate) fn reached(before: &State, after: &State, open: &Open, now: Timestamp) -> Scope {
    if concerns_all(before, after) {
        return Scope::All;
    }
    let mut reach = Reach {
        before,
        after,
        was: &before.index(),
        is: &after.index(),
        open,
        sets: BTreeSet::new(),
        others: false,
    };
    reach.hosts();
    reach.members();
    reach.claims();
    reach.volumes();
    reach.objects();
    let due = open.due.iter().take_while(|(at, _)| *at <= now);
    reach.sets.extend(due.map(|(_, set)| set.clone()));
    reach.relations();
    if reach.others {
        reach.sets.extend(open.others.iter().cloned());
    }
    Scope::Only(reach.sets)
}

fn concerns_all(before: &State, after: &State) -> bool {
    before.history != after.history
        || before.term != after.term
        || before.zone_name != after.zone_name
        || before.past != after.past
        || before.trash_keep != after.trash_keep
        || before.leases != after.leases
        || before.term_began != after.term_began
        || before.fences != after.fences
        || !before.address_pools.is_same(&after.address_pools)
        || !before.storage_classes.is_same(&after.storage_classes)
}

struct Reach<'a> {
    before: &'a State,
    after: &'a State,
    was: &'a Index,
    is: &'a Index,
    open: &'a Open,
    sets: BTreeSet<SetKey>,
    /// Whether anything changed that a set could wait for.
    others: bool,
}

impl Reach<'_> {
    fn hosts(&mut self) {
        for Change {
            key: name,
            before,
            after,
        } in self.after.hosts.changes(&self.before.hosts)
        {
            let same = before.zip(after).is_some_and(|(old, new)| {
                let (was, is) = (&old.contact, &new.contact);
                old.record == new.record
                    && (was.connected, was.since) == (is.connected, is.since)
                    && (was.renewed, was.fenced) == (is.renewed, is.fenced)
            });
            if !same {
                self.others = true;
                let members = self.was.on_host.of(name).chain(self.is.on_host.of(name));
                self.sets.extend(members.map(|id| id.set.clone()));
                self.sets.extend(self.is.per_host.of(&()).cloned());
                // One that is gone need not acknowledge any name.
                self.sets.extend(self.open.names.iter().cloned());
            }
            let (Some(before), Some(after)) = (before, after) else {
                continue;
            };
            // What it was asked may be what a member requires of a host.
            let answers = before.contact.asked != after.contact.asked;
            self.others |= answers;
            if answers || before.contact.settled != after.contact.settled {
                self.sets
                    .extend(self.open.at.get(name).into_iter().flatten().cloned());
            }
            if before.contact.zone_acked != after.contact.zone_acked {
                self.sets.extend(self.open.names.iter().cloned());
            }
            let reports = after.contact.members.changes(&before.contact.members);
            self.sets
                .extend(reports.map(|change| change.key.set.clone()));
        }
    }

    fn members(&mut self) {
        for change in self.after.sets.changes(&self.before.sets) {
            self.others = true;
            self.sets.insert(change.key.clone());
            // A claim that it shared may be held for it by another set.
            let sets = change.before.into_iter().chain(change.after);
            let templates = sets.flat_map(|set| set.revisions.values());
            for volume in templates.flat_map(|revision| &revision.template.spec.volumes) {
                let namespace = change.key.namespace.clone();
                if let Ok(name) = volume.persistent_volume_claim.claim_name.parse() {
                    self.claim(&ObjectKey { namespace, name });
                }
            }
        }
        let foundings = self.after.foundings.changes(&self.before.foundings);
        self.sets.extend(foundings.map(|change| change.key.clone()));
    }

    /// The sets that have, or had, a claim.
    fn claim(&mut self, key: &ClaimKey) {
        for state in [self.before, self.after] {
            let claim = state.claims.get(key);
            let owner = claim.and_then(|claim| claim.member.as_ref());
            self.sets.extend(owner.map(|id| id.set.clone()));
        }
        let sharers = self.was.sharers.of(key).chain(self.is.sharers.of(key));
        self.sets.extend(sharers.map(|id| id.set.clone()));
    }

    fn claims(&mut self) {
        for change in self.after.claims.changes(&self.before.claims) {
            self.others = true;
            self.claim(change.key);
        }
    }

    fn volumes(&mut self) {
        for change in self.after.volumes.changes(&self.before.volumes) {
            self.others = true;
            for volume in change.before.into_iter().chain(change.after) {
                if let Some(bound) = &volume.claim {
                    self.claim(&bound.key);
                }
            }
        }
    }

    fn objects(&mut self) {
        let (before, after) = (self.before, self.after);
        self.others |= !before.persistent_volumes.is_same(&after.persistent_volumes)
            || !before.volume_snapshots.is_same(&after.volume_snapshots)
            || !before.snapshots.is_same(&after.snapshots);
        // Whether the service of a set exists is told with it.
        for change in after.services.changes(&before.services) {
            self.sets.extend(self.is.named_by.of(change.key).cloned());
        }
    }

    /// The sets that depend on those that are reached already, and that those depend on.
    fn relations(&mut self) {
        let mut related = BTreeSet::new();
        for key in &self.sets {
            related.extend(self.is.dependants.of(key).cloned());
            related.extend(self.was.dependants.of(key).cloned());
            for state in [self.before, self.after] {
                let set = state.sets.get(key).into_iter();
                related.extend(set.flat_map(|set| set.spec.needed(&key.namespace)));
            }
        }
        self.sets.extend(related);
    }
}

/// Whether a member that waits so may be freed by what is not its set's own.
pub(super) fn rests_on_others(state: &State, id: &MemberId, reason: &Reason) -> bool {
    if let Reason::HostUnknown { .. } = reason {
        // It goes elsewhere as soon as it can if nothing was ordered of it.
        let set = state.sets.get(&id.set);
        let member = set.and_then(|set| set.members.get(&id.ordinal));
        return member.is_none_or(|member| member.ordered == Ordered::Nothing);
    }
    if let Reason::StopNotConfirmed { host, .. } = reason {
        // Another grant of it is there: that host is none of the set's.
        let set = state.sets.get(&id.set);
        let member = set.and_then(|set| set.members.get(&id.ordinal));
        return member.is_none_or(|member| member.host != *host);
    }
    if let Reason::BudgetSpent { cause, .. } = reason {
        // When the budget has room, it still needs somewhere to go.
        return matches!(cause, DisruptionCause::Drain | DisruptionCause::Move);
    }
    reason.rule().rests_on_others()
}

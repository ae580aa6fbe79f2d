//! The history of the store: whether what agents have is what this store sent, and what follows if
//! it is not.
//!
//! A store that was restored from a backup does not know what was decided since the backup was made,
//! and one of two coordinators does not know what the other decides. What neither knows of may run
//! anywhere. So nothing is started or moved until an operator says which history goes on
//! ([`accept`]), in a term above all that were seen; and from then on not before each host was heard
//! of, because only its ledger says what was granted to it meanwhile ([`take_in`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    bug::{self, Bug},
    ids::{ContentHash, Epoch, HistoryId, HostName, MemberId, SetKey, Term, ZoneSerial},
    lease::LeaseTerms,
    order::OrderHead,
    plan::{Step, step::Proof},
    state::{Founding, Member, Observation, Ordered, State},
    time::Timestamp,
};

mod places;

pub use places::{Place, Places};

/// What stands against the store's history, and what became of earlier ones. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Past {
    /// The term that the history began in; 0 for the first one.
    pub began: Term,
    /// The histories that it took the place of.
    pub former: BTreeSet<HistoryId>,
    /// When the store was restored from a backup, until an operator accepts that.
    pub restored: Option<Timestamp>,
    /// Hosts whose agents have what this store never sent, until an operator accepts that.
    pub mismatched: BTreeMap<HostName, Mismatched>,
    /// Hosts that did not say yet, under an order of this history, that they have nothing but what
    /// was granted to them: what they were granted before is not known, or not gone.
    pub awaited: BTreeSet<HostName>,
}

/// What an agent has that this store never sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mismatched {
    /// Since when that is known.
    pub since: Timestamp,
    /// What does not match.
    pub why: String,
    /// The history that the agent follows; empty if it never had an order.
    pub history: HistoryId,
    /// The highest term that the agent has seen.
    pub term: Term,
}

/// What an agent's ledger says, as its hello tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// The head of its order.
    pub head: OrderHead,
    /// The highest epoch per member that it ever accepted.
    pub highest_epochs: BTreeMap<MemberId, Epoch>,
    /// The members that are in its order, or left it and are not gone, with their epochs.
    pub members: BTreeMap<MemberId, Epoch>,
    /// The leases that those of them rest on which have one, as they were told: nothing else says
    /// when they end.
    pub leases: BTreeMap<MemberId, LeaseTerms>,
    /// Where on the host the volumes of those of them are that have some in its pools, by claim.
    pub places: Places,
    /// The zone that it serves.
    pub zone: ZoneSerial,
}

impl Heard {
    /// The highest term that the agent has seen.
    pub fn term(&self) -> Term {
        let epochs = self.highest_epochs.values().map(|epoch| epoch.term);
        epochs.fold(self.head.term, Term::max)
    }
}

impl Past {
    /// Whether nothing may start or move until an operator accepts the history.
    pub fn is_latched(&self) -> bool {
        let latched = self.restored.is_some() || !self.mismatched.is_empty();
        latched && !bug::on(Bug::RestoreUnnoticed)
    }

    /// Whether agents may start what they were ordered. An acknowledged renewal is what a member of a
    /// Failover set is started on, so while the store may not know of every grant its renewals are
    /// for what runs: an older order that an agent has may be of a grant that was given up since.
    pub fn lets_start(&self) -> bool {
        !self.is_latched() && self.awaited.is_empty()
    }
}

/// Why there is nothing to accept.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the store's history is not in question: every agent has what it sent; nothing was done")]
pub struct NothingToAccept;

/// The history that an operator accepts: it has a new name, a term above all that were seen, and
/// waits for every host.
///
/// # Errors
/// If nothing is in question.
pub fn accept(state: &State, history: HistoryId) -> Result<State, NothingToAccept> {
    let past = &state.past;
    if !past.is_latched() {
        return Err(NothingToAccept);
    }
    let seen = past.mismatched.values().map(|host| host.term);
    let seen = seen.filter(|_| !bug::on(Bug::TermNotRaised));
    let mut after = state.clone();
    after.term = seen.fold(state.term, Term::max).next();
    after.history = history;
    // What an operator said of hosts is of a time that may be over: one that was dead may be back.
    let dead = state.hosts.iter();
    let dead = dead.filter(|(_, host)| host.record.directives.dead.is_some());
    for (name, _) in dead {
        if let Some(host) = after.hosts.get_mut(name) {
            host.record.directives.dead = None;
        }
    }
    let known = state.hosts.keys();
    let followed = past.mismatched.values().map(|host| &host.history);
    let followed = followed.filter(|history| **history != HistoryId::default());
    let mut former = past.former.clone();
    former.extend(followed.chain([&state.history]).cloned());
    after.past = Past {
        began: after.term,
        former,
        restored: None,
        mismatched: BTreeMap::new(),
        awaited: known
            .chain(past.mismatched.keys())
            .filter(|_| !bug::on(Bug::RestoreNotAwaited))
            .cloned()
            .collect(),
    };
    Ok(after)
}

/// What is known once an awaited host was heard of: its grants are those that its ledger has. What
/// the store believed beside them is gone there; what it did not know of is stopped and placed anew
/// as the disruption budget allows. Data that was moved there since the store was backed up is its from
/// then on; if it is on yet another host, the member goes there at once. A ledger
/// that never had an order proves nothing: keepers may have outlived the one before, so what was
/// granted there is to stop.
///
/// It is awaited still: what it has of grants that others took the place of is to stop first, and it
/// may not have told all ([`answered`]). So is a host whose grant turns out to be an older one.
///
/// Of a member that was granted meanwhile its set counts as founded: it may have been.
#[must_use]
pub fn take_in(state: &State, host: &HostName, heard: &Heard, now: Timestamp) -> State {
    let mut after = state.clone();
    let has_ledger = heard.head.history != HistoryId::default();
    for id in state.index().on_host.of(host) {
        if !has_ledger {
            // It may be granted elsewhere by now: it is not started again, and goes when that is said.
            stop_untold(&mut after, id);
        } else if heard.members.get(id) != granted(state, id).map(|member| &member.epoch) {
            drop_grant(&mut after, id, now);
        }
    }
    for (id, epoch) in &heard.highest_epochs {
        if was_ordered_since(state, id, *epoch) {
            count_as_founded(&mut after, &id.set, id);
        }
    }
    for (id, epoch) in &heard.members {
        let older = granted(&after, id);
        if older.is_none_or(|member| member.epoch < *epoch) {
            // Whoever was ordered the older one is to say that it is gone.
            let older = older.filter(|member| member.ordered != Ordered::Nothing);
            let there = older.map(|member| member.host.clone());
            after.past.awaited.extend(there);
            let lease = heard.leases.get(id).copied();
            places::follow(&mut after, host, (id, *epoch), &heard.places, now);
            adopt(&mut after, host, (id, *epoch, lease), now);
        }
    }
    // A zone that is served never comes back under a serial that was another one's.
    if heard.zone > after.zone.serial {
        after.zone.serial = heard.zone;
        after.zone.hash = ContentHash::default();
    }
    after
}

/// What is known of a host whose agent has lost its ledger, by its hello: it follows no history, and
/// something was ordered of it. Whether the founders among its members served nobody will hear any more,
/// so they found nothing more: they stop, and an operator says what becomes of them. `None` if that
/// changes nothing.
///
/// All others are ordered anew as they were.
pub fn forgot(state: &State, host: &HostName, head: &OrderHead) -> Option<State> {
    if head.history != HistoryId::default() || bug::on(Bug::ForgottenFounderFounds) {
        return None;
    }
    let index = state.index();
    let untold = index.on_host.of(host).filter(|id| {
        let ordered = granted(state, id).is_some_and(|m| m.ordered != Ordered::Nothing);
        let founding = state.foundings.get(&id.set);
        let open = founding.is_some_and(|founding| {
            founding.open.contains(&id.ordinal) && !founding.untold.contains(&id.ordinal)
        });
        ordered && open
    });
    let mut after = None;
    for id in untold {
        stop_untold(after.get_or_insert_with(|| state.clone()), id);
    }
    after
}

/// A member stops that was ordered on a host whose agent does not know what it did. One that was ordered
/// as a founder may have served.
fn stop_untold(state: &mut State, id: &MemberId) {
    let set = state.sets.get_mut(&id.set);
    let Some(member) = set.and_then(|set| set.members.get_mut(&id.ordinal)) else {
        return;
    };
    let ordered = member.ordered != Ordered::Nothing;
    member.ordered = Ordered::Stop;
    if let Some(founding) = state.foundings.get_mut(&id.set)
        && ordered
        && founding.open.contains(&id.ordinal)
    {
        founding.untold.insert(id.ordinal);
    }
}

/// What is known once an awaited host has answered an order of this history: if it has nothing but
/// what is granted to it, it is awaited no more. `None` if that changes nothing.
///
/// A set that the store does not know holds nothing up: what is left of it is told with every report.
pub fn answered(state: &State, host: &HostName) -> Option<State> {
    let contact = &state.hosts.get(host)?.contact;
    if !state.past.awaited.contains(host) || !contact.connected || !contact.settled {
        return None;
    }
    let left_over = |(id, seen): (&MemberId, &Observation)| {
        let member = granted(state, id);
        let is_its = |m: &Member| m.host == *host && m.epoch == seen.report.epoch;
        state.sets.contains_key(&id.set) && !member.is_some_and(is_its)
    };
    if contact.members.iter().any(left_over) {
        return None;
    }
    let mut after = state.clone();
    after.past.awaited.remove(host);
    Some(after)
}

fn granted<'a>(state: &'a State, id: &MemberId) -> Option<&'a Member> {
    state.sets.get(&id.set)?.members.get(&id.ordinal)
}

/// Whether an epoch that an agent had in its order was granted or ordered later than the store knows.
fn was_ordered_since(state: &State, id: &MemberId, epoch: Epoch) -> bool {
    let set = state.sets.get(&id.set);
    let last = set.and_then(|set| set.last_grants.get(&id.ordinal));
    let unordered = |member: &Member| member.epoch == epoch && member.ordered == Ordered::Nothing;
    last.is_none_or(|last| last.epoch < epoch) || granted(state, id).is_some_and(unordered)
}

fn drop_grant(state: &mut State, id: &MemberId, now: Timestamp) {
    if let Some(member) = granted(state, id) {
        let gone = Step::Release {
            member: id.clone(),
            epoch: member.epoch,
            proof: Proof::ReportedAbsent,
        };
        state.apply(&gone, now);
    }
}

fn count_as_founded(state: &mut State, key: &SetKey, id: &MemberId) {
    if !state.sets.contains_key(key) {
        return;
    }
    let none = || Founding {
        founders: Vec::new(),
        open: Vec::new(),
        filled: BTreeMap::new(),
        untold: BTreeSet::new(),
    };
    state.foundings.or_insert_with(key.clone(), none);
    state.founds_no_more(id);
}

/// A grant that the store did not know of.
fn adopt(
    state: &mut State,
    host: &HostName,
    (id, epoch, lease): (&MemberId, Epoch, Option<LeaseTerms>),
    now: Timestamp,
) {
    let Some(own) = state.hosts.get(host) else {
        return;
    };
    let advertised = own.record.advertise_address;
    let elsewhere = state
        .claims_of_member(id)
        .any(|(_, claim)| state.host_of(claim).is_some_and(|at| at != host));
    let Some(set) = state.sets.get(&id.set) else {
        // Of a set that the store does not know its agent stops what it has.
        return;
    };
    let known = set.members.get(&id.ordinal);
    let revision = known.map_or(&set.revision, |member| &member.revision);
    let address = set.addresses.get(&id.ordinal).copied();
    let granted = Step::Assign {
        member: id.clone(),
        epoch,
        host: host.clone(),
        address: address.unwrap_or(advertised),
        revision: revision.clone(),
    };
    state.apply(&granted, now);
    let set = state.sets.get_mut(&id.set);
    if let Some(member) = set.and_then(|set| set.members.get_mut(&id.ordinal)) {
        member.ordered = if elsewhere {
            Ordered::Stop
        } else {
            Ordered::Run
        };
        member.restart_asked = Some(now);
        // What its keeper ends it by, whatever the set says: without a lease it never ends by itself.
        member.lease = lease;
    }
}

#[cfg(test)]
mod tests;

//! The planner's [`State`] kept in step with the store.
//!
//! The store has records, the planner reads a [`State`]. [`View::absorb`] is the one function that
//! makes the second of the first: at the start it is fed every record, later the writer feeds it
//! each commit (before anyone is answered), so that whoever reads a view sees what is on disk and
//! nothing else. The other direction, from decisions to records, is [`records::changes`].
//!
//! Contacts (what agents report) are part of the state and of no record: the sessions write them.

mod absorb;
pub mod claims;
pub mod keys;
mod read;
pub mod records;

pub use absorb::take_spec;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use berth_core::{
    access::Access,
    history::Heard,
    ids::{Epoch, HistoryId, HostName, MemberId, ObjectKey, Revision, SetKey, TemplateHash, Term},
    map::Map,
    session::SentOrders,
    spec::{Kind, Object},
    state::{Claim, Contact, State},
    store::{Commit, Key, Model, Precondition, model::Entry},
};

use records::{MemberRecord, OrderRecord};

/// The state and what belongs to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// What the planner reads.
    pub state: State,
    /// Objects as operators wrote them, with the coordinator's metadata; claims as objects made of
    /// their records.
    pub objects: BTreeMap<(Kind, ObjectKey), Object>,
    /// The claims that volumes had when the claims were deleted, by volume.
    pub former_claims: Map<ObjectKey, Claim>,
    /// The orders that were recorded as sent, by host.
    pub sent: BTreeMap<HostName, OrderRecord>,
    /// Who may do what, and who may join.
    pub access: Access,
    /// Whether objects or hosts changed since the orders were last compared with what was sent.
    pub orders_stale: bool,
    /// Sets that changed since then.
    pub touched: BTreeSet<SetKey>,
    /// The history that the store was made with, and how often it was opened: what is in force
    /// follows from them and the history's record.
    opened: (HistoryId, Term),
    /// The revision of every record.
    revisions: BTreeMap<Key, Revision>,
    /// The set and the revision of every record of one.
    revision_records: BTreeMap<ObjectKey, (SetKey, TemplateHash)>,
    /// Sets whose record has templates without config, as older releases wrote them: the next
    /// write of the set writes all of its revisions.
    unconverted: BTreeSet<SetKey>,
    /// Ordinals of sets that are gone: a set that is made again goes on counting their epochs.
    retired: BTreeMap<SetKey, BTreeMap<MemberId, MemberRecord>>,
    /// Keys of records that could not be read; nothing is planned while there are any.
    pub unreadable: BTreeSet<Key>,
}

impl View {
    /// The view of a store that was just opened: every host is out of contact.
    pub fn load(model: &Model, history: &HistoryId, term: Term, zone_name: &str) -> Self {
        let mut view = Self {
            state: State {
                history: history.clone(),
                term,
                zone_name: zone_name.to_owned(),
                ..State::default()
            },
            orders_stale: true,
            opened: (history.clone(), term),
            ..Self::default()
        };
        let records: Vec<(&Key, &Entry)> = model.records().collect();
        let revisions = records.iter();
        let revisions = revisions.map(|(key, entry)| ((*key).clone(), entry.revision));
        // Made of all at once none of them is searched for.
        view.revisions = revisions.collect();
        for ((key, _), read) in records.iter().zip(read::all(&records)) {
            view.take(key, read);
        }
        view
    }

    /// Takes in what a commit changed.
    pub fn absorb(&mut self, commit: &Commit) {
        for change in &commit.changes {
            match &change.value {
                Some(value) => self.put(&change.key, commit.revision, value),
                None => self.remove(&change.key),
            }
        }
    }

    /// When a record changed last.
    pub fn revision_of(&self, key: &Key) -> Option<Revision> {
        self.revisions.get(key).copied()
    }

    /// The precondition that holds for a record as this view knows it.
    pub fn as_known(&self, key: &Key) -> Precondition {
        match self.revisions.get(key) {
            Some(revision) => Precondition::At(*revision),
            None => Precondition::Absent,
        }
    }

    /// What was recorded as sent to a host, and granted to the members of which its agent knows: its
    /// hello is held against that. Costs as much as the agent knows, however large the fleet is: after
    /// a restart all agents come at once.
    pub fn sent_orders(&self, host: &HostName, heard: &Heard) -> SentOrders {
        let sent = self.sent.get(host);
        let known = heard.highest_epochs.keys();
        SentOrders {
            history: self.state.history.clone(),
            former: self.state.past.former.clone(),
            began: self.state.past.began,
            term: self.state.term,
            orders: sent.map_or_else(BTreeMap::new, |record| record.orders.clone()),
            epochs: known
                .filter_map(|id| Some((id.clone(), self.epoch(id)?)))
                .collect(),
        }
    }

    /// The last epoch of a member, if it was ever granted.
    fn epoch(&self, id: &MemberId) -> Option<Epoch> {
        let set = self.state.sets.get(&id.set);
        let living = set.and_then(|set| set.last_grants.get(&id.ordinal));
        living.map(|grant| grant.epoch).or_else(|| {
            let record = self.retired.get(&id.set)?.get(id)?;
            record.grant.as_ref().map(|grant| grant.epoch)
        })
    }

    /// What is known of a host now, to be written by its session.
    pub fn contact(&mut self, host: &HostName) -> Option<&mut Contact> {
        Some(&mut self.state.hosts.get_mut(host)?.contact)
    }
}

/// A view that the writer, the sessions, the reconcile loop and the services share. Locked for
/// moments only, never across an await.
#[derive(Debug, Clone, Default)]
pub struct SharedView(Arc<RwLock<View>>);

impl SharedView {
    /// Shares a view.
    pub fn new(view: View) -> Self {
        Self(Arc::new(RwLock::new(view)))
    }

    /// To look at it.
    pub fn read(&self) -> RwLockReadGuard<'_, View> {
        self.0
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// To change contacts, or to take in a commit.
    pub fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

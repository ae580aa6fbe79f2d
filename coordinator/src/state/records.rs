//! Decisions into records: what is kept of a set, and which records a change of the state writes.
//!
//! A member has a record of its own, so that the step of one ordinal does not rewrite its set.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use berth_core::{
    admission::REFOUND,
    history::Past,
    ids::{
        ClaimKey, ContentHash, Generation, HistoryId, ObjectKey, Ordinal, SetKey, TemplateHash, Uid,
    },
    order::OrderHead,
    spec::{Kind, MemberTemplate, Object},
    state::{Grant, Member, Move, Offline, OwnHost, Revision, Rollout, Set, State},
    store::{Batch, Key, RecordKind},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{
    View,
    keys::{history_key, member_key},
};
use crate::store::{RecordError, encode};

/// What is decided of a whole set, beside its object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetRecord {
    /// The revision that new members get.
    pub revision: TemplateHash,
    /// The revisions of a set as older releases kept them, without their config. Read only.
    #[serde(
        rename = "revisions",
        default,
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub templates: BTreeMap<TemplateHash, Arc<MemberTemplate>>,
    /// Where the set is between two revisions.
    #[serde(default)]
    pub rollout: Rollout,
}

/// One revision of a set. It has a record of its own: it never changes but for its number, and its
/// config may be large.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionRecord {
    /// Whose it is.
    pub set: SetKey,
    /// Its hash.
    pub hash: TemplateHash,
    /// What it holds.
    pub revision: Revision,
}

/// What is decided of one ordinal. Its grant outlives the set: no epoch is ever granted twice, not
/// even to a set that is made again under the same name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRecord {
    /// The set that it was written for; of another set of the name, only the grant counts.
    pub set: Uid,
    /// Its last grant.
    pub grant: Option<Grant>,
    /// Its address from a pool.
    pub address: Option<IpAddr>,
    /// Its assignment to a host, if it has one.
    pub member: Option<Member>,
    /// That an operator took it offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline: Option<Offline>,
    /// That an operator wants it on another host.
    #[serde(default, rename = "move", skip_serializing_if = "Option::is_none")]
    pub moving: Option<Move>,
    /// Its host, in a set with one member per host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_host: Option<OwnHost>,
}

/// The orders that a host may have: the newest that it acknowledged, and all later ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRecord {
    /// The newest.
    pub head: OrderHead,
    /// Hash by generation.
    pub orders: BTreeMap<Generation, ContentHash>,
}

impl OrderRecord {
    /// The record after an order was added, if everything before `acknowledged` is known not to be
    /// on the host any more.
    #[must_use]
    pub fn with(&self, head: OrderHead, acknowledged: Generation) -> Self {
        let mut orders = self.orders.clone();
        if orders.contains_key(&acknowledged) {
            orders = orders.split_off(&acknowledged);
        }
        orders.insert(head.generation, head.hash.clone());
        Self { head, orders }
    }
}

/// What became of the store's history since it was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRecord {
    /// The history in force; the one that the store was made with if this is empty.
    #[serde(default)]
    pub history: HistoryId,
    /// How far the term is above the number of times that the store was opened.
    #[serde(default)]
    pub raised: u64,
    /// What stands against it.
    #[serde(flatten)]
    pub past: Past,
}

/// Writes what became of the history, if two states differ in that.
///
/// # Errors
/// If the record cannot be encoded.
pub fn history_changes(view: &View, after: &State, batch: &mut Batch) -> Result<(), RecordError> {
    let before = &view.state;
    let same =
        (&before.history, before.term, &before.past) == (&after.history, after.term, &after.past);
    let key = history_key()?;
    batch.preconditions.insert(key.clone(), view.as_known(&key));
    if same {
        return Ok(());
    }
    let record = HistoryRecord {
        history: after.history.clone(),
        raised: after.term.0.saturating_sub(view.opened.1.0),
        past: after.past.clone(),
    };
    put(batch, key, &record)
}

/// Puts a record into a batch.
///
/// # Errors
/// If it cannot be encoded.
pub fn put<T: Serialize>(batch: &mut Batch, key: Key, record: &T) -> Result<(), RecordError> {
    batch.puts.insert(key, encode(record)?);
    Ok(())
}

/// Writes the difference of one set between two states into a batch, each record under the
/// condition that it is as the view knows it. Costs as much as the set is large.
///
/// # Errors
/// If a record cannot be encoded or named; validation of sets excludes it.
pub fn changes(
    view: &View,
    after: &State,
    set: &SetKey,
    batch: &mut Batch,
) -> Result<(), RecordError> {
    if view.state.sets.contains_key(set) {
        // What was decided rests on what the operator wants of the set, written or not.
        for kind in [RecordKind::Object(Kind::StatefulSet), RecordKind::Set] {
            let key = Key::new(kind, set.clone());
            let known = view.as_known(&key);
            batch.preconditions.insert(key, known);
        }
    }
    let mut write = Writing { view, batch };
    write.set(set, view.state.sets.get(set), after.sets.get(set))?;
    let key = || Key::new(RecordKind::Founding, set.clone());
    let (old, new) = (view.state.foundings.get(set), after.foundings.get(set));
    write.record(key, old, new)
}

/// Makes what is wanted of each set its newest revision, and writes what that changes.
///
/// # Errors
/// If a record cannot be encoded.
pub fn revise(
    view: &View,
    after: &mut State,
    now: Timestamp,
    batch: &mut Batch,
) -> Result<(), RecordError> {
    let keys: Vec<SetKey> = after.sets.keys().cloned().collect();
    let mut write = Writing { view, batch };
    for key in keys {
        if after.revise(&key, now) {
            write.decided(&key, view.state.sets.get(&key), after.sets.get(&key))?;
        }
    }
    Ok(())
}

/// Writes the difference of some claims and their volumes, and of other volumes, between two states
/// into a batch, each record under the condition that it is as the view knows it. A claim that is
/// gone is kept beside its volume.
///
/// # Errors
/// If a record cannot be encoded.
pub fn claim_changes(
    view: &View,
    after: &State,
    claims: &BTreeSet<ClaimKey>,
    mut volumes: BTreeSet<ObjectKey>,
    batch: &mut Batch,
) -> Result<(), RecordError> {
    let mut write = Writing { view, batch };
    for key in claims {
        let record = || Key::new(RecordKind::Claim, key.clone());
        let (old, new) = (view.state.claims.get(key), after.claims.get(key));
        write.record(record, old, new)?;
        let both = old.into_iter().chain(new);
        volumes.extend(both.filter_map(|claim| claim.volume.clone()));
        // Who deletes one may want it back with its volume.
        let gone = old.filter(|old| new.is_none_or(|new| new.uid != old.uid));
        if let Some((claim, name)) = gone.and_then(|old| Some((old, old.volume.as_ref()?))) {
            let former = Key::new(RecordKind::FormerClaim, name.clone());
            let known = write.view.as_known(&former);
            write.batch.preconditions.insert(former.clone(), known);
            put(write.batch, former, claim)?;
        }
    }
    for name in &volumes {
        let record = || Key::new(RecordKind::Volume, name.clone());
        let (old, new) = (view.state.volumes.get(name), after.volumes.get(name));
        if old != new {
            // What an operator says of the volume meanwhile must not be missed.
            let object = Key::new(RecordKind::Object(Kind::PersistentVolume), name.clone());
            let known = view.as_known(&object);
            write.batch.preconditions.insert(object, known);
        }
        write.record(record, old, new)?;
    }
    Ok(())
}

/// Writes the difference of some snapshots between two states into a batch, each under the condition
/// that what it rests on is as the view knows it.
///
/// # Errors
/// If a record cannot be encoded.
pub fn snapshot_changes(
    view: &View,
    after: &State,
    snapshots: &BTreeSet<&ObjectKey>,
    batch: &mut Batch,
) -> Result<(), RecordError> {
    let mut write = Writing { view, batch };
    for name in snapshots {
        let Some(snapshot) = after.snapshots.get(*name) else {
            continue;
        };
        for (kind, object) in [
            (RecordKind::Object(Kind::VolumeSnapshot), &snapshot.of),
            (RecordKind::Claim, &snapshot.claim),
            (RecordKind::Volume, &snapshot.volume),
        ] {
            let key = Key::new(kind, object.clone());
            let known = view.as_known(&key);
            write.batch.preconditions.insert(key, known);
        }
        let record = || Key::new(RecordKind::Snapshot, (*name).clone());
        write.record(record, view.state.snapshots.get(*name), Some(snapshot))?;
    }
    Ok(())
}

/// The objects of snapshots whose claim is known from now on, and what that depends on: the claim is
/// still the one that it was.
///
/// # Errors
/// If a record cannot be encoded.
pub fn pin_changes(
    view: &View,
    after: &State,
    pinned: &BTreeMap<&ObjectKey, &ClaimKey>,
    batch: &mut Batch,
) -> Result<(), RecordError> {
    let mut write = Writing { view, batch };
    for (name, claim) in pinned {
        let claim = Key::new(RecordKind::Claim, (*claim).clone());
        let known = view.as_known(&claim);
        write.batch.preconditions.insert(claim, known);
        let kind = Kind::VolumeSnapshot;
        let old = view.objects.get(&(kind, (*name).clone()));
        let new = after.volume_snapshots.get(*name).cloned();
        let new = new.map(Object::VolumeSnapshot);
        let record = || Key::new(RecordKind::Object(kind), (*name).clone());
        write.record(record, old, new.as_ref())?;
    }
    Ok(())
}

struct Writing<'a> {
    view: &'a View,
    batch: &'a mut Batch,
}

impl Writing<'_> {
    fn record<T: Serialize + PartialEq>(
        &mut self,
        key: impl FnOnce() -> Key,
        old: Option<&T>,
        new: Option<&T>,
    ) -> Result<(), RecordError> {
        if old == new {
            return Ok(());
        }
        let key = key();
        let known = self.view.as_known(&key);
        self.batch.preconditions.insert(key.clone(), known);
        match new {
            Some(record) => put(self.batch, key, record)?,
            None => {
                self.batch.deletes.insert(key);
            }
        }
        Ok(())
    }

    /// The marks of a deletion are kept with the set's object.
    fn object(
        &mut self,
        key: &SetKey,
        old: Option<&Set>,
        new: Option<&Set>,
    ) -> Result<(), RecordError> {
        let (Some(old), Some(new)) = (old, new) else {
            return Ok(());
        };
        if old.deleting == new.deleting && old.refounding == new.refounding {
            return Ok(());
        }
        let stored = self.view.objects.get(&(Kind::StatefulSet, key.clone()));
        let Some(mut object) = stored.cloned() else {
            return Ok(());
        };
        let meta = object.meta_mut();
        meta.deletion_timestamp = new.deleting;
        meta.annotations.remove(REFOUND);
        if new.refounding {
            meta.annotations
                .insert(REFOUND.to_owned(), "true".to_owned());
        }
        let record = Key::new(RecordKind::Object(Kind::StatefulSet), key.clone());
        let known = self.view.as_known(&record);
        self.batch.preconditions.insert(record.clone(), known);
        put(self.batch, record, &object)
    }

    /// What is decided of a whole set, and its revisions.
    fn decided(
        &mut self,
        key: &SetKey,
        old: Option<&Set>,
        new: Option<&Set>,
    ) -> Result<(), RecordError> {
        // What an older release wrote is not yet what the state has.
        let old = old.filter(|_| new.is_none() || !self.view.unconverted.contains(key));
        let record = |set: &Set| SetRecord {
            revision: set.revision.clone(),
            templates: BTreeMap::new(),
            rollout: set.rollout.clone(),
        };
        let set_key = || Key::new(RecordKind::Set, key.clone());
        self.record(set_key, old.map(record).as_ref(), new.map(record).as_ref())?;
        let of = |set: Option<&Set>, hash: &TemplateHash| {
            let revision = set.and_then(|set| set.revisions.get(hash))?;
            Some(RevisionRecord {
                set: key.clone(),
                hash: hash.clone(),
                revision: revision.clone(),
            })
        };
        let sets = old.into_iter().chain(new);
        let hashes: BTreeSet<&TemplateHash> = sets.flat_map(|set| set.revisions.keys()).collect();
        for hash in hashes {
            let revision_key = Key::revision(key, hash)?;
            let (old, new) = (of(old, hash), of(new, hash));
            self.record(|| revision_key, old.as_ref(), new.as_ref())?;
        }
        Ok(())
    }

    fn set(
        &mut self,
        key: &SetKey,
        old: Option<&Set>,
        new: Option<&Set>,
    ) -> Result<(), RecordError> {
        if old.is_some() && new.is_none() {
            let object = Key::new(RecordKind::Object(Kind::StatefulSet), key.clone());
            let known = self.view.as_known(&object);
            self.batch.preconditions.insert(object.clone(), known);
            self.batch.deletes.insert(object);
        }
        self.object(key, old, new)?;
        self.decided(key, old, new)?;
        // Of a set that is removed, the members' records stay as they are.
        let Some(new) = new else { return Ok(()) };
        let all: BTreeSet<Ordinal> = old.into_iter().chain([new]).flat_map(ordinals).collect();
        for ordinal in all {
            let before = old.map(|set| member_record(set, ordinal));
            let after = member_record(new, ordinal);
            let key = member_key(key, ordinal)?;
            self.record(|| key, before.as_ref(), Some(&after))?;
        }
        Ok(())
    }
}

/// Every ordinal that a set has a record of.
fn ordinals(set: &Set) -> impl Iterator<Item = Ordinal> {
    let members = set.members.keys().chain(set.addresses.keys());
    let decided = set.offline.keys().chain(set.own_hosts.keys());
    let decided = decided.chain(set.moves.keys());
    members
        .chain(set.last_grants.keys())
        .chain(decided)
        .copied()
}

fn member_record(set: &Set, ordinal: Ordinal) -> MemberRecord {
    MemberRecord {
        set: set.uid.clone(),
        grant: set.last_grants.get(&ordinal).cloned(),
        address: set.addresses.get(&ordinal).copied(),
        member: set.members.get(&ordinal).cloned(),
        offline: set.offline.get(&ordinal).cloned(),
        moving: set.moves.get(&ordinal).cloned(),
        own_host: set.own_hosts.get(&ordinal).cloned(),
    }
}

//! Records into the state, one at a time. Each costs as much as the record is large.

use std::{collections::BTreeMap, sync::Arc};

use berth_core::{
    admission::{ORPHANED, REFOUND},
    ids::{ClaimKey, HistoryId, MemberId, ObjectKey, Revision, SetKey, TemplateHash, Term, Uid},
    spec::{Kind, Object, StatefulSet},
    state::{self, Claim, Contact, Host, HostRecord, Set, State, ZoneHead},
    store::{Key, RecordKind, Value},
};

use super::{
    View, claims,
    keys::{host_name, member_id, token_id, user_name},
    read::Read,
    records::{HistoryRecord, MemberRecord, RevisionRecord, SetRecord},
};
use crate::store::RecordError;

impl View {
    pub(super) fn put(&mut self, key: &Key, revision: Revision, value: &Value) {
        self.revisions.insert(key.clone(), revision);
        self.take(key, Read::of(key, value));
    }

    /// Takes in what was read of a record's value.
    pub(super) fn take(&mut self, key: &Key, read: Result<Read, RecordError>) {
        match read.and_then(|read| self.insert(key, read)) {
            Ok(()) => {
                self.unreadable.remove(key);
            }
            Err(error) => {
                tracing::error!(%key, error = &error as &dyn std::error::Error, "a record cannot be read");
                self.unreadable.insert(key.clone());
            }
        }
    }

    fn insert(&mut self, key: &Key, read: Read) -> Result<(), RecordError> {
        let object = &key.object;
        match read {
            Read::Object(read) => self.insert_object(object, *read),
            Read::Claim(claim) => self.insert_claim(object, *claim),
            Read::FormerClaim(claim) => {
                self.former_claims.insert(object.clone(), *claim);
            }
            Read::Volume(volume) => {
                self.orders_stale = true;
                self.state.volumes.insert(object.clone(), *volume);
            }
            Read::Snapshot(snapshot) => {
                self.state.snapshots.insert(object.clone(), *snapshot);
            }
            Read::Set(record) => self.insert_set(object, *record),
            Read::Revision(record) => self.insert_revision(object, *record),
            Read::Member(record) => self.insert_member(&member_id(object)?, *record),
            Read::Founding(founding) => {
                self.touched.insert(object.clone());
                self.state.foundings.insert(object.clone(), *founding);
            }
            Read::Host(record) => self.insert_host(*record),
            Read::Order(record) => {
                let host = host_name(object)?;
                // Until its agent answers the new order, what it does not mention proves nothing.
                if let Some(contact) = self.contact(&host) {
                    contact.settled = false;
                }
                self.sent.insert(host, record);
            }
            Read::Zone(head) => self.state.zone = head,
            Read::History(record) => self.insert_history(*record),
            Read::JoinToken(token) => {
                self.access.tokens.insert(token_id(object), *token);
            }
            Read::User(user) => {
                self.access.users.insert(user_name(object)?, *user);
            }
            Read::Revocation(revocation) => {
                let host = host_name(object)?;
                self.access.revocations.insert(host, revocation);
            }
        }
        Ok(())
    }

    fn insert_history(&mut self, record: HistoryRecord) {
        let (first, opened) = &self.opened;
        let is_first = record.history == HistoryId::default();
        self.state.history = if is_first {
            first.clone()
        } else {
            record.history
        };
        self.state.term = Term(opened.0.saturating_add(record.raised));
        self.state.past = record.past;
        self.orders_stale = true;
    }

    fn insert_claim(&mut self, key: &ClaimKey, claim: Claim) {
        match &claim.member {
            Some(member) => {
                self.touched.insert(member.set.clone());
            }
            // Members of any set may use it.
            None => self.orders_stale = true,
        }
        let object = Object::PersistentVolumeClaim(claims::object(key, &claim));
        self.objects
            .insert((Kind::PersistentVolumeClaim, key.clone()), object);
        self.state.claims.insert(key.clone(), claim);
    }

    fn insert_object(&mut self, key: &ObjectKey, object: Object) {
        let key = key.clone();
        self.objects
            .insert((object.kind(), key.clone()), object.clone());
        match object {
            // Of objects only sets are in orders; what those use of others is in their revisions.
            Object::StatefulSet(set) => {
                self.touched.insert(key.clone());
                self.insert_spec(key, set);
            }
            Object::Service(o) => {
                self.state.services.insert(key, o);
            }
            Object::ConfigMap(o) => {
                self.state.config_maps.insert(key, o);
            }
            Object::Secret(o) => {
                self.state.secrets.insert(key, o);
            }
            Object::AddressPool(o) => {
                self.state.address_pools.insert(key, o);
            }
            Object::StorageClass(o) => {
                self.state.storage_classes.insert(key, o);
            }
            Object::PersistentVolume(o) => {
                self.state.persistent_volumes.insert(key, o);
            }
            Object::VolumeSnapshot(o) => {
                self.state.volume_snapshots.insert(key, o);
            }
            // What operators see of a claim is made of the Claim record.
            Object::PersistentVolumeClaim(_) => {}
        }
    }

    fn insert_spec(&mut self, key: SetKey, object: StatefulSet) {
        let retired = self.retired.remove(&key).unwrap_or_default();
        let set = take_spec(&mut self.state, key, object);
        for (id, record) in retired {
            set.last_grants
                .extend(record.grant.map(|grant| (id.ordinal, grant)));
        }
    }

    fn insert_set(&mut self, key: &SetKey, record: SetRecord) {
        self.touched.insert(key.clone());
        let Some(set) = self.state.sets.get_mut(key) else {
            return;
        };
        set.revision = record.revision;
        set.rollout = record.rollout;
        if record.templates.is_empty() {
            self.unconverted.remove(key);
            return;
        }
        // An older release kept templates only, and members had the config as it was.
        self.unconverted.insert(key.clone());
        let mut revisions = BTreeMap::new();
        for (hash, template) in record.templates {
            let config = self.state.used_config(&key.namespace, &template.spec);
            let revision = state::Revision {
                template,
                config: Arc::new(config),
                ..state::Revision::default()
            };
            revisions.insert(hash, revision);
        }
        if let Some(set) = self.state.sets.get_mut(key) {
            number(&set.revision, &mut revisions);
            set.revisions = revisions;
        }
    }

    fn insert_revision(&mut self, key: &ObjectKey, record: RevisionRecord) {
        self.touched.insert(record.set.clone());
        let name = (record.set, record.hash);
        if let Some(set) = self.state.sets.get_mut(&name.0) {
            set.revisions.insert(name.1.clone(), record.revision);
        }
        self.revision_records.insert(key.clone(), name);
    }

    fn remove_revision(&mut self, key: &ObjectKey) {
        let Some((set, hash)) = self.revision_records.remove(key) else {
            return;
        };
        if let Some(set) = self.state.sets.get_mut(&set) {
            set.revisions.remove(&hash);
        }
        self.touched.insert(set);
    }

    fn insert_member(&mut self, id: &MemberId, record: MemberRecord) {
        self.touched.insert(id.set.clone());
        let Some(set) = self.state.sets.get_mut(&id.set) else {
            let retired = self.retired.entry(id.set.clone()).or_default();
            retired.insert(id.clone(), record);
            return;
        };
        let ordinal = id.ordinal;
        set.last_grants.remove(&ordinal);
        set.last_grants
            .extend(record.grant.map(|grant| (ordinal, grant)));
        if record.set != set.uid {
            return;
        }
        set.addresses.remove(&ordinal);
        set.addresses
            .extend(record.address.map(|address| (ordinal, address)));
        set.members.remove(&ordinal);
        set.members
            .extend(record.member.map(|member| (ordinal, member)));
        set.offline.remove(&ordinal);
        set.offline
            .extend(record.offline.map(|offline| (ordinal, offline)));
        set.moves.remove(&ordinal);
        set.moves
            .extend(record.moving.map(|asked| (ordinal, asked)));
        set.own_hosts.remove(&ordinal);
        set.own_hosts
            .extend(record.own_host.map(|own| (ordinal, own)));
    }

    fn insert_host(&mut self, record: HostRecord) {
        match self.state.hosts.get_mut(&record.name) {
            Some(host) => {
                self.orders_stale = true;
                host.record = record;
            }
            // Nothing was decided about a host that was not known.
            None => {
                let contact = Contact::default();
                let host = Host { record, contact };
                self.state.hosts.insert(host.record.name.clone(), host);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &Key) {
        self.revisions.remove(key);
        self.unreadable.remove(key);
        let Key { kind, object } = key;
        match kind {
            RecordKind::Object(kind) => self.remove_object(*kind, object),
            RecordKind::Claim => {
                self.objects
                    .remove(&(Kind::PersistentVolumeClaim, object.clone()));
                let claim = self.state.claims.remove(object);
                let member = claim.and_then(|claim| claim.member);
                self.touched.extend(member.map(|member| member.set));
            }
            RecordKind::Volume => {
                self.orders_stale = true;
                self.state.volumes.remove(object);
            }
            RecordKind::Snapshot => {
                self.state.snapshots.remove(object);
            }
            RecordKind::FormerClaim => {
                self.former_claims.remove(object);
            }
            // The set itself goes with its object.
            RecordKind::Set => {}
            RecordKind::Revision => self.remove_revision(object),
            RecordKind::Member => self.remove_member(object),
            RecordKind::Founding => {
                self.touched.insert(object.clone());
                self.state.foundings.remove(object);
            }
            RecordKind::Host => {
                self.orders_stale = true;
                if let Ok(name) = host_name(object) {
                    self.state.hosts.remove(&name);
                }
            }
            RecordKind::Order => {
                if let Ok(name) = host_name(object) {
                    self.sent.remove(&name);
                }
            }
            RecordKind::Zone => self.state.zone = ZoneHead::default(),
            RecordKind::History => self.insert_history(HistoryRecord::default()),
            RecordKind::JoinToken => {
                self.access.tokens.remove(&token_id(object));
            }
            RecordKind::User => {
                if let Ok(name) = user_name(object) {
                    self.access.users.remove(&name);
                }
            }
            RecordKind::Revocation => {
                if let Ok(name) = host_name(object) {
                    self.access.revocations.remove(&name);
                }
            }
        }
    }

    fn remove_object(&mut self, kind: Kind, key: &ObjectKey) {
        self.orders_stale = true;
        self.objects.remove(&(kind, key.clone()));
        match kind {
            Kind::StatefulSet => self.retire(key),
            Kind::Service => {
                self.state.services.remove(key);
            }
            Kind::ConfigMap => {
                self.state.config_maps.remove(key);
            }
            Kind::Secret => {
                self.state.secrets.remove(key);
            }
            Kind::AddressPool => {
                self.state.address_pools.remove(key);
            }
            Kind::StorageClass => {
                self.state.storage_classes.remove(key);
            }
            Kind::PersistentVolume => {
                self.state.persistent_volumes.remove(key);
            }
            Kind::VolumeSnapshot => {
                self.state.volume_snapshots.remove(key);
            }
            Kind::PersistentVolumeClaim => {}
        }
    }

    /// A set goes; the records of its members stay, and with them the epochs.
    fn retire(&mut self, key: &SetKey) {
        let Some(set) = self.state.sets.remove(key) else {
            return;
        };
        let retired = self.retired.entry(key.clone()).or_default();
        for (ordinal, grant) in set.last_grants {
            let id = MemberId {
                set: key.clone(),
                ordinal,
            };
            let record = MemberRecord {
                set: set.uid.clone(),
                grant: Some(grant),
                ..MemberRecord::default()
            };
            retired.insert(id, record);
        }
    }

    fn remove_member(&mut self, key: &ObjectKey) {
        let Ok(id) = member_id(key) else { return };
        if let Some(set) = self.state.sets.get_mut(&id.set) {
            set.members.remove(&id.ordinal);
            set.addresses.remove(&id.ordinal);
            set.offline.remove(&id.ordinal);
            set.own_hosts.remove(&id.ordinal);
            set.last_grants.remove(&id.ordinal);
        }
        if let Some(retired) = self.retired.get_mut(&id.set) {
            retired.remove(&id);
        }
    }
}

/// Numbers the revisions of a record that had no numbers: the newest last.
fn number(newest: &TemplateHash, revisions: &mut BTreeMap<TemplateHash, state::Revision>) {
    let mut next = 1;
    for (hash, revision) in revisions.iter_mut() {
        if hash != newest {
            revision.number = next;
            next += 1;
        }
    }
    if let Some(revision) = revisions.get_mut(newest) {
        revision.number = next;
    }
}

/// Takes the object of a set into a state; what was decided of the set stays.
pub fn take_spec(state: &mut State, key: SetKey, object: StatefulSet) -> &mut Set {
    let set = state.sets.or_insert_with(key, Set::default);
    set.uid = Uid(object.metadata.uid);
    set.labels = object.metadata.labels;
    let notes = &object.metadata.annotations;
    set.refounding = notes.contains_key(REFOUND);
    let left = notes.get(ORPHANED);
    set.orphaned = left.map(|since| since.parse().unwrap_or_default());
    set.annotations = object.metadata.annotations;
    set.deleting = object.metadata.deletion_timestamp;
    set.spec = Arc::new(object.spec);
    set
}

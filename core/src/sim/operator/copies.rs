//! What an operator does with copies of volumes: the objects that `berth snapshot` writes.

use crate::{
    ids::{ClaimKey, ObjectKey},
    sim::World,
    spec::{DataSource, DataSourceKind, VolumeSnapshot},
    state::SnapshotState,
    volume::{class::BUILT_IN, copy},
};

impl World {
    /// The claims that there are.
    pub fn claims(&self) -> Vec<ClaimKey> {
        self.coordinator.state.claims.keys().cloned().collect()
    }

    /// The snapshots that were asked for and not deleted, and the names of their claims.
    pub fn snapshots(&self) -> Vec<(ObjectKey, String)> {
        let objects = self.coordinator.state.volume_snapshots.iter();
        let named = objects.map(|(key, object)| {
            let source = &object.spec.source;
            (key.clone(), source.persistent_volume_claim_name.clone())
        });
        named.collect()
    }

    /// Asks for a snapshot of a claim.
    pub fn take_snapshot(&mut self, claim: &ClaimKey) {
        if !self.coordinator.up {
            return;
        }
        self.scheduled_uid += 1;
        let uid = format!("snapshot-{}", self.scheduled_uid);
        let Ok(key) = format!("{}/{uid}", claim.namespace).parse::<ObjectKey>() else {
            return;
        };
        let mut object = VolumeSnapshot::default();
        uid.clone_into(&mut object.metadata.uid);
        let source = &mut object.spec.source;
        claim
            .name
            .as_str()
            .clone_into(&mut source.persistent_volume_claim_name);
        // One in four comes with its claim, which admission does not see yet.
        let seen = !self.scheduled_uid.is_multiple_of(4);
        if let Some(claim) = self.coordinator.state.claims.get(claim).filter(|_| seen) {
            source.persistent_volume_claim_uid = claim.uid.to_string();
        }
        self.say("operator", &format!("asks for {uid} of {claim}"));
        let objects = &mut self.coordinator.state.volume_snapshots;
        objects.insert(key, object);
        self.reconcile();
    }

    /// Deletes a snapshot, unless a claim that has no volume yet is to begin with it.
    pub fn drop_snapshot(&mut self, key: &ObjectKey) {
        let state = &mut self.coordinator.state;
        let waits = state.claims.values().any(|claim| {
            let source = claim.spec.data_source.as_ref();
            claim.volume.is_none() && source.is_some_and(|s| s.name == key.name.as_str())
        });
        if waits || !self.coordinator.up {
            return;
        }
        let Some(object) = state.volume_snapshots.remove(key) else {
            return;
        };
        let name = copy::snapshot_of(state, &object).map(|(name, _)| name);
        let record = name.and_then(|name| state.snapshots.get_mut(&name));
        if let Some(record) = record {
            record.state = SnapshotState::Deleting;
        }
        self.say("operator", &format!("deletes {key}"));
        self.reconcile();
    }

    /// Makes the claim again that a complete snapshot was taken of, with the data of then, unless it
    /// is there.
    pub fn restore(&mut self, key: &ObjectKey) {
        let state = &self.coordinator.state;
        let object = state.volume_snapshots.get(key);
        let Some((_, record)) = object.and_then(|object| copy::snapshot_of(state, object)) else {
            return;
        };
        if matches!(record.state, SnapshotState::Ready { .. }) {
            let claim = record.claim.clone();
            let source = DataSource {
                api_group: String::new(),
                kind: DataSourceKind::VolumeSnapshot,
                name: key.name.to_string(),
            };
            self.say("operator", &format!("restores {key} to {claim}"));
            self.make_claim(&claim, BUILT_IN, Some(source));
        }
    }
}

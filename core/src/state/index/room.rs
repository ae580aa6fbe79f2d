//! What volumes and snapshots add to an index. What a volume adds depends on its claim, so a changed
//! claim has its volumes taken in anew.

use std::collections::BTreeSet;

use super::{Index, Volume, VolumeState};
use crate::{
    ids::ObjectKey,
    state::{Snapshot, State},
    volume::VolumeSource,
};

impl Index {
    pub(super) fn volumes(&mut self, before: &State, after: &State) {
        let volumes = after.volumes.changes(&before.volumes);
        let mut touched: BTreeSet<ObjectKey> = volumes.map(|change| change.key.clone()).collect();
        for change in after.claims.changes(&before.claims) {
            touched.extend(self.volumes_of.of(change.key).cloned());
        }
        for name in &touched {
            if let Some(volume) = before.volumes.get(name) {
                self.volume(name, volume, before, false);
            }
            if let Some(volume) = after.volumes.get(name) {
                self.volume(name, volume, after, true);
            }
        }
        for change in after.snapshots.changes(&before.snapshots) {
            for (snapshot, is_there) in [(change.before, false), (change.after, true)] {
                let Some(Snapshot { source, bytes, .. }) = snapshot else {
                    continue;
                };
                self.bytes(source, *bytes, is_there);
            }
        }
    }

    fn volume(&mut self, name: &ObjectKey, volume: &Volume, state: &State, is_there: bool) {
        let bound = volume.claim.as_ref();
        let claim = bound.and_then(|bound| state.claims.get(&bound.key));
        let has_claim = bound
            .zip(claim)
            .is_some_and(|(bound, claim)| bound.uid == claim.uid);
        let since = match volume.state {
            VolumeState::Trashed { since } => Some(since),
            VolumeState::Live
            | VolumeState::Trashing
            | VolumeState::Restoring
            | VolumeState::Purging => None,
        };
        if let Some(bound) = bound {
            self.volumes_of.put(&bound.key, name, is_there);
        }
        if let Some(since) = since {
            self.trash.put(&since, name, is_there);
        }
        if volume.copying().is_some() {
            self.copying.put(&(), name, is_there);
        }
        if volume.provisioned && !has_claim {
            self.loose.put(&(), name, is_there);
        }
        let grows = claim.is_some_and(|claim| claim.spec.storage() > volume.capacity);
        let filling = volume.copying().is_some() || volume.arriving().is_some();
        if volume.state != VolumeState::Live || filling || grows {
            self.at_work.put(&(), name, is_there);
        }
        match &volume.source {
            VolumeSource::Nfs(_) => self.on_servers.put(&(), name, is_there),
            VolumeSource::Local {
                host, pool, dir, ..
            } => {
                let place = (host.clone(), pool.clone(), dir.clone());
                self.at.put(&place, name, is_there);
            }
        }
        let own = claim.filter(|claim| claim.volume.as_ref() == Some(name));
        let bytes = own.map_or(volume.capacity, |claim| claim.wanted_capacity(volume));
        self.bytes(&volume.source, bytes, is_there);
    }

    fn bytes(&mut self, source: &VolumeSource, bytes: u64, is_there: bool) {
        let Some((host, pool)) = source.host().zip(source.pool()) else {
            return;
        };
        let place = (host.clone(), pool.to_owned());
        let used = self.used.get(&place).copied().unwrap_or_default();
        let after = if is_there {
            used.saturating_add(bytes.into())
        } else {
            used.saturating_sub(bytes.into())
        };
        if after == 0 {
            self.used.remove(&place);
        } else {
            self.used.insert(place, after);
        }
    }
}

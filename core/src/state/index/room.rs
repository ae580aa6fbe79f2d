//! What volumes and snapshots add to an index. What a volume adds depends on its claim, so a changed
//! claim has its volumes taken in anew.

use std::{collections::BTreeSet, sync::Arc};

use super::{Index, Seen, VolumeState};
use crate::{
    ids::{ClaimKey, ObjectKey},
    state::Snapshot,
    time::Timestamp,
    volume::VolumeSource,
};

impl Index {
    pub(super) fn volumes(&mut self, before: &Seen, after: &Seen) {
        let volumes = after.volumes.changes(&before.volumes);
        let mut touched: BTreeSet<ObjectKey> = volumes.map(|change| change.key.clone()).collect();
        for change in after.claims.changes(&before.claims) {
            touched.extend(self.volumes_of.of(change.key).cloned());
        }
        for name in &touched {
            let (old, new) = (Facts::of(name, before), Facts::of(name, after));
            if old != new {
                old.into_iter()
                    .for_each(|facts| self.volume(name, facts, false));
                new.into_iter()
                    .for_each(|facts| self.volume(name, facts, true));
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

    fn volume(&mut self, name: &ObjectKey, facts: Facts<'_>, is_there: bool) {
        if let Some(bound) = facts.claim {
            self.volumes_of.put(bound, name, is_there);
        }
        if let Some(since) = facts.trashed {
            self.trash.put(&since, name, is_there);
        }
        let marked = [
            (facts.copying, &mut self.copying),
            (facts.loose, &mut self.loose),
            (facts.at_work, &mut self.at_work),
        ];
        for (_, group) in marked.into_iter().filter(|(holds, _)| *holds) {
            group.put(&(), name, is_there);
        }
        match facts.source {
            VolumeSource::Nfs(_) => self.on_servers.put(&(), name, is_there),
            VolumeSource::Local {
                host, pool, dir, ..
            } => {
                let place = Arc::new((host.clone(), pool.clone(), dir.clone()));
                self.at.put(&place, name, is_there);
            }
        }
        self.bytes(facts.source, facts.bytes, is_there);
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
            self.used.insert(Arc::new(place), after);
        }
    }
}

/// What an index knows of a volume.
#[derive(Debug, PartialEq)]
struct Facts<'a> {
    claim: Option<&'a ClaimKey>,
    trashed: Option<Timestamp>,
    copying: bool,
    loose: bool,
    at_work: bool,
    source: &'a VolumeSource,
    bytes: u64,
}

impl<'a> Facts<'a> {
    fn of(name: &ObjectKey, seen: &'a Seen) -> Option<Self> {
        let volume = seen.volumes.get(name)?;
        let bound = volume.claim.as_ref();
        let claim = bound.and_then(|bound| seen.claims.get(&bound.key));
        let has_claim = bound
            .zip(claim)
            .is_some_and(|(bound, claim)| bound.uid == claim.uid);
        let trashed = match volume.state {
            VolumeState::Trashed { since } => Some(since),
            VolumeState::Live
            | VolumeState::Trashing
            | VolumeState::Restoring
            | VolumeState::Purging => None,
        };
        let copying = volume.copying().is_some();
        let filling = copying || volume.arriving().is_some();
        let grows = claim.is_some_and(|claim| claim.spec.storage() > volume.capacity);
        let own = claim.filter(|claim| claim.volume.as_ref() == Some(name));
        Some(Self {
            claim: bound.map(|bound| &bound.key),
            trashed,
            copying,
            loose: volume.provisioned && !has_claim,
            at_work: volume.state != VolumeState::Live || filling || grows,
            source: &volume.source,
            bytes: own.map_or(volume.capacity, |claim| claim.wanted_capacity(volume)),
        })
    }
}

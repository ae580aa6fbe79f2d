//! Copies: what a snapshot can be taken of, and what a claim may begin with.
//!
//! Two ways there are. A pool of images whose file system shares blocks is copied in one instant,
//! whoever writes: the file system in the image stands still for it. Everything else is copied while
//! no member runs on the volume, and none is started until the copy is complete: a copy of files
//! that change meanwhile is of no time at all.

use crate::{
    bug::{self, Bug},
    ids::{ClaimKey, HostName, MemberId, ObjectKey, Uid},
    spec::{DataSource, DataSourceKind, PersistentVolumeClaimSpec, VolumeSnapshot},
    state::{Claim, Ordered, Origin, Snapshot, SnapshotState, State, Volume, VolumeState},
    time::Timestamp,
    volume::{PoolKind, VolumeSource, access::sharers},
    waiting::{BoundVolume, CopyOf, CopyRefusal, Reason},
};

/// The name of the record of a snapshot, by the unique id of its object; `None` if that makes no
/// name.
pub fn snapshot_name(uid: &Uid) -> Option<ObjectKey> {
    ObjectKey::of_cluster(&format!("snap-{uid}")).ok()
}

/// The record of a snapshot that an operator asked for, once it is being taken.
pub fn snapshot_of<'a>(
    state: &'a State,
    object: &VolumeSnapshot,
) -> Option<(ObjectKey, &'a Snapshot)> {
    let name = snapshot_name(&Uid(object.metadata.uid.clone()))?;
    let record = state.snapshots.get(&name)?;
    Some((name, record))
}

/// The claim that a snapshot names; `None` if it names none.
pub fn claim_of(key: &ObjectKey, object: &VolumeSnapshot) -> Option<ClaimKey> {
    let name = &object.spec.source.persistent_volume_claim_name;
    Some(ObjectKey {
        namespace: key.namespace.clone(),
        name: name.parse().ok()?,
    })
}

/// A snapshot as it is taken now, with its name.
///
/// # Errors
/// Why it cannot be taken now.
pub fn snapshot(
    state: &State,
    key: &ObjectKey,
    object: &VolumeSnapshot,
    now: Timestamp,
) -> Result<(ObjectKey, Snapshot), Reason> {
    let claim = claim_of(key, object).ok_or_else(|| missing(key, "it names no claim"))?;
    let own = snapshot_name(&Uid(object.metadata.uid.clone()));
    let own = own.ok_or_else(|| missing(key, "it has no id"))?;
    // Another claim may have the name by now: its data is not what was meant.
    let meant = object.spec.source.persistent_volume_claim_uid.as_str();
    let there = state.claims.get(&claim);
    if !meant.is_empty() && there.is_some_and(|claim| claim.uid.0 != meant) {
        return Err(missing(
            key,
            "the claim that was there when it was asked for",
        ));
    }
    let source = Source::of_claim(state, &claim, &claim)?;
    let volume = source.volume;
    let snapshot = Snapshot {
        of: key.clone(),
        claim,
        volume: source.record,
        source: volume.source.clone(),
        owners: volume.owners.clone(),
        bytes: volume.capacity,
        online: source.online,
        state: SnapshotState::Taking,
        created_at: now,
    };
    Ok((own, snapshot))
}

fn missing(claim: &ClaimKey, source: &str) -> Reason {
    let (claim, source) = (claim.clone(), source.to_owned());
    Reason::DataSourceMissing(CopyOf { claim, source })
}

/// A volume that can be copied now.
struct Source<'a> {
    record: ObjectKey,
    volume: &'a Volume,
    online: bool,
}

impl<'a> Source<'a> {
    /// The volume of the claim `of`, for the claim or the snapshot `to`.
    fn of_claim(state: &'a State, of: &ClaimKey, to: &ObjectKey) -> Result<Self, Reason> {
        let claim = state.claims.get(of);
        let claim = claim.ok_or_else(|| Reason::ClaimMissing { claim: of.clone() })?;
        let volume = claim.volume.as_ref().zip(state.volume_of(claim));
        let (record, volume) = volume.ok_or_else(|| Reason::ClaimPending { claim: of.clone() })?;
        usable(state, of, claim)?;
        let refused = |because| Reason::CopyRefused {
            claim: to.clone(),
            because,
        };
        let online = is_online(state, &volume.source).map_err(refused)?;
        if !volume.filled {
            return Err(Reason::DataSourceNotReady(CopyOf {
                claim: to.clone(),
                source: format!("PersistentVolumeClaim/{}", of.name),
            }));
        }
        let still = !online && !bug::on(Bug::CopyWhileWritten);
        if let Some(by) = user(state, of, claim).filter(|_| still) {
            let claim = of.clone();
            return Err(Reason::CopyNeedsStop { claim, by });
        }
        Ok(Self {
            record: record.clone(),
            volume,
            online,
        })
    }
}

/// Whether the storage of a volume copies it in one instant.
///
/// # Errors
/// It copies nothing.
fn is_online(state: &State, source: &VolumeSource) -> Result<bool, CopyRefusal> {
    let (host, pool) = match source {
        VolumeSource::Nfs(_) => return Err(CopyRefusal::Server),
        VolumeSource::Local { host, pool, .. } => (host, pool),
    };
    let known = state.hosts.get(host);
    let info = known.and_then(|host| host.record.pools.get(pool));
    let info = info.filter(|info| !info.missing);
    let Some(info) = info else {
        let (host, pool) = (host.clone(), pool.clone());
        return Err(CopyRefusal::PoolNotThere { host, pool });
    };
    match (info.kind, info.clones) {
        (PoolKind::Image, clones) => Ok(clones),
        (PoolKind::Directory, true) => Ok(false),
        (PoolKind::Directory, false) => Err(CopyRefusal::NoClones { pool: pool.clone() }),
    }
}

/// A member that was ordered to run on the volume of a claim and is not proven gone.
fn user(state: &State, key: &ClaimKey, claim: &Claim) -> Option<MemberId> {
    let own = claim.member.iter().filter_map(|id| {
        let set = state.sets.get(&id.set)?;
        Some((id.clone(), set.members.get(&id.ordinal)?))
    });
    let mut all = own.chain(sharers(state, key));
    let found = all.find(|(_, member)| member.ordered != Ordered::Nothing);
    found.map(|(id, _)| id)
}

/// What a volume is being copied to while nobody may write to it.
fn copied_to(state: &State, name: &ObjectKey) -> Option<String> {
    let mut snapshots = state.snapshots.values();
    let snapshot = snapshots.find(|snapshot| {
        let taking = snapshot.state == SnapshotState::Taking;
        taking && !snapshot.online && snapshot.volume == *name
    });
    if let Some(snapshot) = snapshot {
        return Some(format!("VolumeSnapshot/{}", snapshot.of.name));
    }
    let index = state.index();
    let clones = index
        .copying
        .of(&())
        .filter_map(|clone| state.volumes.get_key_value(clone));
    let mut clones = clones.filter(|(_, volume)| {
        let origin = volume.copying().filter(|origin| !origin.online);
        origin.is_some_and(|origin| origin.is_volume(name))
    });
    let (clone, volume) = clones.next()?;
    Some(match &volume.claim {
        Some(bound) => format!("PersistentVolumeClaim/{}", bound.key.name),
        None => format!("PersistentVolume/{}", clone.name),
    })
}

impl Origin {
    /// Whether it is this volume.
    pub fn is_volume(&self, name: &ObjectKey) -> bool {
        self.kind == DataSourceKind::PersistentVolumeClaim && self.record == *name
    }

    /// Whether it is this snapshot.
    pub fn is_snapshot(&self, name: &ObjectKey) -> bool {
        self.kind == DataSourceKind::VolumeSnapshot && self.record == *name
    }
}

/// Whether data is being copied from a record: then it stays where it is.
pub fn is_copied(state: &State, is: impl Fn(&Origin) -> bool) -> bool {
    let index = state.index();
    let mut copying = index
        .copying
        .of(&())
        .filter_map(|name| state.volumes.get(name));
    copying.any(|volume| volume.copying().is_some_and(&is))
}

/// Whether a member may be started on the volume of a claim; also on a claim without one.
///
/// # Errors
/// It is not there, in the trash, on its way back, or being copied to or from.
pub fn usable(state: &State, key: &ClaimKey, claim: &Claim) -> Result<(), Reason> {
    let Some(name) = &claim.volume else {
        return Ok(());
    };
    let volume = state.volume_of(claim);
    let own = volume.filter(|volume| {
        let bound = volume.claim.as_ref();
        bound.is_some_and(|bound| bound.uid == claim.uid)
    });
    let (claim, volume) = (key.clone(), name.name.to_string());
    let bound = || BoundVolume {
        claim: claim.clone(),
        volume,
    };
    let Some(own) = own else {
        return Err(Reason::VolumeGone(bound()));
    };
    match &own.state {
        VolumeState::Live => {}
        VolumeState::Restoring => return Err(Reason::VolumeRestoring(bound())),
        VolumeState::Trashing | VolumeState::Trashed { .. } | VolumeState::Purging => {
            return Err(Reason::VolumeGone(bound()));
        }
    }
    if let Some(origin) = own.copying() {
        let source = origin.describe();
        return Err(Reason::VolumePopulating(CopyOf { claim, source }));
    }
    match copied_to(state, name) {
        Some(to) => Err(Reason::VolumeCopied { claim, to }),
        None => Ok(()),
    }
}

/// What the new volume of a claim begins with, and where that is.
#[derive(Debug)]
pub struct Beginning<'a> {
    /// As the volume records it.
    pub origin: Origin,
    /// Where the data lies.
    pub source: &'a VolumeSource,
}

/// What the new volume of a claim begins with.
///
/// # Errors
/// It is not there, not complete, or cannot be copied to such a volume.
pub fn beginning<'a>(
    state: &'a State,
    key: &ClaimKey,
    spec: &PersistentVolumeClaimSpec,
    asked: &DataSource,
    pool: Option<&str>,
) -> Result<Beginning<'a>, Reason> {
    let told = format!("{}/{}", asked.kind.as_str(), asked.name);
    let object = object(key, asked).ok_or_else(|| missing(key, &told))?;
    let (record, source, bytes, online) = match asked.kind {
        DataSourceKind::VolumeSnapshot => {
            let object = state.volume_snapshots.get(&object);
            let object = object.ok_or_else(|| missing(key, &told))?;
            let found = snapshot_of(state, object);
            let found = found.filter(|(_, one)| matches!(one.state, SnapshotState::Ready { .. }));
            let (name, snapshot) = found.ok_or_else(|| {
                Reason::DataSourceNotReady(CopyOf {
                    claim: key.clone(),
                    source: told,
                })
            })?;
            (name, &snapshot.source, snapshot.bytes, true)
        }
        DataSourceKind::PersistentVolumeClaim => {
            let found = Source::of_claim(state, &object, key)?;
            let volume = found.volume;
            (found.record, &volume.source, volume.capacity, found.online)
        }
    };
    let refused = |because| Reason::CopyRefused {
        claim: key.clone(),
        because,
    };
    if pool != source.pool() {
        let pool = source.pool().unwrap_or_default().to_owned();
        return Err(refused(CopyRefusal::OtherPool { pool }));
    }
    if spec.storage() < bytes {
        return Err(refused(CopyRefusal::TooSmall { bytes }));
    }
    let origin = Origin {
        kind: asked.kind,
        object,
        record,
        online,
        copied: false,
    };
    Ok(Beginning { origin, source })
}

fn object(key: &ClaimKey, asked: &DataSource) -> Option<ObjectKey> {
    Some(ObjectKey {
        namespace: key.namespace.clone(),
        name: asked.name.parse().ok()?,
    })
}

/// The host that the data is on which the volume of a claim is to begin with, as far as it is known:
/// the volume will be there too.
pub fn host<'a>(state: &'a State, key: &ClaimKey, claim: &Claim) -> Option<&'a HostName> {
    let asked = claim.spec.data_source.as_ref()?;
    let object = object(key, asked)?;
    let source = match asked.kind {
        DataSourceKind::VolumeSnapshot => {
            let object = state.volume_snapshots.get(&object)?;
            let name = snapshot_name(&Uid(object.metadata.uid.clone()))?;
            &state.snapshots.get(&name)?.source
        }
        DataSourceKind::PersistentVolumeClaim => {
            &state.volume_of(state.claims.get(&object)?)?.source
        }
    };
    source.host()
}

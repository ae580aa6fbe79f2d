//! Rules about copies of volumes: of what was meant, and of one time.

use crate::{
    check::{
        Case, Verdict,
        standing::grant,
        volumes::{needed, uses},
    },
    ids::{ClaimKey, MemberId, ObjectKey, Uid},
    plan::Step,
    spec::DataSourceKind,
    state::{Ordered, Origin, Snapshot, SnapshotState, State, Volume, VolumeState},
    volume::{PoolKind, VolumeSource},
};

pub(super) fn snapshot_source(case: &Case<'_>) -> Verdict {
    let Step::TakeSnapshot { name, snapshot } = case.step else {
        return Ok(());
    };
    let Some(object) = case.state.volume_snapshots.get(&snapshot.of) else {
        return Err(format!("nobody asked for snapshot {}", snapshot.of));
    };
    let claim = case.state.claims.get(&snapshot.claim);
    let asked = &object.spec.source.persistent_volume_claim_name;
    let named = snapshot.claim.namespace == snapshot.of.namespace
        && snapshot.claim.name.as_str() == asked.as_str();
    let meant = &object.spec.source.persistent_volume_claim_uid;
    let meant = meant.is_empty() || claim.is_some_and(|claim| claim.uid.0 == *meant);
    let volume = case.state.volumes.get(&snapshot.volume);
    let bound = claim.and_then(|claim| claim.volume.as_ref());
    let wrong = if name.name.as_str() != format!("snap-{}", object.metadata.uid) {
        "has the name of another"
    } else if case.state.snapshots.contains_key(name) {
        "is taken already"
    } else if !named || bound != Some(&snapshot.volume) {
        "is of another claim's volume"
    } else if !meant {
        "is of a later claim of the name"
    } else if !volume.is_some_and(|volume| whole(volume, claim.map(|claim| &claim.uid))) {
        "is of a volume that is not there"
    } else if volume.map(|volume| &volume.source) != Some(&snapshot.source) {
        "is of another place"
    } else if snapshot.state != SnapshotState::Taking {
        "is complete before it is taken"
    } else {
        return Ok(());
    };
    Err(format!("snapshot {} {wrong}", snapshot.of))
}

pub(super) fn snapshot_meant(case: &Case<'_>) -> Verdict {
    let Step::PinSnapshot { key, claim, uid } = case.step else {
        return Ok(());
    };
    let Some(object) = case.state.volume_snapshots.get(key) else {
        return Err(format!("nobody asked for snapshot {key}"));
    };
    let source = &object.spec.source;
    let named = claim.namespace == key.namespace
        && claim.name.as_str() == source.persistent_volume_claim_name.as_str();
    let there = case.state.claims.get(claim).map(|claim| &claim.uid);
    if !source.persistent_volume_claim_uid.is_empty() {
        Err(format!("snapshot {key} means a claim already"))
    } else if !named || there != Some(uid) {
        Err(format!(
            "snapshot {key} would mean a claim that is not there"
        ))
    } else {
        Ok(())
    }
}

/// Whether a volume is there, with its data, and a claim's.
fn whole(volume: &Volume, claim: Option<&Uid>) -> bool {
    let bound = volume.claim.as_ref().map(|bound| &bound.uid);
    let copied = volume.origin.as_ref().is_none_or(|origin| origin.copied);
    volume.state == VolumeState::Live && copied && bound == claim
}

pub(super) fn copy_source(case: &Case<'_>) -> Verdict {
    let Step::BindClaim { key, name, volume } = case.step else {
        return Ok(());
    };
    let Some(claim) = case.state.claims.get(key) else {
        return Ok(());
    };
    let new = !case.state.volumes.contains_key(name);
    let (asked, origin) = match (&claim.spec.data_source, &volume.origin) {
        (Some(asked), Some(origin)) => (asked, origin),
        (None, None) => return Ok(()),
        // One that was there once.
        (Some(_), None) | (None, Some(_)) if !new => return Ok(()),
        (Some(_), None) => return Err(format!("claim {key} would begin with nothing")),
        (None, Some(_)) => return Err(format!("claim {key} asked for no copy")),
    };
    let named = origin.kind == asked.kind
        && origin.object.name.as_str() == asked.name
        && origin.object.namespace == key.namespace;
    let beside = data_of(case.state, origin).is_some_and(|source| beside(source, &volume.source));
    if !named {
        Err(format!(
            "claim {key} did not ask for a copy of {}",
            origin.object
        ))
    } else if new && origin.copied {
        Err(format!(
            "the copy for claim {key} is complete before it is made"
        ))
    } else if !beside {
        Err(format!(
            "claim {key} has no data of {} in its pool",
            origin.object
        ))
    } else {
        Ok(())
    }
}

/// Where the data lies that a volume begins with, if it is whole.
fn data_of<'a>(state: &'a State, origin: &Origin) -> Option<&'a VolumeSource> {
    match origin.kind {
        DataSourceKind::VolumeSnapshot => {
            let snapshot = state.snapshots.get(&origin.record)?;
            let ready = matches!(snapshot.state, SnapshotState::Ready { .. });
            (ready && snapshot.of == origin.object).then_some(&snapshot.source)
        }
        DataSourceKind::PersistentVolumeClaim => {
            let claim = state.claims.get(&origin.object)?;
            let volume = state.volumes.get(&origin.record)?;
            let bound = claim.volume.as_ref() == Some(&origin.record);
            (bound && whole(volume, Some(&claim.uid))).then_some(&volume.source)
        }
    }
}

fn beside(a: &VolumeSource, b: &VolumeSource) -> bool {
    match (a, b) {
        (
            VolumeSource::Local { host, pool, .. },
            VolumeSource::Local {
                host: at, pool: of, ..
            },
        ) => host == at && pool == of,
        (VolumeSource::Local { .. } | VolumeSource::Nfs(_), _) => false,
    }
}

pub(super) fn copy_still(case: &Case<'_>) -> Verdict {
    let state = case.state;
    if let Step::TakeSnapshot { snapshot, .. } = case.step {
        return still(state, &snapshot.claim, &snapshot.source, snapshot.online);
    }
    if let Step::BindClaim { volume, .. } = case.step
        && let Some(origin) = &volume.origin
        && !origin.copied
        && origin.kind == DataSourceKind::PersistentVolumeClaim
    {
        return still(state, &origin.object, &volume.source, origin.online);
    }
    if let Step::Start { member: id, .. } = case.step
        && let Some((set, member)) = grant(state, id)
    {
        let claims = needed(set, id, &member.revision).into_iter();
        let volumes = claims.filter_map(|key| state.claims.get(&key)?.volume.as_ref());
        for name in volumes {
            if read_still(state, name) {
                return Err(format!("{id} starts on volume {name}, which is copied"));
            }
        }
    }
    Ok(())
}

/// Whether the volume of a claim may be copied so: in one instant where its pool can do that, else
/// while nobody was ordered to run on it.
fn still(state: &State, key: &ClaimKey, source: &VolumeSource, online: bool) -> Verdict {
    if online {
        let pool = match source {
            VolumeSource::Local { host, pool, .. } => {
                state.hosts.get(host).and_then(|h| h.record.pools.get(pool))
            }
            VolumeSource::Nfs(_) => None,
        };
        return match pool {
            Some(pool) if pool.kind == PoolKind::Image && pool.clones => Ok(()),
            Some(_) | None => Err(format!("nothing copies the volume of {key} in one instant")),
        };
    }
    let own = state
        .claims
        .get(key)
        .and_then(|claim| claim.member.as_ref());
    let ordered = |id: &MemberId| {
        let member = grant(state, id).map(|(_, member)| member.ordered);
        member.is_some_and(|ordered| ordered != Ordered::Nothing)
    };
    let shared = uses(state, key);
    match own.into_iter().chain(&shared).find(|id| ordered(id)) {
        Some(id) => Err(format!(
            "{id} runs on the volume of {key} while it is copied"
        )),
        None => Ok(()),
    }
}

/// Whether a copy is under way that is right only while nobody writes to the volume.
fn read_still(state: &State, name: &ObjectKey) -> bool {
    let taken = |snapshot: &Snapshot| {
        snapshot.volume == *name && snapshot.state == SnapshotState::Taking && !snapshot.online
    };
    let cloned = |volume: &Volume| {
        volume
            .origin
            .as_ref()
            .is_some_and(|origin| origin.record == *name && !origin.copied && !origin.online)
    };
    let index = state.index();
    let mut copying = index
        .copying
        .of(&())
        .filter_map(|one| state.volumes.get(one));
    state.snapshots.values().any(taken) || copying.any(cloned)
}

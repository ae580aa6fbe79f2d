//! What agents have to do about volumes apart from members: grow, move to the trash and back, and
//! copy.
//!
//! The work follows from the state, so that nothing is remembered of it: it is sent until its
//! result is recorded, and a result that no longer applies changes nothing. All of it may be done
//! twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClaimKey, Epoch, HostName, ObjectKey, Uid},
    quantity::of_bytes,
    spec::DataSourceKind,
    state::{BoundClaim, Claim, Origin, Snapshot, SnapshotState, State, Volume, VolumeState},
    time::Timestamp,
    volume::{VolumeSource, copy::is_copied},
};

/// One thing to do about a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeWork {
    /// The volume.
    pub volume: ObjectKey,
    /// The claims that it was ever bound to: an owner record that names another forbids the work.
    pub owners: Vec<Uid>,
    /// Whether a member was ever started on it. Without that, and without a record, nothing that
    /// lies there is known to be its data.
    pub filled: bool,
    /// Where its data lies.
    pub source: VolumeSource,
    /// How often the volume was sent to the trash: its data has another name there each time, and a
    /// return closes the names of all times before. So a work that hung on one host and is done when
    /// another one brought the volume back finds no way to throw it away again.
    #[serde(default)]
    pub deletion: u64,
    /// What to do.
    pub task: VolumeTask,
    /// What a new volume begins with; for [`VolumeTask::Populate`] and [`VolumeTask::Receive`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<CopySource>,
}

/// What a new volume begins with, and whose it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CopySource {
    /// Where the volume lies, or lay, whose data it is.
    pub source: VolumeSource,
    /// The claims that it was ever bound to: one of them must be in the owner record of the data.
    pub owners: Vec<Uid>,
    /// The snapshot that is copied, and not the volume itself.
    pub snapshot: Option<ObjectKey>,
    /// The claim that the copy belongs to.
    pub claim: BoundClaim,
}

/// What to do about a volume. Each says how it is to be in the end, so that doing it twice is doing
/// it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "camelCase")]
pub enum VolumeTask {
    /// Make it at least this large.
    Grow {
        /// In bytes.
        bytes: u64,
    },
    /// Move its data to the trash. One that was never made is there already.
    Trash,
    /// Move its data back from the trash.
    Restore,
    /// Remove its data from the trash for good. One of which nothing is there is removed already.
    Purge,
    /// Take a snapshot of the volume that is named as the work's source; the work has the
    /// snapshot's name.
    Snapshot {
        /// Whether members may write to it meanwhile.
        online: bool,
    },
    /// Make a new volume with a copy of data.
    Populate {
        /// Whether members may write to the data meanwhile.
        online: bool,
    },
    /// Make a new volume with the data of one on another host, byte for byte; it comes over the
    /// coordinator, which asks the other host for it.
    Receive {
        /// The move's epoch, which the owner records of both volumes have then.
        epoch: Epoch,
        /// How large the new volume is to be.
        bytes: u64,
    },
    /// Send the data of a volume to the host that receives it. Asked when that one asks for it, and
    /// answered by the data itself.
    Send {
        /// The move's epoch.
        epoch: Epoch,
    },
    /// Remove the data of a snapshot for good; the work has the snapshot's name.
    Discard,
}

impl VolumeTask {
    /// As events tell it: `cannot <this>`.
    pub fn describe(self) -> String {
        match self {
            Self::Trash => "move it to the trash".to_owned(),
            Self::Restore => "bring it back from the trash".to_owned(),
            Self::Grow { bytes } => format!("grow it to {}", of_bytes(bytes)),
            Self::Purge => "remove it from the trash for good".to_owned(),
            Self::Snapshot { .. } => "take the snapshot".to_owned(),
            Self::Populate { .. } => "copy the data that it begins with".to_owned(),
            Self::Send { .. } => "send the data of a member that moves".to_owned(),
            Self::Receive { .. } => "copy the data of a member that moves".to_owned(),
            Self::Discard => "remove the data of the snapshot".to_owned(),
        }
    }
}

/// What came of a work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeDone {
    /// The volume.
    pub volume: ObjectKey,
    /// What was to be done.
    pub task: VolumeTask,
    /// Why it is not done; it is asked for again.
    pub error: Option<String>,
}

/// What agents have to do, by host. `failed` has the host that failed last with a volume.
///
/// The volumes of a server are done by one host in contact: the first, or the one after the host
/// that failed. Not every host reaches every server, and one that does not would else hold the work
/// up for ever.
pub fn work(
    state: &State,
    failed: &BTreeMap<ObjectKey, HostName>,
) -> BTreeMap<HostName, Vec<VolumeWork>> {
    let mut all: BTreeMap<HostName, Vec<VolumeWork>> = BTreeMap::new();
    let index = state.index();
    let volumes = index.at_work.of(&());
    let volumes = volumes.filter_map(|name| state.volumes.get_key_value(name));
    for (name, volume) in volumes.filter(|(_, volume)| volume.provisioned) {
        let Some(task) = task(state, name, volume) else {
            continue;
        };
        let Some(host) = doer(state, volume, failed.get(name)) else {
            continue;
        };
        all.entry(host.clone()).or_default().push(VolumeWork {
            volume: name.clone(),
            owners: volume.owners.clone(),
            filled: volume.filled,
            source: volume.source.clone(),
            deletion: volume.deletions,
            task,
            from: arriving_from(state, volume).or_else(|| {
                let origin = volume.copying()?;
                copy_source(state, volume, origin)
            }),
        });
    }
    for (name, snapshot) in &state.snapshots {
        let task = match &snapshot.state {
            SnapshotState::Taking => VolumeTask::Snapshot {
                online: snapshot.online,
            },
            SnapshotState::Deleting if !is_copied(state, |o| o.is_snapshot(name)) => {
                VolumeTask::Discard
            }
            SnapshotState::Deleting
            | SnapshotState::Ready { .. }
            | SnapshotState::Failed { .. } => continue,
        };
        let Some(host) = snapshot.source.host() else {
            continue;
        };
        all.entry(host.clone()).or_default().push(VolumeWork {
            volume: name.clone(),
            owners: snapshot.owners.clone(),
            filled: true,
            source: snapshot.source.clone(),
            deletion: 0,
            task,
            from: None,
        });
    }
    all
}

/// Where the data is that a volume begins with; `None` if it is gone.
fn copy_source(state: &State, volume: &Volume, origin: &Origin) -> Option<CopySource> {
    let (source, owners, snapshot) = match origin.kind {
        DataSourceKind::VolumeSnapshot => {
            let snapshot = state.snapshots.get(&origin.record)?;
            let name = origin.record.clone();
            (&snapshot.source, &snapshot.owners, Some(name))
        }
        DataSourceKind::PersistentVolumeClaim => {
            let from = state.volumes.get(&origin.record)?;
            (&from.source, &from.owners, None)
        }
    };
    Some(CopySource {
        source: source.clone(),
        owners: owners.clone(),
        snapshot,
        claim: volume.claim.clone()?,
    })
}

/// Where the data is that a move brings to a volume, if the host there can be asked for it.
fn arriving_from(state: &State, volume: &Volume) -> Option<CopySource> {
    let from = state.volumes.get(&volume.arriving()?.from)?;
    let host = state.hosts.get(from.source.host()?)?;
    host.contact.connected.then_some(())?;
    Some(CopySource {
        source: from.source.clone(),
        owners: from.owners.clone(),
        snapshot: None,
        claim: volume.claim.clone()?,
    })
}

/// The host that does the work on a volume.
fn doer<'a>(
    state: &'a State,
    volume: &'a Volume,
    failed: Option<&HostName>,
) -> Option<&'a HostName> {
    let contacts = || {
        let hosts = state.hosts.iter();
        let hosts = hosts.filter(|(_, host)| host.contact.connected);
        hosts.map(|(name, _)| name)
    };
    let next = || {
        let next = failed.and_then(|failed| contacts().find(|name| *name > failed));
        next.or_else(|| contacts().next())
    };
    volume.source.host().or_else(next)
}

fn task(state: &State, name: &ObjectKey, volume: &Volume) -> Option<VolumeTask> {
    let stays = || is_copied(state, |origin| origin.is_volume(name)) || is_taken(state, name);
    match volume.state {
        VolumeState::Trashing if stays() => None,
        VolumeState::Trashing => Some(VolumeTask::Trash),
        VolumeState::Restoring => Some(VolumeTask::Restore),
        VolumeState::Purging => Some(VolumeTask::Purge),
        VolumeState::Trashed { .. } => None,
        VolumeState::Live if volume.arriving().is_some() => {
            arriving_from(state, volume)?;
            let epoch = volume.arriving()?.epoch;
            let bytes = volume.capacity;
            Some(VolumeTask::Receive { epoch, bytes })
        }
        VolumeState::Live if volume.copying().is_some() => {
            let origin = volume.copying()?;
            // Without its data there is nothing to do but to wait for it.
            copy_source(state, volume, origin)?;
            let online = origin.online;
            Some(VolumeTask::Populate { online })
        }
        VolumeState::Live => {
            let claim = state.claims.get(&volume.claim.as_ref()?.key)?;
            let bytes = claim.spec.storage();
            // One that was never started on is made as large as it is to be.
            let own = claim.volume.as_ref() == Some(name) && claim.filled;
            let grows = own && !grows_by_itself(state, volume);
            (grows && bytes > volume.capacity).then_some(VolumeTask::Grow { bytes })
        }
    }
}

/// Whether a snapshot of a volume is being taken: then it stays where it is.
fn is_taken(state: &State, name: &ObjectKey) -> bool {
    let mut snapshots = state.snapshots.values();
    snapshots.any(|one| one.state == SnapshotState::Taking && one.volume == *name)
}

/// What is recorded of a volume after a task is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// This.
    Is(Box<Volume>),
    /// Nothing: its data is gone for good.
    Gone,
}

/// What is recorded of a volume after a task is done; `None` if that changes nothing: it was recorded
/// before, or something else was decided since.
pub fn done(volume: &Volume, task: VolumeTask, now: Timestamp) -> Option<After> {
    let state = match (&volume.state, task) {
        (VolumeState::Trashing, VolumeTask::Trash) => VolumeState::Trashed { since: now },
        (VolumeState::Restoring, VolumeTask::Restore) => VolumeState::Live,
        (VolumeState::Live, VolumeTask::Grow { bytes }) if bytes > volume.capacity => {
            return Some(After::Is(Box::new(Volume {
                capacity: bytes,
                ..volume.clone()
            })));
        }
        (VolumeState::Purging, VolumeTask::Purge) => return Some(After::Gone),
        (VolumeState::Live, VolumeTask::Populate { .. }) => {
            let mut origin = volume.copying()?.clone();
            origin.copied = true;
            return Some(After::Is(Box::new(Volume {
                origin: Some(origin),
                filled: true,
                ..volume.clone()
            })));
        }
        (VolumeState::Live, VolumeTask::Receive { epoch, .. }) => {
            let mut moved_in = volume.arriving()?.clone();
            if moved_in.epoch != epoch {
                return None;
            }
            moved_in.complete = true;
            return Some(After::Is(Box::new(Volume {
                moved_in: Some(moved_in),
                ..volume.clone()
            })));
        }
        (
            VolumeState::Live
            | VolumeState::Trashing
            | VolumeState::Trashed { .. }
            | VolumeState::Restoring
            | VolumeState::Purging,
            VolumeTask::Grow { .. }
            | VolumeTask::Trash
            | VolumeTask::Restore
            | VolumeTask::Purge
            | VolumeTask::Populate { .. }
            | VolumeTask::Snapshot { .. }
            | VolumeTask::Receive { .. }
            | VolumeTask::Send { .. }
            | VolumeTask::Discard,
        ) => return None,
    };
    Some(After::Is(Box::new(Volume {
        state,
        ..volume.clone()
    })))
}

/// The claim of a volume whose data was copied: it holds data from its first day, so that a volume
/// that is empty then is a loss.
pub fn populated(state: &State, volume: &Volume) -> Option<(ClaimKey, Claim)> {
    let bound = volume.claim.as_ref()?;
    let claim = state.claims.get(&bound.key)?;
    (claim.uid == bound.uid && !claim.filled).then(|| {
        let filled = Claim {
            filled: true,
            ..claim.clone()
        };
        (bound.key.clone(), filled)
    })
}

/// What becomes of the record of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotChange {
    /// It is this from now on.
    Is(Box<Snapshot>),
    /// Its data is gone, and so is the record.
    Gone,
}

/// The record of a snapshot after an agent answered; `None` if that changes nothing.
pub fn snapshot_done(
    snapshot: &Snapshot,
    task: VolumeTask,
    error: Option<&str>,
    now: Timestamp,
) -> Option<SnapshotChange> {
    match (&snapshot.state, task, error) {
        (SnapshotState::Taking, VolumeTask::Snapshot { .. }, error) => {
            let since = now;
            let state = match error {
                None => SnapshotState::Ready { since },
                // A member may wait for it to end: it is not tried for ever.
                Some(error) => SnapshotState::Failed {
                    since,
                    error: error.to_owned(),
                },
            };
            Some(SnapshotChange::Is(Box::new(Snapshot {
                state,
                ..snapshot.clone()
            })))
        }
        (SnapshotState::Deleting, VolumeTask::Discard, None) => Some(SnapshotChange::Gone),
        (
            SnapshotState::Taking
            | SnapshotState::Deleting
            | SnapshotState::Ready { .. }
            | SnapshotState::Failed { .. },
            _,
            _,
        ) => None,
    }
}

/// Whether a volume is larger by a word alone: nothing holds what is written to it within its size.
pub fn grows_by_itself(state: &State, volume: &Volume) -> bool {
    match &volume.source {
        VolumeSource::Nfs(nfs) => nfs.sub_dir.is_some(),
        VolumeSource::Local { host, pool, .. } => {
            let host = state.hosts.get(host);
            let pool = host.and_then(|host| host.record.pools.get(pool));
            pool.is_some_and(|pool| !pool.is_limited())
        }
    }
}

/// The volume of a claim as the claim's word alone makes it, if that makes it larger. The others are
/// grown by an agent.
pub fn grown_by_word(state: &State, claim: &Claim) -> Option<(ObjectKey, Volume)> {
    let name = claim.volume.as_ref()?;
    let volume = state.volumes.get(name)?;
    let capacity = claim.wanted_capacity(volume);
    let free = volume.provisioned && grows_by_itself(state, volume);
    (free && capacity > volume.capacity).then(|| {
        let volume = Volume {
            capacity,
            ..volume.clone()
        };
        (name.clone(), volume)
    })
}

impl Claim {
    /// How large its volume is to be, in bytes.
    pub fn wanted_capacity(&self, volume: &Volume) -> u64 {
        volume.capacity.max(self.spec.storage())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{NOW, friend::Friends, host_name, nfs_class, put_set, quantity, spec, state},
        state::VolumeState,
        volume::PoolInfo,
    };

    /// A member on `host-1` with a volume of 4 bytes; and where its claim wants 6.
    fn running(class: &str) -> Friends {
        let mut state = state(3);
        nfs_class(&mut state, "nfs").allow_volume_expansion = true;
        for host in state.hosts.values_mut() {
            let pool = host.record.pools.get_mut("default").unwrap();
            pool.limits = true;
        }
        let mut wanted = spec(1, true);
        let asked = &mut wanted.volume_claim_templates[0].spec;
        asked.storage_class_name = Some(class.to_owned());
        asked.resources.requests = quantity(4);
        put_set(&mut state, "db", wanted.clone());
        let mut friends = Friends::new(state);
        friends.settle();
        let asked = &mut wanted.volume_claim_templates[0].spec;
        asked.resources.requests = quantity(6);
        put_set(&mut friends.state, "db", wanted);
        friends.settle();
        friends
    }

    fn tasks(state: &State, host: u8) -> Vec<VolumeTask> {
        tasks_after(state, host, &BTreeMap::new())
    }

    fn tasks_after(
        state: &State,
        host: u8,
        failed: &BTreeMap<ObjectKey, HostName>,
    ) -> Vec<VolumeTask> {
        let work = work(state, failed).remove(&host_name(host));
        let work = work.unwrap_or_default().into_iter();
        work.map(|work| work.task).collect()
    }

    fn is(after: Option<After>) -> Volume {
        match after {
            Some(After::Is(volume)) => *volume,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_removed_for_good_leaves_no_record() {
        let mut state = running("local").state;
        state.claims.clear();
        only(&mut state).state = VolumeState::Purging;
        assert_eq!(tasks(&state, 1), [VolumeTask::Purge]);
        let volume = only(&mut state);
        assert_eq!(
            done(volume, VolumeTask::Restore, NOW),
            None,
            "it is too late"
        );
        assert_eq!(done(volume, VolumeTask::Purge, NOW), Some(After::Gone));
        volume.state = VolumeState::Restoring;
        assert_eq!(done(volume, VolumeTask::Purge, NOW), None);
    }

    fn only(state: &mut State) -> &mut Volume {
        state.volumes.values_mut().next().unwrap()
    }

    #[test]
    fn a_volume_with_a_limit_is_grown_by_its_host_until_it_is_done() {
        let mut state = running("local").state;
        let grow = VolumeTask::Grow { bytes: 6 };
        assert_eq!(tasks(&state, 1), [grow]);
        assert_eq!(tasks(&state, 2), []);
        let volume = only(&mut state);
        let grown = is(done(volume, grow, NOW));
        *volume = grown;
        assert_eq!(done(volume, grow, NOW), None, "it is done once");
        assert_eq!(tasks(&state, 1), []);
    }

    #[test]
    fn what_nothing_limits_is_grown_by_a_word() {
        let state = running("nfs").state;
        assert_eq!(tasks(&state, 1), []);
        assert_eq!(state.volumes.values().next().unwrap().capacity, 6);
        let mut state = running("local").state;
        let volume = only(&mut state).clone();
        assert!(!grows_by_itself(&state, &volume));
        for host in state.hosts.values_mut() {
            let plain = PoolInfo::default();
            host.record.pools.insert("default".to_owned(), plain);
        }
        assert!(grows_by_itself(&state, &volume));
        state.hosts.clear();
        assert!(!grows_by_itself(&state, &volume), "its pool is not known");
    }

    #[test]
    fn to_the_trash_and_back() {
        let mut state = running("local").state;
        state.claims.clear();
        only(&mut state).state = VolumeState::Trashing;
        assert_eq!(tasks(&state, 1), [VolumeTask::Trash]);
        let volume = only(&mut state);
        assert_eq!(done(volume, VolumeTask::Restore, NOW), None);
        *volume = is(done(volume, VolumeTask::Trash, NOW));
        assert_eq!(volume.state, VolumeState::Trashed { since: NOW });
        assert_eq!(done(volume, VolumeTask::Trash, NOW), None);
        assert_eq!(tasks(&state, 1), []);
        only(&mut state).state = VolumeState::Restoring;
        assert_eq!(tasks(&state, 1), [VolumeTask::Restore]);
        let volume = only(&mut state);
        *volume = is(done(volume, VolumeTask::Restore, NOW));
        assert_eq!(volume.state, VolumeState::Live);
        volume.state = VolumeState::Trashing;
        volume.claim = None;
        assert_eq!(tasks(&state, 1), [VolumeTask::Trash], "a released one too");
        volume_of_hand(&mut state);
        assert_eq!(tasks(&state, 1), [], "its data is not Berth's to move");
    }

    fn volume_of_hand(state: &mut State) {
        only(state).provisioned = false;
    }

    #[test]
    fn the_volumes_of_a_server_are_done_by_one_host_in_contact() {
        let mut state = running("nfs").state;
        only(&mut state).state = VolumeState::Trashing;
        assert_eq!(tasks(&state, 1), [VolumeTask::Trash]);
        assert_eq!(tasks(&state, 2), []);
        let contact = &mut state.hosts.get_mut(&host_name(1)).unwrap().contact;
        contact.connected = false;
        assert_eq!(tasks(&state, 1), []);
        assert_eq!(tasks(&state, 2), [VolumeTask::Trash]);
        assert_eq!(tasks(&state, 3), []);
    }

    #[test]
    fn a_host_that_failed_leaves_the_volumes_of_a_server_to_the_next_one() {
        let mut state = running("nfs").state;
        only(&mut state).state = VolumeState::Trashing;
        let name = state.volumes.keys().next().unwrap().clone();
        let doer = |state: &State, failed: u8| {
            let failed = BTreeMap::from([(name.clone(), host_name(failed))]);
            let hosts = (1..=3).filter(|host| !tasks_after(state, *host, &failed).is_empty());
            hosts.collect::<Vec<u8>>()
        };
        assert_eq!(doer(&state, 1), [2]);
        assert_eq!(doer(&state, 2), [3]);
        assert_eq!(doer(&state, 3), [1], "round and round");
        let contact = |state: &mut State, host: u8, connected: bool| {
            let host = state.hosts.get_mut(&host_name(host)).unwrap();
            host.contact.connected = connected;
        };
        contact(&mut state, 2, false);
        assert_eq!(doer(&state, 1), [3]);
        assert_eq!(doer(&state, 2), [3], "also after one that is gone");
        contact(&mut state, 3, false);
        assert_eq!(doer(&state, 1), [1], "there is no other");
        contact(&mut state, 1, false);
        assert_eq!(doer(&state, 1), [0; 0]);
    }

    #[test]
    fn a_volume_on_a_host_is_worked_on_there_whatever_failed() {
        let mut state = running("local").state;
        only(&mut state).state = VolumeState::Trashing;
        let name = state.volumes.keys().next().unwrap().clone();
        let failed = BTreeMap::from([(name, host_name(1))]);
        assert_eq!(tasks_after(&state, 1, &failed), [VolumeTask::Trash]);
    }
}

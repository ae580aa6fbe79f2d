//! What agents have to do about volumes apart from members: grow, move to the trash and back.
//!
//! The work follows from the state, so that nothing is remembered of it: it is sent until its
//! result is recorded, and a result that no longer applies changes nothing. All of it may be done
//! twice.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{HostName, ObjectKey, Uid},
    state::{Claim, State, Volume, VolumeState},
    time::Timestamp,
    volume::{PoolKind, VolumeSource},
};

/// One thing to do about a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeWork {
    /// The volume.
    pub volume: ObjectKey,
    /// The unique id of the claim that it is bound to, or was last: the owner record has it. None
    /// for a volume that was released.
    pub claim_uid: Option<Uid>,
    /// Where its data lies.
    pub source: VolumeSource,
    /// What to do.
    pub task: VolumeTask,
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
}

impl VolumeTask {
    /// As events tell it: `cannot <this>`.
    pub fn describe(self) -> String {
        match self {
            Self::Trash => "move it to the trash".to_owned(),
            Self::Restore => "bring it back from the trash".to_owned(),
            Self::Grow { bytes } => format!("grow it to {bytes} bytes"),
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

/// What the agent of a host has to do. The volumes of a server are done by the first host in
/// contact, so that one of them does it.
pub fn work(state: &State, host: &HostName) -> Vec<VolumeWork> {
    let contacts = state.hosts.iter();
    let mut contacts = contacts.filter(|(_, host)| host.contact.connected);
    let first = contacts.next().map(|(name, _)| name);
    let here = |volume: &Volume| match volume.source.host() {
        Some(at) => at == host,
        None => first == Some(host),
    };
    let volumes = state.volumes.iter();
    let volumes = volumes.filter(|(_, volume)| volume.provisioned && here(volume));
    let open = volumes.filter_map(|(name, volume)| {
        Some(VolumeWork {
            volume: name.clone(),
            claim_uid: volume.claim.as_ref().map(|bound| bound.uid.clone()),
            source: volume.source.clone(),
            task: task(state, name, volume)?,
        })
    });
    open.collect()
}

fn task(state: &State, name: &ObjectKey, volume: &Volume) -> Option<VolumeTask> {
    match volume.state {
        VolumeState::Trashing => Some(VolumeTask::Trash),
        VolumeState::Restoring => Some(VolumeTask::Restore),
        VolumeState::Trashed { .. } => None,
        VolumeState::Live => {
            let claim = state.claims.get(&volume.claim.as_ref()?.key)?;
            let bytes = claim.spec.storage();
            // One that was never started on is made as large as it is to be.
            let grows = claim.volume.as_ref() == Some(name) && claim.filled;
            (grows && bytes > volume.capacity).then_some(VolumeTask::Grow { bytes })
        }
    }
}

/// The record of a volume after a task is done; `None` if that changes nothing: it was recorded
/// before, or something else was decided since.
pub fn done(volume: &Volume, task: VolumeTask, now: Timestamp) -> Option<Volume> {
    let state = match (&volume.state, task) {
        (VolumeState::Trashing, VolumeTask::Trash) => VolumeState::Trashed { since: now },
        (VolumeState::Restoring, VolumeTask::Restore) => VolumeState::Live,
        (VolumeState::Live, VolumeTask::Grow { bytes }) if bytes > volume.capacity => {
            return Some(Volume {
                capacity: bytes,
                ..volume.clone()
            });
        }
        (VolumeState::Live, VolumeTask::Grow { .. } | VolumeTask::Trash | VolumeTask::Restore)
        | (VolumeState::Trashing, VolumeTask::Grow { .. } | VolumeTask::Restore)
        | (VolumeState::Restoring, VolumeTask::Grow { .. } | VolumeTask::Trash)
        | (VolumeState::Trashed { .. }, _) => return None,
    };
    Some(Volume {
        state,
        ..volume.clone()
    })
}

/// Whether a volume is larger by a word alone: nothing holds what is written to it within its size.
pub fn grows_by_itself(state: &State, volume: &Volume) -> bool {
    match &volume.source {
        VolumeSource::Nfs(nfs) => nfs.sub_dir.is_some(),
        VolumeSource::Local { host, pool, .. } => {
            let host = state.hosts.get(host);
            let pool = host.and_then(|host| host.record.pools.get(pool));
            pool.is_some_and(|pool| pool.kind == PoolKind::Directory && !pool.limits)
        }
    }
}

impl Claim {
    /// How large its volume is to be, in bytes.
    pub fn wanted_capacity(&self, volume: &Volume) -> u64 {
        volume.capacity.max(self.spec.storage())
    }
}

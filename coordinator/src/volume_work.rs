//! What agents have to do with volumes beside running members on them: it follows from the state,
//! and is asked for until its result is recorded. Pure.

use berth_core::{
    ids::{HostName, ObjectKey},
    state::{State, Volume, VolumeState},
    store::{Key, RecordKind},
    time::Timestamp,
};
use berth_proto::convert::work::{Numbered, VolumeTask, VolumeWork};

use crate::state::{View, claims::is_limited};

/// What the agent of a host has to do. The volumes of a server are done by the first host in
/// contact, so that one of them does it.
pub fn of_host(view: &View, host: &HostName) -> Vec<Numbered<VolumeWork>> {
    let volumes = view.state.volumes.iter();
    let here = volumes.filter(|(_, volume)| is_for(&view.state, volume, host));
    let due = here.filter_map(|(name, volume)| {
        let of = VolumeWork {
            volume: name.clone(),
            source: volume.source.clone(),
            claim_uid: volume.claim.as_ref().map(|bound| bound.uid.clone()),
            task: task(view, name, volume)?,
        };
        let id = number(view, name, volume);
        Some(Numbered { id, of })
    });
    due.collect()
}

/// Whether a host's agent is the one to work on a volume.
fn is_for(state: &State, volume: &Volume, host: &HostName) -> bool {
    match volume.source.host() {
        Some(at) => at == host,
        None => {
            let mut hosts = state.hosts.iter();
            let first = hosts.find(|(_, host)| host.contact.connected);
            first.is_some_and(|(first, _)| first == host)
        }
    }
}

fn task(view: &View, name: &ObjectKey, volume: &Volume) -> Option<VolumeTask> {
    if !volume.provisioned {
        return None;
    }
    match volume.state {
        VolumeState::Trashing => Some(VolumeTask::Trash),
        VolumeState::Restoring => Some(VolumeTask::Restore),
        VolumeState::Trashed { .. } => None,
        VolumeState::Live => {
            let bound = volume.claim.as_ref()?;
            let claim = view.state.claims.get(&bound.key)?;
            let bytes = claim.spec.storage();
            let own = claim.uid == bound.uid && claim.volume.as_ref() == Some(name);
            // One that no member was started on yet is made as large as it is to be.
            let grows = own && claim.filled && is_limited(view, &volume.source);
            (grows && bytes > volume.capacity).then_some(VolumeTask::Grow { bytes })
        }
    }
}

/// The number of the work that a volume needs now: the revision of what was decided last of it.
/// What was done under another number was done for another decision.
pub fn number(view: &View, name: &ObjectKey, volume: &Volume) -> u64 {
    let own = Key::new(RecordKind::Volume, name.clone());
    let bound = volume.claim.as_ref();
    let claim = bound.map(|bound| Key::new(RecordKind::Claim, bound.key.clone()));
    let revisions = std::iter::once(own).chain(claim);
    let newest = revisions.filter_map(|key| view.revision_of(&key)).max();
    newest.unwrap_or_default().0
}

/// The record of a volume after a task is done, and the event of it; `None` if that says nothing
/// new.
pub fn done(
    volume: &Volume,
    task: VolumeTask,
    now: Timestamp,
) -> Option<(Volume, &'static str, String)> {
    let mut after = volume.clone();
    let (reason, text) = match (&volume.state, task) {
        (VolumeState::Trashing, VolumeTask::Trash) => {
            after.state = VolumeState::Trashed { since: now };
            ("Trashed", "its data is in the trash".to_owned())
        }
        (VolumeState::Restoring, VolumeTask::Restore) => {
            after.state = VolumeState::Live;
            ("Restored", "its data is back in its place".to_owned())
        }
        (VolumeState::Live, VolumeTask::Grow { bytes }) if bytes > volume.capacity => {
            after.capacity = bytes;
            ("Grown", format!("it holds {bytes} bytes now"))
        }
        (
            VolumeState::Live
            | VolumeState::Trashing
            | VolumeState::Trashed { .. }
            | VolumeState::Restoring,
            VolumeTask::Trash | VolumeTask::Restore | VolumeTask::Grow { .. },
        ) => return None,
    };
    Some((after, reason, text))
}

#[cfg(test)]
mod tests;

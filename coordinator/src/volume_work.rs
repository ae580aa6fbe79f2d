//! The work on volumes that the state asks of agents, with the numbers that tell one decision from
//! the next.

use std::collections::BTreeMap;

use berth_core::{
    ids::{HostName, ObjectKey},
    quantity::of_bytes,
    state::Volume,
    store::{Key, RecordKind},
    time::Timestamp,
    volume::work::{self, After, VolumeTask, VolumeWork},
};
use berth_proto::convert::work::Numbered;

use crate::state::View;

/// What agents have to do, by host; `failed` has the host that failed last with a volume.
pub fn by_host(
    view: &View,
    failed: &BTreeMap<ObjectKey, HostName>,
) -> BTreeMap<HostName, Vec<Numbered<VolumeWork>>> {
    let numbered = |of: VolumeWork| {
        let id = match view.state.volumes.get(&of.volume) {
            Some(volume) => number(view, &of.volume, volume),
            None => snapshot_number(view, &of.volume)?,
        };
        Some(Numbered { id, of })
    };
    let all = work::work(&view.state, failed).into_iter();
    all.map(|(host, due)| (host, due.into_iter().filter_map(numbered).collect()))
        .collect()
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

/// The number of the work that a snapshot needs now.
pub fn snapshot_number(view: &View, name: &ObjectKey) -> Option<u64> {
    let key = Key::new(RecordKind::Snapshot, name.clone());
    view.revision_of(&key).map(|revision| revision.0)
}

/// The record of a volume after a task is done, and the event of it; `None` if that says nothing
/// new.
pub fn done(
    volume: &Volume,
    task: VolumeTask,
    now: Timestamp,
) -> Option<(After, &'static str, String)> {
    let after = work::done(volume, task, now)?;
    let (reason, text) = match task {
        VolumeTask::Trash => ("Trashed", "its data is in the trash".to_owned()),
        VolumeTask::Purge => ("Purged", "its data is gone for good".to_owned()),
        VolumeTask::Restore => ("Restored", "its data is back in its place".to_owned()),
        VolumeTask::Grow { bytes } => ("Grown", format!("it holds {} now", of_bytes(bytes))),
        VolumeTask::Populate { .. } => (
            "Populated",
            "it has the data that it begins with".to_owned(),
        ),
        VolumeTask::Receive { .. } => (
            "Received",
            "it has all the data of the volume that it replaces".to_owned(),
        ),
        VolumeTask::Snapshot { .. } | VolumeTask::Discard | VolumeTask::Send { .. } => {
            return None;
        }
    };
    Some((after, reason, text))
}

#[cfg(test)]
mod tests;

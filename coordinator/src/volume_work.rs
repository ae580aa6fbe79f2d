//! The number and the words of what agents have to do with volumes. What that is, and what its result
//! changes, is decided in [`berth_core::volume::work`]. Pure.

use berth_core::{
    ids::{HostName, ObjectKey},
    state::Volume,
    store::{Key, RecordKind},
    volume::work::{VolumeTask, VolumeWork, work},
};
use berth_proto::convert::work::Numbered;

use crate::state::View;

/// What the agent of a host has to do.
pub fn of_host(view: &View, host: &HostName) -> Vec<Numbered<VolumeWork>> {
    let works = work(&view.state, host).into_iter();
    let numbered = works.filter_map(|of| {
        let volume = view.state.volumes.get(&of.volume)?;
        let id = number(view, &of.volume, volume);
        Some(Numbered { id, of })
    });
    numbered.collect()
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

/// What is told of a task that is done.
pub fn told(task: VolumeTask) -> (&'static str, String) {
    match task {
        VolumeTask::Trash => ("Trashed", "its data is in the trash".to_owned()),
        VolumeTask::Restore => ("Restored", "its data is back in its place".to_owned()),
        VolumeTask::Grow { bytes } => ("Grown", format!("it holds {bytes} bytes now")),
    }
}

/// A task as it is told when it failed: `cannot <this>`.
pub fn doing(task: VolumeTask) -> String {
    match task {
        VolumeTask::Trash => "move it to the trash".to_owned(),
        VolumeTask::Restore => "bring it back from the trash".to_owned(),
        VolumeTask::Grow { bytes } => format!("grow it to {bytes} bytes"),
    }
}

#[cfg(test)]
mod tests;

//! Snapshots: each that an operator asked for is taken when its volume can be copied. Why one is not
//! taken yet is asked when it is shown.

use crate::{
    ids::ObjectKey,
    plan::{Step, claims::room, draft::Draft},
    spec::VolumeSnapshot,
    state::{Snapshot, State},
    time::Timestamp,
    volume::copy,
    waiting::Reason,
};

/// Decides to take what can be taken.
pub(super) fn run(draft: &mut Draft) {
    if draft.mismatch().is_some() {
        // The store may be an old one, and the volume another claim's by now.
        return;
    }
    let objects = draft.state.volume_snapshots.iter();
    let new = objects.filter(|(_, object)| copy::snapshot_of(&draft.state, object).is_none());
    let keys: Vec<ObjectKey> = new.map(|(key, _)| key.clone()).collect();
    for key in keys {
        let Some(object) = draft.state.volume_snapshots.get(&key) else {
            continue;
        };
        if let Ok((name, snapshot)) = snapshot(&draft.state, &key, object, draft.now) {
            draft.push(Step::TakeSnapshot { name, snapshot });
        }
    }
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
    let (name, snapshot) = copy::snapshot(state, key, object, now)?;
    room::for_copy(state, &snapshot)?;
    Ok((name, snapshot))
}

//! Snapshots: each that an operator asked for means the claim that was there then, or the first one of
//! the name after that, and is taken when that claim's volume can be copied. Why one is not taken yet
//! is asked when it is shown.

use crate::{
    ids::ObjectKey,
    plan::{Parked, Step, Subject, claims::room, draft::Draft},
    spec::VolumeSnapshot,
    state::{Snapshot, State},
    time::Timestamp,
    volume::copy,
    waiting::Reason,
};

/// Notes which claims are meant by snapshots that were asked for before there was one of the name: a
/// later claim of it is not. Not of what is parked.
pub(super) fn pin(draft: &mut Draft, parked: &Parked) {
    let state = &draft.state;
    let open = state.volume_snapshots.iter();
    let open = open.filter(|(key, object)| {
        let source = &object.spec.source;
        source.persistent_volume_claim_uid.is_empty() && is_open(draft, parked, key, object)
    });
    let steps = open.filter_map(|(key, object)| {
        let claim = copy::claim_of(key, object)?;
        let uid = state.claims.get(&claim)?.uid.clone();
        let key = key.clone();
        Some(Step::PinSnapshot { key, claim, uid })
    });
    let steps: Vec<Step> = steps.collect();
    for step in steps {
        draft.push(step);
    }
}

/// Whether something may be decided of a snapshot that is not taken yet. With agents of another history
/// the store may be an old one, and the volume another claim's by now.
fn is_open(draft: &Draft, parked: &Parked, key: &ObjectKey, object: &VolumeSnapshot) -> bool {
    draft.mismatch().is_none()
        && copy::snapshot_of(&draft.state, object).is_none()
        && !parked.contains_key(&Subject::Snapshot(key.clone()))
}

/// Decides to take what can be taken. Not what is parked.
pub(super) fn run(draft: &mut Draft, parked: &Parked) {
    let objects = draft.state.volume_snapshots.iter();
    let new = objects.filter(|(key, object)| is_open(draft, parked, key, object));
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

//! VolumeSnapshots: where each stands, and what is written when one is deleted.

use berth_core::{
    ids::ObjectKey,
    plan::{self, Subject},
    quantity,
    spec::{Kind, VolumeSnapshot},
    state::{Snapshot, SnapshotState},
    store::{Batch, Change, Key, RecordKind},
    volume::copy,
    waiting::Reason,
};
use serde_json::{Value as Json, json};

use super::{status::ServiceError, view::Look};
use crate::{
    state::{View, claims::write_as_known},
    store::{RecordError, decode, encode},
};

/// The status of a snapshot, with the field names of Kubernetes.
pub(super) fn status(look: &Look<'_>, key: &ObjectKey, object: &VolumeSnapshot) -> Json {
    let Some((name, record)) = copy::snapshot_of(look.state, object) else {
        let refused = look.board.refused.get(&Subject::Snapshot(key.clone()));
        let refused = refused.map(|rule| Reason::PlanRefused { rule: rule.clone() });
        let waiting = refused.or_else(|| plan::snapshot(look.state, key, object, look.now).err());
        return json!({
            "readyToUse": false,
            "waiting": waiting.map(|reason| json!({
                "rule": reason.rule().name(),
                "message": reason.to_string(),
                "frees": reason.frees(),
            })),
        });
    };
    let (since, error) = match &record.state {
        SnapshotState::Taking | SnapshotState::Deleting => (None, None),
        SnapshotState::Ready { since } => (Some(*since), None),
        SnapshotState::Failed { since, error } => (None, Some((*since, error))),
    };
    json!({
        "boundVolumeSnapshotContentName": name.name.as_str(),
        "readyToUse": since.is_some(),
        "creationTime": since.map(|at| at.to_string()),
        "restoreSize": quantity::exact(record.bytes),
        "source": record.source.describe(),
        "host": record.source.host().map(ToString::to_string),
        "error": error.map(|(at, text)| json!({"time": at.to_string(), "message": text})),
    })
}

/// What a change of a snapshot's record is to whoever follows snapshots: the object, whose status it
/// is. `None` where another change of the commit tells it, or the end of the object did.
///
/// # Errors
/// If a record cannot be read or written.
pub(super) fn followed(
    view: &View,
    change: &Change,
    commit: &[Change],
) -> Result<Option<Change>, RecordError> {
    let Some(value) = &change.value else {
        return Ok(None);
    };
    let of = decode::<Snapshot>(value)?.of;
    let key = Key::new(RecordKind::Object(Kind::VolumeSnapshot), of);
    if commit.iter().any(|other| other.key == key) {
        return Ok(None);
    }
    let id = (Kind::VolumeSnapshot, key.object.clone());
    let object = view.objects.get(&id).map(encode).transpose()?;
    Ok(object.map(|object| Change {
        key,
        value: Some(object),
        created: false,
    }))
}

/// Lets the data of a snapshot be removed, if there is any. Its object goes with it.
///
/// # Errors
/// If the record cannot be encoded.
pub(super) fn discard(view: &View, key: &ObjectKey, batch: &mut Batch) -> Result<(), ServiceError> {
    let object = view.state.volume_snapshots.get(key);
    let Some((name, record)) = object.and_then(|object| copy::snapshot_of(&view.state, object))
    else {
        return Ok(());
    };
    let record = Snapshot {
        state: SnapshotState::Deleting,
        ..record.clone()
    };
    let key = Key::new(RecordKind::Snapshot, name);
    write_as_known(view, key, &record, batch)?;
    Ok(())
}

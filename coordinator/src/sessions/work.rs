//! What came of a work on a volume: recorded once, or told and tried again.

use berth_core::{
    ids::{HostName, MemberId, ObjectKey},
    spec::Kind,
    state::{Snapshot, Volume},
    store::{Batch, Key, RecordKind},
    time::Timestamp,
    volume::{
        transfer::TRIES,
        work::{self, After, SnapshotChange, VolumeDone, VolumeTask},
    },
};
use berth_proto::convert::work::Numbered;

use crate::{
    context::Context,
    moving,
    notes::{self, NORMAL, WARNING},
    state::{View, claims::write_as_known},
    store::{RecordError, StoreError},
    volume_work,
};

/// Takes an answer of an agent in. One that says nothing new changes nothing.
///
/// # Errors
/// If the store is closed.
pub(super) async fn take(
    context: &Context,
    host: &HostName,
    stream: u64,
    done: Numbered<VolumeDone>,
) -> Result<(), StoreError> {
    // A snapshot that failed is over; everything else is tried again.
    let over = matches!(done.of.task, VolumeTask::Snapshot { .. });
    if let Some(error) = done.of.error.as_ref().filter(|_| !over) {
        // What was asked for before the last decision is not asked for any more.
        if is_asked(&context.view.read(), host, &done) {
            failed(context, host, stream, &done, error);
            return give_up(context, &done, error).await;
        }
        return Ok(());
    }
    let decide = |view: &View| {
        let batch = prepare(view, host, &done, context.clock.now());
        Ok(recordable(batch, &done.of.volume))
    };
    context.settle(decide).await
}

/// What can be recorded of an answer; what cannot is logged, and asked for again.
fn recordable(batch: Result<Option<Batch>, RecordError>, volume: &ObjectKey) -> Batch {
    let batch = batch.unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::error!(%volume, error, "what came of a work cannot be recorded");
        None
    });
    batch.unwrap_or_default()
}

/// The volume that an answer is about, if it answers what is to be done now and the agent speaks
/// for it. A volume that has grown has, also if that is not asked for any more.
fn answered<'a>(
    view: &'a View,
    host: &HostName,
    done: &Numbered<VolumeDone>,
) -> Option<&'a Volume> {
    let name = &done.of.volume;
    let volume = view.state.volumes.get(name)?;
    let own = volume.source.host().is_none_or(|at| at == host);
    let grown = matches!(done.of.task, VolumeTask::Grow { .. }) && done.of.error.is_none();
    (own && (grown || volume_work::number(view, name, volume) == done.id)).then_some(volume)
}

/// The snapshot that an answer is about, on the same terms.
fn snapshot_answered<'a>(
    view: &'a View,
    host: &HostName,
    done: &Numbered<VolumeDone>,
) -> Option<&'a Snapshot> {
    let name = &done.of.volume;
    let snapshot = view.state.snapshots.get(name)?;
    let own = snapshot.source.host() == Some(host);
    (own && volume_work::snapshot_number(view, name) == Some(done.id)).then_some(snapshot)
}

fn is_asked(view: &View, host: &HostName, done: &Numbered<VolumeDone>) -> bool {
    answered(view, host, done).is_some() || snapshot_answered(view, host, done).is_some()
}

fn prepare(
    view: &View,
    host: &HostName,
    done: &Numbered<VolumeDone>,
    now: Timestamp,
) -> Result<Option<Batch>, RecordError> {
    let name = &done.of.volume;
    if let Some(snapshot) = snapshot_answered(view, host, done) {
        return snapshot_batch(view, host, snapshot, done, now);
    }
    let after =
        answered(view, host, done).and_then(|volume| volume_work::done(volume, done.of.task, now));
    let Some((after, reason, text)) = after else {
        return Ok(None);
    };
    let mut batch = Batch::default();
    let key = Key::new(RecordKind::Volume, name.clone());
    match after {
        After::Is(after) => {
            write_as_known(view, key, after.as_ref(), &mut batch)?;
            if let VolumeTask::Populate { .. } = done.of.task
                && let Some((claim, filled)) = work::populated(&view.state, &after)
            {
                let key = Key::new(RecordKind::Claim, claim);
                write_as_known(view, key, &filled, &mut batch)?;
            }
        }
        After::Gone => {
            batch.preconditions.insert(key.clone(), view.as_known(&key));
            batch.deletes.insert(key);
            batch
                .deletes
                .insert(Key::new(RecordKind::FormerClaim, name.clone()));
        }
    }
    batch.notes.push(note(name, now, NORMAL, reason, text));
    Ok(Some(batch))
}

/// What an answer about a snapshot writes.
fn snapshot_batch(
    view: &View,
    host: &HostName,
    snapshot: &Snapshot,
    done: &Numbered<VolumeDone>,
    now: Timestamp,
) -> Result<Option<Batch>, RecordError> {
    let name = &done.of.volume;
    let error = done.of.error.as_deref();
    let Some(after) = work::snapshot_done(snapshot, done.of.task, error, now) else {
        return Ok(None);
    };
    let mut batch = Batch::default();
    let key = Key::new(RecordKind::Snapshot, name.clone());
    let (level, reason, text) = match (&after, error) {
        (SnapshotChange::Gone, _) => (NORMAL, "Removed", "its data is gone".to_owned()),
        (SnapshotChange::Is(_), None) => (NORMAL, "Ready", "it is complete".to_owned()),
        (SnapshotChange::Is(_), Some(error)) => (
            WARNING,
            "SnapshotFailed",
            format!("{host} cannot take it: {error}; delete it and make it again"),
        ),
    };
    match after {
        SnapshotChange::Is(after) => write_as_known(view, key, &after, &mut batch)?,
        SnapshotChange::Gone => {
            batch.preconditions.insert(key.clone(), view.as_known(&key));
            batch.deletes.insert(key);
        }
    }
    let kind = Kind::VolumeSnapshot;
    let note = notes::object(now, kind, &snapshot.of, level, reason, text);
    batch.notes.push(note);
    Ok(Some(batch))
}

/// Gives up to move data that could not be copied so often: its member is down all the while.
async fn give_up(
    context: &Context,
    done: &Numbered<VolumeDone>,
    error: &str,
) -> Result<(), StoreError> {
    let VolumeTask::Receive { .. } = done.of.task else {
        return Ok(());
    };
    let volume = &done.of.volume;
    if context.sessions.work_failures().times(volume) < TRIES {
        return Ok(());
    }
    let why = format!("its data could not be copied {TRIES} times: {error}");
    let decide = |view: &View| {
        // Of no member, or ended otherwise: then nothing is given up.
        let batch = moved(view, volume)
            .map(|member| moving::give_up(view, &member, &why, context.clock.now()));
        let batch = batch.transpose().map(|batch| batch.and_then(Result::ok));
        Ok(recordable(batch, volume))
    };
    context.settle(decide).await
}

/// The member whose data a volume is to hold.
fn moved(view: &View, volume: &ObjectKey) -> Option<MemberId> {
    let record = view.state.volumes.get(volume)?;
    let claim = &record.claim.as_ref()?.key;
    view.state.claims.get(claim)?.member.clone()
}

fn failed(
    context: &Context,
    host: &HostName,
    stream: u64,
    done: &Numbered<VolumeDone>,
    error: &str,
) {
    let now = context.clock.now();
    let work = (&done.of.volume, done.id);
    let sessions = &context.sessions;
    if sessions.work_failed(work, (host, stream), now, error) {
        let doing = done.of.task.describe();
        let text = format!("{host} cannot {doing}: {error}; it is tried again");
        let event = note(&done.of.volume, now, WARNING, "VolumeWorkFailed", text);
        context.note(vec![event]);
    }
    // So that the loop knows when to try again.
    context.trigger.fire();
}

fn note(
    name: &ObjectKey,
    now: Timestamp,
    level: berth_core::store::NoteKind,
    reason: &str,
    text: String,
) -> berth_core::store::Note {
    notes::object(now, Kind::PersistentVolume, name, level, reason, text)
}

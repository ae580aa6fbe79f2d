//! What came of a work on a volume: recorded once, or told and tried again.

use berth_core::{
    ids::{HostName, ObjectKey},
    state::Volume,
    store::{Batch, CommitError, Key, RecordKind},
    time::Timestamp,
    volume::work::{After, VolumeDone},
};
use berth_proto::convert::work::Numbered;

use crate::{
    context::Context,
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
    if let Some(error) = &done.of.error {
        // What was asked for before the last decision is not asked for any more.
        let asked = answered(&context.view.read(), host, &done).is_some();
        if asked {
            failed(context, host, stream, &done, error);
        }
        return Ok(());
    }
    loop {
        let batch = match prepare(&context.view.read(), host, &done, context.clock.now()) {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok(()),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(%host, error, "what came of a work cannot be recorded");
                return Ok(());
            }
        };
        match context.store.commit(batch).await {
            Ok(_) => {
                context.trigger.fire();
                return Ok(());
            }
            Err(StoreError::Refused(CommitError::Conflict { .. })) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The volume that an answer is about, if it answers what is to be done now and the agent speaks
/// for it.
fn answered<'a>(
    view: &'a View,
    host: &HostName,
    done: &Numbered<VolumeDone>,
) -> Option<&'a Volume> {
    let name = &done.of.volume;
    let volume = view.state.volumes.get(name)?;
    let own = volume.source.host().is_none_or(|at| at == host);
    (own && volume_work::number(view, name, volume) == done.id).then_some(volume)
}

fn prepare(
    view: &View,
    host: &HostName,
    done: &Numbered<VolumeDone>,
    now: Timestamp,
) -> Result<Option<Batch>, RecordError> {
    let name = &done.of.volume;
    let after =
        answered(view, host, done).and_then(|volume| volume_work::done(volume, done.of.task, now));
    let Some((after, reason, text)) = after else {
        return Ok(None);
    };
    let mut batch = Batch::default();
    let key = Key::new(RecordKind::Volume, name.clone());
    match after {
        After::Is(after) => write_as_known(view, key, after.as_ref(), &mut batch)?,
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
    let kind = berth_core::spec::Kind::PersistentVolume;
    notes::object(now, kind, name, level, reason, text)
}

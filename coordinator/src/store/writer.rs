//! The one thread that writes.

use std::sync::{Arc, RwLock};

use berth_core::store::{Batch, Change, Commit, Model, Value, model::watched};
use redb::{Database, WriteTransaction};
use tokio::sync::{mpsc, oneshot, watch as notify};

use super::{
    Fatal, Observer, StoreError,
    load::begin,
    lock,
    room::Room,
    sealing,
    tables::{EVENTS, HISTORY, META, RECORDS, meta},
};
use crate::secrets::Keyring;

/// The most batches of one transaction: past this, waiting for the fsync gains nothing.
const GROUP: usize = 512;

/// A batch and who waits for it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) batch: Batch,
    pub(super) reply: Option<oneshot::Sender<Result<Commit, StoreError>>>,
}

type Judged = (
    Option<oneshot::Sender<Result<Commit, StoreError>>>,
    Result<Commit, StoreError>,
);

/// What the thread owns.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) model: Arc<RwLock<Model>>,
    pub(super) keys: Arc<Keyring>,
    pub(super) queue: mpsc::Receiver<Request>,
    pub(super) published: notify::Sender<()>,
    pub(super) observer: Observer,
    pub(super) room: Room,
}

impl Writer {
    /// Runs until the last handle is gone, or the disk failed.
    pub(super) fn run(mut self, fatal: Fatal) {
        while let Some(first) = self.queue.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP {
                match self.queue.try_recv() {
                    Ok(request) => group.push(request),
                    Err(_) => break,
                }
            }
            if let Err(error) = self.commit(group) {
                fatal(&error);
                return;
            }
        }
    }

    /// Nobody is answered if it fails: what the disk has is not known then.
    fn commit(&self, group: Vec<Request>) -> Result<(), StoreError> {
        let mut judged = self.judge(group);
        if judged.iter().any(writes) {
            self.refuse_without_room(&mut judged);
        }
        let done: Vec<&Commit> = judged.iter().filter_map(|(_, r)| r.as_ref().ok()).collect();
        if judged.iter().any(writes) {
            self.write(&done)?;
        }
        self.publish(&done);
        for (reply, result) in judged {
            if let Some(reply) = reply {
                // The caller may have gone; the commit stands.
                reply.send(result).ok();
            } else if let Err(error) = result {
                tracing::warn!(%error, "events are dropped");
            }
        }
        Ok(())
    }

    fn judge(&self, group: Vec<Request>) -> Vec<Judged> {
        let model = lock(self.model.read());
        let mut staging = model.stage();
        let mut judge = |request: Request| {
            let result = staging.commit(request.batch);
            (request.reply, result.map_err(StoreError::Refused))
        };
        group.into_iter().map(&mut judge).collect()
    }

    /// What was judged after one that is refused now may be refused for its sake: whoever asked tries
    /// again.
    fn refuse_without_room(&self, judged: &mut [Judged]) {
        for judgement in judged.iter_mut().filter(|judgement| writes(judgement)) {
            match self.room.lacking() {
                Some(full) => judgement.1 = Err(full),
                None => return,
            }
        }
    }

    fn publish(&self, done: &[&Commit]) {
        for commit in done {
            (self.observer)(commit);
        }
        {
            let mut model = lock(self.model.write());
            for commit in done {
                model.publish(commit);
            }
        }
        self.published.send_replace(());
    }

    fn write(&self, done: &[&Commit]) -> Result<(), StoreError> {
        let transaction = begin(&self.database)?;
        for commit in done {
            write_records(&transaction, commit, &self.keys)?;
            write_events(&transaction, commit)?;
        }
        self.trim(&transaction, done)?;
        transaction.commit().map_err(redb::Error::from)?;
        Ok(())
    }

    /// Removes what the model will have forgotten after these commits, and notes where the history
    /// begins.
    fn trim(&self, transaction: &WriteTransaction, done: &[&Commit]) -> Result<(), redb::Error> {
        let past = lock(self.model.read()).past_after(done);
        let mut history = transaction.open_table(HISTORY)?;
        history.retain_in(..=(past.oldest.0, u32::MAX), |_, _| false)?;
        let mut events = transaction.open_table(EVENTS)?;
        events.retain_in(..past.first_event, |_, _| false)?;
        let mut table = transaction.open_table(META)?;
        table.insert(meta::OLDEST, past.oldest.to_string().as_str())?;
        if let Some(last) = done.last() {
            table.insert(meta::REVISION, last.revision.to_string().as_str())?;
        }
        Ok(())
    }
}

/// Whether something is to be written for it.
fn writes((_, result): &Judged) -> bool {
    let some = |commit: &Commit| !commit.changes.is_empty() || !commit.events.is_empty();
    result.as_ref().is_ok_and(some)
}

fn write_records(
    transaction: &WriteTransaction,
    commit: &Commit,
    keys: &Keyring,
) -> Result<(), StoreError> {
    let sealed = |change: &Change| -> Result<Option<Value>, StoreError> {
        let value = change.value.as_ref();
        let sealed = value.map(|value| sealing::seal(keys, &change.key, value));
        sealed
            .transpose()
            .map_err(|why| StoreError::sealed(&change.key, why))
    };
    let mut records = transaction.open_table(RECORDS).map_err(redb::Error::from)?;
    for change in &commit.changes {
        let key = change.key.to_string();
        let done = match sealed(change)? {
            Some(value) => records
                .insert(key.as_str(), (commit.revision.0, &*value))
                .map(drop),
            None => records.remove(key.as_str()).map(drop),
        };
        done.map_err(redb::Error::from)?;
    }
    let mut history = transaction.open_table(HISTORY).map_err(redb::Error::from)?;
    for (index, change) in (0..).zip(watched(&commit.changes)) {
        let (key, value) = (change.key.to_string(), sealed(change)?);
        let row = (key.as_str(), change.created, value.as_deref());
        history
            .insert((commit.revision.0, index), row)
            .map_err(redb::Error::from)?;
    }
    Ok(())
}

fn write_events(transaction: &WriteTransaction, commit: &Commit) -> Result<(), StoreError> {
    let mut events = transaction.open_table(EVENTS).map_err(redb::Error::from)?;
    for event in &commit.events {
        let text = serde_json::to_vec(event).map_err(|why| StoreError::Corrupt {
            table: "events",
            key: event.sequence.to_string(),
            why: why.to_string(),
        })?;
        events
            .insert(event.sequence, text.as_slice())
            .map_err(redb::Error::from)?;
    }
    Ok(())
}

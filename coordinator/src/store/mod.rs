//! The store on redb: what the coordinator must not forget. The only place that names redb.
//!
//! What is durable, and why:
//!
//! | table | key | value | written by | why it is kept |
//! |---|---|---|---|---|
//! | `records` | `<kind>/<namespace>/<name>` | revision, versioned JSON | each commit | objects as operators wrote them, and the decisions about them: an acknowledged change survives, an epoch is never granted twice, an order is recorded before it is sent |
//! | `history` | revision, index | key, created, value if not removed | each commit that changes an object, a claim or a volume | a watch goes on after a restart without a gap |
//! | `events` | sequence | JSON | each commit with notes | what happened, and when, is there after a restart |
//! | `meta` | name | text | open, and each commit | format, cluster id, history id and term as they are before [`HistoryRecord`](crate::state::records::HistoryRecord) says otherwise (the term is raised at every open), revision, where the history begins |
//!
//! Values that may hold secrets are sealed in `records` and `history` ([`sealing`]).
//!
//! What agents report is not kept: they report it again. What follows from records (orders, the
//! zone's records) is not kept either; only the heads under which it was sent.
//!
//! One thread writes. It takes all batches that have arrived, judges them one after another
//! ([`Staging`](berth_core::store::Staging)), writes them in one transaction, and answers and
//! publishes only after the fsync. Each transaction is synced twice, before it counts and after: so
//! after a power cut too, a bit that the disk turned over is noticed and no acknowledged change is
//! silently rolled back (but for the one byte at the beginning of the file that says which of the last
//! two transactions counts: nothing checks it). If the write or the fsync fails, what is on disk is not known
//! any more, so the process ends: the next start reads what the disk really has.

pub mod backup;
mod load;
mod record;
mod room;
mod sealing;
mod tables;
mod watch;
mod writer;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, RwLock, RwLockReadGuard},
    thread::JoinHandle,
};

use berth_core::{
    ids::{HistoryId, Term},
    store::{Batch, Commit, CommitError, Keep, Key, Model, Note},
};
use redb::Database;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch as notify};

use crate::secrets::{KeyError, KeySource, Keyring};

pub use record::{RecordError, decode, encode};
pub use sealing::SealError;
pub use watch::{EventWatch, Watch, WatchEnd};

/// What of the past is kept: enough for a client that was away for minutes of busy changes.
pub const KEEP: Keep = Keep {
    commits: 4_096,
    events: 10_000,
};

/// The store's file, in the data directory.
pub const FILE: &str = "store.redb";

/// redb's page cache. Its own default is 1 GiB; all records are in memory anyway.
const CACHE_BYTES: usize = 64 << 20;

/// Batches that may wait for the writer; further callers wait before they enter.
const QUEUE: usize = 1_024;

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file cannot be opened; the source says whether another process has it.
    #[error("cannot open the store {path}; check the directory and that no coordinator runs on it")]
    Open {
        /// The file.
        path: PathBuf,
        /// What redb said.
        #[source]
        source: redb::Error,
    },
    /// The file is no store, or not any more.
    #[error(
        "the store {path} is damaged; restore a backup with 'berth-coordinator restore FILE \
         --replace', or, if no coordinator ever started with it, remove it and start anew"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What redb said.
        #[source]
        source: redb::Error,
    },
    /// The directory cannot be made, or the file's mode cannot be set.
    #[error("cannot prepare {path}; check its owner and mode")]
    Prepare {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Reading or writing failed.
    #[error("the store's disk failed; look at the system's log, then start again")]
    Disk(#[from] redb::Error),
    /// Its checksums are not those of what it holds.
    #[error("the store is not what was written: the disk lost or changed a part; restore a backup")]
    Damaged,
    /// Something in it is not what was written.
    #[error("{table} '{key}' in the store cannot be read ({why}); restore a backup")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The entry.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// The keys for secrets cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A secret in it cannot be opened, or sealed.
    #[error("{what} cannot be opened")]
    Sealed {
        /// What of it.
        what: String,
        /// Why not.
        #[source]
        source: SealError,
    },
    /// Written by a newer release.
    #[error(
        "the store has format {found}, this release reads up to {known}; install the newer one"
    )]
    Format {
        /// The format found.
        found: String,
        /// The newest known.
        known: u32,
    },
    /// So little room is left on its disk that writing might fail half-way. Nothing was written.
    #[error(
        "the disk of the store has {} MiB left and needs {}; nothing was changed: make room in the \
         coordinator's dataDir and try again", free >> 20, room::RESERVE >> 20
    )]
    Full {
        /// Bytes left.
        free: u64,
    },
    /// The writer has ended.
    #[error("the store is closed; the coordinator is ending")]
    Closed,
    /// A batch was refused.
    #[error(transparent)]
    Refused(#[from] CommitError),
}

/// Called by the writer for each commit after the fsync, in order, before anyone is answered.
pub type Observer = Box<dyn Fn(&Commit) + Send>;
/// Called by the writer when the disk failed. In production it ends the process.
pub type Fatal = Box<dyn FnOnce(&StoreError) + Send>;

/// A store that was read and does not write yet.
#[derive(Debug)]
pub struct Opened {
    database: Database,
    model: Model,
    keys: Arc<Keyring>,
    room: room::Room,
    /// What the open found and changed beside the records.
    pub entered: Entered,
}

/// What a store has beside its records. Which history and which term are in force follows from this
/// and from the history's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// How often the store was opened, raised durably by this open.
    pub term: Term,
    /// The history that the store was made with.
    pub history: HistoryId,
    /// The cluster that it is of.
    pub cluster: String,
}

impl Opened {
    /// The records, history and events as they are on disk.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Starts the writer. The handle it returns ends after the last [`Store`] is dropped; then the
    /// file is free again.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(
        self,
        observer: Observer,
        fatal: Fatal,
    ) -> Result<(Store, JoinHandle<()>), io::Error> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let (published, watchers) = notify::channel(());
        let model = Arc::new(RwLock::new(self.model));
        let writer = writer::Writer {
            database: self.database,
            model: Arc::clone(&model),
            keys: Arc::clone(&self.keys),
            queue,
            published,
            observer,
            room: self.room,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run(fatal))?;
        let store = Store {
            entered: Arc::new(self.entered),
            keys: self.keys,
            requests,
            model,
            watchers,
        };
        Ok((store, thread))
    }
}

/// Opens the store in a file that is made if it is missing, and raises the term. Secrets in it are
/// sealed with the newest key from then on.
///
/// # Errors
/// If the file cannot be opened, read or written, or the keys are not those for it.
pub fn open(path: &Path, keep: Keep, keys: &KeySource) -> Result<Opened, StoreError> {
    load::prepare(path)?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let database = builder.create(path);
    let database = database.map_err(|source| StoreError::open(path, source.into()))?;
    let database = load::verified(database)?;
    let (database, keys) = sealing::renewed(database, path, keys)?;
    let mut opened = load::load(database, keep, keys)?;
    opened.room = room::Room::around(path);
    Ok(opened)
}

impl StoreError {
    /// Why a record cannot be opened or sealed.
    fn sealed(key: &Key, source: SealError) -> Self {
        Self::Sealed {
            what: format!("record '{key}'"),
            source,
        }
    }

    /// Why a file cannot be opened.
    fn open(path: &Path, source: redb::Error) -> Self {
        let path = path.to_owned();
        let foreign = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            )
        };
        let damaged = matches!(
            &source,
            redb::Error::Corrupted(_) | redb::Error::RepairAborted
        );
        let foreign = matches!(&source, redb::Error::Io(error) if foreign(error));
        if damaged || foreign {
            Self::Unreadable { path, source }
        } else {
            Self::Open { path, source }
        }
    }
}

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    entered: Arc<Entered>,
    keys: Arc<Keyring>,
    requests: mpsc::Sender<writer::Request>,
    model: Arc<RwLock<Model>>,
    watchers: notify::Receiver<()>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Commits a batch; returns once it is on disk and visible.
    ///
    /// # Errors
    /// Why it was refused, or that the store is closed: then whether it was done is not known.
    pub async fn commit(&self, batch: Batch) -> Result<Commit, StoreError> {
        let (reply, answer) = oneshot::channel();
        let request = writer::Request {
            batch,
            reply: Some(reply),
        };
        if self.requests.send(request).await.is_err() {
            return Err(StoreError::Closed);
        }
        match answer.await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// Writes events down without waiting. If the queue is full they are dropped: what they tell
    /// of is in the records anyway.
    pub fn note(&self, notes: Vec<Note>) {
        if notes.is_empty() {
            return;
        }
        let batch = Batch {
            notes,
            ..Batch::default()
        };
        let request = writer::Request { batch, reply: None };
        if self.requests.try_send(request).is_err() {
            tracing::warn!("events are dropped: the store's queue is full or closed");
        }
    }

    /// The committed records, history and events. Do not hold it: the writer waits for it.
    pub fn read(&self) -> RwLockReadGuard<'_, Model> {
        lock(self.model.read())
    }
}

/// The content of a lock whose holder panicked is still right here: the writer changes the model
/// by infallible steps only.
fn lock<T>(result: Result<T, std::sync::PoisonError<T>>) -> T {
    result.unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;

//! The contract of the store, and a model of it that is nothing but values.
//!
//! Whatever keeps the coordinator's records (redb on one machine, etcd later) must behave as
//! [`Model`] does: a batch is committed whole or not at all, its preconditions are revisions of
//! single records, one global revision grows with every commit, and a watch from a revision misses
//! nothing or is told that the history does not reach back so far. The production store drives
//! the model as its memory image, and a property test holds what is on disk against it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{ids::Revision, time::Timestamp};

pub mod backup;
pub mod key;
pub mod model;

pub use key::{Key, RecordKind};
pub use model::{Changed, Entry, Keep, Model, Past, Staging};

/// The most puts and deletes of one batch together.
pub const MAX_WRITES: usize = 100;
/// The most preconditions of one batch.
pub const MAX_PRECONDITIONS: usize = 100;
/// The most bytes of one batch, keys and values together.
pub const MAX_BYTES: usize = 1 << 20;

/// The encoded form of a record. The store does not look into it.
pub type Value = Arc<[u8]>;

/// Writes that are done together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// What must be true of records, written or not.
    pub preconditions: BTreeMap<Key, Precondition>,
    /// Records to write.
    pub puts: BTreeMap<Key, Value>,
    /// Records to remove; one that does not exist is no error.
    pub deletes: BTreeSet<Key>,
    /// Events to write down with it.
    pub notes: Vec<Note>,
}

impl Batch {
    /// How many records it writes.
    pub fn writes(&self) -> usize {
        self.puts.len() + self.deletes.len()
    }

    /// How many bytes it writes, keys included.
    pub fn bytes(&self) -> usize {
        let puts = self.puts.iter().map(|(key, value)| key.len() + value.len());
        puts.chain(self.deletes.iter().map(Key::len)).sum()
    }

    /// Whether it would change nothing at all.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.deletes.is_empty() && self.notes.is_empty()
    }
}

/// What must be true of one record for a batch to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precondition {
    /// It does not exist.
    Absent,
    /// It was last changed at this revision.
    At(Revision),
    /// It exists, whatever its revision.
    Any,
}

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::At(revision) => write!(f, "at revision {revision}"),
            Self::Any => f.write_str("present"),
        }
    }
}

/// Why a batch was not committed. Nothing of it was done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommitError {
    /// A record is not as the batch requires.
    #[error(
        "{key} was expected {expected} and is {}; read it again and retry", found_text(*found)
    )]
    Conflict {
        /// The record.
        key: Key,
        /// What the batch requires.
        expected: Precondition,
        /// Its revision, if it exists.
        found: Option<Revision>,
    },
    /// More writes or preconditions than one batch may have.
    #[error(
        "a commit of {writes} writes and {preconditions} preconditions is over the limit of \
         {MAX_WRITES}; split it"
    )]
    TooMany {
        /// Puts and deletes.
        writes: usize,
        /// Preconditions.
        preconditions: usize,
    },
    /// More bytes than one batch may have.
    #[error("a commit of {bytes} bytes is over the limit of {MAX_BYTES}; split or shorten it")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// One record is both written and removed.
    #[error("{key} is both written and removed by one commit; do one of the two")]
    Contradiction {
        /// The record.
        key: Key,
    },
}

fn found_text(found: Option<Revision>) -> String {
    found.map_or_else(
        || "absent".to_owned(),
        |revision| format!("at revision {revision}"),
    )
}

/// A committed batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The global revision after it. Equal to the one before if no record changed.
    pub revision: Revision,
    /// What changed, in key order.
    pub changes: Vec<Change>,
    /// The events that were written down with it, numbered.
    pub events: Vec<Event>,
}

/// The change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The record.
    pub key: Key,
    /// Its value after the change; `None` if it was removed.
    pub value: Option<Value>,
    /// Whether it did not exist before.
    pub created: bool,
}

/// An event before it has a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// When it happened, on the coordinator's wall clock.
    pub time: Timestamp,
    /// The namespace of its subject; empty for hosts.
    pub namespace: String,
    /// What it is about: `StatefulSet/etcd`, `Member/etcd-0`, `Host/host-1`.
    pub subject: String,
    /// Normal, or a person should look.
    #[serde(rename = "type")]
    pub kind: NoteKind,
    /// One word in camel case: `Started`, `HostLost`.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// How much attention an event needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NoteKind {
    /// None: it says what was done.
    Normal,
    /// Something is held up, was lost or was refused.
    Warning,
}

impl NoteKind {
    /// The word of Kubernetes for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// An event with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one with every event of a store.
    pub sequence: u64,
    /// What happened.
    #[serde(flatten)]
    pub note: Note,
}

/// Why a watch cannot go on from a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the history does not hold revision {asked}: it reaches from {oldest} to {current}; list the \
     objects, then watch from the list's revision"
)]
pub struct HistoryGap {
    /// After which revision changes were asked for.
    pub asked: Revision,
    /// The oldest revision after which all changes are known.
    pub oldest: Revision,
    /// The current one.
    pub current: Revision,
}

//! The tables of redb, as the head of [`super`] lists them.

use redb::TableDefinition;

/// The newest format that this release reads, and the one that it writes. In the first, values of
/// Secrets were plain.
pub(super) const FORMAT: u32 = 2;

/// Key to revision and value.
pub(super) const RECORDS: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("records");

/// A change in the history: key, whether it was created, value unless it was removed.
pub(super) type HistoryRow = (&'static str, bool, Option<&'static [u8]>);
/// Revision and index within it to a change.
pub(super) const HISTORY: TableDefinition<'_, (u64, u32), HistoryRow> =
    TableDefinition::new("history");

/// Sequence to event.
pub(super) const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");

/// Name to text.
pub(super) const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");

/// Names in [`META`].
pub(super) mod meta {
    /// Format of the tables.
    pub(in crate::store) const FORMAT: &str = "format";
    /// Names the history; made once.
    pub(in crate::store) const HISTORY: &str = "history";
    /// Names the cluster; made once, and kept by backups.
    pub(in crate::store) const CLUSTER: &str = "cluster";
    /// The key that every value is sealed with that is to be sealed.
    pub(in crate::store) const SEALED: &str = "sealed";
    /// Raised at every open.
    pub(in crate::store) const TERM: &str = "term";
    /// The revision of the last change.
    pub(in crate::store) const REVISION: &str = "revision";
    /// All changes after this revision are in the history.
    pub(in crate::store) const OLDEST: &str = "oldest";
}

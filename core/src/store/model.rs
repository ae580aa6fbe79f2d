//! The store as values: what records there are, what changed lately, and which batches may be
//! committed.
//!
//! Committing has two halves so that a store on disk can put its fsync between them: a [`Staging`]
//! judges batches one after another, each against the outcome of those before it, without touching
//! the model; [`Model::publish`] then makes a commit visible.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::{
    Batch, Change, Commit, CommitError, Event, HistoryGap, Key, MAX_BYTES, MAX_PRECONDITIONS,
    MAX_WRITES, Note, Precondition, RecordKind, Value,
};
use crate::ids::Revision;

/// What one commit changed, of what can be watched.
pub type Changed = (Revision, Arc<[Change]>);

/// A record and the revision that changed it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it changed last.
    pub revision: Revision,
    /// Its value.
    pub value: Value,
}

/// All records, the last changes of those that can be watched, and the last events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    revision: Revision,
    records: BTreeMap<Key, Entry>,
    history: VecDeque<Changed>,
    /// All changes after this revision are in the history.
    oldest: Revision,
    events: VecDeque<Event>,
    next_event: u64,
    keep: Keep,
}

/// Where the past that is kept begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// All changes after this revision are kept.
    pub oldest: Revision,
    /// Events before this number are not kept.
    pub first_event: u64,
}

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Commits in the history.
    pub commits: usize,
    /// Events.
    pub events: usize,
}

impl Model {
    /// An empty store.
    pub fn new(keep: Keep) -> Self {
        Self {
            revision: Revision(0),
            records: BTreeMap::new(),
            history: VecDeque::new(),
            oldest: Revision(0),
            events: VecDeque::new(),
            next_event: 1,
            keep,
        }
    }

    /// A store as it was kept: its records, what of the past was kept, and where the past begins.
    pub fn restore(
        keep: Keep,
        revision: Revision,
        oldest: Revision,
        records: BTreeMap<Key, Entry>,
        history: Vec<(Revision, Vec<Change>)>,
        events: Vec<Event>,
    ) -> Self {
        let next_event = events.last().map_or(1, |event| event.sequence + 1);
        let mut model = Self {
            revision,
            records,
            history: history
                .into_iter()
                .map(|(revision, changes)| (revision, changes.into()))
                .collect(),
            oldest,
            events: events.into(),
            next_event,
            keep,
        };
        model.forget();
        model
    }

    /// The revision of the last change of any record.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// All changes after this revision are in the history.
    pub fn oldest(&self) -> Revision {
        self.oldest
    }

    /// One record.
    pub fn get(&self, key: &Key) -> Option<&Entry> {
        self.records.get(key)
    }

    /// All records in key order.
    pub fn records(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.records.iter()
    }

    /// The records of one kind in key order.
    pub fn list(&self, kind: RecordKind) -> impl Iterator<Item = (&Key, &Entry)> {
        self.records.iter().filter(move |(key, _)| key.kind == kind)
    }

    /// The last events, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter()
    }

    /// What changed after a revision, commit by commit.
    ///
    /// # Errors
    /// If the history does not reach back so far, or the revision was never reached.
    pub fn changes_after(&self, after: Revision) -> Result<Vec<Changed>, HistoryGap> {
        if after < self.oldest || after > self.revision {
            return Err(HistoryGap {
                asked: after,
                oldest: self.oldest,
                current: self.revision,
            });
        }
        let first = self.history.partition_point(|(at, _)| *at <= after);
        Ok(self.history.range(first..).cloned().collect())
    }

    /// Begins to judge batches.
    pub fn stage(&self) -> Staging<'_> {
        Staging {
            model: self,
            changed: BTreeMap::new(),
            revision: self.revision,
            next_event: self.next_event,
        }
    }

    /// Makes a staged commit visible. Commits must come in the order in which they were staged.
    pub fn publish(&mut self, commit: &Commit) {
        for change in &commit.changes {
            match &change.value {
                Some(value) => {
                    let entry = Entry {
                        revision: commit.revision,
                        value: Arc::clone(value),
                    };
                    self.records.insert(change.key.clone(), entry);
                }
                None => {
                    self.records.remove(&change.key);
                }
            }
        }
        self.revision = commit.revision;
        let watched: Vec<Change> = watched(&commit.changes).cloned().collect();
        if !watched.is_empty() {
            self.history.push_back((commit.revision, watched.into()));
        }
        if let Some(last) = commit.events.last() {
            self.next_event = last.sequence + 1;
        }
        self.events.extend(commit.events.iter().cloned());
        self.forget();
    }

    /// Judges a batch and makes it visible at once.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn commit(&mut self, batch: Batch) -> Result<Commit, CommitError> {
        let commit = self.stage().commit(batch)?;
        self.publish(&commit);
        Ok(commit)
    }

    /// Where the past will begin once these commits are published.
    pub fn past_after(&self, commits: &[&Commit]) -> Past {
        let watchable = |commit: &&&Commit| watched(&commit.changes).next().is_some();
        let new = commits
            .iter()
            .filter(watchable)
            .map(|commit| commit.revision);
        let known = self.history.iter().map(|(revision, _)| *revision);
        let total = self.history.len() + new.clone().count();
        let dropped = total.saturating_sub(self.keep.commits);
        let oldest = known.chain(new).take(dropped).last();
        let events = commits.iter().flat_map(|commit| &commit.events);
        let next_event = events
            .last()
            .map_or(self.next_event, |event| event.sequence + 1);
        let keep = u64::try_from(self.keep.events).unwrap_or(u64::MAX);
        Past {
            oldest: oldest.unwrap_or(self.oldest),
            first_event: next_event.saturating_sub(keep),
        }
    }

    fn forget(&mut self) {
        while self.history.len() > self.keep.commits {
            if let Some((revision, _)) = self.history.pop_front() {
                self.oldest = revision;
            }
        }
        while self.events.len() > self.keep.events {
            self.events.pop_front();
        }
    }
}

/// The changes that the history keeps.
pub fn watched(changes: &[Change]) -> impl Iterator<Item = &Change> {
    changes.iter().filter(|change| change.key.kind.watched())
}

/// Judges batches against a model and those judged before, without touching the model.
#[derive(Debug)]
pub struct Staging<'a> {
    model: &'a Model,
    /// Records that batches judged before have changed: their revision, if they exist.
    changed: BTreeMap<Key, Option<Revision>>,
    revision: Revision,
    next_event: u64,
}

impl Staging<'_> {
    /// Judges one batch.
    ///
    /// # Errors
    /// Why it was refused; the ones after it are judged as if it had never been.
    pub fn commit(&mut self, batch: Batch) -> Result<Commit, CommitError> {
        check_limits(&batch)?;
        self.check_preconditions(&batch)?;
        let changes = self.changes(&batch);
        if !changes.is_empty() {
            self.revision = self.revision.next();
        }
        for change in &changes {
            let revision = change.value.as_ref().map(|_| self.revision);
            self.changed.insert(change.key.clone(), revision);
        }
        Ok(Commit {
            revision: self.revision,
            changes,
            events: batch
                .notes
                .into_iter()
                .map(|note| self.number(note))
                .collect(),
        })
    }

    fn found(&self, key: &Key) -> Option<Revision> {
        match self.changed.get(key) {
            Some(revision) => *revision,
            None => self.model.records.get(key).map(|entry| entry.revision),
        }
    }

    fn check_preconditions(&self, batch: &Batch) -> Result<(), CommitError> {
        for (key, expected) in &batch.preconditions {
            let found = self.found(key);
            let holds = match expected {
                Precondition::Absent => found.is_none(),
                Precondition::At(revision) => found == Some(*revision),
                Precondition::Any => found.is_some(),
            };
            if !holds {
                return Err(CommitError::Conflict {
                    key: key.clone(),
                    expected: *expected,
                    found,
                });
            }
        }
        Ok(())
    }

    fn changes(&self, batch: &Batch) -> Vec<Change> {
        let puts = batch.puts.iter().map(|(key, value)| Change {
            key: key.clone(),
            value: Some(Arc::clone(value)),
            created: self.found(key).is_none(),
        });
        let gone = batch.deletes.iter().filter(|key| self.found(key).is_some());
        let deletes = gone.map(|key| Change {
            key: key.clone(),
            value: None,
            created: false,
        });
        let mut changes: Vec<Change> = puts.chain(deletes).collect();
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        changes
    }

    fn number(&mut self, note: Note) -> Event {
        let sequence = self.next_event;
        self.next_event += 1;
        Event { sequence, note }
    }
}

fn check_limits(batch: &Batch) -> Result<(), CommitError> {
    let (writes, preconditions) = (batch.writes(), batch.preconditions.len());
    if writes > MAX_WRITES || preconditions > MAX_PRECONDITIONS {
        return Err(CommitError::TooMany {
            writes,
            preconditions,
        });
    }
    let bytes = batch.bytes();
    if bytes > MAX_BYTES {
        return Err(CommitError::TooLarge { bytes });
    }
    match batch
        .deletes
        .iter()
        .find(|key| batch.puts.contains_key(key))
    {
        Some(key) => Err(CommitError::Contradiction { key: key.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{spec::Kind, store::NoteKind, time::Timestamp};

    fn key(name: &str) -> Key {
        let kind = RecordKind::Object(Kind::ConfigMap);
        Key::new(kind, format!("default/{name}").parse().unwrap())
    }

    fn put(name: &str, text: &str) -> Batch {
        Batch {
            puts: [(key(name), text.as_bytes().into())].into(),
            ..Batch::default()
        }
    }

    fn expect(mut batch: Batch, name: &str, expected: Precondition) -> Batch {
        batch.preconditions.insert(key(name), expected);
        batch
    }

    fn small() -> Model {
        Model::new(Keep {
            commits: 2,
            events: 2,
        })
    }

    #[test]
    fn a_batch_with_a_broken_precondition_does_nothing() {
        let mut model = small();
        let at = model.commit(put("a", "1")).unwrap().revision;
        let before = model.clone();
        for (batch, name, expected) in [
            (put("a", "2"), "a", Precondition::Absent),
            (put("a", "2"), "a", Precondition::At(at.next())),
            (put("a", "2"), "b", Precondition::Any),
            (put("a", "2"), "b", Precondition::At(at)),
        ] {
            let refused = model.commit(expect(batch, name, expected)).unwrap_err();
            assert!(matches!(refused, CommitError::Conflict { .. }), "{refused}");
            assert_eq!(model, before);
        }
        let kept = expect(put("a", "2"), "a", Precondition::At(at));
        assert_eq!(model.commit(kept).unwrap().revision, at.next());
    }

    #[test]
    fn batches_staged_together_see_each_other_in_order() {
        let model = small();
        let mut staging = model.stage();
        let first = staging.commit(put("a", "1")).unwrap();
        let lost = staging.commit(expect(put("a", "2"), "a", Precondition::Absent));
        assert!(
            matches!(lost, Err(CommitError::Conflict { found: Some(at), .. })
            if at == first.revision)
        );
        let batch = expect(put("a", "3"), "a", Precondition::At(first.revision));
        assert_eq!(staging.commit(batch).unwrap().revision, Revision(2));
        assert_eq!(model.get(&key("a")), None, "staging shows nothing");
    }

    #[test]
    fn a_watch_gets_every_change_or_is_told_of_the_gap() {
        let mut model = small();
        for text in ["1", "2", "3"] {
            model.commit(put("a", text)).unwrap();
        }
        let seen = model.changes_after(Revision(1)).unwrap();
        let revisions: Vec<u64> = seen.iter().map(|(at, _)| at.0).collect();
        assert_eq!(revisions, [2, 3]);
        assert!(model.changes_after(Revision(3)).unwrap().is_empty());
        for asked in [Revision(0), Revision(4)] {
            let gap = model.changes_after(asked).unwrap_err();
            assert_eq!((gap.oldest, gap.current), (Revision(1), Revision(3)));
        }
    }

    #[test]
    fn records_that_nobody_watches_leave_the_history_alone() {
        let mut model = small();
        model.commit(put("a", "1")).unwrap();
        for _ in 0..5 {
            let host = Key::new(RecordKind::Host, "default/host-1".parse().unwrap());
            let batch = Batch {
                puts: [(host, b"{}".as_slice().into())].into(),
                ..Batch::default()
            };
            model.commit(batch).unwrap();
        }
        assert_eq!(model.changes_after(Revision(0)).unwrap().len(), 1);
    }

    #[test]
    fn events_are_numbered_and_bounded_and_change_no_revision() {
        let mut model = small();
        for n in 0..3 {
            let note = Note {
                time: Timestamp(n),
                namespace: "default".to_owned(),
                subject: "StatefulSet/etcd".to_owned(),
                kind: NoteKind::Normal,
                reason: "Applied".to_owned(),
                message: String::new(),
            };
            let batch = Batch {
                notes: vec![note],
                ..Batch::default()
            };
            assert_eq!(model.commit(batch).unwrap().revision, Revision(0));
        }
        let kept: Vec<u64> = model.events().map(|event| event.sequence).collect();
        assert_eq!(kept, [2, 3]);
    }

    #[test]
    fn the_limits_hold() {
        let mut model = small();
        let puts = (0..=MAX_WRITES).map(|n| (key(&format!("k{n}")), Value::from(&b"1"[..])));
        let many = Batch {
            puts: puts.collect(),
            ..Batch::default()
        };
        assert!(matches!(
            model.commit(many),
            Err(CommitError::TooMany { writes: 101, .. })
        ));
        let large = put("a", &"x".repeat(MAX_BYTES));
        assert!(matches!(
            model.commit(large),
            Err(CommitError::TooLarge { .. })
        ));
        let mut both = put("a", "1");
        both.deletes.insert(key("a"));
        assert!(matches!(
            model.commit(both),
            Err(CommitError::Contradiction { .. })
        ));
        assert_eq!(model, small());
    }
}

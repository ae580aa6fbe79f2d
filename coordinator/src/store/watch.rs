//! Following the store. The history itself is the buffer: a follower that is slow reads more at
//! once, and one that is slower than the history is long is told of the gap. None can hold back
//! the writer.

use std::collections::VecDeque;

use berth_core::{
    ids::Revision,
    store::{Changed, Event, HistoryGap},
};
use tokio::sync::watch as notify;

use super::{Store, StoreError};

/// Follows the changes of objects and claims.
#[derive(Debug)]
pub struct Watch {
    store: Store,
    published: notify::Receiver<()>,
    seen: Revision,
    ready: VecDeque<Changed>,
}

/// Why a watch ends.
#[derive(Debug, thiserror::Error)]
pub enum WatchEnd {
    /// The history does not reach back so far.
    #[error(transparent)]
    Gap(#[from] HistoryGap),
    /// The store is closed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Follows changes after a revision.
    ///
    /// # Errors
    /// If the history does not reach back so far.
    pub fn watch(&self, after: Revision) -> Result<Watch, HistoryGap> {
        let mut watch = Watch {
            store: self.clone(),
            published: self.watchers.clone(),
            seen: after,
            ready: VecDeque::new(),
        };
        watch.fill()?;
        Ok(watch)
    }

    /// Follows events after a sequence number; events that are forgotten already are left out.
    pub fn watch_events(&self, after: u64) -> EventWatch {
        EventWatch {
            store: self.clone(),
            published: self.watchers.clone(),
            seen: after,
        }
    }
}

impl Watch {
    fn fill(&mut self) -> Result<(), HistoryGap> {
        // Marked as seen before reading: what is published in between is noticed again.
        self.published.borrow_and_update();
        let model = self.store.read();
        self.ready.extend(model.changes_after(self.seen)?);
        self.seen = model.revision();
        Ok(())
    }

    /// The changes of the next commit that changed something.
    ///
    /// # Errors
    /// If the follower was too slow for the history, or the store is closed.
    pub async fn next(&mut self) -> Result<Changed, WatchEnd> {
        loop {
            if let Some(changed) = self.ready.pop_front() {
                return Ok(changed);
            }
            if self.published.changed().await.is_err() {
                return Err(StoreError::Closed.into());
            }
            self.fill()?;
        }
    }
}

/// Follows events.
#[derive(Debug)]
pub struct EventWatch {
    store: Store,
    published: notify::Receiver<()>,
    seen: u64,
}

impl EventWatch {
    /// The next events, at least one.
    ///
    /// # Errors
    /// If the store is closed.
    pub async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        loop {
            self.published.borrow_and_update();
            let mut events: Vec<Event> = {
                let model = self.store.read();
                let newer = |event: &&Event| event.sequence > self.seen;
                model.events().rev().take_while(newer).cloned().collect()
            };
            if let Some(last) = events.first() {
                self.seen = last.sequence;
                events.reverse();
                return Ok(events);
            }
            if self.published.changed().await.is_err() {
                return Err(StoreError::Closed);
            }
        }
    }
}

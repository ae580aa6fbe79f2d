//! What sessions, services and the reconcile loop share. Cheap to clone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use berth_core::{
    condition::Condition,
    ids::{ClaimKey, MemberId, SetKey},
    map::Map,
    plan::Subject,
    store::Note,
    waiting::Waiting,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, fencing::Fencer, sessions::Sessions, state::SharedView, store::Store};

/// The parts that everything else works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The records.
    pub store: Store,
    /// The state that follows from them, with the agents' contacts.
    pub view: SharedView,
    /// The agents' streams.
    pub sessions: Sessions,
    /// Wakes the reconcile loop.
    pub trigger: Trigger,
    /// What the loop found last.
    pub board: watch::Receiver<Arc<Board>>,
    /// The time.
    pub clock: Clock,
    /// Fences hosts.
    pub fencer: Fencer,
    /// Cancelled when the coordinator ends.
    pub shutdown: CancellationToken,
}

impl Context {
    /// Writes events down, without waiting.
    pub fn note(&self, notes: Vec<Note>) {
        self.store.note(notes);
    }
}

/// Why everything waits that waits, and what to warn of, as of the last round of the loop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Board {
    /// Why each member waits.
    pub waiting: Map<MemberId, Waiting>,
    /// Why each claim that was made by hand has no volume.
    pub claims: Map<ClaimKey, Waiting>,
    /// Those of them whose reason is told with a set.
    pub set_claims: Map<SetKey, BTreeSet<ClaimKey>>,
    /// The rule by which the checker refused a step about a volume or a snapshot.
    pub refused: BTreeMap<Subject, String>,
    /// How each set stands, condition by condition.
    pub conditions: Map<SetKey, Vec<Condition>>,
    /// What the operator should know of a set.
    pub warnings: Map<SetKey, Vec<String>>,
    /// Counts the rounds, so that each is noticed.
    pub round: u64,
}

/// Wakes the reconcile loop. Firing it many times before the loop looks wakes it once.
#[derive(Debug, Clone, Default)]
pub struct Trigger(Arc<Notify>);

impl Trigger {
    /// Something changed.
    pub fn fire(&self) {
        self.0.notify_one();
    }

    /// Waits until something changed.
    pub async fn fired(&self) {
        self.0.notified().await;
    }
}

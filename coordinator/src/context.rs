//! What sessions, services and the reconcile loop share. Cheap to clone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use berth_core::{
    condition::Condition,
    ids::{ClaimKey, MemberId, SetKey},
    map::Map,
    network::Network,
    plan::Subject,
    store::{Batch, CommitError, Note},
    waiting::Waiting,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::AuditLog,
    clock::Clock,
    fencing::Fencer,
    limits::Callers,
    metrics::Counters,
    pki::Pki,
    sessions::Sessions,
    state::{SharedView, View},
    store::{Store, StoreError},
};

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
    /// What is counted, for whoever watches.
    pub counters: Arc<Counters>,
    /// Certifies hosts and operators.
    pub pki: Pki,
    /// Where the addresses of hosts are; anywhere if empty.
    pub host_networks: Arc<[Network]>,
    /// Who asked for what.
    pub audit: AuditLog,
    /// Told when an operator is deleted, or made anew.
    pub users: watch::Sender<()>,
    /// What each caller has had of what it may have.
    pub callers: Arc<Callers>,
    /// How long a call may take that has an end of its own.
    pub call_timeout: Duration,
    /// Cancelled when the coordinator ends.
    pub shutdown: CancellationToken,
}

impl Context {
    /// Writes events down, without waiting.
    pub fn note(&self, notes: Vec<Note>) {
        self.store.note(notes);
    }

    /// Commits what was decided on the view, and gives back the store's revision; `None` if others came
    /// first, and all is to be decided anew. Nothing to write is written at once.
    ///
    /// # Errors
    /// If the store cannot write, or refuses it for another reason.
    pub async fn commit(&self, batch: Batch) -> Result<Option<u64>, StoreError> {
        if batch.is_empty() {
            return Ok(Some(self.store.read().revision().0));
        }
        match self.store.commit(batch).await {
            Ok(commit) => {
                self.trigger.fire();
                Ok(Some(commit.revision.0))
            }
            Err(StoreError::Refused(CommitError::Conflict { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Decides and commits, as often as others come first.
    ///
    /// # Errors
    /// As [`Self::commit`], and what the decision fails with.
    pub async fn settle<E: From<StoreError>>(
        &self,
        decide: impl Fn(&View) -> Result<Batch, E>,
    ) -> Result<(), E> {
        loop {
            let batch = decide(&self.view.read())?;
            if self.commit(batch).await?.is_some() {
                return Ok(());
            }
        }
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
pub struct Trigger(Arc<Loop>);

#[derive(Debug, Default)]
struct Loop {
    fired: Notify,
    /// How often it has turned.
    turns: watch::Sender<u64>,
}

impl Trigger {
    /// Something changed.
    pub fn fire(&self) {
        self.0.fired.notify_one();
    }

    /// Waits until something changed.
    pub async fn fired(&self) {
        self.0.fired.notified().await;
    }

    /// The loop has turned once more.
    pub fn turned(&self) {
        self.0.turns.send_modify(|turns| *turns += 1);
    }

    /// Counts how often the loop has turned, from now on.
    pub fn turns(&self) -> watch::Receiver<u64> {
        self.0.turns.subscribe()
    }

    /// Wakes the loop and waits until it has turned.
    pub async fn turn(self) -> bool {
        let mut turns = self.turns();
        self.fire();
        turns.changed().await.is_ok()
    }
}

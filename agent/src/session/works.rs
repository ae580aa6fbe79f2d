//! Work on volumes, beside the session: one that is slow, or hangs, holds up nothing else. For a
//! volume there is one at a time; of those that came meanwhile only the last one counts, because
//! the coordinator knew of the others when it decided it.
//!
//! A work goes on when its session ends. The next session brings it again, and it waits for its turn.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use berth_core::{
    ids::ObjectKey,
    volume::work::{VolumeDone, VolumeTask, VolumeWork},
    waiting::Reason,
};
use berth_proto::{
    convert::work::Numbered,
    v1::{AgentMessage, agent_message::Message},
};
use tokio::sync::mpsc;

use super::{stream::send, transfer::Ends};
use crate::host::Host;

/// A work, and the session that brought it.
type Wanted = (Numbered<VolumeWork>, mpsc::Sender<AgentMessage>);

/// The volumes that are worked on, each with what comes next.
#[derive(Debug, Default, Clone)]
pub struct Works(Arc<Mutex<BTreeMap<ObjectKey, Option<Wanted>>>>);

impl Works {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Option<Wanted>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does a work when its turn comes, and tells the session what came of it.
    pub(super) fn begin<H: Host>(&self, worker: Worker<H>, wanted: Wanted) {
        let volume = wanted.0.of.volume.clone();
        match self.lock().entry(volume.clone()) {
            Entry::Occupied(mut under_way) => {
                under_way.insert(Some(wanted));
                return;
            }
            Entry::Vacant(free) => drop(free.insert(None)),
        }
        let works = self.clone();
        tokio::spawn(async move {
            let mut next = Some(wanted);
            while let Some((work, out)) = next {
                worker.answer(work, &out).await;
                next = works.next(&volume);
            }
        });
    }

    /// What came while a work was done. Without any, the volume is free.
    fn next(&self, volume: &ObjectKey) -> Option<Wanted> {
        let mut all = self.lock();
        let next = all.get_mut(volume).and_then(Option::take);
        if next.is_none() {
            all.remove(volume);
        }
        next
    }
}

/// What a work needs.
pub(super) struct Worker<H> {
    pub(super) ends: Ends<H>,
}

impl<H: Host> Worker<H> {
    async fn answer(&self, work: Numbered<VolumeWork>, out: &mpsc::Sender<AgentMessage>) {
        let (id, volume, task) = (work.id, work.of.volume.clone(), work.of.task);
        let result = self.work(work).await;
        match &result {
            Ok(()) => tracing::info!(%volume, "done: {}", task.describe()),
            Err(reason) => tracing::warn!(%volume, "cannot {}: {reason}", task.describe()),
        }
        let of = VolumeDone {
            volume,
            task,
            error: result.err().map(|reason| reason.to_string()),
        };
        let done = Numbered { id, of };
        match done.try_into() {
            // A session that ended needs no answer: the next one asks again.
            Ok(done) => drop(send(out, Message::VolumeDone(done)).await),
            Err(error) => tracing::error!(%error, "what came of a work cannot be told"),
        }
    }

    async fn work(&self, work: Numbered<VolumeWork>) -> Result<(), Reason> {
        let Numbered { id, of: work } = work;
        let busy = |by: String| Reason::VolumeBusy {
            volume: work.volume.name.to_string(),
            by,
        };
        if let Some(other) = work.source.host().filter(|host| **host != self.ends.name) {
            return Err(busy(format!("host {other}, where it is")));
        }
        // A run of it may be about to begin.
        let user = match work.task {
            VolumeTask::Trash | VolumeTask::Snapshot { online: false } => {
                self.ends.ledger.read().user_of(&work.source)
            }
            VolumeTask::Populate { online: false } => {
                let from = work.from.as_ref();
                let from = from.filter(|from| from.snapshot.is_none());
                from.and_then(|from| self.ends.ledger.read().user_of(&from.source))
            }
            VolumeTask::Restore
            | VolumeTask::Purge
            | VolumeTask::Grow { .. }
            | VolumeTask::Snapshot { online: true }
            | VolumeTask::Populate { online: true }
            | VolumeTask::Receive { .. }
            | VolumeTask::Send { .. }
            | VolumeTask::Discard => None,
        };
        if let Some(member) = user {
            return Err(busy(format!("member {member}, which is to run")));
        }
        match work.task {
            VolumeTask::Receive { .. } => self.ends.receive(Numbered { id, of: work }).await,
            VolumeTask::Trash
            | VolumeTask::Restore
            | VolumeTask::Purge
            | VolumeTask::Grow { .. }
            | VolumeTask::Snapshot { .. }
            | VolumeTask::Populate { .. }
            | VolumeTask::Send { .. }
            | VolumeTask::Discard => self.ends.host.volume_work(work).await,
        }
    }
}

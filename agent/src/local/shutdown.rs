//! Tells how far a shutdown of the host's members is.

use std::collections::BTreeSet;

use berth_core::ids::MemberId;
use berth_proto::v1::LocalShutdownProgress;
use tokio::sync::mpsc;
use tonic::Status;

use super::refuse;
use crate::reconcile::{LocalError, Members};

type Out = mpsc::Sender<Result<LocalShutdownProgress, Status>>;

/// Sends which members are left, whenever one of them is gone, until none is.
pub(super) async fn follow(members: Members, out: Out) {
    if let Err(error) = tell(members, &out).await {
        drop(out.send(Err(refuse(error))).await);
    }
}

async fn tell(members: Members, out: &Out) -> Result<(), LocalError> {
    let mut version = members.version();
    let mut before: Option<BTreeSet<MemberId>> = None;
    loop {
        version.borrow_and_update();
        let left: BTreeSet<MemberId> = members.left().await?.into_iter().collect();
        if before.as_ref() != Some(&left) {
            let stopped = before.iter().flatten().filter(|id| !left.contains(*id));
            let progress = LocalShutdownProgress {
                stopped: stopped.map(ToString::to_string).collect(),
                left: left.iter().map(ToString::to_string).collect(),
            };
            if out.send(Ok(progress)).await.is_err() {
                return Ok(());
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        before = Some(left);
        tokio::select! {
            changed = version.changed() => changed.map_err(|_| LocalError::Stopping)?,
            // Whoever asked may be gone; the members stop all the same.
            () = out.closed() => return Ok(()),
        }
    }
}

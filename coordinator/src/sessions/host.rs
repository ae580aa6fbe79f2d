//! The record of a host, as far as its agent says it: at every hello, and when pools change later.

use berth_core::{
    ids::HostName,
    state::HostRecord,
    store::{Batch, CommitError, RecordKind},
    volume::pool::{Pools, changes},
};
use thiserror::Error;

use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::records::{host_key, put},
    store::{RecordError, StoreError},
};

/// Why a host is not recorded.
#[derive(Debug, Error)]
pub enum HostError {
    /// It cannot be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A host's record from now on, and how that is told.
pub(super) struct Changed {
    pub(super) record: HostRecord,
    pub(super) reason: &'static str,
    pub(super) messages: Vec<String>,
}

/// Makes a host's record durable if it is new or changed.
pub(super) async fn record(
    context: &Context,
    name: &HostName,
    change: impl Fn(Option<&HostRecord>) -> Option<Changed>,
) -> Result<(), HostError> {
    loop {
        let mut batch = Batch::default();
        {
            let view = context.view.read();
            let known = view.state.hosts.get(name).map(|host| &host.record);
            let Some(after) = change(known).filter(|after| known != Some(&after.record)) else {
                return Ok(());
            };
            let key = host_key(RecordKind::Host, name).map_err(RecordError::from)?;
            batch.preconditions.insert(key.clone(), view.as_known(&key));
            put(&mut batch, key, &after.record)?;
            let now = context.clock.now();
            let messages = after.messages.into_iter();
            let told = messages.map(|text| notes::host(now, name, NORMAL, after.reason, text));
            batch.notes.extend(told);
        }
        match context.store.commit(batch).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Refused(CommitError::Conflict { .. })) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes in what changed of the pools of a host in contact.
pub(super) async fn pools(
    context: &Context,
    name: &HostName,
    pools: &Pools,
) -> Result<(), HostError> {
    record(context, name, |known| {
        let known = known?;
        Some(Changed {
            record: HostRecord {
                pools: pools.clone(),
                ..known.clone()
            },
            reason: "PoolsChanged",
            messages: changes(&known.pools, pools),
        })
    })
    .await?;
    // What waits for room may have it now.
    context.trigger.fire();
    Ok(())
}

//! The record of a host, as far as its agent says it: at every hello, and when pools change later.

use berth_core::{
    ids::HostName,
    state::HostRecord,
    store::{Batch, RecordKind},
    volume::pool::{Pools, changes},
};
use thiserror::Error;

use crate::{
    context::Context,
    notes::{self, NORMAL},
    state::{View, keys::host_key, records::put},
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

/// Writes a host's record from now on into a batch, if it is another than the view has.
pub(super) fn put_record(
    context: &Context,
    view: &View,
    after: Changed,
    batch: &mut Batch,
) -> Result<(), RecordError> {
    let name = &after.record.name;
    let key = host_key(RecordKind::Host, name)?;
    batch.preconditions.insert(key.clone(), view.as_known(&key));
    let known = view.state.hosts.get(name).map(|host| &host.record);
    if known == Some(&after.record) {
        return Ok(());
    }
    put(batch, key, &after.record)?;
    let now = context.clock.now();
    let messages = after.messages.into_iter();
    let told = messages.map(|text| notes::host(now, name, NORMAL, after.reason, text));
    batch.notes.extend(told);
    Ok(())
}

/// Takes in what changed of the pools of a host in contact.
pub(super) async fn pools(
    context: &Context,
    name: &HostName,
    pools: &Pools,
) -> Result<(), HostError> {
    let decide = |view: &View| {
        let mut batch = Batch::default();
        if let Some(known) = view.state.hosts.get(name).map(|host| &host.record) {
            let after = Changed {
                record: HostRecord {
                    pools: pools.clone(),
                    ..known.clone()
                },
                reason: "PoolsChanged",
                messages: changes(&known.pools, pools),
            };
            put_record(context, view, after, &mut batch)?;
        }
        Ok(batch)
    };
    // What waits for room may have it then.
    context.settle(decide).await
}

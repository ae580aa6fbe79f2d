//! The store of a large fleet, as a coordinator leaves it: what the planner decides for it, in the records
//! that the coordinator makes of it, written by the coordinator's own writer.

use std::path::Path;

use anyhow::Context as _;
use berth_coordinator::{
    config::Config,
    state::{
        SharedView, View,
        keys::{host_key, zone_key},
        records::{OrderRecord, changes, claim_changes, put},
    },
    store::{self, KEEP, Store},
};
use berth_core::{
    ids::{Generation, HostName, SetKey},
    order::{OrderHead, order_hash},
    spec::{Kind, Object, ObjectMeta, StatefulSet},
    state::{Set, State, orders::host_order},
    store::{Batch, Commit, Key, MAX_WRITES, RecordKind},
};
use futures_util::future::try_join_all;

use super::model::Cluster;

/// Members of each set.
pub const REPLICAS: u32 = 10;
/// Sets that are decided on in one go: their plan costs the same however many others there are.
const CHUNK: usize = 500;
/// Commits that wait for the writer together.
const GROUP: usize = 64;
/// What the commit of one set names: of each member its record, its claim, and its volume with the object of
/// the same name.
const SET_RECORDS: usize = 5 + 4 * REPLICAS as usize;

/// What is known of a fleet whose members all run, each with a local volume.
///
/// # Errors
/// If the sets do not come to rest.
pub fn decided(members: u32, hosts: u32) -> anyhow::Result<State> {
    let mut cluster = Cluster::new(hosts)?;
    let sets = (0..members / REPLICAS).map(|n| format!("default/s{n}").parse());
    let sets = sets.collect::<Result<Vec<SetKey>, _>>()?;
    for chunk in sets.chunks(CHUNK) {
        for set in chunk {
            cluster.put(set, REPLICAS, 0);
        }
        cluster.settle_these(chunk)?;
    }
    Ok(cluster.state)
}

/// Writes what is known of a fleet into the store of a coordinator that does not run.
///
/// # Errors
/// If the store cannot be written.
pub async fn write(config: &Path, after: &State) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let opened = store::open(&config.store_path(), KEEP, &config.secrets)?;
    let (history, term) = (&opened.entered.history, opened.entered.term);
    let view = View::load(opened.model(), history, term, &config.zone);
    let view = SharedView::new(view);
    let observed = view.clone();
    let observer = Box::new(move |commit: &Commit| observed.write().absorb(commit));
    let (store, thread) = opened.start(observer, Box::new(|_| {}))?;
    commit_all(&store, objects(after)?).await?;
    let batches = decisions(&view.read(), after)?;
    commit_all(&store, batches).await?;
    let batches = orders(&view.read(), after)?;
    commit_all(&store, batches).await?;
    drop(store);
    let ended = tokio::task::spawn_blocking(|| thread.join()).await?;
    ended.ok().context("the store's thread")
}

async fn commit_all(store: &Store, batches: Vec<Batch>) -> anyhow::Result<()> {
    let mut rest = batches.into_iter();
    loop {
        let group: Vec<Batch> = rest.by_ref().take(GROUP).collect();
        if group.is_empty() {
            return Ok(());
        }
        try_join_all(group.into_iter().map(|batch| store.commit(batch))).await?;
    }
}

/// What operators and agents said.
fn objects(after: &State) -> anyhow::Result<Vec<Batch>> {
    let mut packed = Packed::default();
    for (key, pool) in &after.address_pools {
        let key = Key::new(RecordKind::Object(Kind::AddressPool), key.clone());
        put(packed.room(1), key, &Object::AddressPool(pool.clone()))?;
    }
    for (name, host) in &after.hosts {
        let key = host_key(RecordKind::Host, name)?;
        put(packed.room(1), key, &host.record)?;
    }
    for (key, set) in &after.sets {
        let record = Key::new(RecordKind::Object(Kind::StatefulSet), key.clone());
        put(packed.room(1), record, &object(key, set))?;
    }
    put(packed.room(1), zone_key()?, &after.zone)?;
    Ok(packed.0)
}

fn object(key: &SetKey, set: &Set) -> Object {
    Object::StatefulSet(StatefulSet {
        metadata: ObjectMeta {
            name: key.name.to_string(),
            namespace: key.namespace.to_string(),
            uid: set.uid.to_string(),
            ..ObjectMeta::default()
        },
        spec: (*set.spec).clone(),
    })
}

/// What was decided of the sets, their members, claims and volumes.
fn decisions(view: &View, after: &State) -> anyhow::Result<Vec<Batch>> {
    let mut packed = Packed::default();
    for set in after.sets.keys() {
        let batch = packed.room(SET_RECORDS);
        changes(view, after, set, batch)?;
        let claims = after.claims_of(set).map(|(key, _)| key.clone()).collect();
        claim_changes(view, after, &claims, [].into(), batch)?;
    }
    Ok(packed.0)
}

/// What was recorded as sent.
fn orders(view: &View, after: &State) -> anyhow::Result<Vec<Batch>> {
    let mut packed = Packed::default();
    for host in after.hosts.keys() {
        let record = OrderRecord::default().with(head(view, after, host), Generation::default());
        put(packed.room(1), host_key(RecordKind::Order, host)?, &record)?;
    }
    Ok(packed.0)
}

/// What names the order that a host has.
pub fn head(view: &View, after: &State, host: &HostName) -> OrderHead {
    OrderHead {
        history: view.state.history.clone(),
        term: view.state.term,
        generation: Generation(1),
        hash: order_hash(&host_order(after, host)),
    }
}

/// Batches, each as full as a commit may be.
#[derive(Debug, Default)]
struct Packed(Vec<Batch>);

impl Packed {
    /// A batch with room for so many records, whether it writes them or rests on them.
    fn room(&mut self, records: usize) -> &mut Batch {
        let full = |batch: &Batch| {
            let named = batch.writes().max(batch.preconditions.len());
            named + records > MAX_WRITES
        };
        if self.0.last().is_none_or(full) {
            self.0.push(Batch::default());
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

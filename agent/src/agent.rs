//! The agent as a whole: what is started in which order, and how it ends.
//!
//! Members first: they need nothing but the ledger, and neither a name server that cannot open its
//! socket nor a coordinator that is away may keep them down.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth_core::{ledger::Record, state::HostRecord};
use thiserror::Error;
use tokio::{sync::watch, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    dns::{DnsError, DnsServer},
    host::{Host, HostFacts},
    identity::{Identity, IdentityError},
    ledger::{LedgerError, LedgerStore},
    local::{self, Local, ServeError},
    metrics,
    reconcile::{self, Members},
    session::{KnownPools, Session, Works},
};

/// How long requests that are open at the end may take.
const END_LIMIT: Duration = Duration::from_secs(2);

/// Why the agent ends before it was asked to.
#[derive(Debug, Error)]
pub enum RunError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The DNS server.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// What this host proves itself with.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The socket for `berth local`.
    #[error(transparent)]
    Local(#[from] ServeError),
}

/// Runs an agent until the token is cancelled. Its members run on afterwards. `ready` is called
/// with its members once everything is open.
///
/// # Errors
/// If the ledger, the name server or the local socket cannot be used, then or later. Members that
/// run are not stopped then either.
pub async fn run<H: Host>(
    config: Config,
    host: Arc<H>,
    shutdown: CancellationToken,
    ready: impl FnOnce(Members) + Send,
) -> Result<(), RunError> {
    let identity = Identity::of(&config)?;
    let ledger = LedgerStore::open(&config.data_dir)?;
    let facts = host.facts();
    bind(&ledger, &facts).await?;
    let stop = shutdown.child_token();
    let _ends_with_this_call = stop.clone().drop_guard();
    let (members, mut reconciler) = reconcile::start(
        Arc::clone(&host),
        ledger.clone(),
        config.resolver,
        stop.clone(),
    );
    let dns = Arc::new(DnsServer::start(config.dns.clone()).await?);
    let connected = watch::Sender::new(false);
    let service = Local {
        name: config.host.clone(),
        host: Arc::clone(&host),
        ledger: ledger.clone(),
        members: members.clone(),
        names: (config.dns.origin.clone(), dns.local().to_vec()),
        connected: connected.subscribe(),
    };
    let watched = metrics::Sources {
        ledger: ledger.clone(),
        members: members.clone(),
        dns: Arc::downgrade(&dns),
        connected: connected.subscribe(),
    };
    let mut watchers = serve_metrics(&config, &watched);
    let serving = local::serve(service, &config.local, stop.clone()).await?;
    let mut serving = tokio::spawn(serving);
    let session = Session {
        coordinator: identity.coordinator(),
        record: record(&config, &facts),
        boot: facts.boot,
        pools: KnownPools::look(Arc::clone(&host)),
        host,
        ledger,
        members: members.clone(),
        dns: Arc::clone(&dns),
        works: Works::default(),
        connected,
    };
    let session = tokio::spawn(session.run(stop.clone()));
    tokio::spawn(
        stop.clone()
            .run_until_cancelled_owned(identity.keep_fresh()),
    );
    tracing::info!(host = %config.host, "ready");
    ready(members);
    let result = tokio::select! {
        ended = reconciler.ended() => ended.map_err(RunError::from),
        served = &mut serving => served.unwrap_or(Ok(())).map_err(RunError::from),
    };
    stop.cancel();
    watchers.shutdown().await;
    // Whoever still waits for an answer is cut off; everything that matters is durable.
    drop(timeout(END_LIMIT, session).await);
    if !serving.is_finished() {
        drop(timeout(END_LIMIT, &mut serving).await);
        serving.abort();
    }
    if let Some(dns) = Arc::into_inner(dns) {
        dns.stop().await;
    }
    let ended = reconciler.ended().await.map_err(RunError::from);
    result.and(ended)
}

/// Serves what is known of the agent to whoever watches, until the set is dropped.
fn serve_metrics(config: &Config, of: &metrics::Sources) -> JoinSet<()> {
    let mut watchers = JoinSet::new();
    for address in config.metrics.iter().copied() {
        let of = of.clone();
        let gather = move || of.clone().gather();
        watchers.spawn(berth_proto::metrics::serve(address, gather));
    }
    watchers
}

/// Binds a ledger that is of no machine yet to this one, before anything of it is acted on.
async fn bind(ledger: &LedgerStore, facts: &HostFacts) -> Result<(), LedgerError> {
    let of = ledger.read().machine.clone();
    match of {
        Some(_) => Ok(()),
        None => {
            let ids = facts.machine.clone();
            ledger.note(Record::Machine { ids }).await
        }
    }
}

fn record(config: &Config, facts: &HostFacts) -> HostRecord {
    HostRecord {
        name: config.host.clone(),
        advertise_address: config.advertise_address,
        labels: config.labels.clone(),
        // They are looked at as long as the agent runs.
        pools: BTreeMap::new(),
        unschedulable: false,
        machine_id: facts.machine.machine_id.clone(),
        product_uuid: facts.machine.product_uuid.clone(),
        controllers: facts.controllers.clone(),
        self_fences: facts.self_fences,
        watchdog: facts.watchdog,
        agent_labels: BTreeMap::new(),
        directives: berth_core::state::HostDirectives::default(),
    }
}

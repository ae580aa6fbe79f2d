//! Berth's coordinator: the daemon that decides and remembers.
//!
//! [`run`] wires the parts: [`store`] keeps records, [`state`] is the planner's view of them,
//! [`reconcile`] decides and orders, [`sessions`] talk to the agents, [`service`] to operators.

pub mod audit;
pub mod clock;
pub mod config;
pub mod context;
pub mod fencing;
#[cfg(test)]
pub(crate) mod fixture;
pub mod limits;
pub mod metrics;
pub mod moving;
pub mod notes;
pub mod pki;
pub mod reconcile;
pub mod secrets;
pub mod service;
pub mod sessions;
pub mod state;
pub mod store;
pub mod volume_work;

use std::{io, sync::Arc, time::Duration};

use berth_core::store::{Commit, Key};
use berth_pki::PkiError;
use berth_proto::{
    supervisor,
    transport::{Endpoint, Incoming, ListenError, listen, listen_tls},
};
use thiserror::Error;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use audit::{AuditError, AuditLog};
use clock::Clock;
use config::Config;
use context::{Board, Context, Trigger};
use fencing::Fencer;
use limits::Callers;
use pki::Pki;
use reconcile::Reconciler;
use service::ServeError;
use sessions::Sessions;
use state::{SharedView, View};
use store::{Fatal, KEEP, StoreError};

/// How long open connections may take to end.
const GRACE: Duration = Duration::from_secs(3);

/// Why the coordinator cannot run.
#[derive(Debug, Error)]
pub enum RunError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Part of what was decided is not known: nothing may be decided or sent.
    #[error("record {key} of the store cannot be read (the log says why); restore a backup")]
    Unreadable {
        /// The record.
        key: Key,
    },
    /// No thread for the store.
    #[error("the store's thread cannot be started; look at the system's limits")]
    Thread(#[source] io::Error),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The certificates.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// A listener.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Serving.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Runs until `shutdown` is cancelled, then ends its streams and closes the store. `fatal` is
/// called when the store's disk failed: it must end the process, because what is on disk is not
/// known any more. `ready` is told where it listens.
///
/// # Errors
/// If the store cannot be opened, or a listener cannot be opened or fails.
pub async fn run(
    config: Config,
    shutdown: CancellationToken,
    fatal: Fatal,
    ready: impl FnOnce(&[Endpoint]) + Send,
) -> Result<(), RunError> {
    let keys = config.secrets.clone().or_credential();
    let opened = store::open(&config.store_path(), KEEP, &keys)?;
    let (term, history) = (opened.entered.term, &opened.entered.history);
    let mut view = View::load(opened.model(), history, term, &config.zone);
    view.state.trash_keep = config.trash_keep;
    view.state.leases = config.leases;
    view.state.fences = fencing::known(&config.fencing);
    let clock = Clock::start();
    let pki = Pki::open(config.tls.clone(), &config.data_dir, clock.now())?;
    let audit = AuditLog::open(&config.data_dir, clock)?;
    // The store is ours alone by now: no earlier coordinator acknowledges anything any more.
    view.state.term_began = clock.now();
    clock::doubt(&mut view.state, clock.now());
    if let Some(key) = view.unreadable.first() {
        return Err(RunError::Unreadable { key: key.clone() });
    }
    let view = SharedView::new(view);
    let observed = view.clone();
    let observer = Box::new(move |commit: &Commit| {
        observed.write().absorb(commit);
    });
    let (store, thread) = opened.start(observer, fatal).map_err(RunError::Thread)?;
    let (board, found) = watch::channel(Arc::new(Board::default()));
    let context = Context {
        store,
        view,
        sessions: Sessions::default(),
        trigger: Trigger::default(),
        board: found,
        clock,
        fencer: Fencer::new(config.fencing.clone()),
        counters: Arc::default(),
        pki,
        host_networks: config.host_networks.into(),
        audit,
        users: watch::Sender::default(),
        callers: Arc::new(Callers::new(config.limits.allowance)),
        call_timeout: config.limits.call_timeout,
        shutdown,
    };
    let mut listeners = Vec::new();
    for endpoint in &config.listen {
        listeners.push(match endpoint {
            Endpoint::Unix(_) => listen(endpoint).await?,
            Endpoint::Tcp(address) => listen_tls(*address, context.pki.tls()).await?,
        });
    }
    let there: Vec<Endpoint> = listeners.iter().map(|at| at.local().clone()).collect();
    tell_history(&context);
    let mut watched = JoinSet::new();
    for address in config.metrics {
        let context = context.clone();
        let gather = move || std::future::ready(metrics::gather(&context));
        watched.spawn(berth_proto::metrics::serve(address, gather));
    }
    ready(&there);
    let served = serve(context, Reconciler::new, board, listeners).await;
    watched.shutdown().await;
    // All handles are gone by now, so the writer ends and the file is free.
    let closed = tokio::task::spawn_blocking(move || thread.join()).await;
    if !matches!(closed, Ok(Ok(()))) {
        tracing::error!("the store's thread did not end well");
    }
    served
}

fn tell_history(context: &Context) {
    let view = context.view.read();
    let (term, history) = (view.state.term, &view.state.history);
    let authority = context.pki.hash();
    tracing::info!(%term, %history, %authority, "ready");
    if view.state.past.is_latched() {
        tracing::error!(
            "the store's history is in question: nothing is started or moved until 'berth admin \
             accept-restore'"
        );
    }
}

async fn serve(
    context: Context,
    reconciler: impl FnOnce(Context, watch::Sender<Arc<Board>>) -> Reconciler,
    board: watch::Sender<Arc<Board>>,
    listeners: Vec<Incoming>,
) -> Result<(), RunError> {
    let routes = service::routes(&context).await?;
    let mut servers = JoinSet::new();
    for incoming in listeners {
        servers.spawn(service::serve(context.clone(), routes.clone(), incoming));
    }
    drop(routes);
    let looping = tokio::spawn(reconciler(context.clone(), board).run());
    supervisor::ready();
    let trigger = context.trigger.clone();
    let watchdog = tokio::spawn(supervisor::watchdog(move || trigger.clone().turn()));
    let fresh = context.pki.clone();
    let fresh = tokio::spawn(fresh.keep_fresh(context.clock, context.shutdown.clone()));
    let mut result = Ok(());
    tokio::select! {
        () = context.shutdown.cancelled() => {}
        Some(ended) = servers.join_next() => {
            if let Ok(Err(error)) = ended {
                result = Err(RunError::Serve(error));
            }
        }
    }
    supervisor::stopping();
    context.shutdown.cancel();
    context.sessions.end_all("the coordinator is ending");
    let ended = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("connections did not end in time; they are cut");
        servers.shutdown().await;
    }
    // It ends at the next await after the shutdown; waited for, so that its handles are gone.
    looping.await.ok();
    watchdog.abort();
    fresh.abort();
    result
}

//! `berth-coordinator --config FILE`: the daemon.

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use berth_coordinator::{
    clock::Clock,
    config::Config,
    run,
    store::{StoreError, backup},
};
use berth_pki::memory;
use berth_proto::transport::Endpoint;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Berth's coordinator.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, default_value = "/etc/berth/coordinator.yaml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What else it can do than run.
#[derive(Debug, Subcommand)]
enum Command {
    /// Make a store of a backup, while no coordinator runs.
    ///
    /// The backup is checked first; one of another cluster than the store's is refused. Nothing is
    /// started or moved by the restored store until `berth admin accept-restore`: what was decided
    /// since the backup is known to the agents alone.
    Restore {
        /// What `berth admin backup` wrote.
        file: PathBuf,
        /// Put the store that is there aside.
        #[arg(long)]
        replace: bool,
    },
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    let colour = std::io::stderr().is_terminal();
    log.with_writer(std::io::stderr).with_ansi(colour).init();
    let arguments = Arguments::parse();
    let private = memory::keep_to_itself().map_err(anyhow::Error::from);
    let done = private.and_then(|()| match &arguments.command {
        None => start(&arguments),
        Some(Command::Restore { file, replace }) => restore(&arguments.config, file, *replace),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn restore(config: &Path, file: &Path, replace: bool) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let (store, keys) = (config.store_path(), config.secrets.or_credential());
    let backup = backup::read(file)?;
    let aside = backup::restore(&backup, &store, &keys, replace, Clock::start().now())?;
    let header = &backup.header;
    let (cluster, revision, records) = (&header.cluster, header.revision, header.records);
    tracing::info!(cluster, %revision, records, store = %store.display(), "restored");
    if let Some(aside) = aside {
        tracing::info!(store = %aside.display(), "put aside");
    }
    tracing::info!("start the coordinator, then run 'berth admin accept-restore'");
    Ok(())
}

#[tokio::main]
async fn start(arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(&arguments.config)?;
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("no signal handler")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no signal handler")?;
    let asked = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        asked.cancel();
    });
    let listens = |endpoints: &[Endpoint]| {
        for endpoint in endpoints {
            tracing::info!(%endpoint, "listens");
        }
    };
    Ok(run(config, shutdown, Box::new(end), listens).await?)
}

#[expect(
    clippy::exit,
    reason = "what is on disk is not known any more: only a new start reads it"
)]
fn end(error: &StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the store failed; the process ends"
    );
    std::process::exit(70);
}

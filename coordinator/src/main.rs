//! `berth-coordinator --config FILE`: the daemon.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use berth_coordinator::{config::Config, run, store::StoreError};
use clap::Parser;
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
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter);
    let colour = std::io::stderr().is_terminal();
    log.with_writer(std::io::stderr).with_ansi(colour).init();
    match start(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
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
    Ok(run(config, shutdown, Box::new(end)).await?)
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

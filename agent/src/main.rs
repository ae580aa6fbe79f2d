//! `berth-agent`: the agent, and, re-executed, the keeper of one member.

use std::{io::IsTerminal as _, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use berth_agent::{
    config::{Config, ConfigFile},
    host::linux::{LinuxConfig, LinuxHost, LocalPolicy, SelfReboot},
};
use berth_core::manifest::read_config;
use clap::Parser;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Runs this host's members and serves their names.
#[derive(Debug, Parser)]
#[command(name = "berth-agent", version)]
struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/berth/agent.yaml")]
    config: PathBuf,
    /// Writes the log as JSON, a line each.
    #[arg(long)]
    log_json: bool,
    /// For tests of hosts that share a machine: what would reboot this one is written here instead.
    #[arg(long, value_name = "FILE", hide = true)]
    record_reboots: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    berth_agent::keeper::main_if_keeper();
    berth_agent::host::storage::helper::main_if_helper();
    let args = Args::parse();
    log(args.log_json);
    let config = config(&args)?;
    let reboot = config.self_reboot.clone().map(SelfReboot::Sysrq);
    let host = LinuxHost::new(LinuxConfig {
        data_dir: config.data_dir.clone(),
        run_dir: config.run_dir.clone(),
        log_dir: config.log_dir.clone(),
        pools: config.pools.clone(),
        policy: LocalPolicy {
            file: args.config,
            ..config.policy.clone()
        },
        self_reboot: args.record_reboots.map(SelfReboot::Recorded).or(reboot),
        keeper_program: LinuxConfig::OWN_PROGRAM.into(),
    })
    .map_err(|reason| anyhow::anyhow!("{reason}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(run(config, host))
}

fn log(json: bool) {
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if json {
        log.json().init();
    } else {
        log.init();
    }
}

fn config(args: &Args) -> anyhow::Result<Config> {
    let file = args.config.display().to_string();
    let text =
        std::fs::read_to_string(&args.config).with_context(|| format!("cannot read {file}"))?;
    let read = read_config::<ConfigFile>(&file, &text);
    let told = |lines: Vec<String>| anyhow::anyhow!("{}", lines.join("\n"));
    let parsed = read.map_err(|all| told(all.iter().map(ToString::to_string).collect()))?;
    parsed.try_into().map_err(|errors: Vec<_>| {
        let line = |error| format!("{file}: {:#}", anyhow::Error::new(error));
        told(errors.into_iter().map(line).collect())
    })
}

async fn run(config: Config, host: LinuxHost) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let asked = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping; the members run on");
        notify(&[NotifyState::Stopping]);
        asked.cancel();
    });
    let watchdog = tokio::spawn(watchdog());
    let ready = || notify(&[NotifyState::Ready]);
    let result = berth_agent::run(config, Arc::new(host), shutdown.clone(), ready).await;
    watchdog.abort();
    if let Err(error) = result {
        bail!(error);
    }
    Ok(())
}

/// Tells systemd that the runtime still turns, twice as often as it asks.
async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut tick = tokio::time::interval((limit / 2).max(Duration::from_millis(100)));
    loop {
        tick.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

/// Without systemd there is nobody to tell.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}

//! `berth-agent`: the agent, and, re-executed, the keeper of one member.

use std::{
    io::IsTerminal as _,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use berth_agent::{
    config::{Config, ConfigFile},
    host::linux::{LinuxConfig, LinuxHost, LocalPolicy, Scopes, SelfReboot},
    identity::{self, Joined, Wish},
    privileges,
    reconcile::Members,
    trusted,
};
use berth_core::{ids::HostName, manifest::read_config};
use berth_pki::memory;
use berth_proto::supervisor;
use clap::{Parser, Subcommand};
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
    #[command(subcommand)]
    command: Option<Command>,
}

/// What else it can do than run.
#[derive(Debug, Subcommand)]
enum Command {
    /// Make this machine a host of a cluster.
    ///
    /// The token says which cluster: before anything is sent, whoever answers at the address must
    /// prove to be its coordinator. The key is made here and never leaves this machine. What the host
    /// is called, where the coordinator is and the address of this host are remembered; the
    /// configuration file may say otherwise.
    Join(JoinArgs),
}

/// How to join.
#[derive(Debug, clap::Args)]
struct JoinArgs {
    /// Where the coordinator is: IP:PORT.
    #[arg(value_name = "ADDRESS")]
    coordinator: SocketAddr,
    /// What `berth admin token create` printed; read from the standard input if it is `-`.
    token: String,
    /// The host's name in the cluster [default: `host` of the configuration file, or this machine's
    /// name]
    #[arg(long)]
    name: Option<HostName>,
    /// The address of this machine that the other hosts reach [default: the one by which it reaches
    /// the coordinator]
    #[arg(long, value_name = "IP")]
    advertise_address: Option<IpAddr>,
}

fn main() -> anyhow::Result<()> {
    // Also as keeper and as helper: what they are told has secrets in it.
    memory::keep_to_itself()?;
    berth_agent::keeper::main_if_keeper();
    berth_agent::host::storage::helper::main_if_helper();
    let args = Args::parse();
    log(args.log_json);
    if let Some(Command::Join(join)) = &args.command {
        return joined(&args, join);
    }
    let config = config(&args)?;
    privileges::check()?;
    let host = LinuxHost::new(LinuxConfig {
        data_dir: config.data_dir.clone(),
        run_dir: config.run_dir.clone(),
        log_dir: config.log_dir.clone(),
        pools: config.pools.clone(),
        policy: LocalPolicy {
            file: args.config,
            ..config.policy.clone()
        },
        self_reboot: args
            .record_reboots
            .map(SelfReboot::Recorded)
            .or_else(|| config.self_reboot.clone()),
        scopes: Scopes::here(),
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

fn file(args: &Args) -> anyhow::Result<ConfigFile> {
    let file = args.config.display().to_string();
    // Whatever it would say has a default.
    let text = trusted::read(&args.config)?.unwrap_or_default();
    let read = read_config::<ConfigFile>(&file, &text);
    read.map_err(|all| {
        let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
}

fn config(args: &Args) -> anyhow::Result<Config> {
    let file = file(args)?;
    let joined = Joined::read(&file.data_dir)?;
    file.or_joined(joined).try_into().map_err(|errors: Vec<_>| {
        let at = args.config.display();
        let line = |error| format!("{at}: {:#}", anyhow::Error::new(error));
        let lines: Vec<String> = errors.into_iter().map(line).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
}

/// Joins, and says so.
fn joined(args: &Args, join: &JoinArgs) -> anyhow::Result<()> {
    let file = file(args)?;
    let token = match join.token.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).context("cannot read the token")?,
        token => token.to_owned(),
    };
    let own_name = || nix::unistd::gethostname().ok()?.into_string().ok();
    let name = match (&join.name, &file.host) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) => name.parse().context("host of the configuration file")?,
        (None, None) => {
            let name = own_name().unwrap_or_default().to_lowercase();
            let name = name.split('.').next().unwrap_or_default().to_owned();
            name.parse().with_context(|| {
                format!("this machine's name '{name}' is no name of a host; give --name")
            })?
        }
    };
    let wish = Wish {
        coordinator: join.coordinator,
        token: token.parse()?,
        name,
        advertise_address: join.advertise_address.or(file.advertise_address),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(identity::join(wish, &file.data_dir))?;
    for (field, said, joined) in [
        ("host", file.host, done.host.to_string()),
        (
            "coordinator",
            file.coordinator,
            done.coordinator.to_string(),
        ),
    ] {
        if let Some(said) = said.filter(|said| *said != joined) {
            bail!(
                "the host joined as {} at {}, and {} says {field}: {said}; correct it",
                done.host,
                done.coordinator,
                args.config.display()
            );
        }
    }
    tracing::info!(
        host = %done.host, coordinator = %done.coordinator, address = %done.advertise_address,
        "joined; start the agent: systemctl enable --now berth-agent"
    );
    Ok(())
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
        supervisor::stopping();
        asked.cancel();
    });
    let ready = |members: Members| {
        supervisor::ready();
        tokio::spawn(supervisor::watchdog(move || members.clone().turn()));
    };
    let result = berth_agent::run(config, Arc::new(host), shutdown.clone(), ready).await;
    if let Err(error) = result {
        bail!(error);
    }
    Ok(())
}

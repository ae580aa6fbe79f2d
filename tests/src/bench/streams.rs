//! Ten thousand agents on one coordinator, over mTLS: what a stream holds in memory, what heartbeats cost,
//! and how long a change takes to reach them all. What it stands beside is a server of the same protocol
//! over the same TLS that knows nothing and only answers.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use berth_proto::{
    transport::{Endpoint, connect},
    v1::{ApplyRequest, Source, object_service_client::ObjectServiceClient},
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::time::interval_at;

use super::{
    Figure, Goal, Value, agents::Agents, daemon::Daemon, process, samples::Samples, server::Server,
};

/// Without optimization there are few: then the bench itself is looked at, not the figures.
const STREAMS: u32 = if cfg!(debug_assertions) { 100 } else { 10_000 };
/// How long heartbeats are watched.
const WINDOW: Duration = Duration::from_secs(20);
/// Changes that are measured.
const CHANGES: u32 = 10;
/// Of one stream, in KiB.
const GOAL_KIB: f64 = 40.0;
/// Of one core, in percent.
const GOAL_SHARE: f64 = 10.0;
/// Until the last stream has a change, in milliseconds.
const GOAL_CHANGE_MS: f64 = 250.0;

/// The figures.
///
/// # Errors
/// If an agent is refused, or a change does not reach all.
pub async fn run() -> anyhow::Result<Vec<Figure>> {
    // As many files as may be, here and for the servers, which get it from here.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let bed = Bed::new()?;
    let coordinator = Daemon::start(&bed.config, bed.folder.path())?;
    let ours = bed.ours(coordinator.pid()).await?;
    coordinator.stop()?;
    let data = bed.data.to_string_lossy().into_owned();
    let server = Server::start("serve-streams", &data)?;
    let peer = bed.peer(&server).await?;
    Ok(tell(ours, peer))
}

/// What was measured of one server.
struct Measured {
    kib: u64,
    share: f64,
    changes: Samples,
}

fn tell(ours: Measured, peer: Measured) -> Vec<Figure> {
    let beside = |value| ("a server that only answers", value);
    let figure = |what: &str, ours, peer, most| {
        let name = format!("{STREAMS} agents: {what}");
        Figure::new(name, ours, beside(peer)).goal(Goal::AtMost(most))
    };
    vec![
        figure(
            "memory of each",
            Value::Kib(ours.kib),
            Value::Kib(peer.kib),
            GOAL_KIB,
        ),
        figure(
            "heartbeats",
            Value::Share(ours.share),
            Value::Share(peer.share),
            GOAL_SHARE,
        ),
        figure(
            "a change for all",
            Value::Times(ours.changes),
            Value::Times(peer.changes),
            GOAL_CHANGE_MS,
        ),
    ]
}

struct Bed {
    folder: TempDir,
    config: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    address: SocketAddr,
}

impl Bed {
    fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("berth-bench-")
            .tempdir_in("/var/lib")?;
        let at = |name: &str| folder.path().join(name);
        let (config, data, socket) = (at("coordinator.yaml"), at("data"), at("api.sock"));
        // The part has a network of its own.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 7400));
        let text = format!(
            "listen: ['unix:{}', '{address}']\ndataDir: {}\nmetrics: {{listen: []}}\n",
            socket.display(),
            data.display(),
        );
        fs::write(&config, text)?;
        Ok(Self {
            folder,
            config,
            data,
            socket,
            address,
        })
    }

    async fn ours(&self, pid: u32) -> anyhow::Result<Measured> {
        let before = memory(pid)?;
        let agents = Agents::connect(&self.data, self.address, STREAMS).await?;
        let channel = connect(&Endpoint::Unix(self.socket.clone())).await?;
        let mut objects = ObjectServiceClient::new(channel);
        let mut changes = Samples::default();
        // With the first one, every stream is in step.
        for n in 0..=CHANGES {
            let (told, begun) = (agents.newest(), Instant::now());
            objects.apply(service(n)).await?;
            let time = agents.all_told_after(told).await - begun;
            if n > 0 {
                changes.push(time);
            }
        }
        watched(pid, before, changes).await
    }

    async fn peer(&self, server: &Server) -> anyhow::Result<Measured> {
        let before = memory(server.pid())?;
        let agents = Agents::connect(&self.data, server.address, STREAMS).await?;
        let mut changes = Samples::default();
        for n in 0..=CHANGES {
            let (told, begun) = (agents.newest(), Instant::now());
            agents.ask_for_a_change().await?;
            let time = agents.all_told_after(told).await - begun;
            if n > 0 {
                changes.push(time);
            }
        }
        watched(server.pid(), before, changes).await
    }
}

/// Watches the heartbeats for a while, and looks at the memory then.
async fn watched(pid: u32, before: u64, changes: Samples) -> anyhow::Result<Measured> {
    let took = || process::cpu(pid).context("the server is gone");
    let mut end = interval_at(tokio::time::Instant::now() + WINDOW, WINDOW);
    let (first, begun) = (took()?, Instant::now());
    end.tick().await;
    let busy = took()?.saturating_sub(first);
    Ok(Measured {
        kib: memory(pid)?.saturating_sub(before) / u64::from(STREAMS),
        share: 100.0 * busy.as_secs_f64() / begun.elapsed().as_secs_f64(),
        changes,
    })
}

fn memory(pid: u32) -> anyhow::Result<u64> {
    let memory = process::memory(pid).context("the server is gone")?;
    Ok(memory.resident)
}

/// A service whose name is new, so the zone of every host changes. A set would have members that these
/// agents do not run, and be planned again and again.
fn service(n: u32) -> ApplyRequest {
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: s{n} }}\n\
         spec: {{ clusterIP: None, selector: {{ app: none }} }}\n"
    );
    let source = Source {
        file: "bench.yaml".into(),
        text,
    };
    ApplyRequest {
        sources: vec![source],
        confirmed: true,
        ..ApplyRequest::default()
    }
}

/// The authority that the coordinator made, in its data directory.
pub(super) fn authority(data: &Path) -> anyhow::Result<berth_pki::Authority> {
    let now = berth_coordinator::clock::Clock::start().now();
    Ok(berth_pki::Authority::open(&data.join("pki"), now)?)
}

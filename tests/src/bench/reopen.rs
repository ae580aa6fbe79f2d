//! From the exec of the coordinator on the store of a large fleet to its first answers: a read, and a
//! welcome to an agent. What it stands beside is the time that it takes to read the same file, with
//! what the kernel has of it in memory and without.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use berth_core::state::{HostRecord, State};
use berth_proto::{
    transport::{self, Endpoint},
    v1::{
        AgentMessage, ListMembersRequest, agent_message, agent_service_client::AgentServiceClient,
        coordinator_message::Message, member_service_client::MemberServiceClient,
    },
};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use tempfile::TempDir;
use tonic::transport::Channel;

use super::{Figure, Goal, Value, agents::hello, daemon::Daemon, fleet, process, samples::Samples};

/// The fleet. Without optimization it is small: then the bench itself is looked at, not the figures.
const MEMBERS: u32 = if cfg!(debug_assertions) {
    2_000
} else {
    100_000
};
const HOSTS: u32 = MEMBERS / 100;
/// How often it is started, each way.
const ROUNDS: usize = 5;
/// From the exec to the first answers, in milliseconds.
const GOAL_MS: f64 = 1e3;

/// The figures.
///
/// # Errors
/// If the store cannot be written, or the coordinator does not answer.
pub async fn run() -> anyhow::Result<Vec<Figure>> {
    let bed = Bed::new().await?;
    let mut cold = Times::default();
    let mut warm = Times::default();
    let mut killed = Times::default();
    let mut resident = 0;
    for _ in 0..ROUNDS {
        forget(&bed.store)?;
        cold.beside.push(read(&bed.store)?);
        forget(&bed.store)?;
        bed.start(&mut cold).await?.stop()?;
        warm.beside.push(read(&bed.store)?);
        bed.start(&mut warm).await?.stop()?;
        // One that is killed leaves a file that was not closed.
        let mut ignored = Times::default();
        bed.start(&mut ignored).await?.kill()?;
        killed.beside.push(read(&bed.store)?);
        let coordinator = bed.start(&mut killed).await?;
        let memory = process::memory(coordinator.pid()).context("the coordinator is gone")?;
        resident = memory.resident;
        coordinator.stop()?;
    }
    let size = fs::metadata(&bed.store)?.len() / 1024;
    let sizes = Figure::new(
        format!("coordinator with {MEMBERS} members: memory"),
        Value::Kib(resident),
        ("its store", Value::Kib(size)),
    );
    let ways = [
        ("file not in memory", cold),
        ("file in memory", warm),
        ("after a kill", killed),
    ];
    let figures = ways.into_iter().flat_map(|(how, times)| times.tell(how));
    Ok(figures.chain([sizes]).collect())
}

#[derive(Debug, Default)]
struct Times {
    read: Samples,
    hello: Samples,
    beside: Samples,
}

impl Times {
    fn tell(self, how: &str) -> [Figure; 2] {
        let beside = Value::Times(self.beside);
        [("a read", self.read), ("a welcome", self.hello)].map(|(what, times)| {
            let name = format!("restart with {MEMBERS} members to {what}, {how}");
            let beside = ("the file read", beside.clone());
            Figure::new(name, Value::Times(times), beside).goal(Goal::AtMost(GOAL_MS))
        })
    }
}

/// A store, and what it takes to run a coordinator on it.
struct Bed {
    folder: TempDir,
    config: PathBuf,
    store: PathBuf,
    fleet: State,
}

impl Bed {
    async fn new() -> anyhow::Result<Self> {
        // Not below /tmp, which may be memory.
        let folder = tempfile::Builder::new()
            .prefix("berth-bench-")
            .tempdir_in("/var/lib")?;
        let config = folder.path().join("coordinator.yaml");
        let data = folder.path().join("data");
        let text = format!(
            "listen: ['unix:{}']\ndataDir: {}\nmetrics: {{listen: []}}\n",
            folder.path().join("api.sock").display(),
            data.display(),
        );
        fs::write(&config, text)?;
        let fleet = fleet::decided(MEMBERS, HOSTS)?;
        fleet::write(&config, &fleet).await?;
        Ok(Self {
            store: data.join(berth_coordinator::store::FILE),
            folder,
            config,
            fleet,
        })
    }

    /// Starts the coordinator and takes the times until it answers.
    async fn start(&self, times: &mut Times) -> anyhow::Result<Daemon> {
        let begun = Instant::now();
        let running = Daemon::start(&self.config, self.folder.path())?;
        let socket = self.folder.path().join("api.sock");
        let channel = transport::connect(&Endpoint::Unix(socket)).await?;
        list(channel.clone()).await?;
        times.read.push(begun.elapsed());
        let host = self.fleet.hosts.values().next().context("a host")?;
        let stream = welcome(channel, host.record.clone()).await?;
        times.hello.push(begun.elapsed());
        drop(stream);
        Ok(running)
    }
}

async fn list(channel: Channel) -> anyhow::Result<()> {
    let request = ListMembersRequest {
        namespace: "default".into(),
        set: "s0".into(),
    };
    let mut client = MemberServiceClient::new(channel);
    let members = client.list(request).await?.into_inner().members;
    anyhow::ensure!(members.len() == fleet::REPLICAS as usize, "{members:?}");
    Ok(())
}

/// Connects as the agent of a host, and waits until the coordinator takes what it says.
async fn welcome(channel: Channel, host: HostRecord) -> anyhow::Result<impl Sized> {
    let message = AgentMessage {
        message: Some(agent_message::Message::Hello(hello(host).into())),
    };
    let (send, queue) = tokio::sync::mpsc::channel(1);
    send.send(message).await?;
    let queue = tokio_stream::wrappers::ReceiverStream::new(queue);
    let mut client = AgentServiceClient::new(channel);
    let mut incoming = client.session(queue).await?.into_inner();
    let first = incoming
        .message()
        .await?
        .and_then(|message| message.message);
    anyhow::ensure!(matches!(first, Some(Message::Welcome(_))), "{first:?}");
    Ok((send, incoming))
}

/// Has the kernel forget what it has of a file in memory.
fn forget(file: &Path) -> io::Result<()> {
    let file = File::open(file)?;
    file.sync_all()?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(())
}

/// How long it takes to read a file.
fn read(file: &Path) -> io::Result<Duration> {
    let begun = Instant::now();
    let mut file = File::open(file)?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(begun.elapsed())
}

//! Very many agents in one process, each with a certificate and a connection of its own. They are light: they
//! renew, take what comes, and acknowledge it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use berth_coordinator::clock::Clock;
use berth_core::{
    history::Heard,
    ids::BootId,
    lease::{Leases, renew_every},
    state::{HostDirectives, HostRecord, ZoneHead},
};
use berth_pki::{Authority, Credentials, Subject, request::Request, tls};
use berth_proto::{
    convert::hello::Hello,
    transport::{ClientTls, Endpoint, Remote},
    v1::{
        AgentMessage, CoordinatorMessage, OrderAck, Pools, Renew, Report, ZoneAck,
        agent_message::Message as Up, agent_service_client::AgentServiceClient,
        coordinator_message::Message as Down,
    },
};
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval_at},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::streams::authority;

/// Connections that are opened at the same time.
const OPENING: usize = 64;
/// A certificate's life: longer than any run of this.
const LIFE: Duration = Duration::from_secs(24 * 3600);

/// All of them. They end with it.
#[derive(Debug)]
pub struct Agents {
    told: Arc<Told>,
    /// A way up from one of them.
    first: mpsc::Sender<AgentMessage>,
    _tasks: JoinSet<()>,
}

/// How many have which zone, and when the last one got it.
#[derive(Debug)]
struct Told {
    all: usize,
    counts: Mutex<BTreeMap<u64, usize>>,
    /// The newest zone that all have, and since when.
    newest: watch::Sender<(u64, Instant)>,
}

impl Told {
    fn take(&self, serial: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(serial).or_default();
        *count += 1;
        if *count == self.all {
            self.newest.send_replace((serial, Instant::now()));
        }
    }
}

impl Agents {
    /// Connects so many to a server whose authority is in a coordinator's data directory.
    ///
    /// # Errors
    /// If one is refused.
    pub async fn connect(data: &Path, server: SocketAddr, count: u32) -> anyhow::Result<Self> {
        let authority = authority(data)?;
        // One key for all: who they are, the certificates say.
        let key = Request::new()?;
        let told = Arc::new(Told {
            all: usize::try_from(count)?,
            counts: Mutex::default(),
            newest: watch::Sender::new((0, Instant::now())),
        });
        let open = (0..count).map(|n| Agent::open(&authority, &key, server, n));
        let open = iter(open).buffer_unordered(OPENING);
        let open: Vec<Agent> = open.try_collect().await?;
        let first = open.first().context("an agent")?.up.clone();
        let mut tasks = JoinSet::new();
        for (n, agent) in (0..).zip(open) {
            let told = Arc::clone(&told);
            tasks.spawn(async move {
                if let Err(error) = agent.serve(&told, n).await {
                    // Whoever waits for what all have waits in vain, and is told why.
                    tell(&error);
                }
            });
        }
        Ok(Self {
            told,
            first,
            _tasks: tasks,
        })
    }

    /// The newest zone that all have.
    pub fn newest(&self) -> u64 {
        self.told.newest.borrow().0
    }

    /// When the last one got a newer zone than this.
    pub async fn all_told_after(&self, before: u64) -> Instant {
        let mut newest = self.told.newest.subscribe();
        let reached = newest.wait_for(|(serial, _)| *serial > before).await;
        reached.map_or_else(|_| Instant::now(), |reached| reached.1)
    }

    /// Has a server that only answers tell all of them something new.
    ///
    /// # Errors
    /// If it is gone.
    pub async fn ask_for_a_change(&self) -> anyhow::Result<()> {
        send(&self.first, Up::Pools(Pools::default())).await
    }
}

/// Standard error is where a bench tells of what goes on.
#[expect(clippy::print_stderr, reason = "a bench is looked at by a person")]
fn tell(error: &anyhow::Error) {
    eprintln!("bench: an agent ended: {error:#}");
}

struct Agent {
    up: mpsc::Sender<AgentMessage>,
    down: Streaming<CoordinatorMessage>,
}

impl Agent {
    async fn open(
        authority: &Authority,
        key: &Request,
        server: SocketAddr,
        n: u32,
    ) -> anyhow::Result<Self> {
        let record = record(n)?;
        let subject = Subject::Host(record.name.clone());
        let now = Clock::start().now();
        let certificate = authority.issue(&subject, key.csr(), now, LIFE)?;
        let credentials = Credentials::new(&key.key_pem(), &certificate, authority.pem())?;
        let remote = Remote {
            endpoint: Endpoint::Tcp(server),
            tls: Some(ClientTls::new(tls::client(&credentials)?)),
        };
        let mut client = AgentServiceClient::new(remote.connect().await?);
        let (up, queue) = mpsc::channel(16);
        send(&up, Up::Hello(hello(record).into())).await?;
        let answer = client.session(ReceiverStream::new(queue)).await?;
        let mut down = answer.into_inner();
        let first = down.message().await?.and_then(|first| first.message);
        anyhow::ensure!(matches!(first, Some(Down::Welcome(_))), "{first:?}");
        let report = Report {
            number: 1,
            complete: true,
            ..Report::default()
        };
        send(&up, Up::Report(report)).await?;
        Ok(Self { up, down })
    }

    async fn serve(mut self, told: &Told, n: u32) -> anyhow::Result<()> {
        let every = renew_every(Leases::default().default);
        // Not all at the same moment.
        let first = every * (n % 1000) / 1000;
        let mut renew = interval_at(tokio::time::Instant::now() + first, every);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut number = 0;
        loop {
            tokio::select! {
                message = self.down.message() => {
                    let message = message?.context("the stream has ended")?;
                    self.take(told, message).await?;
                }
                _ = renew.tick() => {
                    number += 1;
                    send(&self.up, Up::Renew(Renew { number })).await?;
                }
            }
        }
    }

    async fn take(&self, told: &Told, message: CoordinatorMessage) -> anyhow::Result<()> {
        match message.message {
            Some(Down::Order(order)) => {
                let head = order.head.unwrap_or_default();
                let report = Report {
                    number: head.generation + 1,
                    generation: head.generation,
                    ..Report::default()
                };
                let ack = OrderAck {
                    head: Some(head),
                    refusal: String::new(),
                };
                send(&self.up, Up::OrderAck(ack)).await?;
                send(&self.up, Up::Report(report)).await
            }
            Some(Down::Zone(zone)) if zone.last => {
                told.take(zone.serial);
                let ack = ZoneAck {
                    serial: zone.serial,
                    hash: zone.hash,
                };
                send(&self.up, Up::ZoneAck(ack)).await
            }
            _ => Ok(()),
        }
    }
}

async fn send(up: &mpsc::Sender<AgentMessage>, message: Up) -> anyhow::Result<()> {
    let message = AgentMessage {
        message: Some(message),
    };
    up.send(message).await.context("the stream has ended")
}

/// The first words of an agent that has nothing yet.
pub(super) fn hello(host: HostRecord) -> Hello {
    Hello {
        host,
        pools_known: true,
        boot: BootId("boot".to_owned()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        heard: Heard::default(),
        zone: ZoneHead::default(),
    }
}

fn record(n: u32) -> anyhow::Result<HostRecord> {
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 1));
    Ok(HostRecord {
        name: format!("host-{n}").parse()?,
        advertise_address: Ipv4Addr::from(first + n).into(),
        labels: BTreeMap::new(),
        pools: BTreeMap::new(),
        controllers: [].into(),
        self_fences: false,
        watchdog: false,
        unschedulable: false,
        machine_id: format!("machine-{n}"),
        product_uuid: String::new(),
        agent_labels: BTreeMap::new(),
        directives: HostDirectives::default(),
    })
}

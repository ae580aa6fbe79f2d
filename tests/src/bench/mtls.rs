//! What mutual TLS costs: the same calls to one coordinator over its unix socket, where root needs no
//! certificate, and over TCP, where everybody does. Both in turn, so that what else the machine does falls on
//! both. The other parts use what `berth dev` uses: operators the socket, agents TCP with mutual TLS.
//!
//! There is no resumed handshake to measure: neither side keeps sessions, so that nobody whose certificate was
//! revoked comes back on an old one.

use std::time::{Duration, Instant};

use berth_pki::{Subject, request::Request};
use berth_proto::{
    transport::{self, Endpoint, Remote},
    v1::{
        ApplyRequest, CreateUserRequest, GetRequest, ObjectRef, Source, WatchEvent, WatchRequest,
        access_service_client::AccessServiceClient, object_service_client::ObjectServiceClient,
        watch_event::Type,
    },
};
use tokio::task::JoinSet;
use tonic::{Streaming, transport::Channel};

use super::{Figure, Value, samples::Samples};
use crate::attack::{self, Bed};

/// Changes, and calls that change nothing.
const CHANGES: usize = 300;
const CALLS: usize = 2000;
/// Watches that hear each change, and changes that they hear.
const WATCHES: usize = 100;
const HEARD: usize = 50;
/// New connections, one after another, and how many are opened at the same time to see how many there can be.
const CONNECTIONS: usize = 200;
const AT_ONCE: usize = 8;

/// The size of a text that is sent in bulk: a ConfigMap may have a mebibyte at most.
const BULK: usize = 512 << 10;
const BULKS: usize = 40;

/// The figures.
///
/// # Errors
/// If a call is refused.
pub async fn run() -> anyhow::Result<Vec<Figure>> {
    // One caller makes more calls in a second here than a coordinator takes from one caller.
    let bed = Bed::start_with(|config| config.limits.allowance.per_second = u32::MAX).await;
    let ways = Ways::new(&bed).await?;
    let (opened, calls) = (ways.connections().await?, ways.calls().await?);
    let small = ways.changes(CHANGES, "small", 1).await?;
    let bulk = ways.changes(BULKS, "bulk", BULK).await?;
    let heard = ways.watches().await?;
    let (secured, plain) = ways.opened_at_once().await?;
    let beside = |name: &str, pair: Pair| {
        let plain = ("unix socket", Value::Times(pair.plain));
        Figure::new(
            format!("{name}, mutual TLS"),
            Value::Times(pair.secured),
            plain,
        )
    };
    Ok(vec![
        beside("connection and its first call", opened),
        Figure::new(
            "connections and first calls, mutual TLS",
            Value::Rate(secured),
            ("unix socket", Value::Rate(plain)),
        ),
        beside("call that changes nothing", calls),
        beside("durable change", small),
        beside("durable change of 512 KiB", bulk),
        beside("change to the last of 100 watches", heard),
    ])
}

/// Times of the same over both.
#[derive(Default)]
struct Pair {
    plain: Samples,
    secured: Samples,
}

impl Pair {
    fn push(&mut self, number: usize, time: Duration) {
        match number % 2 {
            0 => self.plain.push(time),
            _ => self.secured.push(time),
        }
    }
}

/// The two ways to the coordinator: first the plain one.
struct Ways {
    remotes: [Remote; 2],
    open: [ObjectServiceClient<Channel>; 2],
}

impl Ways {
    async fn new(bed: &Bed) -> anyhow::Result<Self> {
        let request = CreateUserRequest {
            name: "bench".to_owned(),
            role: "admin".to_owned(),
            csr: Request::new()?.csr().to_vec(),
            ..CreateUserRequest::default()
        };
        AccessServiceClient::new(bed.root().await)
            .create_user(request)
            .await?;
        let user = Subject::User("bench".parse()?);
        let plain = Remote {
            endpoint: Endpoint::Unix(bed.path("c.sock")),
            tls: None,
        };
        let remotes = [plain, bed.certified(&user, attack::now())];
        let [plain, secured] = [&remotes[0], &remotes[1]].map(Remote::connect);
        let open = [plain.await?, secured.await?].map(client);
        Ok(Self { remotes, open })
    }

    /// Both in turn.
    async fn calls(&self) -> anyhow::Result<Pair> {
        let mut times = Pair::default();
        let mut open = self.open.clone();
        for n in 0..CALLS * 2 {
            let start = Instant::now();
            ask(&mut open[n % 2]).await?;
            times.push(n, start.elapsed());
        }
        Ok(times)
    }

    async fn connections(&self) -> anyhow::Result<Pair> {
        let mut times = Pair::default();
        for n in 0..CONNECTIONS * 2 {
            let start = Instant::now();
            open_and_ask(&self.remotes[n % 2]).await?;
            times.push(n, start.elapsed());
        }
        Ok(times)
    }

    /// So many per second over TLS, and without.
    async fn opened_at_once(&self) -> anyhow::Result<(f64, f64)> {
        let mut rates = [0.0; 2];
        for (rate, remote) in rates.iter_mut().zip(&self.remotes) {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for _ in 0..AT_ONCE {
                let remote = remote.clone();
                tasks.spawn(async move {
                    for _ in 0..CONNECTIONS / AT_ONCE {
                        open_and_ask(&remote).await?;
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(done) = tasks.join_next().await {
                done??;
            }
            let count = u32::try_from(CONNECTIONS)?;
            *rate = f64::from(count) / start.elapsed().as_secs_f64();
        }
        let [plain, secured] = rates;
        Ok((secured, plain))
    }

    async fn changes(&self, count: usize, name: &str, size: usize) -> anyhow::Result<Pair> {
        let mut times = Pair::default();
        let mut open = self.open.clone();
        for n in 0..count * 2 {
            times.push(n, apply(&mut open[n % 2], name, n, size).await?);
        }
        Ok(times)
    }

    /// From the call that changes something to the last watch that hears of it, all of them on one
    /// connection, which is what a proxy or a busy client has.
    async fn watches(&self) -> anyhow::Result<Pair> {
        let mut times = Pair::default();
        for way in 0..2 {
            let mut open = self.open[way].clone();
            let mut watches = Vec::new();
            for _ in 0..WATCHES {
                watches.push(watch(&mut open).await?);
            }
            for n in 0..HEARD {
                let start = Instant::now();
                apply(&mut open, "heard", n + way * HEARD, 1).await?;
                for watch in &mut watches {
                    until(watch, |event| event.r#type() != Type::Synced).await?;
                }
                times.push(way, start.elapsed());
            }
        }
        Ok(times)
    }
}

fn client(channel: Channel) -> ObjectServiceClient<Channel> {
    ObjectServiceClient::new(channel)
}

async fn open_and_ask(remote: &Remote) -> anyhow::Result<()> {
    let channel = match &remote.tls {
        Some(_) => remote.connect().await?,
        None => transport::connect(&remote.endpoint).await?,
    };
    ask(&mut client(channel)).await
}

/// Asks for what there is not: the smallest answer.
async fn ask(client: &mut ObjectServiceClient<Channel>) -> anyhow::Result<()> {
    let request = GetRequest {
        r#ref: Some(ObjectRef {
            kind: "ConfigMap".to_owned(),
            namespace: "default".to_owned(),
            name: "none".to_owned(),
        }),
        ..GetRequest::default()
    };
    match client.get(request).await {
        Err(status) if status.code() == tonic::Code::NotFound => Ok(()),
        Err(status) => Err(status.into()),
        Ok(_) => anyhow::bail!("there is such a thing"),
    }
}

async fn apply(
    client: &mut ObjectServiceClient<Channel>,
    name: &str,
    number: usize,
    size: usize,
) -> anyhow::Result<Duration> {
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\n\
         data: {{ number: '{number}', text: '{}' }}\n",
        "x".repeat(size)
    );
    let source = Source {
        file: "bench.yaml".to_owned(),
        text,
    };
    let request = ApplyRequest {
        sources: vec![source],
        confirmed: true,
        ..ApplyRequest::default()
    };
    let start = Instant::now();
    client.apply(request).await?;
    Ok(start.elapsed())
}

/// A watch that has been sent what there is.
async fn watch(client: &mut ObjectServiceClient<Channel>) -> anyhow::Result<Streaming<WatchEvent>> {
    let request = WatchRequest {
        kind: "ConfigMap".to_owned(),
        namespace: "default".to_owned(),
        after_revision: None,
    };
    let mut watch = client.watch(request).await?.into_inner();
    until(&mut watch, |event| event.r#type() == Type::Synced).await?;
    Ok(watch)
}

async fn until(
    watch: &mut Streaming<WatchEvent>,
    wanted: impl Fn(&WatchEvent) -> bool,
) -> anyhow::Result<()> {
    while let Some(event) = watch.message().await? {
        if wanted(&event) {
            return Ok(());
        }
    }
    anyhow::bail!("a watch ended before it heard of the change")
}

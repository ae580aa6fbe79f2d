//! From an order on the agent's stream to the `main` of the member's process. The coordinator is
//! played, so that nothing but the agent and the keeper is in the time; what the kernel takes for
//! a start in such namespaces is measured beside it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use anyhow::Context as _;
use berth_core::{
    ids::{Epoch, Generation, HistoryId, MemberId, Ordinal, TemplateHash, Term, ZoneSerial},
    order::{ConfigData, Desired, MemberOrder, Peer, RenderValues, grouped, order_hash},
    spec::{MemberSpec, Process},
    zone::{RecordData, Zone},
};
use berth_proto::{
    transport::Endpoint,
    v1::{self, agent_message::Message as FromAgent, coordinator_message::Message as ToAgent},
};

use super::{
    Figure, Goal, Value,
    marks::{Marks, now},
    played::Session,
    samples::Samples,
};
use crate::{machine, wait};

/// Orders, each with one more member.
const ORDERS: u32 = 40;
/// Order to `main` without what the namespaces take, in milliseconds.
const GOAL: f64 = 1.5;
const HISTORY: &str = "bench";
const TERM: u64 = 1;

/// The figures.
///
/// # Errors
/// If the agent or a member does not start.
pub async fn run() -> anyhow::Result<Vec<Figure>> {
    let mut marks = Marks::new().context("the payload's folder in /var/lib")?;
    let plain = direct(&mut marks, "mark")?;
    let apart = direct(&mut marks, "apart")?;
    let ours = ordered(&mut marks).await?;
    let most = GOAL + millis(&apart) - millis(&plain);
    let apart = Value::Times(apart);
    Ok(vec![
        Figure::new(
            "namespaces and mounts, to main",
            apart.clone(),
            ("spawn to main", Value::Times(plain)),
        ),
        Figure::new(
            "order to main",
            Value::Times(ours),
            ("namespaces and mounts", apart),
        )
        .goal(Goal::AtMost(most)),
    ])
}

fn millis(samples: &Samples) -> f64 {
    samples.p50().unwrap_or_default().as_secs_f64() * 1e3
}

/// From spawn to `main`, without Berth.
fn direct(marks: &mut Marks, how: &str) -> io::Result<Samples> {
    let mut times = Samples::default();
    for i in 0..ORDERS {
        let name = format!("{how}-{i}.");
        let start = now()?;
        let mut child = Command::new(marks.payload())
            .arg(how)
            .arg(marks.fifo())
            .arg(&name)
            .spawn()?;
        times.push(marks.wait()?.at - start);
        for pid in machine::processes_with(&[" mark ", &name]) {
            machine::kill_9(pid);
        }
        child.wait()?;
    }
    Ok(times)
}

async fn ordered(marks: &mut Marks) -> anyhow::Result<Samples> {
    let folder = tempfile::tempdir()?;
    let socket = Endpoint::Unix(folder.path().join("coordinator.sock"));
    let mut session = Session::listen(&socket).await?;
    let agent = Agent::start(folder.path(), &socket)?;
    let is_hello = |message: &FromAgent| matches!(message, FromAgent::Hello(_));
    session
        .until("hello", is_hello)
        .await
        .with_context(|| agent.log())?;
    session.send(ToAgent::Welcome(welcome())).await?;
    session.send(ToAgent::Zone(zone()?)).await?;
    let is_zone = |message: &FromAgent| matches!(message, FromAgent::ZoneAck(_));
    session
        .until("acknowledgement of the zone", is_zone)
        .await?;

    let mut members = BTreeMap::new();
    let mut times = Samples::default();
    for ordinal in 0..ORDERS {
        let order = member(marks, ordinal)?;
        let message = change(&mut members, u64::from(ordinal) + 1, vec![order])?;
        let start = now()?;
        session.send(ToAgent::Order(message)).await?;
        times.push(marks.wait()?.at - start);
    }
    let stops = members.values().cloned().map(|order| MemberOrder {
        desired: Desired::Stop,
        ..order
    });
    let stops = stops.collect();
    let message = change(&mut members, u64::from(ORDERS) + 1, stops)?;
    session.send(ToAgent::Order(message)).await?;
    // The agent removes a member's cgroup, then its run directory; one that is killed before
    // leaves the cgroups on this machine.
    let runs = folder.path().join("run");
    wait::until("the members to be cleaned up", async || {
        let left: Vec<_> = fs::read_dir(&runs)
            .map_err(|error| vec![error.to_string()])?
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name.contains("order-"))
            .collect();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    Ok(times)
}

/// A real agent, killed when dropped.
struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    fn start(folder: &Path, coordinator: &Endpoint) -> anyhow::Result<Self> {
        let at = folder.display();
        let config = folder.join("agent.yaml");
        fs::write(
            &config,
            format!(
                "host: bench\ncoordinator: '{coordinator}'\nadvertiseAddress: 127.77.0.99\n\
                 pools: {{}}\ndataDir: {at}/data\nrunDir: {at}/run\nlogDir: {at}/log\n\
                 local: 'unix:{at}/agent.sock'\n\
                 dns: {{ listen: ['127.0.0.199:53'], upstreams: [] }}\n"
            ),
        )?;
        let log = folder.join("agent.log");
        let child = Command::new(machine::program("berth-agent"))
            .arg("--config")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()
            .context("berth-agent")?;
        Ok(Self { child, log })
    }

    /// What it said, for failures.
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn welcome() -> v1::Welcome {
    v1::Welcome {
        history: HISTORY.into(),
        term: TERM,
        former: Vec::new(),
        lease_ms: 60_000,
    }
}

fn id(ordinal: u32) -> anyhow::Result<MemberId> {
    Ok(MemberId {
        set: "default/order".parse()?,
        ordinal: Ordinal(ordinal),
    })
}

fn fqdn(id: &MemberId) -> String {
    format!("{}.order.default.svc.berth.internal", id.name())
}

fn address(id: &MemberId) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 77, 9, 0)) + id.ordinal.0)
}

fn zone() -> anyhow::Result<v1::Zone> {
    let mut zone = Zone {
        origin: "berth.internal".into(),
        serial: ZoneSerial(1),
        ..Zone::default()
    };
    for ordinal in 0..ORDERS {
        let id = id(ordinal)?;
        let record = RecordData::A(address(&id));
        zone.records.insert(fqdn(&id), vec![record]);
    }
    let records = zone.records.iter();
    let records = records.map(|set| serde_json::to_vec(&set).map(Into::into));
    Ok(v1::Zone {
        serial: zone.serial.0,
        hash: zone.hash().to_string(),
        chunk: 0,
        last: true,
        origin: zone.origin.clone(),
        records: records.collect::<Result<_, _>>()?,
    })
}

fn member(marks: &Marks, ordinal: u32) -> anyhow::Result<MemberOrder> {
    let id = id(ordinal)?;
    let command = [
        marks.payload().display().to_string(),
        "mark".into(),
        marks.fifo().display().to_string(),
        id.name(),
    ];
    let process = Process {
        name: "payload".into(),
        command: command.into(),
        user: Some("nobody".into()),
        ..Process::default()
    };
    let own = Peer {
        name: id.name(),
        fqdn: fqdn(&id),
        address: address(&id).to_string(),
        ordinal: id.ordinal,
        host_labels: BTreeMap::new(),
    };
    Ok(MemberOrder {
        epoch: Epoch {
            term: Term(TERM),
            counter: 1,
        },
        desired: Desired::Run,
        revision: TemplateHash("bench".into()),
        lease: None,
        depends_on: Vec::new(),
        template: Arc::new(MemberSpec {
            processes: vec![process],
            termination_grace_period_seconds: Some(2),
            ..MemberSpec::default()
        }),
        values: RenderValues {
            namespace: "default".into(),
            set: "order".into(),
            member: own.name.clone(),
            ordinal,
            replicas: ORDERS,
            fqdn: own.fqdn.clone(),
            address: own.address.clone(),
            peers: [own].into(),
            ..RenderValues::default()
        },
        volumes: Vec::new(),
        config: ConfigData::default(),
        member: id,
    })
}

/// The order as the change against the one before.
fn change(
    members: &mut BTreeMap<MemberId, MemberOrder>,
    generation: u64,
    upserts: Vec<MemberOrder>,
) -> anyhow::Result<v1::Order> {
    for order in &upserts {
        members.insert(order.member.clone(), order.clone());
    }
    let head = v1::OrderHead {
        history: HistoryId(HISTORY.into()).to_string(),
        term: TERM,
        generation: Generation(generation).0,
        hash: order_hash(members).to_string(),
    };
    let upserts = grouped(&upserts);
    let upserts = upserts.iter().map(serde_json::to_vec);
    Ok(v1::Order {
        head: Some(head),
        base: generation.checked_sub(1).filter(|base| *base > 0),
        upserts: upserts.collect::<Result<_, _>>()?,
        removals: Vec::new(),
    })
}

//! What it costs to decide: on one changed set among few others and among many, and on one large set.
//! Core alone, without a store or an agent: each agent does at once what it is to do. Times are CPU
//! time of the thread that decides, so that what else the machine does is not taken for a plan's work.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context as _;
use berth_core::{
    decide::Decider,
    ids::{HostName, MemberId, ObjectKey, Ordinal, SetKey, Uid},
    manifest::{Source, parse},
    report::{MemberReport, Phase},
    spec::{Object, StatefulSetSpec},
    state::{Contact, Host, HostDirectives, HostRecord, Observation, Ordered, Set, State},
    time::Timestamp,
    volume::PoolInfo,
};
use rustix::time::{ClockId, clock_gettime};

use super::{Figure, Goal, Value, samples::Samples};

/// Hosts of the cluster.
const HOSTS: u8 = 40;
/// How many sets there are beside the one that changes.
const FEW: u32 = 10;
/// The same, for the figures that stand beside few.
const MANY: [u32; 2] = [1_000, 10_000];
/// Updates of each cluster that are measured in one go, and how often.
const UPDATES: u32 = 20;
const TURNS: u32 = 5;
/// Changes of the large set that are measured.
const CHANGES: u32 = 50;
/// More rounds than an update of three members takes.
const ROUNDS: u32 = 200;
/// How much more a plan may cost among many sets than among few.
const RATIO: f64 = 1.2;
/// Members of the large set.
const LARGE: u32 = 1_000;
/// How long a plan of the large set may take, in milliseconds.
const LARGE_MS: f64 = 5.0;

/// The figures.
///
/// # Errors
/// If a set does not come to rest.
pub fn run() -> anyhow::Result<Vec<Figure>> {
    let (few, many) = updates()?;
    let ratios = MANY.iter().zip(many).map(|(others, times)| {
        Figure::new(
            format!("update of 1 set, {others} others, per plan"),
            Value::Times(times),
            (format!("{FEW} others"), Value::Times(few.clone())),
        )
        .goal(Goal::RatioAtMost(RATIO))
    });
    let (report, change) = large()?;
    let large = [
        (format!("1 report of a set of {LARGE}, plan"), report),
        (format!("new template for a set of {LARGE}, plan"), change),
    ];
    let large = large.map(|(name, times)| {
        let nothing = Value::Missing("see the goal".to_owned());
        Figure::new(name, Value::Times(times), ("nothing", nothing)).goal(Goal::AtMost(LARGE_MS))
    });
    Ok(ratios.chain(large).collect())
}

/// The times of the plans that updates of single sets take, among few others and among many. The
/// clusters take turns, so that what else the machine does meanwhile slows all of them alike.
fn updates() -> anyhow::Result<(Samples, Vec<Samples>)> {
    let mut few = Updates::among(FEW)?;
    let many = MANY.iter().map(|others| Updates::among(*others));
    let mut many = many.collect::<anyhow::Result<Vec<_>>>()?;
    for _ in 0..TURNS {
        few.turn()?;
        for one in &mut many {
            one.turn()?;
        }
    }
    let many = many.into_iter().map(|one| one.samples);
    Ok((few.samples, many.collect()))
}

/// A cluster whose sets are updated one after the other.
struct Updates {
    cluster: Cluster,
    sets: u32,
    done: u32,
    samples: Samples,
}

impl Updates {
    fn among(others: u32) -> anyhow::Result<Self> {
        let sets = others + 1;
        let mut cluster = Cluster::new()?;
        for n in 0..sets {
            cluster.put(&name(n)?, 3, 0);
        }
        cluster.settle()?;
        Ok(Self {
            cluster,
            sets,
            done: 0,
            samples: Samples::default(),
        })
    }

    fn turn(&mut self) -> anyhow::Result<()> {
        for _ in 0..UPDATES {
            let set = name(self.done * 97 % self.sets)?;
            self.done += 1;
            self.cluster.put(&set, 3, self.done);
            self.update(&set);
        }
        Ok(())
    }

    fn update(&mut self, set: &SetKey) {
        let cluster = &mut self.cluster;
        for _ in 0..ROUNDS {
            let (time, idle) = cluster.decide();
            self.samples.push(time);
            cluster.agents(std::slice::from_ref(set));
            if idle && cluster.decide().1 {
                return;
            }
        }
    }
}

/// The times of plans for the large set: when one of its members reports, and when its template
/// changes.
fn large() -> anyhow::Result<(Samples, Samples)> {
    let mut cluster = Cluster::new()?;
    let set = name(0)?;
    cluster.put(&set, LARGE, 0);
    cluster.settle()?;
    let mut reports = Samples::default();
    for n in 0..CHANGES {
        let member = MemberId {
            set: set.clone(),
            ordinal: Ordinal(n * 7 % LARGE),
        };
        cluster.report(&member, false);
        reports.push(cluster.decide().0);
        cluster.report(&member, true);
        reports.push(cluster.decide().0);
    }
    let mut changes = Samples::default();
    for n in 0..CHANGES {
        let before = cluster.state.clone();
        cluster.put(&set, LARGE, n + 1);
        changes.push(cluster.decide().0);
        cluster.state = before;
        // It goes back, and is at rest again.
        cluster.decide();
    }
    Ok((reports, changes))
}

fn name(n: u32) -> anyhow::Result<SetKey> {
    format!("default/s{n}").parse().context("a name")
}

/// What the coordinator knows, and agents that do at once what it says.
struct Cluster {
    state: State,
    decider: Decider,
    spec: StatefulSetSpec,
    now: Timestamp,
}

impl Cluster {
    fn new() -> anyhow::Result<Self> {
        let text = include_str!("plan.yaml").to_owned();
        let file = "plan.yaml".to_owned();
        let objects = parse(&[Source { file, text }], "default");
        let objects = objects.map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        let mut state = State {
            zone_name: "berth.internal".to_owned(),
            ..State::default()
        };
        let mut spec = StatefulSetSpec::default();
        for parsed in objects {
            match parsed.object {
                Object::StatefulSet(set) => spec = set.spec,
                Object::AddressPool(pool) => {
                    let name = ObjectKey::of_cluster(&pool.metadata.name)?;
                    state.address_pools.insert(name, pool);
                }
                Object::Service(_)
                | Object::ConfigMap(_)
                | Object::Secret(_)
                | Object::StorageClass(_)
                | Object::PersistentVolume(_)
                | Object::PersistentVolumeClaim(_)
                | Object::VolumeSnapshot(_) => {}
            }
        }
        for n in 0..HOSTS {
            let host = host(n)?;
            state.hosts.insert(host.record.name.clone(), host);
        }
        Ok(Self {
            state,
            decider: Decider::default(),
            spec,
            now: Timestamp(1 << 40),
        })
    }

    /// Adds a set, or changes its template.
    fn put(&mut self, key: &SetKey, replicas: u32, version: u32) {
        let mut spec = self.spec.clone();
        spec.replicas = Some(replicas.into());
        let labels = &mut spec.template.metadata.labels;
        labels.insert("app".to_owned(), key.name.to_string());
        labels.insert("version".to_owned(), version.to_string());
        let set = self.state.sets.or_insert_with(key.clone(), || Set {
            uid: Uid(key.to_string()),
            ..Set::default()
        });
        set.spec = Arc::new(spec);
        self.state.revise(key, self.now);
    }

    /// Decides once and carries it out: how long the decision took, and whether it has no step.
    fn decide(&mut self) -> (Duration, bool) {
        self.now = self.now.plus(Duration::from_secs(1));
        let before = cpu_time();
        let decision = self.decider.decide(&self.state, self.now);
        let time = cpu_time().saturating_sub(before);
        for step in &decision.plan.steps {
            self.state.apply(step, self.now);
        }
        (time, decision.plan.steps.is_empty())
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        let sets: Vec<SetKey> = self.state.sets.keys().cloned().collect();
        for _ in 0..ROUNDS {
            let idle = self.decide().1;
            self.agents(&sets);
            if idle && self.decide().1 {
                return Ok(());
            }
        }
        anyhow::bail!("the sets do not come to rest")
    }

    /// The members of some sets are as they are ordered to be, and every agent says so.
    fn agents(&mut self, sets: &[SetKey]) {
        let mut seen: Vec<(HostName, MemberId, Ordered)> = Vec::new();
        for key in sets {
            let set = self.state.sets.get(key);
            for (ordinal, member) in set.into_iter().flat_map(|set| &set.members) {
                let id = MemberId {
                    set: key.clone(),
                    ordinal: *ordinal,
                };
                seen.push((member.host.clone(), id, member.ordered));
            }
        }
        for (host, id, ordered) in seen {
            match ordered {
                Ordered::Run => self.report(&id, true),
                Ordered::Stop | Ordered::Nothing => {
                    if let Some(host) = self.state.hosts.get_mut(&host) {
                        host.contact.members.remove(&id);
                    }
                }
            }
        }
        let serial = self.state.zone.serial;
        let behind = self
            .state
            .hosts
            .iter()
            .filter(|(_, host)| !host.contact.settled || host.contact.zone_acked != serial);
        let behind: Vec<HostName> = behind.map(|(name, _)| name.clone()).collect();
        for name in behind {
            if let Some(host) = self.state.hosts.get_mut(&name) {
                host.contact.settled = true;
                host.contact.zone_acked = serial;
            }
        }
    }

    /// What is heard of a member that runs.
    fn report(&mut self, id: &MemberId, ready: bool) {
        let set = self.state.sets.get(&id.set);
        let Some(member) = set.and_then(|set| set.members.get(&id.ordinal)) else {
            return;
        };
        let Some(host) = self.state.hosts.get_mut(&member.host) else {
            return;
        };
        let known = host.contact.members.get(id);
        if known
            .is_some_and(|known| known.report.epoch == member.epoch && known.report.ready == ready)
        {
            return;
        }
        let report = MemberReport {
            member: id.clone(),
            epoch: member.epoch,
            run: None,
            revision: Some(member.revision.clone()),
            phase: Phase::Running,
            started: true,
            ready,
            passed_gate: true,
            ready_for_ms: 0,
            restarts: 0,
            processes: Vec::new(),
            waiting: None,
            volumes: Vec::new(),
            filled: vec!["data".to_owned()],
        };
        let seen = Observation {
            report,
            ready_since: ready.then_some(self.now),
            waiting_since: self.now,
        };
        host.contact.members.insert(id.clone(), seen);
    }
}

/// CPU time that this thread took so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn host(n: u8) -> anyhow::Result<Host> {
    Ok(Host {
        record: HostRecord {
            name: format!("host-{n}").parse()?,
            advertise_address: Ipv4Addr::new(192, 0, 2, n).into(),
            labels: [("rack".to_owned(), (n % 4).to_string())].into(),
            pools: [("default".to_owned(), PoolInfo::default())].into(),
            controllers: BTreeSet::new(),
            self_fences: false,
            watchdog: false,
            unschedulable: false,
            machine_id: format!("machine-{n}"),
            product_uuid: String::new(),
            agent_labels: [("rack".to_owned(), (n % 4).to_string())].into(),
            directives: HostDirectives::default(),
        },
        contact: Contact {
            connected: true,
            settled: true,
            ..Contact::default()
        },
    })
}

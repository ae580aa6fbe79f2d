//! What the coordinator knows of a fleet, and agents that do at once what it says: core alone, without a
//! store or an agent.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc, time::Duration};

use berth_core::{
    decide::Decider,
    ids::{HostName, MemberId, ObjectKey, SetKey, Uid},
    manifest::{Source, parse},
    report::{MemberReport, Phase},
    spec::{Object, StatefulSetSpec},
    state::{Contact, Host, HostDirectives, HostRecord, Observation, Ordered, Set, State},
    time::Timestamp,
    volume::PoolInfo,
};
use rustix::time::{ClockId, clock_gettime};

/// More rounds than an update of three members takes.
pub(super) const ROUNDS: u32 = 200;

/// What the coordinator knows, and agents that do at once what it says.
#[derive(Debug)]
pub struct Cluster {
    /// What it knows.
    pub state: State,
    decider: Decider,
    spec: StatefulSetSpec,
    now: Timestamp,
}

impl Cluster {
    /// One with so many hosts and no set.
    ///
    /// # Errors
    /// If the manifest in this folder is none.
    pub fn new(hosts: u32) -> anyhow::Result<Self> {
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
        for n in 0..hosts {
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
    pub fn put(&mut self, key: &SetKey, replicas: u32, version: u32) {
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
    pub fn decide(&mut self) -> (Duration, bool) {
        self.now = self.now.plus(Duration::from_secs(1));
        let before = cpu_time();
        let decision = self.decider.decide(&self.state, self.now);
        let time = cpu_time().saturating_sub(before);
        for step in &decision.plan.steps {
            self.state.apply(step, self.now);
        }
        (time, decision.plan.steps.is_empty())
    }

    /// Decides until nothing is left to do for any set.
    ///
    /// # Errors
    /// If they do not come to rest.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        let sets: Vec<SetKey> = self.state.sets.keys().cloned().collect();
        self.settle_these(&sets)
    }

    /// The same, where only these sets have changed.
    ///
    /// # Errors
    /// If they do not come to rest.
    pub fn settle_these(&mut self, sets: &[SetKey]) -> anyhow::Result<()> {
        for _ in 0..ROUNDS {
            let idle = self.decide().1;
            self.agents(sets);
            if idle && self.decide().1 {
                return Ok(());
            }
        }
        anyhow::bail!("the sets do not come to rest")
    }

    /// The members of some sets are as they are ordered to be, and every agent says so.
    pub fn agents(&mut self, sets: &[SetKey]) {
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
    pub fn report(&mut self, id: &MemberId, ready: bool) {
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

fn host(n: u32) -> anyhow::Result<Host> {
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    Ok(Host {
        record: HostRecord {
            name: format!("host-{n}").parse()?,
            advertise_address: Ipv4Addr::from(first + n).into(),
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

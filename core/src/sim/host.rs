//! A host: what of it is durable, what its agent has in memory, what runs; and what befalls it.
//! Keepers and their processes outlive the agent; a boot ends them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use crate::{
    bug::{self, Bug},
    ids::{BootId, HostName, MemberId, RunId},
    keeper::{Deadline, LeasedRun},
    lease::{HostLeases, Renewals},
    ledger::Ledger,
    member::{Action, AttemptId, Event, Machine, Standing, Wanted},
    order::{Desired, MemberOrder, RenderValues},
    prerequisite::{Fact, Finding, Prerequisite},
    sim::{
        freeze::Frozen,
        lease::Clock,
        net::{Happening, StreamId},
        world::World,
        writes::Dirty,
    },
    state::{Contact, Host, HostDirectives, HostRecord},
    time::Timestamp,
    volume::{PoolInfo, PoolKind},
    zone::{RecordData, Zone},
};

/// An agent that started has begun to bring its members back by then, coordinator or not.
pub(super) const BACK: Duration = Duration::from_secs(20);

/// A host.
#[derive(Debug)]
pub(super) struct SimHost {
    /// Whether it is switched on.
    pub(super) up: bool,
    /// Whether its machine is gone for good.
    pub(super) lost: bool,
    /// Whether the network to it works.
    pub(super) linked: bool,
    /// Whether it lacks the user that some sets require.
    pub(super) lacking: bool,
    /// The zone that its agent serves. Durable.
    pub(super) zone: Zone,
    /// Members with a living keeper.
    pub(super) keepers: BTreeMap<MemberId, Keeper>,
    /// What the agent wrote to disk.
    pub(super) ledger: Ledger,
    /// What a planted bug left unwritten, as it is on disk.
    pub(super) unwritten: Option<Ledger>,
    /// Whether the next write of the ledger fails, and has reached the disk all the same.
    pub(super) sync_fails: Option<bool>,
    pub(super) agent: Option<Agent>,
    /// Its clock of leases.
    pub(super) clock: Clock,
    /// What of it stands still.
    pub(super) frozen: Option<Frozen>,
    /// So often something of it stood still.
    pub(super) freezes: u64,
    /// When it last went on.
    pub(super) thawed: Timestamp,
    /// What is in its memory and not on a server yet, by the member that wrote it.
    pub(super) dirty: BTreeMap<MemberId, Dirty>,
    /// Whether servers take nothing from it.
    pub(super) fenced_off: bool,
    /// What a planted bug does not drop from the ledger when it is written: as it was at the last boot.
    pub(super) moved: BTreeMap<MemberId, MemberOrder>,
    /// What the last start of each member runs on.
    pub(super) starting: BTreeMap<MemberId, Option<LeasedRun>>,
    pub(super) boots: u64,
    lives: u64,
}

/// What lives only as long as the agent's process.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) life: u64,
    pub(super) machines: BTreeMap<MemberId, Machine>,
    pub(super) stream: Option<StreamId>,
    pub(super) welcome: bool,
    /// Whether its stream brought a zone: a coordinator in contact says which names there are.
    pub(super) names_told: bool,
    /// Whether an order is being taken in.
    pub(super) holds_reports: bool,
    /// The renewals of its stream.
    pub(super) renewals: Renewals,
    /// The leases of its members.
    pub(super) leases: HostLeases,
    /// When it looks at them next.
    pub(super) lease_wake: Option<Timestamp>,
    /// On which stream it renews.
    pub(super) renewing: Option<StreamId>,
}

/// A keeper with its one process.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    /// Which run it keeps.
    pub(super) run: RunId,
    /// Whether its process runs.
    pub(super) alive: bool,
    /// How often the process was started again.
    pub(super) restarts: u32,
    pub(super) stopping: bool,
    pub(super) ready_at: Timestamp,
    /// The end of its lease, if it runs on one.
    pub(super) deadline: Option<Deadline>,
    /// Whether the kernel does not take its processes apart, and what came of that.
    pub(super) jam: Jam,
}

/// Whether what is killed is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jam {
    /// At once.
    Free,
    /// Not as long as this lasts.
    Jammed,
    /// It was killed, and is not gone.
    Killed,
    /// It was killed as its host woke after the end of its lease: it never ran since then.
    Overslept,
}

/// Something that an agent waits for.
#[derive(Debug, Clone)]
pub(super) enum AgentWork {
    /// An action comes to its end.
    Action {
        member: MemberId,
        step: u64,
        action: Action,
    },
    /// A probe has its result.
    Probe {
        member: MemberId,
        attempt: AttemptId,
    },
    /// A machine asked to be woken.
    Wake(MemberId),
    /// The lease is to be renewed on this stream.
    Renew(StreamId),
    /// Something is to be done about a lease.
    Leases,
    /// A keeper says something.
    Hears(MemberId, Box<Event>),
}

/// The pool of the nth host: one copies images in one instant, the others while nobody writes.
fn pool(n: usize) -> PoolInfo {
    let (kind, clones) = match n % 3 {
        0 => (PoolKind::Image, false),
        1 => (PoolKind::Image, true),
        _ => (PoolKind::Directory, true),
    };
    PoolInfo {
        kind,
        clones,
        ..PoolInfo::default()
    }
}

impl World {
    /// Adds a host, and starts its agent.
    pub fn add_host(&mut self, name: &HostName, address: IpAddr) {
        let record = HostRecord {
            name: name.clone(),
            advertise_address: address,
            labels: BTreeMap::new(),
            pools: BTreeMap::from([("default".to_owned(), pool(self.hosts.len()))]),
            unschedulable: false,
            machine_id: name.to_string(),
            product_uuid: String::new(),
            controllers: BTreeSet::new(),
            agent_labels: BTreeMap::new(),
            self_fences: true,
            watchdog: false,
            directives: HostDirectives::default(),
        };
        let contact = Contact::default();
        let hosts = &mut self.coordinator.state.hosts;
        hosts.insert(name.clone(), Host { record, contact });
        let host = SimHost {
            up: true,
            lost: false,
            linked: true,
            lacking: false,
            zone: Zone::default(),
            keepers: BTreeMap::new(),
            ledger: Ledger::default(),
            unwritten: None,
            sync_fails: None,
            agent: None,
            clock: Clock::default(),
            frozen: None,
            freezes: 0,
            thawed: Timestamp::default(),
            dirty: BTreeMap::new(),
            fenced_off: false,
            moved: BTreeMap::new(),
            starting: BTreeMap::new(),
            boots: 1,
            lives: 0,
        };
        self.hosts.insert(name.clone(), host);
        self.start_agent(name);
    }

    /// The members that run.
    pub(super) fn running(&self) -> Vec<MemberId> {
        let hosts = self.hosts.values();
        hosts
            .flat_map(|host| host.keepers.keys().cloned())
            .collect()
    }

    /// The members that run on a host.
    pub(super) fn running_on(&self, name: &HostName) -> Vec<MemberId> {
        let host = self.hosts.get(name);
        host.map(|host| host.keepers.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The keeper of a member, on a host that does not sleep.
    pub(super) fn keeper_awake(&self, id: &MemberId) -> Option<(HostName, RunId)> {
        let awake = self.hosts.iter().filter(|(_, host)| !host.sleeps());
        awake.into_iter().find_map(|(name, host)| {
            let keeper = host.keepers.get(id)?;
            Some((name.clone(), keeper.run.clone()))
        })
    }

    pub(super) fn start_host(&mut self, name: &HostName) {
        let Some(host) = self
            .hosts
            .get_mut(name)
            .filter(|host| !host.up && !host.lost)
        else {
            return;
        };
        host.up = true;
        host.boots += 1;
        if bug::on(Bug::OldLedgerStarted) {
            let moved = std::mem::take(&mut host.moved);
            host.ledger.members.extend(moved);
        }
        self.say(name.as_str(), "boots");
        self.start_agent(name);
    }

    pub(super) fn start_agent(&mut self, name: &HostName) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        if !host.up || host.agent.is_some() {
            return;
        }
        host.lives += 1;
        if bug::on(Bug::OrderSkippedOnReplay)
            && let Some(ledger) = host.unwritten.take()
        {
            host.ledger = ledger;
        }
        let boot = host.boot(name);
        let members = host.ledger.members.keys().chain(host.ledger.leaving.keys());
        let members: BTreeSet<MemberId> = members.cloned().collect();
        let ledger = &host.ledger;
        let machine = |id: &MemberId| {
            let last = ledger.runs.get(id).cloned();
            (id.clone(), Machine::new(id.clone(), boot.clone(), last, 7))
        };
        let agent = Agent {
            life: host.lives,
            machines: members.iter().map(machine).collect(),
            stream: None,
            welcome: false,
            names_told: false,
            holds_reports: false,
            renewals: Renewals::default(),
            leases: HostLeases::default(),
            lease_wake: None,
            renewing: None,
        };
        let life = host.lives;
        host.agent = Some(agent);
        self.truth_of_ledger(name);
        let back = Happening::BackByNow {
            host: name.clone(),
            life,
        };
        self.schedule(BACK, back);
        for id in members {
            self.tell_standing(name, &id);
        }
        let soon = self.delay(1, 1, 200);
        self.schedule(soon, Happening::Connect(name.clone()));
    }
}

impl SimHost {
    /// What is found of something that a set requires.
    pub(super) fn find(&self, required: &Prerequisite) -> Finding {
        let fact = match self.lacking {
            true => Fact::Absent,
            false => Fact::Value("999".to_owned()),
        };
        required.judge(&fact)
    }

    /// With a bug planted, keeps what an order took away from here.
    pub(super) fn keep_moved(&mut self, before: BTreeMap<MemberId, MemberOrder>) {
        if !bug::on(Bug::OldLedgerStarted) {
            return;
        }
        let runs = |order: &MemberOrder| order.desired == Desired::Run;
        self.moved
            .extend(before.into_iter().filter(|(_, order)| runs(order)));
        let stays = |id: &MemberId| self.ledger.members.get(id).is_some_and(runs);
        self.moved.retain(|id, _| !stays(id));
    }

    /// Whether it answers for a member.
    pub(super) fn serves(&self, values: &RenderValues) -> bool {
        let records = self.zone.records.get(&values.fqdn);
        let address = values.address.parse::<IpAddr>().ok();
        let has =
            |(records, address): (&Vec<RecordData>, IpAddr)| records.contains(&address.into());
        records.zip(address).is_some_and(has)
    }

    pub(super) fn boot(&self, name: &HostName) -> BootId {
        BootId(format!("{name}-boot-{}", self.boots))
    }

    pub(super) fn standing(&self, id: &MemberId) -> Standing {
        let welcome = self.agent.as_ref().is_some_and(|agent| agent.welcome);
        let waits = bug::on(Bug::BootWaitsForCoordinator) && !welcome;
        if !self.ledger.has_order() || waits {
            return Standing::Unordered;
        }
        if !self.ledger.members.contains_key(id) {
            return Standing::Removed;
        }
        let Some(order) = self.ledger.effective(id) else {
            return Standing::Removed;
        };
        Standing::Ordered(Wanted {
            epoch: order.epoch,
            desired: order.desired,
            revision: order.revision.clone(),
            founding: order.values.founding,
            passed_gate: self.ledger.has_passed(id, order.epoch),
            lease: order.lease,
            volumes: order
                .volumes
                .into_iter()
                .map(|v| (v.name, v.filled))
                .collect(),
        })
    }
}

//! Leases in the simulated world: agents renew, keepers end their members by clocks that are off, and
//! nobody but the truth knows the real time.

use std::time::Duration;

use crate::{
    bug::{self, Bug},
    ids::{HostName, MemberId, RunId},
    keeper::{Act, Deadline, LeasedRun},
    lease::{Acknowledged, LeaseTerms, renew_every},
    member::Event,
    order::MemberOrder,
    sim::{
        host::{AgentWork, SimHost},
        net::{Happening, StreamId, ToAgent, ToCoordinator},
        world::World,
    },
    time::Timestamp,
};

/// The clock of a host's leases: it has a rate of its own, and counts through sleeps. With a bug
/// planted it is another one, which does not, or which somebody sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// In thousandths of the real rate.
    rate: u64,
    /// For how long the host slept, in milliseconds.
    slept: u64,
    /// By how much its wall clock was set, in milliseconds.
    set: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            rate: 1000,
            slept: 0,
            set: 0,
        }
    }
}

impl Clock {
    pub(super) fn sleeps(&mut self, slept: Duration) {
        let slept = u64::try_from(slept.as_millis()).unwrap_or(u64::MAX);
        self.slept = self.slept.saturating_add(slept);
    }

    /// What it lags behind, and what it was set by: nothing, for the clock that leases are held by.
    fn faults(&self) -> (u64, i64) {
        let slept = bug::on(Bug::LeaseSleeps).then_some(self.slept);
        let set = bug::on(Bug::LeaseOnWallClock).then_some(self.set);
        (slept.unwrap_or_default(), set.unwrap_or_default())
    }

    /// What it shows at a real time.
    fn shows(&self, real: Timestamp) -> Timestamp {
        let (slept, set) = self.faults();
        let counted = real.0.saturating_sub(slept).saturating_mul(self.rate) / 1000;
        Timestamp(counted.saturating_add_signed(set))
    }

    /// The real time at which it has surely come to this.
    fn real(&self, shown: Timestamp) -> Timestamp {
        let (slept, set) = self.faults();
        let counted = shown.0.saturating_sub_signed(set).saturating_mul(1000);
        Timestamp(counted.div_ceil(self.rate).saturating_add(slept))
    }
}

impl SimHost {
    fn shows(&self, real: Timestamp) -> Timestamp {
        self.clock.shows(real)
    }

    fn real(&self, shown: Timestamp) -> Timestamp {
        self.clock.real(shown)
    }

    fn terms(&self, id: &MemberId) -> Option<LeaseTerms> {
        self.ledger.members.get(id)?.lease
    }

    fn shortest_lease(&self) -> Option<Duration> {
        let orders = self.ledger.members.values();
        let leases = orders.filter_map(|order: &MemberOrder| order.lease);
        leases.map(|terms| terms.length()).min()
    }
}

impl World {
    /// From now on the clock of a host runs at this rate, in thousandths of the real one.
    pub fn set_rate(&mut self, name: &HostName, rate: u64) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.clock.rate = rate;
        }
    }

    /// Somebody sets the wall clock of a host, by so many milliseconds.
    pub fn set_clock(&mut self, name: &HostName, by: i64) {
        if let Some(host) = self.hosts.get_mut(name) {
            host.clock.set = host.clock.set.saturating_add(by);
            self.say("fault", &format!("the clock of {name} is set by {by} ms"));
            self.tally.fault("clock step");
        }
    }

    /// Begins to renew, if a member has a lease and nobody renews it yet.
    pub(super) fn begin_renewing(&mut self, name: &HostName) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let leased = host.shortest_lease().is_some();
        let Some(agent) = host.agent.as_mut().filter(|agent| agent.welcome && leased) else {
            return;
        };
        let Some(stream) = agent
            .stream
            .filter(|stream| agent.renewing != Some(*stream))
        else {
            return;
        };
        agent.renewing = Some(stream);
        let life = agent.life;
        self.renew(name, life, stream);
    }

    pub(super) fn renew(&mut self, name: &HostName, life: u64, stream: StreamId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let (lease, shown) = (host.shortest_lease(), host.shows(now));
        let Some(agent) = host.agent.as_mut().filter(|a| a.stream == Some(stream)) else {
            return;
        };
        let Some(lease) = lease else {
            agent.renewing = None;
            return;
        };
        let number = agent.renewals.send(shown);
        self.send_up(name, stream, ToCoordinator::Renew { number });
        if bug::on(Bug::RenewalUnacknowledged) {
            self.acknowledged(name, number, false);
        }
        let work = AgentWork::Renew(stream);
        let host = name.clone();
        self.schedule(renew_every(lease), Happening::Agent { host, life, work });
    }

    /// The coordinator's end: a renewal arrives at a host in contact.
    pub(super) fn take_renewal(&mut self, name: &HostName, stream: StreamId, number: u64) {
        let known = self.coordinator.state.hosts.get(name);
        if known.is_some_and(|host| host.contact.connected) {
            self.coordinator.renewed.insert(name.clone(), self.now);
            let running_only = !self.coordinator.state.past.lets_start();
            let ack = ToAgent::RenewAck {
                number,
                running_only,
            };
            self.send_down(name, stream, ack);
        }
    }

    /// The agent's end: a renewal is acknowledged, behind all orders that came before.
    pub(super) fn acknowledged(&mut self, name: &HostName, number: u64, running_only: bool) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let Some(agent) = host.agent.as_mut() else {
            return;
        };
        agent.renewals.acknowledge(number, running_only);
        let mut newest = agent.renewals.newest();
        if bug::on(Bug::DeadlineFromReceipt) && newest.runs.is_some() {
            newest = Acknowledged::of(host.clock.shows(now), running_only);
        }
        let Some(sent) = newest.runs.filter(|_| !agent.refused) else {
            return;
        };
        agent.renewed = agent.renewed.max(newest);
        let ordered = |id: &MemberId| {
            let order = host.ledger.members.get(id);
            order.map(|order| order.epoch)
        };
        for (id, keeper) in &mut host.keepers {
            if ordered(id) == Some(keeper.run.epoch)
                && let Some(deadline) = &mut keeper.deadline
            {
                deadline.renew(sent);
            }
        }
        let members: Vec<MemberId> = host.ledger.members.keys().cloned().collect();
        for id in members {
            self.look_at_lease(name, &id);
        }
    }

    /// Tells a machine whether its host holds a lease, and looks again when that is over.
    pub(super) fn look_at_lease(&mut self, name: &HostName, id: &MemberId) {
        let now = self.now;
        let Some(host) = self.hosts.get(name) else {
            return;
        };
        let (Some(terms), Some(agent)) = (host.terms(id), host.agent.as_ref()) else {
            return;
        };
        if !agent.machines.contains_key(id) {
            return;
        }
        let held = agent
            .renewed
            .starts
            .filter(|sent| terms.may_run(*sent, host.shows(now)));
        if let Some(sent) = held {
            let end = terms.deadline(sent);
            let at = Timestamp(end.0.saturating_sub(terms.grace_ms));
            let (life, at) = (agent.life, host.real(at));
            let work = AgentWork::LeaseEnds(id.clone());
            let host = name.clone();
            self.schedule_at(at, Happening::Agent { host, life, work });
        }
        self.tell(name, id, Event::Lease(held.is_some()));
    }

    /// What a start that begins now runs on; a later acknowledgement is for later orders.
    pub(super) fn capture_lease(&mut self, name: &HostName, id: &MemberId) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let renewed = host.agent.as_ref().and_then(|agent| agent.renewed.runs);
        let run = host.terms(id).map(|terms| LeasedRun {
            terms,
            renewed: renewed.unwrap_or_default(),
        });
        host.starting.insert(id.clone(), run);
    }

    /// The deadline of a keeper that starts now; `Err` if it is over.
    pub(super) fn begin_lease(
        &mut self,
        name: &HostName,
        id: &MemberId,
        run: &RunId,
    ) -> Result<Option<Deadline>, ()> {
        let Some(host) = self.hosts.get(name) else {
            return Ok(None);
        };
        let Some(leased) = host.starting.get(id).copied().flatten() else {
            return Ok(None);
        };
        let deadline = Deadline::new(leased);
        let at = deadline.wake_at().unwrap_or_default();
        if at <= host.shows(self.now) {
            return Err(());
        }
        let at = host.real(at);
        let run = Box::new((id.clone(), run.clone()));
        let host = name.clone();
        self.schedule_at(at, Happening::LeaseDue { host, run });
        Ok(Some(deadline))
    }

    /// A keeper looks at its deadline, whether or not there is an agent.
    pub(super) fn lease_due(&mut self, name: &HostName, id: &MemberId, run: &RunId) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let shown = host.shows(now);
        let idle =
            bug::on(Bug::LeaseLeftToAgent) && (host.agent.is_none() || host.frozen.is_some());
        let Some(keeper) = host.keepers.get_mut(id).filter(|keeper| keeper.run == *run) else {
            return;
        };
        let Some(deadline) = keeper.deadline.as_mut().filter(|_| !idle) else {
            return;
        };
        if let Some(act) = deadline.due(shown) {
            match act {
                Act::Stop(_) => keeper.stopping = true,
                Act::Kill => self.keeper_ends(name, id, run),
                Act::Reboot => return self.reboot_itself(name),
            }
            return self.lease_due(name, id, run);
        }
        if let Some(at) = deadline.wake_at() {
            let at = host.real(at);
            let run = Box::new((id.clone(), run.clone()));
            let host = name.clone();
            self.schedule_at(at, Happening::LeaseDue { host, run });
        }
    }

    /// A new agent learns from a keeper how long the lease lasts.
    pub(super) fn learn_lease(&mut self, name: &HostName, id: &MemberId) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let keeper = host.keepers.get(id);
        let known = keeper.and_then(|keeper| keeper.deadline.as_ref());
        let known = known.map(Deadline::renewed);
        if let Some(agent) = host.agent.as_mut() {
            agent.renewed.runs = agent.renewed.runs.max(known);
        }
        self.look_at_lease(name, id);
    }
}

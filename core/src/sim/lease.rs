//! Leases in the simulated world: agents renew, keepers end their members by clocks that are off, and
//! nobody but the truth knows the real time.

use std::time::Duration;

use crate::{
    bug::{self, Bug},
    ids::{HostName, MemberId, RunId},
    keeper::{Act, Deadline},
    lease::{LeaseEffect, LeaseEvent, renew_every},
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
        self.count_renewals(name);
        let work = AgentWork::Renew(stream);
        let host = name.clone();
        self.schedule(renew_every(lease), Happening::Agent { host, life, work });
    }

    /// The coordinator's end: a renewal arrives. What follows from a commit is sent with it.
    pub(super) fn take_renewal(&mut self, name: &HostName, stream: StreamId, number: u64) {
        let coordinator = &mut self.coordinator;
        let known = coordinator.state.hosts.get(name);
        let current = known.is_some_and(|host| host.contact.connected);
        let past = &coordinator.state.past;
        if let Some(granted) = coordinator.granting.renew(name, self.now, current, past) {
            let ack = ToAgent::RenewAck {
                number,
                running_only: granted.running_only,
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
        let shown = host.clock.shows(now);
        if let Some(agent) = host.agent.as_mut() {
            agent.renewals.acknowledge(number, running_only, shown);
        }
        self.count_renewals(name);
    }

    fn count_renewals(&mut self, name: &HostName) {
        let host = self.hosts.get(name);
        let agent = host.and_then(|host| host.agent.as_ref());
        if let Some(newest) = agent.map(|agent| agent.renewals.newest()) {
            self.lease(name, LeaseEvent::Renewed(newest));
        }
    }

    /// What the ledger has of a member, as far as it is about a lease.
    pub(super) fn lease_ordered(&mut self, name: &HostName, id: &MemberId) {
        let host = self.hosts.get(name);
        let order = host.and_then(|host| host.ledger.members.get(id));
        let terms = order.and_then(|order| Some((order.epoch, order.lease?)));
        self.lease(name, LeaseEvent::Ordered(id.clone(), terms));
    }

    /// Feeds the leases of an agent one event, and does what they ask for.
    pub(super) fn lease(&mut self, name: &HostName, event: LeaseEvent) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let shown = host.clock.shows(now);
        let Some(agent) = host.agent.as_mut() else {
            return;
        };
        if event == LeaseEvent::Tick {
            agent.lease_wake = None;
        }
        let effects = agent.leases.step(shown, event);
        let (life, wake) = (agent.life, agent.leases.wake_at());
        let before = std::mem::replace(&mut agent.lease_wake, wake);
        if let Some(at) = wake.filter(|_| wake != before) {
            let (at, work) = (host.clock.real(at), AgentWork::Leases);
            let host = name.clone();
            self.schedule_at(at, Happening::Agent { host, life, work });
        }
        for effect in effects {
            self.end_or_renew(name, effect);
        }
    }

    fn end_or_renew(&mut self, name: &HostName, effect: LeaseEffect) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        match effect {
            LeaseEffect::Held(id, held) => self.tell(name, &id, Event::Lease(held)),
            LeaseEffect::Renew(id, sent) => {
                let Some(keeper) = host.keepers.get_mut(&id) else {
                    return;
                };
                if let Some(deadline) = keeper.deadline.as_mut() {
                    deadline.renew(sent);
                }
                // Who was asked to stop takes until the end of the lease, as long as that stands; what
                // was begun is not taken back when it is a later one.
                if keeper.stopping {
                    self.ask_to_stop(name, &id);
                }
            }
            LeaseEffect::Kill(id, run) => self.keeper_ends(name, &id, &run),
            LeaseEffect::Reboot(_) => self.reboot_itself(name),
        }
    }

    /// What a start that begins now runs on; a later acknowledgement is for later orders.
    pub(super) fn capture_lease(&mut self, name: &HostName, id: &MemberId) {
        if let Some(host) = self.hosts.get_mut(name) {
            let agent = host.agent.as_ref();
            let run = agent.and_then(|agent| agent.leases.run_of(id));
            host.starting.insert(id.clone(), run);
        }
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

    /// A member was started or adopted; the keeper of an earlier agent may know of a later renewal.
    pub(super) fn lease_begins(&mut self, name: &HostName, id: &MemberId, adopted: bool) {
        let keeper = self.hosts.get(name).and_then(|host| host.keepers.get(id));
        let run = keeper.map(|keeper| keeper.run.clone());
        let known = keeper.and_then(|keeper| keeper.deadline.as_ref());
        let known = known.filter(|_| adopted).map(Deadline::renewed);
        let member = id.clone();
        self.lease(name, LeaseEvent::Runs { member, run, known });
    }
}

//! How a host is made to hold nothing of a member any more when asking it is not enough: it reboots
//! itself when it cannot empty a member in time, or a command switches it off or cuts it off from its
//! storage. Commands work, fail, or end with nobody knowing what they did.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    bug::{self, Bug},
    ids::{HostName, MemberId, RunId},
    lease::Leases,
    sim::{host::Jam, net::Happening, world::World},
    state::{Fenced, Fences},
    time::Timestamp,
};

/// From a command that failed to the next.
const RETRY: Duration = Duration::from_secs(10);

/// A command that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fence {
    number: u64,
    what: Fenced,
    /// Since when its host was away when it was begun.
    since: Timestamp,
    /// What it says in the end: nothing if nobody knows.
    says: Option<bool>,
}

/// The commands of a coordinator. Not durable.
#[derive(Debug, Default)]
pub(super) struct Fencer {
    begun: u64,
    running: BTreeMap<HostName, u64>,
    again: BTreeMap<HostName, Timestamp>,
}

impl Fencer {
    /// The coordinator crashed: what its commands say is heard by nobody.
    pub(super) fn crash(&mut self) {
        self.running.clear();
        self.again.clear();
    }
}

impl World {
    /// How long leases are.
    pub fn set_leases(&mut self, leases: Leases) {
        self.coordinator.state.leases = leases;
    }

    /// What makes sure that a host holds nothing any more.
    pub fn equip(&mut self, name: &HostName, reboots: bool, fences: Fences) {
        if let Some(host) = self.coordinator.state.hosts.get_mut(name) {
            host.record.self_fences = reboots;
        }
        let all = &mut self.coordinator.state.fences;
        all.insert(name.clone(), fences);
    }

    /// For a while the kernel does not take the processes of a member apart, whoever kills them.
    pub fn jam(&mut self, id: &MemberId, lasts: Duration) {
        let Some((name, run)) = self.keeper_awake(id) else {
            return;
        };
        let host = self.hosts.get_mut(&name);
        let keeper = host.and_then(|host| host.keepers.get_mut(id));
        if let Some(keeper) = keeper.filter(|keeper| keeper.jam == Jam::Free) {
            keeper.jam = Jam::Jammed;
            self.say("fault", &format!("{id} hangs in the kernel of {name}"));
            self.tally.fault("member hangs");
            let run = Box::new((id.clone(), run));
            self.schedule(lasts, Happening::Unjams { host: name, run });
        }
    }

    pub(super) fn unjams(&mut self, name: &HostName, id: &MemberId, run: &RunId) {
        let host = self.hosts.get_mut(name);
        let keeper = host.and_then(|host| host.keepers.get_mut(id));
        let Some(keeper) = keeper.filter(|keeper| keeper.run == *run) else {
            return;
        };
        match std::mem::replace(&mut keeper.jam, Jam::Free) {
            Jam::Free | Jam::Jammed => {}
            Jam::Killed | Jam::Overslept => self.keeper_ends(name, id, run),
        }
    }

    /// Ends what hangs, and switches on what is off.
    pub(super) fn repair_hosts(&mut self) {
        let mut jammed = Vec::new();
        let mut off = Vec::new();
        for (name, host) in &self.hosts {
            let runs = host.keepers.iter();
            jammed.extend(runs.map(|(id, keeper)| (name.clone(), id.clone(), keeper.run.clone())));
            off.extend((!host.up).then(|| name.clone()));
        }
        for (name, id, run) in jammed {
            self.unjams(&name, &id, &run);
        }
        for name in off {
            let soon = self.delay(1000, 1, 5000);
            self.schedule(soon, Happening::HostStarts(name));
        }
    }

    /// A host that cannot empty a member in time reboots itself, if it may.
    pub(super) fn reboot_itself(&mut self, name: &HostName) {
        let known = self.coordinator.state.hosts.get(name);
        let may = known.is_some_and(|host| host.record.self_fences);
        if may && !bug::on(Bug::RebootSkipped) && self.switch_off(name) {
            self.say(name.as_str(), "reboots itself");
            self.tally.fault("self-reboot");
            self.break_stream(name);
            let back = self.delay(20_000, 5000, 40_000);
            self.schedule(back, Happening::HostStarts(name.clone()));
        }
    }

    /// Begins to fence the hosts that members wait for; when to try one again.
    pub(super) fn fence(&mut self) -> Option<Timestamp> {
        if self.coordinator.state.fences.is_empty() {
            return None;
        }
        let now = self.now;
        let coordinator = &mut self.coordinator;
        let waiting = coordinator.report.waiting.values();
        let wanted = coordinator.state.to_fence(waiting);
        let fencer = &mut coordinator.fencer;
        fencer.again.retain(|host, _| wanted.contains_key(host));
        let mut next: Option<Timestamp> = None;
        for (host, what) in wanted {
            let fencer = &mut self.coordinator.fencer;
            let due = fencer.again.get(&host).copied().filter(|at| *at > now);
            if let Some(at) = due {
                next = Some(next.map_or(at, |next| next.min(at)));
            } else if !fencer.running.contains_key(&host) {
                fencer.begun += 1;
                let number = fencer.begun;
                fencer.running.insert(host.clone(), number);
                self.begin_fence(host, what, number);
            }
        }
        next
    }

    fn begin_fence(&mut self, host: HostName, what: Fenced, number: u64) {
        let known = self.coordinator.state.hosts.get(&host);
        let since = known.map(|host| host.contact.since).unwrap_or_default();
        let (acts, says) = match self.rough.then(|| self.rng.below(8)) {
            None | Some(0..=2) => (true, Some(true)),
            Some(3) => (false, Some(false)),
            Some(4) => (true, Some(false)),
            Some(5) => (true, None),
            Some(_) => (false, None),
        };
        match says {
            Some(true) => self.tally.fault("host fenced"),
            Some(false) => self.tally.fault("fence fails"),
            None => self.tally.fault("fence unknown"),
        }
        let takes = self.delay(500, 50, 4000);
        if acts {
            let happening = Happening::FenceActs {
                host: host.clone(),
                what,
            };
            self.schedule(takes, happening);
        }
        let ends = takes + self.delay(500, 1, 2000);
        let fence = Fence {
            number,
            what,
            since,
            says,
        };
        self.schedule(ends, Happening::FenceEnds { host, fence });
    }

    pub(super) fn fence_acts(&mut self, name: &HostName, what: Fenced) {
        match what {
            Fenced::Off => {
                if self.switch_off(name) {
                    self.say(name.as_str(), "is switched off by its fence");
                    self.break_stream(name);
                }
                // Somebody finds it off and switches it on.
                let back = self.delay(30_000, 1000, 60_000);
                self.schedule(back, Happening::HostStarts(name.clone()));
            }
            Fenced::Storage => {
                if let Some(host) = self.hosts.get_mut(name) {
                    host.fenced_off = true;
                    host.dirty.clear();
                }
                self.say(name.as_str(), "is cut off from its storage");
            }
        }
    }

    pub(super) fn fence_ends(&mut self, name: &HostName, fence: &Fence) {
        let now = self.now;
        let fencer = &mut self.coordinator.fencer;
        if fencer.running.get(name) != Some(&fence.number) {
            return;
        }
        fencer.running.remove(name);
        let up = self.hosts.get(name).is_some_and(|host| host.up);
        // A command that switches off asks whether it is.
        let is_so = fence.says == Some(true) && !(fence.what == Fenced::Off && up);
        let believed = is_so || (fence.says.is_none() && bug::on(Bug::FenceUnknownBelieved));
        let known = self.coordinator.state.hosts.get_mut(name);
        let away = known
            .map(|host| &mut host.contact)
            .filter(|contact| !contact.connected && contact.since == fence.since);
        if !believed {
            fencer.again.insert(name.clone(), now.plus(RETRY));
        } else if let Some(contact) = away {
            contact.fenced = Some(fence.what);
            self.say("coord", &format!("{name} is fenced: {:?}", fence.what));
        }
        self.reconcile();
    }
}

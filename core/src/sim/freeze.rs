//! What stands still for a while: an agent that is stopped, a host that sleeps. What befalls it
//! meanwhile waits, in its order; the clock of leases counts on.
//!
//! Of a host that sleeps nothing runs, so none of its members does either. When it wakes, its keepers
//! look at their deadlines before anything else of it goes on: what they kill then never ran again.

use std::time::Duration;

use crate::{
    ids::{HostName, MemberId},
    member::Event,
    sim::{
        host::{AgentWork, BACK, Jam, SimHost},
        net::{Happening, StreamId},
        world::World,
    },
    time::Timestamp,
};

/// How much of a host stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freeze {
    /// Its agent: keepers go on.
    Agent,
    /// All of it.
    Host,
}

/// What stands still, and what waits for it.
#[derive(Debug)]
pub(super) struct Frozen {
    what: Freeze,
    number: u64,
    since: Timestamp,
    waiting: Vec<Happening>,
}

impl SimHost {
    /// Whether all of it stands still.
    pub(super) fn sleeps(&self) -> bool {
        let frozen = self.frozen.as_ref();
        frozen.is_some_and(|frozen| frozen.what == Freeze::Host)
    }

    fn stands_still(&self, part: Freeze) -> bool {
        let frozen = self.frozen.as_ref();
        frozen.is_some_and(|frozen| frozen.what == Freeze::Host || frozen.what == part)
    }
}

impl Happening {
    /// Whose time it takes: nothing happens to who stands still.
    fn befalls(&self) -> Option<(&HostName, Freeze)> {
        match self {
            Self::Down { host, .. }
            | Self::Read { host, .. }
            | Self::AgentNotices { host, .. }
            | Self::Connect(host)
            | Self::Agent { host, .. }
            | Self::Work { host, .. }
            | Self::WorkGivenUp { host, .. } => Some((host, Freeze::Agent)),
            Self::AgentStarts(host)
            | Self::KeeperEnds { host, .. }
            | Self::LeaseDue { host, .. }
            | Self::ProcessStarts { host, .. }
            | Self::Unjams { host, .. }
            | Self::WritesBack { host, .. } => Some((host, Freeze::Host)),
            Self::Up { .. }
            | Self::CoordinatorNotices { .. }
            | Self::CoordinatorStarts
            | Self::CoordinatorWakes
            | Self::HostStarts(_)
            | Self::LinkHeals(_)
            | Self::BackByNow { .. }
            | Self::Thaws { .. }
            | Self::FallsSilent { .. }
            | Self::FenceActs { .. }
            | Self::FenceEnds { .. } => None,
        }
    }
}

impl World {
    /// The agent of a host, or all of the host, stands still for a while.
    pub fn freeze(&mut self, name: &HostName, what: Freeze, lasts: Duration) {
        let stream = self.wires.get(name).copied();
        let now = self.now;
        let free = |host: &&mut SimHost| host.up && host.agent.is_some() && host.frozen.is_none();
        let Some(host) = self.hosts.get_mut(name).filter(free) else {
            return;
        };
        host.freezes += 1;
        let number = host.freezes;
        host.frozen = Some(Frozen {
            what,
            number,
            since: now,
            waiting: Vec::new(),
        });
        let (said, fault) = match what {
            Freeze::Agent => ("is stopped", "agent freeze"),
            Freeze::Host => ("sleeps", "host suspend"),
        };
        self.say("fault", &format!("{name} {said}"));
        self.tally.fault(fault);
        let host = name.clone();
        self.schedule(
            lasts,
            Happening::Thaws {
                host,
                freeze: number,
            },
        );
        if let Some(stream) = stream {
            let silent = self.delay(5000, 3000, 9000);
            let happening = Happening::FallsSilent {
                host: name.clone(),
                freeze: number,
                stream,
            };
            self.schedule(silent, happening);
        }
    }

    /// Puts off what happens to who stands still; what happens now all the same.
    pub(super) fn put_off(&mut self, happening: Happening) -> Option<Happening> {
        let waits = happening.befalls().is_some_and(|(host, part)| {
            let host = self.hosts.get(host);
            host.is_some_and(|host| host.stands_still(part))
        });
        if !waits {
            return Some(happening);
        }
        // What has arrived is read, whatever becomes of its stream until then.
        let happening = if let Happening::Down {
            host,
            stream,
            message,
        } = happening
        {
            if !self.whole(&host, stream) {
                return None;
            }
            Happening::Read {
                host,
                stream,
                message,
            }
        } else {
            happening
        };
        let (name, _) = happening.befalls()?;
        let frozen = self.hosts.get_mut(name)?.frozen.as_mut()?;
        frozen.waiting.push(happening);
        None
    }

    pub(super) fn falls_silent(&mut self, name: &HostName, freeze: u64, stream: StreamId) {
        let host = self.hosts.get(name);
        let frozen = host.and_then(|host| host.frozen.as_ref());
        if frozen.is_some_and(|frozen| frozen.number == freeze) && self.whole(name, stream) {
            self.break_stream(name);
        }
    }

    pub(super) fn thaws(&mut self, name: &HostName, freeze: u64) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        let Some(frozen) = host.frozen.take_if(|frozen| frozen.number == freeze) else {
            return;
        };
        host.thawed = now;
        self.say(name.as_str(), "goes on");
        if frozen.what == Freeze::Host {
            self.wake_up(name, now.since(frozen.since));
        }
        for happening in frozen.waiting {
            self.schedule_at(now, happening);
        }
        let host = self.hosts.get(name);
        if let Some(life) = host.and_then(|host| Some(host.agent.as_ref()?.life)) {
            let host = name.clone();
            self.schedule(BACK, Happening::BackByNow { host, life });
        }
    }

    /// Ends what stands still.
    pub(super) fn thaw_all(&mut self) {
        let frozen = self.hosts.iter().filter_map(|(name, host)| {
            let frozen = host.frozen.as_ref()?;
            Some((name.clone(), frozen.number))
        });
        for (name, freeze) in frozen.collect::<Vec<_>>() {
            self.thaws(&name, freeze);
        }
    }

    /// The keepers of a host that wakes look at their deadlines.
    fn wake_up(&mut self, name: &HostName, slept: Duration) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        host.clock.sleeps(slept);
        let keepers = host.keepers.iter();
        let keepers: Vec<_> = keepers
            .map(|(id, keeper)| (id.clone(), keeper.run.clone(), keeper.jam))
            .collect();
        for (id, run, before) in keepers {
            self.lease_due(name, &id, &run);
            let host = self.hosts.get_mut(name);
            let left = host.and_then(|host| host.keepers.get_mut(&id));
            if let Some(keeper) = left.filter(|keeper| keeper.jam != before) {
                keeper.jam = Jam::Overslept;
            }
        }
    }

    /// A keeper tells its agent something; one that is stopped hears it when it goes on.
    pub(super) fn keeper_says(&mut self, name: &HostName, id: &MemberId, event: Event) {
        let Some(host) = self.hosts.get(name) else {
            return;
        };
        match host.agent.as_ref() {
            Some(agent) if host.frozen.is_some() => {
                let (host, life) = (name.clone(), agent.life);
                let work = AgentWork::Hears(id.clone(), Box::new(event));
                self.schedule(Duration::ZERO, Happening::Agent { host, life, work });
            }
            Some(_) | None => self.tell(name, id, event),
        }
    }
}

//! What befalls hosts: they stand still, hang, are cut off, and their clocks are set. And what they have to
//! make sure that they hold nothing any more.

use std::time::Duration;

use crate::{
    ids::HostName,
    lease::{Leases, SHORTEST_KILL_MARGIN},
    sim::{Freeze, Violation, World, rng::Rng},
    state::Fences,
};

use super::{BACK, Plot};

/// The longest that most faults last, in milliseconds: somewhat more than a lease.
const SHORT: u64 = 25_000;
/// And the longest that any does: ten leases.
const LONG: u64 = 150_000;
/// By how much clocks are set, in milliseconds.
const HOUR: i64 = 3_600_000;
/// Longer than any lease, and what the coordinator waits for one.
const LEASE: Duration = Duration::from_secs(19);
/// Longer than a lease and several commands.
const HANGS: Duration = Duration::from_secs(80);
/// Longer than a host may take to be back after it boots.
const ALONE: Duration = Duration::from_secs(30);
/// How late what is read late comes.
const LATE: Duration = Duration::from_secs(2);

/// How wrong the clock of a host may be beside the coordinator's, at most, in thousandths: 0.98 / 1.02, and
/// the other way round.
const RATES: [u64; 3] = [961, 1000, 1040];

/// Gives hosts clocks that are wrong, and different means against what they still hold.
pub(super) fn equip(world: &mut World, rng: &mut Rng, hosts: &[HostName]) {
    if rng.chance(50) {
        world.set_leases(Leases {
            kill_margin: SHORTEST_KILL_MARGIN,
            ..Leases::default()
        });
    }
    let none = Fences::default();
    let storage = Fences {
        storage: true,
        ..none
    };
    let power = Fences {
        power: true,
        ..none
    };
    let means = [(true, none), (true, storage), (true, power), (false, power)];
    for (host, (reboots, fences)) in hosts.iter().zip(means) {
        world.set_rate(host, rng.pick(&RATES).copied().unwrap_or(1000));
        world.equip(host, reboots, fences);
    }
}

impl Plot {
    /// All sets are there, and their members mostly run, before anything befalls their hosts.
    pub(super) fn begin(&mut self) -> Result<(), Violation> {
        for (key, options) in &mut self.sets {
            options.replicas = u32::try_from(1 + self.rng.below(3)).unwrap_or(1);
            self.world.put_set(key, options);
        }
        self.world.run(BACK)
    }

    /// All members of a host hang, and only a command could end them: it may fail, or end with nobody
    /// knowing what it did.
    pub(super) fn hang(&mut self) -> Result<(), Violation> {
        let power = Fences {
            power: true,
            ..Fences::default()
        };
        for host in &self.hosts {
            self.world.equip(host, false, power);
        }
        let Some(host) = self.busy_host() else {
            return Ok(());
        };
        for id in self.world.running_on(&host) {
            self.world.jam(&id, HANGS);
        }
        self.world.cut_link(&host, HANGS);
        self.world.run(HANGS)
    }

    /// A host boots while it is cut off, for longer than it may take to begin with its members.
    pub(super) fn boot_alone(&mut self) -> Result<(), Violation> {
        let Some(host) = self.busy_host() else {
            return Ok(());
        };
        let off = self.rng.millis(500, 5000);
        self.world.cut_link(&host, ALONE);
        self.world.crash_host(&host, off);
        self.world.run(ALONE)
    }

    /// Something befalls a host, or a member that runs on one.
    pub(super) fn host_fault(&mut self) -> Result<(), Violation> {
        let Some(host) = self.busy_host() else {
            return Ok(());
        };
        // Mostly about as long as leases are, sometimes much longer.
        let longest = if self.rng.chance(20) { LONG } else { SHORT };
        let lasts = self.rng.millis(1000, longest);
        match self.rng.below(10) {
            0 => self.world.freeze(&host, Freeze::Agent, lasts),
            1 => self.world.freeze(&host, Freeze::Agent, lasts + LEASE),
            2 => self.world.freeze(&host, Freeze::Host, lasts),
            3 => self.world.freeze(&host, Freeze::Host, lasts + LEASE),
            4 => self.jam(&host, lasts + LEASE),
            5 | 6 => {
                let hour = if self.rng.chance(50) { HOUR } else { -HOUR };
                self.world.set_clock(&host, hour);
                self.world.cut_link(&host, lasts);
            }
            7 => self.world.cut_link(&host, lasts),
            8 => self.lose_renewals(&host, lasts + LEASE)?,
            _ => self.read_late(&host, lasts + LEASE)?,
        }
        Ok(())
    }

    /// A host, mostly one that members run on.
    fn busy_host(&mut self) -> Option<HostName> {
        let busy = |host: &&HostName| !self.world.running_on(host).is_empty();
        let busy: Vec<HostName> = self.hosts.iter().filter(busy).cloned().collect();
        if busy.is_empty() || self.rng.chance(20) {
            return self.host();
        }
        self.rng.pick(&busy).cloned()
    }

    /// A member hangs, mostly on the host that is cut off.
    fn jam(&mut self, host: &HostName, lasts: Duration) {
        let running = self.world.running();
        let there = self.world.running_on(host);
        let from = if there.is_empty() { running } else { there };
        if let Some(id) = self.rng.pick(&from) {
            self.world.jam(id, lasts);
        }
        self.world.cut_link(host, lasts);
    }

    /// What a host sends does not arrive any more, and it is cut off before it finds out.
    fn lose_renewals(&mut self, host: &HostName, lasts: Duration) -> Result<(), Violation> {
        let stalls = self.rng.millis(1000, 9000);
        self.world.stall_link(host, false, stalls);
        self.world.run(stalls - Duration::from_millis(1))?;
        self.world.cut_link(host, lasts);
        Ok(())
    }

    /// What arrives at a host comes late, its agent is stopped when it comes, and the host is cut off when
    /// that goes on.
    fn read_late(&mut self, host: &HostName, lasts: Duration) -> Result<(), Violation> {
        let before = self.rng.millis(500, 4000);
        let stopped = self.rng.millis(4000, 13_000);
        self.world.stall_link(host, true, before + LATE);
        self.world.run(before)?;
        self.world.freeze(host, Freeze::Agent, stopped);
        self.world.run(LATE + Duration::from_millis(1))?;
        self.world.cut_link(host, lasts);
        Ok(())
    }
}

//! Random histories: a seed decides how the sets are, what the operator does, and what goes wrong.
//! Afterwards everything is mended, and everything must come to rest where it should be.

use std::{net::Ipv4Addr, time::Duration};

use crate::{
    ids::{HostName, MemberId, Ordinal, SetKey},
    sim::{Tally, Violation, World, operator::SetOptions, rng::Rng},
    spec::{Dependency, DependencyGate},
};

mod hosts;
mod hour;
mod leaning;
mod past;
mod rest;
mod sets;
mod volumes;

pub use hour::{QUIET, hour};
use leaning::{HOST, Leaning, Link, PAST};
use sets::{failover, one_of, options, updates};

/// Longer than any coordinator is away.
const BACK: Duration = Duration::from_secs(10);
/// Hosts of a short history, and the fewest of a long one: a set that is founded by all its members
/// needs one for each.
const HOSTS: u8 = 4;
/// Tells the numbers of moves from those of everything else.
const MOVES: u64 = 0x6d6f_7665;
/// Names of sets.
const SETS: [&str; 3] = ["a", "b", "c"];

/// What one history came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The whole log.
    pub log: Vec<String>,
    /// How often there was what.
    pub tally: Tally,
}

/// Plays the history of a seed: some minutes in which much happens.
///
/// # Errors
/// The promise that was broken, or `liveness` if the world did not come to rest.
pub fn play(seed: u64) -> Result<Outcome, Violation> {
    minutes(Plot::new(seed, Leaning::Even))
}

/// As [`play`], but most that happens is of one kind: what happens seldom meets its like.
///
/// # Errors
/// As [`play`].
pub fn lean(seed: u64) -> Result<Outcome, Violation> {
    let leaning = match seed % 2 {
        0 => Leaning::Volumes,
        _ => Leaning::Members,
    };
    let mut plot = Plot::new(seed, leaning);
    plot.supply();
    minutes(plot)
}

/// As [`play`], with hosts that stand still, hang and are fenced, and members that fail over. Some begin
/// with what seldom comes about by itself.
///
/// # Errors
/// As [`play`].
pub fn fail_over(seed: u64) -> Result<Outcome, Violation> {
    let mut plot = Plot::new(seed, Leaning::Hosts);
    plot.begin()?;
    match seed % 4 {
        0 => plot.hang()?,
        1 => plot.boot_alone()?,
        _ => {}
    }
    minutes(plot)
}

/// As [`play`], with a store that is restored and hosts that are lost. Some begin with members that are
/// granted anew before and after.
///
/// # Errors
/// As [`play`].
pub fn restore(seed: u64) -> Result<Outcome, Violation> {
    let mut plot = Plot::new(seed, Leaning::Past);
    plot.begin()?;
    if seed.is_multiple_of(4) {
        plot.grant_twice()?;
    }
    minutes(plot)
}

/// As [`play`], with sets that are founded while hosts lose power and their ledgers.
///
/// # Errors
/// As [`play`].
pub fn forget(seed: u64) -> Result<Outcome, Violation> {
    let mut plot = Plot::new(seed, Leaning::Members);
    plot.found_and_forget()?;
    minutes(plot)
}

fn minutes(mut plot: Plot) -> Result<Outcome, Violation> {
    let events = 10 + plot.rng.below(30);
    for _ in 0..events {
        plot.event()?;
        let pause = plot.rng.millis(1, 4000);
        // Often, much happens at once.
        if plot.rng.chance(70) {
            plot.world.run(pause)?;
        }
    }
    plot.rest()?;
    Ok(plot.outcome())
}

fn add_host(world: &mut World, n: u8) -> Option<HostName> {
    let name = format!("host-{n}").parse::<HostName>().ok()?;
    world.add_host(&name, Ipv4Addr::new(10, 0, 0, n).into());
    Some(name)
}

/// A world and what may happen in it.
struct Plot {
    rng: Rng,
    world: World,
    hosts: Vec<HostName>,
    sets: Vec<(SetKey, SetOptions)>,
    leaning: Leaning,
    /// Draws who is moved where; not there in histories in which nobody is.
    moves: Option<Rng>,
}

impl Plot {
    fn new(seed: u64, leaning: Leaning) -> Self {
        let mut rng = Rng::new(seed);
        let mut world = World::new(rng.draw(), true);
        let mut hosts = Vec::new();
        // The other histories are what they were before members could move by themselves.
        let harsh = matches!(leaning, Leaning::Hosts | Leaning::Past);
        let moves = seed.is_multiple_of(4) || harsh;
        for n in 1..=HOSTS {
            hosts.extend(add_host(&mut world, n));
        }
        for (n, host) in (0_u64..).zip(hosts.iter().filter(|_| moves)) {
            // As wrong as a clock may be, in both directions.
            world.set_rate(host, 980 + 20 * (n % 3));
        }
        if harsh {
            hosts::equip(&mut world, &mut rng, &hosts);
        }
        let mut sets = Vec::new();
        let mut before: Option<&str> = None;
        for (port, name) in (7000..).zip(SETS) {
            if let Ok(key) = format!("default/{name}").parse::<SetKey>() {
                let mut options = options(&mut rng, port);
                leaning.shape(&mut rng, &mut options);
                options.failover = failover(&options, port).filter(|_| moves);
                // No cycle: each needs the one before it, or nothing.
                options.needs = before.filter(|_| rng.chance(25)).map(|set| Dependency {
                    set: set.to_owned(),
                    gate: one_of(&mut rng, DependencyGate::Started, DependencyGate::Available),
                });
                before = Some(name);
                sets.push((key, options));
            }
        }
        world.put_class();
        let pooled = rng.chance(50) && leaning != Leaning::Past;
        if let (true, Ok(key)) = (pooled, "default/dev".parse()) {
            world.put_pool(&key, "127.77.0.0/16", true);
        }
        Self {
            rng,
            world,
            hosts,
            sets,
            leaning,
            // The other histories are what they were before operators moved members.
            moves: matches!(seed % 16, 6 | 7).then(|| Rng::new(seed ^ MOVES)),
        }
    }

    /// Hosts that join, with the next numbers.
    fn add_hosts(&mut self, more: u8) {
        let from = u8::try_from(self.hosts.len()).unwrap_or_default();
        for n in (from + 1)..=(from + more) {
            self.hosts.extend(add_host(&mut self.world, n));
        }
    }

    fn outcome(self) -> Outcome {
        Outcome {
            log: self.world.log,
            tally: self.world.tally,
        }
    }

    fn host(&mut self) -> Option<HostName> {
        self.rng.pick(&self.hosts).cloned()
    }

    fn member(&mut self) -> Option<MemberId> {
        let (set, _) = self.rng.pick(&self.sets)?.clone();
        let ordinal = u32::try_from(self.rng.below(6)).unwrap_or_default();
        Some(MemberId {
            set,
            ordinal: Ordinal(ordinal),
        })
    }

    fn event(&mut self) -> Result<(), Violation> {
        self.moves();
        match self.leaning.dice(&mut self.rng) {
            0..=12 => self.apply(),
            13..=18 => self.config(),
            19..=29 => self.storage()?,
            30..=34 => self.remove(),
            35..=44 => self.member_fault(),
            45..=54 => self.toggle_health(),
            55..=64 => {
                if let Some(host) = self.host() {
                    let back = self.rng.millis(100, 8000);
                    self.world.crash_agent(&host, back);
                }
            }
            65..=71 => {
                if let Some(host) = self.host() {
                    let back = self.rng.millis(500, 20_000);
                    self.world.crash_host(&host, back);
                }
            }
            72..=79 => {
                if let Some(host) = self.host() {
                    let heals = self.rng.millis(10, 15_000);
                    match self.leaning.link(&mut self.rng) {
                        Link::Cut => self.world.cut_link(&host, heals),
                        Link::Stalls { down } => self.world.stall_link(&host, down, heals),
                        Link::Holds { written } => self.world.fail_sync(&host, written),
                    }
                }
            }
            80..=86 => {
                let back = self.rng.millis(50, 6000);
                self.world.crash_coordinator(back);
            }
            87..=92 => {
                let steps = usize::try_from(self.rng.below(12)).unwrap_or_default();
                self.world.coordinator.crash_after = Some(steps);
                self.apply();
            }
            HOST => self.host_fault()?,
            PAST => self.past()?,
            _ => self.host_verb(),
        }
        Ok(())
    }

    /// An operator does something to a host, or to a single member.
    fn host_verb(&mut self) {
        let Some(host) = self.host() else { return };
        let on = self.rng.chance(50);
        match self.rng.below(5) {
            0 => self.world.cordon(&host, on),
            1 => {
                let pinned = self.rng.chance(50);
                self.world.say("operator", &format!("drains {host}: {on}"));
                self.world.drain(&host, on, pinned);
            }
            2 => self.world.lack(&host, on),
            3 => {
                let racks = [None, Some("a"), Some("b")];
                let rack = self.rng.pick(&racks).copied().flatten();
                self.world
                    .say("operator", &format!("puts {host} into rack {rack:?}"));
                self.world.rack(&host, rack);
            }
            _ => {
                let Some(id) = self.member() else { return };
                self.world
                    .say("operator", &format!("takes {id} offline: {on}"));
                self.world.offline(&id, on);
            }
        }
    }

    /// A member is to go to another host, or not any more.
    fn moves(&mut self) {
        let Some(mut rng) = self.moves.take() else {
            return;
        };
        if rng.chance(25) {
            let set = rng.pick(&self.sets).map(|(set, _)| set.clone());
            let ordinal = Ordinal(u32::try_from(rng.below(4)).unwrap_or_default());
            let to = rng.pick(&self.hosts).cloned();
            if let Some(id) = set.map(|set| MemberId { set, ordinal }) {
                match rng.below(8) {
                    0 => self.world.stay(&id),
                    1 => self.world.move_member(&id, None),
                    _ => self.world.move_member(&id, to.as_ref()),
                }
            }
        }
        self.moves = Some(rng);
    }

    /// A set goes, or its members do without it, or their data goes.
    fn remove(&mut self) {
        let Some(id) = self.member() else { return };
        let key = id.set.clone();
        match self.rng.below(6) {
            0..=2 => {
                self.world.say("operator", &format!("deletes {key}"));
                self.world.delete_set(&key);
            }
            3 => {
                let what = format!("deletes {key} without its members");
                self.world.say("operator", &what);
                self.world.orphan_set(&key);
            }
            4 => {
                self.world.say("operator", &format!("founds {key} anew"));
                self.world.give_up(&key, None);
            }
            _ => {
                self.world.say("operator", &format!("replaces {id}"));
                self.world.give_up(&key, Some(&id));
            }
        }
    }

    fn apply(&mut self) {
        let at = self.rng.below(3);
        let replicas = u32::try_from(self.rng.below(5)).unwrap_or_default();
        let changes = self.rng.chance(30);
        let reserves = self.rng.chance(20);
        let special = self.rng.chance(30).then_some(0);
        let index = usize::try_from(at).unwrap_or_default();
        let Some((key, options)) = self.sets.get_mut(index) else {
            return;
        };
        // A set that is founded by all members needs a host for each, and keeps its number.
        if !options.fixed || options.replicas == 0 {
            options.replicas = replicas;
        }
        options.revision += u32::from(changes);
        options.special = special;
        if !options.fixed {
            let reserved = reserves && !options.per_host;
            options.reserved = reserved.then_some(1).into_iter().collect();
        }
        if self.rng.chance(30) {
            updates(&mut self.rng, options);
        }
        let (key, options) = (key.clone(), options.clone());
        let (replicas, revision) = (options.replicas, options.revision);
        let what = format!(
            "wants {replicas} of {key} from {}, revision {revision}, {:?} from {}{}",
            options.start,
            options.update,
            options.partition,
            if options.paused { ", paused" } else { "" }
        );
        self.world.say("operator", &what);
        self.world.put_set(&key, &options);
    }

    /// The config of a set is another, or gone.
    fn config(&mut self) {
        let Some((key, _)) = self.rng.pick(&self.sets).cloned() else {
            return;
        };
        let mut level = || u32::try_from(self.rng.below(3)).unwrap_or_default();
        let config = Some((level() / 2, level()));
        let config = config.filter(|_| self.rng.chance(85));
        let what = match config {
            Some((env, file)) => format!("gives {key} the config {env} and {file}"),
            None => format!("deletes the config of {key}"),
        };
        self.world.say("operator", &what);
        self.world.put_config(&key, config);
    }

    fn member_fault(&mut self) {
        let aimed = match self.leaning {
            Leaning::Even => self.member(),
            Leaning::Mixed
            | Leaning::Volumes
            | Leaning::Members
            | Leaning::Hosts
            | Leaning::Past => {
                let running = self.world.running();
                self.rng.pick(&running).cloned()
            }
        };
        if self.leaning == Leaning::Members && self.rng.chance(25) {
            self.world.ambush = true;
        }
        let Some(id) = aimed else { return };
        if self.rng.chance(50) {
            self.world.kill_process(&id);
        } else {
            self.world.kill_keeper(&id);
        }
    }

    fn toggle_health(&mut self) {
        let Some(id) = self.member() else { return };
        if !self.world.broken.remove(&id) {
            self.world
                .say("fault", &format!("{id} does not become ready"));
            self.world.broken.insert(id);
        }
    }
}

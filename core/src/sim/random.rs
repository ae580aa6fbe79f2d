//! Random histories: a seed decides how the sets are, what the operator does, and what goes wrong.
//! Afterwards everything is mended, and everything must come to rest where it should be.

use std::{net::Ipv4Addr, time::Duration};

use crate::{
    ids::{HostName, MemberId, Ordinal, SetKey},
    sim::{
        Violation, World,
        operator::{SERVER, SetOptions, Word},
        rng::Rng,
    },
    spec::{Dependency, DependencyGate, Spread},
    volume::class::BUILT_IN,
};

mod sets;

use sets::{one_of, options, updates};

/// How long a mended world may take to come to rest.
const REST: Duration = Duration::from_secs(600);
/// Longer than any coordinator is away.
const BACK: Duration = Duration::from_secs(10);
/// So often volumes are tidied: what is freed may bind a claim whose data is then given.
const TIDY: u32 = 6;
/// Names of sets.
const SETS: [&str; 3] = ["a", "b", "c"];

/// The racks of the hosts, once everything is mended.
const RACKS: [&str; 4] = ["a", "b", "a", "b"];
/// Above every ordinal that comes about.
const MOST_ORDINALS: u32 = 8;

/// What one history came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The whole log.
    pub log: Vec<String>,
}

/// Plays the history of a seed.
///
/// # Errors
/// The promise that was broken, or `liveness` if the world did not come to rest.
pub fn play(seed: u64) -> Result<Outcome, Violation> {
    let mut plot = Plot::new(seed);
    let events = 10 + plot.rng.below(30);
    for _ in 0..events {
        plot.event()?;
        let pause = plot.rng.millis(1, 4000);
        // Often, much happens at once.
        if plot.rng.chance(70) {
            plot.world.run(pause)?;
        }
    }
    plot.mend();
    // The coordinator is back by then, and takes what the operator makes.
    plot.world.run(BACK)?;
    plot.provide();
    for _ in 0..TIDY {
        plot.world.tidy_volumes();
        plot.world.run(BACK)?;
    }
    if plot.world.settle(REST)? {
        return Ok(Outcome {
            log: plot.world.log,
        });
    }
    let mut log = plot
        .world
        .log
        .split_off(plot.world.log.len().saturating_sub(60));
    log.extend(plot.world.show());
    Err(Violation {
        promise: "liveness",
        detail: "everything is mended and it does not come to rest".to_owned(),
        at: plot.world.seconds(),
        log,
    })
}

/// A world and what may happen in it.
struct Plot {
    rng: Rng,
    world: World,
    hosts: Vec<HostName>,
    sets: Vec<(SetKey, SetOptions)>,
}

impl Plot {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut world = World::new(rng.next(), true);
        let mut hosts = Vec::new();
        for n in 1..=4_u8 {
            if let Ok(name) = format!("host-{n}").parse::<HostName>() {
                world.add_host(&name, Ipv4Addr::new(10, 0, 0, n).into());
                // As wrong as a clock may be, in both directions.
                let rate = match n % 3 {
                    0 => 1000,
                    1 => 980,
                    _ => 1020,
                };
                world.set_rate(&name, rate);
                hosts.push(name);
            }
        }
        let mut sets = Vec::new();
        let mut before: Option<&str> = None;
        for (port, name) in (7000..).zip(SETS) {
            if let Ok(key) = format!("default/{name}").parse::<SetKey>() {
                let mut options = options(&mut rng, port);
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
        if let (true, Ok(key)) = (rng.chance(50), "default/dev".parse()) {
            world.put_pool(&key, "127.77.0.0/16", true);
        }
        Self {
            rng,
            world,
            hosts,
            sets,
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
        match self.rng.below(100) {
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
                    self.world.cut_link(&host, heals);
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

    /// Something happens to volumes and claims.
    fn storage(&mut self) -> Result<(), Violation> {
        let Some((set, options)) = self.rng.pick(&self.sets).cloned() else {
            return Ok(());
        };
        let ordinal = self.rng.below(6);
        let member = format!("{}-{ordinal}", set.name);
        match self.rng.below(12) {
            0..=3 => self.clear_out(&set)?,
            4 | 5 => self.word(),
            6 => self.claim(&set, &options, &member),
            7..=9 => self.copy(),
            10 => self.restore(&set, &options)?,
            _ => {
                self.world
                    .say("operator", &format!("makes a volume for {member}"));
                self.world.put_volume(&format!("pv-{member}"), &member);
            }
        }
        Ok(())
    }

    /// A snapshot is asked for, or one goes.
    fn copy(&mut self) {
        let snapshots = self.world.snapshots();
        if self.rng.chance(30)
            && let Some((snapshot, _)) = self.rng.pick(&snapshots)
        {
            self.world.drop_snapshot(snapshot);
        } else if let Some(claim) = self.rng.pick(&self.world.claims()) {
            self.world.take_snapshot(claim);
        }
    }

    /// A set goes, and its claims; the volumes of some of its members begin with snapshots of theirs.
    fn restore(&mut self, set: &SetKey, options: &SetOptions) -> Result<(), Violation> {
        // A volume that comes back on its host may meet another member there by then.
        let free = options.spread == Spread::Prefer && options.racks.is_none();
        if options.class.is_some() || options.port.is_some() || options.per_host || !free {
            return Ok(());
        }
        let own = |claim: &str| {
            let member = claim.strip_prefix("data-");
            let set_of = member.and_then(|member| member.rsplit_once('-'));
            set_of.is_some_and(|(name, _)| name == set.name.as_str())
        };
        for claim in self.world.claims() {
            if own(claim.name.as_str()) {
                self.world.take_snapshot(&claim);
            }
        }
        self.world.run(BACK)?;
        self.world.say("operator", &format!("deletes {set}"));
        self.world.delete_set(set);
        self.world.run(BACK)?;
        self.world.drop_claims();
        for (snapshot, claim) in self.world.snapshots() {
            if own(&claim) {
                self.world.restore(&snapshot);
            }
        }
        Ok(())
    }

    /// Mostly a set goes first; then the claims that nobody uses, and words about their volumes.
    fn clear_out(&mut self, set: &SetKey) -> Result<(), Violation> {
        if self.rng.chance(70) {
            self.world.say("operator", &format!("deletes {set}"));
            self.world.delete_set(set);
            let pause = self.rng.millis(500, 6000);
            self.world.run(pause)?;
        }
        self.world
            .say("operator", "deletes the claims that nobody uses");
        self.world.drop_claims();
        for _ in 0..self.rng.below(6) {
            self.word();
            let pause = self.rng.millis(1, 1500);
            self.world.run(pause)?;
        }
        Ok(())
    }

    /// A word about a volume: mostly one that could be taken, for one that no claim has.
    fn word(&mut self) {
        let loose = self.world.loose_volumes();
        let all = if loose.is_empty() || self.rng.chance(20) {
            self.world.volumes()
        } else {
            loose
        };
        let words = [Word::Adopt, Word::Release, Word::Delete, Word::Undelete];
        let word = self.rng.pick(&words).copied();
        if let (Some(word), Some(volume)) = (word, self.rng.pick(&all).cloned()) {
            self.world.tell_volume(word, &volume);
        }
    }

    /// A claim is made by hand: what the members share, or one in place of a member's own.
    fn claim(&mut self, set: &SetKey, options: &SetOptions, member: &str) {
        let (name, class) = match &options.shared {
            Some(shared) => (shared.clone(), SERVER),
            None if options.claim => {
                let class = options.class.as_deref();
                (format!("data-{member}"), class.unwrap_or(BUILT_IN))
            }
            None => return,
        };
        if let Ok(key) = format!("{}/{name}", set.namespace).parse() {
            self.world.say("operator", &format!("makes claim {key}"));
            self.world.put_claim(&key, class);
        }
    }

    fn member_fault(&mut self) {
        let Some(id) = self.member() else { return };
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

    /// Ends what does not end by itself.
    fn mend(&mut self) {
        self.world.say("operator", "mends everything");
        self.world.broken.clear();
        self.world.rough = false;
        self.world.coordinator.crash_after = None;
        for (host, rack) in self.hosts.clone().iter().zip(RACKS) {
            self.world.drain(host, false, false);
            self.world.lack(host, false);
            self.world.rack(host, Some(rack));
        }
        for (set, _) in self.sets.clone() {
            for ordinal in 0..MOST_ORDINALS {
                let (set, ordinal) = (set.clone(), Ordinal(ordinal));
                self.world.offline(&MemberId { set, ordinal }, false);
            }
        }
    }

    /// Makes what sets still need. What an operator held back goes on, and what was stalled or
    /// taken back gets a template that works.
    fn provide(&mut self) {
        // Directories on the server that nobody has any more are free again.
        self.world.drop_claims();
        let needed: Vec<String> = self
            .sets
            .iter()
            .filter_map(|(_, options)| Some(options.needs.as_ref()?.set.clone()))
            .collect();
        for (set, options) in &mut self.sets {
            options.paused = false;
            options.revision += 1;
            let needed = needed.iter().any(|name| name == set.name.as_str());
            if needed {
                options.replicas = options.replicas.max(1);
            }
            if needed || self.world.has_set(set) {
                self.world.put_set(set, options);
            }
        }
        for (set, options) in self.sets.clone() {
            self.world.put_config(&set, Some((0, 0)));
            for ordinal in 0..MOST_ORDINALS.max(6) {
                let member = format!("{}-{ordinal}", set.name);
                self.world.put_volume(&format!("pv-{member}"), &member);
            }
            if options.shared.is_some() {
                self.claim(&set, &options, "");
            }
        }
    }
}

//! A schedule of faults that befall a coordinator and its hosts: seeded, counted in one place, and
//! taken back again. It decides which comes when; what one is for real is in [`kinds`].

mod kinds;

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use berth_core::sim::Rng;

use crate::hosts::Hosts;

pub use kinds::{Kind, lay_out};

/// So many of the coordinator and its hosts suffer at a time, at most: so there is somebody left to
/// take over.
const AT_ONCE: usize = 2;
/// The longest that a fault lasts: longer than a lease of the class `Fast` and the wait for its end.
const LONGEST_MS: u64 = 6_500;

/// A fault that is on.
#[derive(Debug, Clone)]
struct Active {
    kind: Kind,
    until: Instant,
}

/// What was done so far, and what is to be taken back.
#[derive(Debug)]
pub struct Schedule {
    rng: Rng,
    targets: Vec<String>,
    active: BTreeMap<String, Active>,
    counts: BTreeMap<Kind, u32>,
}

impl Schedule {
    /// Of these hosts and their coordinator.
    pub fn new(seed: u64, hosts: &[String]) -> Self {
        let mut targets = hosts.to_vec();
        targets.push(kinds::COORDINATOR.to_owned());
        Self {
            rng: Rng::new(seed),
            targets,
            active: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// How many faults there were.
    pub fn count(&self) -> u32 {
        self.counts.values().sum()
    }

    /// The kinds that did not come up yet.
    pub fn missing(&self) -> Vec<Kind> {
        let all = Kind::ALL.into_iter();
        all.filter(|kind| !self.counts.contains_key(kind)).collect()
    }

    /// Hosts that are out of contact by a fault of the network, and whose agent answers.
    pub fn cut_off(&self) -> Vec<String> {
        let of = self.active.iter().filter(|(_, on)| on.kind.cuts_off());
        of.map(|(target, _)| target.clone()).collect()
    }

    /// Takes back what is over, and begins the next if there is room for it.
    ///
    /// # Panics
    /// If a daemon does not let itself be stopped or started.
    pub fn step(&mut self, hosts: &mut Hosts<'_>) {
        let now = Instant::now();
        let over = self.active.iter().filter(|(_, on)| on.until <= now);
        let over: Vec<String> = over.map(|(target, _)| target.clone()).collect();
        for target in over {
            self.take_back(hosts, &target);
        }
        let whole = self
            .targets
            .iter()
            .filter(|t| !self.active.contains_key(*t));
        let whole: Vec<String> = whole.cloned().collect();
        if self.active.len() >= AT_ONCE {
            return;
        }
        let target = self.rng.pick(&whole).expect("one that is whole").clone();
        let kinds: Vec<Kind> = Kind::ALL
            .into_iter()
            .filter(|kind| kind.befalls(&target))
            .collect();
        let kind = *self.rng.pick(&kinds).expect("a kind for each");
        let lasts = Duration::from_millis(self.rng.below(LONGEST_MS));
        kind.begin(hosts, &target);
        *self.counts.entry(kind).or_default() += 1;
        let until = now + lasts;
        self.active.insert(target, Active { kind, until });
    }

    /// Takes back all that is left.
    pub fn end(&mut self, hosts: &mut Hosts<'_>) {
        while let Some(target) = self.active.keys().next().cloned() {
            self.take_back(hosts, &target);
        }
    }

    fn take_back(&mut self, hosts: &mut Hosts<'_>, target: &str) {
        if let Some(on) = self.active.remove(target) {
            on.kind.end(hosts, target);
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} faults:", self.count())?;
        for (kind, count) in &self.counts {
            write!(f, " {count} {kind:?}")?;
        }
        Ok(())
    }
}

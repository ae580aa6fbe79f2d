//! A busy hour: bursts in which much goes wrong at once, and lulls in which what was begun comes to its
//! end. Afterwards everything is mended, comes to rest, and stays so: nothing is decided or written.

use std::time::Duration;

use crate::sim::Violation;

use super::{Leaning, Outcome, Plot};

/// How long a history lasts before everything is mended.
const HOUR: Duration = Duration::from_secs(3600);
/// The longest time in which nothing new happens, in milliseconds.
const LULL: u64 = 200_000;
/// How long nothing is decided any more, once a world rests and its trash is empty.
pub const QUIET: Duration = Duration::from_secs(600);
/// Longer than anything stays in the trash.
const EMPTIED: Duration = Duration::from_secs(120);
/// How often in a hundred it is looked at whether everything was woken that had to be: it costs as much
/// as everything else together.
const WAKES: u64 = 5;

/// Plays a busy hour of a seed.
///
/// # Errors
/// The promise that was broken, or `liveness` if the world did not come to rest, or not stay at rest.
pub fn hour(seed: u64) -> Result<Outcome, Violation> {
    let leaning = match (seed % 8, seed % 3) {
        (1, _) => Leaning::Hosts,
        (5, _) => Leaning::Past,
        (_, 0) => Leaning::Mixed,
        (_, 1) => Leaning::Volumes,
        (_, _) => Leaning::Members,
    };
    let mut plot = Plot::new(seed, leaning);
    let more = u8::try_from(plot.rng.below(3)).unwrap_or_default();
    plot.add_hosts(more);
    plot.supply();
    plot.world.wakes_checked = WAKES;
    let end = plot.world.now.plus(HOUR);
    let mut sets = Vec::new();
    while plot.world.now < end {
        plot.bring_back();
        sets.push(plot.count_sets());
        if plot.rng.chance(15) {
            plot.swizzle()?;
        }
        for _ in 0..=plot.rng.below(6) {
            plot.event()?;
            let pause = plot.rng.millis(1, 4000);
            if plot.rng.chance(70) {
                plot.world.run(pause)?;
            }
        }
        let left = end.since(plot.world.now);
        let lull = plot.rng.millis(1, LULL).min(left);
        plot.world.run(lull)?;
    }
    sets.sort_unstable();
    let sets = sets.get(sets.len() / 2).copied().unwrap_or_default();
    plot.world.tally.size = (plot.count_hosts(), sets);
    plot.rest()?;
    plot.world.run(EMPTIED)?;
    let before = plot.world.tally.steps.clone();
    plot.world.run(QUIET)?;
    if plot.world.tally.steps != before {
        return Err(plot.stuck("it came to rest, and then something was decided"));
    }
    Ok(plot.outcome())
}

impl Plot {
    /// Everything goes away in one order and comes back in another.
    fn swizzle(&mut self) -> Result<(), Violation> {
        let mut hosts = self.hosts.clone();
        let power = self.rng.chance(50);
        while !hosts.is_empty() {
            let below = u64::try_from(hosts.len()).unwrap_or(1);
            let next = usize::try_from(self.rng.below(below)).unwrap_or_default();
            let host = hosts.swap_remove(next);
            let back = self.rng.millis(5000, 30_000);
            if power {
                self.world.crash_host(&host, back);
            } else {
                self.world.cut_link(&host, back);
            }
            let pause = self.rng.millis(1, 1500);
            self.world.run(pause)?;
        }
        Ok(())
    }

    /// Sets that are not there, and were not meant to be gone for long, are applied again.
    fn bring_back(&mut self) {
        for index in 0..self.sets.len() {
            let Some((key, options)) = self.sets.get_mut(index) else {
                return;
            };
            if self.world.has_set(key) || !self.rng.chance(60) {
                continue;
            }
            if !options.fixed || options.replicas == 0 {
                options.replicas = u32::try_from(1 + self.rng.below(4)).unwrap_or(1);
            }
            let (key, options) = (key.clone(), options.clone());
            self.world.say("operator", &format!("wants {key}"));
            self.world.put_set(&key, &options);
        }
    }

    fn count_hosts(&self) -> u64 {
        u64::try_from(self.hosts.len()).unwrap_or(u64::MAX)
    }

    fn count_sets(&self) -> u64 {
        let there = self.sets.iter().filter(|(key, _)| self.world.has_set(key));
        u64::try_from(there.count()).unwrap_or(u64::MAX)
    }
}

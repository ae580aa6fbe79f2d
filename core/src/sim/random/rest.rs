//! The end of a random history: what went wrong is mended, what sets need is there, and everything has
//! to come to rest where it should be.

use std::time::Duration;

use crate::{
    ids::{MemberId, Ordinal},
    sim::Violation,
};

use super::{BACK, Plot};

/// How long a mended world may take to come to rest.
const REST: Duration = Duration::from_secs(600);
/// So often volumes are tidied: what is freed may bind a claim whose data is then given.
const TIDY: u32 = 6;
/// The racks of the hosts, once everything is mended.
const RACKS: [&str; 2] = ["a", "b"];
/// Above every ordinal that comes about.
const MOST_ORDINALS: u32 = 8;
/// So many lines of the log are told with a world that does not come to rest.
const TAIL: usize = 60;

impl Plot {
    /// Mends everything and waits until nobody waits for anything.
    ///
    /// # Errors
    /// The promise that was broken, or `liveness` if the world did not come to rest.
    pub(super) fn rest(&mut self) -> Result<(), Violation> {
        self.mend();
        // The coordinator is back by then, and takes what the operator makes.
        self.world.run(BACK)?;
        self.provide();
        for _ in 0..TIDY {
            // What connects only now may have seen more than was accepted.
            self.world.accept_restore();
            let replaced = self.world.replace_lost_data();
            // A rollout may have stalled while data, or a host, was away; a set, gone only now.
            if replaced || self.world.is_unprovided() {
                self.provide();
            }
            self.world.tidy_volumes();
            self.world.run(BACK)?;
        }
        if self.world.settle(REST)? {
            return Ok(());
        }
        Err(self.stuck("everything is mended and it does not come to rest"))
    }

    /// A world that is not as it should be by now.
    pub(super) fn stuck(&self, detail: &str) -> Violation {
        let log = &self.world.log;
        let tail = log.get(log.len().saturating_sub(TAIL)..);
        let mut log = tail.unwrap_or_default().to_vec();
        log.extend(self.world.show());
        Violation {
            promise: "liveness",
            detail: detail.to_owned(),
            at: self.world.seconds(),
            log,
        }
    }

    /// Ends what does not end by itself.
    fn mend(&mut self) {
        self.world.say("operator", "mends everything");
        self.world.broken.clear();
        self.world.rough = false;
        self.world.coordinator.crash_after = None;
        self.world.ambush = false;
        self.world.thaw_all();
        self.world.replace_lost();
        self.world.repair_hosts();
        self.world.repair_links();
        for (host, rack) in self.hosts.clone().iter().zip(RACKS.into_iter().cycle()) {
            self.world.drain(host, false, false);
            self.world.lack(host, false);
            self.world.rack(host, Some(rack));
        }
        for (set, _) in self.sets.clone() {
            for ordinal in 0..MOST_ORDINALS {
                let (set, ordinal) = (set.clone(), Ordinal(ordinal));
                let id = MemberId { set, ordinal };
                self.world.offline(&id, false);
                self.world.stay(&id);
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
        self.supply();
    }

    /// Makes what the members of all sets need: config, volumes by hand, claims that they share.
    pub(super) fn supply(&mut self) {
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

//! What an operator of a random history does to volumes, claims and snapshots.

use crate::{
    ids::SetKey,
    sim::{
        Violation,
        operator::{SERVER, SetOptions, Word},
    },
    spec::Spread,
    volume::class::BUILT_IN,
};

use super::{BACK, Leaning, Plot};

impl Plot {
    /// Something happens to volumes and claims.
    pub(super) fn storage(&mut self) -> Result<(), Violation> {
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
            let regretted = self.leaning == Leaning::Volumes && self.world.goes(&volume);
            let word = if regretted { Word::Undelete } else { word };
            self.world.tell_volume(word, &volume);
        }
    }

    /// A claim is made by hand: what the members share, or one in place of a member's own.
    pub(super) fn claim(&mut self, set: &SetKey, options: &SetOptions, member: &str) {
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
}

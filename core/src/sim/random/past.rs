//! What is taken back, and what is gone for good: stores that are restored from backups, and machines that
//! never come again.

use crate::sim::Violation;

use super::{BACK, Plot};

impl Plot {
    /// A backup is taken or put back, or a machine is lost.
    pub(super) fn past(&mut self) -> Result<(), Violation> {
        match self.rng.below(8) {
            0..=2 => self.world.back_up(),
            3 => self.restore_backup()?,
            4 => self.world.accept_restore(),
            5 => self.lose()?,
            6 => {
                if let Some(id) = self.member() {
                    self.world.force(&id);
                }
            }
            _ => self.world.replace_lost(),
        }
        Ok(())
    }

    /// Each set is founded. Sometimes nobody hears what comes of it on a host, which then loses its ledger.
    pub(super) fn found_and_forget(&mut self) -> Result<(), Violation> {
        for index in 0..self.sets.len() {
            let Some((key, options)) = self.sets.get_mut(index) else {
                continue;
            };
            options.fixed = true;
            options.per_host = false;
            options.quorum = false;
            options.claim = false;
            options.needs = None;
            options.replicas = u32::try_from(1 + self.rng.below(3)).unwrap_or(1);
            self.world.put_set(key, options);
            let Some(host) = self.host() else { continue };
            let before = self.rng.millis(1, 3000);
            self.world.run(before)?;
            let silent = self.rng.millis(1000, 9000);
            self.world.stall_link(&host, false, silent);
            let served = self.rng.millis(500, 6000);
            self.world.run(served)?;
            if self.rng.chance(70) {
                let back = self.rng.millis(100, 8000);
                self.world.forget(&host, back);
            }
        }
        Ok(())
    }

    /// Members are granted anew after a backup, which is then put back, and anew again: to other hosts,
    /// mostly.
    pub(super) fn grant_twice(&mut self) -> Result<(), Violation> {
        self.world.back_up();
        self.grant_anew()?;
        self.restore_backup()?;
        self.world.accept_restore();
        self.world.run(BACK)?;
        self.grant_anew()
    }

    /// Every set goes and comes again, without one of the hosts.
    fn grant_anew(&mut self) -> Result<(), Violation> {
        let Some(host) = self.host() else {
            return Ok(());
        };
        for (key, options) in &mut self.sets {
            let replicas = std::mem::replace(&mut options.replicas, 0);
            self.world.put_set(key, options);
            options.replicas = replicas;
        }
        self.world.run(BACK)?;
        self.world.cordon(&host, true);
        for (key, options) in &self.sets {
            self.world.put_set(key, options);
        }
        self.world.run(BACK)?;
        self.world.cordon(&host, false);
        Ok(())
    }

    /// The backup is put back; mostly that is accepted while some hosts are away.
    fn restore_backup(&mut self) -> Result<(), Violation> {
        let back = self.rng.millis(100, 3000);
        self.world.restore_backup(back);
        if self.rng.chance(60)
            && let Some(host) = self.host()
        {
            let heals = self.rng.millis(10, 20_000);
            self.world.cut_link(&host, heals);
        }
        let pause = self.rng.millis(3000, 9000);
        self.world.run(pause)?;
        if self.rng.chance(80) {
            self.world.accept_restore();
        }
        Ok(())
    }

    /// A machine is lost; mostly an operator finds it, and sometimes another takes its place.
    fn lose(&mut self) -> Result<(), Violation> {
        let Some(host) = self.host() else {
            return Ok(());
        };
        self.world.lose_host(&host);
        let pause = self.rng.millis(1000, 9000);
        self.world.run(pause)?;
        if self.rng.chance(80) {
            self.world.confirm_dead(&host);
        }
        if self.rng.chance(50) {
            self.world.replace_lost();
        }
        Ok(())
    }
}

//! What is lost for good, and what operators say of it: hosts, and the coordinator's store.
//!
//! The operator of the simulated cluster tells the truth: he confirms a host dead only if it is off
//! and has lost its disk, and forces a member only if nothing of it runs.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    history::{Heard, Mismatched, accept, answered, take_in},
    ids::{HistoryId, HostName, MemberId},
    ledger::Ledger,
    session::Mismatch,
    sim::{
        coordinator::{Coordinator, Saved, SentOrder},
        net::Happening,
        world::World,
    },
    state::lost,
    time::Timestamp,
    zone::Zone,
};

impl World {
    /// The machine of a host is gone for good, with its disk.
    pub fn lose_host(&mut self, name: &HostName) {
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        host.up = false;
        host.lost = true;
        host.agent = None;
        host.frozen = None;
        host.keepers.clear();
        host.dirty.clear();
        host.ledger = Ledger::default();
        host.zone = Zone::default();
        self.truth.forget_answers_of(name);
        self.say("fault", &format!("{name} is lost with its disk"));
        self.tally.fault("host lost");
        self.break_stream(name);
    }

    /// A host loses power, and its agent finds an empty directory when it comes back. What its members
    /// have elsewhere is there.
    pub fn forget(&mut self, name: &HostName, back_after: Duration) {
        if !self.switch_off(name) {
            return;
        }
        let Some(host) = self.hosts.get_mut(name) else {
            return;
        };
        host.ledger = Ledger::default();
        host.zone = Zone::default();
        self.truth.forget_answers_of(name);
        self.say("fault", &format!("{name} loses power and its ledger"));
        self.tally.fault("ledger lost");
        self.break_stream(name);
        self.schedule(back_after, Happening::HostStarts(name.clone()));
    }

    /// Another machine takes the place of one that was lost, under its name.
    pub fn replace_machine(&mut self, name: &HostName) {
        let Some(host) = self.hosts.get_mut(name).filter(|host| host.lost) else {
            return;
        };
        host.lost = false;
        if let Some(known) = self.coordinator.state.hosts.get_mut(name) {
            let said = crate::state::HostRecord {
                machine_id: format!("{}-new", known.record.machine_id),
                ..known.record.clone()
            };
            known.record = said.said_by_agent(Some(&known.record));
        }
        self.say(
            "operator",
            &format!("puts another machine into the place of {name}"),
        );
        self.schedule(Duration::ZERO, Happening::HostStarts(name.clone()));
    }

    /// Confirms a host dead that is.
    pub fn confirm_dead(&mut self, name: &HostName) {
        let lost = self.hosts.get(name).is_some_and(|host| host.lost);
        if !lost || !self.coordinator.up {
            return;
        }
        if let Ok(after) = lost::confirm_dead(&self.coordinator.state, name, self.now) {
            self.say("operator", &format!("confirms {name} dead"));
            self.coordinator.state = after;
            self.reconcile();
        }
    }

    /// Confirms the hosts dead that are lost, and puts other machines into their places, which take
    /// members again.
    pub(super) fn replace_lost(&mut self) {
        let lost = self.hosts.iter().filter(|(_, host)| host.lost);
        let lost: Vec<HostName> = lost.map(|(name, _)| name.clone()).collect();
        for name in lost {
            self.confirm_dead(&name);
            self.replace_machine(&name);
        }
        for host in self.coordinator.state.hosts.values_mut() {
            host.record.directives.dead = None;
        }
    }

    /// Forces a member of which nothing runs.
    pub fn force(&mut self, id: &MemberId) {
        let gone = |host: &super::host::SimHost| {
            let there = host.keepers.contains_key(id);
            !there && (host.lost || !host.ledger.members.contains_key(id))
        };
        if !self.coordinator.up || !self.hosts.values().all(gone) {
            return;
        }
        if let Ok(after) = lost::force(&self.coordinator.state, id, self.now) {
            self.say("operator", &format!("forces {id}"));
            self.coordinator.state = after;
            self.reconcile();
        }
    }

    /// Takes a backup of the store.
    pub fn back_up(&mut self) {
        self.say("operator", "takes a backup");
        self.coordinator.saved = Some(Box::new(self.coordinator.save()));
    }

    /// The store is lost, and what was saved of it is put in its place.
    pub fn restore_backup(&mut self, back_after: Duration) {
        let Some(saved) = self.coordinator.saved.clone() else {
            return;
        };
        self.crash_coordinator(back_after);
        self.say("operator", "restores the backup");
        self.tally.fault("store restored");
        let now = self.now;
        self.coordinator.put_back(*saved);
        // Who restores a backup takes back what was answered since.
        self.truth.forget_answers(&self.coordinator.state);
        self.coordinator.state.past.restored = Some(now);
    }

    /// Accepts the store that was restored.
    pub fn accept_restore(&mut self) {
        if !self.coordinator.up {
            return;
        }
        let term = self.coordinator.state.term;
        let history = HistoryId(format!("history-{term}"));
        let Ok(after) = accept(&self.coordinator.state, history) else {
            return;
        };
        self.say(
            "operator",
            &format!("accepts the restore, term {}", after.term),
        );
        self.truth_of_term(after.term);
        self.coordinator.state = after;
        self.coordinator.lose_contact(self.now);
        let hosts: Vec<HostName> = self.wires.keys().cloned().collect();
        for host in hosts {
            self.break_stream(&host);
        }
        self.reconcile();
    }

    /// An agent has what the store never sent: a bug, unless the store was restored.
    pub(super) fn mismatched(&mut self, host: &HostName, heard: &Heard, mismatch: &Mismatch) {
        let past = &mut self.coordinator.state.past;
        if past.restored.is_none() && past.former.is_empty() {
            let detail = format!("the hello of {host} does not match: {mismatch}");
            self.truth.breaks("I6", detail);
            return;
        }
        let entry = Mismatched {
            since: self.now,
            why: mismatch.to_string(),
            history: heard.head.history.clone(),
            term: heard.term(),
        };
        past.mismatched.insert(host.clone(), entry);
        self.break_stream(host);
        self.reconcile();
    }

    /// A host was heard of after the restore was accepted.
    pub(super) fn hear(&mut self, host: &HostName, heard: &Heard) {
        let state = &self.coordinator.state;
        let follows = [&HistoryId::default(), &state.history].contains(&&heard.head.history);
        if follows && !state.past.awaited.contains(host) {
            // Who joins anew gets nothing that is of a former history.
            let sent = self.coordinator.sent.get_mut(host);
            if let Some(sent) = sent.filter(|s| state.past.former.contains(&s.head.history)) {
                *sent = SentOrder::default();
                self.coordinator.ordered = None;
            }
            return;
        }
        let after = take_in(state, host, heard, self.now);
        for (key, set) in &after.sets {
            for (ordinal, grant) in &set.last_grants {
                let id = MemberId {
                    set: key.clone(),
                    ordinal: *ordinal,
                };
                self.coordinator.epochs.insert(id, grant.epoch);
            }
        }
        let mut sent = self.coordinator.sent.get(host).cloned().unwrap_or_default();
        let has_ledger = heard.head.history != HistoryId::default();
        if !follows && has_ledger {
            let ledger = self.hosts.get(host).map(|host| &host.ledger);
            sent.members = ledger.map(|l| l.members.clone()).unwrap_or_default();
            sent.head = heard.head.clone();
            sent.hashes = BTreeMap::from([(sent.head.generation, sent.head.hash.clone())]);
        }
        if !sent.hashes.is_empty() {
            sent.head.history = after.history.clone();
            sent.head.term = after.term;
        }
        self.coordinator.sent.insert(host.clone(), sent);
        self.coordinator.ordered = None;
        self.coordinator.state = after;
        self.say("coord", &format!("takes in what {host} has"));
    }

    /// A host that is awaited has said what it has.
    pub(super) fn take_answer(&mut self, host: &HostName) {
        if let Some(after) = answered(&self.coordinator.state, host) {
            self.coordinator.state = after;
            self.say("coord", &format!("awaits {host} no more"));
        }
    }
}

impl Coordinator {
    fn save(&self) -> Saved {
        Saved {
            state: self.state.clone(),
            sent: self.sent.clone(),
            epochs: self.epochs.clone(),
            former: self.former.clone(),
        }
    }

    fn put_back(&mut self, saved: Saved) {
        self.state = saved.state;
        self.sent = saved.sent;
        self.epochs = saved.epochs;
        self.former = saved.former;
        self.ordered = None;
    }

    fn lose_contact(&mut self, now: Timestamp) {
        self.streams.clear();
        for host in self.state.hosts.values_mut() {
            let renewed = self.granting.renewed(&host.record.name);
            host.contact.forget(renewed, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SetKey;
    use crate::sim::{operator::SetOptions, rng::Rng};

    fn host(n: u64) -> HostName {
        format!("host-{n}").parse().unwrap()
    }

    /// A world of four hosts with two sets, of which a backup is taken at some time; then members
    /// move, come and go, the backup is restored, and accepted while some hosts are away.
    fn restored(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let mut world = World::new(rng.draw(), true);
        for n in 1..=4 {
            world.add_host(&host(n), [10, 0, 0, u8::try_from(n).unwrap()].into());
        }
        let sets: [SetKey; 2] = ["a", "b"].map(|name| format!("default/{name}").parse().unwrap());
        let change = |world: &mut World, rng: &mut Rng| {
            let set = rng.pick(&sets).unwrap().clone();
            let options = SetOptions {
                replicas: u32::try_from(rng.below(4)).unwrap(),
                revision: u32::try_from(rng.below(2)).unwrap(),
                ..SetOptions::default()
            };
            world.put_set(&set, &options);
            let id = MemberId {
                set,
                ordinal: crate::ids::Ordinal(0),
            };
            world.restart(&id);
            if rng.chance(50) {
                world.cordon(&host(1 + rng.below(4)), rng.chance(50));
            }
            world.run(rng.millis(1, 9000)).unwrap();
        };
        for _ in 0..3 {
            change(&mut world, &mut rng);
        }
        world.back_up();
        for _ in 0..4 {
            change(&mut world, &mut rng);
        }
        world.restore_backup(rng.millis(100, 3000));
        if rng.chance(60) {
            world.cut_link(&host(1 + rng.below(4)), rng.millis(10, 20_000));
        }
        world.run(rng.millis(3000, 9000)).unwrap();
        world.accept_restore();
        world.run(rng.millis(1, 5000)).unwrap();
        change(&mut world, &mut rng);
        accept_latecomers(&mut world);
        for n in 1..=4 {
            world.cordon(&host(n), false);
        }
        world
    }

    /// What connected only later may have seen more than was accepted.
    fn accept_latecomers(world: &mut World) {
        for _ in 0..3 {
            world.run(Duration::from_secs(30)).unwrap();
            world.accept_restore();
        }
    }

    #[test]
    fn a_restored_store_runs_nobody_twice_and_comes_to_rest() {
        for seed in 0..60 {
            let mut world = restored(seed);
            let rests = world.settle(Duration::from_secs(300)).unwrap();
            assert!(rests, "seed {seed}: {:#?}", world.show());
            let past = &world.coordinator.state.past;
            assert!(past.awaited.is_empty() && !past.is_latched(), "seed {seed}");
        }
    }

    /// A member moved while its host was out of contact, and the backup is of before.
    fn moved_since_the_backup(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let mut world = World::new(rng.draw(), true);
        for n in 1..=3 {
            world.add_host(&host(n), [10, 0, 0, u8::try_from(n).unwrap()].into());
        }
        let set: SetKey = "default/a".parse().unwrap();
        let options = SetOptions {
            failover: Some(crate::spec::LeaseClass::Fast),
            ..SetOptions::default()
        };
        world.put_set(&set, &options);
        world.run(rng.millis(10_000, 20_000)).unwrap();
        world.back_up();
        let members = &world.coordinator.state.sets[&set].members;
        let first = members.values().next().map(|member| member.host.clone());
        let first = first.unwrap();
        world.cut_link(&first, Duration::from_secs(15));
        world.run(rng.millis(12_000, 14_000)).unwrap();
        let members = &world.coordinator.state.sets[&set].members;
        assert!(members.values().all(|m| m.host != first), "seed {seed}");
        world
    }

    #[test]
    fn a_store_that_does_not_know_of_a_move_lets_nobody_start() {
        for seed in 0..20 {
            let mut world = moved_since_the_backup(seed);
            let mut rng = Rng::new(seed);
            world.restore_backup(rng.millis(100, 3000));
            world.run(rng.millis(5000, 20_000)).unwrap();
            world.accept_restore();
            let rests = world.settle(Duration::from_secs(300)).unwrap();
            assert!(rests, "seed {seed}: {:#?}", world.show());
        }
    }

    #[test]
    fn a_store_from_before_a_move_finds_the_data_where_it_went() {
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            let mut world = World::new(rng.draw(), true);
            for n in 1..=3 {
                world.add_host(&host(n), [10, 0, 0, u8::try_from(n).unwrap()].into());
            }
            let id: MemberId = "default/a-0".parse().unwrap();
            let options = SetOptions {
                replicas: 1,
                claim: true,
                ..SetOptions::default()
            };
            world.put_set(&id.set, &options);
            world.run(Duration::from_secs(10)).unwrap();
            let there = |world: &World| {
                let member = &world.coordinator.state.sets[&id.set].members[&id.ordinal];
                member.host.clone()
            };
            let first = there(&world);
            let to = (1..=3).map(host).find(|host| *host != first).unwrap();
            let asked = rng.chance(50);
            if asked {
                world.move_member(&id, Some(&to));
            }
            world.run(rng.millis(1, 3000)).unwrap();
            world.back_up();
            if !asked {
                world.move_member(&id, Some(&to));
            }
            world.run(rng.millis(20_000, 30_000)).unwrap();
            assert_eq!(there(&world), to, "seed {seed}");
            world.restore_backup(rng.millis(100, 3000));
            world.run(rng.millis(5000, 20_000)).unwrap();
            world.accept_restore();
            let rests = world.settle(Duration::from_secs(300)).unwrap();
            assert!(rests, "seed {seed}: {:#?}", world.show());
            assert_eq!(there(&world), to, "seed {seed}");
        }
    }

    #[test]
    fn a_second_restore_goes_on_from_the_first() {
        let mut world = restored(7);
        world.settle(Duration::from_secs(300)).unwrap();
        let first = world.coordinator.state.term;
        world.restore_backup(Duration::from_secs(1));
        world.run(Duration::from_secs(10)).unwrap();
        world.accept_restore();
        accept_latecomers(&mut world);
        assert!(world.coordinator.state.term > first, "the agents saw it");
        assert!(world.settle(Duration::from_secs(300)).unwrap());
    }
}

//! The promises, checked against the world itself. Numbers are those of the design: I1 identity, I2
//! at most one, I3 order, I4 data, I5 autonomy, I6 durability, I7 founded once, I9 names first. Further there
//! is `config` (a member has another config than its revision), `checker` (the checker refused a plan
//! that breaks none of these) and `rest` (plans that follow from their own effect).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use thiserror::Error;

use crate::{
    bug,
    ids::{
        ClaimKey, Epoch, HostName, MemberId, Ordinal, RunId, SetKey, TemplateHash, Uid, ZoneSerial,
    },
    member::Action,
    order::{ConfigData, Desired, MemberOrder, Peer},
    plan::Step,
    promise::Promise,
    sim::{
        World,
        host::{Jam, SimHost},
        storage::Place,
    },
    spec::GatePolicy,
    state::State,
    volume::VolumeSource,
    zone::RecordData,
};

mod data;
mod durable;

/// A promise was broken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{promise} is broken at {at} s: {detail}\n{}", log.join("\n"))]
pub struct Violation {
    /// Which promise.
    pub promise: &'static str,
    /// How.
    pub detail: String,
    /// When, in seconds since the beginning.
    pub at: String,
    /// The last lines of the log.
    pub log: Vec<String>,
}

/// What has to be remembered to judge.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// The config that each revision was made with.
    pub(super) configs: BTreeMap<TemplateHash, Arc<ConfigData>>,
    /// What was found broken within an event.
    pub(super) broken: Option<(&'static str, String)>,
    /// Members that were ready once.
    pub(super) ready: BTreeSet<MemberId>,
    /// Members that are ready as far as their agents know.
    pub(super) serving: BTreeSet<MemberId>,
    /// The last zone that the coordinator sent out.
    pub(super) published: ZoneSerial,
    /// Where each claim was bound first.
    bound: BTreeMap<(ClaimKey, Uid), VolumeSource>,
    /// Whose data each place holds: host, if it is one's, and directory.
    places: BTreeMap<Place, Uid>,
    /// Places whose data an operator gave to the next claim.
    given: BTreeSet<Place>,
    /// Places that an operator untied from a claim that is gone: another may have them, not its data.
    free: BTreeSet<Place>,
    /// The addresses that ordinals took, by the set's id.
    addresses: BTreeMap<(Uid, Ordinal), std::net::IpAddr>,
    own_hosts: BTreeMap<(Uid, Ordinal), HostName>,
    /// The founders that were rendered first.
    founders: BTreeMap<SetKey, Vec<Peer>>,
    /// Who was ordered to stop while it was wanted: it is to come back, in no order.
    replaced: BTreeSet<MemberId>,
    /// Who has to be gone before a member that was ordered to stop for good: those above it that were
    /// not wanted either when it was ordered. One that is given up later stops when it can. Who has no
    /// entry was never ordered to stop by the coordinator: it waits for all above it.
    before: BTreeMap<MemberId, BTreeSet<Ordinal>>,
    /// Where each epoch of a member was ordered first.
    ordered: BTreeMap<(MemberId, Epoch), HostName>,
    /// The newest epoch that wrote to each place on a server.
    pub(super) writers: BTreeMap<(Place, MemberId), Epoch>,
    /// Who served once and founds nothing any more.
    founded: BTreeSet<MemberId>,
    /// What was answered, and so has to survive.
    answered: durable::Answered,
}

impl Truth {
    /// Notes a broken promise; the first one counts.
    pub(super) fn breaks(&mut self, promise: &'static str, detail: String) {
        let excused = |of: &Promise| of.number() == promise && bug::is_excused(*of);
        if !Promise::ALL.iter().any(excused) {
            self.broken.get_or_insert((promise, detail));
        }
    }

    /// A founder passed its gate: its agent recorded it.
    pub(super) fn served(&mut self, id: &MemberId) {
        self.founded.insert(id.clone());
    }

    /// I2: an epoch is the grant of a member to one host. That is what tells an old order from a new one.
    pub(super) fn takes(&mut self, host: &HostName, id: &MemberId, epoch: Epoch) {
        let first = self.ordered.entry((id.clone(), epoch));
        let first = first.or_insert_with(|| host.clone()).clone();
        if first != *host {
            let detail = format!("epoch {epoch} of {id} was ordered of {first} and is of {host}");
            self.breaks("I2", detail);
        }
    }

    /// Judges what the coordinator decided: what it must never take back.
    pub(super) fn decided(&mut self, state: &State, step: &Step) {
        self.answered.decided(step);
        match step {
            Step::BindClaim { key, volume, .. } => {
                let uid = state.claims.get(key).map(|claim| claim.uid.clone());
                let at = (key.clone(), uid.unwrap_or_default());
                let to = &volume.source;
                let first = self.bound.entry(at).or_insert_with(|| to.clone()).clone();
                if first != *to {
                    self.breaks("I4", format!("claim {key} goes from {first:?} to {to:?}"));
                }
            }
            Step::TakeAddress { member, address } => {
                let uid = state.sets.get(&member.set).map(|set| set.uid.clone());
                let at = (uid.unwrap_or_default(), member.ordinal);
                let first = *self.addresses.entry(at).or_insert(*address);
                if first != *address {
                    self.breaks("I1", format!("{member} had {first} and takes {address}"));
                }
            }
            Step::TakeHost { member, host } => {
                let uid = state.sets.get(&member.set).map(|set| set.uid.clone());
                let at = (uid.unwrap_or_default(), member.ordinal);
                let first = self.own_hosts.entry(at).or_insert_with(|| host.clone());
                if first != host {
                    let detail = format!("{member} was that of {first} and takes {host}");
                    self.breaks("I1", detail);
                }
            }
            Step::ForgetFounding { set } => {
                self.founders.remove(set);
                self.founded.retain(|id| id.set != *set);
            }
            Step::PassGate { member, .. } => {
                self.founded.insert(member.clone());
            }
            Step::Stop { member, .. } => self.stopped(state, member),
            Step::CreateClaim { .. }
            | Step::AdoptClaim { .. }
            | Step::PinSnapshot { .. }
            | Step::TakeSnapshot { .. }
            | Step::GrowClaim { .. }
            | Step::FillClaim { .. }
            | Step::LeaveHost { .. }
            | Step::Assign { .. }
            | Step::Found { .. }
            | Step::Carry { .. }
            | Step::Start { .. }
            | Step::Release { .. }
            | Step::TieClaim { .. }
            | Step::DropClaim { .. }
            | Step::PurgeVolume { .. }
            | Step::Refound { .. }
            | Step::BeginMove { .. }
            | Step::CompleteMove { .. }
            | Step::EndMove { .. }
            | Step::RemoveSet { .. }
            | Step::DropRevision { .. }
            | Step::Reload { .. }
            | Step::Rollout { .. }
            | Step::PublishZone { .. } => {}
        }
    }

    fn stopped(&mut self, state: &State, member: &MemberId) {
        let set = state.sets.get(&member.set);
        if set.is_some_and(|set| set.is_declared(member.ordinal)) {
            self.replaced.insert(member.clone());
        } else {
            self.replaced.remove(member);
        }
        let above = set.into_iter().flat_map(|set| {
            let all = set.members.keys().copied();
            all.filter(|n| *n > member.ordinal && !set.is_declared(*n))
        });
        self.before.insert(member.clone(), above.collect());
    }
}

impl World {
    /// I2: no member runs twice.
    pub(super) fn broken_promise(&self) -> Option<(&'static str, String)> {
        if bug::is_excused(Promise::AtMostOne) {
            return None;
        }
        let mut seen: BTreeMap<&MemberId, &HostName> = BTreeMap::new();
        // Of a host that sleeps nothing runs, and nothing of what did not outlast its sleep.
        for (name, host) in self.hosts.iter().filter(|(_, host)| !host.sleeps()) {
            let run = host.keepers.iter();
            for (id, _) in run.filter(|(_, keeper)| keeper.jam != Jam::Overslept) {
                if let Some(other) = seen.insert(id, name) {
                    return Some(("I2", format!("{id} runs on {other} and on {name}")));
                }
            }
        }
        None
    }

    /// A member has the config of its revision, whatever the objects say by now.
    pub(super) fn truth_of_config(&mut self, id: &MemberId, order: &MemberOrder) {
        let made = self.truth.configs.get(&order.revision);
        if made.is_some_and(|made| **made != order.config) {
            let revision = &order.revision;
            let detail = format!("{id} of revision {revision} has the config of another one");
            self.truth.breaks("config", detail);
        }
    }

    /// Judges an action when it begins: who is stopped, and in which order.
    pub(super) fn truth_of_action(&mut self, name: &HostName, id: &MemberId, action: &Action) {
        self.stopped_by_nobody(name, id, action);
        let order = self.hosts.get(name).and_then(|h| h.ledger.members.get(id));
        let stops = order.is_some_and(|order| order.desired == Desired::Stop);
        if *action != Action::Stop || !stops {
            return;
        }
        let Some(set) = self.coordinator.state.sets.get(&id.set) else {
            return;
        };
        let parallel = set.spec.pod_management_policy == GatePolicy::Parallel;
        let replaced = self.truth.replaced.contains(id);
        if parallel || replaced || set.is_declared(id.ordinal) {
            return;
        }
        let keepers = self.hosts.values().flat_map(|host| host.keepers.keys());
        let before = self.truth.before.get(id);
        let mut higher = keepers.filter(|other| {
            other.set == id.set
                && other.ordinal > id.ordinal
                && before.is_none_or(|all| all.contains(&other.ordinal))
        });
        if let Some(higher) = higher.next() {
            let detail = format!("{id} is stopped while {higher} runs");
            self.truth.breaks("I3", detail);
        }
    }

    /// Judges a start.
    pub(super) fn truth_of_start(&mut self, name: &HostName, id: &MemberId, run: &RunId) {
        self.served_before_start(name, id);
        let first = run.number.0 == 1;
        let Some(order) = self.hosts.get(name).and_then(|h| h.ledger.effective(id)) else {
            return;
        };
        if order.values.founding {
            let founders = &order.values.founders;
            let frozen = self.truth.founders.entry(id.set.clone());
            let frozen = frozen.or_insert_with(|| founders.clone()).clone();
            if frozen != *founders {
                let detail = format!("{id} founds with other members than those before it");
                self.truth.breaks("I7", detail);
            }
            if self.truth.founded.contains(id) {
                let detail = format!("{id} has served and founds again");
                self.truth.breaks("I7", detail);
            }
        }
        if first {
            self.started_in_order(id);
        }
    }

    /// I9: the own host serves the member's name with its address, and so does every one that said so.
    fn served_before_start(&mut self, name: &HostName, id: &MemberId) {
        let order = self.hosts.get(name).and_then(|h| h.ledger.effective(id));
        let Some(order) = order else {
            return;
        };
        let fqdn = order.values.fqdn;
        let address: Option<std::net::IpAddr> = order.values.address.parse().ok();
        let serves = |host: &SimHost| {
            let records = host.zone.records.get(&fqdn);
            let record = address.map(RecordData::from);
            records
                .zip(record)
                .is_some_and(|(records, record)| records.contains(&record))
        };
        let state = &self.coordinator.state;
        let set = state.sets.get(&id.set);
        let granted = set.and_then(|set| set.members.get(&id.ordinal));
        let named_in = granted.filter(|member| member.epoch == order.epoch);
        // Of one that was sent no zone on its stream nobody knows which it has.
        let told = |host: &SimHost| host.agent.as_ref().is_some_and(|agent| agent.names_told);
        let said = |other: &HostName| {
            let contact = state.hosts.get(other).map(|host| &host.contact);
            let acked = contact.filter(|contact| contact.connected);
            let acked = acked.map(|contact| contact.zone_acked);
            let acked = acked.zip(named_in);
            acked.is_some_and(|(acked, member)| acked >= member.named_in)
        };
        let says = |other: &HostName, host| *other == *name || (told(host) && said(other));
        let mut hosts = self.hosts.iter();
        let lacks = hosts.find(|(other, host)| says(other, host) && !serves(host));
        if let Some((lacks, _)) = lacks {
            let detail = format!("{id} starts and {lacks} does not serve {fqdn}");
            self.truth.breaks("I9", detail);
        }
    }

    /// I3: under a strictly ordered set, every lower ordinal was ready before this one first starts.
    fn started_in_order(&mut self, id: &MemberId) {
        let Some(set) = self.coordinator.state.sets.get(&id.set) else {
            return;
        };
        let ordered = |policy: GatePolicy| policy == GatePolicy::OrderedReady;
        // A set that is founded together waits for starts only while no majority runs.
        let together = self.coordinator.state.foundings.contains_key(&id.set);
        let strict = !together
            && ordered(set.spec.pod_management_policy)
            && ordered(set.spec.bootstrap_policy())
            && ordered(set.spec.cold_start_policy());
        if !strict {
            return;
        }
        let lower = set.declared().take_while(|lower| *lower < id.ordinal);
        let mut lower = lower.map(|ordinal| MemberId {
            set: id.set.clone(),
            ordinal,
        });
        if let Some(unready) = lower.find(|lower| !self.truth.ready.contains(lower)) {
            let detail = format!("{id} starts and {unready} was never ready");
            self.truth.breaks("I3", detail);
        }
    }
}

#[cfg(test)]
mod tests;

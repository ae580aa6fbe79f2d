//! I6 and I5 against the world itself: what was answered survives every crash, and what runs is stopped
//! and brought back by the order on the host alone.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    ids::{Generation, HostName, MemberId, SetKey, Term, Uid},
    member::{Action, Standing},
    order::{Desired, OrderHead},
    plan::Step,
    report::Phase,
    sim::{World, host::BACK},
    spec::StatefulSetSpec,
    state::State,
    time::Timestamp,
};

use super::Truth;

/// What somebody was told is done.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// The sets as their operators were told they are, by the set's id.
    sets: BTreeMap<SetKey, (Uid, Arc<StatefulSetSpec>)>,
    /// The newest order that each agent acknowledged.
    orders: BTreeMap<HostName, Generation>,
    /// When each agent last took in something new of a member.
    taken: BTreeMap<(HostName, MemberId), Timestamp>,
}

impl Answered {
    /// A set that is gone has nothing to survive.
    pub(super) fn decided(&mut self, step: &Step) {
        if let Step::RemoveSet { set, .. } = step {
            self.sets.remove(set);
        }
    }
}

impl Truth {
    /// A host is lost, with what its agent answered.
    pub(in crate::sim) fn forget_answers_of(&mut self, host: &HostName) {
        self.answered.orders.remove(host);
    }

    /// What was answered is taken back by operators, who are left with this store.
    pub(in crate::sim) fn forget_answers(&mut self, state: &State) {
        self.answered = Answered {
            taken: std::mem::take(&mut self.answered.taken),
            ..Answered::default()
        };
        // Sets that were founded since may be founded anew, or as they were before. One that nothing is
        // left of is another one, if it is made again.
        self.founders.clear();
        let known =
            |set: &SetKey| state.sets.contains_key(set) || state.foundings.contains_key(set);
        self.founded.retain(|id| known(&id.set));
    }

    /// An agent takes in something new of a member.
    pub(in crate::sim) fn took(&mut self, host: &HostName, id: &MemberId, now: Timestamp) {
        let key = (host.clone(), id.clone());
        self.answered.taken.insert(key, now);
    }

    /// An agent tells the coordinator that it has an order.
    pub(in crate::sim) fn acknowledges(&mut self, host: &HostName, head: &OrderHead) {
        let newest = self.answered.orders.entry(host.clone()).or_default();
        *newest = head.generation.max(*newest);
    }
}

impl World {
    /// An operator is told that a set is as it was asked for.
    pub(in crate::sim) fn truth_of_answer(&mut self, key: &SetKey) {
        if let Some(set) = self.coordinator.state.sets.get(key) {
            let told = (set.uid.clone(), Arc::clone(&set.spec));
            self.truth.answered.sets.insert(key.clone(), told);
        }
    }

    /// I6: what operators were told is what a coordinator that starts finds.
    pub(in crate::sim) fn truth_of_store(&mut self) {
        let sets = &self.coordinator.state.sets;
        let lost = self.truth.answered.sets.iter().find(|(key, (uid, spec))| {
            let found = sets.get(key);
            found.is_none_or(|set| set.uid != *uid || set.spec != *spec)
        });
        if let Some((key, _)) = lost {
            let detail = format!("the store has not what was answered of {key}");
            self.truth.breaks("I6", detail);
        }
    }

    /// I6: a history that is accepted begins in a term above all that the hosts have seen that were
    /// found to follow another one: what they have counts as older, and is taken in.
    pub(in crate::sim) fn truth_of_term(&mut self, term: Term) {
        let past = &self.coordinator.state.past;
        let since = past.restored.unwrap_or_default();
        // What a backup has of an earlier restore is what the hosts said then.
        let heard = past
            .mismatched
            .iter()
            .filter(|(_, host)| host.since >= since);
        let later = heard.filter_map(|(name, _)| {
            let host = self.hosts.get(name)?;
            let seen = host.ledger.heard(host.zone.serial).term();
            (seen >= term)
                .then(|| format!("{name} has seen term {seen}, and {term} is to follow it"))
        });
        if let Some(detail) = later.min() {
            self.truth.breaks("I6", detail);
        }
    }

    /// I6: what an agent acknowledged is what it finds when it starts.
    pub(in crate::sim) fn truth_of_ledger(&mut self, name: &HostName) {
        let Some(host) = self.hosts.get(name) else {
            return;
        };
        let (has, acked) = (
            host.ledger.head.generation,
            self.truth.answered.orders.get(name),
        );
        if let Some(acked) = acked.filter(|acked| **acked > has) {
            let detail = format!("{name} acknowledged order {acked} and has {has}");
            self.truth.breaks("I6", detail);
        }
    }

    /// I5: an agent stops only what its order, or an operator, does not want as it is.
    pub(in crate::sim) fn stopped_by_nobody(
        &mut self,
        name: &HostName,
        id: &MemberId,
        action: &Action,
    ) {
        let Some(host) = self.hosts.get(name).filter(|_| *action == Action::Stop) else {
            return;
        };
        let (Some(order), Some(keeper)) = (host.ledger.members.get(id), host.keepers.get(id))
        else {
            return;
        };
        if order.desired == Desired::Run && order.epoch == keeper.run.epoch {
            let detail = format!("{name} stops {id}, which is to run there");
            self.truth.breaks("I5", detail);
        }
    }

    /// I5: some time after its start an agent has begun with every member that is to run, whoever else
    /// is there; one that cannot run says why.
    pub(in crate::sim) fn is_back(&mut self, name: &HostName, life: u64) {
        let now = self.now;
        let Some(host) = self.hosts.get(name) else {
            return;
        };
        let Some(agent) = host.agent.as_ref().filter(|agent| agent.life == life) else {
            return;
        };
        // One that stood still has the time once more.
        if host.frozen.is_some() || now < host.thawed.plus(BACK) {
            return;
        }
        let taken = &self.truth.answered.taken;
        let is_new = |id: &MemberId| {
            let taken = taken.get(&(name.clone(), id.clone()));
            taken.is_some_and(|at| now < at.plus(BACK))
        };
        let idle = host.ledger.members.iter().find(|(id, order)| {
            // It has the time that it would have after a start.
            if is_new(id) {
                return false;
            }
            let Some(machine) = agent.machines.get(*id) else {
                return true;
            };
            let report = machine.report(now);
            let begun = report.phase != Phase::Pending || report.waiting.is_some();
            let wanted = order.desired == Desired::Run;
            wanted && !(begun && host.standing(id) != Standing::Unordered)
        });
        if let Some((id, _)) = idle {
            let detail = format!("{name} is back and does nothing about {id}");
            self.truth.breaks("I5", detail);
        }
    }
}

//! The agent's ledger: what it accepted and did, kept on disk so that a restart of agent or host
//! neither loses an order nor obeys a stale one.
//!
//! Pure. The agent asks ([`Ledger::accept`], [`Ledger::next_run`]), writes the [`Record`] that it
//! gets to disk, and only then calls [`Ledger::apply`] and acts: persist before acting. What is in
//! the ledger, and why:
//!
//! | what | why |
//! |---|---|
//! | head and members of the order | the host starts its members again without a coordinator |
//! | members that left the order | their processes and mounts are still to be removed |
//! | highest epoch per member | an older grant is never obeyed, whatever the order says |
//! | members held by the operator | `local stop` outlives agent and host |
//! | the boot that is being ended | an agent that starts anew meanwhile starts no member again |
//! | last run per member | no two starts ever have the same run id |
//! | filled claims | a volume that was lost is a fault, not a new volume |
//! | members that passed their gate | they are never rendered as founders again |
//! | the machine | a copied or moved disk starts no member by itself: the other machine may run it |

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    bug::{self, Bug},
    history::{Heard, Place, Places},
    ids::{
        BootId, ContentHash, Epoch, Generation, HistoryId, MemberId, RunId, RunNumber, Term, Uid,
        ZoneSerial,
    },
    lease::LeaseTerms,
    machine::MachineIds,
    order::{Desired, MemberOrder, OrderDelta, OrderHead, group, order_hash},
    spec::Sealed,
    volume::VolumeSource,
    waiting::{OtherMachine, Reason},
};

mod record;

pub use record::{DecodeError, Decoded, Record, decode, encode_frame, encode_new};

/// Everything that the agent knows durably.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ledger {
    /// Names the order; its history is empty if there never was one.
    pub head: OrderHead,
    /// The order.
    #[serde(with = "group::map")]
    pub members: BTreeMap<MemberId, MemberOrder>,
    /// The last order of members that left it and are not known to be gone from this host.
    #[serde(with = "group::map")]
    pub leaving: BTreeMap<MemberId, MemberOrder>,
    /// The highest epoch of each member that was ever accepted.
    pub highest_epochs: BTreeMap<MemberId, Epoch>,
    /// Members that an operator stopped on this host.
    pub held: BTreeSet<MemberId>,
    /// The last start of each member.
    pub runs: BTreeMap<MemberId, RunId>,
    /// Claims whose volume a member was started on.
    pub filled: BTreeSet<Uid>,
    /// The epoch in which a member was ready once.
    pub passed_gate: BTreeMap<MemberId, Epoch>,
    /// The boot in which the host's members were stopped because it goes down.
    pub shutdown: Option<BootId>,
    /// The machine that it is of; not known of one that an older agent wrote.
    pub machine: Option<MachineIds>,
}

/// What comes of an order that is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acceptance {
    /// It is the order that the ledger has: acknowledge it, write nothing.
    Known,
    /// It is new: write the record, apply it, acknowledge it, then act on these members.
    New {
        /// What to write. Boxed: it carries the whole change.
        record: Box<Record>,
        /// The members that are new, changed or gone.
        changed: BTreeSet<MemberId>,
    },
}

/// Why an order is refused. Whoever sent it must find out what it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It comes from another history of the store: a restored backup, or another coordinator.
    #[error(
        "the order is of history {got}, this host follows {have}; \
         run 'berth admin accept-restore' if the store was restored"
    )]
    OtherHistory {
        /// Ours.
        have: HistoryId,
        /// The order's.
        got: HistoryId,
    },
    /// It comes from a coordinator that was replaced.
    #[error(
        "the order is of term {got}, this host has seen term {have}; stop the older coordinator"
    )]
    LowerTerm {
        /// Ours.
        have: Term,
        /// The order's.
        got: Term,
    },
    /// A newer one was accepted before.
    #[error("the order is generation {got}, this host has generation {have}; send a newer one")]
    OlderGeneration {
        /// Ours.
        have: Generation,
        /// The order's.
        got: Generation,
    },
    /// Two orders with the same generation and different content.
    #[error(
        "generation {generation} has hash {got}, this host has it with hash {have}; \
         two coordinators may be writing, stop one"
    )]
    OtherContent {
        /// The generation.
        generation: Generation,
        /// Ours.
        have: ContentHash,
        /// The order's.
        got: ContentHash,
    },
    /// It changes an order that this host does not have.
    #[error("the order changes generation {base}, this host has {have}; send the complete order")]
    OtherBase {
        /// Ours.
        have: Generation,
        /// The order's.
        base: Generation,
    },
    /// Its content does not have the hash that it states.
    #[error("the order states hash {stated}, its content has {found}; send the complete order")]
    HashMismatch {
        /// What it states.
        stated: ContentHash,
        /// What its content has.
        found: ContentHash,
    },
    /// It grants a member an epoch below one that was granted before.
    #[error(
        "the order has epoch {got} of {member}, this host has seen {have}; \
         run 'berth admin accept-restore' if the store was restored"
    )]
    EpochFalls {
        /// The member.
        member: MemberId,
        /// Ours.
        have: Epoch,
        /// The order's.
        got: Epoch,
    },
}

impl Ledger {
    /// A member that is ordered to run on the volume at a place.
    pub fn user_of(&self, source: &VolumeSource) -> Option<MemberId> {
        let source = source.describe();
        let mut orders = self.members.iter();
        let found = orders.find(|(_, order)| {
            let mut volumes = order.volumes.iter();
            order.desired == Desired::Run
                && volumes.any(|volume| volume.source.describe() == source)
        });
        found.map(|(member, _)| member.clone())
    }

    /// Whether an order may be accepted, and what to write before it is acted on.
    ///
    /// # Errors
    /// The rule that refuses it; the ledger stays as it is.
    pub fn accept(&self, delta: &OrderDelta) -> Result<Acceptance, Refusal> {
        if self.check_head(&delta.head)? {
            return Ok(Acceptance::Known);
        }
        if let Some(base) = delta.base.filter(|base| *base != self.head.generation) {
            return Err(Refusal::OtherBase {
                have: self.head.generation,
                base,
            });
        }
        for order in &delta.upserts {
            let have = self.highest_epochs.get(&order.member).copied();
            if let Some(have) = have.filter(|have| *have > order.epoch) {
                return Err(Refusal::EpochFalls {
                    member: order.member.clone(),
                    have,
                    got: order.epoch,
                });
            }
        }
        let members = delta.apply_to(&self.members);
        let found = order_hash(&members);
        if found != delta.head.hash {
            return Err(Refusal::HashMismatch {
                stated: delta.head.hash.clone(),
                found,
            });
        }
        Ok(Acceptance::New {
            record: Box::new(Record::Order(delta.clone())),
            changed: changed(&self.members, &members),
        })
    }

    /// Holds the head of an order against ours; true if it is the same order.
    fn check_head(&self, head: &OrderHead) -> Result<bool, Refusal> {
        let ours = &self.head;
        if !self.has_order() {
            return Ok(false);
        }
        if head.history != ours.history {
            return Err(Refusal::OtherHistory {
                have: ours.history.clone(),
                got: head.history.clone(),
            });
        }
        if head.term < ours.term {
            return Err(Refusal::LowerTerm {
                have: ours.term,
                got: head.term,
            });
        }
        if head.generation < ours.generation {
            return Err(Refusal::OlderGeneration {
                have: ours.generation,
                got: head.generation,
            });
        }
        if head.generation == ours.generation && head.hash != ours.hash {
            return Err(Refusal::OtherContent {
                generation: ours.generation,
                have: ours.hash.clone(),
                got: head.hash.clone(),
            });
        }
        Ok(head == ours)
    }

    /// The members that may be on this host, with their epochs: those of the order, and those that
    /// left it and are not gone.
    fn present(&self) -> BTreeMap<MemberId, Epoch> {
        let all = self.leaving.iter().chain(&self.members);
        all.map(|(id, order)| (id.clone(), order.epoch)).collect()
    }

    /// The leases that those rest on which have one.
    fn leases(&self) -> BTreeMap<MemberId, LeaseTerms> {
        let all = self.leaving.iter().chain(&self.members);
        all.filter_map(|(id, order)| Some((id.clone(), order.lease?)))
            .collect()
    }

    /// Where the volumes of the members that are in it lie, as far as they are in pools of the host.
    fn places(&self) -> Places {
        let all = self.leaving.values().chain(self.members.values());
        let volumes = all.flat_map(|order| &order.volumes);
        let local = volumes.filter_map(|volume| match &volume.source {
            VolumeSource::Local { pool, dir, .. } => {
                let (pool, dir) = (pool.clone(), dir.clone());
                Some((volume.claim_uid.clone(), Place { pool, dir }))
            }
            VolumeSource::Nfs(_) => None,
        });
        local.collect()
    }

    /// What a host with this zone says to a coordinator.
    pub fn heard(&self, zone: ZoneSerial) -> Heard {
        Heard {
            head: self.head.clone(),
            highest_epochs: self.highest_epochs.clone(),
            members: self.present(),
            leases: self.leases(),
            places: self.places(),
            zone,
        }
    }

    /// The secrets in it. Where the ledger is kept, they are sealed.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = &mut Sealed> {
        let orders = self.members.values_mut().chain(self.leaving.values_mut());
        orders.flat_map(MemberOrder::secrets_mut)
    }

    /// Whether any order was ever accepted.
    pub fn has_order(&self) -> bool {
        self.head.has_order()
    }

    /// The id of the next start of a member. Write [`Record::Run`] before acting on it.
    pub fn next_run(&self, member: &MemberId, epoch: Epoch, boot: &BootId) -> RunId {
        let last = self.runs.get(member).filter(|run| run.epoch == epoch);
        RunId {
            epoch,
            boot: boot.clone(),
            number: last.map_or(RunNumber(1), |run| run.number.next()),
        }
    }

    /// A member's order with what this host knows better than the coordinator did when it sent
    /// it: which volumes are filled, and that the member is a founder no more.
    pub fn effective(&self, member: &MemberId) -> Option<MemberOrder> {
        let order = self
            .members
            .get(member)
            .or_else(|| self.leaving.get(member))?;
        let mut order = order.clone();
        for volume in &mut order.volumes {
            volume.filled |= self.filled.contains(&volume.claim_uid);
        }
        let served = self.has_passed(member, order.epoch) && !bug::on(Bug::FounderTwice);
        order.values.founding &= !served;
        Some(order)
    }

    /// What stands against starting members by oneself on this machine, if anything: the ledger is
    /// of another one. It is ours from the moment on in which a coordinator that knows this machine
    /// as the host acknowledged a renewal: what is ordered here is ordered of this machine then.
    pub fn barred(&self, here: &MachineIds) -> Option<Reason> {
        let recorded = self.machine.clone().filter(|recorded| recorded != here)?;
        let here = here.clone();
        Some(Reason::OtherMachine(OtherMachine { recorded, here }))
    }

    /// Whether a member was ready once in an epoch.
    pub fn has_passed(&self, member: &MemberId, epoch: Epoch) -> bool {
        self.passed_gate.get(member) == Some(&epoch)
    }

    /// Whether writing this record would change anything.
    pub fn is_news(&self, record: &Record) -> bool {
        match record {
            Record::Snapshot(_)
            | Record::Order(_)
            | Record::NewHistory { .. }
            | Record::Run { .. } => true,
            Record::Held { member, held } => self.held.contains(member) != *held,
            Record::Shutdown { boot } => self.shutdown != *boot,
            Record::Filled { claims } => !claims.is_subset(&self.filled),
            Record::PassedGate { member, epoch } => self.passed_gate.get(member) != Some(epoch),
            Record::Forgotten { member } => self.leaving.contains_key(member),
            Record::Machine { ids } => self.machine.as_ref() != Some(ids),
        }
    }

    /// Takes in a record that is durable.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Snapshot(ledger) => *self = (**ledger).clone(),
            Record::Order(delta) => self.apply_order(delta),
            Record::NewHistory { history, term } => {
                self.head.history = history.clone();
                self.head.term = *term;
            }
            Record::Held { member, held: true } => {
                self.held.insert(member.clone());
            }
            Record::Held {
                member,
                held: false,
            } => {
                self.held.remove(member);
            }
            Record::Run { member, run } => {
                self.runs.insert(member.clone(), run.clone());
            }
            Record::Shutdown { boot } => self.shutdown.clone_from(boot),
            Record::Filled { claims } => self.filled.extend(claims.iter().cloned()),
            Record::PassedGate { member, epoch } => {
                self.passed_gate.insert(member.clone(), *epoch);
            }
            Record::Machine { ids } => self.machine = Some(ids.clone()),
            Record::Forgotten { member } => {
                self.leaving.remove(member);
                if !self.members.contains_key(member) {
                    // The next grant has a higher epoch, which no run is about. That the member
                    // passed its gate holds beyond this one: it was told with every report, and the
                    // coordinator recorded it before it took the member out of the order. What the
                    // operator holds on this host stays held, whatever is granted anew: somebody may
                    // have its disk in hand.
                    self.runs.remove(member);
                    self.passed_gate.remove(member);
                }
            }
        }
    }

    fn apply_order(&mut self, delta: &OrderDelta) {
        let members = delta.apply_to(&self.members);
        for (member, order) in &self.members {
            if !members.contains_key(member) {
                self.leaving.insert(member.clone(), order.clone());
            }
        }
        for (member, order) in &members {
            self.leaving.remove(member);
            let highest = self.highest_epochs.entry(member.clone()).or_default();
            *highest = order.epoch.max(*highest);
        }
        self.members = members;
        self.head = delta.head.clone();
    }
}

/// The members that are in one of two orders only, or differ.
fn changed(
    before: &BTreeMap<MemberId, MemberOrder>,
    after: &BTreeMap<MemberId, MemberOrder>,
) -> BTreeSet<MemberId> {
    let gone = before.keys().filter(|member| !after.contains_key(*member));
    let new = after
        .iter()
        .filter(|(member, order)| before.get(*member) != Some(*order))
        .map(|(member, _)| member);
    gone.chain(new).cloned().collect()
}

#[cfg(test)]
mod tests;

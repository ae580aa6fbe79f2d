//! The host's end of the leases of its members, as its agent decides: which members may be started, what
//! their keepers are told, and what is done if a keeper does not end its member in time.
//!
//! An acknowledgement counts for what was ordered by then, and for nothing that was ordered earlier and
//! is not any more. A keeper holds the same deadline by itself; what is armed here is for one that is
//! stopped or hangs.
//!
//! Times are those of the host's clock of leases; whoever drives this reads it.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    ids::{Epoch, MemberId, RunId},
    keeper::{Act, Deadline, LeasedRun},
    lease::{Acknowledged, LeaseTerms},
    time::Timestamp,
};

/// What happened to the leases of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseEvent {
    /// These renewals count by now.
    Renewed(Acknowledged),
    /// This grant is ordered of a member, with its terms; or none that rests on a lease.
    Ordered(MemberId, Option<(Epoch, LeaseTerms)>),
    /// A member was started or adopted; or nothing of it was found.
    Runs {
        /// Which.
        member: MemberId,
        /// What runs.
        run: Option<RunId>,
        /// When the newest renewal was sent that its keeper knows of: an earlier agent may have told it.
        known: Option<Timestamp>,
    },
    /// The keeper of a run is gone, and everything with it.
    Ended(MemberId, RunId),
    /// Nothing is left of a member that left the order.
    Forgotten(MemberId),
    /// It is later.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseEffect {
    /// The machine of a member is to know whether the host holds a lease that it may be started on.
    Held(MemberId, bool),
    /// A keeper is to know of a renewal that was sent then.
    Renew(MemberId, Timestamp),
    /// A keeper is to be killed: its member outlives its lease.
    Kill(MemberId, RunId),
    /// The host is to reboot, if it may: the member is not gone in time.
    Reboot(MemberId),
}

/// The leases of a host's members. Not kept on disk: keepers of an earlier agent know what they run on,
/// and a start waits for the next renewal.
#[derive(Debug, Clone, Default)]
pub struct HostLeases {
    /// See [`LeasedRun::reboot_ms`].
    reboot_ms: u64,
    renewed: Acknowledged,
    members: BTreeMap<MemberId, Lease>,
}

/// What of it concerns one member.
#[derive(Debug, Clone, Default)]
struct Lease {
    /// The grant that is ordered, with its terms, if it has any.
    ordered: Option<(Epoch, LeaseTerms)>,
    /// Whether its machine was told that the host holds a lease.
    held: bool,
    /// What runs under the order, and the end of it. Of a run of an earlier order the keeper alone
    /// knows the terms.
    runs: Option<(RunId, Deadline)>,
}

impl HostLeases {
    /// None yet, on a host that is down so long after it begins to reboot itself.
    pub fn of_host(reboot: Duration) -> Self {
        Self {
            reboot_ms: u64::try_from(reboot.as_millis()).unwrap_or(u64::MAX),
            ..Self::default()
        }
    }

    /// What a start that begins now runs on; a later acknowledgement is for later orders.
    pub fn run_of(&self, member: &MemberId) -> Option<LeasedRun> {
        let (_, terms) = self.members.get(member)?.ordered?;
        let renewed = self.renewed.runs.unwrap_or_default();
        Some(LeasedRun {
            terms,
            renewed,
            reboot_ms: self.reboot_ms,
        })
    }

    /// When something is to be done, if nothing is renewed until then.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let leases = self.members.values();
        leases.filter_map(|lease| self.wake_of(lease)).min()
    }

    /// Takes in what happened; what is to be done.
    pub fn step(&mut self, now: Timestamp, event: LeaseEvent) -> Vec<LeaseEffect> {
        let mut effects = Vec::new();
        match event {
            LeaseEvent::Renewed(newest) => self.renewed(now, newest, &mut effects),
            LeaseEvent::Ordered(member, terms) => {
                self.members.entry(member.clone()).or_default().ordered = terms;
                self.look(now, &member, &mut effects);
            }
            LeaseEvent::Runs { member, run, known } => {
                self.runs((&member, run), known, &mut effects);
                self.look(now, &member, &mut effects);
            }
            LeaseEvent::Ended(member, run) => {
                if let Some(lease) = self.members.get_mut(&member) {
                    lease.runs.take_if(|(runs, _)| *runs == run);
                }
                self.look(now, &member, &mut effects);
            }
            LeaseEvent::Forgotten(member) => {
                self.members.remove(&member);
            }
            LeaseEvent::Tick => {
                let leases = self.members.iter();
                let is_due = |lease| self.wake_of(lease).is_some_and(|at| at <= now);
                let due = leases.filter(|(_, lease)| is_due(lease));
                let due: Vec<MemberId> = due.map(|(member, _)| member.clone()).collect();
                for member in due {
                    self.due(now, &member, &mut effects);
                    self.look(now, &member, &mut effects);
                }
            }
        }
        effects
    }

    /// When something is to be done of a member.
    fn wake_of(&self, lease: &Lease) -> Option<Timestamp> {
        let ends = || {
            let (_, terms) = lease.ordered.filter(|_| lease.held)?;
            let end = terms.deadline(self.renewed.starts?);
            Some(Timestamp(end.0.saturating_sub(terms.grace_ms)))
        };
        let deadline = lease.runs.as_ref();
        let deadline = deadline.and_then(|(_, deadline)| deadline.wake_at());
        deadline.into_iter().chain(ends()).min()
    }

    fn renewed(&mut self, now: Timestamp, newest: Acknowledged, effects: &mut Vec<LeaseEffect>) {
        let before = self.renewed;
        self.renewed = before.max(newest);
        if self.renewed == before {
            return;
        }
        let members: Vec<MemberId> = self.members.keys().cloned().collect();
        for member in members {
            if let Some(sent) = newest.runs {
                self.renew(&member, sent, effects);
            }
            self.look(now, &member, effects);
        }
    }

    /// Lets what runs run on, if that is what is ordered.
    fn renew(&mut self, member: &MemberId, sent: Timestamp, effects: &mut Vec<LeaseEffect>) {
        let Some(lease) = self.members.get_mut(member) else {
            return;
        };
        let ordered = lease.ordered.map(|(epoch, _)| epoch);
        if let Some((run, deadline)) = &mut lease.runs
            && Some(run.epoch) == ordered
        {
            deadline.renew(sent);
            effects.push(LeaseEffect::Renew(member.clone(), sent));
        }
    }

    fn runs(
        &mut self,
        (member, run): (&MemberId, Option<RunId>),
        known: Option<Timestamp>,
        effects: &mut Vec<LeaseEffect>,
    ) {
        self.renewed.runs = self.renewed.runs.max(known);
        let newest = self.renewed.runs;
        let reboot_ms = self.reboot_ms;
        let lease = self.members.entry(member.clone()).or_default();
        let own = |run: RunId| {
            let (_, terms) = lease.ordered.filter(|(epoch, _)| *epoch == run.epoch)?;
            let renewed = known.or(newest).unwrap_or_default();
            let leased = LeasedRun {
                terms,
                renewed,
                reboot_ms,
            };
            Some((run, Deadline::new(leased)))
        };
        lease.runs = run.and_then(own);
        // What was acknowledged while it was being started.
        if let Some(sent) = newest {
            self.renew(member, sent, effects);
        }
    }

    fn due(&mut self, now: Timestamp, member: &MemberId, effects: &mut Vec<LeaseEffect>) {
        let lease = self.members.get_mut(member);
        let Some((run, deadline)) = lease.and_then(|lease| lease.runs.as_mut()) else {
            return;
        };
        while let Some(act) = deadline.due(now) {
            match act {
                // Its keeper asks it to.
                Act::Stop(_) => {}
                Act::Kill => effects.push(LeaseEffect::Kill(member.clone(), run.clone())),
                Act::Reboot => effects.push(LeaseEffect::Reboot(member.clone())),
            }
        }
    }

    /// Tells a machine whether its host holds a lease, if that is news.
    fn look(&mut self, now: Timestamp, member: &MemberId, effects: &mut Vec<LeaseEffect>) {
        let starts = self.renewed.starts;
        let Some(lease) = self.members.get_mut(member) else {
            return;
        };
        let terms = lease.ordered.map(|(_, terms)| terms);
        let held = terms.zip(starts);
        let held = held.is_some_and(|(terms, sent)| terms.may_run(sent, now));
        if std::mem::replace(&mut lease.held, held) != held {
            effects.push(LeaseEffect::Held(member.clone(), held));
        }
    }
}

#[cfg(test)]
mod tests;

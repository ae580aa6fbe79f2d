//! The host's lease, as the driver goes by it: which members may be started, what their keepers are
//! told, and what is done if a keeper does not end its member in time.
//!
//! Acknowledgements come through the driver's queue, behind the orders that came before them: an
//! acknowledgement counts for what was ordered by then, and for nothing that was ordered earlier and
//! is not any more. A keeper holds the same deadline by itself; what is armed here is for one that is
//! stopped or hangs.

use std::sync::Arc;

use berth_core::{
    ids::{Epoch, MemberId, RunId},
    keeper::{Act, Deadline, LeasedRun},
    lease::{Acknowledged, LeaseTerms},
    member::Event,
    time::Timestamp,
};

use super::{
    act::{Actor, answer},
    driver::Driver,
    timers::Timers,
};
use crate::host::{Host, KeeperClient};

/// The lease of the host. Times are those of the host's clock of leases.
#[derive(Default)]
pub(super) struct Leases {
    /// When the newest acknowledged renewals were sent. Not kept on disk: keepers of an earlier agent
    /// know what they run on, and a start waits for the next one.
    renewed: Acknowledged,
    timers: Timers,
}

/// What of it concerns one member.
#[derive(Default)]
pub(super) struct SlotLease {
    /// The grant that is ordered, with its terms, if it has any.
    ordered: Option<(Epoch, LeaseTerms)>,
    /// Whether its machine was told that the host holds a lease.
    held: bool,
    /// The end of what runs.
    deadline: Option<Deadline>,
}

impl Leases {
    /// What a start that begins now runs on.
    pub(super) fn run_of(&self, slot: &SlotLease) -> Option<LeasedRun> {
        let (_, terms) = slot.ordered?;
        let renewed = self.renewed.runs.unwrap_or_default();
        Some(LeasedRun { terms, renewed })
    }

    /// When the first deadline comes.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    pub(super) fn forget(&mut self, member: &MemberId) {
        self.timers.set(member, None);
    }
}

impl SlotLease {
    /// When something is to be done, if nothing is renewed until then.
    fn wake_at(&self, renewed: Option<Timestamp>) -> Option<Timestamp> {
        let ends = || {
            let (_, terms) = self.ordered.filter(|_| self.held)?;
            let end = terms.deadline(renewed?);
            Some(Timestamp(end.0.saturating_sub(terms.grace_ms)))
        };
        let deadline = self.deadline.as_ref();
        deadline
            .and_then(Deadline::wake_at)
            .into_iter()
            .chain(ends())
            .min()
    }
}

impl<H: Host> Actor<H> {
    /// Tells a keeper of a renewal. One that does not hear it ends its member too early, not too late.
    pub(super) fn renew(self: &Arc<Self>, member: MemberId, sent: Timestamp, client: KeeperClient) {
        self.spawn(async move {
            if let Err(reason) = answer("renew the lease", client.renew(sent)).await {
                tracing::warn!(%member, "{reason}");
            }
        });
    }

    /// Kills a keeper whose member outlives its lease.
    pub(super) fn end(self: &Arc<Self>, member: MemberId, run: RunId) {
        let actor = Arc::clone(self);
        self.spawn(async move {
            tracing::error!(%member, "its lease is over, and its keeper has not ended it; it is killed");
            if let Err(reason) = actor.host.kill(&member, &run).await {
                tracing::error!(%member, "{reason}");
            }
        });
    }
}

impl<H: Host> Driver<H> {
    /// Does what is due.
    pub(super) fn leases_due(&mut self) {
        let now = self.actor.host.boottime();
        while let Some(member) = self.leases.timers.pop(now) {
            self.lease_due(&member, now);
        }
    }

    fn lease_due(&mut self, member: &MemberId, now: Timestamp) {
        while let Some(slot) = self.slots.get_mut(member)
            && let Some(act) = slot.lease.deadline.as_mut().and_then(|d| d.due(now))
        {
            let run = slot.run.clone();
            match (act, run) {
                // Its keeper asks it to.
                (Act::Stop(_), _) | (Act::Kill, None) => {}
                (Act::Kill, Some(run)) => self.actor.end(member.clone(), run),
                (Act::Reboot, _) => {
                    tracing::error!(%member, "it is not gone in time; the host reboots if it may");
                    if let Err(reason) = self.actor.host.reboot() {
                        tracing::error!(%member, "{reason}");
                    }
                }
            }
        }
        self.look_at_lease(member);
    }

    /// A renewal was acknowledged.
    pub(super) fn renewed(&mut self, newest: Acknowledged) {
        self.leases.renewed = self.leases.renewed.max(newest);
        let Some(sent) = newest.runs else {
            return;
        };
        let members: Vec<MemberId> = self.slots.keys().cloned().collect();
        for member in members {
            self.renew(&member, sent);
            self.look_at_lease(&member);
        }
    }

    /// Lets what runs run on, if that is what is ordered.
    fn renew(&mut self, member: &MemberId, sent: Timestamp) {
        let Some(slot) = self.slots.get_mut(member) else {
            return;
        };
        let ordered = slot.lease.ordered.map(|(epoch, _)| epoch);
        if ordered.is_none() || slot.run.as_ref().map(|run| run.epoch) != ordered {
            return;
        }
        if let (Some(deadline), Some(client)) = (&mut slot.lease.deadline, &slot.client) {
            deadline.renew(sent);
            self.actor.renew(member.clone(), sent, client.clone());
        }
    }

    /// What is ordered of a member, as far as it is about a lease.
    pub(super) fn lease_ordered(&mut self, member: &MemberId, terms: Option<(Epoch, LeaseTerms)>) {
        if let Some(slot) = self.slots.get_mut(member) {
            slot.lease.ordered = terms;
        }
        self.look_at_lease(member);
    }

    /// A member was started or adopted; the keeper of an earlier agent may know of a renewal.
    pub(super) fn lease_begins(&mut self, member: &MemberId, known: Option<Timestamp>) {
        self.leases.renewed.runs = self.leases.renewed.runs.max(known);
        let Some(slot) = self.slots.get_mut(member) else {
            return;
        };
        let ordered = slot.lease.ordered;
        let runs = slot.run.as_ref().map(|run| run.epoch);
        slot.lease.deadline = None;
        // Of a run of an earlier order the keeper alone knows the terms.
        if let Some((_, terms)) = ordered.filter(|(epoch, _)| runs == Some(*epoch)) {
            let renewed = known.or(self.leases.renewed.runs).unwrap_or_default();
            slot.lease.deadline = Some(Deadline::new(LeasedRun { terms, renewed }));
            // What was acknowledged while it was being started.
            if let Some(sent) = self.leases.renewed.runs {
                self.renew(member, sent);
            }
        }
        self.look_at_lease(member);
    }

    /// The keeper of a run is gone, and everything with it.
    pub(super) fn lease_ended(&mut self, member: &MemberId, run: &RunId) {
        if let Some(slot) = self.slots.get_mut(member)
            && slot.run.as_ref() == Some(run)
        {
            slot.lease.deadline = None;
        }
        self.look_at_lease(member);
    }

    /// Tells a member's machine whether the host holds a lease, if that is news.
    fn look_at_lease(&mut self, member: &MemberId) {
        let now = self.actor.host.boottime();
        let renewed = self.leases.renewed.starts;
        let Some(slot) = self.slots.get_mut(member) else {
            return;
        };
        let terms = slot.lease.ordered.map(|(_, terms)| terms);
        let held = terms
            .zip(renewed)
            .is_some_and(|(t, sent)| t.may_run(sent, now));
        let news = std::mem::replace(&mut slot.lease.held, held) != held;
        let wake = slot.lease.wake_at(renewed);
        self.leases.timers.set(member, wake);
        if news {
            self.step(member, Event::Lease(held));
        }
    }
}

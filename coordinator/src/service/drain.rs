//! Draining a host: the request on its record, and what it means for each member that is there. The
//! plan does the rest, and is asked beforehand too: what is shown is what would be done.

use std::collections::BTreeSet;

use berth_core::{
    check::plan_checked,
    ids::MemberId,
    plan::Step,
    state::{Draining, HostRecord, State},
    time::Timestamp,
    waiting::{Reason, Waiting},
};
use berth_proto::{convert::status, v1::DrainedMember};

use super::hosts::Decision;

/// The record of a host that is drained from now on.
pub(super) fn decide(known: &HostRecord, stop_pinned: bool, now: Timestamp) -> Decision {
    let mut record = known.clone();
    record.unschedulable = true;
    let since = known.directives.draining.as_ref().map(|drain| drain.since);
    record.directives.draining = Some(Draining {
        since: since.unwrap_or(now),
        stop_pinned,
    });
    let text = if stop_pinned {
        "its members leave it as their budgets allow; those that live there by their data stop"
    } else {
        "its members leave it as their budgets allow; those that live there by their data stay"
    };
    Decision {
        record,
        reason: "Draining",
        text: text.to_owned(),
    }
}

/// What becomes of the members of a host once it has this record.
pub(super) fn fates(state: &State, record: &HostRecord, now: Timestamp) -> Vec<DrainedMember> {
    let mut after = state.clone();
    let Some(host) = after.hosts.get_mut(&record.name) else {
        return Vec::new();
    };
    host.record = record.clone();
    let (plan, report, _) = plan_checked(&after, now);
    let stopped: BTreeSet<&MemberId> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Stop { member, .. } | Step::Release { member, .. } => Some(member),
            Step::CreateClaim { .. }
            | Step::AdoptClaim { .. }
            | Step::BindClaim { .. }
            | Step::TakeSnapshot { .. }
            | Step::GrowClaim { .. }
            | Step::FillClaim { .. }
            | Step::TieClaim { .. }
            | Step::DropClaim { .. }
            | Step::PurgeVolume { .. }
            | Step::Refound { .. }
            | Step::TakeAddress { .. }
            | Step::TakeHost { .. }
            | Step::LeaveHost { .. }
            | Step::Assign { .. }
            | Step::Found { .. }
            | Step::Carry { .. }
            | Step::Start { .. }
            | Step::PassGate { .. }
            | Step::Rollout { .. }
            | Step::Reload { .. }
            | Step::RemoveSet { .. }
            | Step::DropRevision { .. }
            | Step::ForgetFounding { .. }
            | Step::PublishZone { .. } => None,
        })
        .collect();
    let here = state.sets.iter().flat_map(|(key, set)| {
        let members = set.members.iter();
        let here = members.filter(|(_, member)| member.host == record.name);
        here.map(|(ordinal, _)| MemberId {
            set: key.clone(),
            ordinal: *ordinal,
        })
    });
    here.map(|id| {
        let pinned = after.is_pinned_to(&id, &record.name);
        let waiting = report.waiting.get(&id);
        let fate = fate(pinned, stopped.contains(&id), waiting);
        let waiting = waiting.map(|reason| Waiting {
            reason: reason.clone(),
            since: now,
        });
        DrainedMember {
            member: id.to_string(),
            fate: fate.to_owned(),
            waiting: waiting.as_ref().map(status::waiting),
        }
    })
    .collect()
}

fn fate(pinned: bool, stopped: bool, waiting: Option<&Reason>) -> &'static str {
    if matches!(waiting, Some(Reason::DrainPinned { .. })) {
        "Stays"
    } else if stopped && pinned {
        "Stops"
    } else if stopped {
        "Moves"
    } else {
        "Waits"
    }
}

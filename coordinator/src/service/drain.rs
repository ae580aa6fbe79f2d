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
pub(super) fn fates(state: &State, record: &HostRecord, now: Timestamp) -> Vec<Fated> {
    let mut after = state.clone();
    let Some(host) = after.hosts.get_mut(&record.name) else {
        return Vec::new();
    };
    host.record = record.clone();
    let (plan, report, _) = plan_checked(&after, now);
    let stopped: BTreeSet<&MemberId> = plan
        .steps
        .iter()
        .filter_map(|step| {
            if let Step::Stop { member, .. } | Step::Release { member, .. } = step {
                Some(member)
            } else {
                None
            }
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
        let member = DrainedMember {
            member: id.to_string(),
            fate: fate.as_str().to_owned(),
            waiting: waiting.as_ref().map(status::waiting),
        };
        Fated { fate, member }
    })
    .collect()
}

/// What becomes of a member.
pub(super) struct Fated {
    fate: Fate,
    /// The same for the wire.
    pub(super) member: DrainedMember,
}

/// What a drain means for a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It lives there by its data, and may.
    Stays,
    /// It lives there by its data, and goes down.
    Stops,
    /// It goes to another host.
    Moves,
    /// It is to go, and cannot yet.
    Waits,
}

impl Fate {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stays => "Stays",
            Self::Stops => "Stops",
            Self::Moves => "Moves",
            Self::Waits => "Waits",
        }
    }
}

impl Fated {
    /// What is taken down, in a sentence; nothing of a member that stays.
    pub(super) fn disruption(&self) -> Option<String> {
        let name = &self.member.member;
        match self.fate {
            Fate::Stays => None,
            Fate::Stops => Some(format!(
                "{name} stops, and stays down until the drain ends: it can live nowhere else"
            )),
            Fate::Moves => Some(format!("{name} stops, and starts on another host")),
            Fate::Waits => {
                let why = self.member.waiting.as_ref();
                let why = why.map(|why| format!(": {}", why.message));
                Some(format!(
                    "{name} leaves when it can{}",
                    why.unwrap_or_default()
                ))
            }
        }
    }
}

fn fate(pinned: bool, stopped: bool, waiting: Option<&Reason>) -> Fate {
    if matches!(waiting, Some(Reason::DrainPinned { .. })) {
        Fate::Stays
    } else if stopped && pinned {
        Fate::Stops
    } else if stopped {
        Fate::Moves
    } else {
        Fate::Waits
    }
}

//! Why each member that is not where it should be waits. Stages that held something back have said
//! so already; here is what follows from the assignment and the agent's own report.

use crate::{
    ids::{HostName, MemberId, Ordinal, SetKey},
    plan::{
        draft::Draft,
        facts::{Facts, all},
        founding, retention,
    },
    report::Phase,
    spec::UpdateKind,
    state::{Ordered, State},
    waiting::Reason,
};

/// Explains every member of a set.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let untold = all(&draft.state, key).filter_map(|(ordinal, facts)| {
        let set = key.clone();
        let id = MemberId { set, ordinal };
        let told = draft.reason(&id).is_some();
        let reason = (!told).then(|| reason(&draft.state, &id, &facts))??;
        Some((ordinal, reason))
    });
    for (ordinal, reason) in untold.collect::<Vec<_>>() {
        draft.wait(key, ordinal, reason);
    }
}

/// Says of the members of a set that is gone why nothing is decided of them.
pub(super) fn orphans(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let ordinals: Vec<Ordinal> = set.members.keys().copied().collect();
    for ordinal in ordinals {
        draft.wait(key, ordinal, Reason::Orphaned);
    }
}

fn reason(state: &State, id: &MemberId, facts: &Facts<'_>) -> Option<Reason> {
    let host = facts.member.host.clone();
    if !facts.in_contact {
        return Some(silence(state, host));
    }
    match facts.member.ordered {
        // The start stage has said why, or has just started it.
        Ordered::Nothing => None,
        Ordered::Run => running(state, id, facts),
        Ordered::Stop => {
            let stale = retention::stale(state, id, facts.set, facts.member);
            stale.or_else(|| Some(stopping(state, facts, host)))
        }
    }
}

/// Why nothing is heard of a host.
fn silence(state: &State, host: HostName) -> Reason {
    if state.past.mismatched.contains_key(&host) {
        // Its agent talks, and is not listened to.
        Reason::HistoryMismatch { hosts: vec![host] }
    } else if state.past.awaited.contains(&host) {
        Reason::HostsAwaited { hosts: vec![host] }
    } else {
        Reason::HostUnknown { host }
    }
}

/// Why a member that was ordered to stop is still there.
fn stopping(state: &State, facts: &Facts<'_>, host: HostName) -> Reason {
    let stops = facts
        .seen
        .filter(|seen| seen.report.phase == Phase::Stopping);
    let own = stops.and_then(|seen| seen.report.waiting.clone());
    // A stop as it should be: its agent has not answered the order yet.
    let known = state.hosts.get(&host);
    let answered = known.is_some_and(|known| known.contact.settled);
    own.unwrap_or(if answered {
        let epoch = facts.member.epoch;
        Reason::StopNotConfirmed { host, epoch }
    } else {
        Reason::Ordered { host }
    })
}

/// Why a member that serves is not what the spec asks for.
fn serving(facts: &Facts<'_>, ordinal: Ordinal) -> Option<Reason> {
    let set = facts.set;
    if facts.member.restart_asked.is_some() {
        return Some(Reason::RestartAsked);
    }
    if facts.member.revision == *set.target_revision() {
        return None;
    }
    Some(if set.spec.is_paused() {
        Reason::UpdatesPaused
    } else if set.holds_updates() {
        let seconds = set.spec.progress_deadline_seconds();
        Reason::RolloutStalled { seconds }
    } else if set.spec.update_kind() == UpdateKind::OnDelete {
        Reason::UpdatedOnRestart
    } else if !set.updates(ordinal) {
        let first = set.first_updated();
        Reason::BelowPartition { first }
    } else {
        Reason::RevisionOutdated
    })
}

fn running(state: &State, id: &MemberId, facts: &Facts<'_>) -> Option<Reason> {
    let host = facts.member.host.clone();
    let Some(seen) = facts.seen else {
        return Some(Reason::Ordered { host });
    };
    if seen.report.ready {
        if let Some(gate) = facts.set.shut_gate(facts.member) {
            return Some(gate);
        }
        let lacks = facts.set.lacks_files(facts.member, &seen.report);
        let late = lacks.then_some(Reason::ConfigNotDelivered { host });
        return serving(facts, id.ordinal).or(late);
    }
    let own = seen.report.waiting.clone();
    let lost = matches!(own, Some(Reason::VolumeEmpty { .. })) && founding::open(state, id);
    if lost || founding::lost(state, id) {
        let member = id.clone();
        return Some(Reason::FoundingDiskLost { member });
    }
    Some(own.unwrap_or(Reason::Ordered { host }))
}

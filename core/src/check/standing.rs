//! What reports prove, in the checker's own words.

use std::time::Duration;

use crate::{
    ids::{MemberId, Ordinal, SetKey},
    report::MemberReport,
    state::{Member, Observation, Ordered, Set, State},
    time::Timestamp,
};

/// The member that a key and an ordinal name.
pub(super) fn id(key: &SetKey, ordinal: Ordinal) -> MemberId {
    MemberId {
        set: key.clone(),
        ordinal,
    }
}

/// The ordinals that a set is to have, lowest first.
pub(super) fn wanted(set: &Set) -> Vec<Ordinal> {
    let mut wanted = Vec::new();
    let mut next = set.spec.ordinals.start;
    let count = if set.deleting.is_some() {
        0
    } else {
        set.spec.replicas()
    };
    for _ in 0..count {
        while set.spec.ordinals.reserved.contains(&next) {
            next = next.saturating_add(1);
        }
        wanted.push(Ordinal(next));
        next = next.saturating_add(1);
    }
    wanted
}

/// Whether a set is to have an ordinal.
pub(super) fn is_wanted(set: &Set, ordinal: Ordinal) -> bool {
    let ordinals = &set.spec.ordinals;
    let Some(above) = ordinal.0.checked_sub(ordinals.start) else {
        return false;
    };
    let skipped = ordinals.reserved.range(ordinals.start..ordinal.0).count();
    let place = usize::try_from(above).map_or(usize::MAX, |above| above.saturating_sub(skipped));
    set.deleting.is_none()
        && !ordinals.reserved.contains(&ordinal.0)
        && u32::try_from(place).is_ok_and(|place| place < set.spec.replicas())
}

/// The set and the grant of a member.
pub(super) fn grant<'a>(state: &'a State, id: &MemberId) -> Option<(&'a Set, &'a Member)> {
    let set = state.sets.get(&id.set)?;
    Some((set, set.members.get(&id.ordinal)?))
}

/// What an agent in contact says of the epoch that a member has.
pub(super) fn heard<'a>(state: &'a State, id: &MemberId) -> Option<&'a Observation> {
    let (_, member) = grant(state, id)?;
    let contact = &state.hosts.get(&member.host)?.contact;
    let seen = contact.members.get(id)?;
    (contact.connected && seen.report.epoch == member.epoch).then_some(seen)
}

/// The same of a member that is ordered to run.
pub(super) fn runs<'a>(state: &'a State, id: &MemberId) -> Option<&'a MemberReport> {
    let (_, member) = grant(state, id)?;
    let seen = heard(state, id)?;
    (member.ordered == Ordered::Run).then_some(&seen.report)
}

/// Whether a member has been ready for as long as its set asks for.
pub(super) fn available(state: &State, id: &MemberId, now: Timestamp) -> bool {
    let Some((set, _)) = grant(state, id) else {
        return false;
    };
    let ready = runs(state, id).is_some_and(|report| report.ready);
    let wanted = Duration::from_secs(set.spec.min_ready_seconds.into());
    let since = heard(state, id).and_then(|seen| seen.ready_since);
    ready && (wanted.is_zero() || since.is_some_and(|since| now.since(since) >= wanted))
}

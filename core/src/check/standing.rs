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

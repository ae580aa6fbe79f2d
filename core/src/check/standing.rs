//! What reports prove, in the checker's own words.

use std::time::Duration;

use crate::{
    ids::{MemberId, Ordinal, SetKey},
    report::MemberReport,
    spec::{MemberTemplate, Placement, overrides::effective},
    state::{Member, MemberCondition, Observation, Ordered, Revision, Set, State},
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
    if set.spec.placement == Placement::PerHost {
        let own = set.own_hosts.keys().copied();
        return own.filter(|ordinal| is_wanted(set, *ordinal)).collect();
    }
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
    if set.spec.placement == Placement::PerHost {
        let own = set.own_hosts.get(&ordinal);
        return set.deleting.is_none() && own.is_some_and(|own| own.selected);
    }
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

/// The template of a revision with all that its overrides say of an ordinal.
pub(super) fn as_run(revision: &Revision, ordinal: Ordinal) -> MemberTemplate {
    let mut template = revision.template.as_ref().clone();
    for one in &revision.overrides {
        template = effective(&template, std::slice::from_ref(one), ordinal).into_owned();
    }
    template
}

/// The set and the grant of a member.
pub(super) fn grant<'a>(state: &'a State, id: &MemberId) -> Option<(&'a Set, &'a Member)> {
    let set = state.sets.get(&id.set)?;
    Some((set, set.members.get(&id.ordinal)?))
}

/// Whether an operator wants a member away from the host that it is on.
pub(super) fn leaves_host(set: &Set, ordinal: Ordinal) -> bool {
    let (asked, member) = (set.moves.get(&ordinal), set.members.get(&ordinal));
    asked
        .zip(member)
        .is_some_and(|(asked, member)| asked.given_up.is_none() && asked.from == member.host)
}

/// Whether the word of an operator keeps a member from running where it is: it is offline, it is to
/// move, or its host is being drained and it may not stay there for its data.
pub(super) fn held(state: &State, id: &MemberId) -> Option<&'static str> {
    let set = state.sets.get(&id.set)?;
    if set.offline.contains_key(&id.ordinal) {
        return Some("is offline");
    }
    let host = &set.members.get(&id.ordinal)?.host;
    if leaves_host(set, id.ordinal) {
        return Some("is to move to another host");
    }
    let draining = state.hosts.get(host)?.record.directives.draining.as_ref()?;
    let mut claims = state.claims_of_member(id);
    let data = claims.any(|(_, claim)| state.host_of(claim) == Some(host));
    let lives_there = data || set.own_hosts.contains_key(&id.ordinal);
    (draining.stop_pinned || !lives_there).then_some("is on a host that is being drained")
}

/// What an agent in contact says of the epoch that a member has.
pub(super) fn heard<'a>(state: &'a State, id: &MemberId) -> Option<&'a Observation> {
    let (_, member) = grant(state, id)?;
    said(state, id, member)
}

fn said<'a>(state: &'a State, id: &MemberId, member: &Member) -> Option<&'a Observation> {
    let contact = &state.hosts.get(&member.host)?.contact;
    let seen = contact.connected.then(|| contact.members.get(id))??;
    (seen.report.epoch == member.epoch).then_some(seen)
}

/// The same of a member that is ordered to run.
pub(super) fn runs<'a>(state: &'a State, id: &MemberId) -> Option<&'a MemberReport> {
    let (_, member) = grant(state, id)?;
    let seen = said(state, id, member)?;
    (member.ordered == Ordered::Run).then_some(&seen.report)
}

/// What was said of the conditions that a member waits for.
fn conditions<'a>(
    set: &'a Set,
    member: &'a Member,
) -> impl Iterator<Item = Option<&'a MemberCondition>> {
    let template = set.template_of(&member.revision);
    let gates = template.into_iter().flat_map(|t| &t.spec.readiness_gates);
    gates.map(|gate| member.conditions.get(&gate.condition_type))
}

/// What is heard of a member, whatever it is ordered, if it is ready and every condition that it waits
/// for is true.
fn ready<'a>(
    state: &'a State,
    id: &MemberId,
    (set, member): (&Set, &Member),
) -> Option<&'a Observation> {
    let seen = said(state, id, member).filter(|seen| seen.report.ready)?;
    let open = conditions(set, member).all(|said| said.is_some_and(|said| said.status));
    open.then_some(seen)
}

/// The same of a member that is ordered to run.
fn serving<'a>(
    state: &'a State,
    id: &MemberId,
    (set, member): (&Set, &Member),
) -> Option<&'a Observation> {
    let run = member.ordered == Ordered::Run;
    ready(state, id, (set, member)).filter(|_| run)
}

/// Whether a member is ready, or was when it was told to stop and has not been heard of since.
pub(super) fn still_serves(state: &State, id: &MemberId) -> bool {
    grant(state, id).is_some_and(|granted| ready(state, id, granted).is_some())
}

/// Whether a member that is ordered to run is ready, and every condition that it waits for true.
pub(super) fn serves(state: &State, id: &MemberId) -> bool {
    grant(state, id).is_some_and(|granted| serving(state, id, granted).is_some())
}

/// Whether a member has been ready for as long as its set asks for.
pub(super) fn available(state: &State, id: &MemberId, now: Timestamp) -> bool {
    let Some((set, member)) = grant(state, id) else {
        return false;
    };
    let Some(seen) = serving(state, id, (set, member)) else {
        return false;
    };
    let wanted = Duration::from_secs(set.spec.min_ready_seconds.into());
    let opened = conditions(set, member).filter_map(|c| Some(c?.since));
    let since = seen.ready_since.max(opened.max());
    wanted.is_zero() || since.is_some_and(|since| now.since(since) >= wanted)
}

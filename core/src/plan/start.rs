//! Start: an assigned member is ordered to run when nothing holds it back. Lowest first; what holds
//! it back is said.

use std::time::Duration;

use crate::{
    bug::{self, Bug},
    ids::{HostName, MemberId, Ordinal, SetKey},
    plan::{
        Step,
        claims::{self, Own},
        depends,
        draft::Draft,
        evict, founding,
        gate::{Gates, Shut},
    },
    spec::{GatePolicy, MemberTemplate, UpdateKind},
    state::{Member, Ordered, Set, State},
    time::Timestamp,
    waiting::{HostRefusal, Reason},
};

/// How long a start waits for agents to acknowledge the zone that names the member.
const BARRIER: Duration = Duration::from_secs(2);

/// Starts the members of a set whose time has come.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let waiting = |ordinal: &Ordinal| {
        let member = set.members.get(ordinal);
        member.is_some_and(|member| member.ordered == Ordered::Nothing)
    };
    let waiting: Vec<_> = set.declared().filter(waiting).collect();
    if waiting.is_empty() {
        return;
    }
    if let Some(reason) = draft.mismatch() {
        for ordinal in waiting {
            draft.wait(key, ordinal, reason.clone());
        }
        return;
    }
    if let Err(reason) = depends::check_start(draft, key) {
        for ordinal in waiting {
            draft.wait(key, ordinal, reason.clone());
        }
        return;
    }
    let Some(set) = draft.state.sets.get(key) else {
        return;
    };
    let gates = Gates::new(&draft.state, key, set, draft.now);
    // While a set is not founded all its peers have to be found, because they look for each other from the
    // first moment.
    let all = gates.founding.then(|| set.members.values());
    let peers = all.map(|members| Barrier::of(&draft.state, members));
    for ordinal in waiting {
        let id = MemberId {
            set: key.clone(),
            ordinal,
        };
        if let Err(reason) = start(draft, &gates, peers.as_ref(), &id) {
            draft.wait(key, ordinal, reason);
        }
    }
}

fn start(
    draft: &mut Draft,
    gates: &Gates,
    peers: Option<&Barrier>,
    id: &MemberId,
) -> Result<(), Reason> {
    let Some(set) = draft.state.sets.get(&id.set) else {
        return Ok(());
    };
    let Some(member) = set.members.get(&id.ordinal) else {
        return Ok(());
    };
    let (epoch, host) = (member.epoch, member.host.clone());
    if let Some(reason) = evict::held(&draft.state, id, member) {
        return Err(reason);
    }
    own_faults(&draft.state, id, member)?;
    if let Some(ordinal) = holds_recreation(set, member) {
        return Err(Reason::OlderRevisionThere { ordinal });
    }
    if let Err(shut) = gates.check(&draft.state, &id.set, set, id.ordinal) {
        draft.wake(shut.wake);
        return Err(predecessor(&shut));
    }
    let own;
    let barrier = match peers {
        Some(peers) => peers,
        None => {
            own = Barrier::of(&draft.state, std::iter::once(member));
            &own
        }
    };
    if !barrier.lacking.is_empty() && draft.now < barrier.until && !bug::on(Bug::BarrierSkipped) {
        let hosts = barrier.lacking.clone();
        draft.wake(Some(barrier.until));
        return Err(Reason::ZoneNotAcknowledged { hosts });
    }
    let claims = claims::of_member(&draft.state, set, id, draft.now)?;
    let template = set.template_of(&member.revision).cloned();
    if let Some(template) = &template {
        claims::startable(&draft.state, id, template, &host, draft.now)?;
    }
    room(
        &draft.state,
        id,
        &claims,
        template.as_deref(),
        &host,
        draft.now,
    )?;
    draft.state.surely_alone(id)?;
    // One may have been deleted since the assignment made it.
    claims::create(draft, claims);
    claims::at_start(draft, id)?;
    founding::freeze(draft, &id.set)?;
    claims::local(draft, id, &host);
    let member = id.clone();
    draft.push(Step::Start { member, epoch });
    Ok(())
}

/// Whether the pools of its host have what a member needs: more was promised since it was assigned
/// there, or a pool is gone.
fn room(
    state: &State,
    id: &MemberId,
    claims: &[Own],
    template: Option<&MemberTemplate>,
    host: &HostName,
    now: Timestamp,
) -> Result<(), Reason> {
    let shared = match template {
        Some(template) => claims::assignable(state, id, template, now)?,
        None => Vec::new(),
    };
    let own = claims.iter().map(|own| (&own.key, &own.claim));
    let all = own.chain(shared.iter().map(|shared| (&shared.key, shared.claim)));
    let demands = claims::demands(state, all, id, now)?;
    match claims::free(state, Some(id), host, &demands) {
        None => Ok(()),
        Some(because) => {
            let host = host.clone();
            let hosts = vec![HostRefusal { host, because }];
            Err(Reason::NoEligibleHost { hosts })
        }
    }
}

/// What holds a member back whatever the others do.
fn own_faults(state: &State, id: &MemberId, member: &Member) -> Result<(), Reason> {
    let host = state.hosts.get(&member.host);
    if !host.is_some_and(|host| host.contact.connected) {
        let host = member.host.clone();
        return Err(Reason::HostUnknown { host });
    }
    if founding::lost(state, id) {
        let member = id.clone();
        return Err(Reason::FoundingDiskLost { member });
    }
    if member.lease.is_some()
        && let Some(claim) = state.unrecorded(id)
    {
        return Err(Reason::OwnerNotOnVolume { claim });
    }
    let set = state.sets.get(&id.set);
    let carried = set.and_then(|set| set.revisions.get(&member.revision));
    let missing = carried.and_then(|carried| carried.missing(&id.set.namespace));
    missing
        .or_else(|| unmet(state, set?, member))
        .map_or(Ok(()), Err)
}

/// What the set requires and its host is known not to have by now. What is not known is no obstacle
/// any more: its agent asks before it starts anything.
fn unmet(state: &State, set: &Set, member: &Member) -> Option<Reason> {
    let requires = &set.template_of(&member.revision)?.spec.requires;
    let contact = &state.hosts.get(&member.host)?.contact;
    let unmet = contact.unmet(requires.each());
    let host = member.host.clone();
    (!unmet.is_empty()).then_some(Reason::RequirementUnmet { host, unmet })
}

/// The highest member of another revision that is still there, for one that takes part in a
/// `Recreate`: none of the new ones starts before all of the old ones are gone.
fn holds_recreation(set: &Set, member: &Member) -> Option<Ordinal> {
    let target = set.target_revision();
    if set.spec.update_kind() != UpdateKind::Recreate || member.revision != *target {
        return None;
    }
    let mut members = set.members.iter().rev();
    let old = members.find(|(_, m)| m.ordered != Ordered::Nothing && m.revision != *target);
    old.map(|(ordinal, _)| *ordinal)
}

/// Why a lower ordinal holds a higher one back.
pub(super) fn predecessor(shut: &Shut) -> Reason {
    let ordinal = shut.by;
    match shut.policy {
        GatePolicy::OrderedStarted => Reason::PredecessorNotStarted { ordinal },
        GatePolicy::OrderedReady | GatePolicy::Parallel => Reason::PredecessorNotReady { ordinal },
    }
}

/// What the start of a member waits for because of names that must be served before: its own, or those of
/// all its peers.
struct Barrier {
    /// Until when at most.
    until: Timestamp,
    /// The hosts in contact whose agents do not serve them yet.
    lacking: Vec<HostName>,
}

impl Barrier {
    fn of<'a>(state: &State, named: impl Iterator<Item = &'a Member>) -> Self {
        let newest = named.map(|member| (member.assigned_at, member.named_in));
        let (last, serial) = newest
            .reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))
            .unwrap_or_default();
        let hosts = state.hosts.iter();
        let behind =
            hosts.filter(|(_, host)| host.contact.connected && host.contact.zone_acked < serial);
        Self {
            until: last.plus(BARRIER),
            lacking: behind.map(|(name, _)| name.clone()).collect(),
        }
    }
}

//! Assignment: every wanted ordinal gets a host, an address and a name as soon as it can, whatever
//! its gate says. So all peers have names before the first of them starts.

use std::{net::IpAddr, time::Duration};

use crate::{
    bug::{self, Bug},
    ids::{Epoch, HostName, MemberId, Ordinal, SetKey},
    plan::{
        Step, addresses,
        addresses::Source,
        claims::{self, Own},
        draft::Draft,
        moves,
        placement::{Need, Siblings, choose},
        step::Proof,
    },
    state::{Ordered, Set},
    waiting::Reason,
};

/// How long a host may be out of contact before its members that never started go elsewhere.
const PATIENCE: Duration = Duration::from_secs(30);

/// Assigns the wanted ordinals of a set that are not: those whose volumes pin them first, so that
/// no other takes their host; then lowest first.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let assigned = |ordinal: &Ordinal| set.members.contains_key(ordinal);
    let mut missing: Vec<_> = set.declared().filter(|n| !assigned(n)).collect();
    missing.sort_by_key(|ordinal| !claims::pinned(&draft.state, set, key, *ordinal));
    if let Some(reason) = draft.mismatch() {
        for ordinal in missing {
            draft.wait(key, ordinal, reason.clone());
        }
        return;
    }
    assign_all(draft, key, missing);
    move_stranded(draft, key);
}

fn assign_all(draft: &mut Draft, key: &SetKey, missing: Vec<Ordinal>) {
    let mut siblings = None;
    for ordinal in missing {
        let Some(set) = draft.set(key) else {
            return;
        };
        // Who of a large set is where is found out once. A move takes data along, which counts too.
        let moves = set.moves.contains_key(&ordinal);
        let known = siblings.get_or_insert_with(|| Siblings::of(&draft.state, key, set));
        match assign(draft, key, ordinal, known) {
            Ok(Some(host)) => known.add(ordinal, &host),
            Ok(None) => {}
            Err(reason) => draft.wait(key, ordinal, reason),
        }
        if moves {
            siblings = None;
        }
    }
}

/// The host that a member would go to if it were stopped where it is.
///
/// # Errors
/// Why there is none but the one it is on.
pub(super) fn other_host(
    draft: &Draft,
    id: &MemberId,
    here: &HostName,
) -> Result<HostName, Reason> {
    let siblings = siblings(draft, &id.set);
    let found = place(draft, id, &siblings)?.map(|placement| placement.host);
    let hosts = Vec::new();
    found
        .filter(|host| host != here)
        .ok_or(Reason::NoEligibleHost { hosts })
}

/// Gives a member another host that was never ordered to run and is to move, or whose host is being drained, or out
/// of contact for too long, if one can take it. One that was ordered stays, whatever is known of it; so does a
/// founder, whose address the others were told.
fn move_stranded(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let founders = draft.state.foundings.get(key).map(|f| &f.founders);
    let founds = |n: Ordinal| founders.is_some_and(|f| f.iter().any(|peer| peer.ordinal == n));
    let mut stranded = Vec::new();
    for (ordinal, member) in &set.members {
        let Some(host) = draft.state.hosts.get(&member.host) else {
            continue;
        };
        let at = match (&host.record.directives.draining, set.moves.get(ordinal)) {
            (_, Some(asked)) => asked.since,
            (Some(draining), None) => draining.since,
            (None, None) if host.contact.connected => continue,
            (None, None) => host.contact.since.plus(PATIENCE),
        };
        if member.ordered == Ordered::Nothing && !founds(*ordinal) {
            stranded.push((*ordinal, member.epoch, member.host.clone(), at));
        }
    }
    for (ordinal, epoch, host, at) in stranded {
        let id = MemberId {
            set: key.clone(),
            ordinal,
        };
        if at > draft.now {
            draft.wake(Some(at));
            continue;
        }
        if let Err(reason) = other_host(draft, &id, &host) {
            if draft.set(key).is_some_and(|set| set.is_to_move(ordinal)) {
                draft.wait(key, ordinal, nowhere(host, reason));
            }
        } else {
            let proof = Proof::NeverOrdered;
            let member = id.clone();
            draft.push(Step::Release {
                member,
                epoch,
                proof,
            });
            let siblings = siblings(draft, key);
            if let Err(reason) = assign(draft, key, ordinal, &siblings) {
                draft.wait(key, ordinal, reason);
            }
        }
    }
}

/// Why a member that is to move stays where it is.
pub(super) fn nowhere(host: HostName, reason: Reason) -> Reason {
    if let Reason::NoEligibleHost { hosts } = reason {
        Reason::MoveNowhere { host, hosts }
    } else {
        reason
    }
}

/// Where a member goes.
struct Placement {
    host: HostName,
    address: IpAddr,
    source: Source,
    claims: Vec<Own>,
}

fn siblings(draft: &Draft, key: &SetKey) -> Siblings {
    let set = draft.set(key);
    set.map_or_else(Siblings::default, |set| {
        Siblings::of(&draft.state, key, set)
    })
}

fn place(draft: &Draft, id: &MemberId, siblings: &Siblings) -> Result<Option<Placement>, Reason> {
    let Some(set) = draft.state.sets.get(&id.set) else {
        return Ok(None);
    };
    let claims = claims::of_member(&draft.state, set, id, draft.now)?;
    let template = set.birth_template(id.ordinal);
    let shared = claims::assignable(&draft.state, id, &template, draft.now)?;
    let own = claims.iter().map(|own| (&own.key, &own.claim));
    let all = own.chain(shared.iter().map(|shared| (&shared.key, shared.claim)));
    let demands = claims::demands(&draft.state, all, id, draft.now)?;
    let source = addresses::source(draft, set, id.ordinal)?;
    let need = Need {
        key: &id.set,
        set,
        ordinal: id.ordinal,
        template: &template,
        own: &claims,
        shared: &shared,
        demands: &demands,
        source,
        siblings,
    };
    let host = choose(draft, &need)?;
    let Some(on) = draft.state.hosts.get(&host) else {
        return Ok(None);
    };
    Ok(Some(Placement {
        address: source.on(on),
        host,
        source,
        claims,
    }))
}

/// Grants an ordinal to a host, which is returned.
fn assign(
    draft: &mut Draft,
    key: &SetKey,
    ordinal: Ordinal,
    siblings: &Siblings,
) -> Result<Option<HostName>, Reason> {
    let id = MemberId {
        set: key.clone(),
        ordinal,
    };
    moves::complete(draft, &id)?;
    let Some(placement) = place(draft, &id, siblings)? else {
        return Ok(None);
    };
    draft.state.surely_alone(&id)?;
    moves::begin(draft, &id, &placement.host)?;
    let Some(set) = draft.state.sets.get(key) else {
        return Ok(None);
    };
    let host = placement.host;
    let step = Step::Assign {
        member: id.clone(),
        epoch: epoch(draft, set, ordinal),
        host: host.clone(),
        address: placement.address,
        revision: set.birth_revision(ordinal).clone(),
    };
    if let Source::Taken(address) = placement.source {
        let member = id.clone();
        draft.push(Step::TakeAddress { member, address });
    }
    claims::create(draft, placement.claims);
    draft.push(step);
    claims::early(draft, &id);
    Ok(Some(host))
}

/// The next epoch of an ordinal. Its counter is the serial of the zone that first names it, which
/// grows with every assignment: so epochs grow even when a set is removed and another of the same
/// name is made, and agents that remember the older ones do not refuse the new.
pub(super) fn epoch(draft: &Draft, set: &Set, ordinal: Ordinal) -> Epoch {
    let last = set.last_grants.get(&ordinal).map(|grant| grant.epoch);
    let restored = !draft.state.past.former.is_empty();
    let again = bug::on(Bug::EpochReused) || restored && bug::on(Bug::EpochReusedAfterRestore);
    if let Some(last) = last.filter(|_| again) {
        return last;
    }
    let next = last.unwrap_or_default().next(draft.state.term);
    Epoch {
        counter: next.counter.max(draft.state.zone.serial.next().0),
        ..next
    }
}

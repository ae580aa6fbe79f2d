//! Assignment: every wanted ordinal gets a host, an address and a name as soon as it can, whatever
//! its gate says. So all peers have names before the first of them starts.

use crate::{
    ids::{Epoch, MemberId, Ordinal, SetKey},
    plan::{
        Step, addresses,
        addresses::Source,
        claims,
        draft::Draft,
        placement::{Need, choose},
    },
    state::Set,
    waiting::Reason,
};

/// Assigns the wanted ordinals of a set that are not: those whose volumes pin them first, so that
/// no other takes their host; then lowest first.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let assigned = |ordinal: &Ordinal| set.members.contains_key(ordinal);
    let mut missing: Vec<_> = set.declared().filter(|n| !assigned(n)).collect();
    missing.sort_by_key(|ordinal| !claims::pinned(&draft.state, set, key, *ordinal));
    for ordinal in missing {
        if let Err(reason) = assign(draft, key, ordinal) {
            draft.wait(key, ordinal, reason);
        }
    }
}

fn assign(draft: &mut Draft, key: &SetKey, ordinal: Ordinal) -> Result<(), Reason> {
    let id = MemberId {
        set: key.clone(),
        ordinal,
    };
    let Some(set) = draft.state.sets.get(key) else {
        return Ok(());
    };
    let claims = claims::of_member(&draft.state, set, &id)?;
    let source = addresses::source(draft, set, ordinal)?;
    let need = Need {
        key,
        set,
        ordinal,
        template: &set.spec.template,
        claims: &claims,
        source,
    };
    let host = choose(draft, &need)?;
    let Some(on) = draft.state.hosts.get(&host) else {
        return Ok(());
    };
    let address = source.on(on);
    let step = Step::Assign {
        member: id.clone(),
        epoch: epoch(draft, set, ordinal),
        host,
        address,
        revision: set.revision.clone(),
    };
    if let Source::Taken(address) = source {
        let member = id.clone();
        draft.push(Step::TakeAddress { member, address });
    }
    claims::create(draft, claims);
    draft.push(step);
    count_in(draft, &id);
    Ok(())
}

/// The next epoch of an ordinal. Its counter is the serial of the zone that first names it, which
/// grows with every assignment: so epochs grow even when a set is removed and another of the same
/// name is made, and agents that remember the older ones do not refuse the new.
fn epoch(draft: &Draft, set: &Set, ordinal: Ordinal) -> Epoch {
    let last = set.last_grants.get(&ordinal).map(|grant| grant.epoch);
    let next = last.unwrap_or_default().next(draft.state.term);
    Epoch {
        counter: next.counter.max(draft.state.zone.serial.next().0),
        ..next
    }
}

fn count_in(draft: &mut Draft, id: &MemberId) {
    let Some(set) = draft.state.sets.get(&id.set) else {
        return;
    };
    if let Some(member) = set.members.get(&id.ordinal) {
        draft.index.add(id, member, Some(&set.spec.template));
    }
}

//! Founding: who founds a set is frozen before its first member starts, and founding happens once.
//!
//! A set has a founding record if its order or its template depends on the first boot. It is made
//! in the plan that orders the first start, when every member has a name and an address; it stays
//! under the set's name for as long as the set or any claim of it exists.

use crate::{
    bug::{self, Bug},
    ids::{MemberId, Ordinal, SetKey},
    order::Peer,
    plan::{Step, draft::Draft},
    spec::Membership,
    state::{Ordered, Set, State, orders},
    waiting::Reason,
};

/// Whether the first boot is still to be finished: the set has, or will have, a record with
/// founders that have not passed their gate.
pub(super) fn pending(state: &State, key: &SetKey, set: &Set) -> bool {
    match state.foundings.get(key) {
        Some(founding) => founding.open.iter().any(|open| set.is_declared(*open)),
        None => needed(set) && !ran_before(state, key, set),
    }
}

/// Whether the set's first boot differs from later ones.
fn needed(set: &Set) -> bool {
    set.spec.bootstrap_policy.is_some() || set.spec.membership() == Membership::Static
}

/// Whether the set ran before it had a record.
fn ran_before(state: &State, key: &SetKey, set: &Set) -> bool {
    let ordered = |member: &crate::state::Member| member.ordered != Ordered::Nothing;
    let mut claims = state.claims_of(key);
    set.members.values().any(ordered) || claims.any(|(_, claim)| claim.filled)
}

/// Makes the record if the set needs one that it does not have.
///
/// # Errors
/// Why that is not possible yet.
pub(super) fn freeze(draft: &mut Draft, key: &SetKey) -> Result<(), Reason> {
    let Some(set) = draft.state.sets.get(key) else {
        return Ok(());
    };
    let frozen = draft.state.foundings.contains_key(key) && !bug::on(Bug::FoundersNotFrozen);
    if frozen || !needed(set) {
        return Ok(());
    }
    let founders = if ran_before(&draft.state, key, set) {
        Vec::new()
    } else {
        founders(&draft.state, key, set)?
    };
    let set = key.clone();
    draft.push(Step::Found { set, founders });
    Ok(())
}

fn founders(state: &State, key: &SetKey, set: &Set) -> Result<Vec<Peer>, Reason> {
    let mut missing = set.declared().filter(|n| !set.members.contains_key(n));
    if let Some(ordinal) = missing.next() {
        return Err(Reason::FoundersIncomplete { ordinal });
    }
    let peer = |ordinal: Ordinal| {
        let set_key = key.clone();
        let id = MemberId {
            set: set_key,
            ordinal,
        };
        orders::peer(state, set, &id)
    };
    Ok(set.declared().map(peer).collect())
}

/// Whether a member is a founder that has not passed its gate.
pub(super) fn open(state: &State, id: &MemberId) -> bool {
    let founding = state.foundings.get(&id.set);
    founding.is_some_and(|founding| founding.open.contains(&id.ordinal))
}

/// Whether a founder lost what it was started on before it was heard to pass its gate: its volume, or
/// its host without a word.
pub(super) fn lost(state: &State, id: &MemberId) -> bool {
    let founding = state.foundings.get(&id.set);
    open(state, id) && founding.is_some_and(|founding| founding.is_lost(state, id))
}

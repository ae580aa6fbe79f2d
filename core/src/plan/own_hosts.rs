//! One member per host: under `placement: PerHost` every host with the set's labels has an ordinal of
//! its own. A host that appears gets the next one; a host that loses the labels, or is gone, keeps
//! its ordinal (and the claims of it), which is not wanted meanwhile. A set that was deleted, and comes
//! back, finds the ordinals of its hosts by their claims.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    bug::{self, Bug},
    ids::{HostName, MemberId, Ordinal, SetKey},
    plan::{Step, draft::Draft},
    spec::Placement,
    state::{Set, State},
};

/// Takes back the ordinals that are not wanted any more. It frees something, and so comes before
/// anything takes something; also of a set that is founded anew, which is wanted again in the plan
/// that finds nothing left of it.
pub(super) fn leave(draft: &mut Draft, key: &SetKey) {
    let comes_back = |set: &&Set| set.deleting.is_none() || set.refounding;
    let steps = match per_host(draft, key).filter(comes_back) {
        Some(set) => leaving(draft, key, set),
        None => Vec::new(),
    };
    for step in steps {
        draft.push(step);
    }
}

/// Gives the hosts of a set their ordinals.
pub(super) fn take(draft: &mut Draft, key: &SetKey) {
    // While nothing is assigned, neither are ordinals.
    if draft.mismatch().is_some() {
        return;
    }
    let stays = |set: &&Set| set.deleting.is_none();
    let steps = match per_host(draft, key).filter(stays) {
        Some(set) => coming(draft, key, set),
        None => Vec::new(),
    };
    for step in steps {
        draft.push(step);
    }
}

fn per_host<'a>(draft: &'a Draft, key: &SetKey) -> Option<&'a Set> {
    let set = draft.set(key)?;
    (set.spec.placement == Placement::PerHost).then_some(set)
}

fn id(key: &SetKey, ordinal: Ordinal) -> MemberId {
    MemberId {
        set: key.clone(),
        ordinal,
    }
}

fn selects(draft: &Draft, set: &Set, host: &HostName) -> bool {
    let host = draft.state.hosts.get(host);
    host.is_some_and(|host| {
        host.record
            .is_selected(&set.spec.template.spec.node_selector)
    })
}

fn leaving(draft: &Draft, key: &SetKey, set: &Set) -> Vec<Step> {
    let own = set.own_hosts.iter().filter(|(_, own)| own.selected);
    let gone = own.filter(|(_, own)| !selects(draft, set, &own.host));
    gone.map(|(ordinal, _)| Step::LeaveHost {
        member: id(key, *ordinal),
    })
    .collect()
}

fn coming(draft: &Draft, key: &SetKey, set: &Set) -> Vec<Step> {
    let mut taken: BTreeSet<Ordinal> = set.own_hosts.keys().copied().collect();
    let homes = LazyCell::new(|| homes(&draft.state, key));
    let mut steps = Vec::new();
    for (name, host) in &draft.state.hosts {
        if !selects(draft, set, name) {
            continue;
        }
        let mut own = set.own_hosts.iter();
        let own = own.find(|(_, own)| own.host == *name);
        let ordinal = match own.filter(|_| !bug::on(Bug::OwnHostForgotten)) {
            Some((_, own)) if own.selected => continue,
            Some((ordinal, _)) => *ordinal,
            // A new member is for a host that takes some.
            None if !host.contact.connected || host.record.is_closed() => continue,
            None => match next(set, &taken, &homes, name) {
                Some(next) => next,
                None => continue,
            },
        };
        taken.insert(ordinal);
        steps.push(Step::TakeHost {
            member: id(key, ordinal),
            host: name.clone(),
        });
    }
    steps
}

/// Where the data of ordinals lies that have some.
fn homes<'a>(state: &'a State, key: &SetKey) -> BTreeMap<Ordinal, &'a HostName> {
    let claims = state.claims_of(key);
    let homes = claims.filter_map(|(_, claim)| {
        let member = claim.member.as_ref()?;
        Some((member.ordinal, state.host_of(claim)?))
    });
    homes.collect()
}

/// The ordinal of a host that has none: the lowest one that has its data there, else the lowest one that
/// has it nowhere.
fn next(
    set: &Set,
    taken: &BTreeSet<Ordinal>,
    homes: &BTreeMap<Ordinal, &HostName>,
    host: &HostName,
) -> Option<Ordinal> {
    let start = Ordinal(set.spec.ordinals.start);
    let free = |n: &Ordinal| !taken.contains(n);
    let there = homes.range(start..).filter(|(_, home)| **home == host);
    let there = there.map(|(ordinal, _)| *ordinal).find(free);
    let mut others = (start.0..).map(Ordinal).filter(|n| !homes.contains_key(n));
    there.or_else(|| others.find(free))
}

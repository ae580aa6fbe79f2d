//! One member per host: under `placement: PerHost` every host with the set's labels has an ordinal of
//! its own. A host that appears gets the next one; a host that loses the labels, or is gone, keeps
//! its ordinal (and the claims of it), which is not wanted meanwhile.

use std::collections::BTreeSet;

use crate::{
    bug::{self, Bug},
    ids::{HostName, MemberId, Ordinal, SetKey},
    plan::{Step, draft::Draft},
    spec::Placement,
    state::Set,
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
            None => {
                let mut free = (set.spec.ordinals.start..).map(Ordinal);
                let Some(next) = free.find(|n| !taken.contains(n)) else {
                    continue;
                };
                next
            }
        };
        taken.insert(ordinal);
        steps.push(Step::TakeHost {
            member: id(key, ordinal),
            host: name.clone(),
        });
    }
    steps
}

//! One member per host: under `placement: PerHost` every host with the set's labels has an ordinal of
//! its own. A host that appears gets the next one; a host that loses the labels, or is gone, keeps
//! its ordinal (and the claims of it), which is not wanted meanwhile.

use std::collections::BTreeSet;

use crate::{
    ids::{HostName, MemberId, Ordinal, SetKey},
    plan::{Step, draft::Draft},
    spec::Placement,
    state::Set,
};

/// Gives the hosts of a set their ordinals, and takes back those that are not wanted any more.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    if set.spec.placement != Placement::PerHost || set.deleting.is_some() {
        return;
    }
    let mut steps = leaving(draft, key, set);
    // Nothing is assigned to them either.
    if draft.mismatch().is_none() {
        steps.extend(coming(draft, key, set));
    }
    for step in steps {
        draft.push(step);
    }
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
        let ordinal = match own.find(|(_, own)| own.host == *name) {
            Some((_, own)) if own.selected => continue,
            Some((ordinal, _)) => *ordinal,
            // A new member is for a host that takes some.
            None if !host.contact.connected || host.record.unschedulable => continue,
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

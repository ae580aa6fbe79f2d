//! Rules about hosts, addresses and ports.

use crate::{
    check::{Case, Verdict},
    ids::MemberId,
    plan::Step,
    spec::{Port, Spread},
    state::{Claim, Set, State},
};

pub(super) fn address_unique(case: &Case<'_>) -> Verdict {
    let Step::TakeAddress {
        member: id,
        address,
    } = case.step
    else {
        return Ok(());
    };
    for (key, set) in &case.state.sets {
        for (ordinal, owned) in &set.addresses {
            let own = *key == id.set && *ordinal == id.ordinal;
            if own || owned == address {
                return Err(format!("{id} takes {address}, {key}-{ordinal} has {owned}"));
            }
        }
    }
    let mut hosts = case.state.hosts.iter();
    match hosts.find(|(_, host)| host.record.advertise_address == *address) {
        Some((host, _)) => Err(format!("{id} takes {address}, the address of {host}")),
        None => Ok(()),
    }
}

pub(super) fn address_owned(case: &Case<'_>) -> Verdict {
    let Step::Assign {
        member: id,
        host,
        address,
        ..
    } = case.step
    else {
        return Ok(());
    };
    let set = case.state.sets.get(&id.set);
    let owned = set.and_then(|set| set.addresses.get(&id.ordinal)).copied();
    let hosts = case.state.hosts.get(host);
    let expected = owned.or_else(|| hosts.map(|host| host.record.advertise_address));
    if expected.is_none_or(|expected| expected == *address) {
        Ok(())
    } else {
        Err(format!(
            "{id} is named with {address}, which it does not have"
        ))
    }
}

pub(super) fn socket_unique(case: &Case<'_>) -> Verdict {
    let Step::Assign {
        member: id,
        address,
        revision,
        ..
    } = case.step
    else {
        return Ok(());
    };
    let Some(set) = case.state.sets.get(&id.set) else {
        return Ok(());
    };
    let wanted: Vec<&Port> = declared(set, revision);
    for (key, other_set) in &case.state.sets {
        for (ordinal, other) in &other_set.members {
            let itself = *key == id.set && *ordinal == id.ordinal;
            if itself || other.address != *address {
                continue;
            }
            let taken = declared(other_set, &other.revision);
            let same = |a: &Port, b: &Port| {
                a.container_port == b.container_port && a.protocol == b.protocol
            };
            let clash = wanted.iter().find(|a| taken.iter().any(|b| same(a, b)));
            if let Some(port) = clash {
                let number = port.container_port;
                return Err(format!(
                    "{id} and {key}-{ordinal} declare {address}:{number}"
                ));
            }
        }
    }
    Ok(())
}

fn declared<'a>(set: &'a Set, revision: &crate::ids::TemplateHash) -> Vec<&'a Port> {
    let template = set.template_of(revision);
    let processes = template.into_iter().flat_map(|t| &t.spec.processes);
    processes.flat_map(|process| &process.ports).collect()
}

pub(super) fn host_fits(case: &Case<'_>) -> Verdict {
    let Step::Assign {
        member: id, host, ..
    } = case.step
    else {
        return Ok(());
    };
    match unfit(case.state, id, host) {
        Some(because) => Err(format!("{id} goes to {host}, which {because}")),
        None => Ok(()),
    }
}

fn unfit(state: &State, id: &MemberId, host: &crate::ids::HostName) -> Option<&'static str> {
    let Some(on) = state.hosts.get(host) else {
        return Some("does not exist");
    };
    let set = state.sets.get(&id.set)?;
    let mut siblings = set.members.iter();
    let selector = &set.spec.template.spec.node_selector;
    let elsewhere = |template: &crate::spec::ClaimTemplate| {
        let key = id.claim(&template.metadata.name).ok();
        let claim = key.and_then(|key| state.claims.get(&key));
        let bound = claim.and_then(|claim| state.host_of(claim));
        bound.is_some_and(|bound| bound != host)
    };
    let holds = |claim: &Claim| claim.is_for(id) && state.host_of(claim) == Some(host);
    let mut templates = set.spec.volume_claim_templates.iter();
    if !on.contact.connected {
        Some("is out of contact")
    } else if on.record.unschedulable && !state.claims.values().any(holds) {
        Some("is cordoned")
    } else if selector
        .iter()
        .any(|(k, v)| on.record.labels.get(k) != Some(v))
    {
        Some("has other labels")
    } else if templates.any(elsewhere) {
        Some("does not have its volume")
    } else if set.spec.spread == Spread::Require
        && siblings.any(|(ordinal, m)| *ordinal != id.ordinal && m.host == *host)
    {
        Some("holds another member of the set")
    } else {
        None
    }
}

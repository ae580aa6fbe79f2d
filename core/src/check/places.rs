//! Rules about hosts, addresses and ports.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    check::{
        Case, Verdict,
        standing::{as_run, grant, wanted},
    },
    ids::{HostName, MemberId, Ordinal, TemplateHash},
    plan::Step,
    prerequisite::Finding,
    spec::{FailurePolicy, Placement, Port, Spread, WhenUnsatisfiable},
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
    let set = case.state.sets.get(&id.set);
    if let Some(owned) = set.and_then(|set| set.addresses.get(&id.ordinal)) {
        return Err(format!("{id} takes {address}, and has {owned}"));
    }
    if case.state.index().addresses.contains(address) {
        return Err(format!("{id} takes {address}, which is another's"));
    }
    Ok(())
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
    let index = case.state.index();
    for port in wanted {
        let number = port.container_port;
        let socket = (*address, number, port.protocol);
        if let Some(other) = index.sockets.of(&socket).find(|other| *other != id) {
            return Err(format!("{id} and {other} declare {address}:{number}"));
        }
    }
    Ok(())
}

fn declared<'a>(set: &'a Set, revision: &TemplateHash) -> Vec<&'a Port> {
    let template = set.template_of(revision);
    let processes = template.into_iter().flat_map(|t| t.spec.lasting());
    processes.flat_map(|process| &process.ports).collect()
}

/// The value of a host's label; its name stands for the label of that name.
fn domain<'a>(state: &'a State, host: &'a HostName, key: &str) -> Option<&'a str> {
    if key == "kubernetes.io/hostname" {
        return Some(host.as_str());
    }
    let label = state.hosts.get(host)?.record.labels.get(key)?;
    Some(label.as_str())
}

pub(super) fn requirements_met(case: &Case<'_>) -> Verdict {
    let (id, host, revision) = if let Step::Assign {
        member,
        host,
        revision,
        ..
    } = case.step
    {
        (member, host, revision)
    } else if let Step::Start { member, .. } = case.step
        && let Some((_, granted)) = grant(case.state, member)
    {
        (member, &granted.host, &granted.revision)
    } else {
        return Ok(());
    };
    let set = case.state.sets.get(&id.set);
    let carried = set.and_then(|set| set.revisions.get(revision));
    let (Some(carried), Some(host)) = (carried, case.state.hosts.get(host)) else {
        return Ok(());
    };
    let requires = as_run(carried, id.ordinal).spec.requires;
    for (asked, of) in &host.contact.asked {
        if let Some(Finding::Unmet { found }) = &of.finding
            && requires.each().any(|required| required == *asked)
        {
            let name = &host.record.name;
            return Err(format!("{id} requires {asked}, {name} has {found}"));
        }
    }
    Ok(())
}

pub(super) fn spread_even(case: &Case<'_>) -> Verdict {
    let Step::Assign {
        member: id,
        host,
        revision,
        ..
    } = case.step
    else {
        return Ok(());
    };
    let state = case.state;
    let Some(set) = state.sets.get(&id.set) else {
        return Ok(());
    };
    let Some(revision) = set.revisions.get(revision) else {
        return Ok(());
    };
    let spec = as_run(revision, id.ordinal).spec;
    if spec.topology_spread_constraints.is_empty() {
        return Ok(());
    }
    let local = |claim: &Claim| state.host_of(claim) == Some(host);
    if state.claims_of_member(id).any(|(_, claim)| local(claim)) {
        return Ok(());
    }
    let admits = |name: &HostName| {
        let labels = state.hosts.get(name).map(|host| &host.record.labels);
        let mut selector = spec.node_selector.iter();
        labels.is_some_and(|labels| selector.all(|(k, v)| labels.get(k) == Some(v)))
    };
    for constraint in &spec.topology_spread_constraints {
        if constraint.when_unsatisfiable != WhenUnsatisfiable::DoNotSchedule {
            continue;
        }
        let key = &constraint.topology_key;
        let Some(there) = domain(state, host, key) else {
            return Err(format!("{id} goes to {host}, which has no label {key}"));
        };
        let others = homes(state, id, set);
        let members = |wanted: &str| {
            let there = others
                .iter()
                .filter(|name| admits(name) && domain(state, name, key) == Some(wanted));
            there.count()
        };
        let hosts = state.hosts.keys().filter(|name| admits(name));
        let domains = hosts.filter_map(|name| domain(state, name, key));
        let least = domains.map(members).min().unwrap_or(0);
        let skew = (members(there) + 1).saturating_sub(least);
        if skew > usize::try_from(constraint.max_skew).unwrap_or(usize::MAX) {
            return Err(format!("{id} goes to {key}={there}, which is {skew} ahead"));
        }
    }
    Ok(())
}

/// Where the other members of a set are; of one that is nowhere now, where its data is.
fn homes<'a>(state: &'a State, id: &MemberId, set: &'a Set) -> Vec<&'a HostName> {
    let all = wanted(set).into_iter().chain(set.members.keys().copied());
    let others: BTreeSet<Ordinal> = all.filter(|ordinal| *ordinal != id.ordinal).collect();
    let mut data: BTreeMap<Ordinal, &HostName> = BTreeMap::new();
    for (_, claim) in state.claims_of(&id.set) {
        if let (Some(owner), Some(host)) = (&claim.member, state.host_of(claim)) {
            data.entry(owner.ordinal).or_insert(host);
        }
    }
    let home = |ordinal: Ordinal| {
        let member = set.members.get(&ordinal).map(|member| &member.host);
        member.or_else(|| data.get(&ordinal).copied())
    };
    others.into_iter().filter_map(home).collect()
}

pub(super) fn own_host(case: &Case<'_>) -> Verdict {
    let own = |id: &MemberId| {
        let set = case.state.sets.get(&id.set)?;
        Some((set, set.own_hosts.get(&id.ordinal)?))
    };
    if let Step::Assign {
        member: id, host, ..
    } = case.step
        && let Some((_, own)) = own(id).filter(|(_, own)| own.host != *host)
    {
        return Err(format!("{id} goes to {host}, and is that of {}", own.host));
    }
    if let Step::TakeHost { member: id, host } = case.step {
        return take_host(case.state, id, host);
    }
    if let Step::LeaveHost { member: id } = case.step
        && let Some((set, own)) = own(id)
        && let Some(host) = case.state.hosts.get(&own.host)
    {
        let mut selector = set.spec.template.spec.node_selector.iter();
        if selector.all(|(k, v)| host.record.labels.get(k) == Some(v)) {
            return Err(format!("{id} leaves a host that the set selects"));
        }
    }
    Ok(())
}

fn take_host(state: &State, id: &MemberId, host: &HostName) -> Verdict {
    let Some(set) = state.sets.get(&id.set) else {
        return Err(format!("{} does not exist", id.set));
    };
    if set.spec.placement != Placement::PerHost || set.deleting.is_some() {
        return Err(format!("{} has no member per host", id.set));
    }
    let labels = state.hosts.get(host).map(|host| &host.record.labels);
    let mut selector = set.spec.template.spec.node_selector.iter();
    if !labels.is_some_and(|labels| selector.all(|(k, v)| labels.get(k) == Some(v))) {
        return Err(format!("{id} takes {host}, which the set does not select"));
    }
    for (ordinal, own) in &set.own_hosts {
        if (*ordinal == id.ordinal) != (own.host == *host) {
            return Err(format!("{id} takes {host}, and {ordinal} has {}", own.host));
        }
    }
    let mut claims = state.claims_of_member(id);
    let away = claims.find_map(|(_, claim)| state.host_of(claim).filter(|at| *at != host));
    match away {
        Some(at) if !set.own_hosts.contains_key(&id.ordinal) => {
            Err(format!("{id} takes {host}, and its data is on {at}"))
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn host_fits(case: &Case<'_>) -> Verdict {
    let Step::Assign {
        member: id,
        host,
        revision,
        ..
    } = case.step
    else {
        return Ok(());
    };
    match unfit(case.state, id, host, revision) {
        Some(because) => Err(format!("{id} goes to {host}, which {because}")),
        None => Ok(()),
    }
}

pub(super) fn host_fences(case: &Case<'_>) -> Verdict {
    let Step::Assign {
        member: id, host, ..
    } = case.step
    else {
        return Ok(());
    };
    let set = case.state.sets.get(&id.set);
    let on = case.state.hosts.get(host);
    let reboots = on.is_some_and(|on| on.record.self_fences);
    let switched_off = case.state.fences.get(host).is_some_and(|f| f.power);
    let moves = set.is_some_and(|set| set.spec.failure_policy == FailurePolicy::Failover);
    if moves && !reboots && !switched_off {
        return Err(format!(
            "{id} goes to {host}, from which nothing could prove it gone"
        ));
    }
    Ok(())
}

fn unfit(
    state: &State,
    id: &MemberId,
    host: &HostName,
    revision: &TemplateHash,
) -> Option<&'static str> {
    let Some(on) = state.hosts.get(host) else {
        return Some("does not exist");
    };
    let set = state.sets.get(&id.set)?;
    let mut siblings = set.members.iter();
    let born = set.revisions.get(revision);
    let selector = born.map(|born| as_run(born, id.ordinal).spec.node_selector);
    let elsewhere = |template: &crate::spec::ClaimTemplate| {
        let key = id.claim(&template.metadata.name).ok();
        let claim = key.and_then(|key| state.claims.get(&key));
        let bound = claim.and_then(|claim| state.host_of(claim));
        bound.is_some_and(|bound| bound != host)
    };
    let holds = |claim: &Claim| state.host_of(claim) == Some(host);
    let mut templates = set.spec.volume_claim_templates.iter();
    if on.record.directives.dead.is_some() {
        Some("was confirmed dead")
    } else if !on.contact.connected {
        Some("is out of contact")
    } else if (on.record.unschedulable || on.record.directives.draining.is_some())
        && !state.claims_of_member(id).any(|(_, claim)| holds(claim))
        && !set.own_hosts.contains_key(&id.ordinal)
    {
        Some("is cordoned")
    } else if selector
        .iter()
        .flatten()
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

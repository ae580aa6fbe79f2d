//! Placement: which host an ordinal goes to. Bound claims pin it; else it goes back where it was;
//! else to the host that is loaded least. Every host that is ruled out is named with why.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    bug::{self, Bug},
    ids::{HostName, MemberId, Ordinal, SetKey},
    keeper::cgroup::Controller,
    plan::{
        addresses::Source,
        claims::{self, Demand, Own, Shared},
        draft::{Draft, ports},
        spread::Domains,
    },
    spec::{FailurePolicy, MemberTemplate, Protocol, Spread},
    state::{Host, Set, State},
    template::required_controllers,
    waiting::{HostRefusal, Reason, Refusal},
};

/// What an ordinal needs of a host.
#[derive(Debug)]
pub(super) struct Need<'a> {
    /// Its set's key.
    pub(super) key: &'a SetKey,
    /// Its set.
    pub(super) set: &'a Set,
    /// Its number.
    pub(super) ordinal: Ordinal,
    /// What it will run.
    pub(super) template: &'a MemberTemplate,
    /// Its claims, existing or still to be made.
    pub(super) own: &'a [Own],
    /// The claims that it shares with others.
    pub(super) shared: &'a [Shared<'a>],
    /// What they all need of the host's pools.
    pub(super) demands: &'a [Demand],
    /// Where its address comes from.
    pub(super) source: Source,
    /// Who of its set is where.
    pub(super) siblings: &'a Siblings,
}

/// The host for an ordinal.
///
/// # Errors
/// [`Reason::NoEligibleHost`] with every host and why not.
pub(super) fn choose(draft: &Draft, need: &Need<'_>) -> Result<HostName, Reason> {
    let domains = Domains::new(&draft.state, need);
    let index = draft.state.index();
    let required = required_controllers(&need.template.spec);
    let mut refused = Vec::new();
    let mut candidates: Vec<(Rank, &HostName)> = Vec::new();
    for (name, host) in &draft.state.hosts {
        let because = refusal(draft, need, &domains, name, host);
        if let Some(because) = because.or_else(|| lacks(host, &required)) {
            refused.push(HostRefusal {
                host: name.clone(),
                because,
            });
            continue;
        }
        let crowd = domains.crowd(name, host);
        let here = need.siblings.count(need.ordinal, name);
        candidates.push((rank(need, crowd, here, index.on_host.len(name), name), name));
    }
    candidates.sort();
    // Room takes the longest to find out, so it is asked of the best host first.
    for (_, name) in candidates {
        match claims::free(&draft.state, Some(&need.id()), name, need.demands) {
            None => return Ok(name.clone()),
            Some(because) => refused.push(HostRefusal {
                host: name.clone(),
                because,
            }),
        }
    }
    refused.sort();
    Err(Reason::NoEligibleHost { hosts: refused })
}

impl Need<'_> {
    fn id(&self) -> MemberId {
        MemberId {
            set: self.key.clone(),
            ordinal: self.ordinal,
        }
    }
}

/// Lower is better: where it was before; then fewest members of its set in its label domains; then
/// fewest on the host, those counted too that are gone and left a volume there; then fewest members
/// of any set.
type Rank = (Reverse<bool>, u64, usize, usize);

fn rank(need: &Need<'_>, crowd: u64, siblings: usize, load: usize, name: &HostName) -> Rank {
    let last = need.set.last_grants.get(&need.ordinal);
    let was_here = last.is_some_and(|grant| grant.host == *name);
    (Reverse(was_here), crowd, siblings, load)
}

/// The ordinals of a set by host: its members, those too that are gone and left a volume there, and those
/// that are to move there.
#[derive(Debug, Default)]
pub(super) struct Siblings(BTreeMap<HostName, BTreeSet<Ordinal>>);

impl Siblings {
    /// Those of a set as it is now.
    pub(super) fn of(state: &State, key: &SetKey, set: &Set) -> Self {
        let members = set.members.iter();
        let here = members.map(|(ordinal, member)| (&member.host, *ordinal));
        let claims = state.own_claims(key);
        let left = claims
            .iter()
            .filter_map(|(ordinal, _, claim)| Some((state.host_of(claim)?, ordinal)));
        let moves = set.moves.iter();
        let moves = moves.filter(|(_, asked)| asked.given_up.is_none());
        let coming = moves.filter_map(|(ordinal, asked)| Some((asked.to.as_ref()?, *ordinal)));
        let mut siblings = Self::default();
        for (host, ordinal) in here.chain(left).chain(coming) {
            siblings.add(ordinal, host);
        }
        siblings
    }

    /// One more.
    pub(super) fn add(&mut self, ordinal: Ordinal, host: &HostName) {
        match self.0.get_mut(host) {
            Some(here) => here.insert(ordinal),
            None => self.0.entry(host.clone()).or_default().insert(ordinal),
        };
    }

    /// How many are on a host, but for one.
    fn count(&self, but: Ordinal, host: &HostName) -> usize {
        let here = self.0.get(host);
        here.map_or(0, |here| here.len() - usize::from(here.contains(&but)))
    }

    /// All on a host but one.
    fn others(&self, but: Ordinal, host: &HostName) -> impl Iterator<Item = Ordinal> {
        let here = self.0.get(host).into_iter().flatten();
        here.copied().filter(move |ordinal| *ordinal != but)
    }
}

fn refusal(
    draft: &Draft,
    need: &Need<'_>,
    domains: &Domains<'_>,
    name: &HostName,
    host: &Host,
) -> Option<Refusal> {
    let state = &draft.state;
    let own_host = need.set.own_hosts.get(&need.ordinal);
    if let Some(own) = own_host.filter(|own| own.host != *name) {
        let host = own.host.clone();
        return Some(Refusal::NotItsHost { host });
    }
    let asked = need.set.moves.get(&need.ordinal);
    if let Some(asked) = asked.filter(|asked| asked.given_up.is_none())
        && (asked.from == *name || asked.to.as_ref().is_some_and(|to| to != name))
    {
        let host = asked.to.clone();
        return Some(Refusal::NotAsked { host });
    }
    // What a member shares with others does not come along when it moves.
    let comes_along = |own: &Own| {
        let volume = state.volume_of(&own.claim);
        volume.is_some_and(|volume| state.is_left_behind(&need.id(), volume))
    };
    let own = need.own.iter().filter(|own| !comes_along(own));
    let own = own.map(|own| (&own.key, &own.claim));
    let shared = need.shared.iter().map(|shared| (&shared.key, shared.claim));
    let mut bound = own.chain(shared).filter_map(|(key, claim)| {
        let at = claims::host(state, key, claim)?;
        (at != name).then(|| (key.clone(), at.clone()))
    });
    if let Some((claim, host)) = bound.next().filter(|_| !bug::on(Bug::VolumePinIgnored)) {
        return Some(Refusal::VolumeElsewhere { claim, host });
    }
    if host.record.directives.dead.is_some() {
        return Some(Refusal::ConfirmedDead);
    }
    if !host.contact.connected {
        return Some(Refusal::OutOfContact);
    }
    // A cordon keeps new members away. One whose data is there has nowhere else to go; nor does a
    // spread that was asked for later drive it away.
    let mut own = need.own.iter();
    let lives_here = own_host.is_some() || own.any(|own| state.host_of(&own.claim) == Some(name));
    if host.record.is_closed() && !lives_here {
        return Some(Refusal::Cordoned);
    }
    let fails_over = need.set.spec.failure_policy == FailurePolicy::Failover;
    if fails_over && !state.can_fence(name) {
        return Some(Refusal::NotFenced);
    }
    if !host.record.is_selected(&need.template.spec.node_selector) {
        return Some(Refusal::Labels);
    }
    if let Some(uneven) = domains.refusal(name, host).filter(|_| !lives_here) {
        return Some(uneven);
    }
    let lacking = lacking(need, host);
    if lacking.is_some() {
        return lacking;
    }
    let taken = taken(need, name, lives_here);
    if taken.is_some() {
        return taken;
    }
    let id = need.id();
    let mut shared = need.shared.iter();
    let elsewhere = shared.find_map(|shared| claims::elsewhere(state, &id, shared, name));
    if elsewhere.is_some() {
        return elsewhere;
    }
    port_clash(draft, need, need.source.on(host))
}

/// Under spread `Require`, who has a host. Who is nowhere can go nowhere but to its data, or to where it is
/// moved.
fn taken(need: &Need<'_>, name: &HostName, lives_here: bool) -> Option<Refusal> {
    let set = need.set;
    if set.spec.spread != Spread::Require {
        return None;
    }
    let is_its = |ordinal: &Ordinal| match set.members.get(ordinal) {
        Some(member) => member.host == *name,
        None => set.is_declared(*ordinal) && !lives_here,
    };
    let ordinal = need.siblings.others(need.ordinal, name).find(is_its)?;
    let set = need.key.clone();
    let by = MemberId { set, ordinal };
    Some(Refusal::SpreadTaken { by })
}

/// What a host cannot hold processes to, although they require it.
fn lacks(host: &Host, required: &BTreeSet<Controller>) -> Option<Refusal> {
    let lacking = required.difference(&host.record.controllers);
    let controllers: Vec<_> = lacking.copied().collect();
    (!controllers.is_empty()).then_some(Refusal::NoControllers { controllers })
}

/// What the set requires of a host and this one does not have, or has not said.
fn lacking(need: &Need<'_>, host: &Host) -> Option<Refusal> {
    let requires = &need.template.spec.requires;
    let unmet = host.contact.unmet(requires.each());
    if !unmet.is_empty() {
        return Some(Refusal::RequirementUnmet { unmet });
    }
    let required = host.contact.unknown(requires.each());
    (!required.is_empty()).then_some(Refusal::RequirementUnknown { required })
}

fn port_clash(draft: &Draft, need: &Need<'_>, address: IpAddr) -> Option<Refusal> {
    let index = draft.state.index();
    ports(need.template).find_map(|(port, protocol)| {
        let socket = (address, port, protocol);
        let mut all = index.sockets.of(&socket);
        // A member that moves takes its own address along.
        let by = all.find(|by| by.set != *need.key || by.ordinal != need.ordinal)?;
        let suffix = match protocol {
            Protocol::Tcp => "",
            Protocol::Udp => "/UDP",
        };
        let host = match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        Some(Refusal::PortClash {
            socket: format!("{host}:{port}{suffix}"),
            by: by.clone(),
        })
    })
}

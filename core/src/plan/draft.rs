//! The plan as it grows: every step takes effect on a copy of the state at once, so that later
//! stages decide on what will be, not on what was.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    condition::Condition,
    ids::{ClaimKey, HostName, MemberId, Ordinal, SetKey},
    plan::{Plan, Report, Step},
    spec::{MemberTemplate, Protocol},
    state::{Member, Set, State},
    time::Timestamp,
    waiting::Reason,
};

/// An address, a port and its transport: what two members may not both declare.
pub(super) type Socket = (IpAddr, u32, Protocol);

/// A plan in the making.
#[derive(Debug)]
pub(super) struct Draft {
    /// The state with every step so far in effect.
    pub(super) state: State,
    /// What time it is.
    pub(super) now: Timestamp,
    /// How many members each host has, and who has which socket.
    pub(super) index: Index,
    steps: Vec<Step>,
    report: Report,
}

/// What placement asks for often.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Members per host.
    pub(super) load: BTreeMap<HostName, u32>,
    /// Sockets that members declare.
    pub(super) sockets: BTreeMap<Socket, MemberId>,
    /// Addresses that ordinals own, that hosts have, and that members are named with.
    pub(super) addresses: BTreeSet<IpAddr>,
}

impl Draft {
    pub(super) fn new(state: &State, now: Timestamp) -> Self {
        Self {
            state: state.clone(),
            now,
            index: Index::default(),
            steps: Vec::new(),
            report: Report::default(),
        }
    }

    /// Adds a step, in effect from now on.
    pub(super) fn push(&mut self, step: Step) {
        self.state.apply(&step, self.now);
        self.steps.push(step);
    }

    /// Says why a member waits; the first reason given stands.
    pub(super) fn wait(&mut self, set: &SetKey, ordinal: Ordinal, reason: Reason) {
        let id = MemberId {
            set: set.clone(),
            ordinal,
        };
        self.report.waiting.entry(id).or_insert(reason);
    }

    /// Why a member waits, if that was said already.
    pub(super) fn reason(&self, id: &MemberId) -> Option<&Reason> {
        self.report.waiting.get(id)
    }

    /// Says why a claim has no volume, or not the one that it asks for.
    pub(super) fn pending(&mut self, claim: ClaimKey, reason: Reason) {
        self.report.claims.insert(claim, reason);
    }

    /// Warns of a set.
    pub(super) fn warn(&mut self, set: &SetKey, text: String) {
        let warnings = self.report.warnings.entry(set.clone()).or_default();
        warnings.push(text);
    }

    /// Says how a set stands.
    pub(super) fn stands(&mut self, set: &SetKey, conditions: Vec<Condition>) {
        self.report.conditions.insert(set.clone(), conditions);
    }

    /// Asks to plan again at a time, if it lies ahead.
    pub(super) fn wake(&mut self, at: Option<Timestamp>) {
        let ahead = at.filter(|at| *at > self.now);
        self.report.wake_at = [self.report.wake_at, ahead].into_iter().flatten().min();
    }

    /// A set, as it will be.
    pub(super) fn set(&self, key: &SetKey) -> Option<&Set> {
        self.state.sets.get(key)
    }

    /// Whether a set is gone and its members run on.
    pub(super) fn is_orphaned(&self, key: &SetKey) -> bool {
        self.set(key).is_some_and(|set| set.orphaned.is_some())
    }

    /// Why nothing may start or move now, if agents have what the store never sent.
    pub(super) fn mismatch(&self) -> Option<Reason> {
        let hosts: Vec<HostName> = self.state.mismatched.iter().cloned().collect();
        (!hosts.is_empty()).then_some(Reason::HistoryMismatch { hosts })
    }

    /// Fills the index; what frees something is decided by now.
    pub(super) fn index_hosts(&mut self) {
        let mut index = Index::default();
        for host in self.state.hosts.values() {
            index.addresses.insert(host.record.advertise_address);
        }
        for (key, set) in &self.state.sets {
            index.addresses.extend(set.addresses.values().copied());
            for (ordinal, member) in &set.members {
                let id = MemberId {
                    set: key.clone(),
                    ordinal: *ordinal,
                };
                index.add(
                    &id,
                    member,
                    set.template_of(&member.revision).map(AsRef::as_ref),
                );
            }
        }
        self.index = index;
    }

    /// The plan and its report.
    pub(super) fn finish(self) -> (Plan, Report) {
        (Plan { steps: self.steps }, self.report)
    }
}

impl Index {
    /// Counts a member in.
    pub(super) fn add(
        &mut self,
        id: &MemberId,
        member: &Member,
        template: Option<&MemberTemplate>,
    ) {
        *self.load.entry(member.host.clone()).or_default() += 1;
        self.addresses.insert(member.address);
        for (port, protocol) in template.into_iter().flat_map(ports) {
            let socket = (member.address, port, protocol);
            self.sockets.entry(socket).or_insert_with(|| id.clone());
        }
    }
}

/// The ports that a template declares.
pub(super) fn ports(template: &MemberTemplate) -> impl Iterator<Item = (u32, Protocol)> {
    let all = template.spec.lasting().flat_map(|p| &p.ports);
    all.map(|port| (port.container_port, port.protocol))
}

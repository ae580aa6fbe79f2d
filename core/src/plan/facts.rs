//! What is true of a member now, in the words that the stages decide with. Unknown is never taken
//! for absent, and counts as down.

use std::time::Duration;

use crate::{
    ids::{MemberId, Ordinal, SetKey},
    report::Phase,
    state::{Knowledge, Member, Observation, Ordered, Set, State},
    time::Timestamp,
};

/// How long a member must have been unready to count as broken.
pub(super) const BROKEN_AFTER: Duration = Duration::from_secs(10);

/// How a member stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Ready for as long as the set asks for.
    Available,
    /// Ready, and available at this time if it stays so.
    ReadyUntil(Timestamp),
    /// Running and not ready, as its agent reports it.
    Unready,
    /// Not running under an order to run, or nothing is known of it.
    Down,
}

/// One ordinal of a set and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// Its set.
    pub(super) set: &'a Set,
    /// Its assignment.
    pub(super) member: &'a Member,
    /// What its agent said of this epoch, if that is known.
    pub(super) seen: Option<&'a Observation>,
    /// Whether it is proven that its host has nothing of this epoch.
    pub(super) absent: bool,
    /// Whether its host is in contact.
    pub(super) in_contact: bool,
    /// Whether it is in contact and its last report answers the newest order recorded for it.
    pub(super) settled: bool,
}

/// The facts of an assigned ordinal.
pub(super) fn facts<'a>(state: &'a State, key: &SetKey, ordinal: Ordinal) -> Option<Facts<'a>> {
    facts_in(state, key, state.sets.get(key)?, ordinal)
}

/// The same of an ordinal of a set that is at hand.
pub(super) fn facts_in<'a>(
    state: &'a State,
    key: &SetKey,
    set: &'a Set,
    ordinal: Ordinal,
) -> Option<Facts<'a>> {
    let member = set.members.get(&ordinal)?;
    Some(of_member(state, (key, set), ordinal, member))
}

/// The facts of all assigned ordinals of a set, lowest first.
pub(super) fn all<'a>(
    state: &'a State,
    key: &'a SetKey,
) -> impl DoubleEndedIterator<Item = (Ordinal, Facts<'a>)> {
    let set = state.sets.get(key).into_iter();
    set.flat_map(move |set| {
        let members = set.members.iter();
        members.map(move |(n, member)| (*n, of_member(state, (key, set), *n, member)))
    })
}

/// The facts of all assigned ordinals of a set, gathered once for all that is asked of them.
#[derive(Debug)]
pub(super) struct Roster<'a> {
    /// The set.
    pub(super) set: &'a Set,
    facts: Vec<(Ordinal, Facts<'a>)>,
}

impl<'a> Roster<'a> {
    /// That of a set.
    pub(super) fn new(state: &'a State, key: &'a SetKey, set: &'a Set) -> Self {
        let members = set.members.iter();
        let facts = members.map(|(n, member)| (*n, of_member(state, (key, set), *n, member)));
        let facts = facts.collect();
        Self { set, facts }
    }

    /// The facts of an ordinal, if it is assigned.
    pub(super) fn of(&self, ordinal: Ordinal) -> Option<&Facts<'a>> {
        let at = self.facts.binary_search_by_key(&ordinal, |(n, _)| *n);
        at.ok().map(|at| &self.facts[at].1)
    }
}

fn of_member<'a>(
    state: &'a State,
    (key, set): (&SetKey, &'a Set),
    ordinal: Ordinal,
    member: &'a Member,
) -> Facts<'a> {
    let id = MemberId {
        set: key.clone(),
        ordinal,
    };
    let contact = state.hosts.get(&member.host).map(|host| &host.contact);
    let known = contact.map(|contact| contact.knowledge(&id, member.epoch));
    let (seen, absent) = match known {
        Some(Knowledge::Known(seen)) => (Some(seen), false),
        Some(Knowledge::Absent) => (None, true),
        Some(Knowledge::Unknown) | None => (None, false),
    };
    Facts {
        set,
        member,
        seen,
        absent,
        in_contact: contact.is_some_and(|contact| contact.connected),
        settled: contact.is_some_and(|contact| contact.connected && contact.settled),
    }
}

impl Facts<'_> {
    /// The report of a member that is ordered to run.
    fn running(&self) -> Option<&Observation> {
        self.seen.filter(|_| self.member.ordered == Ordered::Run)
    }

    /// Whether its processes run and its startup probes have passed in this run.
    pub(super) fn started(&self) -> bool {
        self.running().is_some_and(|seen| seen.report.started)
    }

    /// Whether it serves.
    pub(super) fn ready(&self) -> bool {
        self.ready_since().is_some()
    }

    /// As [`Self::started`], and of one that is being stopped until its agent says otherwise.
    pub(super) fn still_started(&self) -> bool {
        self.seen.is_some_and(|seen| seen.report.started)
    }

    /// As [`Self::ready`], and of one that is being stopped until its agent says otherwise.
    pub(super) fn still_ready(&self) -> bool {
        let since = |seen| self.set.ready_since(self.member, seen);
        self.seen.and_then(since).is_some()
    }

    /// Since when it serves.
    fn ready_since(&self) -> Option<Timestamp> {
        self.set.ready_since(self.member, self.running()?)
    }

    /// Whether its processes have the files of its revision.
    pub(super) fn has_files(&self) -> bool {
        let lacks = |seen: &Observation| self.set.lacks_files(self.member, &seen.report);
        !self.running().is_some_and(lacks)
    }

    /// Whether it is about to be down for a moment: config is on its way that starts a process anew.
    pub(super) fn falters(&self) -> bool {
        !self.has_files() && self.set.restarts_on_delivery(&self.member.revision)
    }

    /// How it stands at a time.
    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        if self.running().is_none() {
            return Standing::Down;
        }
        match self.available_at() {
            None => Standing::Unready,
            Some(at) if at <= now => Standing::Available,
            Some(at) => Standing::ReadyUntil(at),
        }
    }

    /// When it becomes available, if it is ready and stays so.
    pub(super) fn available_at(&self) -> Option<Timestamp> {
        let wanted = Duration::from_secs(self.set.spec.min_ready_seconds.into());
        self.ready_since().map(|since| since.plus(wanted))
    }

    /// Whether it is available.
    pub(super) fn available(&self, now: Timestamp) -> bool {
        self.standing(now) == Standing::Available
    }

    /// From when on it counts as broken: at once in a back-off, else after it has been unready for
    /// `patience`. `None` for one that is ready, that was not ordered to run, or that nothing is
    /// known of.
    pub(super) fn broken_at(&self, patience: Duration) -> Option<Timestamp> {
        self.running()?;
        self.unready_until(patience)
    }

    /// As [`Self::broken_at`], but also of one that was ordered to stop: until when it lasts that
    /// a member which does not serve gets `patience`.
    pub(super) fn unready_until(&self, patience: Duration) -> Option<Timestamp> {
        let seen = self.seen.filter(|_| !self.ready())?;
        // Of one that waits for a gate only, since its processes are ready.
        if let Some(since) = seen.ready_since.filter(|_| seen.report.ready) {
            return Some(since.plus(patience));
        }
        Some(match seen.report.phase {
            Phase::BackOff => Timestamp(0),
            Phase::Pending
            | Phase::Preparing
            | Phase::Starting
            | Phase::Running
            | Phase::Stopping
            | Phase::Stopped => seen.waiting_since.plus(patience),
        })
    }
}

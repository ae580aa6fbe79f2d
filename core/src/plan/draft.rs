//! The plan as it grows: every step takes effect on a copy of the state at once, so that later
//! stages decide on what will be, not on what was.

use crate::{
    condition::Condition,
    ids::{ClaimKey, HostName, MemberId, Ordinal, SetKey},
    plan::{Plan, Report, Step, Subject, scope},
    spec::{MemberTemplate, Protocol},
    state::{Set, State},
    time::Timestamp,
    waiting::Reason,
};

/// A plan in the making.
#[derive(Debug)]
pub(super) struct Draft {
    /// The state with every step so far in effect.
    pub(super) state: State,
    /// What time it is.
    pub(super) now: Timestamp,
    /// The set that is being planned.
    set: Option<SetKey>,
    steps: Vec<Step>,
    report: Report,
}

impl Draft {
    pub(super) fn new(state: &State, now: Timestamp) -> Self {
        Self {
            state: state.clone(),
            now,
            set: None,
            steps: Vec::new(),
            report: Report::default(),
        }
    }

    /// Adds a step, in effect from now on.
    pub(super) fn push(&mut self, step: Step) {
        self.state.apply(&step, self.now);
        self.steps.push(step);
    }

    /// Whether there is anything to do so far.
    pub(super) fn has_steps(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Says why a member waits; the first reason given stands.
    pub(super) fn wait(&mut self, set: &SetKey, ordinal: Ordinal, reason: Reason) {
        let id = MemberId {
            set: set.clone(),
            ordinal,
        };
        // Also what is not told, because another reason was given first, may be freed by others.
        if scope::rests_on_others(&self.state, &id, &reason) {
            self.rests_on_others(set);
        }
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

    /// Says what is wrong with a claim of a set's member.
    pub(super) fn pending_of(&mut self, set: &SetKey, claim: ClaimKey, reason: Reason) {
        let claims = self.report.set_claims.entry(set.clone()).or_default();
        claims.insert(claim.clone());
        self.pending(claim, reason);
    }

    /// Says that the checker refused what would be done about something that is no set's.
    pub(super) fn refused(&mut self, subject: Subject, rule: String) {
        self.report.refused.insert(subject, rule);
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
        let Some(at) = at.filter(|at| *at > self.now) else {
            return;
        };
        let earliest = |before: Option<Timestamp>| before.map_or(at, |before| before.min(at));
        self.report.wake_at = Some(earliest(self.report.wake_at));
        if let Some(set) = &self.set {
            let before = self.report.wakes.get(set).copied();
            self.report.wakes.insert(set.clone(), earliest(before));
        }
    }

    /// From now on a set is planned.
    pub(super) fn about(&mut self, set: &SetKey) {
        self.set = Some(set.clone());
    }

    /// From now on what is planned is no set's.
    pub(super) fn about_none(&mut self) {
        self.set = None;
    }

    /// Says that a set waits for something that is not its own.
    pub(super) fn rests_on_others(&mut self, set: &SetKey) {
        self.report.unsettled.insert(set.clone());
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

    /// The plan and its report.
    pub(super) fn finish(self) -> (Plan, Report) {
        (Plan { steps: self.steps }, self.report)
    }
}

/// The ports that a template declares.
pub(super) fn ports(template: &MemberTemplate) -> impl Iterator<Item = (u32, Protocol)> {
    let all = template.spec.lasting().flat_map(|p| &p.ports);
    all.map(|port| (port.container_port, port.protocol))
}

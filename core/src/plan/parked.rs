//! What gets no step because the checker refused one of it, each with the rule that did: so a mistake
//! about one thing holds that one thing, and everything else goes on.

use std::{collections::BTreeMap, fmt};

use crate::{
    ids::{ClaimKey, ObjectKey, SetKey},
    plan::{Step, draft::Draft},
    spec::Kind,
    state::State,
    waiting::Reason,
};

/// What steps are about, and so what can be held by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A set with its members and their claims; also one that is gone and left something.
    Set(SetKey),
    /// A claim that is no member's.
    Claim(ClaimKey),
    /// A volume in the trash.
    Volume(ObjectKey),
    /// A snapshot that an operator asked for.
    Snapshot(ObjectKey),
}

impl Subject {
    /// What a step is about, on the state right before it or right after it. `None` for what concerns
    /// everybody.
    pub fn of(step: &Step, state: &State) -> Option<Self> {
        let set = step.set(state).map(Self::Set);
        match step {
            Step::TakeSnapshot { snapshot, .. } => Some(Self::Snapshot(snapshot.of.clone())),
            Step::PinSnapshot { key, .. } => Some(Self::Snapshot(key.clone())),
            Step::PurgeVolume { name } => Some(Self::Volume(name.clone())),
            Step::CreateClaim { key, .. }
            | Step::AdoptClaim { key, .. }
            | Step::BindClaim { key, .. }
            | Step::GrowClaim { key, .. }
            | Step::TieClaim { key, .. }
            | Step::DropClaim { key, .. }
            | Step::FillClaim { key, .. } => set.or_else(|| Some(Self::Claim(key.clone()))),
            Step::TakeAddress { .. }
            | Step::TakeHost { .. }
            | Step::LeaveHost { .. }
            | Step::Assign { .. }
            | Step::Found { .. }
            | Step::Carry { .. }
            | Step::Start { .. }
            | Step::PassGate { .. }
            | Step::Stop { .. }
            | Step::Release { .. }
            | Step::RemoveSet { .. }
            | Step::Refound { .. }
            | Step::DropRevision { .. }
            | Step::Reload { .. }
            | Step::Rollout { .. }
            | Step::ForgetFounding { .. }
            | Step::BeginMove { .. }
            | Step::CompleteMove { .. }
            | Step::EndMove { .. }
            | Step::PublishZone { .. } => set,
        }
    }

    /// The kind of object that it is, and which.
    pub fn object(&self) -> (Kind, &ObjectKey) {
        match self {
            Self::Set(key) => (Kind::StatefulSet, key),
            Self::Claim(key) => (Kind::PersistentVolumeClaim, key),
            Self::Volume(key) => (Kind::PersistentVolume, key),
            Self::Snapshot(key) => (Kind::VolumeSnapshot, key),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, key) = self.object();
        write!(f, "{kind} {key}")
    }
}

/// What gets no step, each with the rule.
pub type Parked = BTreeMap<Subject, String>;

/// Whether a set is parked, or what is left of one.
pub(super) fn holds_set(parked: &Parked, set: &SetKey) -> bool {
    parked.contains_key(&Subject::Set(set.clone()))
}

/// Says of everything that is parked which rule parked it: of each member of a set, and of each object
/// that is no set's.
pub(super) fn explain(draft: &mut Draft, parked: &Parked, sets: &[SetKey]) {
    for (subject, rule) in parked {
        let rule = rule.clone();
        match subject {
            Subject::Set(key) if sets.contains(key) => members(draft, key, &rule),
            // One that is planned another time, or is gone.
            Subject::Set(_) => {}
            Subject::Claim(key) => draft.pending(key.clone(), Reason::PlanRefused { rule }),
            Subject::Volume(_) | Subject::Snapshot(_) => draft.refused(subject.clone(), rule),
        }
    }
}

fn members(draft: &mut Draft, key: &SetKey, rule: &str) {
    let Some(set) = draft.state.sets.get(key) else {
        return;
    };
    let members: Vec<_> = set.declared().chain(set.members.keys().copied()).collect();
    for ordinal in members {
        let rule = rule.to_owned();
        draft.wait(key, ordinal, Reason::PlanRefused { rule });
    }
}

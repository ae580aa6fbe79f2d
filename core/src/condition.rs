//! The conditions of a set, in the form of Kubernetes: what holds of it as a whole, and why.
//!
//! `Progressing` and `Paused` are those of a Deployment, which a StatefulSet lacks. `Available` asks
//! for every member.

use std::fmt;

use crate::time::Timestamp;

/// One condition of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What it is about.
    pub kind: ConditionKind,
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: ConditionReason,
    /// Why, in a sentence.
    pub message: String,
    /// Since when it is so, if that is on record; else since it was first seen.
    pub since: Option<Timestamp>,
}

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionKind {
    /// Every member is available.
    Available,
    /// The rollout gets on, or there is none to get on with.
    Progressing,
    /// No member is updated for now.
    Paused,
}

/// Why a condition holds or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionReason {
    /// All members are available.
    MembersAvailable,
    /// Not all members are available.
    MembersUnavailable,
    /// All members have the newest revision.
    RolloutComplete,
    /// Members are being updated.
    RolloutGoing,
    /// All that the partition does not hold back have the newest revision.
    PartitionReached,
    /// `OnDelete`: some members have the newest revision only after a restart.
    UpdatedOnRestart,
    /// The spec pauses updates.
    UpdatesPaused,
    /// The rollout did not get better until its deadline.
    ProgressDeadlineExceeded,
    /// The newest revision was taken back.
    RolledBack,
    /// Nothing holds updates back.
    NotPaused,
}

impl fmt::Display for ConditionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl fmt::Display for ConditionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

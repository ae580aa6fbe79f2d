//! Where a set is between two revisions: what it came from, what it goes to, and whether it gets on.
//!
//! A rollout is what brings members from one revision to another. Its clock runs only while it has
//! something to do and may do it: nothing is late that an operator holds back. A rollout that does
//! not get better until the deadline is stalled, durably, until the operator says what next; or it
//! is taken back, and the members go to the revision that they came from.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Namespace, Ordinal, TemplateHash},
    spec::{MemberTemplate, Placement, UpdateKind},
    state::{Member, Set},
    template::missing_config,
    time::Timestamp,
    waiting::Reason,
};

/// The rollout of a set. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rollout {
    /// The revision that all members had last: `currentRevision`. Empty before the first plan.
    pub current: TemplateHash,
    /// The revision of the spec that the rest is about: `updateRevision`, as far as a plan knows.
    pub update: TemplateHash,
    /// How it gets on.
    pub phase: RolloutPhase,
    /// Since when.
    pub since: Timestamp,
    /// How far it was when it was farthest.
    pub progress: Progress,
}

/// How a rollout gets on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum RolloutPhase {
    /// It has nothing to do, or an operator holds it back: its clock stands.
    #[default]
    Resting,
    /// Members are being updated.
    Going,
    /// It did not get better for too long; no member is updated any more.
    Stalled,
    /// It did not get better for too long; members go back to where they came from.
    TakenBack,
}

/// How far a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// How many members are to have the revision.
    pub of: u32,
    /// What is missing: 2 for a member of another revision, 1 for one that is not available yet.
    pub lacking: u32,
    /// When it was first so far.
    pub at: Timestamp,
}

/// What becomes of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "turn",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Turn {
    /// The spec has another revision.
    Begins {
        /// That one.
        revision: TemplateHash,
        /// The one that members come from.
        from: TemplateHash,
        /// How far it is by then.
        progress: Progress,
    },
    /// It has something to do again.
    Goes {
        /// How far it is by then.
        progress: Progress,
    },
    /// It gets better.
    Betters {
        /// How far it is now.
        progress: Progress,
    },
    /// It has nothing to do for now, or is held back.
    Rests,
    /// It did not get better until the deadline.
    Stalls,
    /// It stalled, and the set wants it taken back.
    IsTakenBack,
    /// All members have the revision and are ready: they come from there now.
    Completes {
        /// That revision.
        revision: TemplateHash,
    },
}

impl Rollout {
    /// Makes a turn take effect.
    pub fn take(&mut self, turn: &Turn, now: Timestamp) {
        match turn {
            Turn::Begins {
                revision,
                from,
                progress,
            } => {
                self.current.clone_from(from);
                self.update.clone_from(revision);
                self.progress = *progress;
                self.enter(RolloutPhase::Going, now);
            }
            Turn::Goes { progress } => {
                self.progress = *progress;
                self.enter(RolloutPhase::Going, now);
            }
            Turn::Betters { progress } => self.progress = *progress,
            Turn::Rests => self.enter(RolloutPhase::Resting, now),
            Turn::Stalls => self.enter(RolloutPhase::Stalled, now),
            Turn::IsTakenBack => self.enter(RolloutPhase::TakenBack, now),
            Turn::Completes { revision } => self.current.clone_from(revision),
        }
    }

    fn enter(&mut self, phase: RolloutPhase, now: Timestamp) {
        self.phase = phase;
        self.since = now;
    }

    /// Lets a stalled rollout go on, as an operator asks for: its clock begins anew. Whether it was
    /// stalled.
    pub fn resume(&mut self, now: Timestamp) -> bool {
        let stalled = self.phase == RolloutPhase::Stalled;
        if stalled {
            self.progress.at = now;
            self.enter(RolloutPhase::Going, now);
        }
        stalled
    }
}

impl Set {
    /// The revision that all members had last: those that a rollout leaves alone are born with it.
    pub fn current_revision(&self) -> &TemplateHash {
        if self.rollout.current.0.is_empty() {
            &self.revision
        } else {
            &self.rollout.current
        }
    }

    /// How its rollout gets on. What was found of an earlier revision says nothing of this one.
    pub fn rollout_phase(&self) -> RolloutPhase {
        if self.rollout.update == self.revision {
            self.rollout.phase
        } else {
            RolloutPhase::Resting
        }
    }

    /// The revision that members are brought to: the spec's, unless that was taken back.
    pub fn target_revision(&self) -> &TemplateHash {
        if self.rollout_phase() == RolloutPhase::TakenBack {
            self.current_revision()
        } else {
            &self.revision
        }
    }

    /// Why nobody can be brought to that revision: something that it needs was not there.
    pub fn missing_for_target(&self, namespace: &Namespace) -> Option<Reason> {
        let target = self.revisions.get(self.target_revision())?;
        target.missing(namespace)
    }

    /// Whether no member is updated for now: the spec says so, or the rollout is stalled.
    pub fn holds_updates(&self) -> bool {
        self.spec.is_paused() || self.rollout_phase() == RolloutPhase::Stalled
    }

    /// The revision that a member gets that is assigned anew.
    pub fn birth_revision(&self, ordinal: Ordinal) -> &TemplateHash {
        let (current, target) = (self.current_revision(), self.target_revision());
        // What lacks something could never start; the other may.
        if self.lacks_config(current) != self.lacks_config(target) {
            return if self.lacks_config(current) {
                target
            } else {
                current
            };
        }
        if self.holds_updates() || ordinal < self.first_updated() {
            current
        } else {
            target
        }
    }

    /// Whether a revision needs an object or a key that was not there when it was made.
    fn lacks_config(&self, revision: &TemplateHash) -> bool {
        let revision = self.revisions.get(revision);
        revision.is_some_and(|r| missing_config(&r.template.spec, &r.config).is_some())
    }

    /// The template of that revision.
    pub fn birth_template(&self, ordinal: Ordinal) -> Cow<'_, MemberTemplate> {
        let born = self.revisions.get(self.birth_revision(ordinal));
        born.map_or_else(
            || self.spec.template_for(ordinal),
            |born| born.template_for(ordinal),
        )
    }

    /// The lowest ordinal that an update concerns. A partition counts members, not numbers: with
    /// ordinals from 5 on, partition 2 keeps 5 and 6 as they are.
    pub fn first_updated(&self) -> Ordinal {
        let kept = self.spec.partition();
        let first = match self.spec.placement {
            Placement::Replicas => {
                let mut kept_and_next = self.spec.ordinals.first(kept.saturating_add(1));
                kept_and_next.next_back()
            }
            Placement::PerHost => self.selected().nth(kept as usize),
        };
        first.unwrap_or(Ordinal(u32::MAX))
    }

    /// Whether a rollout brings a member to the target by itself, sooner or later.
    pub fn updates(&self, ordinal: Ordinal) -> bool {
        self.spec.update_kind() != UpdateKind::OnDelete && ordinal >= self.first_updated()
    }

    /// Whether the rollout of the spec's revision has nothing left to do: every member that it
    /// concerns has that revision.
    pub fn is_rolled_out(&self) -> bool {
        let mut wanted = self.declared();
        self.rollout_phase() != RolloutPhase::TakenBack
            && wanted.all(|ordinal| {
                let member = self.members.get(&ordinal);
                !self.updates(ordinal)
                    || member.is_some_and(|member| member.revision == self.revision)
            })
    }

    /// Whether a member is to be stopped and assigned anew, although it is wanted: a rollout brings
    /// it to another revision, or an operator asked for it.
    pub fn is_to_be_replaced(&self, ordinal: Ordinal, member: &Member) -> bool {
        member.restart_asked.is_some() || self.is_outdated(ordinal, member)
    }

    /// Whether a rollout brings a member to another revision.
    pub fn is_outdated(&self, ordinal: Ordinal, member: &Member) -> bool {
        let other = member.revision != *self.target_revision();
        other && self.updates(ordinal) && !self.holds_updates()
    }
}

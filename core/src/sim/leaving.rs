//! What leaves the simulated cluster for good or for a while: sets without their members, and data that
//! an operator gives up.

use std::time::Duration;

use crate::{
    ids::{HostName, MemberId, SetKey},
    sim::{World, storage::UNKNOWN_MOVE},
    state::{leaving, moving},
    waiting::Reason,
};

/// How long data stays in the trash.
pub(super) const TRASH: Duration = Duration::from_secs(30);

impl World {
    /// Deletes a set and leaves its members alone.
    pub fn orphan_set(&mut self, key: &SetKey) {
        let now = self.now;
        let up = self.coordinator.up;
        let set = self.coordinator.state.sets.get_mut(key);
        if let Some(set) = set.filter(|set| up && set.deleting.is_none()) {
            set.orphaned.get_or_insert(now);
        }
        self.reconcile();
    }

    /// Has a member go to another host: to this one, or to whichever fits best.
    pub fn move_member(&mut self, id: &MemberId, to: Option<&HostName>) {
        let state = &self.coordinator.state;
        let after = moving::ask(state, id, to, self.now);
        if let Ok(after) = after
            && self.coordinator.up
        {
            self.say("operator", &format!("moves {id}"));
            self.coordinator.state = after;
            self.reconcile();
        }
    }

    /// Gives a move up.
    pub fn stay(&mut self, id: &MemberId) {
        let state = &self.coordinator.state;
        let after = moving::give_up(state, id, "an operator gave it up");
        if let Ok(after) = after
            && self.coordinator.up
        {
            self.say("operator", &format!("gives up the move of {id}"));
            self.coordinator.state = after;
            self.reconcile();
        }
    }

    /// Gives up what only an operator may: the data of founders that must not found any more, and of
    /// members whose data went elsewhere in a move that a restored store does not know of. Whether
    /// there were any.
    pub(super) fn replace_lost_data(&mut self) -> bool {
        let restored = !self.coordinator.state.past.former.is_empty();
        let given_up = |reason: &Reason| {
            let founder = matches!(reason, Reason::FoundingDiskLost { .. });
            let moved =
                matches!(reason, Reason::VolumeForeign { owner, .. } if owner == UNKNOWN_MOVE);
            founder || restored && moved
        };
        let waiting = self.coordinator.report.waiting.iter();
        let lost = waiting.filter(|(_, reason)| given_up(reason));
        let lost: Vec<MemberId> = lost.map(|(id, _)| id.clone()).collect();
        for id in &lost {
            self.say("operator", &format!("lets {id} join"));
            self.give_up(&id.set, Some(id));
        }
        !lost.is_empty()
    }

    /// Whether somebody waits for a template that works, or for a set that is to be applied.
    pub(super) fn is_unprovided(&self) -> bool {
        let mut waiting = self.coordinator.report.waiting.values();
        waiting.any(|reason| {
            matches!(
                reason,
                Reason::RolloutStalled { .. } | Reason::DependencyMissing { .. }
            )
        })
    }

    /// Gives up the data of a member, or of a whole set.
    pub fn give_up(&mut self, set: &SetKey, member: Option<&MemberId>) {
        if !self.coordinator.up {
            return;
        }
        let state = &self.coordinator.state;
        let after = match member {
            Some(member) => leaving::replace(state, member, self.now),
            None => leaving::refound(state, set, self.now),
        };
        if let Ok(after) = after {
            self.coordinator.state = after;
            self.reconcile();
        }
    }
}

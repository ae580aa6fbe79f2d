//! What leaves the simulated cluster for good or for a while: sets without their members, and data that
//! an operator gives up.

use std::time::Duration;

use crate::{
    ids::{MemberId, SetKey},
    sim::World,
    state::leaving,
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

//! What leaves the simulated cluster for good or for a while: sets without their members, data that an
//! operator gives up, and what agents do about volumes that go to the trash.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    ids::{MemberId, ObjectKey, SetKey},
    sim::{World, net::Happening},
    state::{State, leaving},
    volume::work::{After, VolumeTask, VolumeWork, done, work},
};

/// How long data stays in the trash.
pub(super) const TRASH: Duration = Duration::from_secs(30);
/// How long a work on a volume takes.
const WORK: u64 = 20;

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

    /// Whether a set is gone and its members run on.
    pub(super) fn is_orphaned(&self, key: &SetKey) -> bool {
        let set = self.coordinator.state.sets.get(key);
        set.is_some_and(|set| set.orphaned.is_some())
    }

    /// Asks agents for the work on volumes that follows from the state.
    pub(super) fn push_work(&mut self) {
        for work in open(&self.coordinator.state) {
            let takes = self.delay(WORK, 1, 3000);
            self.schedule(takes, Happening::VolumeWork(work.volume));
        }
    }

    /// An agent has done what is asked for, if it still is; it may have been done before.
    pub(super) fn volume_worked(&mut self, name: &ObjectKey) {
        let open = open(&self.coordinator.state);
        let Some(work) = open.into_iter().find(|work| work.volume == *name) else {
            return;
        };
        let host = work.source.host().map(|host| self.hosts.get(host));
        let reached = host.is_none_or(|host| host.is_some_and(|host| host.up));
        if !self.coordinator.up || !reached || self.fails(10) {
            let again = self.delay(500, 100, 3000);
            self.schedule(again, Happening::VolumeWork(name.clone()));
            return;
        }
        let volumes = &mut self.coordinator.state.volumes;
        let Some(volume) = volumes.get(name).cloned() else {
            return;
        };
        match work.task {
            VolumeTask::Trash => self.truth.freed([&volume].into_iter()),
            VolumeTask::Grow { .. } | VolumeTask::Restore | VolumeTask::Purge => {}
        }
        match done(&volume, work.task, self.now) {
            Some(After::Is(after)) => drop(volumes.insert(name.clone(), *after)),
            Some(After::Gone) => drop(volumes.remove(name)),
            None => {}
        }
        let what = format!("has done: {}: {}", name.name, work.task.describe());
        self.say("agent", &what);
        self.reconcile();
    }
}

fn open(state: &State) -> Vec<VolumeWork> {
    let all = work(state, &BTreeMap::new());
    all.into_values().flatten().collect()
}

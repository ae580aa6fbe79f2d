//! What an operator does to volumes: the same decisions as the coordinator's, in the simulated world.

use crate::{
    ids::{ClaimKey, MemberId, ObjectKey},
    sim::World,
    state::{State, VolumeState},
    volume::{
        access::sharers,
        change::{self, Change, Refusal},
    },
};

/// A word about a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// `berth volume adopt`
    Adopt,
    /// `berth volume release`
    Release,
    /// `berth volume delete`
    Delete,
    /// `berth volume undelete`
    Undelete,
}

impl World {
    /// The volumes that something was decided of.
    pub fn volumes(&self) -> Vec<ObjectKey> {
        self.coordinator.state.volumes.keys().cloned().collect()
    }

    /// Those of them that no claim has.
    pub fn loose_volumes(&self) -> Vec<ObjectKey> {
        let state = &self.coordinator.state;
        let volumes = state.volumes.iter();
        volumes
            .filter(|(_, volume)| change::holder(state, volume).is_none())
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether a volume is in the trash, or on its way there.
    pub(in crate::sim) fn goes(&self, name: &ObjectKey) -> bool {
        let volume = self.coordinator.state.volumes.get(name);
        volume.is_some_and(|volume| match volume.state {
            VolumeState::Trashing | VolumeState::Trashed { .. } => true,
            VolumeState::Live | VolumeState::Restoring | VolumeState::Purging => false,
        })
    }

    /// Says a word about a volume; whether it was taken.
    pub fn tell_volume(&mut self, word: Word, name: &ObjectKey) -> bool {
        if !self.coordinator.up {
            return false;
        }
        let state = &self.coordinator.state;
        let former = self.coordinator.former.get(name);
        let decided = match word {
            Word::Adopt => change::adopt(state, name),
            Word::Release => change::release(state, name),
            Word::Delete => change::delete(state, name, name.name.as_str()),
            Word::Undelete => change::undelete(state, name, former),
        };
        let taken = self.take(name, decided);
        if taken {
            self.say("operator", &format!("{word:?}s {}", name.name));
            self.truth
                .told(word, &self.coordinator.state, &self.storage, name);
            self.reconcile();
        }
        taken
    }

    fn take(&mut self, name: &ObjectKey, decided: Result<Option<Change>, Refusal>) -> bool {
        let Ok(Some(change)) = decided else {
            return false;
        };
        let before = self.coordinator.state.clone();
        let coordinator = &mut self.coordinator;
        change.apply(name, &mut coordinator.state, &mut coordinator.former);
        self.truth.changed(&before, &self.coordinator.state);
        true
    }

    /// Deletes the claims that no member uses and no set is being founded on.
    pub fn drop_claims(&mut self) {
        if !self.coordinator.up {
            return;
        }
        let state = &self.coordinator.state;
        let unused = state.claims.keys().filter(|key| !is_used(state, key));
        let unused: Vec<ClaimKey> = unused.cloned().collect();
        for key in unused {
            self.say("operator", &format!("deletes claim {key}"));
            let unclaimed = change::unclaim(&self.coordinator.state, &key);
            self.coordinator.state.claims.remove(&key);
            if let Some((name, change)) = unclaimed.change {
                self.take(&name, Ok(Some(change)));
            }
        }
        self.reconcile();
    }

    /// Gives free what belongs to no claim any more: whoever asks next gets what operators made, with
    /// what lies there, and what classes made goes to the trash.
    pub fn tidy_volumes(&mut self) {
        for name in self.volumes() {
            if !self.tell_volume(Word::Delete, &name) {
                self.tell_volume(Word::Release, &name);
            }
            let waits = |world: &Self| {
                let volume = world.coordinator.state.volumes.get(&name);
                volume.is_some_and(|volume| {
                    let owner = world.storage.owner(&volume.source);
                    let bound = volume.claim.as_ref().map(|bound| &bound.uid);
                    volume.state == VolumeState::Live && owner.is_some() && owner != bound
                })
            };
            if waits(self) {
                self.tell_volume(Word::Adopt, &name);
            }
        }
    }
}

fn is_used(state: &State, key: &ClaimKey) -> bool {
    let assigned = |id: &MemberId| {
        let set = state.sets.get(&id.set);
        set.is_some_and(|set| set.members.contains_key(&id.ordinal))
    };
    let owner = state
        .claims
        .get(key)
        .and_then(|claim| claim.member.as_ref());
    let mut foundings = state.foundings.values();
    owner.is_some_and(assigned)
        || foundings.any(|f| !f.open.is_empty() && f.filled.contains_key(key))
        || sharers(state, key).next().is_some()
}

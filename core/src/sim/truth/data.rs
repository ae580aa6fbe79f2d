//! I4 against the world itself: what operators said of volumes, whose data lies where, and who uses it.

use crate::{
    ids::{HostName, MemberId, ObjectKey, Uid},
    order::VolumeOrder,
    sim::{
        operator::Word,
        storage::{Storage, place},
    },
    state::{State, Volume, VolumeState},
    volume::VolumeSource,
};

use super::Truth;

impl Truth {
    /// A member is made ready for the volume that its claim was first bound to, on its host, and for no
    /// other claim's data; unless an operator gave that free, which the start guard then judges.
    pub(in crate::sim) fn uses(&mut self, host: &HostName, volume: &VolumeOrder) {
        let VolumeOrder {
            claim,
            claim_uid,
            source,
            ..
        } = volume;
        let first = self.bound.get(&(claim.clone(), claim_uid.clone()));
        if first != Some(source) {
            self.breaks(
                "I4",
                format!("claim {claim} is used at {source:?}, not {first:?}"),
            );
        }
        if source.host().is_some_and(|at| at != host) {
            self.breaks(
                "I4",
                format!("claim {claim} is used on {host}, not where it is"),
            );
        }
        // Nothing lies there before the first start: a claim that goes earlier leaves the place as it was.
        let Some(owner) = self.places.get(&place(source)).cloned() else {
            return;
        };
        let told = self.free.contains(&place(source)) || self.given.contains(&place(source));
        if owner != *claim_uid && !told {
            let at = source.describe();
            self.breaks(
                "I4",
                format!("{at} holds data of {owner}, and {claim} uses it"),
            );
        }
    }

    /// A member is started on a volume: what lies there is its claim's, or was given to it.
    pub(in crate::sim) fn starts_on(&mut self, volume: &VolumeOrder) {
        let at = place(&volume.source);
        let claim = volume.claim_uid.clone();
        let owner = self.places.insert(at.clone(), claim.clone());
        let given = self.given.remove(&at);
        self.free.remove(&at);
        if let Some(owner) = owner.filter(|owner| *owner != claim && !given) {
            let at = volume.source.describe();
            let claim = &volume.claim;
            self.breaks(
                "I4",
                format!("{at} holds data of {owner}, and {claim} is started on it"),
            );
        }
    }

    /// What an operator said of a volume, and was taken.
    pub(in crate::sim) fn told(
        &mut self,
        word: Word,
        state: &State,
        storage: &Storage,
        name: &ObjectKey,
    ) {
        let Some(volume) = state.volumes.get(name) else {
            return;
        };
        let at = place(&volume.source);
        match word {
            Word::Adopt => drop(self.given.insert(at)),
            Word::Release => {
                self.given.remove(&at);
                if storage.owner(&volume.source).is_some() {
                    self.free.insert(at);
                } else {
                    self.places.remove(&at);
                }
            }
            Word::Delete | Word::Undelete => {}
        }
    }

    /// What an operator's word changed: nothing about a volume whose claim is there, and what an
    /// operator made never goes to the trash.
    pub(in crate::sim) fn changed(&mut self, before: &State, after: &State) {
        for (name, old) in &before.volumes {
            let Some(new) = after.volumes.get(name) else {
                continue;
            };
            let goes = new.state == VolumeState::Trashing;
            if goes && !new.provisioned {
                let detail = format!("{name} was made by an operator and goes to the trash");
                self.breaks("I4", detail);
            }
            let stays = old.claim.as_ref().filter(|bound| {
                let there = |state: &State| {
                    let claim = state.claims.get(&bound.key);
                    claim.is_some_and(|claim| claim.uid == bound.uid)
                };
                there(before) && there(after)
            });
            if stays.is_some() && (new.claim != old.claim || new.state != old.state) {
                let detail = format!("{name} was taken from its claim, which is there");
                self.breaks("I4", detail);
            }
        }
    }

    /// Data went to the trash, of a volume as it is decided now.
    pub(in crate::sim) fn thrown_away(&mut self, name: &ObjectKey, volume: Option<&Volume>) {
        if volume.is_some_and(|volume| volume.state == VolumeState::Live) {
            let detail = format!("the data of {name} went to the trash after it came back");
            self.breaks("I4", detail);
        }
    }

    /// The claims of a member that moves have their new volumes: all that was written is there, and
    /// nobody runs on what is left behind.
    pub(in crate::sim) fn moved(&mut self, state: &State, storage: &Storage, id: &MemberId) {
        let set = state.sets.get(&id.set);
        let asked = set.and_then(|set| set.moves.get(&id.ordinal));
        let copying = asked.and_then(|asked| asked.copying.as_ref());
        for (key, to) in copying.into_iter().flat_map(|copying| &copying.volumes) {
            let claim = state.claims.get(key);
            let from = claim.and_then(|claim| state.volume_of(claim));
            let (Some(claim), Some(from), Some(to)) = (claim, from, state.volumes.get(to)) else {
                self.breaks("I4", format!("claim {key} of {id} has no volume to move"));
                continue;
            };
            if !storage.same(&from.source, &to.source) {
                let detail = format!("claim {key} of {id} moves, and not all of its data is there");
                self.breaks("I4", detail);
            }
            let at = (key.clone(), claim.uid.clone());
            self.bound.insert(at, to.source.clone());
        }
    }

    /// What lies in a place from now on.
    pub(in crate::sim) fn lies(&mut self, source: &VolumeSource, owner: Option<Uid>) {
        match owner {
            Some(owner) => drop(self.places.insert(place(source), owner)),
            None => drop(self.places.remove(&place(source))),
        }
    }
}

//! What the steps of a move do: new volumes beside the old ones, then one change of place.

use crate::{
    ids::{ClaimKey, Epoch, HostName, MemberId, ObjectKey},
    plan::{
        Step,
        step::{NewPlace, Proof},
    },
    state::{Copying, FormerGrant, Grant, MovedIn, MovedOut, State, Volume, VolumeState},
    time::Timestamp,
    volume::{VolumeSource, change::thrown, provision::moved_name},
};

impl State {
    /// Makes a step of a move take effect.
    pub(super) fn apply_move(&mut self, step: &Step) {
        if let Step::BeginMove {
            member,
            epoch,
            volumes,
        } = step
        {
            self.begin_move(member, *epoch, volumes);
        }
        if let Step::CompleteMove { member, epoch } = step {
            self.complete_move(member, *epoch);
        }
        if let Step::EndMove { member } = step {
            self.end_move(member);
        }
    }

    fn begin_move(&mut self, id: &MemberId, epoch: Epoch, volumes: &[NewPlace]) {
        let Some(set) = self.sets.get_mut(&id.set) else {
            return;
        };
        let Some(asked) = set.moves.get_mut(&id.ordinal) else {
            return;
        };
        let places = volumes.iter();
        let places = places.map(|new| (new.claim.clone(), new.name.clone()));
        asked.copying = Some(Copying {
            epoch,
            volumes: places.collect(),
        });
        if let Some(grant) = set.last_grants.get_mut(&id.ordinal) {
            *grant = used_up(grant, epoch);
        }
        for new in volumes {
            let from = self.claims.get(&new.claim);
            let from = from.and_then(|claim| claim.volume.clone());
            if let Some(from) = from.and_then(|from| self.volumes.get_mut(&from)) {
                let to = new.name.clone();
                from.moved_out = Some(MovedOut { to, epoch });
            }
            self.volumes.insert(new.name.clone(), new.volume.clone());
        }
    }

    /// All claims change place together. The old volumes are no claim's any more: they are trash, and
    /// keep in their owner record whose data it was.
    fn complete_move(&mut self, id: &MemberId, epoch: Epoch) {
        let Some(copying) = self.take_copying(id, Some(epoch)) else {
            return;
        };
        for (key, to) in copying.volumes {
            let Some(claim) = self.claims.get_mut(&key) else {
                continue;
            };
            let from = claim.volume.replace(to);
            if let Some(from) = from {
                self.discard(&from);
            }
        }
    }

    /// The data of a claim was taken to another place by a move that nobody here knew of, and a member
    /// was granted there since, under this epoch: so the move's own is below it.
    pub(crate) fn was_moved(
        &mut self,
        key: &ClaimKey,
        source: VolumeSource,
        epoch: Epoch,
        now: Timestamp,
    ) {
        let Some(claim) = self.claims.get(key) else {
            return;
        };
        let Some((name, from)) = claim.volume.clone().zip(self.volume_of(claim)) else {
            return;
        };
        // One that the move had begun to fill when the backup was made.
        let begun = from.moved_out.as_ref().map(|moved_out| &moved_out.to);
        let begun = begun.filter(|to| self.volumes.get(to).is_some_and(|v| v.source == source));
        let Some(to) = begun.cloned().or_else(|| moved_name(claim, epoch)) else {
            return;
        };
        let moved_in = MovedIn {
            from: name.clone(),
            epoch,
            complete: true,
            started: false,
        };
        let volume = Volume {
            source,
            moved_in: Some(moved_in),
            moved_out: None,
            deletions: 0,
            created_at: now,
            ..from.clone()
        };
        if let Some(from) = self.volumes.get_mut(&name) {
            let to = to.clone();
            from.moved_out = Some(MovedOut { to, epoch });
        }
        self.volumes.insert(to.clone(), volume);
        if let Some(claim) = self.claims.get_mut(key) {
            claim.volume = Some(to);
        }
        self.discard(&name);
    }

    /// The member goes back to its data, where it was all the time.
    fn end_move(&mut self, id: &MemberId) {
        let copying = self.take_copying(id, None);
        let begun = copying.into_iter().flat_map(|copying| copying.volumes);
        for (_, to) in begun {
            self.discard(&to);
        }
        if let Some(set) = self.sets.get_mut(&id.set) {
            set.moves.remove(&id.ordinal);
        }
    }

    fn take_copying(&mut self, id: &MemberId, epoch: Option<Epoch>) -> Option<Copying> {
        let asked = self.sets.get_mut(&id.set)?.moves.get_mut(&id.ordinal)?;
        let own = |copying: &Copying| epoch.is_none_or(|epoch| copying.epoch == epoch);
        asked.copying.as_ref().filter(|copying| own(copying))?;
        asked.copying.take()
    }

    /// A volume that no claim has any more, on its way to the trash.
    fn discard(&mut self, name: &ObjectKey) {
        if let Some(volume) = self.volumes.get_mut(name)
            && volume.state == VolumeState::Live
        {
            volume.claim = None;
            *volume = thrown(volume);
        }
    }

    /// A member that was assigned elsewhere has moved.
    pub(super) fn has_moved(&mut self, id: &MemberId, host: &HostName) {
        let set = self.sets.get_mut(&id.set);
        if let Some(set) = set
            && let Some(asked) = set.moves.get(&id.ordinal)
            && asked.from != *host
        {
            set.moves.remove(&id.ordinal);
        }
    }
}

/// The grant of a move: nothing ever runs under it, so nothing has to prove it gone.
fn used_up(before: &Grant, epoch: Epoch) -> Grant {
    let after = before.gone.clone().map(|proof| FormerGrant {
        epoch: before.epoch,
        host: before.host.clone(),
        proof,
    });
    Grant {
        epoch,
        gone: Some(Proof::NeverOrdered),
        after: after.or_else(|| before.after.clone()),
        ..before.clone()
    }
}

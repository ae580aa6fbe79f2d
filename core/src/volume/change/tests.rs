//! What may become of a volume whose claim goes and comes back, and what stands against it.

use super::*;
use crate::{
    fixture::{
        bind_claim, hand_made, host_name, key, member, put_set, spec, static_volume, volume_key,
    },
    ids::Uid,
    map::Map,
    time::Timestamp,
    volume::phase::{self, VolumePhase},
};

/// What the coordinator and the simulator keep.
struct Kept {
    state: State,
    former: Map<ObjectKey, Claim>,
    name: ObjectKey,
}

/// The claim `data` with a volume that a class made.
fn made(reclaim: ReclaimPolicy) -> Kept {
    let mut state = State::default();
    hand_made(&mut state, "data", 5);
    let step = bind_claim(&state, &key("data"), &host_name(1));
    state.apply(&step, Timestamp(1));
    let name = state.claims[&key("data")].volume.clone().unwrap();
    state.volumes.get_mut(&name).unwrap().reclaim = reclaim;
    state.claims.get_mut(&key("data")).unwrap().filled = true;
    Kept {
        state,
        former: Map::new(),
        name,
    }
}

impl Kept {
    fn by_hand(mut self) -> Self {
        let object = static_volume(&mut self.state, "made", 5).clone();
        self.state.persistent_volumes.clear();
        let objects = &mut self.state.persistent_volumes;
        objects.insert(self.name.clone(), object);
        self.record().provisioned = false;
        self
    }

    fn record(&mut self) -> &mut Volume {
        self.state.volumes.get_mut(&self.name).unwrap()
    }

    fn take(&mut self, change: Result<Option<Change>, Refusal>) {
        let change = change.unwrap().unwrap();
        change.apply(&self.name, &mut self.state, &mut self.former);
    }

    fn delete_claim(&mut self) -> String {
        let unclaimed = unclaim(&self.state, &key("data"));
        if let Some((name, change)) = unclaimed.change {
            change.apply(&name, &mut self.state, &mut self.former);
        }
        self.state.claims.remove(&key("data"));
        unclaimed.text
    }

    fn adopt(&self) -> Result<Option<Change>, Refusal> {
        adopt(&self.state, &self.name)
    }

    fn release(&self) -> Result<Option<Change>, Refusal> {
        release(&self.state, &self.name)
    }

    fn delete(&self) -> Result<Option<Change>, Refusal> {
        delete(&self.state, &self.name, self.name.name.as_str())
    }

    fn undelete(&self) -> Result<Option<Change>, Refusal> {
        undelete(&self.state, &self.name, self.former.get(&self.name))
    }

    fn phase(&self) -> Option<VolumePhase> {
        phase::of_volume(&self.state, &self.name)
    }
}

fn rule(outcome: Result<Option<Change>, Refusal>) -> &'static str {
    outcome.unwrap_err().rule()
}

#[test]
fn a_volume_of_a_class_that_deletes_goes_to_the_trash_with_its_claim_and_comes_back_with_it() {
    let mut kept = made(ReclaimPolicy::Delete);
    let claim = kept.state.claims[&key("data")].clone();
    let text = kept.delete_claim();
    assert!(text.contains("goes to the trash"), "{text}");
    assert_eq!(kept.record().state, VolumeState::Trashing);
    assert_eq!(kept.record().deletions, 1);
    kept.take(kept.undelete());
    assert_eq!(kept.record().state, VolumeState::Restoring);
    assert_eq!(kept.state.claims[&key("data")], claim);
    assert!(kept.former.is_empty());
    assert_eq!(kept.undelete(), Ok(None), "it is under way");
    kept.delete_claim();
    assert_eq!(kept.record().deletions, 2, "another time");
}

#[test]
fn what_is_kept_and_what_an_operator_made_never_goes_to_the_trash() {
    let kept = made(ReclaimPolicy::Retain);
    let by_hand = made(ReclaimPolicy::Delete).by_hand();
    for mut kept in [kept, by_hand] {
        let text = kept.delete_claim();
        assert!(text.contains("keeps the data"), "{text}");
        assert_eq!(kept.record().state, VolumeState::Live);
        assert_eq!(kept.record().deletions, 0);
        assert_eq!(kept.phase(), Some(VolumePhase::Released));
        kept.take(kept.undelete());
        assert_eq!(kept.phase(), Some(VolumePhase::Bound));
    }
}

#[test]
fn a_bound_volume_is_neither_released_nor_deleted_nor_forgotten() {
    let kept = made(ReclaimPolicy::Delete);
    assert_eq!(rule(kept.release()), "BOUND");
    assert_eq!(rule(kept.delete()), "BOUND");
    assert_eq!(rule(kept.undelete()), "NOT_DELETED");
    assert_eq!(rule(forget(&kept.state, &kept.name)), "PROVISIONED");
    let mut kept = kept.by_hand();
    assert_eq!(rule(forget(&kept.state, &kept.name)), "BOUND");
    assert_eq!(rule(kept.delete()), "NOT_OURS");
    kept.delete_claim();
    kept.take(forget(&kept.state, &kept.name));
    assert!(kept.state.volumes.is_empty());
    assert!(kept.former.is_empty());
}

#[test]
fn what_stands_against_a_deletion_is_said_before_the_name_is_asked_for() {
    let mut kept = made(ReclaimPolicy::Retain);
    let unnamed = |kept: &Kept| delete(&kept.state, &kept.name, "");
    assert_eq!(rule(unnamed(&kept)), "BOUND");
    kept.delete_claim();
    assert_eq!(rule(unnamed(&kept)), "CONFIRMATION");
    kept.take(kept.delete());
    assert_eq!(kept.record().state, VolumeState::Trashing);
    assert_eq!(kept.delete(), Ok(None));
}

#[test]
fn a_released_volume_forgets_its_claim_and_what_was_said_for_it() {
    let mut kept = made(ReclaimPolicy::Retain);
    assert_eq!(rule(kept.adopt()), "FILLED");
    kept.state.claims.get_mut(&key("data")).unwrap().filled = false;
    kept.take(kept.adopt());
    assert!(kept.record().adopt);
    assert_eq!(kept.adopt(), Ok(None));
    kept.delete_claim();
    assert_eq!(rule(kept.adopt()), "RELEASED");
    kept.take(kept.release());
    assert_eq!(kept.record().claim, None);
    assert!(
        !kept.record().adopt,
        "the word was for the one that is gone"
    );
    assert_eq!(rule(kept.undelete()), "NOT_DELETED");
    assert_eq!(kept.phase(), Some(VolumePhase::Available));
    kept.take(kept.delete());
    assert_eq!(rule(kept.adopt()), "TRASH");
    assert_eq!(kept.release(), Ok(None));
    kept.take(kept.undelete());
    assert_eq!(kept.record().state, VolumeState::Restoring);
}

#[test]
fn another_claim_of_the_name_keeps_the_old_one_away_and_is_not_taken_for_it() {
    let mut kept = made(ReclaimPolicy::Delete);
    kept.delete_claim();
    hand_made(&mut kept.state, "data", 5).uid = Uid("other".to_owned());
    assert_eq!(rule(kept.undelete()), "NAME_TAKEN");
    let unclaimed = unclaim(&kept.state, &key("data"));
    assert_eq!(unclaimed.change, None, "{}", unclaimed.text);
}

#[test]
fn a_volume_that_no_claim_ever_had_is_adopted_where_its_operator_wrote_it() {
    let mut kept = made(ReclaimPolicy::Delete);
    let before = static_volume(&mut kept.state, "pv", 5).metadata.generation;
    kept.name = volume_key("pv");
    kept.take(kept.adopt());
    let object = &kept.state.persistent_volumes[&kept.name];
    assert_eq!(object.spec.adopt, Some(Adopt::Existing));
    assert_eq!(object.metadata.generation, before + 1);
    assert_eq!(kept.adopt(), Ok(None));
    kept.name = volume_key("none");
    assert_eq!(rule(kept.adopt()), "UNKNOWN");
}

#[test]
fn nothing_comes_back_to_a_set_that_is_being_founded_anew() {
    let mut kept = made(ReclaimPolicy::Delete);
    let id = member("db", 0);
    kept.state.claims.get_mut(&key("data")).unwrap().member = Some(id.clone());
    put_set(&mut kept.state, "db", spec(1, true));
    kept.delete_claim();
    let set = kept.state.sets.get_mut(&id.set).unwrap();
    (set.deleting, set.refounding) = (Some(Timestamp(1)), true);
    assert_eq!(rule(kept.undelete()), "FOUNDED_ANEW");
    let set = kept.state.sets.get_mut(&id.set).unwrap();
    (set.deleting, set.refounding) = (None, false);
    kept.take(kept.undelete());
}

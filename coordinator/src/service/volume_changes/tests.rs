//! What is written of volumes whose claims go and come back, and what stands against it.

use berth_core::{
    ids::Uid,
    spec::ReclaimPolicy,
    state::{Claim, Volume, VolumeState},
    store::CommitError,
    volume::{
        PoolInfo,
        phase::{self, VolumePhase},
    },
};

use super::*;
use crate::fixture::{NOW, World, claim, key, name, volume};

fn world() -> World {
    World::new(PoolInfo::default())
}

/// Deletes the claim as the service does.
fn delete_claim(world: &mut World) -> String {
    let mut batch = Batch::default();
    let text = unclaim(&world.view, &key("data"), NOW, &mut batch).unwrap();
    let record = Key::new(RecordKind::Claim, key("data"));
    batch.deletes.insert(record);
    world.commit(batch).unwrap();
    text
}

fn decided(
    world: &World,
    decide: impl Fn(&View) -> Result<Option<Change>, Refusal>,
) -> Result<Batch, ServiceError> {
    batch(&world.view, &name(), decide(&world.view), NOW)
}

fn adopt(world: &World) -> Result<Batch, ServiceError> {
    decided(world, |view| change::adopt(&view.state, &name()))
}

fn release(world: &World) -> Result<Batch, ServiceError> {
    decided(world, |view| change::release(&view.state, &name()))
}

fn delete(world: &World) -> Result<Batch, ServiceError> {
    decided(world, |view| change::delete(&view.state, &name(), "vol"))
}

fn undelete(world: &World) -> Result<Batch, ServiceError> {
    decided(world, |view| {
        let former = view.former_claims.get(&name());
        change::undelete(&view.state, &name(), former)
    })
}

fn rule(outcome: Result<Batch, ServiceError>) -> &'static str {
    let error = outcome.unwrap_err();
    let ServiceError::Refused { rule, .. } = error else {
        panic!("{error:?}");
    };
    rule
}

#[test]
fn a_volume_of_a_class_that_deletes_goes_to_the_trash_with_its_claim_and_comes_back_with_it() {
    let mut world = world();
    let text = delete_claim(&mut world);
    assert!(text.contains("goes to the trash"), "{text}");
    assert_eq!(world.record().state, VolumeState::Trashing);
    assert_eq!(world.view.former_claims[&name()], claim());
    let batch = undelete(&world).unwrap();
    world.commit(batch).unwrap();
    assert_eq!(world.record().state, VolumeState::Restoring);
    assert_eq!(world.view.state.claims[&key("data")], claim());
    assert!(world.view.former_claims.is_empty());
    let again = undelete(&world).unwrap();
    assert!(again.is_empty(), "it is under way");
}

#[test]
fn what_is_kept_and_what_an_operator_made_never_goes_to_the_trash() {
    let mut kept = world();
    kept.volume(&Volume {
        reclaim: ReclaimPolicy::Retain,
        ..volume()
    });
    let mut by_hand = world();
    by_hand.by_hand();
    for world in [&mut kept, &mut by_hand] {
        let text = delete_claim(world);
        assert!(text.contains("keeps the data"), "{text}");
        assert_eq!(world.record().state, VolumeState::Live);
        assert_eq!(
            phase::of_volume(&world.view.state, &name()),
            Some(VolumePhase::Released)
        );
        let batch = undelete(world).unwrap();
        world.commit(batch).unwrap();
        assert_eq!(
            phase::of_volume(&world.view.state, &name()),
            Some(VolumePhase::Bound)
        );
    }
}

#[test]
fn a_bound_volume_is_neither_released_nor_deleted_nor_forgotten() {
    let mut world = world();
    assert_eq!(rule(release(&world)), "BOUND");
    assert_eq!(rule(delete(&world)), "BOUND");
    assert_eq!(rule(undelete(&world)), "NOT_DELETED");
    let mut batch = Batch::default();
    let forgotten = |world: &World, batch: &mut Batch| {
        forget(&world.view, &name(), batch).map(|()| Batch::default())
    };
    assert_eq!(rule(forgotten(&world, &mut batch)), "PROVISIONED");
    world.by_hand();
    assert_eq!(rule(forgotten(&world, &mut batch)), "BOUND");
    assert_eq!(rule(delete(&world)), "NOT_OURS");
    delete_claim(&mut world);
    forgotten(&world, &mut batch).unwrap();
    world.commit(batch).unwrap();
    assert!(world.view.state.volumes.is_empty());
    assert!(world.view.former_claims.is_empty());
}

#[test]
fn a_claim_that_comes_in_between_makes_it_judged_anew() {
    let mut world = world();
    world.volume(&Volume {
        reclaim: ReclaimPolicy::Retain,
        ..volume()
    });
    delete_claim(&mut world);
    let prepared = release(&world).unwrap();
    let back = undelete(&world).unwrap();
    world.commit(back).unwrap();
    let refused = world.commit(prepared).unwrap_err();
    assert!(matches!(refused, CommitError::Conflict { .. }), "{refused}");
}

#[test]
fn a_released_volume_forgets_its_claim_and_what_was_said_for_it() {
    let mut world = world();
    assert_eq!(rule(adopt(&world)), "FILLED");
    world.claim(&Claim {
        filled: false,
        ..claim()
    });
    let adopted = adopt(&world).unwrap();
    world.commit(adopted).unwrap();
    assert!(world.record().adopt);
    assert!(adopt(&world).unwrap().is_empty());
    world.volume(&Volume {
        reclaim: ReclaimPolicy::Retain,
        ..world.record().clone()
    });
    delete_claim(&mut world);
    assert_eq!(rule(adopt(&world)), "RELEASED");
    let released = release(&world).unwrap();
    world.commit(released).unwrap();
    assert_eq!(world.record().claim, None);
    assert!(
        !world.record().adopt,
        "the word was for the claim that is gone"
    );
    assert_eq!(rule(undelete(&world)), "NOT_DELETED");
    let deleted = delete(&world).unwrap();
    world.commit(deleted).unwrap();
    assert_eq!(rule(adopt(&world)), "TRASH");
    assert!(release(&world).unwrap().is_empty());
    let back = undelete(&world).unwrap();
    world.commit(back).unwrap();
    assert_eq!(world.record().state, VolumeState::Restoring);
}

#[test]
fn another_claim_of_the_name_keeps_the_old_one_away_and_is_not_taken_for_it() {
    let mut world = world();
    delete_claim(&mut world);
    world.claim(&Claim {
        uid: Uid("other".to_owned()),
        volume: None,
        ..claim()
    });
    assert_eq!(rule(undelete(&world)), "NAME_TAKEN");
    let mut batch = Batch::default();
    let text = unclaim(&world.view, &key("data"), NOW, &mut batch).unwrap();
    assert!(text.contains("had no volume"), "{text}");
    assert!(batch.is_empty());
}

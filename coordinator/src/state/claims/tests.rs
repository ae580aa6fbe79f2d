//! Claims that are applied, and applied again.

use berth_core::{ids::MemberId, volume::PoolInfo};

use super::*;
use crate::fixture::{NOW, World, claim, key, storage, volume};

fn stored(world: &World) -> &PersistentVolumeClaim {
    let id = (Kind::PersistentVolumeClaim, key("data"));
    let object = &world.view.objects[&id];
    let Object::PersistentVolumeClaim(claim) = object else {
        panic!("{object:?}");
    };
    claim
}

fn apply(world: &mut World, object: &PersistentVolumeClaim) {
    let mut batch = Batch::default();
    write(&world.view, &key("data"), object, NOW, &mut batch).unwrap();
    world.commit(batch).unwrap();
}

#[test]
fn what_a_manifest_leaves_out_is_as_it_is() {
    let mut world = World::new(PoolInfo::default());
    let member: MemberId = "default/web-0".parse().unwrap();
    let mut spec = storage("1Gi");
    spec.storage_class_name = Some("local".to_owned());
    world.claim(&Claim {
        member: Some(member),
        spec,
        ..claim()
    });
    let mut manifest = shown(&key("data"), &world.view.state.claims[&key("data")]);
    assert_eq!(manifest.metadata.labels["berth/member"], "web-0");
    manifest.spec = storage("1Gi");
    let annotations = &mut manifest.metadata.annotations;
    annotations.insert("note".to_owned(), "x".to_owned());
    complete(&world.view, &key("data"), &mut manifest);
    assert_eq!(manifest, *stored(&world));
}

#[test]
fn a_larger_claim_makes_a_volume_larger_that_nothing_limits_and_keeps_its_binding() {
    for (limits, expected) in [(false, 2_u64 << 30), (true, 1 << 30)] {
        let mut world = World::new(PoolInfo {
            limits,
            ..PoolInfo::default()
        });
        let mut manifest = stored(&world).clone();
        assert_eq!(manifest.spec.volume_name, "vol");
        manifest.spec.resources = storage("2Gi").resources;
        apply(&mut world, &manifest);
        let after = &world.view.state.claims[&key("data")];
        assert_eq!(after.spec.storage(), 2 << 30);
        assert_eq!(after.spec.volume_name, "", "what it asked for is its own");
        assert_eq!((&after.volume, after.filled), (&claim().volume, true));
        assert_eq!(world.record().capacity, expected, "{limits}");
        assert_eq!(world.record().claim, volume().claim);
    }
}

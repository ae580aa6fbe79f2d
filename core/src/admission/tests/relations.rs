//! Objects that are held against each other, and what goes with a deletion.

use super::*;

#[test]
fn objects_are_held_against_each_other() {
    let world = World::with(POOL);
    let other = POOL
        .replace("dev", "two")
        .replace("127.77.0.0/16", "127.77.1.0/24");
    assert_eq!(
        world.try_apply(&other, Options::default()).unwrap_err(),
        [
            "f:4:14: AddressPool/two: spec.cidr: 127.77.1.0/24 and 127.77.0.0/16 of pool 'dev' \
             overlap; give another",
            "f:4:38: AddressPool/two: spec.default: pool 'dev' is the default already; give false",
        ]
    );
    let smaller = POOL.replace("/16", "/24");
    assert_eq!(
        world.try_apply(&smaller, Options::default()).unwrap_err(),
        [
            "f:4:14: AddressPool/dev: spec.cidr: a pool can only grow, members may have its \
          addresses; give a range around 127.77.0.0/16"
        ]
    );
    let world = World::with(&ETCD.replace("name: etcd}", "name: a-etcd}"));
    let clash = ETCD.replace("{name: data}", "{name: data-a}");
    assert_eq!(
        world.try_apply(&clash, Options::default()).unwrap_err(),
        [
            "f:11:23: StatefulSet/etcd: spec.volumeClaimTemplates[0].metadata.name: set \
          'default/a-etcd' has claims 'data-a-etcd-0', ... too; give another name"
        ]
    );
}

#[test]
fn references_to_what_is_not_there_are_warned_of() {
    let (set, _) = WEB.split_once("---").unwrap();
    let set = set.replace("  replicas", "  addressPool: no\n  replicas");
    let admission = World::default()
        .try_apply(&set, Options::default())
        .unwrap();
    assert_eq!(
        admission.warnings,
        [
            "default/web uses AddressPool 'no', which does not exist yet: its members wait for it",
            "default/web uses ConfigMap 'conf', which does not exist yet: its members wait for it",
        ]
    );
}

#[test]
fn an_object_that_is_being_deleted_takes_no_change() {
    let mut world = World::with(ETCD);
    let key = (Kind::StatefulSet, "default/etcd".parse().unwrap());
    let meta = world.objects.get_mut(&key).unwrap().meta_mut();
    meta.deletion_timestamp = Some(crate::time::Timestamp(1));
    let refused = world.apply(ETCD).unwrap_err();
    assert_eq!(
        refused,
        [
            "f:3:18: StatefulSet/etcd: metadata.name: the object is being deleted; apply it again \
          when it is gone"
        ]
    );
}

#[test]
fn deletion_asks_for_the_name_of_what_holds_members_or_data() {
    let mut world = World::with(ETCD);
    world.apply(WEB).unwrap();
    world.apply(POOL).unwrap();
    let try_it = |kind: Kind, name: &str, typed: &str| {
        let key = format!("default/{name}").parse().unwrap();
        delete(world.existing(), kind, &key, typed)
            .map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(
        try_it(Kind::StatefulSet, "etcd", "").unwrap_err(),
        ["StatefulSet/etcd: typedName: deleting a StatefulSet needs its name typed; give 'etcd'"]
    );
    try_it(Kind::StatefulSet, "etcd", "etcd").unwrap();
    assert_eq!(
        try_it(Kind::PersistentVolumeClaim, "data-etcd-2", "data-etcd-2").unwrap_err(),
        [
            "PersistentVolumeClaim/data-etcd-2: metadata.name: member default/etcd-2 uses the claim; \
          scale or delete its set first"
        ]
    );
    assert_eq!(
        try_it(Kind::PersistentVolumeClaim, "data-etcd-3", "data-etcd-3")
            .unwrap()
            .disruptions,
        [
            "claim default/data-etcd-3 is removed; its volume keeps the data until 'berth volume \
          delete', or moves it to the trash if its reclaim policy is Delete"
        ]
    );
    assert_eq!(
        try_it(Kind::ConfigMap, "conf", "").unwrap().warnings.len(),
        1
    );
    assert_eq!(try_it(Kind::AddressPool, "dev", "").unwrap_err().len(), 2);
}

#[test]
fn sets_that_wait_for_each_other_are_refused_with_the_way_round() {
    let needs = |name: &str, on: &str| {
        WEB.replace("name: web", &format!("name: {name}")).replace(
            "  replicas: 2",
            &format!("  replicas: 2\n  dependsOn: [{{set: {on}}}]"),
        )
    };
    let mut world = World::with(&needs("a", "b"));
    world.apply(&needs("b", "other/c")).unwrap();
    let itself = world.try_apply(&needs("d", "d"), Options::default());
    let itself = itself.unwrap_err().join("; ");
    assert!(itself.contains("default/d -> default/d"), "{itself}");
    let round = world.try_apply(&needs("b", "a"), Options::default());
    let round = round.unwrap_err().join("; ");
    assert!(
        round.contains(
            "spec.dependsOn: the sets wait for each other: default/b -> default/a -> default/b"
        ),
        "{round}"
    );
}

#[test]
fn what_a_set_needs_may_come_later_and_must_be_a_set() {
    let world = World::with(WEB);
    let needs = |on: &str| {
        WEB.replace(
            "  replicas: 2",
            &format!("  replicas: 2\n  dependsOn: [{on}]"),
        )
    };
    let admission = world
        .try_apply(&needs("{set: db}"), Options::default())
        .unwrap();
    let warnings = admission.warnings.join("; ");
    assert!(
        warnings.contains("depends on set default/db, which does not exist yet"),
        "{warnings}"
    );
    for (on, expected) in [
        ("{set: ''}", "is no set; give NAME"),
        ("{set: A/b/c}", "is no set; give NAME"),
        ("{set: db, gate: done}", "gate"),
        ("{set: db}, {set: default/db}", "is there twice"),
        ("{name: db}", "name"),
    ] {
        let refused = world.try_apply(&needs(on), Options::default());
        let refused = refused.unwrap_err().join("; ");
        assert!(refused.contains(expected), "{on}: {refused}");
    }
}

#[test]
fn a_set_applied_around_orphans_may_change_what_else_may_not() {
    let mut world = World::with(ETCD);
    let id = (Kind::StatefulSet, "default/etcd".parse().unwrap());
    let parallel = ETCD.replace(
        "  replicas: 3",
        "  replicas: 3\n  podManagementPolicy: Parallel",
    );
    assert!(world.try_apply(&parallel, Options::default()).is_err());
    let notes = &mut world.objects.get_mut(&id).unwrap().meta_mut().annotations;
    notes.insert(ORPHANED.to_owned(), "2026-11-21T22:24:54Z".to_owned());
    let claims = ETCD.replace("{name: data}", "{name: dat}");
    assert!(world.try_apply(&claims, Options::default()).is_err());
    let admission = world.apply(&parallel).unwrap();
    assert_eq!(admission.changes[0].outcome, Outcome::Configured);
    assert!(
        admission
            .warnings
            .join("; ")
            .contains("takes back the members")
    );
    let after = world.objects[&id].meta();
    assert!(!after.annotations.contains_key(ORPHANED));
}

#[test]
fn the_retention_of_claims_may_change_and_is_told_with_the_deletion() {
    let mut world = World::with(ETCD);
    let policy = "  replicas: 3\n  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}";
    world.apply(&ETCD.replace("  replicas: 3", policy)).unwrap();
    let wrong = policy.replace("whenDeleted: Delete", "whenDeleted: Keep");
    let refused = world.try_apply(&ETCD.replace("  replicas: 3", &wrong), Options::default());
    assert!(refused.is_err());
}

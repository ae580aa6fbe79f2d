//! What may change of classes, volumes and claims, and what they are held against.

use super::{
    tests::{World, told},
    *,
};
use crate::time::Timestamp;

const CLASSES: &str = "\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: local
parameters: {pool: ssd}
allowVolumeExpansion: true
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fixed}
provisioner: nfs
parameters: {server: nas, share: /exports}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: manual}
provisioner: kubernetes.io/no-provisioner
";
const VOLUME: &str = "\
apiVersion: v1
kind: PersistentVolume
metadata: {name: v0}
spec:
  capacity: {storage: 2Gi}
  accessModes: [ReadWriteOnce, ReadOnlyMany]
  nfs: {server: nas, path: /exports/v0}
  claimRef: {name: c}
";
const CLAIM: &str = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: c}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: fast
  resources: {requests: {storage: 1Gi}}
";
const SET: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 2
  template:
    spec:
      processes:
      - {name: nginx, command: [/bin/nginx], user: www-data}
  volumeClaimTemplates:
  - metadata: {name: www}
    spec:
      storageClassName: fast
      resources: {requests: {storage: 1Gi}}
";

fn key(name: &str) -> ObjectKey {
    format!("default/{name}").parse().unwrap()
}

/// A world with some objects, and claim `c` bound to volume `v0`.
fn bound(texts: &[&str]) -> World {
    let mut world = World::default();
    for text in texts {
        world.apply(text).unwrap();
    }
    world.bound.insert(key("v0"), key("c"));
    world
}

fn refused(world: &World, text: &str) -> Vec<String> {
    world.try_apply(text, Options::default()).unwrap_err()
}

fn accepted(world: &World, text: &str) -> Admission {
    world.try_apply(text, Options::default()).unwrap()
}

#[test]
fn claims_are_made_by_hand_and_grow_where_their_class_lets_them() {
    let mut world = World::default();
    world.apply(CLASSES).unwrap();
    let made = world.apply(CLAIM).unwrap();
    assert_eq!(made.changes[0].outcome, Outcome::Created);
    let grown = accepted(&world, &CLAIM.replace("1Gi", "2Gi"));
    assert_eq!(grown.changes[0].outcome, Outcome::Configured);
    assert_eq!(
        refused(&world, &CLAIM.replace("1Gi", "512Mi")),
        [
            "f:7:35: PersistentVolumeClaim/c: spec.resources.requests.storage: a volume never \
             becomes smaller; give 1Gi or more"
        ]
    );
    for (class, why) in [
        (
            "fixed",
            "class 'fixed' does not let volumes grow; set allowVolumeExpansion: true there, or \
             leave the size",
        ),
        (
            "manual",
            "a volume that was made by hand does not grow; make a larger one, and a claim to it",
        ),
        (
            "''",
            "a volume that was made by hand does not grow; make a larger one, and a claim to it",
        ),
        (
            "none",
            "class 'none' does not exist, and nothing else lets volumes grow; apply it with \
             allowVolumeExpansion: true, or leave the size",
        ),
    ] {
        let mut world = World::default();
        world.apply(CLASSES).unwrap();
        let claim = CLAIM.replace("fast", class);
        world.apply(&claim).unwrap();
        assert_eq!(
            refused(&world, &claim.replace("1Gi", "2Gi")),
            [format!(
                "f:7:35: PersistentVolumeClaim/c: spec.resources.requests.storage: {why}"
            )]
        );
    }
}

#[test]
fn the_built_in_class_grows_until_an_object_takes_its_name() {
    let mut world = World::default();
    let claim = CLAIM.replace("fast", "local");
    world.apply(&claim).unwrap();
    let unnamed = CLAIM.replace("  storageClassName: fast\n", "");
    let unnamed = unnamed.replace("name: c", "name: d");
    world.apply(&unnamed).unwrap();
    let larger = |text: &str| text.replace("1Gi", "2Gi");
    accepted(&world, &larger(&claim));
    accepted(&world, &larger(&unnamed));
    let own = "apiVersion: berth/v1\nkind: StorageClass\nmetadata: {name: local}\n\
               provisioner: local\n---\n";
    let both = format!("{own}{}", larger(&claim));
    assert!(refused(&world, &both)[0].contains("class 'local' does not let volumes grow"));
    let marked = "apiVersion: berth/v1\nkind: StorageClass\nmetadata:\n  name: std\n  annotations: \
                  {storageclass.kubernetes.io/is-default-class: 'true'}\nprovisioner: local\n---\n";
    let both = format!("{marked}{}", larger(&unnamed));
    assert!(refused(&world, &both)[0].contains("class 'std' does not let volumes grow"));
}

#[test]
fn the_newest_default_class_is_the_one_that_was_made_last() {
    let mut world = World::default();
    let marked = |name: &str, grows: bool| {
        format!(
            "apiVersion: berth/v1\nkind: StorageClass\nmetadata:\n  name: {name}\n  annotations: \
             {{storageclass.kubernetes.io/is-default-class: 'true'}}\nprovisioner: local\n\
             allowVolumeExpansion: {grows}\n---\n"
        )
    };
    for (name, grows, at) in [("old", false, 1), ("new", true, 2)] {
        world.apply(&marked(name, grows)).unwrap();
        let id = (Kind::StorageClass, ObjectKey::of_cluster(name).unwrap());
        let meta = world.objects.get_mut(&id).unwrap().meta_mut();
        meta.creation_timestamp = Some(Timestamp(at));
    }
    let unnamed = CLAIM.replace("  storageClassName: fast\n", "");
    world.apply(&unnamed).unwrap();
    let larger = unnamed.replace("1Gi", "2Gi");
    accepted(&world, &larger);
    let again = |class: &str| format!("{class}{larger}");
    accepted(&world, &again(&marked("new", true)));
    accepted(&world, &again(&marked("old", false)));
    assert!(
        refused(&world, &again(&marked("soon", false)))[0].contains("class 'soon'"),
        "one that is about to be made"
    );
}

#[test]
fn a_claim_stays_what_it_is() {
    let mut world = World::default();
    world.apply(CLASSES).unwrap();
    world.apply(CLAIM).unwrap();
    let whole = "f:5:3: PersistentVolumeClaim/c: spec: a claim cannot change after it was made, \
                 only its size and an open volumeName can; delete it and apply it again";
    for (from, to) in [("ReadWriteOnce", "ReadWriteMany"), ("fast", "fixed")] {
        assert_eq!(refused(&world, &CLAIM.replace(from, to)), [whole], "{to}");
    }
    let unnamed = CLAIM.replace("  storageClassName: fast\n", "");
    assert_eq!(
        accepted(&world, &unnamed).changes[0].outcome,
        Outcome::Unchanged,
        "who leaves the class out leaves it as it is"
    );
    let labelled = CLAIM.replace("name: c", "name: c, labels: {a: b}");
    accepted(&world, &labelled);
    let named = CLAIM.replace("spec:\n", "spec:\n  volumeName: v0\n");
    accepted(&world, &named);
    world.apply(&named).unwrap();
    assert_eq!(
        refused(&world, &named.replace("v0", "v1")),
        [
            "f:5:15: PersistentVolumeClaim/c: spec.volumeName: the claim asks for volume 'v0' \
             already; keep it, or delete the claim and apply it again"
        ]
    );
    world.bound.insert(key("v0"), key("c"));
    assert_eq!(
        accepted(&world, CLAIM).changes[0].outcome,
        Outcome::Unchanged
    );
    assert_eq!(
        refused(&world, &named.replace("v0", "v1")),
        [
            "f:5:15: PersistentVolumeClaim/c: spec.volumeName: the claim has a volume already; \
             leave it as it is"
        ]
    );
}

#[test]
fn a_claim_with_a_volume_made_by_hand_does_not_grow() {
    let world = bound(&[CLASSES, VOLUME, CLAIM]);
    assert_eq!(
        refused(&world, &CLAIM.replace("1Gi", "2Gi")),
        [
            "f:7:35: PersistentVolumeClaim/c: spec.resources.requests.storage: volume 'v0' of the \
             claim was made by hand and does not grow; leave the size"
        ]
    );
}

#[test]
fn what_is_not_fulfilled_yet_may_be_taken_back() {
    const GI: u64 = 1 << 30;
    let mut world = World::default();
    world.apply(CLASSES).unwrap();
    world.apply(&CLAIM.replace("1Gi", "4Gi")).unwrap();
    world.apply(&SET.replace("1Gi", "4Gi")).unwrap();
    let to = |text: &str, size: &str| text.replace("1Gi", size);
    let field = "resources.requests.storage";
    // One volume has all of it, the others as much as they had.
    let held = [("c", 2), ("www-web-0", 4), ("www-web-1", 2)];
    world.held = held.map(|(name, size)| (key(name), size * GI)).into();
    for size in ["3Gi", "2Gi"] {
        accepted(&world, &to(CLAIM, size));
        accepted(&world, &to(SET, size));
    }
    for text in [CLAIM, SET] {
        let told = refused(&world, &to(text, "2000Mi"));
        let why = format!("{field}: a volume never becomes smaller; give 2Gi or more");
        assert!(told.iter().all(|line| line.ends_with(&why)), "{told:?}");
        assert_eq!(told.len(), 1);
    }
    world.held = held.map(|(name, _)| (key(name), 4 * GI)).into();
    for text in [CLAIM, SET] {
        let told = refused(&world, &to(text, "3Gi"));
        let why = format!("{field}: a volume never becomes smaller; give 4Gi or more");
        assert!(told[0].ends_with(&why), "{told:?}");
    }
}

#[test]
fn claim_templates_grow_and_nothing_else() {
    let mut world = World::default();
    world.apply(CLASSES).unwrap();
    world.apply(SET).unwrap();
    let grown = accepted(&world, &SET.replace("1Gi", "2Gi"));
    assert_eq!(grown.changes[0].outcome, Outcome::Configured);
    accepted(
        &world,
        &SET.replace("name: www}", "name: www, labels: {a: b}}"),
    );
    let field = "f:14:39: StatefulSet/web: \
                 spec.volumeClaimTemplates[0].spec.resources.requests.storage";
    assert_eq!(
        refused(&world, &SET.replace("1Gi", "1Mi")),
        [format!(
            "{field}: a volume never becomes smaller; give 1Gi or more"
        )]
    );
    let fixed = CLASSES.replace("allowVolumeExpansion: true", "allowVolumeExpansion: false");
    let both = format!("{}---\n{fixed}", SET.replace("1Gi", "2Gi"));
    assert_eq!(
        refused(&world, &both),
        [format!(
            "{field}: class 'fast' does not let volumes grow; set allowVolumeExpansion: true \
             there, or leave the size"
        )]
    );
    for (from, to) in [
        ("storageClassName: fast", "storageClassName: fixed"),
        (
            "spec:\n      storage",
            "spec:\n      volumeMode: Filesystem\n      storage",
        ),
    ] {
        let told = refused(&world, &SET.replace(from, to));
        assert!(
            told[0].contains("spec.volumeClaimTemplates: volumeClaimTemplates cannot change"),
            "{told:?}"
        );
    }
}

#[test]
fn a_class_stays_what_its_volumes_were_made_with() {
    let mut world = World::default();
    world.apply(CLASSES).unwrap();
    for (from, to, field) in [
        (
            "parameters: {pool: ssd}",
            "parameters: {pool: hdd}",
            "parameters",
        ),
        (
            "pool: ssd}",
            "pool: ssd}\nreclaimPolicy: Delete",
            "reclaimPolicy",
        ),
        (
            "/exports}",
            "/exports}\nmountOptions: [soft]",
            "mountOptions",
        ),
        (
            "/exports}",
            "/exports}\nvolumeBindingMode: WaitForFirstConsumer",
            "volumeBindingMode",
        ),
        (
            "provisioner: local\nparameters: {pool: ssd}",
            "provisioner: nfs\nparameters: {server: nas, share: /x}",
            "provisioner",
        ),
    ] {
        let told = refused(&world, &CLASSES.replace(from, to));
        assert!(
            told[0].contains(&format!(
                "{field}: {field} of a class cannot change, its volumes"
            )),
            "{told:?}"
        );
    }
    let free = CLASSES.replace("allowVolumeExpansion: true", "allowVolumeExpansion: false");
    let free = free.replace(
        "name: fast}",
        "name: fast, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}",
    );
    let free = free.replace(
        "pool: ssd}",
        "pool: ssd}\nvolumeBindingMode: WaitForFirstConsumer",
    );
    assert_eq!(accepted(&world, &free).warnings, [""; 0]);
    let two = free.replace(
        "name: fixed}",
        "name: fixed, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}",
    );
    assert_eq!(
        accepted(&world, &two).warnings,
        [
            "classes fast, fixed are all marked as default: claims that name none get the newest \
             of them"
        ]
    );
}

#[test]
fn a_bound_volume_stays_what_its_claim_got() {
    let mut free = World::default();
    free.apply(VOLUME).unwrap();
    let world = bound(&[VOLUME]);
    for (from, to, expected) in [
        (
            "/exports/v0",
            "/exports/v1",
            "f:7:8: PersistentVolume/v0: spec.nfs: claim default/c has the volume, and its data is \
             where it is; make another volume",
        ),
        (
            "2Gi",
            "1Gi",
            "f:5:23: PersistentVolume/v0: spec.capacity.storage: claim default/c has the volume; \
             give 2Gi or more",
        ),
        (
            "[ReadWriteOnce, ReadOnlyMany]",
            "[ReadOnlyMany]",
            "f:6:16: PersistentVolume/v0: spec.accessModes: claim default/c has the volume and may \
             use it as ReadWriteOnce; keep it",
        ),
        (
            "{name: c}",
            "{name: d}",
            "f:8:13: PersistentVolume/v0: spec.claimRef: claim default/c has the volume; leave \
             claimRef, or free the volume with 'berth volume release' when the claim is gone",
        ),
    ] {
        let text = VOLUME.replace(from, to);
        assert_eq!(refused(&world, &text), [expected]);
        accepted(&free, &text);
    }
    for (from, to) in [
        ("2Gi", "3Gi"),
        ("ReadOnlyMany]", "ReadOnlyMany, ReadWriteMany]"),
        ("/exports/v0", "/exports/v0/"),
        ("{name: c}", "{name: c, namespace: default}"),
        ("  claimRef", "  mountOptions: [hard]\n  claimRef"),
    ] {
        accepted(&world, &VOLUME.replace(from, to));
    }
}

#[test]
fn two_volumes_are_two_directories() {
    let mut world = World::default();
    world.apply(VOLUME).unwrap();
    let twin = VOLUME
        .replace("name: v0", "name: v1")
        .replace("nas, path: /exports/v0", "NAS, path: /exports/v0/");
    assert_eq!(
        refused(&world, &twin),
        [
            "f:7:28: PersistentVolume/v1: spec.nfs.path: volume 'v0' is the same directory; give \
             another, or both only ReadOnlyMany or ReadWriteMany"
        ]
    );
    let shared = |text: &str| text.replace("[ReadWriteOnce, ReadOnlyMany]", "[ReadWriteMany]");
    assert!(
        !refused(&world, &shared(&twin)).is_empty(),
        "the other is for one"
    );
    world.apply(&shared(VOLUME)).unwrap();
    assert_eq!(
        world.apply(&shared(&twin)).unwrap().warnings,
        ["volumes 'v0' and 'v1' are the same directory: their claims see the same data"]
    );
    accepted(&world, &twin.replace("v0/", "v9"));
}

#[test]
fn a_directory_in_another_one_is_warned_of() {
    let mut world = World::default();
    world.apply(VOLUME).unwrap();
    let at = |path: &str| {
        let other = VOLUME.replace("name: v0", "name: w");
        accepted(&world, &other.replace("/exports/v0", path)).warnings
    };
    let inside = |inner: &str, outer: &str| {
        [format!(
            "the directory of volume '{inner}' lies in that of '{outer}': while a claim has one of \
             them, no other claim gets the other; give directories apart, or both volumes only \
             ReadOnlyMany or ReadWriteMany"
        )]
    };
    assert_eq!(at("/exports/v0/a"), inside("w", "v0"));
    assert_eq!(at("/exports/"), inside("v0", "w"));
    assert_eq!(at("/"), inside("v0", "w"));
    assert_eq!(at("/exports/v00"), [""; 0]);
    let shared = |text: &str| text.replace("[ReadWriteOnce, ReadOnlyMany]", "[ReadWriteMany]");
    world.apply(&shared(VOLUME)).unwrap();
    let inner = shared(VOLUME).replace("name: v0", "name: w");
    assert_eq!(
        accepted(&world, &inner.replace("/exports/v0", "/exports/v0/a")).warnings,
        [
            "the directory of volume 'w' lies in that of 'v0': who has the outer one has the data \
             of the inner one too"
        ]
    );
}

#[test]
fn names_of_what_is_not_there_are_warned_of() {
    let shared = SET.replace(
        "      processes:",
        "      volumes:\n      - {name: s, persistentVolumeClaim: {claimName: c}}\n      processes:",
    );
    let mut world = World::default();
    assert_eq!(
        accepted(&world, &format!("{shared}---\n{CLAIM}")).warnings,
        [
            "claim default/c uses StorageClass 'fast', which does not exist yet: it waits for it",
            "default/web uses StorageClass 'fast', which does not exist yet: its members wait for \
             it",
        ]
    );
    world.apply(CLASSES).unwrap();
    assert_eq!(
        accepted(&world, &shared).warnings,
        [
            "default/web uses PersistentVolumeClaim 'c', which does not exist yet: its members \
             wait for it"
        ]
    );
    // The class of volumes made by hand is a word on them, and needs no object.
    let by_hand = format!(
        "{}---\n{VOLUME}  storageClassName: slow\n",
        CLAIM.replace("fast", "slow")
    );
    assert_eq!(accepted(&world, &by_hand).warnings, [""; 0]);
}

#[test]
fn what_holds_data_is_not_deleted_in_passing() {
    let mut world = bound(&[CLASSES, VOLUME, CLAIM, SET]);
    let shared = SET.replace("name: web", "name: two").replace(
        "      processes:",
        "      volumes:\n      - {name: s, persistentVolumeClaim: {claimName: c}}\n      processes:",
    );
    world.apply(&shared).unwrap();
    let try_it =
        |kind: Kind, name: &str| delete(world.existing(), kind, &key(name), name).map_err(told);
    assert_eq!(
        try_it(Kind::PersistentVolume, "v0").unwrap_err(),
        [
            "PersistentVolume/v0: metadata.name: claim default/c has the volume, or had \
             it last; delete the claim if it is still there, then run 'berth volume release v0'"
        ]
    );
    assert_eq!(
        try_it(Kind::PersistentVolumeClaim, "c").unwrap_err(),
        [
            "PersistentVolumeClaim/c: metadata.name: members of default/two share the claim; \
             delete that set first"
        ]
    );
    assert_eq!(
        try_it(Kind::StorageClass, "fast").unwrap().warnings,
        ["set default/two", "set default/web", "claim default/c"].map(|user| format!(
            "{user} has the class: volumes that are there stay, new ones wait for it"
        ))
    );
    assert_eq!(
        try_it(Kind::StorageClass, "fixed").unwrap(),
        Deletion::default()
    );
    let untyped = delete(world.existing(), Kind::PersistentVolume, &key("v0"), "");
    assert!(told(untyped.unwrap_err())[0].contains("needs its name typed; give 'v0'"));
    world.bound.clear();
    let freed = delete(world.existing(), Kind::PersistentVolume, &key("v0"), "v0").unwrap();
    assert_eq!(
        freed.disruptions,
        ["the record of volume 'v0' is removed; its data stays where it is"]
    );
}

#[test]
fn a_snapshot_is_of_the_claim_that_is_there_when_it_is_asked_for() {
    let snapshot = "\
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: before}
spec:
  source: {persistentVolumeClaimName: c}
";
    let meant = |world: &World| {
        let id = (Kind::VolumeSnapshot, "default/before".parse().unwrap());
        let Object::VolumeSnapshot(object) = &world.objects[&id] else {
            panic!("{:?}", world.objects[&id]);
        };
        let source = &object.spec.source;
        source.persistent_volume_claim_uid.clone()
    };
    let claim = (Kind::PersistentVolumeClaim, "default/c".parse().unwrap());
    let mut world = World::with(CLASSES);
    world.apply(CLAIM).unwrap();
    let rename = |world: &mut World, uid: &str| {
        let object = world.objects.get_mut(&claim).unwrap();
        uid.clone_into(&mut object.meta_mut().uid);
    };
    rename(&mut world, "first");
    world.apply(snapshot).unwrap();
    assert_eq!(meant(&world), "first");
    rename(&mut world, "second");
    let again = world.apply(snapshot).unwrap();
    assert_eq!(again.changes[0].outcome, Outcome::Unchanged);
    assert_eq!(meant(&world), "first");
    // None is there yet: the next one of the name is meant.
    let mut world = World::with(CLASSES);
    world.apply(snapshot).unwrap();
    assert_eq!(meant(&world), "");
}

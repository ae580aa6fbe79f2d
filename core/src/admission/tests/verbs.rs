//! What verbs wrote, and manifests that say something else.

use super::*;

#[test]
fn scale_and_manifest_do_not_overwrite_each_other() {
    let mut world = World::with(WEB);
    world.scale("web", 5).unwrap();
    assert_eq!(world.set("web").spec.replicas(), 5);
    assert_eq!(
        world.apply(WEB).unwrap_err(),
        [
            "f:5:13: StatefulSet/web: spec.replicas: the set was scaled to 5 with 'berth scale', the \
          manifest says 2; write 5, leave replicas out, or apply with --take replicas"
        ]
    );
    let without = WEB.replace("  replicas: 2\n", "");
    assert_eq!(
        world.apply(&without).unwrap().changes[1].outcome,
        Outcome::Unchanged
    );
    let options = Options {
        take_replicas: true,
        ..Options::default()
    };
    let taken = world.try_apply(WEB, options).unwrap();
    assert_eq!(taken.changes[1].outcome, Outcome::Configured);
    let five = WEB.replace("replicas: 2", "replicas: 5");
    world.apply(&five).unwrap();
    assert!(
        world.apply(WEB).is_ok(),
        "the manifest gave the number of scale and has it again"
    );
}

/// What a verb of a rollout writes.
fn by_verb(
    world: &mut World,
    change: impl Fn(&crate::spec::StatefulSet, &ObjectKey) -> ParsedObject,
) {
    let key: ObjectKey = "default/web".parse().unwrap();
    let parsed = change(world.set("web"), &key);
    let options = Options {
        by_verb: true,
        ..Options::default()
    };
    let admission = admit(world.existing(), vec![parsed], options).unwrap();
    for change in admission.changes {
        let id = (change.kind, change.key);
        world.objects.insert(id, change.object);
    }
}

#[test]
fn pause_and_manifest_do_not_overwrite_each_other() {
    let mut world = World::with(WEB);
    by_verb(&mut world, |set, key| rollout::pause(set, key, true));
    let told = WEB.replace("  replicas", "  paused: false\n  replicas");
    assert_eq!(
        world.apply(WEB).unwrap().changes[1].outcome,
        Outcome::Unchanged,
        "it says nothing of it"
    );
    assert_eq!(
        world.apply(&told).unwrap_err(),
        [
            "f:5:11: StatefulSet/web: spec.paused: it was set to true with 'berth rollout pause', \
          the manifest says false; write true, leave it out, or apply with --take paused"
        ]
    );
    let options = Options {
        take_paused: true,
        ..Options::default()
    };
    assert!(world.try_apply(&told, options).is_ok());
    by_verb(&mut world, |set, key| rollout::pause(set, key, false));
    assert!(!world.set("web").spec.is_paused());
    let held = told.replace("paused: false", "paused: true");
    world.apply(&held).expect("resume took back what pause did");
    by_verb(&mut world, |set, key| rollout::pause(set, key, false));
    let refused = world.apply(&held).unwrap_err();
    assert!(refused[0].contains("'berth rollout resume', the manifest says true"));
    world.apply(&told).unwrap();
    world
        .apply(&held)
        .expect("the manifest gave what resume did");
    world.apply(WEB).unwrap();
    assert!(!world.set("web").spec.is_paused(), "nobody holds it back");
}

#[test]
fn a_pause_outlives_a_manifest_that_once_said_the_same() {
    let held = WEB.replace("  replicas", "  paused: true\n  replicas");
    let mut world = World::with(&held);
    by_verb(&mut world, |set, key| rollout::pause(set, key, false));
    world.apply(WEB).unwrap();
    assert!(!world.set("web").spec.is_paused());
    by_verb(&mut world, |set, key| rollout::pause(set, key, true));
    world.apply(WEB).unwrap();
    assert!(world.set("web").spec.is_paused(), "the verb says so");
}

#[test]
fn a_restart_is_not_taken_back_by_a_manifest_that_does_not_know_of_it() {
    let mut world = World::with(WEB);
    let then = crate::time::Timestamp(1_795_000_000_000);
    by_verb(&mut world, |set, key| rollout::restart(set, key, then));
    let again = world.apply(WEB).unwrap();
    assert_eq!(again.changes[1].outcome, Outcome::Unchanged);
    let other = WEB.replace("/bin/nginx", "/bin/other");
    world.apply(&other).unwrap();
    let stamp = |world: &World| {
        let annotations = &world.set("web").spec.template.metadata.annotations;
        annotations.get(rollout::RESTARTED_AT).cloned()
    };
    assert!(stamp(&world).is_some());
    by_verb(&mut world, |set, key| {
        let mut wanted = set.clone();
        wanted.spec.template.metadata.annotations.clear();
        rollout::pause(&wanted, key, false)
    });
    assert_eq!(stamp(&world), None, "undo takes back what it means to");
}

#[test]
fn a_set_without_its_members_is_not_scaled() {
    let mut world = World::with(WEB);
    let key = (Kind::StatefulSet, "default/web".parse().unwrap());
    let meta = world.objects.get_mut(&key).unwrap().meta_mut();
    meta.annotations
        .insert(ORPHANED.to_owned(), "now".to_owned());
    for replicas in [2, 5] {
        let refused = world.scale("web", replicas).unwrap_err();
        assert!(refused.ends_with("apply a set of the name first, it takes them back"));
    }
    world.apply(WEB).unwrap();
    world.scale("web", 5).unwrap();
}

#[test]
fn a_budget_that_could_never_be_kept_is_refused_by_scale_too() {
    let least = "  disruptionBudget: {minAvailable: 2}\n  replicas: 2";
    let mut world = World::with(&WEB.replace("  replicas: 2", least));
    let refused = world.scale("web", 1).unwrap_err();
    assert!(
        refused
            .contains("spec.disruptionBudget.minAvailable: 2 of 1 members can never be available"),
        "{refused}"
    );
    assert_eq!(world.set("web").spec.replicas(), 2, "nothing is stored");
    world.scale("web", 0).expect("whoever stops a set means it");
}

#[test]
fn scale_obeys_the_rules_of_names() {
    let mut world = World::with(&WEB.replace("name: web", &format!("name: {}", "w".repeat(61))));
    let error = world.scale(&"w".repeat(61), 11).unwrap_err();
    assert!(error.contains("the limit is 63"), "{error}");
    let error = world.scale("none", 1).unwrap_err();
    assert!(error.contains("there is no set 'default/none'"), "{error}");
}

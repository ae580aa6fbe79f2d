//! Every rule of admission, on a set like etcd (founding) and one like nginx (not).

use std::collections::BTreeMap;

use super::*;
use crate::manifest::{Source, parse};

const ETCD: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: etcd}
spec:
  replicas: 3
  template:
    spec:
      processes:
      - {name: etcd, command: [/bin/etcd, '{{ founding }}'], user: etcd}
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {resources: {requests: {storage: 1Gi}}}}
";
const WEB: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  replicas: 2
  serviceName: web
  template:
    spec:
      processes:
      - name: nginx
        command: [/bin/nginx]
        user: www-data
        files:
        - {path: a, configMap: {name: conf, key: a}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {a: '1', b: '1'}
";
const POOL: &str = "\
apiVersion: berth/v1
kind: AddressPool
metadata: {name: dev}
spec: {cidr: 127.77.0.0/16, default: true}
";

/// Everything that is stored, and who founded.
#[derive(Default)]
pub(super) struct World {
    pub(super) objects: Objects,
    founders: BTreeMap<SetKey, u32>,
    pub(super) bound: BTreeMap<ObjectKey, ClaimKey>,
    pub(super) held: BTreeMap<ClaimKey, u64>,
}

impl World {
    pub(super) fn with(text: &str) -> Self {
        let mut world = Self::default();
        world.apply(text).unwrap();
        world
    }

    pub(super) fn existing(&self) -> Existing<'_> {
        Existing {
            objects: &self.objects,
            founders: &self.founders,
            bound: &self.bound,
            held: &self.held,
        }
    }

    pub(super) fn try_apply(&self, text: &str, options: Options) -> Result<Admission, Vec<String>> {
        let source = Source {
            file: "f".to_owned(),
            text: text.to_owned(),
        };
        let parsed = parse(&[source], "default").map_err(told)?;
        admit(self.existing(), parsed, options).map_err(told)
    }

    /// Applies and stores.
    pub(super) fn apply(&mut self, text: &str) -> Result<Admission, Vec<String>> {
        let admission = self.try_apply(text, Options::default())?;
        for change in &admission.changes {
            let id = (change.kind, change.key.clone());
            self.objects.insert(id, change.object.clone());
        }
        Ok(admission)
    }

    fn scale(&mut self, name: &str, replicas: u32) -> Result<(), String> {
        let key: ObjectKey = format!("default/{name}").parse().unwrap();
        let change = scale(self.existing(), &key, replicas).map_err(|v| v[0].to_string())?;
        self.objects.insert((change.kind, key), change.object);
        Ok(())
    }

    fn set(&self, name: &str) -> &crate::spec::StatefulSet {
        let key = format!("default/{name}").parse().unwrap();
        match self.objects.get(&(Kind::StatefulSet, key)) {
            Some(Object::StatefulSet(set)) => set,
            other => panic!("{other:?}"),
        }
    }
}

/// Violations as operators read them.
pub(super) fn told(all: Vec<Violation>) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

fn outcomes(admission: &Admission) -> Vec<(Kind, Outcome)> {
    admission
        .changes
        .iter()
        .map(|c| (c.kind, c.outcome))
        .collect()
}

#[test]
fn objects_are_created_configured_or_unchanged() {
    let mut world = World::default();
    let first = world.apply(WEB).unwrap();
    assert_eq!(
        outcomes(&first),
        [
            (Kind::ConfigMap, Outcome::Created),
            (Kind::StatefulSet, Outcome::Created)
        ],
        "what others need comes first"
    );
    assert_eq!(world.set("web").metadata.generation, 1);
    let again = world.apply(WEB).unwrap();
    assert!(
        again
            .changes
            .iter()
            .all(|c| c.outcome == Outcome::Unchanged)
    );
    assert_eq!(again.warnings, [""; 0]);

    let labelled = WEB.replacen("name: web", "name: web, labels: {a: b}", 1);
    world.apply(&labelled).unwrap();
    assert_eq!(
        world.set("web").metadata.generation,
        1,
        "labels are no change of the spec"
    );
    world
        .apply(&labelled.replace("replicas: 2", "replicas: 3"))
        .unwrap();
    assert_eq!(world.set("web").metadata.generation, 2);
}

#[test]
fn what_the_coordinator_wrote_is_kept() {
    let mut world = World::with(POOL);
    let key = (Kind::AddressPool, "default/dev".parse().unwrap());
    let stored = world.objects.get_mut(&key).unwrap();
    "u-1".clone_into(&mut stored.meta_mut().uid);
    "7".clone_into(&mut stored.meta_mut().resource_version);
    let again = world.apply(POOL).unwrap();
    assert_eq!(again.changes[0].outcome, Outcome::Unchanged);
    let grown = world
        .apply(&POOL.replace("127.77.0.0/16", "127.76.0.0/15"))
        .unwrap();
    let meta = grown.changes[0].object.meta();
    assert_eq!((meta.uid.as_str(), meta.generation), ("u-1", 2));
}

#[test]
fn a_forbidden_change_lists_what_may_change() {
    let world = World::with(ETCD);
    let may = "only replicas, ordinals, template, overrides, updateStrategy, paused, autoRollback, \
               progressDeadlineSeconds, revisionHistoryLimit, configUpdate, \
               disruptionBudget, minReadySeconds, \
               persistentVolumeClaimRetentionPolicy, dependsOn, bootstrapPolicy, coldStartPolicy, \
               membership, spread, failurePolicy, leaseClass, fenceGrace, labels, annotations, and size and labels in \
               volumeClaimTemplates can: leave it, or delete the set (its claims stay) and apply \
               it again";
    for (from, to, place, field) in [
        (
            "  replicas: 3",
            "  replicas: 3\n  serviceName: x",
            "6:16",
            "serviceName",
        ),
        (
            "  replicas: 3",
            "  replicas: 3\n  podManagementPolicy: Parallel",
            "6:24",
            "podManagementPolicy",
        ),
        (
            "  replicas: 3",
            "  replicas: 3\n  addressPool: x",
            "6:16",
            "addressPool",
        ),
        (
            "{name: data}",
            "{name: dat}",
            "11:5",
            "volumeClaimTemplates",
        ),
    ] {
        let refused = world.try_apply(&ETCD.replace(from, to), Options::default());
        assert_eq!(
            refused.unwrap_err(),
            [format!(
                "f:{place}: StatefulSet/etcd: spec.{field}: {field} cannot change after the set \
                 was made; {may}"
            )]
        );
    }
    let same = ETCD.replace("  replicas: 3", "  replicas: 3\n  serviceName: etcd");
    assert!(
        world.try_apply(&same, Options::default()).is_ok(),
        "the default, written out"
    );
}

#[test]
fn the_members_of_a_founded_set_are_fixed() {
    let mut world = World::with(ETCD);
    let fixed = "its members cannot change: its template uses 'founding', so its members are \
                 those that founded it, and the application would not learn of the change; keep \
                 the 3 there are, or set membership: Dynamic and tell the application yourself";
    let five = ETCD.replace("replicas: 3", "replicas: 5");
    assert_eq!(
        world.try_apply(&five, Options::default()).unwrap_err(),
        [format!("f:5:13: StatefulSet/etcd: spec.replicas: {fixed}")]
    );
    assert_eq!(
        world.scale("etcd", 0).unwrap_err(),
        format!("StatefulSet/etcd: spec.replicas: {fixed}")
    );
    world
        .scale("etcd", 3)
        .expect("the same number is no change");
    let other = ETCD.replace("replicas: 3", "ordinals: {reserved: [1]}");
    assert_eq!(
        world.try_apply(&other, Options::default()).unwrap_err(),
        [format!("f:5:13: StatefulSet/etcd: spec.ordinals: {fixed}")]
    );
    let told = five.replace("  replicas", "  membership: Dynamic\n  replicas");
    assert!(world.try_apply(&told, Options::default()).is_ok());
}

#[test]
fn a_founded_set_that_returns_has_as_many_members_as_before() {
    let mut world = World::default();
    world.founders.insert("default/etcd".parse().unwrap(), 3);
    assert!(world.try_apply(ETCD, Options::default()).is_ok());
    let five = ETCD.replace("replicas: 3", "replicas: 5");
    assert_eq!(
        world.try_apply(&five, Options::default()).unwrap_err(),
        [
            "f:5:13: StatefulSet/etcd: spec.replicas: the set was founded with 3 members before and \
          its volumes are still there; give 3, or delete its claims first"
        ]
    );
}

#[test]
fn a_set_that_never_ran_may_still_get_its_size() {
    let world = World::with(&ETCD.replace("replicas: 3", "replicas: 0"));
    assert!(world.try_apply(ETCD, Options::default()).is_ok());
}

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

#[test]
fn secrets_are_stored_in_one_form() {
    let mut world = World::default();
    let plain = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: hunter2}\n";
    world.apply(plain).unwrap();
    let encoded = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: aHVu dGVyMg==}\n";
    assert_eq!(
        world.apply(encoded).unwrap().changes[0].outcome,
        Outcome::Unchanged
    );
}

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
          release', or moves it to the trash if its reclaim policy is Delete"
        ]
    );
    assert_eq!(
        try_it(Kind::ConfigMap, "conf", "").unwrap().warnings.len(),
        1
    );
    assert_eq!(try_it(Kind::AddressPool, "dev", "").unwrap_err().len(), 2);
}

#[test]
fn what_is_immutable_stays_as_it_is() {
    let text = |kind: &str, rest: &str| format!("kind: {kind}\nmetadata: {{name: x}}\n{rest}");
    for kind in ["ConfigMap", "Secret"] {
        let data = |a: &str, b: &str| match kind {
            "Secret" => format!("stringData: {{a: {a}{b}}}\n"),
            _ => format!("data: {{a: {a}{b}}}\n"),
        };
        let of = |rest: String| text(kind, &format!("apiVersion: v1\n{rest}"));
        let mut world = World::with(&of(data("one", "")));
        world.apply(&of(data("two", ""))).unwrap();
        let fixed = of(format!("immutable: true\n{}", data("two", "")));
        world.apply(&fixed).unwrap();
        world.apply(&fixed).unwrap();
        let labelled = fixed.replace("{name: x}", "{name: x, labels: {l: v}}");
        world.apply(&labelled).unwrap();
        let why = "the object is immutable; leave it, or give the new values to an object of \
                   another name and refer to that";
        let changed = of(format!("immutable: true\n{}", data("three", ", b: new")));
        let refused = world.apply(&changed).unwrap_err().join("\n");
        for key in ["a", "b"] {
            assert!(refused.contains(&format!("data.{key}: {why}")), "{refused}");
        }
        assert!(!refused.contains("three"), "no value is shown");
        let refused = world.apply(&of(data("two", ""))).unwrap_err().join("\n");
        assert!(refused.contains("immutable: an immutable object stays immutable"));
    }
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

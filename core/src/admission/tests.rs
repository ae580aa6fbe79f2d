//! Every rule of admission, on a set like etcd (founding) and one like nginx (not).

use std::collections::BTreeMap;

use super::*;
use crate::manifest::{Source, parse};

mod relations;
mod verbs;

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
    pub(super) leases: Leases,
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
            leases: self.leases,
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

//! What `apply` says of claims before they are stored, and why they wait afterwards.

use crate::{
    fixture::{
        NOW, class, friend::Friends, hand_made, host_name, key, put_set, quantity, spec, state,
        static_volume, volume_key,
    },
    ids::{ObjectKey, Uid},
    manifest::{Source, parse},
    plan::{
        outlook::{Outlook, outlook},
        plan,
    },
    spec::{Provisioner, VolumeSnapshot},
    state::{Snapshot, SnapshotState, State},
    volume::{PoolInfo, VolumeSource},
    waiting::{Growth, HostRefusal, Reason, Refusal},
};

const CLAIM: &str = "\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data-db-0}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: local
  resources: {requests: {storage: 10}}
";
const SET: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 3
  template:
    spec:
      processes:
      - {name: main, command: [/bin/app], user: app}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      storageClassName: local
      resources: {requests: {storage: 10}}
";

fn look(state: &State, text: &str) -> Outlook {
    let source = Source {
        file: "f".to_owned(),
        text: text.to_owned(),
    };
    outlook(state, &parse(&[source], "default").unwrap())
}

fn sized(state: &mut State, capacity: u64) {
    for host in state.hosts.values_mut() {
        let info = PoolInfo {
            capacity,
            available: capacity,
            ..PoolInfo::default()
        };
        host.record.pools.insert("default".to_owned(), info);
    }
}

#[test]
fn a_claim_larger_than_every_pool_is_told_at_apply_and_held_with_the_hosts() {
    let mut state = state(2);
    sized(&mut state, 8);
    for text in [CLAIM, SET] {
        let warnings = look(&state, text).warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let told = &warnings[0];
        assert!(
            told.starts_with("claim default/data-db-0 waits: "),
            "{told}"
        );
        assert!(told.contains("host-1") && told.contains("host-2"), "{told}");
    }
    hand_made(&mut state, "data-db-0", 10)
        .spec
        .storage_class_name = Some("local".to_owned());
    let reason = |state: &State| plan(state, NOW).1.claims[&key("data-db-0")].clone();
    let full = |host| HostRefusal {
        host: host_name(host),
        because: Refusal::PoolFull {
            pool: "default".to_owned(),
            wanted: 10,
            free: 8,
        },
    };
    let hosts = vec![full(1), full(2)];
    assert_eq!(reason(&state), Reason::NoEligibleHost { hosts });
    // One host with room is enough, and so is one of which nothing is known.
    let pools = &mut state.hosts.get_mut(&host_name(2)).unwrap().record.pools;
    pools.get_mut("default").unwrap().capacity = 10;
    assert_eq!(look(&state, CLAIM), Outlook::default());
    assert_eq!(look(&state, SET), Outlook::default());
    let claim = key("data-db-0");
    assert_eq!(reason(&state), Reason::WaitForFirstConsumer { claim });
}

#[test]
fn a_class_whose_pool_no_host_has_is_told() {
    let mut state = state(1);
    let fast = class(&mut state, "fast");
    fast.provisioner = Provisioner::Local;
    "ssd".clone_into(&mut fast.parameters.pool);
    let told = look(&state, &CLAIM.replace("local", "fast")).warnings;
    assert!(told[0].contains("ssd"), "{told:?}");
    state.hosts.clear();
    let told = look(&state, &CLAIM.replace("local", "fast")).warnings;
    assert_eq!(told, [""; 0], "no host is known yet");
}

#[test]
fn a_claim_that_would_get_released_data_is_told_and_what_becomes_of_that() {
    let mut state = state(1);
    static_volume(&mut state, "v", 20);
    let claim = hand_made(&mut state, "old", 5).clone();
    let mut friends = Friends::new(state);
    friends.settle();
    let mut state = friends.state;
    assert_eq!(state.claims[&key("old")].volume, Some(volume_key("v")));
    let by_hand = CLAIM.replace("local", "''");
    assert_eq!(look(&state, &by_hand).warnings, [""; 0], "it is bound");
    state.claims.clear();
    let volume = state.volumes.get_mut(&volume_key("v")).unwrap();
    volume.claim = None;
    assert_eq!(
        look(&state, &by_hand).warnings,
        [""; 0],
        "nothing was written"
    );
    let volume = state.volumes.get_mut(&volume_key("v")).unwrap();
    volume.filled = true;
    let set = SET.replace("local", "''");
    for text in [&by_hand, &set] {
        let told = look(&state, text).warnings;
        assert_eq!(told.len(), 1, "one for each volume: {told:?}");
        assert!(
            told[0].ends_with(
                "volume v, which holds data of an earlier claim: its member waits until 'berth \
                 volume adopt v', or until it is empty"
            ),
            "{told:?}"
        );
    }
    state.volumes.get_mut(&volume_key("v")).unwrap().adopt = true;
    let told = look(&state, &by_hand).warnings;
    assert!(
        told[0].ends_with("the claim begins with that data"),
        "{told:?}"
    );
    state.claims.insert(key("data-db-0"), claim);
    assert_eq!(look(&state, &by_hand).warnings, [""; 0], "its own data");
}

#[test]
fn a_claim_smaller_than_the_snapshot_it_begins_with_is_refused_with_the_size_to_give() {
    let mut state = state(1);
    let mut object = VolumeSnapshot::default();
    object.metadata.uid = "s".to_owned();
    state.volume_snapshots.insert(key("before"), object);
    let restored = format!(
        "{CLAIM}  dataSource: {{kind: VolumeSnapshot, name: before, apiGroup: \
         snapshot.storage.k8s.io}}\n"
    );
    assert_eq!(
        look(&state, &restored).violations,
        [],
        "its size is not known"
    );
    let record: ObjectKey = "default/snap-s".parse().unwrap();
    state.snapshots.insert(
        record,
        Snapshot {
            of: key("before"),
            claim: key("data-db-0"),
            volume: volume_key("v"),
            source: VolumeSource::Local {
                host: host_name(1),
                pool: "default".to_owned(),
                dir: "x".to_owned(),
            },
            owners: vec![Uid("c".to_owned())],
            bytes: 3 << 30,
            online: true,
            state: SnapshotState::Ready { since: NOW },
            created_at: NOW,
        },
    );
    let found = look(&state, &restored).violations;
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "f:7:35: PersistentVolumeClaim/data-db-0: spec.resources.requests.storage: snapshot \
             'before' needs 3Gi; give 3Gi or more"
        ]
    );
    let enough = restored.replace("storage: 10", "storage: 3Gi");
    assert_eq!(look(&state, &enough).violations, []);
}

#[test]
fn a_volume_that_is_to_grow_says_why_it_has_not() {
    let mut state = state(1);
    let mut wanted = spec(1, true);
    wanted.volume_claim_templates[0].spec.resources.requests = quantity(4);
    let pool = state.hosts.get_mut(&host_name(1)).unwrap();
    let pool = pool.record.pools.get_mut("default").unwrap();
    (pool.limits, pool.capacity, pool.available) = (true, 10, 10);
    put_set(&mut state, "db", wanted.clone());
    let mut friends = Friends::new(state);
    friends.settle();
    let reason = |friends: &Friends| friends.report.claims.get(&key("data-db-0")).cloned();
    assert_eq!(reason(&friends), None);
    let growing = |wanted, error: Option<&str>| {
        Some(Reason::VolumeGrowing(Growth {
            claim: key("data-db-0"),
            has: 4,
            wanted,
            error: error.map(str::to_owned),
        }))
    };
    let mut ask = |friends: &mut Friends, bytes| {
        wanted.volume_claim_templates[0].spec.resources.requests = quantity(bytes);
        put_set(&mut friends.state, "db", wanted.clone());
        friends.settle();
    };
    ask(&mut friends, 12);
    let full = "pool 'default' of host-1 has room for 10; make room there";
    assert_eq!(reason(&friends), growing(12, Some(full)));
    ask(&mut friends, 8);
    assert_eq!(reason(&friends), growing(8, None), "its host is at it");
    let host = friends.state.hosts.get_mut(&host_name(1)).unwrap();
    host.contact.connected = false;
    friends.plan();
    let silent = "host-1 is out of contact";
    assert_eq!(reason(&friends), growing(8, Some(silent)));
    let volume = friends.state.volumes.values_mut().next().unwrap();
    volume.capacity = 8;
    friends.plan();
    assert_eq!(reason(&friends), None);
}

#[test]
fn a_snapshot_of_a_claim_that_is_not_there_is_told() {
    let snapshot = "\
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: before}
spec: {source: {persistentVolumeClaimName: data-db-0}}
";
    let mut state = state(1);
    let told = look(&state, snapshot).warnings;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("default/data-db-0, which does not exist"));
    for with_it in [CLAIM, SET] {
        let both = format!("{with_it}---\n{snapshot}");
        assert_eq!(look(&state, &both).warnings, [""; 0]);
    }
    hand_made(&mut state, "data-db-0", 5);
    assert_eq!(look(&state, snapshot).warnings, [""; 0]);
}

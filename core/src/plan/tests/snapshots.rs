//! Copies of volumes: what is taken, what waits, and who waits for it.

use std::collections::BTreeMap;

use crate::{
    fixture::{
        NOW, class, friend::Friends, hand_made, host_name, key, member, nfs_class, put_set,
        quantity, spec, state,
    },
    ids::{HostName, ObjectKey, Ordinal, Uid},
    plan::snapshot,
    spec::{DataSource, DataSourceKind, Provisioner, VolumeSnapshot},
    state::{SnapshotState, State, VolumeState},
    volume::{
        PoolInfo, PoolKind,
        work::{self, After, SnapshotChange, VolumeTask, VolumeWork},
    },
    waiting::{CopyOf, CopyRefusal, HostRefusal, NoSpace, Reason, Refusal},
};

/// Pools that copy in one instant; while nobody writes; and not at all.
const ONLINE: (PoolKind, bool) = (PoolKind::Image, true);
const STILL: [(PoolKind, bool); 2] = [(PoolKind::Image, false), (PoolKind::Directory, true)];
const NEVER: (PoolKind, bool) = (PoolKind::Directory, false);

/// A set of two, each on a host of its own with volumes of 4 bytes; a third host is free.
fn running((kind, clones): (PoolKind, bool)) -> Friends {
    let mut state = state(3);
    for host in state.hosts.values_mut() {
        let info = PoolInfo {
            kind,
            clones,
            ..PoolInfo::default()
        };
        host.record.pools.insert("default".to_owned(), info);
    }
    let mut wanted = spec(2, true);
    wanted.volume_claim_templates[0].spec.resources.requests = quantity(4);
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.settle_checked();
    friends
}

fn ask(state: &mut State, name: &str, claim: &str) {
    let mut object = VolumeSnapshot::default();
    name.clone_into(&mut object.metadata.name);
    object.metadata.uid = format!("uid-{name}");
    claim.clone_into(&mut object.spec.source.persistent_volume_claim_name);
    state.volume_snapshots.insert(key(name), object);
}

fn record(name: &str) -> ObjectKey {
    format!("default/snap-uid-{name}").parse().unwrap()
}

fn works(state: &State) -> Vec<(HostName, VolumeWork)> {
    let all = work::work(state, &BTreeMap::new()).into_iter();
    all.flat_map(|(host, works)| works.into_iter().map(move |work| (host.clone(), work)))
        .collect()
}

fn tasks(state: &State) -> Vec<VolumeTask> {
    works(state)
        .into_iter()
        .map(|(_, work)| work.task)
        .collect()
}

/// Agents do all that is to be done about volumes.
fn carry_out(state: &mut State) {
    for (_, work) in works(state) {
        match state.snapshots.get(&work.volume) {
            Some(snapshot) => match work::snapshot_done(snapshot, work.task, None, NOW).unwrap() {
                SnapshotChange::Is(after) => drop(state.snapshots.insert(work.volume, *after)),
                SnapshotChange::Gone => drop(state.snapshots.remove(&work.volume)),
            },
            None => {
                let after = work::done(&state.volumes[&work.volume], work.task, NOW).unwrap();
                let After::Is(after) = after else {
                    panic!("nothing is purged here");
                };
                let claim = work::populated(state, &after);
                state.claims.extend(claim);
                state.volumes.insert(work.volume, *after);
            }
        }
    }
}

fn waits(friends: &Friends, name: &str) -> Reason {
    let object = &friends.state.volume_snapshots[&key(name)];
    snapshot(&friends.state, &key(name), object, NOW).unwrap_err()
}

fn scale(friends: &mut Friends, replicas: i64) {
    let mut wanted = (*friends.state.sets[&key("db")].spec).clone();
    wanted.replicas = Some(replicas);
    put_set(&mut friends.state, "db", wanted);
    friends.settle_checked();
}

fn begin(state: &mut State, name: &str, kind: DataSourceKind, from: &str) {
    let claim = hand_made(state, name, 4);
    claim.spec.storage_class_name = Some("local".to_owned());
    claim.spec.data_source = Some(DataSource {
        api_group: String::new(),
        kind,
        name: from.to_owned(),
    });
}

#[test]
fn a_pool_that_copies_in_one_instant_is_asked_while_the_member_runs() {
    let mut friends = running(ONLINE);
    ask(&mut friends.state, "before", "data-db-1");
    friends.settle_checked();
    let online = VolumeTask::Snapshot { online: true };
    assert_eq!(tasks(&friends.state), [online]);
    let (host, work) = works(&friends.state).remove(0);
    assert_eq!((host, work.volume), (host_name(2), record("before")));
    carry_out(&mut friends.state);
    friends.settle_checked();
    let taken = &friends.state.snapshots[&record("before")];
    assert_eq!(taken.state, SnapshotState::Ready { since: NOW });
    assert_eq!((taken.bytes, tasks(&friends.state)), (4, Vec::new()));
}

#[test]
fn another_claim_of_the_name_is_not_the_one_that_was_meant() {
    let mut friends = running(ONLINE);
    ask(&mut friends.state, "before", "data-db-1");
    let object = friends.state.volume_snapshots.get_mut(&key("before"));
    let source = &mut object.unwrap().spec.source;
    "of-the-one-before".clone_into(&mut source.persistent_volume_claim_uid);
    friends.settle_checked();
    assert_eq!(tasks(&friends.state), []);
    let why = waits(&friends, "before");
    assert!(matches!(why, Reason::DataSourceMissing { .. }), "{why}");
}

#[test]
fn a_snapshot_that_came_before_its_claim_means_the_first_one_of_the_name() {
    let mut friends = running(ONLINE);
    ask(&mut friends.state, "early", "data-new-0");
    friends.settle_checked();
    let missing = |friends: &Friends| waits(friends, "early");
    assert!(matches!(missing(&friends), Reason::ClaimMissing { .. }));
    // A member that runs nowhere has its claim, and nothing in it to copy.
    put_set(&mut friends.state, "new", spec(1, true));
    friends.plan();
    let first = friends.state.claims[&key("data-new-0")].uid.clone();
    let meant = |friends: &Friends| {
        let object = &friends.state.volume_snapshots[&key("early")];
        object.spec.source.persistent_volume_claim_uid.clone()
    };
    assert_eq!(meant(&friends), first.to_string());
    let claim = friends.state.claims.get_mut(&key("data-new-0")).unwrap();
    claim.uid = Uid("another".to_owned());
    friends.settle_checked();
    assert_eq!(meant(&friends), first.to_string(), "noted once");
    assert!(friends.state.snapshots.is_empty());
    let why = missing(&friends);
    assert!(matches!(why, Reason::DataSourceMissing { .. }), "{why}");
}

#[test]
fn elsewhere_the_member_stops_first_and_waits_until_the_copy_is_complete() {
    for pool in STILL {
        let mut friends = running(pool);
        ask(&mut friends.state, "before", "data-db-1");
        friends.settle_checked();
        let by = member("db", 1);
        let claim = key("data-db-1");
        assert_eq!(
            waits(&friends, "before"),
            Reason::CopyNeedsStop {
                claim: claim.clone(),
                by
            }
        );
        scale(&mut friends, 1);
        assert_eq!(
            tasks(&friends.state),
            [VolumeTask::Snapshot { online: false }]
        );
        scale(&mut friends, 2);
        let to = "VolumeSnapshot/before".to_owned();
        let held = Reason::VolumeCopied { claim, to };
        assert_eq!(friends.report.waiting[&member("db", 1)], held);
        let mut deleted = friends.clone();
        deleted.state.volume_snapshots.clear();
        let taken = deleted.state.snapshots.values_mut().next().unwrap();
        taken.state = SnapshotState::Deleting;
        for friends in [&mut friends, &mut deleted] {
            carry_out(&mut friends.state);
            friends.settle_checked();
            assert!(friends.report.waiting.is_empty());
        }
        assert!(deleted.state.snapshots.is_empty());
    }
}

#[test]
fn what_cannot_be_copied_says_so() {
    let mut friends = running(NEVER);
    let refused = |friends: &Friends, name| {
        let Reason::CopyRefused { because, .. } = waits(friends, name) else {
            panic!("{}", waits(friends, name));
        };
        because
    };
    ask(&mut friends.state, "a", "data-db-0");
    let pool = "default".to_owned();
    assert_eq!(refused(&friends, "a"), CopyRefusal::NoClones { pool });
    ask(&mut friends.state, "b", "nothing");
    let claim = key("nothing");
    assert_eq!(waits(&friends, "b"), Reason::ClaimMissing { claim });
    let info = |friends: &mut Friends| {
        let host = friends.state.hosts.get_mut(&host_name(1)).unwrap();
        host.record.pools.get_mut("default").unwrap().clone()
    };
    let gone = PoolInfo {
        missing: true,
        ..info(&mut friends)
    };
    let hosts = &mut friends.state.hosts;
    let pools = &mut hosts.get_mut(&host_name(1)).unwrap().record.pools;
    pools.insert("default".to_owned(), gone);
    assert!(matches!(
        refused(&friends, "a"),
        CopyRefusal::PoolNotThere { .. }
    ));
    let mut state = state(1);
    nfs_class(&mut state, "nfs");
    let mut wanted = spec(1, true);
    wanted.volume_claim_templates[0].spec.storage_class_name = Some("nfs".to_owned());
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.settle_checked();
    ask(&mut friends.state, "a", "data-db-0");
    assert_eq!(refused(&friends, "a"), CopyRefusal::Server);
}

#[test]
fn a_snapshot_takes_room_of_a_pool_of_images() {
    let mut friends = running(ONLINE);
    let pools = &mut friends
        .state
        .hosts
        .get_mut(&host_name(1))
        .unwrap()
        .record
        .pools;
    let pool = pools.get_mut("default").unwrap();
    (pool.capacity, pool.available) = (9, 9);
    ask(&mut friends.state, "one", "data-db-0");
    friends.settle_checked();
    ask(&mut friends.state, "two", "data-db-0");
    friends.settle_checked();
    let no_space = waits(&friends, "two");
    assert!(
        matches!(
            no_space,
            Reason::VolumeNoSpace(NoSpace {
                wanted: 4,
                free: 1,
                ..
            })
        ),
        "{no_space}"
    );
}

#[test]
fn a_snapshot_that_failed_is_not_tried_again() {
    let mut friends = running(ONLINE);
    ask(&mut friends.state, "before", "data-db-0");
    friends.settle_checked();
    let taken = friends.state.snapshots[&record("before")].clone();
    let task = VolumeTask::Snapshot { online: true };
    let failed = work::snapshot_done(&taken, task, Some("no"), NOW).unwrap();
    let SnapshotChange::Is(failed) = failed else {
        panic!("it is there");
    };
    assert_eq!(work::snapshot_done(&failed, task, None, NOW), None);
    friends.state.snapshots.insert(record("before"), *failed);
    friends.settle_checked();
    assert_eq!(tasks(&friends.state), []);
}

#[test]
fn a_member_begins_with_a_snapshot_on_the_host_that_has_it() {
    let mut friends = running(ONLINE);
    ask(&mut friends.state, "before", "data-db-1");
    friends.settle_checked();
    let kind = DataSourceKind::VolumeSnapshot;
    begin(&mut friends.state, "data-new-0", kind, "before");
    let mut wanted = spec(1, true);
    wanted.template.spec.processes[0].ports.clear();
    put_set(&mut friends.state, "new", wanted);
    friends.settle_checked();
    // While it is being taken, it is known where it will be.
    let new = |friends: &Friends| friends.state.sets[&key("new")].members[&Ordinal(0)].clone();
    assert_eq!(new(&friends).host, host_name(2));
    let claim = key("data-new-0");
    let source = "VolumeSnapshot/before".to_owned();
    assert_eq!(
        friends.report.waiting[&member("new", 0)],
        Reason::DataSourceNotReady(CopyOf {
            claim: claim.clone(),
            source: source.clone()
        })
    );
    carry_out(&mut friends.state);
    friends.settle_checked();
    assert_eq!(
        friends.report.waiting[&member("new", 0)],
        Reason::VolumePopulating(CopyOf { claim, source })
    );
    let work = works(&friends.state).remove(0).1;
    assert_eq!(work.task, VolumeTask::Populate { online: true });
    let from = work.from.unwrap();
    assert_eq!(from.snapshot, Some(record("before")));
    assert_eq!(from.claim.key, key("data-new-0"));

    // The snapshot may go; its data stays until the copy is complete.
    friends.state.volume_snapshots.clear();
    let taken = friends.state.snapshots.values_mut().next().unwrap();
    taken.state = SnapshotState::Deleting;
    assert_eq!(
        tasks(&friends.state),
        [VolumeTask::Populate { online: true }]
    );
    carry_out(&mut friends.state);
    assert_eq!(tasks(&friends.state), [VolumeTask::Discard]);
    carry_out(&mut friends.state);
    friends.settle_checked();
    assert!(friends.report.waiting.is_empty());
    let claim = &friends.state.claims[&key("data-new-0")];
    assert!(claim.filled, "an empty volume would be a loss");
    assert_eq!(friends.state.host_of(claim), Some(&host_name(2)));
}

#[test]
fn each_member_of_a_set_can_begin_with_its_own_snapshot() {
    let mut friends = running(ONLINE);
    for n in 0..2 {
        let name = format!("before-{n}");
        ask(&mut friends.state, &name, &format!("data-db-{n}"));
    }
    friends.settle_checked();
    carry_out(&mut friends.state);
    let mut wanted = spec(2, true);
    wanted.template.spec.processes[0].ports.clear();
    let template = &mut wanted.volume_claim_templates[0].spec;
    template.resources.requests = quantity(4);
    template.data_source = Some(DataSource {
        api_group: String::new(),
        kind: DataSourceKind::VolumeSnapshot,
        name: "before-{{ ordinal }}".to_owned(),
    });
    put_set(&mut friends.state, "new", wanted);
    friends.settle_checked();
    carry_out(&mut friends.state);
    friends.settle_checked();
    assert!(friends.report.waiting.is_empty(), "{:?}", friends.report);
    for n in 0..2 {
        let here = &friends.state.sets[&key("new")].members[&Ordinal(n)];
        let there = &friends.state.sets[&key("db")].members[&Ordinal(n)];
        assert_eq!(here.host, there.host);
    }
}

#[test]
fn a_clone_in_a_pool_that_needs_it_holds_its_source_until_it_is_complete() {
    for pool in STILL {
        let mut friends = running(pool);
        let kind = DataSourceKind::PersistentVolumeClaim;
        begin(&mut friends.state, "data-new-0", kind, "data-db-1");
        let mut wanted = spec(1, true);
        wanted.template.spec.processes[0].ports.clear();
        put_set(&mut friends.state, "new", wanted);
        friends.settle_checked();
        let waiting = &friends.report.waiting[&member("new", 0)];
        assert!(matches!(waiting, Reason::CopyNeedsStop { .. }), "{waiting}");
        scale(&mut friends, 1);
        assert_eq!(
            tasks(&friends.state),
            [VolumeTask::Populate { online: false }]
        );
        scale(&mut friends, 2);
        let to = "PersistentVolumeClaim/data-new-0".to_owned();
        let claim = key("data-db-1");
        let held = Reason::VolumeCopied { claim, to };
        assert_eq!(friends.report.waiting[&member("db", 1)], held);
        // A volume that is copied does not go to the trash meanwhile.
        carry_out(&mut friends.state);
        friends.settle_checked();
        assert!(friends.report.waiting.is_empty(), "{:?}", friends.report);
    }
}

#[test]
fn a_copy_goes_to_a_volume_of_its_pool_that_is_large_enough() {
    let mut friends = running(ONLINE);
    let kind = DataSourceKind::PersistentVolumeClaim;
    begin(&mut friends.state, "data-new-0", kind, "data-db-1");
    let mut wanted = spec(1, true);
    wanted.template.spec.processes[0].ports.clear();
    put_set(&mut friends.state, "new", wanted);
    let why = |friends: &mut Friends| {
        friends.settle_checked();
        friends.report.waiting[&member("new", 0)].clone()
    };
    let claim = key("data-new-0");
    let asked = |friends: &mut Friends, bytes, class: &str| {
        let claim = friends.state.claims.get_mut(&key("data-new-0")).unwrap();
        claim.spec.resources.requests = quantity(bytes);
        claim.spec.storage_class_name = Some(class.to_owned());
    };
    asked(&mut friends, 3, "local");
    let because = CopyRefusal::TooSmall { bytes: 4 };
    let reason = Reason::CopyRefused {
        claim: claim.clone(),
        because,
    };
    assert_eq!(why(&mut friends), reason);
    let other = class(&mut friends.state, "other");
    other.provisioner = Provisioner::Local;
    "other".clone_into(&mut other.parameters.pool);
    asked(&mut friends, 4, "other");
    let pool = "default".to_owned();
    let because = CopyRefusal::OtherPool { pool };
    let reason = Reason::CopyRefused { claim, because };
    assert_eq!(why(&mut friends), reason);
    // Its host cannot take the member: nowhere else is its data.
    asked(&mut friends, 5, "local");
    friends
        .state
        .sets
        .get_mut(&key("new"))
        .unwrap()
        .members
        .clear();
    friends.contact(&host_name(2), false);
    let reason = why(&mut friends);
    let Reason::NoEligibleHost { hosts } = &reason else {
        panic!("{reason}");
    };
    let elsewhere = |refusal: &HostRefusal| matches!(&refusal.because, Refusal::VolumeElsewhere { host, .. } if *host == host_name(2));
    assert_eq!(hosts.iter().filter(|one| elsewhere(one)).count(), 2);
}

#[test]
fn data_goes_to_the_trash_only_when_the_snapshot_of_it_is_taken() {
    let mut friends = running(STILL[1]);
    scale(&mut friends, 1);
    ask(&mut friends.state, "snap", "data-db-1");
    friends.settle_checked();
    let claim = friends.state.claims.remove(&key("data-db-1")).unwrap();
    let volume = friends
        .state
        .volumes
        .get_mut(claim.volume.as_ref().unwrap());
    volume.unwrap().state = VolumeState::Trashing;
    assert_eq!(
        tasks(&friends.state),
        [VolumeTask::Snapshot { online: false }]
    );
    carry_out(&mut friends.state);
    assert_eq!(tasks(&friends.state), [VolumeTask::Trash]);
}

//! Claims that go with their members, or do not: every policy with every end (F-080 to F-083, T-22,
//! T-23, I-06).

use std::{collections::BTreeMap, time::Duration};

use crate::{
    fixture::{
        NOW, assign, friend::Friends, host_name, key, member, nfs_class, put_set, spec, state,
    },
    ids::{ClaimKey, Uid},
    spec::{
        ClaimReference, MemberVolume, ReclaimPolicy, Retention, RetentionPolicy, StatefulSetSpec,
    },
    state::{GoesWith, State, VolumeState},
    volume::work::{After, VolumeTask, done, work},
    waiting::Reason,
};

const RETAIN: Retention = Retention::Retain;
const DELETE: Retention = Retention::Delete;

fn wanted(replicas: i64, when_deleted: Retention, when_scaled: Retention) -> StatefulSetSpec {
    StatefulSetSpec {
        persistent_volume_claim_retention_policy: RetentionPolicy {
            when_deleted,
            when_scaled,
        },
        ..spec(replicas, true)
    }
}

fn running(when_deleted: Retention, when_scaled: Retention) -> Friends {
    let mut state = state(3);
    put_set(&mut state, "db", wanted(3, when_deleted, when_scaled));
    let mut friends = Friends::new(state);
    friends.settle();
    friends.log.clear();
    friends
}

/// The built-in class keeps what its claims leave; of these volumes the operator said otherwise.
fn reclaim(state: &mut State, policy: ReclaimPolicy) {
    for volume in state.volumes.values_mut() {
        volume.reclaim = policy;
    }
}

fn claims(friends: &Friends) -> Vec<String> {
    let names = friends.state.claims.keys();
    names.map(|key| key.name.to_string()).collect()
}

fn data(ordinal: u32) -> ClaimKey {
    member("db", ordinal).claim("data").unwrap()
}

/// The agents do their work on volumes.
fn agents_work(friends: &mut Friends) {
    for work in work(&friends.state, &BTreeMap::new())
        .into_values()
        .flatten()
    {
        let volume = &friends.state.volumes[&work.volume];
        match done(volume, work.task, friends.now) {
            Some(After::Is(after)) => drop(friends.state.volumes.insert(work.volume, *after)),
            Some(After::Gone) => drop(friends.state.volumes.remove(&work.volume)),
            None => panic!("{work:?} is not asked for"),
        }
    }
}

#[test]
fn i06_claims_are_tied_as_the_policy_says() {
    for (deleted, scaled) in [
        (RETAIN, RETAIN),
        (RETAIN, DELETE),
        (DELETE, RETAIN),
        (DELETE, DELETE),
    ] {
        let mut friends = running(deleted, scaled);
        let uid = friends.state.sets[&key("db")].uid.clone();
        let living = (deleted == DELETE).then_some(GoesWith::Set { uid });
        for claim in friends.state.claims.values() {
            assert_eq!(claim.goes_with, living, "{deleted:?} {scaled:?}");
        }
        put_set(&mut friends.state, "db", wanted(2, deleted, scaled));
        friends.plan();
        let epoch = friends.state.sets[&key("db")].members[&member("db", 2).ordinal].epoch;
        let leaving = match scaled {
            RETAIN => living.clone(),
            DELETE => Some(GoesWith::Member { epoch }),
        };
        assert_eq!(friends.state.claims[&data(2)].goes_with, leaving);
        assert_eq!(friends.state.claims[&data(1)].goes_with, living);
    }
}

#[test]
fn t22_claims_go_with_the_set_when_all_its_members_are_gone() {
    let mut friends = running(DELETE, RETAIN);
    reclaim(&mut friends.state, ReclaimPolicy::Delete);
    friends.lingering.insert(member("db", 0));
    friends.state.sets.get_mut(&key("db")).unwrap().deleting = Some(friends.now);
    friends.settle();
    assert_eq!(claims(&friends).len(), 3, "one still runs");
    friends.lingering.clear();
    friends.agents();
    friends.settle();
    assert_eq!(claims(&friends), [""; 0]);
    assert!(friends.state.sets.is_empty());
    let mut volumes = friends.state.volumes.values();
    assert!(volumes.all(|volume| volume.state == VolumeState::Trashing));
}

#[test]
fn t22_whether_the_set_is_deleted_says_nothing_of_scaling() {
    let mut friends = running(RETAIN, DELETE);
    friends.state.sets.get_mut(&key("db")).unwrap().deleting = Some(friends.now);
    friends.settle();
    assert_eq!(claims(&friends).len(), 3);
}

#[test]
fn t23_claims_go_with_the_members_that_scaling_takes_away() {
    let mut friends = running(RETAIN, DELETE);
    put_set(&mut friends.state, "db", wanted(1, RETAIN, DELETE));
    friends.settle();
    assert_eq!(claims(&friends), ["data-db-0"]);
    // The class keeps the data, as it does when a claim is deleted by hand.
    let mut volumes = friends.state.volumes.values();
    assert!(volumes.all(|volume| volume.state == VolumeState::Live));
}

#[test]
fn f081_restarts_updates_and_lost_hosts_take_no_claim() {
    let mut friends = running(DELETE, DELETE);
    let before: Vec<Uid> = friends
        .state
        .claims
        .values()
        .map(|c| c.uid.clone())
        .collect();
    let mut newer = wanted(3, DELETE, DELETE);
    newer.template.spec.processes[0].command = vec!["/bin/newer".to_owned()];
    put_set(&mut friends.state, "db", newer);
    friends.settle();
    friends.lose(&member("db", 1));
    friends.contact(&host_name(3), false);
    friends.settle();
    let after: Vec<Uid> = friends
        .state
        .claims
        .values()
        .map(|c| c.uid.clone())
        .collect();
    assert_eq!(before, after);
}

#[test]
fn f082_the_policy_may_change_and_does_not_reach_those_who_left() {
    let mut friends = running(RETAIN, RETAIN);
    put_set(&mut friends.state, "db", wanted(2, RETAIN, RETAIN));
    friends.settle();
    put_set(&mut friends.state, "db", wanted(2, DELETE, DELETE));
    friends.settle();
    assert_eq!(friends.state.claims[&data(2)].goes_with, None);
    friends.state.sets.get_mut(&key("db")).unwrap().deleting = Some(friends.now);
    friends.settle();
    assert_eq!(claims(&friends), ["data-db-2"]);
}

#[test]
fn f082_a_policy_that_keeps_claims_keeps_those_of_members_who_left_before() {
    let mut friends = running(DELETE, RETAIN);
    put_set(&mut friends.state, "db", wanted(2, DELETE, RETAIN));
    friends.settle();
    put_set(&mut friends.state, "db", wanted(2, RETAIN, RETAIN));
    friends.settle();
    assert_eq!(friends.state.claims[&data(2)].goes_with, None);
    friends.state.sets.get_mut(&key("db")).unwrap().deleting = Some(friends.now);
    friends.settle();
    assert_eq!(claims(&friends).len(), 3);
}

#[test]
fn f082_a_policy_that_changes_in_time_saves_a_claim() {
    let mut friends = running(RETAIN, DELETE);
    friends.lingering.insert(member("db", 2));
    put_set(&mut friends.state, "db", wanted(2, RETAIN, DELETE));
    friends.settle();
    put_set(&mut friends.state, "db", wanted(2, RETAIN, RETAIN));
    friends.lingering.clear();
    friends.agents();
    friends.settle();
    assert_eq!(claims(&friends).len(), 3);
}

#[test]
fn f083_an_ordinal_that_comes_back_at_once_waits_and_gets_a_fresh_claim() {
    let mut friends = running(RETAIN, DELETE);
    reclaim(&mut friends.state, ReclaimPolicy::Delete);
    let before = friends.state.claims[&data(2)].uid.clone();
    friends.lingering.insert(member("db", 2));
    put_set(&mut friends.state, "db", wanted(2, RETAIN, DELETE));
    friends.settle();
    put_set(&mut friends.state, "db", wanted(3, RETAIN, DELETE));
    friends.settle();
    let stale = Reason::ClaimStale { claim: data(2) };
    assert_eq!(friends.report.waiting[&member("db", 2)], stale);
    assert_eq!(friends.state.claims[&data(2)].uid, before);
    friends.lingering.clear();
    friends.agents();
    friends.settle();
    assert_eq!(friends.log, ["-db-2"], "its data is on its way out");
    assert_eq!(friends.report.waiting[&member("db", 2)], stale);
    agents_work(&mut friends);
    friends.settle();
    assert_eq!(friends.log, ["-db-2", "+db-2"]);
    let fresh = &friends.state.claims[&data(2)];
    assert_ne!(fresh.uid, before);
    assert_eq!(fresh.goes_with, None);
}

#[test]
fn f083_a_directory_on_a_server_is_free_again_once_its_data_is_in_the_trash() {
    let mut state = state(3);
    nfs_class(&mut state, "nfs").reclaim_policy = ReclaimPolicy::Delete;
    let nfs = |replicas| {
        let mut wanted = wanted(replicas, RETAIN, DELETE);
        wanted.volume_claim_templates[0].spec.storage_class_name = Some("nfs".to_owned());
        wanted
    };
    put_set(&mut state, "db", nfs(2));
    let mut friends = Friends::new(state);
    friends.settle();
    put_set(&mut friends.state, "db", nfs(1));
    friends.settle();
    put_set(&mut friends.state, "db", nfs(2));
    friends.settle();
    let stale = Reason::ClaimStale { claim: data(1) };
    assert_eq!(friends.report.waiting[&member("db", 1)], stale);
    agents_work(&mut friends);
    friends.settle();
    assert_eq!(friends.log.last().unwrap(), "+db-1");
    assert_eq!(friends.report.waiting.len(), 0);
}

#[test]
fn a_claim_that_others_share_is_left_alone() {
    let mut friends = running(RETAIN, DELETE);
    let claim = friends.state.claims.get_mut(&data(2)).unwrap();
    // As one that an operator gave to another set.
    claim.member = Some(member("other", 2));
    put_set(&mut friends.state, "db", wanted(1, RETAIN, DELETE));
    friends.settle();
    assert_eq!(claims(&friends), ["data-db-0", "data-db-2"]);
}

#[test]
fn a_claim_that_was_held_at_the_end_of_its_set_goes_when_nobody_holds_it() {
    let mut friends = running(DELETE, RETAIN);
    // As a set leaves it behind that ended while another one was to have the claim.
    friends.state.sets.remove(&key("db"));
    let mut reader = spec(1, false);
    reader.template.spec.volumes = vec![MemberVolume {
        name: "theirs".to_owned(),
        persistent_volume_claim: ClaimReference {
            claim_name: "data-db-0".to_owned(),
            ..ClaimReference::default()
        },
    }];
    put_set(&mut friends.state, "reader", reader);
    assign(&mut friends.state, &member("reader", 0));
    friends.plan();
    assert_eq!(claims(&friends), ["data-db-0"]);
    friends.state.sets.remove(&key("reader"));
    friends.settle();
    assert_eq!(claims(&friends), [""; 0]);
}

#[test]
fn nothing_is_deleted_while_the_store_may_be_an_old_one() {
    let mut friends = running(RETAIN, DELETE);
    friends
        .state
        .past
        .mismatched
        .insert(host_name(1), crate::history::Mismatched::default());
    put_set(&mut friends.state, "db", wanted(1, RETAIN, DELETE));
    friends.settle();
    assert_eq!(claims(&friends).len(), 3);
    friends.state.past.mismatched.clear();
    friends.settle();
    assert_eq!(claims(&friends).len(), 1);
}

#[test]
fn the_trash_is_emptied_when_its_time_is_over_and_not_before() {
    let mut friends = running(RETAIN, DELETE);
    reclaim(&mut friends.state, ReclaimPolicy::Delete);
    put_set(&mut friends.state, "db", wanted(2, RETAIN, DELETE));
    friends.settle();
    agents_work(&mut friends);
    friends.now = friends.now.plus(Duration::from_secs(3600));
    friends.settle();
    assert_eq!(friends.report.wake_at, None, "nobody said when");
    friends.state.trash_keep = Some(Duration::from_secs(7200));
    friends.settle();
    let end = NOW.plus(Duration::from_secs(7200));
    assert_eq!(friends.report.wake_at, Some(end));
    assert!(work(&friends.state, &BTreeMap::new()).is_empty());
    // The clock of a machine that just booted may be wrong.
    let believed = end.plus(Duration::from_secs(60));
    friends.state.trash_from = believed;
    friends.now = end;
    friends.settle();
    assert_eq!(friends.report.wake_at, Some(believed));
    assert!(work(&friends.state, &BTreeMap::new()).is_empty());
    friends.now = believed;
    friends.settle();
    let tasks: Vec<_> = work(&friends.state, &BTreeMap::new())
        .into_values()
        .flatten()
        .map(|work| work.task)
        .collect();
    assert_eq!(tasks, [VolumeTask::Purge]);
    agents_work(&mut friends);
    friends.settle();
    assert_eq!(friends.state.volumes.len(), 2);
}

#[test]
fn a_member_that_left_with_its_data_founds_nothing_when_it_comes_back() {
    let mut first = wanted(3, RETAIN, DELETE);
    first.bootstrap_policy = Some(crate::spec::GatePolicy::Parallel);
    let mut state = state(3);
    put_set(&mut state, "db", first.clone());
    let mut friends = Friends::new(state);
    friends.unready.extend([0, 1, 2].map(|n| member("db", n)));
    friends.settle();
    for replicas in [2, 3] {
        first.replicas = Some(replicas);
        put_set(&mut friends.state, "db", first.clone());
        friends.now = friends.now.plus(Duration::from_secs(60));
        friends.agents();
        friends.settle();
    }
    let founding = &friends.state.foundings[&key("db")];
    assert_eq!(founding.open.len(), 2);
    assert!(
        friends
            .report
            .waiting
            .values()
            .all(|reason| { !matches!(reason, Reason::FoundingDiskLost { .. }) })
    );
}

#[test]
fn a_set_is_founded_anew_on_fresh_volumes() {
    let mut state = state(3);
    let mut wanted = spec(3, true);
    wanted.bootstrap_policy = Some(crate::spec::GatePolicy::Parallel);
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.settle();
    let before: Vec<Uid> = friends
        .state
        .claims
        .values()
        .map(|c| c.uid.clone())
        .collect();
    let epoch = friends.state.sets[&key("db")].members[&member("db", 0).ordinal].epoch;
    friends.log.clear();
    for claim in friends.state.claims.values_mut() {
        claim.goes_with = Some(GoesWith::Asked);
    }
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    (set.deleting, set.refounding) = (Some(friends.now), true);
    friends.settle();
    assert_eq!(friends.log, ["-db-2", "-db-1", "-db-0"]);
    agents_work(&mut friends);
    friends.settle();
    assert_eq!(friends.log[3..], ["+db-0", "+db-1", "+db-2"]);
    let set = &friends.state.sets[&key("db")];
    assert!(set.deleting.is_none() && !set.refounding);
    assert!(set.members[&member("db", 0).ordinal].epoch > epoch);
    let founding = &friends.state.foundings[&key("db")];
    assert_eq!(founding.founders.len(), 3);
    let after = friends.state.claims.values();
    assert!(after.into_iter().all(|claim| !before.contains(&claim.uid)));
    assert_eq!(
        friends.state.volumes.len(),
        6,
        "the old data is in the trash"
    );
}

//! How many may be down for an update, and whom nobody misses.

use super::*;

#[test]
fn u23_max_unavailable_above_a_partition() {
    for policy in [GatePolicy::Parallel, GatePolicy::OrderedReady] {
        let wanted = |revision| StatefulSetSpec {
            pod_management_policy: policy,
            update_strategy: rolling(3, Some(Amount::Number(2))),
            ..at(spec(6, true), revision)
        };
        let mut friends = running(wanted(1));
        apply(&mut friends, wanted(2));
        friends.plan();
        assert_eq!(friends.log, ["-db-5", "-db-4"], "{policy:?}");
        friends.unready.extend([4, 5].map(|n| member("db", n)));
        friends.settle();
        friends.log.clear();
        friends.unready.remove(&member("db", 4));
        friends.agents();
        friends.plan();
        if policy == GatePolicy::Parallel {
            assert_eq!(friends.log, ["-db-3"], "as soon as one is up");
        } else {
            assert!(!friends.log.contains(&"-db-3".to_owned()));
        }
        friends.unready.clear();
        friends.settle();
        assert_eq!(updated(&friends), [3, 4, 5], "{policy:?}");
    }
}

#[test]
fn f056_a_percentage_is_rounded_down_and_at_least_one() {
    for (percent, expected) in [(50, 3), (49, 2), (1, 1), (100, 6)] {
        let wanted = |revision| StatefulSetSpec {
            update_strategy: rolling(0, Some(Amount::Percent(percent))),
            ..parallel(at(spec(6, true), revision))
        };
        let mut friends = running(wanted(1));
        apply(&mut friends, wanted(2));
        friends.plan();
        assert_eq!(friends.log.len(), expected, "{percent}%");
    }
}

#[test]
fn u25_the_only_member_is_replaced_although_it_is_broken() {
    let mut friends = running(parallel(at(spec(1, true), 1)));
    unready(&mut friends, &[0]);
    apply(&mut friends, parallel(at(spec(1, true), 2)));
    pass(&mut friends, 10);
    friends.plan();
    assert_eq!(friends.log, ["-db-0"]);
}

#[test]
fn u26_broken_old_members_cost_no_budget() {
    for policy in [GatePolicy::Parallel, GatePolicy::OrderedReady] {
        let wanted = |revision| StatefulSetSpec {
            pod_management_policy: policy,
            update_strategy: rolling(0, Some(Amount::Number(2))),
            ..at(spec(5, true), revision)
        };
        let mut friends = running(wanted(1));
        unready(&mut friends, &[3, 4]);
        apply(&mut friends, wanted(2));
        pass(&mut friends, 10);
        friends.plan();
        // Where a StatefulSet is stuck for ever, ours replaces one at a time.
        let expected: &[&str] = match policy {
            GatePolicy::Parallel => &["-db-4", "-db-3"],
            GatePolicy::OrderedReady | GatePolicy::OrderedStarted => &["-db-4"],
        };
        assert_eq!(friends.log, expected, "{policy:?}");
        friends.unready.clear();
        friends.settle();
        assert_eq!(updated(&friends), [0, 1, 2, 3, 4], "{policy:?}");
    }
}

#[test]
fn u27_a_member_that_is_being_stopped_holds_the_budget() {
    let mut friends = running(parallel(at(spec(3, true), 1)));
    friends.lingering.insert(member("db", 2));
    apply(&mut friends, parallel(at(spec(3, true), 2)));
    friends.settle();
    assert_eq!(friends.log, ["-db-2"]);
    friends.lingering.clear();
    friends.settle();
    assert_eq!(updated(&friends), [0, 1, 2]);
}

#[test]
fn u29_a_member_that_is_not_available_yet_goes_first_and_waits_for_enough_others() {
    for (lost, available) in [(1, 2), (2, 1)] {
        let wanted = |revision| StatefulSetSpec {
            min_ready_seconds: 30,
            ..parallel(at(spec(3, true), revision))
        };
        let mut friends = running(wanted(1));
        pass(&mut friends, 30);
        for n in 0..lost {
            friends.lose(&member("db", n));
        }
        friends.settle();
        friends.log.clear();
        apply(&mut friends, wanted(2));
        friends.plan();
        if available == 2 {
            assert_eq!(friends.log, ["-db-0"], "it was down for its users anyway");
            continue;
        }
        assert_eq!(friends.log, [""; 0], "one other is available, not two");
        let (cause, floor) = (DisruptionCause::Update, 2);
        let spent = Reason::BudgetSpent {
            cause,
            available,
            floor,
        };
        assert_eq!(reason(&friends, 1), Some(spent));
        pass(&mut friends, 30);
        friends.plan();
        assert_eq!(friends.log, ["-db-2"], "time alone frees it");
    }
}

#[test]
fn of_two_reasons_to_go_one_is_enough() {
    let wanted = |revision| StatefulSetSpec {
        update_strategy: rolling(0, Some(Amount::Number(2))),
        ..parallel(at(spec(3, true), revision))
    };
    let mut friends = running(wanted(1));
    let host = set(&friends).members[&Ordinal(0)].host.clone();
    friends.contact(&host, false);
    let now = friends.now;
    let restart = |friends: &mut Friends| {
        let set = friends.state.sets.get_mut(&key("db")).unwrap();
        set.members.get_mut(&Ordinal(2)).unwrap().restart_asked = Some(now);
    };
    restart(&mut friends);
    friends.plan();
    assert_eq!(friends.log, [""; 0], "a restart asks for two others");
    apply(&mut friends, wanted(2));
    friends.settle_checked();
    assert_eq!(friends.log, ["-db-2", "+db-2", "-db-1", "+db-1"]);
}

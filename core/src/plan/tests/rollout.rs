//! Every way of updating, halting and going back. Names begin with the scenario of the inventory
//! where there is one.

use std::time::Duration;

use crate::{
    check::check_plan,
    fixture::{friend::Friends, host_name, key, member, put_set, spec, state},
    ids::{Ordinal, TemplateHash},
    plan::plan,
    spec::{
        Amount, DisruptionBudget, EnvVar, EnvVarSource, GatePolicy, KeySelector, RollingUpdate,
        StatefulSetSpec, UpdateKind, UpdateStrategy,
    },
    state::{Offline, RolloutPhase, Set},
    waiting::{DisruptionCause, Reason},
};

mod unavailable;

/// The spec with a template of its own.
fn at(mut wanted: StatefulSetSpec, revision: u32) -> StatefulSetSpec {
    wanted.template.spec.processes[0].env = vec![EnvVar {
        name: "REVISION".to_owned(),
        value: Some(revision.to_string()),
        ..EnvVar::default()
    }];
    wanted
}

fn rolling(partition: u32, most: Option<Amount>) -> Option<UpdateStrategy> {
    Some(UpdateStrategy {
        kind: UpdateKind::RollingUpdate,
        rolling_update: Some(RollingUpdate {
            partition,
            max_unavailable: most,
        }),
    })
}

fn kind(kind: UpdateKind) -> Option<UpdateStrategy> {
    Some(UpdateStrategy {
        kind,
        rolling_update: None,
    })
}

fn parallel(wanted: StatefulSetSpec) -> StatefulSetSpec {
    StatefulSetSpec {
        pod_management_policy: GatePolicy::Parallel,
        ..wanted
    }
}

/// A set whose members all run and are ready.
fn running(wanted: StatefulSetSpec) -> Friends {
    let mut state = state(7);
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.settle();
    friends.log.clear();
    friends
}

fn apply(friends: &mut Friends, wanted: StatefulSetSpec) {
    put_set(&mut friends.state, "db", wanted);
}

fn set(friends: &Friends) -> &Set {
    &friends.state.sets[&key("db")]
}

fn newest(friends: &Friends) -> TemplateHash {
    set(friends).revision.clone()
}

/// The ordinals of the newest revision.
fn updated(friends: &Friends) -> Vec<u32> {
    let members = set(friends).members.iter();
    let updated = members.filter(|(_, member)| member.revision == set(friends).revision);
    updated.map(|(ordinal, _)| ordinal.0).collect()
}

fn unready(friends: &mut Friends, ordinals: &[u32]) {
    friends.unready = ordinals.iter().map(|n| member("db", *n)).collect();
    friends.agents();
}

fn reason(friends: &Friends, ordinal: u32) -> Option<Reason> {
    friends.report.waiting.get(&member("db", ordinal)).cloned()
}

fn pass(friends: &mut Friends, seconds: u64) {
    friends.now = friends.now.plus(Duration::from_secs(seconds));
}

#[test]
fn t05_rolling_update_and_rollback() {
    let mut friends = running(at(spec(3, true), 1));
    let first = newest(&friends);
    assert_eq!(*set(&friends).current_revision(), first);
    unready(&mut friends, &[1]);
    apply(&mut friends, at(spec(3, true), 2));
    friends.plan();
    assert_eq!(friends.log, [""; 0], "another one is down");
    assert_eq!(*set(&friends).current_revision(), first);
    unready(&mut friends, &[]);
    friends.settle();
    assert_eq!(
        friends.log,
        ["-db-2", "+db-2", "-db-1", "+db-1", "-db-0", "+db-0"]
    );
    assert_eq!(*set(&friends).current_revision(), newest(&friends));

    friends.log.clear();
    unready(&mut friends, &[1]);
    apply(&mut friends, at(spec(3, true), 1));
    assert_eq!(newest(&friends), first, "no third revision");
    friends.settle();
    assert_eq!(friends.log, [""; 0], "another one is down");
    unready(&mut friends, &[]);
    friends.settle();
    assert_eq!(
        friends.log,
        ["-db-2", "+db-2", "-db-1", "+db-1", "-db-0", "+db-0"]
    );
    assert_eq!(updated(&friends), [0, 1, 2]);
    assert_eq!(*set(&friends).current_revision(), first);
}

#[test]
fn t06_canary_and_phased_update() {
    let wanted = |revision, partition| StatefulSetSpec {
        update_strategy: rolling(partition, None),
        ..at(spec(3, true), revision)
    };
    let mut friends = running(wanted(1, 3));
    let first = newest(&friends);
    apply(&mut friends, wanted(2, 3));
    friends.settle();
    assert_eq!(friends.log, [""; 0]);
    let first_updated = Ordinal(3);
    assert_eq!(
        reason(&friends, 2),
        Some(Reason::BelowPartition {
            first: first_updated
        })
    );
    apply(&mut friends, wanted(2, 2));
    friends.settle();
    assert_eq!(updated(&friends), [2]);
    assert_eq!(*set(&friends).current_revision(), first);
    for ordinal in [0, 2] {
        friends.lose(&member("db", ordinal));
    }
    friends.settle();
    assert_eq!(updated(&friends), [2], "each is born with its own revision");
    for (partition, expected) in [(1, vec![1, 2]), (0, vec![0, 1, 2])] {
        assert_eq!(*set(&friends).current_revision(), first);
        apply(&mut friends, wanted(2, partition));
        friends.settle();
        assert_eq!(updated(&friends), expected);
    }
    assert_eq!(*set(&friends).current_revision(), newest(&friends));
}

#[test]
fn f054_a_partition_counts_members_from_the_first_ordinal_on() {
    let wanted = |revision| {
        let mut wanted = at(spec(3, true), revision);
        wanted.ordinals.start = 2;
        wanted.update_strategy = rolling(1, None);
        wanted
    };
    let mut friends = running(wanted(1));
    apply(&mut friends, wanted(2));
    friends.settle();
    assert_eq!(updated(&friends), [3, 4]);
    let words = crate::plan::terms::updates(set(&friends));
    assert!(words.contains("from ordinal 4 down to 3"), "{words}");
}

#[test]
fn t09_on_delete() {
    let wanted = |revision, replicas| StatefulSetSpec {
        update_strategy: kind(UpdateKind::OnDelete),
        ..at(spec(replicas, true), revision)
    };
    let mut friends = running(wanted(1, 3));
    apply(&mut friends, wanted(2, 3));
    friends.settle();
    assert_eq!(friends.log, [""; 0]);
    assert_eq!(reason(&friends, 1), Some(Reason::UpdatedOnRestart));
    apply(&mut friends, wanted(2, 4));
    friends.lose(&member("db", 0));
    friends.settle();
    assert_eq!(
        updated(&friends),
        [0, 3],
        "lost ones and new ones come up new"
    );
    let now = friends.now;
    let asked = friends.state.sets.get_mut(&key("db")).unwrap();
    asked.members.get_mut(&Ordinal(1)).unwrap().restart_asked = Some(now);
    friends.settle();
    assert_eq!(updated(&friends), [0, 1, 3]);
}

#[test]
fn t20_t21_availability_follows_min_ready_seconds() {
    let wanted = |seconds, revision| StatefulSetSpec {
        min_ready_seconds: seconds,
        ..parallel(at(spec(2, false), revision))
    };
    let mut friends = running(wanted(30, 1));
    let holds = |friends: &Friends| friends.report.conditions[&key("db")][0].holds;
    friends.plan();
    assert!(!holds(&friends));
    apply(&mut friends, wanted(30, 2));
    friends.plan();
    assert_eq!(friends.log, [""; 0], "an update waits for it, too");
    pass(&mut friends, 30);
    friends.plan();
    assert!(friends.log.starts_with(&["-db-1".to_owned()]));
    apply(&mut friends, wanted(3600, 2));
    friends.plan();
    assert!(!holds(&friends));
    apply(&mut friends, wanted(0, 2));
    friends.settle();
    assert!(holds(&friends));
}

#[test]
fn t34_recreate_starts_none_before_all_are_gone() {
    let wanted = |revision| StatefulSetSpec {
        update_strategy: kind(UpdateKind::Recreate),
        ..at(spec(3, true), revision)
    };
    let mut friends = running(wanted(1));
    let claims = friends.state.claims.clone();
    friends.lingering.insert(member("db", 1));
    apply(&mut friends, wanted(2));
    friends.settle();
    assert_eq!(friends.log, ["-db-2", "-db-1", "-db-0"]);
    let ordinal = Ordinal(1);
    assert_eq!(
        reason(&friends, 0),
        Some(Reason::OlderRevisionThere { ordinal })
    );
    friends.lingering.clear();
    friends.settle();
    assert_eq!(updated(&friends), [0, 1, 2]);
    assert_eq!(friends.log.len(), 6);
    assert_eq!(friends.state.claims, claims);
    friends.log.clear();
    apply(&mut friends, at(spec(3, true), 2));
    friends.settle();
    assert_eq!(
        friends.log, [""; 0],
        "another strategy alone starts nothing"
    );
}

#[test]
fn a_paused_set_updates_nothing_and_does_everything_else() {
    let mut friends = running(at(spec(3, true), 1));
    let first = newest(&friends);
    let wanted = |replicas| StatefulSetSpec {
        paused: Some(true),
        ..at(spec(replicas, true), 2)
    };
    apply(&mut friends, wanted(3));
    friends.settle();
    assert_eq!(friends.log, [""; 0]);
    assert_eq!(reason(&friends, 0), Some(Reason::UpdatesPaused));
    pass(&mut friends, 3600);
    friends.lose(&member("db", 0));
    apply(&mut friends, wanted(4));
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-3"]);
    assert_eq!(updated(&friends), [0; 0], "nobody is updated by the way");
    assert_eq!(*set(&friends).current_revision(), first);
    apply(&mut friends, at(spec(4, true), 2));
    friends.settle();
    assert_eq!(updated(&friends), [0, 1, 2, 3], "its clock stood meanwhile");
}

/// A rollout whose first member does not become ready.
fn bad_rollout(auto_rollback: bool) -> Friends {
    let wanted = |revision| StatefulSetSpec {
        auto_rollback,
        progress_deadline_seconds: Some(60),
        ..at(spec(3, true), revision)
    };
    let mut friends = running(wanted(1));
    apply(&mut friends, wanted(2));
    friends.plan();
    friends.unready.insert(member("db", 2));
    friends.settle();
    friends
}

fn phase(friends: &Friends) -> RolloutPhase {
    set(friends).rollout_phase()
}

#[test]
fn a_rollout_that_does_not_get_better_is_paused_for_good() {
    let mut friends = bad_rollout(false);
    assert_eq!(phase(&friends), RolloutPhase::Going);
    pass(&mut friends, 60);
    friends.settle();
    assert_eq!(phase(&friends), RolloutPhase::Stalled);
    let seconds = 60;
    assert_eq!(
        reason(&friends, 0),
        Some(Reason::RolloutStalled { seconds })
    );
    friends.log.clear();
    // A coordinator that starts anew knows it still; the member that comes up is not enough.
    friends.unready.clear();
    friends.settle();
    assert_eq!(friends.log, [""; 0]);
    let now = friends.now;
    let resumed = friends.state.sets.get_mut(&key("db")).unwrap();
    assert!(resumed.rollout.resume(now));
    friends.settle();
    assert_eq!(updated(&friends), [0, 1, 2]);
}

#[test]
fn the_old_template_put_back_heals_with_no_further_act() {
    let mut friends = bad_rollout(false);
    pass(&mut friends, 60);
    friends.settle();
    friends.log.clear();
    apply(&mut friends, at(spec(3, true), 1));
    friends.plan();
    assert_eq!(friends.log, ["-db-2"]);
    friends.unready.clear();
    friends.settle();
    assert_eq!(updated(&friends), [0, 1, 2]);
    assert_eq!(phase(&friends), RolloutPhase::Resting);
}

#[test]
fn auto_rollback_takes_a_bad_rollout_back_until_the_template_changes() {
    let mut friends = bad_rollout(true);
    let bad = newest(&friends);
    friends.log.clear();
    pass(&mut friends, 60);
    friends.plan();
    assert_eq!(phase(&friends), RolloutPhase::TakenBack);
    assert_eq!(friends.log, ["-db-2"], "it is broken and goes first");
    friends.unready.clear();
    friends.settle();
    assert_eq!(newest(&friends), bad, "what the operator wrote stays");
    assert_eq!(updated(&friends), [0; 0]);
    assert!(friends.report.waiting.is_empty());
    let conditions = friends.report.conditions[&key("db")].clone();
    let words: Vec<String> = conditions
        .iter()
        .map(|one| format!("{} {} {}", one.kind, one.holds, one.reason))
        .collect();
    assert_eq!(
        words,
        [
            "Available true MembersAvailable",
            "Progressing false RolledBack",
            "Paused false NotPaused"
        ]
    );
    apply(&mut friends, at(spec(3, true), 3));
    friends.settle();
    assert_eq!(updated(&friends), [0, 1, 2]);
    assert_eq!(*set(&friends).current_revision(), newest(&friends));
}

#[test]
fn a_rollout_that_gets_better_slowly_is_not_late() {
    let mut friends = bad_rollout(true);
    for ordinal in [2, 1, 0] {
        pass(&mut friends, 50);
        friends.unready.remove(&member("db", ordinal));
        if ordinal > 0 {
            friends.unready.insert(member("db", ordinal - 1));
        }
        // The next one was not touched yet: it is ready until then.
        friends.agents();
        friends.unready.clear();
        friends.settle();
    }
    assert_eq!(updated(&friends), [0, 1, 2]);
}

fn budget(least: Amount) -> Option<DisruptionBudget> {
    Some(DisruptionBudget {
        min_available: Some(least),
        max_unavailable: None,
    })
}

#[test]
fn scaling_in_waits_for_the_budget_and_says_so() {
    let wanted = |replicas| StatefulSetSpec {
        disruption_budget: budget(Amount::Quorum),
        ..parallel(spec(replicas, true))
    };
    let mut friends = running(wanted(5));
    unready(&mut friends, &[0, 1]);
    apply(&mut friends, wanted(3));
    friends.settle();
    assert_eq!(
        friends.log,
        ["-db-4"],
        "2 of 3 must be available besides it"
    );
    assert_eq!(
        reason(&friends, 3),
        Some(Reason::BudgetSpent {
            cause: DisruptionCause::ScaleIn,
            available: 1,
            floor: 2
        })
    );
    pass(&mut friends, 3600);
    friends.plan();
    assert_eq!(friends.log.len(), 1, "however long it takes");
    unready(&mut friends, &[0]);
    friends.settle();
    assert_eq!(friends.log, ["-db-4", "-db-3"]);
    apply(&mut friends, wanted(0));
    friends.settle();
    assert_eq!(friends.running(), Vec::<String>::new());
}

#[test]
fn updates_and_restarts_share_one_budget() {
    let wanted = |revision| StatefulSetSpec {
        disruption_budget: budget(Amount::Number(3)),
        update_strategy: rolling(0, Some(Amount::Number(4))),
        ..parallel(at(spec(5, true), revision))
    };
    let mut friends = running(wanted(1));
    apply(&mut friends, wanted(2));
    let now = friends.now;
    let asked = friends.state.sets.get_mut(&key("db")).unwrap();
    asked.members.get_mut(&Ordinal(0)).unwrap().restart_asked = Some(now);
    friends.plan();
    assert_eq!(friends.log, ["-db-0", "-db-4"]);
    assert_eq!(
        reason(&friends, 3),
        Some(Reason::BudgetSpent {
            cause: DisruptionCause::Update,
            available: 2,
            floor: 3
        })
    );
    friends.settle();
    assert_eq!(updated(&friends), [0, 1, 2, 3, 4]);
}

#[test]
fn an_unknown_member_counts_as_down_and_is_skipped() {
    let wanted = |revision| StatefulSetSpec {
        update_strategy: rolling(0, Some(Amount::Number(2))),
        ..at(spec(4, true), revision)
    };
    let mut friends = running(wanted(1));
    friends.contact(&host_name(4), false);
    apply(&mut friends, wanted(2));
    friends.settle();
    assert_eq!(
        updated(&friends),
        [0, 1, 2],
        "one at a time, beside the unknown one"
    );
}

#[test]
fn a_rollout_rests_while_an_operator_keeps_all_members_down() {
    let mut friends = running(at(spec(1, false), 1));
    let offline = Offline {
        since: friends.now,
        reason: String::new(),
    };
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    set.offline.insert(Ordinal(0), offline);
    friends.settle();
    assert_eq!(friends.log, ["-db-0"]);
    let mut newer = at(spec(1, false), 2);
    newer.template.spec.processes[0].env[0] = EnvVar {
        name: "REVISION".to_owned(),
        value_from: Some(EnvVarSource {
            config_map_key_ref: Some(KeySelector {
                name: "missing".to_owned(),
                key: "revision".to_owned(),
                optional: false,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    apply(&mut friends, newer);
    friends.settle();
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    assert_eq!(set.rollout.phase, RolloutPhase::Resting);
    set.offline.clear();
    friends.settle();
    assert_eq!(friends.log, ["-db-0", "+db-0"], "as it was");
}

#[test]
fn recreate_takes_the_members_down_that_are_not_wanted_any_more() {
    for policy in [GatePolicy::OrderedReady, GatePolicy::Parallel] {
        let wanted = |replicas, revision| StatefulSetSpec {
            update_strategy: kind(UpdateKind::Recreate),
            disruption_budget: Some(DisruptionBudget {
                min_available: Some(Amount::Number(1)),
                max_unavailable: None,
            }),
            pod_management_policy: policy,
            ..at(spec(replicas, true), revision)
        };
        let mut friends = running(wanted(3, 1));
        apply(&mut friends, wanted(1, 2));
        friends.settle();
        assert_eq!(updated(&friends), [0], "{policy:?}");
        assert_eq!(friends.running(), ["db-0"], "{:?}", friends.report);
        assert_eq!(friends.log.last().unwrap(), "+db-0");
    }
}

#[test]
fn a_member_that_no_update_concerns_goes_where_its_own_revision_wants_it() {
    let mut friends = running(at(spec(1, false), 1));
    let mut newer = at(spec(1, false), 2);
    newer.paused = Some(true);
    let selector = &mut newer.template.spec.node_selector;
    selector.insert("n".to_owned(), "5".to_owned());
    apply(&mut friends, newer);
    friends.settle();
    friends.lose(&member("db", 0));
    let (steps, _) = plan(&friends.state, friends.now);
    assert_eq!(check_plan(&friends.state, &steps, friends.now), []);
    friends.settle();
    assert_eq!(friends.log, ["+db-0"]);
}

//! What a change takes down: said when the plan stops members for it, and only then.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use crate::{
    fixture::{NOW, friend::Friends, key, member, put_set, spec, state},
    ids::MemberId,
    plan::{Step, disruptions, forecast::forecast},
    spec::{
        Amount, ConfigMap, ConfigUpdate, FileSource, GatePolicy, KeySelector, OnChange, Override,
        Placement, Retention, RollingUpdate, StatefulSetSpec, UpdateKind, UpdateStrategy,
    },
    state::State,
};

fn at(mut wanted: StatefulSetSpec, revision: &str) -> StatefulSetSpec {
    wanted.template.spec.processes[0].args = vec![revision.to_owned()];
    wanted
}

fn strategy(
    kind: UpdateKind,
    partition: u32,
    most: Option<u32>,
) -> impl Fn(StatefulSetSpec) -> StatefulSetSpec {
    move |wanted| StatefulSetSpec {
        update_strategy: Some(UpdateStrategy {
            kind,
            rolling_update: (kind == UpdateKind::RollingUpdate).then(|| RollingUpdate {
                partition,
                max_unavailable: most.map(Amount::Number),
            }),
        }),
        ..wanted
    }
}

fn paused(wanted: StatefulSetSpec, paused: bool) -> StatefulSetSpec {
    StatefulSetSpec {
        paused: Some(paused),
        ..wanted
    }
}

fn running(wanted: StatefulSetSpec) -> Friends {
    let mut state = state(5);
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.settle();
    friends
}

/// What a change disrupts, and who stops for it if all goes well.
fn asked(friends: &Friends, change: impl FnOnce(&mut State)) -> (Vec<String>, BTreeSet<MemberId>) {
    let before = &friends.state;
    let mut after = before.clone();
    change(&mut after);
    let told = disruptions(before, &after, friends.now);
    let foreseen = forecast(&after, friends.now);
    let steps = foreseen.rounds.into_iter().flatten();
    let stopped = steps.filter_map(|one| {
        let Step::Stop { member, .. } = one.step else {
            return None;
        };
        Some(member)
    });
    (told, stopped.collect())
}

/// A change of the spec, made.
fn applied(friends: &mut Friends, wanted: StatefulSetSpec) -> Vec<String> {
    let (told, stopped) = asked(friends, |state| put_set(state, "db", wanted.clone()));
    assert_eq!(told.is_empty(), stopped.is_empty(), "{told:?} {stopped:?}");
    for id in stopped {
        let named = told.iter().any(|text| text.contains(&id.name()));
        assert!(named || told[0].contains(" to "), "{id}: {told:?}");
    }
    put_set(&mut friends.state, "db", wanted);
    friends.settle();
    told
}

#[test]
fn whatever_lets_an_update_go_on_is_told() {
    let rolling = |partition| strategy(UpdateKind::RollingUpdate, partition, None);
    let mut friends = running(at(spec(3, true), "one"));
    let kept = rolling(3)(at(spec(3, true), "two"));
    assert_eq!(
        applied(&mut friends, kept),
        [""; 0],
        "the partition keeps them"
    );
    assert_eq!(
        applied(&mut friends, rolling(2)(at(spec(3, true), "two"))),
        ["default/db: updates that were held back go on, db-2 is restarted"]
    );
    assert_eq!(
        applied(&mut friends, rolling(0)(at(spec(3, true), "two"))),
        [
            "default/db: updates that were held back go on, db-1, db-0 are restarted one after the other"
        ]
    );

    let on_delete = strategy(UpdateKind::OnDelete, 0, None);
    assert_eq!(
        applied(&mut friends, on_delete(at(spec(3, true), "three"))),
        [""; 0]
    );
    assert_eq!(
        applied(&mut friends, at(spec(3, true), "three")),
        [
            "default/db: updates that were held back go on, db-2 to db-0 are restarted one after the other"
        ]
    );

    let four = at(spec(3, true), "four");
    assert_eq!(applied(&mut friends, paused(four.clone(), true)), [""; 0]);
    assert_eq!(applied(&mut friends, paused(four, false)).len(), 1);
}

#[test]
fn the_words_are_those_of_the_strategy() {
    let mut friends = running(at(spec(3, true), "one"));
    assert_eq!(
        applied(&mut friends, at(spec(3, true), "two")),
        ["default/db: the template changes, db-2 to db-0 are restarted one after the other"]
    );
    let recreate = strategy(UpdateKind::Recreate, 0, None);
    assert_eq!(
        applied(&mut friends, recreate(at(spec(3, true), "three"))),
        [
            "default/db: the template changes, db-2 to db-0 are stopped together, and started again \
          when all of them are gone"
        ]
    );
    let two = strategy(UpdateKind::RollingUpdate, 0, Some(2));
    let parallel = |wanted| StatefulSetSpec {
        pod_management_policy: GatePolicy::Parallel,
        ..wanted
    };
    assert_eq!(
        applied(&mut friends, parallel(two(at(spec(3, true), "four")))),
        ["default/db: the template changes, db-2 to db-0 are restarted at most 2 at a time"]
    );
    let one = Override {
        ordinals: "1".to_owned(),
        args: Some(vec!["other".to_owned()]),
        ..Override::default()
    };
    let differs = StatefulSetSpec {
        overrides: vec![one],
        ..at(spec(3, true), "four")
    };
    assert_eq!(
        applied(&mut friends, differs),
        ["default/db: what differs for single ordinals changes, db-1 is restarted"]
    );
}

#[test]
fn members_that_leave_are_told_with_what_becomes_of_their_data() {
    let mut friends = running(spec(4, true));
    let mut wanted = spec(2, true);
    assert_eq!(
        applied(&mut friends, wanted.clone()),
        [
            "default/db shrinks from 4 to 2: db-3, db-2 stop one after the other; their volumes are kept"
        ]
    );
    wanted.persistent_volume_claim_retention_policy.when_scaled = Retention::Delete;
    assert_eq!(applied(&mut friends, wanted.clone()), [""; 0]);
    wanted.ordinals.reserved = BTreeSet::from([0]);
    let told = applied(&mut friends, wanted);
    assert_eq!(
        told,
        [
            "default/db has other ordinals: db-0 stops; their claims are deleted then (whenScaled: \
          Delete)"
        ]
    );
}

#[test]
fn a_host_per_member_is_left_when_the_selector_changes() {
    let mut wanted = spec(0, true);
    wanted.replicas = None;
    wanted.placement = Placement::PerHost;
    wanted.pod_management_policy = GatePolicy::Parallel;
    let mut friends = running(wanted.clone());
    let selector = &mut wanted.template.spec.node_selector;
    selector.insert("n".to_owned(), "2".to_owned());
    let told = applied(&mut friends, wanted);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("shrinks from 5 to 1: db-4, db-3, db-2, db-0 stop"),
        "{told:?}"
    );
    assert!(
        told[1].ends_with("the template changes, db-1 is restarted"),
        "{told:?}"
    );
}

#[test]
fn what_is_under_way_is_not_told_again_and_what_nobody_can_do_now_is_told_all_the_same() {
    let mut friends = running(at(spec(3, true), "one"));
    let two = at(spec(3, true), "two");
    friends.unready = BTreeSet::from([member("db", 0)]).into_iter().collect();
    friends.agents();
    put_set(&mut friends.state, "db", two.clone());
    friends.plan();
    let (told, stopped) = asked(&friends, |state| {
        put_set(
            state,
            "db",
            StatefulSetSpec {
                min_ready_seconds: 1,
                ..two.clone()
            },
        );
    });
    assert_eq!(told, [""; 0]);
    assert_eq!(stopped.len(), 3, "they go anyway");
    for host in friends.state.hosts.values_mut() {
        host.contact.connected = false;
    }
    let (told, stopped) = asked(&friends, |state| {
        put_set(state, "db", at(spec(3, true), "three"))
    });
    assert_eq!(
        (told.len(), stopped.len()),
        (1, 0),
        "its agents will be back: {told:?}"
    );
}

#[test]
fn a_rollout_that_was_taken_back_leaves_nothing_to_take_back() {
    let mut wanted = at(spec(3, true), "one");
    wanted.auto_rollback = true;
    wanted.progress_deadline_seconds = Some(60);
    let mut friends = running(wanted.clone());
    let mut bad = at(wanted.clone(), "two");
    bad.auto_rollback = false;
    put_set(&mut friends.state, "db", bad.clone());
    friends.unready = (0..3).map(|n| member("db", n)).collect();
    friends.settle();
    friends.now = friends.now.plus(Duration::from_secs(61));
    friends.settle();
    friends.unready.clear();
    friends.agents();
    bad.auto_rollback = true;
    let back = applied(&mut friends, bad);
    assert_eq!(
        back,
        ["default/db: its rollout is taken back, db-2 is restarted"],
        "the first that was updated"
    );
    assert_eq!(
        applied(&mut friends, wanted),
        [""; 0],
        "they have it already"
    );
}

#[test]
fn files_that_are_delivered_disrupt_only_where_a_process_starts_anew() {
    for (on_change, told) in [
        (OnChange::Signal, vec![]),
        (
            OnChange::Restart,
            vec![
                "default/db: the configuration that it uses changes, processes of db-1 to db-0 are \
                 started anew one member after the other (onChange: Restart)",
            ],
        ),
    ] {
        let mut wanted = spec(2, false);
        wanted.config_update = ConfigUpdate::Reload;
        wanted.template.spec.processes[0].files = vec![FileSource {
            path: "db.conf".to_owned(),
            config_map: Some(KeySelector {
                name: "conf".to_owned(),
                key: "level".to_owned(),
                optional: false,
            }),
            on_change,
            ..FileSource::default()
        }];
        let mut state = state(2);
        let level = |state: &mut State, value: &str| {
            let map = state
                .config_maps
                .or_insert_with(key("conf"), ConfigMap::default);
            map.data.insert("level".to_owned(), value.to_owned());
        };
        level(&mut state, "1");
        put_set(&mut state, "db", wanted);
        let mut friends = Friends::new(state);
        friends.settle();
        let (said, stopped) = asked(&friends, |state| {
            level(state, "2");
            state.revise(&key("db"), NOW);
        });
        assert_eq!(said, told);
        assert!(stopped.is_empty());
    }
}

#[test]
fn the_end_of_a_set_names_members_and_claims() {
    let mut friends = running(spec(2, true));
    let ends = |state: &mut State| {
        let set = state.sets.get_mut(&key("db")).unwrap();
        set.deleting = Some(NOW);
    };
    let (told, stopped) = asked(&friends, ends);
    assert_eq!(
        told,
        ["db-1, db-0 stop, the highest first; the volumes are kept"]
    );
    assert_eq!(stopped.len(), 2);
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    let policy = &mut Arc::make_mut(&mut set.spec).persistent_volume_claim_retention_policy;
    policy.when_deleted = Retention::Delete;
    let (told, _) = asked(&friends, ends);
    assert_eq!(
        told,
        [
            "db-1, db-0 stop, the highest first; then these claims are deleted (whenDeleted: Delete): \
          data-db-0, data-db-1"
        ]
    );
}

#[test]
fn members_that_run_on_without_their_set_are_told_of_when_it_takes_them_back_with_another_template()
{
    let mut friends = running(at(spec(2, false), "one"));
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    set.orphaned = Some(NOW);
    let adopt = |wanted: StatefulSetSpec| {
        move |state: &mut State| {
            put_set(state, "db", wanted);
            let set = state.sets.get_mut(&key("db")).unwrap();
            set.orphaned = None;
        }
    };
    let (told, _) = asked(&friends, adopt(at(spec(2, false), "one")));
    assert_eq!(told, [""; 0]);
    let (told, stopped) = asked(&friends, adopt(at(spec(2, false), "two")));
    assert_eq!((told.len(), stopped.len()), (1, 2));
}

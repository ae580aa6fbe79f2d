//! Members that an operator wants on other hosts, with and without data that goes along.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    fixture::{
        NOW, friend::Friends, host_name, key, member, nfs_class, put_set, quantity, spec, state,
    },
    ids::{ClaimKey, MemberId, ObjectKey},
    plan::{Step, moves::target},
    spec::{Placement, StatefulSetSpec},
    state::{
        ConfirmedDead, GoesWith, State, VolumeState, leaving,
        moving::{NotMoving, ask, give_up},
    },
    volume::work::{self, After, VolumeTask, VolumeWork},
    waiting::{Reason, Refusal},
};

fn settled(hosts: u8, wanted: StatefulSetSpec) -> Friends {
    let mut state = state(hosts);
    nfs_class(&mut state, "nfs");
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.settle();
    friends.log.clear();
    friends
}

/// Two members with local data on `host-1` and `host-2` of three.
fn local() -> Friends {
    settled(3, spec(2, true))
}

fn first() -> MemberId {
    member("db", 0)
}

fn claim() -> ClaimKey {
    first().claim("data").unwrap()
}

fn volume(state: &State) -> ObjectKey {
    state.claims[&claim()].volume.clone().unwrap()
}

fn place(friends: &Friends) -> String {
    friends.state.sets[&key("db")].members[&first().ordinal]
        .host
        .to_string()
}

fn go(friends: &mut Friends, host: u8) {
    let to = host_name(host);
    friends.state = ask(&friends.state, &first(), Some(&to), friends.now).unwrap();
}

fn stay(friends: &mut Friends) {
    friends.state = give_up(&friends.state, &first(), "an operator gave it up").unwrap();
}

fn due(state: &State) -> Vec<VolumeWork> {
    let all = work::work(state, &BTreeMap::new()).into_values();
    all.flatten().collect()
}

/// Agents do what is to be done about volumes; the tasks.
fn works(friends: &mut Friends) -> Vec<VolumeTask> {
    let due = due(&friends.state);
    for work in &due {
        let record = &friends.state.volumes[&work.volume];
        match work::done(record, work.task, friends.now).unwrap() {
            After::Is(after) => drop(friends.state.volumes.insert(work.volume.clone(), *after)),
            After::Gone => drop(friends.state.volumes.remove(&work.volume)),
        }
    }
    due.iter().map(|work| work.task).collect()
}

/// Stopped, gone, and being copied to `host-3`.
fn copying() -> Friends {
    let mut friends = local();
    go(&mut friends, 3);
    friends.settle_checked();
    friends
}

fn reason(friends: &Friends) -> Reason {
    friends.report.waiting[&first()].clone()
}

#[test]
fn data_is_copied_while_nobody_runs_and_changes_place_as_a_whole() {
    let mut friends = copying();
    let before = volume(&friends.state);
    assert_eq!(friends.log, ["-db-0"]);
    assert!(matches!(reason(&friends), Reason::MemberMoving(_)));
    let grant = &friends.state.sets[&key("db")].last_grants[&first().ordinal];
    let epoch = grant.epoch;
    let from = due(&friends.state)[0].from.clone().unwrap();
    assert_eq!(from.source.host(), Some(&host_name(1)));
    let bytes = friends.state.volumes[&before].capacity;
    assert_eq!(works(&mut friends), [VolumeTask::Receive { epoch, bytes }]);
    assert_eq!(volume(&friends.state), before, "not before it is decided");
    friends.settle_checked();
    assert_eq!(friends.log, ["-db-0", "+db-0"]);
    assert_eq!(place(&friends), "host-3");
    let state = &friends.state;
    let now = volume(state);
    assert_ne!(now, before);
    assert_eq!(state.volumes[&now].source.host(), Some(&host_name(3)));
    assert!(state.sets[&key("db")].members[&first().ordinal].epoch > epoch);
    assert!(state.sets[&key("db")].moves.is_empty(), "it is over");
    assert_eq!(state.volumes[&before].state, VolumeState::Trashing);
    assert_eq!(works(&mut friends), [VolumeTask::Trash]);
    go(&mut friends, 1);
    friends.settle_checked();
    works(&mut friends);
    friends.settle_checked();
    assert_eq!(
        place(&friends),
        "host-1",
        "and back, beside what is in the trash"
    );
    let again = &friends.state.volumes[&volume(&friends.state)].source;
    assert_ne!(*again, friends.state.volumes[&before].source);
}

#[test]
fn it_stops_within_the_budget_and_only_if_it_can_go_there() {
    let mut friends = local();
    friends.unready.insert(member("db", 1));
    friends.agents();
    friends.settle();
    let mut three = settled(4, spec(3, true));
    three.unready.insert(member("db", 2));
    three.agents();
    go(&mut three, 4);
    three.settle_checked();
    assert!(matches!(reason(&three), Reason::BudgetSpent { .. }));
    assert_eq!(three.log, [""; 0]);
    let closed = three.state.hosts.get_mut(&host_name(4)).unwrap();
    closed.record.unschedulable = true;
    three.unready.clear();
    three.settle_checked();
    let Reason::MoveNowhere { hosts, .. } = reason(&three) else {
        panic!("{:?}", reason(&three));
    };
    let because = |host: u8| {
        &hosts
            .iter()
            .find(|h| h.host == host_name(host))
            .unwrap()
            .because
    };
    assert_eq!(*because(4), Refusal::Cordoned);
    let to = Some(host_name(4));
    assert_eq!(*because(3), Refusal::NotAsked { host: to });
    assert_eq!(three.log, [""; 0]);
    assert!(target(&three.state, &first(), three.now).is_err());
    stay(&mut three);
    three.settle_checked();
    assert!(three.state.sets[&key("db")].moves.is_empty());
}

#[test]
fn there_must_be_room_for_what_comes_along() {
    let mut friends = local();
    let asked = &mut friends.state.claims.get_mut(&claim()).unwrap().spec;
    asked.resources.requests = quantity(50);
    let host = friends.state.hosts.get_mut(&host_name(3)).unwrap();
    let pool = host.record.pools.get_mut("default").unwrap();
    (pool.capacity, pool.limits) = (49, true);
    go(&mut friends, 3);
    let Err(Reason::NoEligibleHost { hosts }) = target(&friends.state, &first(), NOW) else {
        panic!("it has no room");
    };
    let full = |because: &Refusal| matches!(because, Refusal::PoolFull { wanted: 50, .. });
    assert!(hosts.iter().any(|host| full(&host.because)), "{hosts:?}");
}

#[test]
fn a_move_that_is_given_up_goes_back_with_a_new_epoch() {
    let mut friends = copying();
    let before = volume(&friends.state);
    let epoch = friends.state.sets[&key("db")].last_grants[&first().ordinal].epoch;
    let to = due(&friends.state)[0].volume.clone();
    stay(&mut friends);
    friends.settle_checked();
    assert_eq!(place(&friends), "host-1");
    assert_eq!(volume(&friends.state), before);
    let member = &friends.state.sets[&key("db")].members[&first().ordinal];
    assert!(member.epoch > epoch, "above the move's own");
    let order = crate::state::orders::member_order(&friends.state, &first()).unwrap();
    assert_eq!(order.volumes[0].departed, Some(epoch), "the guard is told");
    let half = &friends.state.volumes[&to];
    assert_eq!((&half.state, &half.claim), (&VolumeState::Trashing, &None));
    let late = work::done(half, VolumeTask::Receive { epoch, bytes: 0 }, NOW);
    assert_eq!(late, None, "it comes too late");
}

/// What befalls a move.
type Way = Box<dyn Fn(&mut State)>;

#[test]
fn what_cannot_come_to_an_end_is_given_up() {
    let dead = |state: &mut State, host: u8| {
        let host = state.hosts.get_mut(&host_name(host)).unwrap();
        host.contact.connected = false;
        host.record.directives.dead = Some(ConfirmedDead {
            since: NOW,
            returned: false,
        });
    };
    let ways: [(&str, Way); 4] = [
        ("the target died", Box::new(move |state| dead(state, 3))),
        ("the source died", Box::new(move |state| dead(state, 1))),
        (
            "it is not wanted",
            Box::new(|state| {
                state.sets.get_mut(&key("db")).unwrap().deleting = Some(NOW);
            }),
        ),
        (
            "its data is given up",
            Box::new(|state| {
                let claim = state.claims.get_mut(&claim()).unwrap();
                claim.goes_with = Some(GoesWith::Asked);
            }),
        ),
    ];
    for (what, way) in ways {
        let mut friends = copying();
        let to = due(&friends.state)[0].volume.clone();
        way(&mut friends.state);
        friends.settle_checked();
        let set = friends.state.sets.get(&key("db"));
        assert!(set.is_none_or(|set| set.moves.is_empty()), "{what}");
        let half = &friends.state.volumes[&to];
        assert_eq!(half.state, VolumeState::Trashing, "{what}");
    }
}

#[test]
fn nothing_is_copied_without_both_hosts() {
    let mut friends = copying();
    assert_eq!(due(&friends.state).len(), 1);
    friends.contact(&host_name(1), false);
    friends.settle_checked();
    assert_eq!(due(&friends.state).len(), 0, "nobody can be asked for it");
    assert!(matches!(reason(&friends), Reason::MemberMoving(_)));
    friends.contact(&host_name(1), true);
    friends.agents();
    works(&mut friends);
    friends.settle_checked();
    assert_eq!(place(&friends), "host-3");
}

#[test]
fn what_was_left_is_kept_until_a_member_was_started_on_the_copy() {
    let mut friends = copying();
    let before = volume(&friends.state);
    friends.state.trash_keep = Some(Duration::ZERO);
    works(&mut friends);
    friends.unready.insert(first());
    friends.plan();
    let moved = friends.state.clone();
    let old = friends.state.volumes.get_mut(&before).unwrap();
    old.state = VolumeState::Trashed { since: NOW };
    let purges = |friends: &mut Friends| {
        let plan = friends.plan();
        let purge = |step: &Step| matches!(step, Step::PurgeVolume { name } if *name == before);
        plan.steps.iter().any(purge)
    };
    assert!(!purges(&mut friends), "nobody tried the copy");
    friends.settle();
    let new = &friends.state.volumes[&volume(&moved)];
    assert!(new.moved_in.as_ref().unwrap().started);
    assert_eq!(friends.state.volumes[&before].state, VolumeState::Purging);
}

#[test]
fn without_local_data_it_only_starts_elsewhere() {
    let mut wanted = spec(2, true);
    wanted.volume_claim_templates[0].spec.storage_class_name = Some("nfs".to_owned());
    let mut friends = settled(3, wanted);
    let before = volume(&friends.state);
    friends.state = ask(&friends.state, &first(), None, NOW).unwrap();
    friends.settle_checked();
    assert_eq!(friends.log, ["-db-0", "+db-0"]);
    assert_eq!(place(&friends), "host-3", "not where it was");
    assert_eq!(volume(&friends.state), before);
    assert!(friends.state.sets[&key("db")].moves.is_empty());
}

#[test]
fn a_member_that_is_offline_moves_and_stays_so() {
    let mut friends = local();
    let offline = crate::state::Offline {
        since: NOW,
        reason: String::new(),
    };
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    set.offline.insert(first().ordinal, offline);
    friends.settle();
    go(&mut friends, 3);
    friends.settle_checked();
    works(&mut friends);
    friends.settle_checked();
    assert_eq!((place(&friends).as_str(), friends.log.len()), ("host-3", 1));
    assert!(matches!(reason(&friends), Reason::Offline { .. }));
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let friends = local();
    let state = &friends.state;
    let ask = |state: &State, to: Option<u8>| {
        let to = to.map(host_name);
        ask(state, &first(), to.as_ref(), NOW).map(drop)
    };
    let refused = |change: &dyn Fn(&mut State), to: Option<u8>| {
        let mut state = state.clone();
        change(&mut state);
        ask(&state, to).unwrap_err()
    };
    let nothing = |_: &mut State| {};
    assert!(matches!(refused(&nothing, None), NotMoving::Pinned { .. }));
    assert!(matches!(
        refused(&nothing, Some(1)),
        NotMoving::There { .. }
    ));
    assert!(matches!(refused(&nothing, Some(9)), NotMoving::NoHost(_)));
    let set = |change: fn(&mut crate::state::Set)| {
        move |state: &mut State| change(state.sets.get_mut(&key("db")).unwrap())
    };
    let deleting = set(|set| set.deleting = Some(NOW));
    assert!(matches!(
        refused(&deleting, Some(3)),
        NotMoving::Deleting(_)
    ));
    let orphaned = set(|set| set.orphaned = Some(NOW));
    assert!(matches!(
        refused(&orphaned, Some(3)),
        NotMoving::Orphaned(_)
    ));
    let own = set(|set| {
        std::sync::Arc::make_mut(&mut set.spec).placement = Placement::PerHost;
        let host = crate::state::OwnHost {
            host: host_name(1),
            selected: true,
        };
        set.own_hosts.insert(first().ordinal, host);
    });
    assert!(matches!(refused(&own, Some(3)), NotMoving::OwnHost(_)));
    let silent = |state: &mut State| {
        state
            .hosts
            .get_mut(&host_name(1))
            .unwrap()
            .contact
            .connected = false;
    };
    assert!(matches!(
        refused(&silent, Some(3)),
        NotMoving::HostUnknown { .. }
    ));
    let unassigned = set(|set| drop(set.members.remove(&first().ordinal)));
    assert!(matches!(
        refused(&unassigned, Some(3)),
        NotMoving::Unassigned(_)
    ));
    let mut moving = friends.clone();
    go(&mut moving, 3);
    assert!(matches!(
        ask(&moving.state, Some(2)),
        Err(NotMoving::Moving { .. })
    ));
    let nobody = give_up(state, &first(), "");
    assert!(matches!(nobody, Err(NotMoving::NotMoving(_))));
    assert!(leaving::replace(state, &first(), NOW).is_ok());
}

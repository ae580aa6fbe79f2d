//! Sets that need each other: up in one order, down in the reverse.

use std::time::Duration;

use crate::{
    fixture::{friend::Friends, key, member, put_set, spec, state},
    ids::Ordinal,
    spec::{Dependency, DependencyGate, ReadinessGate, StatefulSetSpec},
    state::{MemberCondition, Offline},
    waiting::Reason,
};

fn needs(set: &str, gate: DependencyGate, port: u32) -> StatefulSetSpec {
    let mut wanted = spec(2, false);
    wanted.template.spec.processes[0].ports[0].container_port = port;
    let set = set.to_owned();
    wanted.depends_on.push(Dependency { set, gate });
    wanted
}

fn friends(gate: DependencyGate) -> Friends {
    let mut state = state(3);
    // By name the dependant comes first.
    put_set(&mut state, "app", needs("db", gate, 80));
    put_set(&mut state, "db", spec(2, false));
    Friends::new(state)
}

#[test]
fn a_set_starts_after_what_it_needs() {
    let mut friends = friends(DependencyGate::Ready);
    friends.unready.insert(member("db", 1));
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-1"]);
    let (set, gate) = (key("db"), "ready".to_owned());
    let reason = Reason::DependencyNotReady { set, gate };
    assert_eq!(friends.report.waiting[&member("app", 0)], reason);
    friends.unready.clear();
    friends.settle();
    assert_eq!(friends.log[2..], ["+app-0", "+app-1"]);
}

#[test]
fn started_does_not_wait_for_readiness_and_available_waits_for_longer() {
    let mut started = friends(DependencyGate::Started);
    let db = started.state.sets.get_mut(&key("db")).unwrap();
    let spec = std::sync::Arc::make_mut(&mut db.spec);
    spec.pod_management_policy = crate::spec::GatePolicy::Parallel;
    spec.min_ready_seconds = 30;
    let mut available = started.clone();
    started.unready.extend([0, 1].map(|n| member("db", n)));
    started.settle();
    assert!(
        started.log.contains(&"+app-0".to_owned()),
        "{:?}",
        started.log
    );
    let app = available.state.sets.get_mut(&key("app")).unwrap();
    std::sync::Arc::make_mut(&mut app.spec).depends_on[0].gate = DependencyGate::Available;
    available.settle();
    assert_eq!(available.log, ["+db-0", "+db-1"]);
    available.now = available.report.wake_at.unwrap();
    available.settle();
    assert!(available.log.contains(&"+app-0".to_owned()));
}

#[test]
fn a_member_is_available_from_the_opening_of_its_readiness_gate_on() {
    let mut friends = friends(DependencyGate::Available);
    let mut wanted = spec(1, false);
    wanted.min_ready_seconds = 30;
    wanted.template.spec.readiness_gates = vec![ReadinessGate {
        condition_type: "synced".to_owned(),
    }];
    put_set(&mut friends.state, "db", wanted);
    friends.settle();
    friends.now = friends.now.plus(Duration::from_secs(3600));
    let db = friends.state.sets.get_mut(&key("db")).unwrap();
    let opened = MemberCondition {
        status: true,
        message: String::new(),
        since: friends.now,
    };
    let conditions = &mut db.members.get_mut(&Ordinal(0)).unwrap().conditions;
    conditions.insert("synced".to_owned(), opened);
    friends.settle();
    assert_eq!(friends.log, ["+db-0"]);
    let wake = friends.now.plus(Duration::from_secs(30));
    assert_eq!(friends.report.wakes[&key("app")], wake);
    friends.now = wake;
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+app-0", "+app-1"]);
}

#[test]
fn a_set_that_is_up_is_not_held_back_by_what_falters() {
    let mut friends = friends(DependencyGate::Ready);
    friends.settle();
    friends.log.clear();
    friends.unready.insert(member("db", 0));
    friends.agents();
    friends.lose(&member("app", 1));
    friends.settle();
    assert_eq!(friends.log, ["+app-1"]);
}

#[test]
fn what_an_operator_keeps_down_is_not_waited_for() {
    let mut friends = friends(DependencyGate::Available);
    let offline = Offline {
        since: friends.now,
        reason: String::new(),
    };
    let db = friends.state.sets.get_mut(&key("db")).unwrap();
    db.offline.insert(Ordinal(1), offline.clone());
    let mut none = friends.clone();
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+app-0", "+app-1"]);
    let db = none.state.sets.get_mut(&key("db")).unwrap();
    db.offline.insert(Ordinal(0), offline);
    none.settle();
    assert_eq!(none.log, [""; 0], "nobody is there");
}

#[test]
fn what_does_not_exist_or_has_no_members_is_waited_for() {
    let mut state = state(3);
    put_set(&mut state, "app", needs("db", DependencyGate::Started, 80));
    let mut friends = Friends::new(state);
    friends.settle();
    let reason = Reason::DependencyMissing { set: key("db") };
    assert_eq!(friends.report.waiting[&member("app", 0)], reason);
    put_set(&mut friends.state, "db", spec(0, false));
    friends.settle();
    assert_eq!(friends.log, [""; 0]);
    put_set(&mut friends.state, "db", spec(1, false));
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+app-0", "+app-1"]);
}

#[test]
fn sets_that_go_together_go_in_reverse() {
    let mut friends = friends(DependencyGate::Ready);
    friends.settle();
    let mut scaled = friends.clone();
    friends.log.clear();
    for set in friends.state.sets.values_mut() {
        set.deleting = Some(friends.now);
    }
    friends.plan();
    let reason = Reason::DependantNotStopped { set: key("app") };
    assert_eq!(friends.report.waiting[&member("db", 1)], reason);
    friends.settle();
    assert_eq!(friends.log, ["-app-1", "-app-0", "-db-1", "-db-0"]);
    assert!(friends.state.sets.is_empty());
    // Scaled to none it is the same.
    scaled.log.clear();
    let mut none = needs("db", DependencyGate::Ready, 80);
    none.replicas = Some(0);
    put_set(&mut scaled.state, "app", none);
    put_set(&mut scaled.state, "db", spec(0, false));
    scaled.settle();
    assert_eq!(scaled.log, ["-app-1", "-app-0", "-db-1", "-db-0"]);
}

#[test]
fn a_set_goes_alone_if_what_needs_it_stays() {
    let mut friends = friends(DependencyGate::Ready);
    friends.settle();
    friends.log.clear();
    friends.state.sets.get_mut(&key("db")).unwrap().deleting = Some(friends.now);
    friends.settle();
    assert_eq!(friends.log, ["-db-1", "-db-0"]);
}

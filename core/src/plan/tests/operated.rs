//! What operators decide by verbs: offline members, drained hosts, labels.

use crate::{
    fixture::{NOW, friend::Friends, host_name, key, member, nfs_class, put_set, spec, state},
    ids::Ordinal,
    spec::{
        Amount, DisruptionBudget, GatePolicy, Placement, Retention, RollingUpdate, Spread,
        StatefulSetSpec, UpdateKind, UpdateStrategy,
    },
    state::{Draining, Offline, State, leaving::refound},
    waiting::{DisruptionCause, Reason, Refusal},
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

fn offline(friends: &mut Friends, ordinal: u32, on: bool) {
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    if on {
        let offline = Offline {
            since: NOW,
            reason: "new disk".to_owned(),
        };
        set.offline.insert(Ordinal(ordinal), offline);
    } else {
        set.offline.remove(&Ordinal(ordinal));
    }
}

fn drain(state: &mut State, host: u8, stop_pinned: bool) {
    let record = &mut state.hosts.get_mut(&host_name(host)).unwrap().record;
    record.unschedulable = true;
    record.directives.draining = Some(Draining {
        since: NOW,
        stop_pinned,
    });
}

fn uncordon(state: &mut State, host: u8) {
    let record = &mut state.hosts.get_mut(&host_name(host)).unwrap().record;
    record.unschedulable = false;
    record.directives.draining = None;
}

fn label(state: &mut State, host: u8, value: Option<&str>) {
    let record = &mut state.hosts.get_mut(&host_name(host)).unwrap().record;
    record.label("disk", value);
}

fn reason(friends: &Friends, ordinal: u32) -> Option<Reason> {
    friends.report.waiting.get(&member("db", ordinal)).cloned()
}

fn hosts(friends: &Friends) -> Vec<String> {
    let members = friends.state.sets[&key("db")].members.values();
    members.map(|member| member.host.to_string()).collect()
}

/// Three members whose volumes are reached from every host.
fn reachable() -> StatefulSetSpec {
    let mut wanted = spec(3, true);
    wanted.volume_claim_templates[0].spec.storage_class_name = Some("nfs".to_owned());
    wanted
}

#[test]
fn an_offline_member_stops_within_the_budget_and_keeps_its_place() {
    let mut friends = settled(4, spec(3, true));
    friends.unready.insert(member("db", 2));
    friends.agents();
    offline(&mut friends, 0, true);
    friends.settle();
    assert_eq!(friends.log, [""; 0], "another member is not available");
    let spent = Reason::BudgetSpent {
        cause: DisruptionCause::Offline,
        available: 1,
        floor: 2,
    };
    assert_eq!(reason(&friends, 0), Some(spent));
    friends.unready.clear();
    friends.settle();
    assert_eq!(friends.log, ["-db-0"]);
    let why = "new disk".to_owned();
    assert_eq!(reason(&friends, 0), Some(Reason::Offline { why }));
    assert_eq!(
        hosts(&friends)[0],
        "host-1",
        "it is named, and its host is kept"
    );
    friends.log.clear();
    let member = member("db", 1);
    friends.wipe(&member);
    friends.settle();
    assert_eq!(friends.log, ["+db-1"], "it keeps nobody else down");
    put_set(&mut friends.state, "db", spec(3, true));
    friends.settle();
    assert_eq!(friends.log.len(), 1, "an apply does not bring it back");
    offline(&mut friends, 0, false);
    friends.settle();
    assert_eq!(friends.log[1..], ["+db-0"]);
}

#[test]
fn of_two_that_go_offline_the_second_waits_for_the_first() {
    let mut friends = settled(4, spec(3, true));
    offline(&mut friends, 0, true);
    offline(&mut friends, 1, true);
    friends.plan();
    assert_eq!(friends.log, ["-db-1"]);
    assert_eq!(reason(&friends, 0), Some(Reason::OfflineAsked));
}

#[test]
fn an_offline_member_that_is_not_ready_costs_no_budget() {
    let mut friends = settled(4, spec(3, true));
    friends.unready.extend([member("db", 0), member("db", 2)]);
    friends.agents();
    offline(&mut friends, 0, true);
    friends.settle();
    assert_eq!(friends.log, ["-db-0"]);
}

#[test]
fn a_drained_host_loses_its_members_one_by_one_and_they_start_elsewhere() {
    let wanted = StatefulSetSpec {
        spread: Spread::Prefer,
        ..reachable()
    };
    let mut wanted = wanted;
    wanted.template.spec.processes[0].ports.clear();
    let mut friends = settled(1, wanted);
    assert_eq!(hosts(&friends), ["host-1"; 3]);
    let more = state(3).hosts;
    friends.state.hosts.extend(more.into_iter().skip(1));
    drain(&mut friends.state, 1, false);
    friends.plan();
    assert_eq!(friends.log, ["-db-2"], "one at a time");
    let host = host_name(1);
    assert_eq!(reason(&friends, 0), Some(Reason::DrainAsked { host }));
    friends.settle();
    let moved = ["-db-2", "+db-2", "-db-1", "+db-1", "-db-0", "+db-0"];
    assert_eq!(friends.log, moved);
    assert!(!hosts(&friends).contains(&"host-1".to_owned()));
    assert_eq!(friends.report.waiting.len(), 0);
}

#[test]
fn a_drain_leaves_members_that_live_there_unless_they_are_to_be_stopped() {
    let mut friends = settled(4, spec(3, true));
    drain(&mut friends.state, 1, false);
    friends.settle();
    let host = host_name(1);
    let pinned = Reason::DrainPinned { host: host.clone() };
    assert_eq!(reason(&friends, 0), Some(pinned));
    assert!(
        !friends.state.in_place(&member("db", 0)),
        "the reason is shown"
    );
    assert_eq!(friends.log, [""; 0]);
    drain(&mut friends.state, 1, true);
    friends.settle();
    assert_eq!(friends.log, ["-db-0"]);
    assert_eq!(reason(&friends, 0), Some(Reason::HostDrained { host }));
    uncordon(&mut friends.state, 1);
    friends.settle();
    assert_eq!(friends.log, ["-db-0", "+db-0"]);
    assert_eq!(hosts(&friends)[0], "host-1");
}

#[test]
fn a_member_that_no_other_host_can_take_stays_on_the_drained_one() {
    let mut friends = settled(3, reachable());
    drain(&mut friends.state, 1, false);
    friends.settle();
    assert_eq!(
        friends.log, [""; 0],
        "what has nowhere to go is not stopped"
    );
    let Some(Reason::DrainNowhere { host, hosts }) = reason(&friends, 0) else {
        panic!("{:?}", reason(&friends, 0));
    };
    assert_eq!(host, host_name(1));
    assert!(matches!(hosts[1].because, Refusal::SpreadTaken { .. }));
    friends
        .state
        .hosts
        .extend(state(4).hosts.into_iter().skip(3));
    friends.settle();
    assert_eq!(friends.log, ["-db-0", "+db-0"]);
}

#[test]
fn a_drain_waits_for_what_is_down_already() {
    let mut friends = settled(5, reachable());
    friends.unready.insert(member("db", 1));
    friends.agents();
    drain(&mut friends.state, 1, false);
    friends.settle();
    assert_eq!(friends.log, [""; 0]);
    let spent = Reason::BudgetSpent {
        cause: DisruptionCause::Drain,
        available: 1,
        floor: 2,
    };
    assert_eq!(reason(&friends, 0), Some(spent));
    friends.unready.clear();
    friends.settle();
    assert_eq!(friends.log, ["-db-0", "+db-0"]);
}

/// A set with one member on each host of `disk: ssd`.
fn per_host() -> StatefulSetSpec {
    let mut wanted = spec(0, true);
    wanted.replicas = None;
    wanted.placement = Placement::PerHost;
    wanted.pod_management_policy = GatePolicy::Parallel;
    let selector = &mut wanted.template.spec.node_selector;
    selector.insert("disk".to_owned(), "ssd".to_owned());
    wanted
}

#[test]
fn each_labelled_host_has_an_ordinal_of_its_own() {
    let mut friends = settled(3, per_host());
    assert_eq!(friends.log, [""; 0]);
    assert!(friends.report.warnings[&key("db")][0].contains("no host has the labels"));
    label(&mut friends.state, 2, Some("ssd"));
    friends.settle();
    label(&mut friends.state, 1, Some("ssd"));
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-1"]);
    assert_eq!(hosts(&friends), ["host-2", "host-1"]);
    label(&mut friends.state, 2, None);
    label(&mut friends.state, 3, Some("ssd"));
    friends.settle();
    assert_eq!(
        friends.running(),
        ["db-1", "db-2"],
        "ordinal 0 stays with host-2"
    );
    assert_eq!(hosts(&friends), ["host-1", "host-3"]);
    assert_eq!(friends.state.claims.len(), 3);
    label(&mut friends.state, 2, Some("ssd"));
    friends.settle();
    assert_eq!(hosts(&friends), ["host-2", "host-1", "host-3"]);
    assert_eq!(friends.report.waiting.len(), 0);
}

#[test]
fn a_partition_counts_the_members_that_hosts_have() {
    let mut wanted = per_host();
    wanted.update_strategy = Some(UpdateStrategy {
        kind: UpdateKind::RollingUpdate,
        rolling_update: Some(RollingUpdate {
            partition: 1,
            max_unavailable: None,
        }),
    });
    let mut friends = settled(3, wanted.clone());
    for host in 1..=3 {
        label(&mut friends.state, host, Some("ssd"));
        friends.settle();
    }
    label(&mut friends.state, 1, None);
    friends.settle();
    assert_eq!(friends.running(), ["db-1", "db-2"]);
    friends.log.clear();
    wanted.template.spec.processes[0]
        .command
        .push("new".to_owned());
    put_set(&mut friends.state, "db", wanted);
    friends.settle();
    assert_eq!(friends.log, ["-db-2", "+db-2"], "db-1 is kept");
}

#[test]
fn a_label_that_is_taken_away_takes_no_data_whatever_the_policy() {
    let mut wanted = per_host();
    // As a set that was stored before this was refused.
    wanted.persistent_volume_claim_retention_policy.when_scaled = Retention::Delete;
    let mut friends = settled(2, wanted);
    label(&mut friends.state, 1, Some("ssd"));
    friends.settle();
    label(&mut friends.state, 1, None);
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "-db-0"]);
    assert_eq!(friends.state.claims.len(), 1);
    assert_eq!(
        friends.state.claims.values().next().unwrap().goes_with,
        None
    );
}

#[test]
fn more_than_all_hosts_need_not_be_available() {
    let mut wanted = per_host();
    wanted.disruption_budget = Some(DisruptionBudget {
        min_available: Some(Amount::Number(5)),
        ..DisruptionBudget::default()
    });
    let mut friends = settled(3, wanted);
    for host in 1..=3 {
        label(&mut friends.state, host, Some("ssd"));
    }
    friends.settle();
    label(&mut friends.state, 3, None);
    friends.settle();
    assert_eq!(friends.running().len(), 2, "two stay, and two there are");
    assert!(friends.report.warnings[&key("db")][0].contains("asks for 2 of 2"));
}

#[test]
fn a_cordoned_host_gets_no_ordinal_and_keeps_the_one_it_has() {
    let mut friends = settled(2, per_host());
    let cordon = |friends: &mut Friends, on: bool| {
        let host = friends.state.hosts.get_mut(&host_name(1)).unwrap();
        host.record.unschedulable = on;
    };
    cordon(&mut friends, true);
    label(&mut friends.state, 1, Some("ssd"));
    friends.settle();
    assert_eq!(friends.log, [""; 0]);
    cordon(&mut friends, false);
    friends.settle();
    cordon(&mut friends, true);
    friends.wipe(&member("db", 0));
    friends.settle();
    assert_eq!(friends.log, ["+db-0", "+db-0"]);
}

#[test]
fn a_host_that_loses_its_label_while_its_set_is_founded_anew_has_no_member_then() {
    let wanted = per_host();
    let mut state = state(2);
    for host in [1, 2] {
        label(&mut state, host, Some("ssd"));
    }
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.settle();
    assert_eq!(hosts(&friends), ["host-1", "host-2"]);
    friends.state = refound(&friends.state, &key("db"), friends.now).unwrap();
    label(&mut friends.state, 1, None);
    for volume in friends.state.volumes.values_mut() {
        volume.provisioned = false;
    }
    friends.settle();
    assert_eq!(hosts(&friends), ["host-2"]);
}

#[test]
fn a_set_that_comes_back_finds_the_ordinals_of_its_hosts_by_their_data() {
    let wanted = per_host();
    let mut state = state(2);
    label(&mut state, 1, Some("ssd"));
    label(&mut state, 2, Some("ssd"));
    put_set(&mut state, "db", wanted.clone());
    let mut friends = Friends::new(state);
    friends.settle();
    label(&mut friends.state, 1, None);
    friends.settle();
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    set.deleting = Some(friends.now);
    friends.settle();
    assert!(friends.state.sets.is_empty());
    put_set(&mut friends.state, "db", wanted);
    friends.settle_checked();
    let placed = |friends: &Friends| {
        let members = &friends.state.sets[&key("db")].members;
        let placed = members.iter().map(|(n, m)| (n.0, m.host.to_string()));
        placed.collect::<Vec<_>>()
    };
    assert_eq!(placed(&friends), [(1, "host-2".to_owned())]);
    label(&mut friends.state, 1, Some("ssd"));
    friends.settle_checked();
    assert_eq!(
        placed(&friends),
        [(0, "host-1".to_owned()), (1, "host-2".to_owned())]
    );
}

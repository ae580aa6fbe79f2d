//! Spread over label domains.

use crate::{
    fixture::{friend::Friends, host_name, key, member, put_set, spec, state},
    spec::{Spread, StatefulSetSpec, TopologySpreadConstraint, WhenUnsatisfiable},
    state::State,
    waiting::{Reason, Refusal},
};

/// Five hosts: three in rack a, one in rack b, one in none.
fn racks() -> State {
    let mut state = state(5);
    for (n, rack) in [(1, "a"), (2, "a"), (3, "a"), (4, "b")] {
        let host = state.hosts.get_mut(&host_name(n)).unwrap();
        host.record.label("rack", Some(rack));
    }
    state
}

fn over(key: &str, max_skew: u32, otherwise: WhenUnsatisfiable, replicas: i64) -> StatefulSetSpec {
    let mut wanted = spec(replicas, false);
    let constraints = &mut wanted.template.spec.topology_spread_constraints;
    constraints.push(TopologySpreadConstraint {
        topology_key: key.to_owned(),
        max_skew,
        when_unsatisfiable: otherwise,
    });
    wanted
}

fn placed(state: State, wanted: StatefulSetSpec) -> (Friends, Vec<String>) {
    let mut state = state;
    put_set(&mut state, "db", wanted);
    let mut friends = Friends::new(state);
    friends.settle();
    let members = friends.state.sets[&key("db")].members.values();
    let hosts = members.map(|member| member.host.to_string()).collect();
    (friends, hosts)
}

#[test]
fn domains_fill_evenly_and_what_would_be_uneven_waits_with_the_counts() {
    let wanted = over("rack", 1, WhenUnsatisfiable::DoNotSchedule, 4);
    let (friends, hosts) = placed(racks(), wanted);
    assert_eq!(hosts, ["host-1", "host-4", "host-2"]);
    let Reason::NoEligibleHost { hosts } = &friends.report.waiting[&member("db", 3)] else {
        panic!("{:?}", friends.report.waiting);
    };
    let texts: Vec<String> = hosts.iter().map(|one| one.because.to_string()).collect();
    assert_eq!(
        texts[2],
        "rack=a has 2 members already, the emptiest domain 1 (maxSkew 1)"
    );
    assert!(matches!(hosts[4].because, Refusal::NoDomain { .. }));
}

#[test]
fn a_larger_skew_admits_more_and_still_fills_the_emptier_domain_first() {
    let wanted = over("rack", 2, WhenUnsatisfiable::DoNotSchedule, 4);
    let (_, hosts) = placed(racks(), wanted);
    assert_eq!(hosts, ["host-1", "host-4", "host-2", "host-3"]);
}

#[test]
fn schedule_anyway_takes_the_emptiest_domain_and_refuses_none() {
    let wanted = over("rack", 1, WhenUnsatisfiable::ScheduleAnyway, 5);
    let (_, hosts) = placed(racks(), wanted);
    assert_eq!(hosts, ["host-1", "host-4", "host-2", "host-3", "host-5"]);
}

#[test]
fn the_host_itself_is_a_domain() {
    let mut wanted = over(
        "kubernetes.io/hostname",
        1,
        WhenUnsatisfiable::DoNotSchedule,
        4,
    );
    wanted.spread = Spread::Prefer;
    wanted.template.spec.processes[0].ports.clear();
    let (_, hosts) = placed(state(3), wanted);
    assert_eq!(hosts, ["host-1", "host-2", "host-3", "host-1"]);
}

#[test]
fn hosts_that_the_selector_does_not_admit_are_no_domain() {
    let mut state = racks();
    for n in [1, 2] {
        let host = state.hosts.get_mut(&host_name(n)).unwrap();
        host.record.label("disk", Some("ssd"));
    }
    let mut wanted = over("rack", 1, WhenUnsatisfiable::DoNotSchedule, 2);
    let selector = &mut wanted.template.spec.node_selector;
    selector.insert("disk".to_owned(), "ssd".to_owned());
    let (_, hosts) = placed(state, wanted);
    assert_eq!(hosts, ["host-1", "host-2"], "rack b does not count");
}

#[test]
fn data_brings_a_member_back_whatever_the_spread_says_by_now() {
    let mut wanted = spec(3, true);
    let (mut friends, before) = placed(racks(), wanted.clone());
    assert_eq!(before, ["host-1", "host-2", "host-3"]);
    wanted.template = over("rack", 1, WhenUnsatisfiable::DoNotSchedule, 3).template;
    put_set(&mut friends.state, "db", wanted);
    friends.settle();
    assert_eq!(friends.report.waiting.len(), 0);
    let members = friends.state.sets[&key("db")].members.values();
    let hosts: Vec<String> = members.map(|member| member.host.to_string()).collect();
    assert_eq!(hosts, before);
}

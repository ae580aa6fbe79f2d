//! Hosts, addresses, ports, claims, names.

use std::time::Duration;

use crate::{
    fixture::{friend::Friends, host_name, key, member, pool, put_set, spec, state},
    ids::Ordinal,
    plan::{Step, Subject, plan, plan_without},
    spec::{ConfigMap, EnvFromSource, GatePolicy, Spread, StatefulSetSpec},
    state::{Ordered, State},
    waiting::{HostRefusal, MissingConfig, Reason, Refusal},
};

fn placed(friends: &Friends, set: &str) -> Vec<(String, String)> {
    let members = friends.state.sets[&key(set)].members.values();
    members
        .map(|m| (m.host.to_string(), m.address.to_string()))
        .collect()
}

fn refusals(friends: &Friends, set: &str, ordinal: u32) -> Vec<HostRefusal> {
    let reason = &friends.report.waiting[&member(set, ordinal)];
    let Reason::NoEligibleHost { hosts } = reason else {
        panic!("{reason:?}");
    };
    hosts.clone()
}

fn one(set: &str, wanted: StatefulSetSpec, mut state: State) -> Friends {
    put_set(&mut state, set, wanted);
    let mut friends = Friends::new(state);
    friends.settle();
    friends
}

#[test]
fn while_a_host_has_another_history_nothing_starts_or_moves_and_what_runs_stays() {
    let mut state = state(4);
    put_set(&mut state, "db", spec(2, true));
    let mut friends = Friends::new(state);
    friends.settle();
    let log = friends.log.clone();
    friends
        .state
        .past
        .mismatched
        .insert(host_name(4), crate::history::Mismatched::default());
    let mut changed = spec(3, true);
    changed.template.spec.processes[0]
        .env
        .push(crate::spec::EnvVar::default());
    put_set(&mut friends.state, "db", changed);
    put_set(&mut friends.state, "other", spec(1, false));
    friends.settle();
    assert_eq!(friends.log, log, "no start, and no stop to replace");
    let hosts = vec![host_name(4)];
    let reason = Reason::HistoryMismatch { hosts };
    for id in [member("db", 0), member("db", 2), member("other", 0)] {
        assert_eq!(friends.report.waiting[&id], reason, "{id}");
    }
    friends.state.past.mismatched.clear();
    friends.settle();
    assert!(
        friends.log.contains(&"+db-2".to_owned()),
        "{:?}",
        friends.log
    );
}

#[test]
fn members_of_a_set_are_on_different_hosts() {
    let friends = one("db", spec(3, false), state(2));
    assert_eq!(friends.running(), ["db-0", "db-1"]);
    let by = |n| Refusal::SpreadTaken {
        by: member("db", n),
    };
    let refused = refusals(&friends, "db", 2).into_iter().map(|r| r.because);
    assert_eq!(refused.collect::<Vec<_>>(), [by(0), by(1)]);
}

#[test]
fn preferred_spread_fills_the_hosts_evenly() {
    let mut wanted = spec(4, false);
    wanted.spread = Spread::Prefer;
    wanted.template.spec.processes[0].ports.clear();
    let friends = one("db", wanted, state(2));
    let hosts: Vec<_> = placed(&friends, "db").into_iter().map(|(h, _)| h).collect();
    assert_eq!(hosts, ["host-1", "host-2", "host-1", "host-2"]);
}

#[test]
fn an_address_and_port_is_never_declared_twice() {
    let mut friends = one("a", spec(1, false), state(1));
    put_set(&mut friends.state, "b", spec(1, false));
    friends.settle();
    let because = Refusal::PortClash {
        socket: "10.0.0.1:2380".to_owned(),
        by: member("a", 0),
    };
    let host = host_name(1);
    assert_eq!(refusals(&friends, "b", 0), [HostRefusal { host, because }]);
}

#[test]
fn a_pool_gives_every_ordinal_its_own_address_for_as_long_as_the_set_exists() {
    let mut wanted = spec(2, false);
    wanted.spread = Spread::Prefer;
    let mut start = state(1);
    pool(&mut start, "dev", "127.77.0.0/30", true);
    let mut friends = one("db", wanted.clone(), start);
    let addresses = |friends: &Friends| -> Vec<String> {
        placed(friends, "db").into_iter().map(|(_, a)| a).collect()
    };
    assert_eq!(addresses(&friends), ["127.77.0.1", "127.77.0.2"]);

    wanted.replicas = Some(0);
    put_set(&mut friends.state, "db", wanted.clone());
    friends.settle();
    put_set(&mut friends.state, "other", spec(1, false));
    friends.settle();
    let exhausted = Reason::AddressPoolExhausted {
        pool: "dev".to_owned(),
    };
    assert_eq!(friends.report.waiting[&member("other", 0)], exhausted);

    wanted.replicas = Some(2);
    put_set(&mut friends.state, "db", wanted);
    friends.settle();
    assert_eq!(addresses(&friends), ["127.77.0.1", "127.77.0.2"]);

    friends.state.sets.get_mut(&key("db")).unwrap().deleting = Some(friends.now);
    friends.settle();
    assert_eq!(
        placed(&friends, "other")[0].1,
        "127.77.0.1",
        "released with the set"
    );
}

#[test]
fn a_missing_pool_is_named() {
    let mut wanted = spec(1, false);
    wanted.address_pool = Some("lan".to_owned());
    let friends = one("db", wanted, state(1));
    let missing = Reason::AddressPoolMissing {
        pool: "lan".to_owned(),
    };
    assert_eq!(friends.report.waiting[&member("db", 0)], missing);
}

#[test]
fn a_bound_claim_pins_its_member() {
    let mut friends = one("db", spec(1, true), state(2));
    assert_eq!(placed(&friends, "db")[0].0, "host-1");
    let wanted = spec(0, true);
    put_set(&mut friends.state, "db", wanted);
    friends.settle();
    friends.contact(&host_name(1), false);
    put_set(&mut friends.state, "db", spec(1, true));
    friends.settle();
    let claim = member("db", 0).claim("data").unwrap();
    let elsewhere = Refusal::VolumeElsewhere {
        claim,
        host: host_name(1),
    };
    let refused: Vec<_> = refusals(&friends, "db", 0)
        .into_iter()
        .map(|r| r.because)
        .collect();
    assert_eq!(refused, [Refusal::OutOfContact, elsewhere]);
}

#[test]
fn a_member_goes_back_to_its_host_even_without_a_volume() {
    let mut friends = one("db", spec(1, false), state(3));
    let wanted = spec(0, false);
    put_set(&mut friends.state, "db", wanted);
    friends.settle();
    let mut first = spec(1, false);
    first.template.spec.processes[0].ports.clear();
    put_set(&mut friends.state, "aa", first);
    friends.settle();
    let at = placed(&friends, "aa")[0].0.clone();
    assert_eq!(at, "host-1");
    put_set(&mut friends.state, "db", spec(1, false));
    friends.settle();
    assert_eq!(
        placed(&friends, "db")[0].0,
        "host-1",
        "although it is loaded more"
    );
}

#[test]
fn a_restart_leaves_a_cordoned_host_unless_its_data_is_there() {
    let restarted = |claim: bool| {
        let mut friends = one("db", spec(1, claim), state(2));
        friends.settle();
        let id = member("db", 0);
        let set = friends.state.sets.get_mut(&id.set).unwrap();
        let member = set.members.get_mut(&id.ordinal).unwrap();
        member.restart_asked = Some(friends.now);
        let host = member.host.clone();
        let record = &mut friends.state.hosts.get_mut(&host).unwrap().record;
        record.unschedulable = true;
        friends.settle();
        let after = &friends.state.sets[&id.set].members[&id.ordinal];
        assert_eq!(after.ordered, Ordered::Run);
        after.host == host
    };
    assert!(restarted(true), "its data is there");
    assert!(!restarted(false), "nothing holds it there");
}

#[test]
fn labels_cordons_and_pools_rule_hosts_out() {
    let mut start = state(4);
    start
        .hosts
        .get_mut(&host_name(2))
        .unwrap()
        .record
        .unschedulable = true;
    start
        .hosts
        .get_mut(&host_name(3))
        .unwrap()
        .record
        .pools
        .clear();
    start
        .hosts
        .get_mut(&host_name(4))
        .unwrap()
        .contact
        .connected = false;
    let mut wanted = spec(1, true);
    let selector = &mut wanted.template.spec.node_selector;
    selector.insert("n".to_owned(), "3".to_owned());
    let friends = one("db", wanted, start);
    let refused: Vec<_> = refusals(&friends, "db", 0)
        .into_iter()
        .map(|r| r.because)
        .collect();
    let pool = "default".to_owned();
    let expected = [
        Refusal::Labels,
        Refusal::Cordoned,
        Refusal::NoPool { pool },
        Refusal::OutOfContact,
    ];
    assert_eq!(refused, expected);
}

#[test]
fn what_a_process_requires_rules_out_hosts_that_cannot_enforce_it() {
    use crate::keeper::cgroup::Controller;
    let mut start = state(2);
    let has = |start: &mut State, controllers: &[Controller]| {
        let host = start.hosts.get_mut(&host_name(2)).unwrap();
        host.record.controllers = controllers.iter().copied().collect();
    };
    has(&mut start, &[Controller::Memory]);
    let mut wanted = spec(1, true);
    let resources = &mut wanted.template.spec.processes[0].resources;
    for (name, amount) in [("memory", "1Gi"), ("pids", "9")] {
        resources.limits.insert(name.to_owned(), amount.to_owned());
    }
    resources.require = true;
    let friends = one("db", wanted.clone(), start.clone());
    let refused = refusals(&friends, "db", 0);
    let lacking = |controllers: &[Controller]| Refusal::NoControllers {
        controllers: controllers.to_vec(),
    };
    assert_eq!(
        refused[0].because,
        lacking(&[Controller::Memory, Controller::Pids])
    );
    assert_eq!(refused[1].because, lacking(&[Controller::Pids]));
    has(&mut start, &Controller::ALL);
    let friends = one("db", wanted.clone(), start);
    assert_eq!(placed(&friends, "db")[0].0, host_name(2).to_string());
    // Without the word, any host will do.
    wanted.template.spec.processes[0].resources.require = false;
    let friends = one("db", wanted, state(1));
    assert_eq!(placed(&friends, "db").len(), 1);
}

#[test]
fn a_missing_config_object_is_named_and_holds_up_only_its_own_member() {
    let mut wanted = spec(1, false);
    let reference = crate::spec::process::ObjectReference {
        name: "conf".to_owned(),
        optional: false,
    };
    wanted.template.spec.processes[0]
        .env_from
        .push(EnvFromSource {
            config_map_ref: Some(reference),
            ..EnvFromSource::default()
        });
    let mut friends = one("db", wanted, state(1));
    let missing = Reason::ConfigMissing(MissingConfig {
        kind: "ConfigMap".to_owned(),
        key: key("conf"),
        entry: None,
    });
    assert_eq!(friends.report.waiting[&member("db", 0)], missing);
    friends
        .state
        .config_maps
        .insert(key("conf"), ConfigMap::default());
    friends.state.revise(&key("db"), friends.now);
    friends.settle();
    assert_eq!(friends.log, ["+db-0"]);
}

#[test]
fn a_start_waits_two_seconds_at_most_for_an_agent_to_serve_the_name() {
    let mut state = state(2);
    put_set(&mut state, "db", spec(1, false));
    let mut friends = Friends::new(state);
    friends.plan();
    friends
        .state
        .hosts
        .get_mut(&host_name(1))
        .unwrap()
        .contact
        .zone_acked = friends.state.zone.serial;
    friends.plan();
    let hosts = vec![host_name(2)];
    let waits = Reason::ZoneNotAcknowledged { hosts };
    assert_eq!(friends.report.waiting[&member("db", 0)], waits);
    assert_eq!(
        friends.report.wake_at,
        Some(friends.now.plus(Duration::from_secs(2)))
    );
    friends.now = friends.report.wake_at.unwrap();
    friends.plan();
    assert_eq!(friends.log, ["+db-0"]);
}

#[test]
fn an_agent_out_of_contact_is_not_waited_for() {
    let mut state = state(2);
    put_set(&mut state, "db", spec(1, false));
    let mut friends = Friends::new(state);
    friends.contact(&host_name(2), false);
    friends.plan();
    friends.agents();
    friends.plan();
    assert_eq!(friends.log, ["+db-0"]);
}

#[test]
fn a_member_that_never_started_leaves_a_host_that_is_gone() {
    let mut state = state(3);
    pool(&mut state, "dev", "10.9.0.0/24", true);
    put_set(&mut state, "db", spec(2, true));
    let mut friends = Friends::new(state);
    friends.unready.insert(member("db", 0));
    friends.settle();
    friends.contact(&host_name(2), false);
    friends.settle();
    let unknown = Reason::HostUnknown { host: host_name(2) };
    assert_eq!(friends.report.waiting[&member("db", 1)], unknown);
    assert_eq!(
        friends.report.wake_at,
        Some(friends.now.plus(Duration::from_secs(30)))
    );
    friends.now = friends.report.wake_at.unwrap();
    friends.settle();
    let places = placed(&friends, "db");
    assert_eq!(places[1], ("host-3".to_owned(), "10.9.0.2".to_owned()));
}

#[test]
fn a_member_that_was_ordered_stays_on_a_host_that_is_gone() {
    let mut friends = one("db", spec(1, false), state(2));
    friends.contact(&host_name(1), false);
    friends.now = friends.now.plus(Duration::from_secs(3600));
    friends.settle();
    assert_eq!(placed(&friends, "db")[0].0, "host-1");
}

#[test]
fn an_assignment_is_published_even_if_no_record_changes() {
    let mut friends = one("db", spec(1, false), state(1));
    let before = friends.state.zone.clone();
    friends.lose(&member("db", 0));
    friends.plan();
    let after = &friends.state.zone;
    assert_eq!(
        friends.state.sets[&key("db")].members[&Ordinal(0)].named_in,
        after.serial
    );
    assert!(after.serial > before.serial);
}

#[test]
fn a_plan_whose_end_was_not_committed_is_made_up_for() {
    let mut friends = one("db", spec(1, false), state(1));
    friends.lose(&member("db", 0));
    let (cut, _) = plan(&friends.state, friends.now);
    let (publish, rest) = cut.steps.split_last().unwrap();
    assert!(matches!(publish, Step::PublishZone { .. }));
    for step in rest {
        friends.state.apply(step, friends.now);
    }
    let again = friends.plan();
    assert_eq!(again.steps, std::slice::from_ref(publish));
}

#[test]
fn two_sets_cannot_share_a_claim_by_an_ambiguous_name() {
    let mut first = spec(1, true);
    first.volume_claim_templates[0].metadata.name = "a".to_owned();
    let mut second = spec(1, true);
    second.volume_claim_templates[0].metadata.name = "a-b".to_owned();
    let mut friends = one("b-c", first, state(2));
    put_set(&mut friends.state, "c", second);
    friends.settle();
    let foreign = Reason::VolumeForeign {
        volume: "a-b".to_owned(),
        owner: "default/b-c-0".to_owned(),
    };
    assert_eq!(friends.report.waiting[&member("c", 0)], foreign);
}

#[test]
fn a_parked_set_waits_and_others_go_on() {
    let mut state = state(2);
    put_set(&mut state, "bad", spec(1, false));
    put_set(&mut state, "good", spec(1, false));
    let parked = [(Subject::Set(key("bad")), "claimHost".to_owned())].into();
    let (plan, report) = plan_without(&state, crate::fixture::NOW, &parked);
    let about = plan.steps.iter().filter_map(Step::member);
    assert!(about.clone().all(|(set, _)| *set == key("good")));
    assert!(about.count() > 0);
    let rule = "claimHost".to_owned();
    assert_eq!(
        report.waiting[&member("bad", 0)],
        Reason::PlanRefused { rule }
    );
}

#[test]
fn warnings_name_the_trap() {
    let mut wanted = spec(2, false);
    wanted.service_name = Some("nowhere".to_owned());
    let mut state = state(2);
    put_set(&mut state, "db", wanted.clone());
    let warnings = |state: &State| plan(state, crate::fixture::NOW).1.warnings;
    let texts = &warnings(&state)[&key("db")];
    assert!(texts[0].contains("bootstrapPolicy"), "{texts:?}");
    assert!(texts[1].contains("nowhere"), "{texts:?}");
    wanted.service_name = None;
    for bootstrap in [
        GatePolicy::OrderedReady,
        GatePolicy::OrderedStarted,
        GatePolicy::Parallel,
    ] {
        wanted.bootstrap_policy = Some(bootstrap);
        put_set(&mut state, "db", wanted.clone());
        assert!(warnings(&state).is_empty(), "the operator chose");
    }
    wanted.bootstrap_policy = None;
    wanted.pod_management_policy = GatePolicy::Parallel;
    put_set(&mut state, "db", wanted);
    assert!(warnings(&state).is_empty());
}

#[test]
fn a_claim_is_made_with_what_its_template_asks_for() {
    let mut wanted = spec(1, true);
    let template = &mut wanted.volume_claim_templates[0];
    template.spec.access_modes = vec![crate::spec::AccessMode::ReadWriteOncePod];
    let requests = &mut template.spec.resources.requests;
    requests.insert("storage".to_owned(), "1Gi".to_owned());
    let labels = &mut template.metadata.labels;
    labels.insert("tier".to_owned(), "db".to_owned());
    let mut template = template.clone();
    let mut state = state(1);
    put_set(&mut state, "db", wanted);
    let (plan, _) = plan(&state, crate::fixture::NOW);
    for step in &plan.steps {
        state.apply(step, crate::fixture::NOW);
    }
    let claim = &state.claims[&"default/data-db-0".parse().unwrap()];
    template.spec.storage_class_name = Some("local".to_owned());
    assert_eq!(claim.spec, template.spec, "its class is named");
    assert_eq!(claim.labels, template.metadata.labels);
    assert_eq!(claim.created_at, crate::fixture::NOW);
}

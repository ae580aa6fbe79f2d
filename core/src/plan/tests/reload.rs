//! Reload: config that reaches files is delivered to members that run.

use crate::{
    fixture::{friend::Friends, host_name, key, member, put_set, spec, state},
    ids::{HostName, Ordinal, TemplateHash},
    plan::Step,
    spec::{
        Amount, ConfigMap, ConfigUpdate, DisruptionBudget, EnvVar, EnvVarSource, FileSource,
        KeySelector, OnChange, Override, StatefulSetSpec,
    },
    state::{Draining, Offline},
    waiting::Reason,
};

/// A set of three that takes a file and a variable from `conf`.
fn wanted() -> StatefulSetSpec {
    let mut wanted = spec(3, false);
    wanted.config_update = ConfigUpdate::Reload;
    let selector = |key: &str| {
        Some(KeySelector {
            name: "conf".to_owned(),
            key: key.to_owned(),
            optional: false,
        })
    };
    let process = &mut wanted.template.spec.processes[0];
    process.files.push(FileSource {
        path: "app.conf".to_owned(),
        config_map: selector("file"),
        ..FileSource::default()
    });
    process.env.push(EnvVar {
        name: "LEVEL".to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            config_map_key_ref: selector("env"),
            ..EnvVarSource::default()
        }),
    });
    wanted
}

fn config(friends: &mut Friends, env: &str, file: &str) {
    let mut map = ConfigMap::default();
    for (key, value) in [("env", env), ("file", file)] {
        map.data.insert(key.to_owned(), value.to_owned());
    }
    friends.state.config_maps.insert(key("conf"), map);
    friends.state.revise(&key("db"), friends.now);
}

fn running() -> Friends {
    let mut state = state(3);
    put_set(&mut state, "db", wanted());
    let mut friends = Friends::new(state);
    config(&mut friends, "1", "1");
    friends.settle();
    friends.log.clear();
    friends
}

fn drain(friends: &mut Friends, host: &HostName) {
    let since = friends.now;
    let record = &mut friends.state.hosts.get_mut(host).unwrap().record;
    record.unschedulable = true;
    record.directives.draining = Some(Draining {
        since,
        stop_pinned: false,
    });
}

/// The members that a plan delivers to.
fn delivered(friends: &mut Friends) -> Vec<String> {
    let steps = friends.plan().steps;
    let members = steps.iter().filter_map(|step| {
        let Step::Reload { member, .. } = step else {
            return None;
        };
        Some(member.name())
    });
    members.collect()
}

fn on_newest(friends: &Friends) -> Vec<u32> {
    let set = &friends.state.sets[&key("db")];
    let newest = set
        .members
        .iter()
        .filter(|(_, m)| m.revision == set.revision);
    newest.map(|(ordinal, _)| ordinal.0).collect()
}

#[test]
fn files_are_delivered_one_member_at_a_time_and_nobody_stops() {
    let mut friends = running();
    let epochs: Vec<_> = friends.state.sets[&key("db")]
        .members
        .values()
        .map(|member| member.epoch)
        .collect();
    config(&mut friends, "1", "2");
    assert_eq!(delivered(&mut friends), ["db-2"]);
    let why = &friends.report.waiting[&member("db", 0)];
    assert_eq!(*why, Reason::RevisionOutdated);
    // The agent of db-2 has the order, and has not written the files yet.
    friends.agents();
    let host = friends.state.sets[&key("db")].members[&member("db", 2).ordinal]
        .host
        .clone();
    let told = |friends: &mut Friends, revision: Option<TemplateHash>| {
        let contact = &mut friends.state.hosts.get_mut(&host).unwrap().contact;
        let seen = contact.members.get_mut(&member("db", 2)).unwrap();
        std::mem::replace(&mut seen.report.revision, revision)
    };
    let written = told(&mut friends, None);
    assert_eq!(delivered(&mut friends), [""; 0]);
    let why = &friends.report.waiting[&member("db", 2)];
    assert!(matches!(why, Reason::ConfigNotDelivered { .. }), "{why:?}");
    told(&mut friends, written);
    // It does not serve with them.
    friends.unready.insert(member("db", 2));
    friends.agents();
    assert_eq!(delivered(&mut friends), [""; 0]);
    friends.unready.clear();
    friends.agents();
    assert_eq!(delivered(&mut friends), ["db-1"]);
    friends.settle();
    assert_eq!(on_newest(&friends), [0, 1, 2]);
    assert_eq!(friends.log, [""; 0], "nobody was stopped or started");
    let members = &friends.state.sets[&key("db")].members;
    let now: Vec<_> = members.values().map(|member| member.epoch).collect();
    assert_eq!(now, epochs);
    assert_eq!(friends.report.waiting.len(), 0);
}

#[test]
fn who_is_out_of_contact_gets_files_when_it_is_back() {
    let mut friends = running();
    let host = friends.state.sets[&key("db")].members[&Ordinal(2)]
        .host
        .clone();
    friends.contact(&host, false);
    config(&mut friends, "1", "2");
    assert_eq!(delivered(&mut friends), ["db-1"]);
    let why = &friends.report.waiting[&member("db", 2)];
    assert_eq!(*why, Reason::HostUnknown { host: host.clone() });
    friends.settle();
    assert_eq!(on_newest(&friends), [0, 1]);
    friends.contact(&host, true);
    friends.settle();
    assert_eq!(on_newest(&friends), [0, 1, 2]);
    assert_eq!(friends.log, [""; 0]);
}

#[test]
fn what_is_in_an_environment_still_replaces_members() {
    let mut friends = running();
    config(&mut friends, "2", "2");
    friends.settle();
    assert_eq!(
        friends.log,
        ["-db-2", "+db-2", "-db-1", "+db-1", "-db-0", "+db-0"]
    );
}

#[test]
fn a_member_that_its_config_broke_gets_the_next_at_once() {
    let mut friends = running();
    config(&mut friends, "1", "bad");
    assert_eq!(delivered(&mut friends), ["db-2"]);
    friends.unready.insert(member("db", 2));
    friends.agents();
    assert_eq!(delivered(&mut friends), [""; 0], "the others keep theirs");
    config(&mut friends, "1", "good");
    friends.now = friends.now.plus(std::time::Duration::from_secs(10));
    friends.agents();
    assert_eq!(delivered(&mut friends), ["db-2"]);
    friends.unready.clear();
    friends.settle();
    assert_eq!(on_newest(&friends), [0, 1, 2]);
    assert_eq!(friends.log, [""; 0]);
}

#[test]
fn without_the_word_files_replace_members_too() {
    let mut friends = running();
    let mut spec = wanted();
    spec.config_update = ConfigUpdate::Rollout;
    put_set(&mut friends.state, "db", spec);
    config(&mut friends, "1", "2");
    friends.settle();
    assert_eq!(friends.log.len(), 6);
}

#[test]
fn what_an_override_changes_of_a_process_is_not_delivered_but_replaces_it() {
    let mut friends = running();
    let mut newer = wanted();
    newer.overrides.push(Override {
        ordinals: "1".to_owned(),
        args: Some(vec!["--larger".to_owned()]),
        ..Override::default()
    });
    put_set(&mut friends.state, "db", newer);
    friends.settle();
    assert_eq!(on_newest(&friends), [0, 1, 2]);
    assert_eq!(friends.log, ["-db-1", "+db-1"]);
}

#[test]
fn config_that_starts_a_process_anew_shares_the_budget_with_a_drain() {
    let mut friends = running();
    let mut newer = wanted();
    newer.template.spec.processes[0].files[0].on_change = OnChange::Restart;
    put_set(&mut friends.state, "db", newer);
    friends.settle();
    config(&mut friends, "1", "2");
    let offline = |friends: &mut Friends, ordinal: u32| {
        let set = friends.state.sets.get_mut(&key("db")).unwrap();
        let offline = Offline {
            since: friends.now,
            reason: String::new(),
        };
        set.offline.insert(Ordinal(ordinal), offline);
    };
    friends.log.clear();
    offline(&mut friends, 0);
    assert_eq!(delivered(&mut friends), ["db-2"]);
    assert_eq!(friends.log, [""; 0], "one at a time, whatever it is for");
    friends.agents();
    // That one has its files, and the one that is offline takes the budget.
    assert_eq!(delivered(&mut friends), ["db-1"]);
    assert_eq!(friends.log, [""; 0]);
    friends.settle();
    assert_eq!(friends.log, ["-db-0"]);
    config(&mut friends, "1", "3");
    friends.settle();
    let spent = &friends.report.waiting[&member("db", 2)];
    assert!(matches!(spent, Reason::BudgetSpent { .. }), "{spent:?}");
}

#[test]
fn a_drain_behind_config_that_waits_for_the_budget_is_woken_by_a_host_that_opens() {
    let mut friends = running();
    let mut newer = wanted();
    newer.template.spec.processes[0].files[0].on_change = OnChange::Restart;
    // A request may take down two, an update one.
    newer.disruption_budget = Some(DisruptionBudget {
        max_unavailable: Some(Amount::Number(2)),
        ..DisruptionBudget::default()
    });
    put_set(&mut friends.state, "db", newer);
    friends.settle();
    friends.log.clear();
    let at = |friends: &Friends, ordinal: u32| {
        let members = &friends.state.sets[&key("db")].members;
        members[&Ordinal(ordinal)].host.clone()
    };
    let (dead, drained) = (at(&friends, 0), at(&friends, 2));
    let more = state(4).hosts.into_iter().skip(3);
    friends.state.hosts.extend(more);
    let open = |friends: &mut Friends, on: bool| {
        let host = friends.state.hosts.get_mut(&host_name(4)).unwrap();
        host.record.unschedulable = !on;
    };
    open(&mut friends, false);
    friends.contact(&dead, false);
    drain(&mut friends, &drained);
    config(&mut friends, "1", "2");
    friends.settle();
    assert_eq!(friends.log, [""; 0], "nowhere to go");
    // Of two reasons the first is told; the other one is what a host that opens takes away.
    open(&mut friends, true);
    friends.settle();
    assert_eq!(
        friends.log,
        ["-db-2"],
        "it follows the lower one, which is lost"
    );
}

#[test]
fn the_next_one_waits_for_a_member_that_leaves_its_host_with_its_files() {
    let mut friends = running();
    let drained = friends.state.sets[&key("db")].members[&Ordinal(2)]
        .host
        .clone();
    let more = state(4).hosts.into_iter().skip(3);
    friends.state.hosts.extend(more);
    drain(&mut friends, &drained);
    config(&mut friends, "1", "2");
    assert_eq!(delivered(&mut friends), ["db-2"]);
    assert_eq!(friends.log, ["-db-2"]);
    friends.settle();
    assert_eq!(friends.log, ["-db-2", "+db-2"]);
    assert_eq!(on_newest(&friends), [0, 1, 2]);
}

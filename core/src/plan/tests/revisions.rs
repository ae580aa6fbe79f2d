//! Revisions: how many are kept, and what comes of config that changes or goes.

use crate::{
    fixture::{friend::Friends, key, member, put_set, spec, state},
    ids::Ordinal,
    spec::{ConfigMap, EnvVar, EnvVarSource, KeySelector, StatefulSetSpec},
    state::Ordered,
};

/// A set of two whose variable is the key `level` of `conf`.
fn configured(limit: Option<i64>) -> StatefulSetSpec {
    let mut wanted = spec(2, false);
    wanted.revision_history_limit = limit;
    let config_map_key_ref = Some(KeySelector {
        name: "conf".to_owned(),
        key: "level".to_owned(),
        optional: false,
    });
    wanted.template.spec.processes[0].env.push(EnvVar {
        name: "LEVEL".to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            config_map_key_ref,
            ..EnvVarSource::default()
        }),
    });
    wanted
}

fn config(friends: &mut Friends, level: Option<&str>) {
    let maps = &mut friends.state.config_maps;
    maps.remove(&key("conf"));
    if let Some(level) = level {
        let mut map = ConfigMap::default();
        map.data.insert("level".to_owned(), level.to_owned());
        maps.insert(key("conf"), map);
    }
    friends.state.revise(&key("db"), friends.now);
}

fn running(limit: Option<i64>) -> Friends {
    let mut state = state(2);
    put_set(&mut state, "db", configured(limit));
    let mut friends = Friends::new(state);
    config(&mut friends, Some("1"));
    friends.settle();
    friends.log.clear();
    friends
}

/// The values of the revisions that the set has, oldest first.
fn levels(friends: &Friends) -> Vec<String> {
    let set = &friends.state.sets[&key("db")];
    let mut found: Vec<_> = set
        .revisions
        .values()
        .map(|r| {
            let level = r.config.config_maps.get("conf").map(|o| o["level"].clone());
            (r.number, level.unwrap_or_default())
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, level)| level).collect()
}

#[test]
fn the_oldest_revisions_go_when_there_are_more_than_the_limit() {
    for (limit, kept) in [
        (Some(0), vec!["4"]),
        (Some(2), vec!["2", "3", "4"]),
        (None, vec!["", "1", "2", "3", "4"]),
    ] {
        let mut friends = running(limit);
        for level in ["2", "3", "4"] {
            config(&mut friends, Some(level));
            friends.settle();
        }
        assert_eq!(levels(&friends), kept, "{limit:?}");
    }
}

#[test]
fn what_a_member_carries_is_kept_even_when_nothing_gets_on() {
    let mut friends = running(Some(0));
    friends.unready.insert(member("db", 0));
    friends.agents();
    config(&mut friends, Some("2"));
    friends.plan();
    config(&mut friends, Some("3"));
    friends.plan();
    assert_eq!(levels(&friends), ["1", "3"], "nobody ever had the second");
}

#[test]
fn a_missing_key_holds_what_would_stop_for_it_and_comes_by_itself() {
    let mut friends = running(None);
    config(&mut friends, None);
    friends.settle();
    assert_eq!(friends.log, [""; 0], "nobody stops for it");
    let why = friends.report.waiting[&member("db", 1)].to_string();
    assert_eq!(why, "ConfigMap default/conf does not exist");

    friends
        .state
        .config_maps
        .insert(key("conf"), ConfigMap::default());
    friends.state.revise(&key("db"), friends.now);
    friends.settle();
    let why = friends.report.waiting[&member("db", 1)].to_string();
    assert_eq!(why, "ConfigMap default/conf has no key 'level'");
    assert_eq!(friends.log, [""; 0]);

    let before = friends.state.sets[&key("db")].members.clone();
    config(&mut friends, Some("1"));
    friends.settle();
    assert_eq!(friends.state.sets[&key("db")].members, before, "as it was");
    assert_eq!(friends.report.waiting.len(), 0);
    config(&mut friends, None);
    config(&mut friends, Some("2"));
    friends.settle();
    assert_eq!(friends.log, ["-db-1", "+db-1", "-db-0", "+db-0"]);
}

#[test]
fn a_set_that_goes_drops_its_history_first() {
    let mut friends = running(None);
    config(&mut friends, Some("2"));
    friends.settle();
    let set = friends.state.sets.get_mut(&key("db")).unwrap();
    set.deleting = Some(friends.now);
    friends.settle();
    assert!(!friends.state.sets.contains_key(&key("db")));
}

#[test]
fn a_member_that_comes_back_by_itself_has_the_config_of_its_revision() {
    let mut friends = running(None);
    friends.unready.insert(member("db", 1));
    friends.agents();
    config(&mut friends, Some("2"));
    friends.plan();
    let set = &friends.state.sets[&key("db")];
    let held = &set.members[&Ordinal(0)];
    assert_eq!(held.ordered, Ordered::Run);
    let order = crate::state::orders::member_order(&friends.state, &member("db", 0)).unwrap();
    assert_eq!(order.config.config_maps["conf"]["level"], "1");
}

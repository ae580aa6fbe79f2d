//! Orders hold what was ordered, and leave the agent no choice.

use std::collections::BTreeSet;

use super::*;
use crate::{
    fixture::{NOW, assign, fill, host_name, key, member, put_set, run_all, spec, state},
    ids::{Generation, Ordinal},
    order::Desired,
    plan::Step,
    spec::{EnvFromSource, EnvVar, EnvVarSource, FileSource, KeySelector, Sealed},
};

fn selector(name: &str, optional: bool) -> Option<KeySelector> {
    Some(KeySelector {
        name: name.to_owned(),
        key: "k".to_owned(),
        optional,
    })
}

/// A set of two on two hosts, ordered to run.
fn running() -> State {
    let mut state = state(2);
    put_set(&mut state, "db", spec(2, true));
    run_all(&mut state, "db");
    state
}

#[test]
fn an_order_holds_what_was_ordered_and_not_what_is_only_assigned() {
    let mut state = running();
    put_set(&mut state, "web", spec(1, false));
    assign(&mut state, &member("web", 0));
    let order = host_order(&state, &host_name(1));
    let ids: Vec<_> = order.keys().cloned().collect();
    assert_eq!(ids, [member("db", 0)]);
    assert_eq!(order[&member("db", 0)].desired, Desired::Run);

    let epoch = state.sets[&key("db")].members[&Ordinal(0)].epoch;
    let stop = Step::Stop {
        member: member("db", 0),
        epoch,
    };
    state.apply(&stop, NOW);
    let order = host_order(&state, &host_name(1));
    assert_eq!(order[&member("db", 0)].desired, Desired::Stop);
}

#[test]
fn peers_are_all_declared_members_in_ordinal_order() {
    let mut state = running();
    put_set(&mut state, "db", spec(12, true));
    let values = member_order(&state, &member("db", 1)).unwrap().values;
    let names: Vec<_> = values.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names[..3], ["db-0", "db-1", "db-2"]);
    assert_eq!(names[10..], ["db-10", "db-11"]);
    assert_eq!(values.peers[1].address, "10.0.0.2");
    assert_eq!(values.peers[1].host_labels["n"], "2");
    assert_eq!(values.peers[2].address, "", "not assigned yet");
    assert_eq!(values.fqdn, "db-1.db.default.svc.berth.internal");
    assert_eq!(values.host_labels["n"], "2");
}

#[test]
fn a_member_that_is_no_longer_wanted_is_among_its_own_peers_only() {
    let mut state = running();
    put_set(&mut state, "db", spec(1, true));
    let peers = |n| member_order(&state, &member("db", n)).unwrap().values.peers;
    assert_eq!(peers(0).len(), 1);
    let own: Vec<_> = peers(1).iter().map(|peer| peer.ordinal.0).collect();
    assert_eq!(own, [0, 1]);
}

#[test]
fn founding_is_true_until_the_gate_and_never_after_the_volume_was_lost() {
    let mut state = running();
    let id = member("db", 0);
    let founding = |state: &State| member_order(state, &id).unwrap().values.founding;
    assert!(!founding(&state));
    let founders = vec![peer(&state, &state.sets[&key("db")], &id)];
    state.apply(
        &Step::Found {
            set: key("db"),
            founders,
        },
        NOW,
    );
    assert!(founding(&state));

    let claim = id.claim("data").unwrap();
    state.apply(&fill(claim.clone()), NOW);
    assert!(founding(&state));
    let kept = state.clone();
    state.claims.get_mut(&claim).unwrap().uid = crate::ids::Uid("new".to_owned());
    assert!(!founding(&state), "another volume under the same name");
    state.claims.remove(&claim);
    assert!(!founding(&state), "the claim is gone");

    state = kept;
    let epoch = state.sets[&key("db")].members[&Ordinal(0)].epoch;
    state.apply(
        &Step::PassGate {
            member: id.clone(),
            epoch,
        },
        NOW,
    );
    assert!(!founding(&state));
}

#[test]
fn every_way_to_use_a_config_object_brings_it_into_the_order() {
    let mut state = state(1);
    let mut wanted = spec(1, false);
    let process = &mut wanted.template.spec.processes[0];
    process.env.push(EnvVar {
        name: "A".to_owned(),
        value_from: Some(EnvVarSource {
            config_map_key_ref: selector("from-env", false),
            secret_key_ref: selector("secret-env", true),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
    let from = EnvFromSource {
        config_map_ref: Some(crate::spec::process::ObjectReference {
            name: "whole".to_owned(),
            optional: false,
        }),
        ..EnvFromSource::default()
    };
    process.env_from.push(from);
    process.files.push(FileSource {
        config_map: selector("from-file", false),
        ..FileSource::default()
    });
    for name in ["from-env", "whole", "from-file", "unused"] {
        let mut map = ConfigMap::default();
        map.data.insert("k".to_owned(), "v".to_owned());
        state.config_maps.insert(key(name), map);
    }
    let mut secret = Secret::default();
    secret
        .data
        .insert("k".to_owned(), Sealed::new("aHVudGVyMg==".to_owned()));
    secret
        .data
        .insert("binary".to_owned(), Sealed::new("/w==".to_owned()));
    state.secrets.insert(key("secret-env"), secret);
    put_set(&mut state, "db", wanted);
    run_all(&mut state, "db");

    let config = member_order(&state, &member("db", 0)).unwrap().config;
    let maps: BTreeSet<_> = config.config_maps.keys().map(String::as_str).collect();
    assert_eq!(maps, BTreeSet::from(["from-env", "from-file", "whole"]));
    assert_eq!(config.secrets["secret-env"]["k"].expose(), "hunter2");
    assert_eq!(
        config.secrets["secret-env"].len(),
        1,
        "what is no text is left out"
    );

    let missing = |state: &mut State| {
        state.revise(&key("db"), NOW);
        let set = &state.sets[&key("db")];
        let reason = set.revisions[&set.revision].missing(&key("db").namespace);
        reason.map(|reason| reason.to_string())
    };
    state.secrets.clear();
    assert_eq!(missing(&mut state), None, "optional");
    state.config_maps.remove(&key("whole"));
    assert_eq!(
        missing(&mut state).unwrap(),
        "ConfigMap default/whole does not exist"
    );
    let file = state.config_maps.get_mut(&key("from-file")).unwrap();
    file.data.clear();
    assert_eq!(
        missing(&mut state).unwrap(),
        "ConfigMap default/from-file has no key 'k'"
    );

    let now = member_order(&state, &member("db", 0)).unwrap().config;
    assert_eq!(now, config, "a member keeps the config of its revision");
}

#[test]
fn a_delta_turns_the_old_order_into_the_new_one() {
    let mut state = state(1);
    for name in ["a", "b", "c"] {
        put_set(&mut state, name, spec(1, false));
        run_all(&mut state, name);
    }
    let old = host_order(&state, &host_name(1));
    let epoch = state.sets[&key("a")].members[&Ordinal(0)].epoch;
    state.apply(
        &Step::Stop {
            member: member("a", 0),
            epoch,
        },
        NOW,
    );
    state.sets.remove(&key("b"));
    let new = host_order(&state, &host_name(1));
    let base = OrderHead {
        generation: Generation(3),
        ..OrderHead::default()
    };
    let change = delta(&base, &old, OrderHead::default(), &new);
    assert_eq!(change.base, Some(Generation(3)));
    assert_eq!(change.upserts.len(), 1, "c is as it was");
    assert_eq!(change.removals, [member("b", 0)]);
    assert_eq!(change.apply_to(&old), new);
    assert_eq!(snapshot(OrderHead::default(), &new).apply_to(&old), new);
}

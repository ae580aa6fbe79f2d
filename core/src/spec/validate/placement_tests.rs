//! Rules about where members are, and about what differs for single ordinals.

use serde_json::{Value, json};

use super::tests::{good, problems, with};

fn one(pointer: &str, value: Value) -> Vec<String> {
    problems(with(good(), pointer, value))
}

#[test]
fn rules_about_ordinals() {
    let far = one("/spec/ordinals", json!({ "start": 2_000_000_000 }));
    assert_eq!(
        far,
        ["spec.ordinals.start: 2000000000 is too large; give at most 1000000000"]
    );
    let long = "x".repeat(57);
    let mut object = with(good(), "/metadata/name", json!(long));
    object["spec"]["volumeClaimTemplates"] = json!([]);
    object["spec"]["template"]["spec"]["processes"] = json!([{
        "name": "main", "command": ["/bin/db"], "user": "db" }]);
    let object = with(
        object,
        "/spec/ordinals",
        json!({ "reserved": [98], "start": 97 }),
    );
    assert_eq!(problems(object.clone()), [""; 0]);
    let object = with(object, "/spec/ordinals/start", json!(99_998));
    assert!(problems(object)[0].contains("-100000' would have a name of 64 bytes"));
}

#[test]
fn rules_about_spread() {
    let at = "/spec/template/spec/topologySpreadConstraints";
    let rack = json!({ "topologyKey": "rack", "maxSkew": 1 });
    assert_eq!(one(at, json!([rack])), [""; 0]);
    let root = "spec.template.spec.topologySpreadConstraints";
    assert_eq!(
        one(at, json!([{ "topologyKey": "rack" }])),
        [format!(
            "{root}[0].maxSkew: it is missing or 0; give 1 or more"
        )]
    );
    assert!(one(at, json!([{ "maxSkew": 1 }]))[0].starts_with(&format!("{root}[0].topologyKey: ")));
    assert_eq!(
        one(at, json!([rack, rack])),
        [format!(
            "{root}[1].topologyKey: 'rack' is there twice; keep one of them"
        )]
    );
}

#[test]
fn one_member_per_host_leaves_the_number_to_the_hosts() {
    let mut object = with(good(), "/spec/placement", json!("PerHost"));
    assert!(problems(object.clone())[0].starts_with("spec.replicas: with placement: PerHost"));
    object["spec"].as_object_mut().unwrap().remove("replicas");
    assert_eq!(problems(object.clone()), [""; 0]);
    let least = with(
        object.clone(),
        "/spec/disruptionBudget",
        json!({ "minAvailable": 5 }),
    );
    assert_eq!(problems(least), [""; 0], "so many there may be");
    for (field, value) in [
        ("/spec/ordinals", json!({ "reserved": [1] })),
        ("/spec/spread", json!("Prefer")),
        ("/spec/membership", json!("Static")),
        (
            "/spec/persistentVolumeClaimRetentionPolicy",
            json!({ "whenScaled": "Delete" }),
        ),
        (
            "/spec/overrides",
            json!([{ "ordinals": "1", "nodeSelector": { "a": "b" } }]),
        ),
        (
            "/spec/template/spec/topologySpreadConstraints",
            json!([{ "topologyKey": "rack", "maxSkew": 1 }]),
        ),
    ] {
        let found = problems(with(object.clone(), field, value));
        assert!(
            found.len() == 1 && found[0].contains("PerHost"),
            "{field}: {found:?}"
        );
    }
}

#[test]
fn rules_about_overrides() {
    let at = "/spec/overrides";
    let good = json!({ "ordinals": "0-1,4", "process": "main", "args": ["{{ ordinal }}"] });
    assert_eq!(one(at, json!([good])), [""; 0]);
    for (changed, value, expected) in [
        (
            "ordinals",
            json!("2-1"),
            "spec.overrides[0].ordinals: '2-1' is no ordinal",
        ),
        (
            "ordinals",
            json!("0-2000000000"),
            "spec.overrides[0].ordinals: '0-2000000000' goes too",
        ),
        (
            "process",
            json!("none"),
            "spec.overrides[0].process: which process is meant? give one of",
        ),
        (
            "process",
            json!(null),
            "spec.overrides[0].process: which process is meant? give one of",
        ),
        (
            "args",
            json!(null),
            "spec.overrides[0]: it changes nothing; give env, args, resources",
        ),
        (
            "args",
            json!(["{{ nmae }}"]),
            "spec.overrides[0]: spec.template.spec.processes[0].args[0]",
        ),
        (
            "env",
            json!([{ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]),
            "spec.overrides[0].env[0].valueFrom: the config that a set uses is the same for all",
        ),
        (
            "resources",
            json!({ "limits": { "disk": 1 } }),
            "spec.overrides[0].resources.limits.disk: 'disk' is not known here",
        ),
    ] {
        let mut changed_one = good.clone();
        changed_one[changed] = value;
        let found = one(at, json!([changed_one]));
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn no_two_overrides_are_about_the_same() {
    let args = |ordinals: &str, process: &str| json!({ "ordinals": ordinals, "process": process, "args": [] });
    let host = |ordinals: &str| json!({ "ordinals": ordinals, "nodeSelector": { "a": "b" } });
    let overlap = |pair: [Value; 2]| one("/spec/overrides", json!(pair));
    assert_eq!(
        overlap([args("0-3", "main"), args("5,2", "main")]),
        [
            "spec.overrides[1].ordinals: ordinal 2 is in overrides[0] ('0-3') and in this one ('5,2') \
          for the same; leave it in one of them"
        ]
    );
    assert_eq!(overlap([host("0-1"), host("1")]).len(), 1);
    for different in [
        [args("0-3", "main"), args("2", "side")],
        [args("0-1", "main"), args("2", "main")],
        [args("0", "main"), host("0")],
    ] {
        assert_eq!(overlap(different), [""; 0]);
    }
}

//! Each rule, broken once. A case changes one thing of a set that has no problem.

use serde_json::{Value, json};

use super::*;

/// A set that breaks no rule and uses everything.
pub(super) fn good() -> Value {
    json!({
        "kind": "StatefulSet",
        "metadata": { "name": "db", "labels": { "example.com/team": "a_B.c" } },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app": "db" } },
            "serviceName": "db",
            "template": {
                "metadata": { "labels": { "app": "db" } },
                "spec": {
                    "configDir": { "copyFrom": "/etc/db" },
                    "nodeSelector": { "disk": "ssd" },
                    "initProcesses": [{ "name": "init", "command": ["/bin/init"], "user": "db" }],
                    "processes": [
                        {
                            "name": "main", "command": ["/bin/db", "{{ member }}"], "user": "db",
                            "group": "1000", "workingDir": "/data",
                            "env": [{ "name": "A", "value": "1" }, { "name": "B", "valueFrom": {
                                "secretKeyRef": { "name": "s", "key": "k" } } }],
                            "envFrom": [{ "configMapRef": { "name": "c" } }],
                            "ports": [{ "name": "client", "containerPort": 1 }],
                            "capabilities": { "keep": ["NET_BIND_SERVICE"] },
                            "rlimits": { "nofile": 1, "memlock": "unlimited" },
                            "resources": { "requests": { "cpu": "1" },
                                           "limits": { "cpu": "2", "memory": "1Gi" } },
                            "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
                            "files": [{ "path": "a", "content": "x", "mode": "0600" }],
                            "readinessProbe": { "tcpSocket": { "port": "client" } },
                            "lifecycle": { "preStop": { "exec": { "command": ["/bin/stop"] } } },
                            "killSignal": "SIGQUIT"
                        },
                        {
                            "name": "side", "command": ["/bin/side"], "user": "db",
                            "ports": [{ "name": "admin", "containerPort": 2 }],
                            "volumeMounts": [{ "name": "data", "mountPath": "/data" },
                                             { "name": "logs", "mountPath": "/logs" }],
                        },
                    ],
                },
            },
            "volumeClaimTemplates": [
                { "metadata": { "name": "data" }, "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": { "requests": { "storage": "1Gi" } } } },
                { "metadata": { "name": "logs" }, "spec": {
                    "resources": { "requests": { "storage": 1 } } } },
            ],
        },
    })
}

pub(super) fn problems(object: Value) -> Vec<String> {
    validate(&serde_json::from_value(object).unwrap())
        .into_iter()
        .map(|p| format!("{}: {}", p.field, p.message))
        .collect()
}

/// Replaces what a JSON pointer points to, or adds a field.
pub(super) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    if let Some(slot) = object.pointer_mut(pointer) {
        *slot = value;
        return object;
    }
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    parent
        .as_object_mut()
        .unwrap()
        .insert(key.to_owned(), value);
    object
}

#[test]
fn a_good_set_has_no_problem() {
    assert_eq!(problems(good()), [""; 0]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases reads best whole")]
fn rules_about_a_set() {
    let long = "x".repeat(61);
    check(&[
        (
            "/metadata/name",
            json!(""),
            "metadata.name: a name is missing; give one of 1 to 63 characters a-z, 0-9 and '-'",
        ),
        (
            "/metadata/name",
            json!("Db"),
            "metadata.name: 'Db' is not a DNS label; use a-z, 0-9 and '-', begin and end with a letter or digit",
        ),
        (
            "/metadata/name",
            json!(format!("{long}y")),
            &format!(
                "metadata.name: member '{long}y-2' would have a name of 64 bytes, the limit is 63; shorten the set's name"
            ),
        ),
        (
            "/metadata/name",
            json!(long),
            &format!(
                "spec.volumeClaimTemplates[0].metadata.name: claim 'data-{long}-2' would have a name of 68 bytes, the limit is 63; shorten this name or the set's"
            ),
        ),
        (
            "/metadata/namespace",
            json!("a b"),
            "metadata.namespace: 'a b' is not a DNS label; use a-z, 0-9 and '-', begin and end with a letter or digit",
        ),
        (
            "/metadata/labels",
            json!({ "-a": "" }),
            "metadata.labels.-a: '-a' is not a label name; use at most 63 of a-z, A-Z, 0-9, '-', '_', '.', with a DNS name and '/' before it if needed",
        ),
        (
            "/metadata/labels",
            json!({ "a": "b c" }),
            "metadata.labels.a: 'b c' is not a label value; use at most 63 of a-z, A-Z, 0-9, '-', '_', '.', and begin and end with a letter or digit",
        ),
        (
            "/spec/replicas",
            json!(-1),
            "spec.replicas: -1 is negative; give 0 or more",
        ),
        (
            "/spec/replicas",
            json!(10_001),
            "spec.replicas: 10001 is too many; give at most 10000",
        ),
        (
            "/spec/serviceName",
            json!("a.b"),
            "spec.serviceName: 'a.b' is not a DNS label; use a-z, 0-9 and '-', begin and end with a letter or digit",
        ),
        (
            "/spec/selector/matchLabels",
            json!({ "app": "x" }),
            "spec.selector.matchLabels.app: the template has no label 'app: x'; add it to spec.template.metadata.labels, or leave the selector out",
        ),
        (
            "/spec/volumeClaimTemplates/1/metadata/name",
            json!("data"),
            "spec.volumeClaimTemplates[1].metadata.name: 'data' is there twice; give another name",
        ),
        (
            "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
            json!("1GB"),
            "spec.volumeClaimTemplates[0].spec.resources.requests.storage: '1GB' is not a quantity; write a number with a unit, such as 10Gi, 500M or 100m",
        ),
        (
            "/spec/volumeClaimTemplates/0/spec/resources/requests/storage",
            json!("0"),
            "spec.volumeClaimTemplates[0].spec.resources.requests.storage: a volume needs some space; give more than 0",
        ),
        (
            "/spec/template/spec/configDir/copyFrom",
            json!("etc"),
            "spec.template.spec.configDir.copyFrom: 'etc' is not absolute; begin it with '/'",
        ),
    ]);
}

#[test]
fn rules_about_other_kinds() {
    let cases = [
        (
            json!({ "kind": "AddressPool", "metadata": { "name": "p" }, "spec": { "cidr": "127.77.0.1/16" } }),
            "spec.cidr: '127.77.0.1/16' does not begin its range; write 127.77.0.0/16",
        ),
        (
            json!({ "kind": "AddressPool", "metadata": { "name": "p" }, "spec": { "cidr": "10.0.0.0/16" } }),
            "spec.cidr: 10.0.0.0/16 does not lie in 127.0.0.0/8; other ranges are not supported yet",
        ),
        (
            json!({ "kind": "AddressPool", "metadata": { "name": "p" }, "spec": { "cidr": "127.0.0.0/31" } }),
            "spec.cidr: /31 is not a useful size; give /8 to /30",
        ),
        (
            json!({ "kind": "AddressPool", "metadata": { "name": "p" }, "spec": { "cidr": "x" } }),
            "spec.cidr: 'x' is not a range of IPv4 addresses; write one such as 127.77.0.0/16",
        ),
        (
            json!({ "kind": "AddressPool", "metadata": { "name": "p" } }),
            "spec.cidr: no range is given; give one such as 127.77.0.0/16",
        ),
        (
            json!({ "kind": "Service", "metadata": { "name": "s" }, "spec": { "clusterIP": "10.0.0.1" } }),
            "spec.clusterIP: '10.0.0.1' cannot be served, Berth has no virtual addresses; give None",
        ),
        (
            json!({ "kind": "Service", "metadata": { "name": "s" }, "spec": { "ports": [{ "port": 1 }, { "name": "a", "port": 2 }] } }),
            "spec.ports[0].name: no name is given; each of several ports needs one",
        ),
        (
            json!({ "kind": "ConfigMap", "metadata": { "name": "c" }, "data": { "a b": "" } }),
            "data.a b: 'a b' is not a key; use at most 253 of a-z, A-Z, 0-9, '-', '_' and '.'",
        ),
        (
            json!({ "kind": "Secret", "metadata": { "name": "s" }, "data": { "a": "hunter2!" } }),
            "data.a: the value is not base64; encode it, or give it as it is under stringData",
        ),
        (
            json!({ "kind": "Secret", "metadata": { "name": "s" }, "data": { "a": "/w==" } }),
            "data.a: the decoded value is not UTF-8 text; binary values are not supported",
        ),
        (
            json!({ "kind": "PersistentVolumeClaim", "metadata": { "name": "c" }, "spec": { "resources": { "requests": { "storage": 1, "disk": "1" } } } }),
            "spec.resources.requests.disk: 'disk' is not known here; use storage",
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(problems(object), [expected]);
    }
}

#[test]
fn ranges_know_what_they_hold() {
    let range: Cidr = "127.77.0.0/16".parse().unwrap();
    assert_eq!(range.last().to_string(), "127.77.255.255");
    assert!(range.overlaps("127.0.0.0/8".parse().unwrap()));
    assert!(!range.overlaps("127.78.0.0/16".parse().unwrap()));
    assert_eq!(
        "0.0.0.0/0".parse::<Cidr>().unwrap().last().to_string(),
        "255.255.255.255"
    );
}

/// Some mistakes break two rules; the one that a case is about must be among the problems.
pub(super) fn check(cases: &[(&str, Value, &str)]) {
    for (pointer, value, expected) in cases {
        let found = problems(with(good(), pointer, value.clone()));
        assert!(
            found.iter().any(|problem| problem == expected),
            "{pointer} = {value}: {found:#?}"
        );
    }
}

//! Each rule, broken once. A case changes one thing of a set that has no problem.

use serde_json::{Value, json};

use super::*;

/// A set that breaks no rule and uses everything.
fn good() -> Value {
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
                { "metadata": { "name": "logs" } },
            ],
        },
    })
}

fn problems(object: Value) -> Vec<String> {
    validate(&serde_json::from_value(object).unwrap())
        .into_iter()
        .map(|p| format!("{}: {}", p.field, p.message))
        .collect()
}

/// Replaces what a JSON pointer points to, or adds a field.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
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
fn rules_about_processes() {
    check_process(&[
        (
            "/name",
            json!("init"),
            "name: 'init' is there twice; give another name",
        ),
        (
            "/command",
            json!([]),
            "command: no command is given; give command: [/path/of/the/program, arguments]",
        ),
        (
            "/command/0",
            json!("db"),
            "command[0]: 'db' is not an absolute path; give the path of the program",
        ),
        (
            "/command/1",
            json!("{{ nope }}"),
            "command[1]: there is no value 'nope'; use namespace, set, member, ordinal, replicas, fqdn, address, peers, founders, founding, previous_address, configDir or host.labels.<name>",
        ),
        (
            "/user",
            json!(null),
            "user: no user is given, and there is no default; give user: the user that runs it",
        ),
        (
            "/user",
            json!("a b"),
            "user: 'a b' is not a name or number of a user or group; correct it",
        ),
        (
            "/workingDir",
            json!("data"),
            "workingDir: 'data' is not absolute; begin it with '/'",
        ),
        (
            "/killSignal",
            json!("SIGSTOPPED"),
            "killSignal: 'SIGSTOPPED' is not a signal; give a name such as SIGTERM or SIGQUIT",
        ),
        (
            "/capabilities/keep/0",
            json!("ALL"),
            "capabilities.keep[0]: 'ALL' is not a capability; give a name such as NET_BIND_SERVICE",
        ),
        (
            "/rlimits",
            json!({ "files": 1 }),
            "rlimits.files: 'files' is not a resource limit; use one of as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack",
        ),
        (
            "/rlimits/nofile",
            json!("infinity"),
            "rlimits.nofile: 'infinity' is not a limit; give a number or unlimited",
        ),
        (
            "/resources/limits",
            json!({ "gpu": "1" }),
            "resources.limits.gpu: 'gpu' is not known here; use cpu or memory",
        ),
        (
            "/resources/limits/cpu",
            json!("500m"),
            "resources.requests.cpu: 1 is more than the limit; give at most the limit",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases reads best whole")]
fn rules_about_environment_files_and_mounts() {
    check_process(&[
        (
            "/env/1/name",
            json!("A"),
            "env[1].name: 'A' is there twice; give another name",
        ),
        (
            "/env/0/name",
            json!("A=B"),
            "env[0].name: 'A=B' is not a name of a variable; use printable characters without '='",
        ),
        (
            "/env/1/value",
            json!("x"),
            "env[1].valueFrom: value is given too; remove one of the two",
        ),
        (
            "/env/1/valueFrom",
            json!({}),
            "env[1].valueFrom: give exactly one of configMapKeyRef and secretKeyRef",
        ),
        (
            "/env/1/valueFrom/secretKeyRef/key",
            json!(""),
            "env[1].valueFrom.secretKeyRef.key: no key is given; name one of the object's keys",
        ),
        (
            "/envFrom/0",
            json!({}),
            "envFrom[0]: give exactly one of configMapRef and secretRef",
        ),
        (
            "/files/0/path",
            json!("../x"),
            "files[0].path: '../x' contains '..'; give the path without it",
        ),
        (
            "/files/0/path",
            json!(""),
            "files[0].path: no file name is given; give a path, absolute or relative to {{ configDir }}",
        ),
        (
            "/files/0/content",
            json!(null),
            "files[0]: give exactly one of content, configMap and secret",
        ),
        (
            "/files/0/secret",
            json!({ "name": "s", "key": "k" }),
            "files[0]: give exactly one of content, configMap and secret",
        ),
        (
            "/files/0/mode",
            json!("644x"),
            "files[0].mode: '644x' is not a file mode; write four octal digits, such as '0640'",
        ),
        (
            "/files/0/mode",
            json!("4755"),
            "files[0].mode: '4755' is not a file mode; write four octal digits, such as '0640'",
        ),
        (
            "/files",
            json!([{ "path": "a", "content": "" }, { "path": "./a", "content": "" }]),
            "files[1].path: process 'main' has a file 'a' already; give another path",
        ),
        (
            "/volumeMounts/0/name",
            json!("date"),
            "volumeMounts[0].name: there is no claim template 'date'; add it to spec.volumeClaimTemplates",
        ),
        (
            "/volumeMounts/0/mountPath",
            json!("data"),
            "volumeMounts[0].mountPath: 'data' is not absolute; begin it with '/'",
        ),
        (
            "/volumeMounts/0/mountPath",
            json!("/a/../b"),
            "volumeMounts[0].mountPath: '/a/../b' contains '..', '.' or '//'; give the path without them",
        ),
        (
            "/volumeMounts/0/mountPath",
            json!("/"),
            "volumeMounts[0].mountPath: '/' cannot be replaced by a volume; give a directory in it",
        ),
        (
            "/volumeMounts/0/mountPath",
            json!("/proc/x"),
            "volumeMounts[0].mountPath: '/proc/x' lies in /proc, which is not for volumes; give another path",
        ),
        (
            "/volumeMounts",
            json!([{ "name": "data", "mountPath": "/data" }, { "name": "data", "mountPath": "/data/" }]),
            "volumeMounts[1].mountPath: '/data' is there twice; give another path",
        ),
    ]);
    check(&[
        (
            "/spec/template/spec/processes/1/volumeMounts/0/name",
            json!("logs"),
            "spec.template.spec.processes[1].volumeMounts[0].mountPath: volume 'data' of process 'main' is at '/data' already, and all processes of a member see the same volumes; give another path",
        ),
        (
            "/spec/template/spec/processes/1/volumeMounts/1/mountPath",
            json!("/data/logs"),
            "spec.template.spec.processes[1].volumeMounts[1].mountPath: '/data/logs' and '/data' of volume 'data' of process 'main' lie in each other; give paths side by side",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases reads best whole")]
fn rules_about_ports_and_probes() {
    check_process(&[
        (
            "/ports/0/containerPort",
            json!(65_536),
            "ports[0].containerPort: 65536 is not a port; give 1 to 65535",
        ),
        (
            "/ports/0/name",
            json!("a-much-too-long-name"),
            "ports[0].name: 'a-much-too-long-name' is not a name of a port; use at most 15 of a-z, 0-9 and single '-', with a letter among them",
        ),
        (
            "/readinessProbe",
            json!({}),
            "readinessProbe: give exactly one of httpGet, tcpSocket and exec",
        ),
        (
            "/readinessProbe",
            json!({ "tcpSocket": { "port": 1 }, "exec": { "command": ["/x"] } }),
            "readinessProbe: give exactly one of httpGet, tcpSocket and exec",
        ),
        (
            "/readinessProbe/tcpSocket/port",
            json!("web"),
            "readinessProbe.tcpSocket.port: the process has no port 'web'; add it to its ports",
        ),
        (
            "/readinessProbe/tcpSocket",
            json!({}),
            "readinessProbe.tcpSocket.port: no port is given; give its number or name",
        ),
        (
            "/readinessProbe/periodSeconds",
            json!(0),
            "readinessProbe.periodSeconds: 0 is too small; give 1 or more",
        ),
        (
            "/livenessProbe",
            json!({ "exec": { "command": ["/x"] }, "successThreshold": 2 }),
            "livenessProbe.successThreshold: one success counts for this probe; give 1 or leave it out",
        ),
        (
            "/livenessProbe",
            json!({ "exec": { "command": [] } }),
            "livenessProbe.exec.command: no command is given; give command: [/path/of/the/program, arguments]",
        ),
        (
            "/livenessProbe",
            json!({ "httpGet": { "port": 1, "httpHeaders": [{ "name": "a b" }] } }),
            "livenessProbe.httpGet.httpHeaders[0].name: 'a b' is not a name of a header; correct it",
        ),
        (
            "/lifecycle/preStop",
            json!({}),
            "lifecycle.preStop: give exactly one of exec and httpGet",
        ),
    ]);
    check(&[
        (
            "/spec/template/spec/processes/1/ports/0/containerPort",
            json!(1),
            "spec.template.spec.processes[1].ports[0].containerPort: process 'main' has port 1 already; give another",
        ),
        (
            "/spec/template/spec/processes/1/ports/0/name",
            json!("client"),
            "spec.template.spec.processes[1].ports[0].name: 'client' is there twice; give another name",
        ),
        (
            "/spec/template/spec/initProcesses/0/readinessProbe",
            json!({ "exec": { "command": ["/x"] } }),
            "spec.template.spec.initProcesses[0].readinessProbe: an init process runs to its end and has none; remove it",
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
            json!({ "kind": "PersistentVolumeClaim", "metadata": { "name": "c" }, "spec": { "resources": { "requests": { "disk": "1" } } } }),
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
fn check(cases: &[(&str, Value, &str)]) {
    for (pointer, value, expected) in cases {
        let found = problems(with(good(), pointer, value.clone()));
        assert!(
            found.iter().any(|problem| problem == expected),
            "{pointer} = {value}: {found:#?}"
        );
    }
}

/// Cases about the first process; fields are relative to it.
fn check_process(cases: &[(&str, Value, &str)]) {
    for (pointer, value, expected) in cases {
        let pointer = format!("/spec/template/spec/processes/0{pointer}");
        let expected = format!("spec.template.spec.processes[0].{expected}");
        check(&[(&pointer, value.clone(), &expected)]);
    }
}

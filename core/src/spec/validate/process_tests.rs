//! The rules about processes, each broken once.

use serde_json::{Value, json};

use super::tests::check;

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
            "resources.limits.gpu: 'gpu' is not known here; use cpu, memory or pids",
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
fn rules_about_amounts_and_privileges() {
    check_process(&[
        (
            "/resources/requests",
            json!({ "pids": 1 }),
            "resources.requests.pids: pids have only a limit; write it in limits",
        ),
        (
            "/resources/limits",
            json!({ "pids": 0 }),
            "resources.limits.pids: with 0 nothing can run; give more, or leave it out",
        ),
        (
            "/resources",
            json!({ "require": true }),
            "resources.require: there is nothing to enforce; give limits, requests or io, or remove it",
        ),
        (
            "/resources/io",
            json!({ "weight": 0 }),
            "resources.io.weight: 0 is not a weight; give 1 to 10000",
        ),
        (
            "/resources/io",
            json!({ "limits": [{ "device": "sda", "readIops": 1 }] }),
            "resources.io.limits[0].device: 'sda' is not a block device; give one such as /dev/nvme0n1",
        ),
        (
            "/resources/io",
            json!({ "limits": [{ "device": "/dev/sda" }] }),
            "resources.io.limits[0]: it limits nothing; give readBps, writeBps, readIops or writeIops",
        ),
        (
            "/resources/io",
            json!({ "limits": [{ "device": "/dev/sda", "readBps": "1MB" }] }),
            "resources.io.limits[0].readBps: '1MB' is not a quantity; write a number with a unit, such as 10Gi, 500M or 100m",
        ),
        (
            "/resources/io",
            json!({ "limits": [{ "device": "/dev/sda", "writeIops": 0 }] }),
            "resources.io.limits[0].writeIops: with 0 nothing is done; give more, or leave it out",
        ),
        (
            "/resources/io",
            json!({ "limits": [{ "device": "/dev/a", "readIops": 1 }, { "device": "/dev/a", "readIops": 1 }] }),
            "resources.io.limits[1].device: '/dev/a' is there twice; give another name",
        ),
        (
            "/rlimits/nofile",
            json!({ "soft": "much", "hard": 1 }),
            "rlimits.nofile: 'much' is not a limit; give a number or unlimited",
        ),
        (
            "/rlimits/nofile",
            json!({ "soft": 2, "hard": 1 }),
            "rlimits.nofile: the soft limit is above the hard one; give at most that",
        ),
        (
            "/supplementalGroups",
            json!(["disk", "a b"]),
            "supplementalGroups[1]: 'a b' is not a name or number of a user or group; correct it",
        ),
        (
            "/umask",
            json!("0088"),
            "umask: '0088' is not a umask; write four octal digits, such as '0027'",
        ),
        (
            "/reloadSignal",
            json!("SIGRELOAD"),
            "reloadSignal: 'SIGRELOAD' is not a signal; give a name such as SIGHUP or SIGUSR1",
        ),
        (
            "/reloadSignal",
            json!("kill"),
            "reloadSignal: SIGKILL ends the process; give a signal that it handles, such as SIGUSR1",
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
            "env[1].valueFrom: give exactly one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef",
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
            "volumeMounts[0].name: there is no volume 'date'; add it to spec.volumeClaimTemplates, or to volumes of the template if all members use one claim",
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
            "readinessProbe: give exactly one of httpGet, tcpSocket, exec, grpc and notify",
        ),
        (
            "/readinessProbe",
            json!({ "tcpSocket": { "port": 1 }, "exec": { "command": ["/x"] } }),
            "readinessProbe: give exactly one of httpGet, tcpSocket, exec, grpc and notify",
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
            "lifecycle.preStop: give exactly one of exec, httpGet and sleep",
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
            "spec.template.spec.initProcesses[0].readinessProbe: an init process runs to its end and has none; remove it, or set restartPolicy: Always to make it a sidecar",
        ),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases reads best whole")]
fn rules_about_the_ends_of_a_life() {
    check_process(&[
        (
            "/restartPolicy",
            json!("Always"),
            "restartPolicy: processes are always restarted; remove it",
        ),
        (
            "/lifecycle/postStart",
            json!({ "sleep": { "seconds": 1 }, "exec": { "command": ["/x"] } }),
            "lifecycle.postStart: give exactly one of exec, httpGet and sleep",
        ),
        (
            "/lifecycle/preStop",
            json!({ "sleep": { "seconds": 31 } }),
            "lifecycle.preStop.sleep.seconds: 31 is more than the grace period of 30 s; give less, or a longer terminationGracePeriodSeconds",
        ),
        (
            "/readinessProbe/terminationGracePeriodSeconds",
            json!(5),
            "readinessProbe.terminationGracePeriodSeconds: a process that is not ready is not stopped; remove it",
        ),
        (
            "/livenessProbe",
            json!({ "exec": { "command": ["/x"] }, "terminationGracePeriodSeconds": 0 }),
            "livenessProbe.terminationGracePeriodSeconds: 0 is too small; give 1 or more",
        ),
        (
            "/livenessProbe",
            json!({ "grpc": { "port": "admin" } }),
            "livenessProbe.grpc.port: the process has no port 'admin'; add it to its ports",
        ),
        (
            "/livenessProbe",
            json!({ "notify": {}, "periodSeconds": 5 }),
            "livenessProbe.periodSeconds: with notify nothing is asked, so it says nothing here; remove it",
        ),
        (
            "/readinessProbe",
            json!({ "notify": {}, "timeoutSeconds": 5 }),
            "readinessProbe.timeoutSeconds: with notify nothing is asked, so it says nothing here; remove it",
        ),
        (
            "/env/1/valueFrom",
            json!({ "fieldRef": { "fieldPath": "metadata.uid" } }),
            "env[1].valueFrom.fieldRef.fieldPath: a member has no uid; use metadata.name, which stays the same",
        ),
        (
            "/env/1/valueFrom",
            json!({ "resourceFieldRef": { "resource": "limits.disk" } }),
            "env[1].valueFrom.resourceFieldRef.resource: there is no 'limits.disk'; use limits.cpu, limits.memory, requests.cpu or requests.memory",
        ),
    ]);
    check(&[
        (
            "/spec/template/spec/terminationGracePeriodSeconds",
            json!(0),
            "spec.template.spec.terminationGracePeriodSeconds: 0 would kill at once whatever the member is writing; give 1 or more",
        ),
        (
            "/spec/template/spec/restartBackoff",
            json!({ "first": "fast" }),
            "spec.template.spec.restartBackoff.first: 'fast' is not a length of time; write numbers with h, m, s or ms, such as 10s or 1m30s",
        ),
        (
            "/spec/template/spec/restartBackoff",
            json!({ "first": "0s" }),
            "spec.template.spec.restartBackoff.first: 0 would start a broken program without a pause; give 1ms or more",
        ),
        (
            "/spec/template/spec/restartBackoff",
            json!({ "factor": 0 }),
            "spec.template.spec.restartBackoff.factor: 0 is not possible; give 1 to 100",
        ),
        (
            "/spec/template/spec/restartBackoff",
            json!({ "first": "2m" }),
            "spec.template.spec.restartBackoff.cap: the longest pause, 60s, is shorter than the first, 120s; give more",
        ),
        (
            "/spec/template/spec/readinessGates",
            json!([{ "conditionType": "a b" }]),
            "spec.template.spec.readinessGates[0].conditionType: 'a b' is not a type of a condition; use at most 63 of a-z, A-Z, 0-9, '-', '_', '.', with a DNS name and '/' before it if needed",
        ),
        (
            "/spec/template/spec/readinessGates",
            json!([{ "conditionType": "x" }, { "conditionType": "x" }]),
            "spec.template.spec.readinessGates[1].conditionType: 'x' is there twice; give another name",
        ),
    ]);
}

/// Cases about the first process; fields are relative to it.
fn check_process(cases: &[(&str, Value, &str)]) {
    for (pointer, value, expected) in cases {
        let pointer = format!("/spec/template/spec/processes/0{pointer}");
        let expected = format!("spec.template.spec.processes[0].{expected}");
        check(&[(&pointer, value.clone(), &expected)]);
    }
}

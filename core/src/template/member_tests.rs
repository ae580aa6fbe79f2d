//! Tests of rendering a whole member.

use std::{collections::BTreeMap, sync::Arc};

use super::*;
use crate::{
    ids::{Epoch, Ordinal, TemplateHash},
    order::{ConfigData, Desired, MemberOrder, Peer, RenderValues},
    rendered::{Hook, Limits, RenderedIoLimit, RenderedMember, RenderedProcess, Rlimit},
    spec::{MemberSpec, PortRef, Sealed},
};

fn peer(n: u32) -> Peer {
    Peer {
        name: format!("db-{n}"),
        fqdn: format!("db-{n}.db.default.svc.berth.internal"),
        address: format!("127.77.1.{n}"),
        ordinal: Ordinal(n),
        host_labels: BTreeMap::from([("rack".to_owned(), format!("r{n}"))]),
    }
}

fn order(spec: serde_json::Value) -> MemberOrder {
    let template: MemberSpec = serde_json::from_value(spec).unwrap();
    let peers: Vec<Peer> = (0..3).map(peer).collect();
    MemberOrder {
        member: "default/db-1".parse().unwrap(),
        epoch: Epoch::default(),
        desired: Desired::Run,
        revision: TemplateHash::default(),
        lease: None,
        depends_on: Vec::new(),
        template: Arc::new(template),
        values: RenderValues {
            namespace: "default".to_owned(),
            set: "db".to_owned(),
            member: "db-1".to_owned(),
            ordinal: 1,
            replicas: 3,
            fqdn: peer(1).fqdn,
            address: peer(1).address,
            founders: peers.clone(),
            peers: peers.into(),
            founding: true,
            host_labels: peer(1).host_labels,
            previous_address: None,
            ..RenderValues::default()
        },
        volumes: Vec::new(),
        config: ConfigData {
            config_maps: BTreeMap::from([(
                "conf".to_owned(),
                BTreeMap::from([("main.conf".to_owned(), "name = {{ member }}\n".to_owned())]),
            )]),
            secrets: BTreeMap::from([(
                "auth".to_owned(),
                BTreeMap::from([("token".to_owned(), Sealed::new("s3cret".to_owned()))]),
            )]),
        },
    }
}

fn render(process: serde_json::Value) -> Result<RenderedMember, RenderError> {
    render_member(
        &order(serde_json::json!({ "processes": [process] })),
        "/run/c",
    )
}

/// A process with what is required, and more.
fn process(more: serde_json::Value) -> Result<RenderedProcess, RenderError> {
    let mut process = serde_json::json!({ "name": "main", "command": ["/bin/db"], "user": "db" });
    let (Some(all), serde_json::Value::Object(more)) = (process.as_object_mut(), more) else {
        panic!("not an object");
    };
    all.extend(more);
    render(process).map(|mut member| member.processes.remove(0))
}

fn env(process: &RenderedProcess) -> BTreeMap<&str, &str> {
    process
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect()
}

#[test]
fn an_etcd_like_command_is_rendered() {
    let got = process(serde_json::json!({
        "command": ["/usr/bin/etcd", "--name={{ member }}"],
        "args": [
            "--listen-peer-urls=http://{{ address }}:2380",
            "--initial-cluster={% for p in founders %}{{ p.name }}=http://{{ p.fqdn }}:2380\
             {% if not loop.last %},{% endif %}{% endfor %}",
            "--initial-cluster-state={{ 'new' if founding else 'existing' }}",
        ],
    }))
    .unwrap();
    assert_eq!(
        got.argv,
        [
            "/usr/bin/etcd",
            "--name=db-1",
            "--listen-peer-urls=http://127.77.1.1:2380",
            "--initial-cluster=db-0=http://db-0.db.default.svc.berth.internal:2380,\
             db-1=http://db-1.db.default.svc.berth.internal:2380,\
             db-2=http://db-2.db.default.svc.berth.internal:2380",
            "--initial-cluster-state=new",
        ]
    );
    assert_eq!(got.working_dir, "/");
    assert_eq!(got.kill_signal, "SIGTERM");
    assert_eq!(env(&got)["HOSTNAME"], "db-1");
    assert!(env(&got)["PATH"].contains("/usr/bin"));
}

#[test]
fn the_environment_is_built_in_order() {
    let got = process(serde_json::json!({
        "args": ["$(TOKEN)", "$$(TOKEN)", "$(NONE)", "{{ ordinal }}-$(B)"],
        "envFrom": [
            { "prefix": "P_", "secretRef": { "name": "auth" } },
            { "configMapRef": { "name": "missing", "optional": true } },
        ],
        "env": [
            { "name": "A", "value": "{{ ordinal }}" },
            { "name": "B", "value": "$(A)$(C)$(P_token)" },
            { "name": "C", "value": "later" },
            { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "auth", "key": "token" } } },
            { "name": "LESS", "valueFrom": {
                "configMapKeyRef": { "name": "conf", "key": "no", "optional": true } } },
            { "name": "EMPTY" },
        ],
    }))
    .unwrap();
    let env = env(&got);
    assert_eq!(env["B"], "1$(C)s3cret");
    assert_eq!(env["TOKEN"], "s3cret");
    assert_eq!(env["EMPTY"], "");
    assert!(!env.contains_key("LESS"));
    assert_eq!(
        got.argv[1..],
        ["s3cret", "$(TOKEN)", "$(NONE)", "1-1$(C)s3cret"]
    );
}

#[test]
fn files_get_their_text_path_and_mode() {
    let got = process(serde_json::json!({
        "files": [
            { "path": "a.conf", "content": "{{ member }}", "template": true },
            { "path": "raw", "content": "{{ member }}", "mode": "0600" },
            { "path": "/data/{{ member }}", "configMap": { "name": "conf", "key": "main.conf" },
              "template": true, "when": "ifMissing" },
            { "path": "token", "secret": { "name": "auth", "key": "token" } },
            { "path": "no", "secret": { "name": "auth", "key": "no", "optional": true } },
        ],
    }))
    .unwrap();
    let seen: Vec<_> = got
        .files
        .iter()
        .map(|f| (f.path.as_str(), f.mode, f.content.expose()))
        .collect();
    assert_eq!(
        seen,
        [
            ("/run/c/a.conf", 0o644, "db-1"),
            ("/run/c/raw", 0o600, "{{ member }}"),
            ("/data/db-1", 0o644, "name = db-1\n"),
            ("/run/c/token", 0o400, "s3cret"),
        ]
    );
    let in_memory: Vec<bool> = got.files.iter().map(|file| file.secret).collect();
    assert_eq!(in_memory, [false, false, false, true]);
}

#[test]
fn probes_and_hooks_are_resolved() {
    let got = process(serde_json::json!({
        "ports": [{ "name": "client", "containerPort": 2379 }],
        "readinessProbe": { "httpGet": { "path": "health", "port": "client" } },
        "startupProbe": { "tcpSocket": { "port": 2380, "host": "h-{{ ordinal }}" } },
        "livenessProbe": { "exec": { "command": ["/bin/ok", "$(HOSTNAME)"] } },
        "lifecycle": { "postStart": { "sleep": { "seconds": 3 } }, "preStop": { "httpGet": { "path": "/{{ member }}", "port": "client" } } },
        "capabilities": { "keep": ["CAP_NET_BIND_SERVICE", "ipc_lock"] },
        "rlimits": { "nofile": { "soft": 9, "hard": 1000 }, "MEMLOCK": "unlimited" },
        "resources": {
            "limits": { "memory": "1Gi", "cpu": "250m", "pids": 5 },
            "io": { "weight": 7, "limits": [{ "device": "/dev/sda", "readBps": "1Ki" }] },
            "require": true,
        },
        "supplementalGroups": ["disk", 7],
        "umask": "0027",
        "killSignal": "quit",
        "reloadSignal": "usr1",
        "log": { "journald": true },
    }))
    .unwrap();
    let http = got.readiness_probe.unwrap().http_get.unwrap();
    assert_eq!(
        (http.path.as_str(), http.port, http.host.as_deref()),
        ("/health", PortRef::Number(2379), Some("127.77.1.1"))
    );
    let tcp = got.startup_probe.unwrap().tcp_socket.unwrap();
    assert_eq!(
        (tcp.port, tcp.host.as_deref()),
        (PortRef::Number(2380), Some("h-1"))
    );
    assert_eq!(
        got.liveness_probe.unwrap().exec.unwrap().command,
        ["/bin/ok", "db-1"]
    );
    let Some(Hook::HttpGet(hook)) = got.pre_stop else {
        panic!("{:?}", got.pre_stop);
    };
    assert_eq!(
        (hook.path.as_str(), hook.port, hook.host.as_deref()),
        ("/db-1", PortRef::Number(2379), Some("127.77.1.1"))
    );
    assert_eq!(got.post_start, Some(Hook::Sleep(3)));
    assert_eq!(got.capabilities, ["NET_BIND_SERVICE", "IPC_LOCK"]);
    assert_eq!(
        got.rlimits,
        BTreeMap::from([
            ("nofile".to_owned(), rlimit(Some(9), Some(1000))),
            ("memlock".to_owned(), rlimit(None, None))
        ])
    );
    let limits = Limits {
        memory: Some(1 << 30),
        cpu_milli: Some(250),
        pids: Some(5),
        io_weight: Some(7),
        io: vec![RenderedIoLimit {
            device: "/dev/sda".to_owned(),
            read_bps: Some(1024),
            ..RenderedIoLimit::default()
        }],
        require: true,
        ..Limits::default()
    };
    assert_eq!(got.limits, limits);
    assert_eq!(got.supplemental_groups, ["disk", "7"]);
    assert_eq!(got.umask, 0o027);
    assert_eq!(got.kill_signal, "SIGQUIT");
    assert_eq!(got.reload_signal, "SIGUSR1");
    assert!(got.journald);
}

fn rlimit(soft: Option<u64>, hard: Option<u64>) -> Rlimit {
    Rlimit { soft, hard }
}

#[test]
fn what_cannot_be_rendered_names_its_field() {
    let cases = [
        (
            serde_json::json!({ "args": ["{{ nope }}"] }),
            "args[0]: `nope` is undefined",
        ),
        (
            serde_json::json!({ "args": ["{{ host.labels.nope }}"] }),
            "args[0]: `host.labels.nope` is undefined",
        ),
        (
            serde_json::json!({ "command": ["etcd"] }),
            "command[0]: the program is 'etcd'; give its absolute path",
        ),
        (
            serde_json::json!({ "command": [] }),
            "command: no command is given; give command: [/path/of/the/program, arguments]",
        ),
        (
            serde_json::json!({ "env": [{ "name": "A", "valueFrom": {
                "secretKeyRef": { "name": "auth", "key": "no" } } }] }),
            "env[0].valueFrom.secretKeyRef: Secret 'auth' has no key 'no'; add it, or set \
             optional: true",
        ),
        (
            serde_json::json!({ "envFrom": [{ "configMapRef": { "name": "no" } }] }),
            "envFrom[0].configMapRef: ConfigMap 'no' does not exist; apply it, or set \
             optional: true",
        ),
        (
            serde_json::json!({ "files": [{ "path": "../x", "content": "" }] }),
            "files[0].path: '../x' is not a path of a file; give one without '..'",
        ),
        (
            serde_json::json!({ "args": ["{{ '\u{0}' }}"] }),
            "args[0]: the text contains a NUL character; remove it",
        ),
        (
            serde_json::json!({ "readinessProbe": { "tcpSocket": { "port": "web" } } }),
            "readinessProbe.tcpSocket.port: the process has no port 'web'; add it to its ports",
        ),
    ];
    for (more, expected) in cases {
        let error = process(more).unwrap_err().to_string();
        assert_eq!(error, format!("spec.template.spec.processes[0].{expected}"));
    }
}

#[test]
fn sub_paths_are_rendered_and_checked_again() {
    let mounts = |mount: serde_json::Value, env: serde_json::Value| {
        let mut mount = mount;
        mount["name"] = "data".into();
        mount["mountPath"] = "/data".into();
        let process = serde_json::json!({
            "name": "main", "user": "db", "command": ["/bin/db"], "env": env,
            "volumeMounts": [mount],
        });
        let volumes = serde_json::json!([
            { "name": "data", "persistentVolumeClaim": { "claimName": "c", "readOnly": true } },
        ]);
        let order = order(serde_json::json!({ "processes": [process], "volumes": volumes }));
        let member = render_member(&order, "/run/c").map_err(|e| e.to_string())?;
        let mount = member.processes[0].mounts[0].clone();
        assert!(mount.read_only, "the claim is used to read only");
        Ok::<_, String>(mount.sub_path)
    };
    let a = |value: &str| serde_json::json!([{ "name": "A", "value": value }]);
    let expr = |text: &str| serde_json::json!({ "subPathExpr": text });
    for (mount, env, expected) in [
        (serde_json::json!({}), a(""), None),
        (serde_json::json!({ "subPath": "x/y" }), a(""), Some("x/y")),
        (expr("$(A)/$(HOSTNAME)"), a("{{ set }}"), Some("db/db-1")),
        (expr("{{ ordinal }}"), a(""), Some("1")),
    ] {
        assert_eq!(mounts(mount, env).unwrap().as_deref(), expected);
    }
    let at = "spec.template.spec.processes[0].volumeMounts[0].subPathExpr";
    for value in [
        "..", "/etc", "a/../..", "", "a//b", "x\\y", "a\nb", "é", "/",
    ] {
        let refused = mounts(expr("$(A)"), a(value)).unwrap_err();
        let expected = format!("{at}: '$(A)' does not become a relative path");
        assert!(refused.starts_with(&expected), "{value:?}: {refused}");
    }
    assert_eq!(
        mounts(expr("$(B)"), a("")).unwrap_err(),
        format!("{at}: the process has no variable 'B'; add it to its env")
    );
}

#[test]
fn one_path_shows_one_directory_to_all_processes() {
    let process = |name: &str, value: &str| {
        serde_json::json!({
            "name": name, "user": "db", "command": ["/bin/db"],
            "env": [{ "name": "A", "value": value }],
            "volumeMounts": [{ "name": "data", "mountPath": "/data", "subPathExpr": "$(A)" }],
        })
    };
    let two = |a: &str, b: &str| {
        let list = serde_json::json!([process("one", a), process("two", b)]);
        render_member(&order(serde_json::json!({ "processes": list })), "/run/c")
    };
    assert!(two("x", "x").is_ok());
    assert_eq!(
        two("x", "y").unwrap_err().to_string(),
        "spec.template.spec.processes[1].volumeMounts[0].subPathExpr: another process has another \
         directory at '/data', and all see the same; give another mountPath, or the same variables"
    );
}

#[test]
fn the_list_of_texts_and_the_renderer_agree() {
    let mark = "/{{ member }}";
    let action = serde_json::json!({
        "httpGet": { "path": mark, "host": mark, "port": 1,
                     "httpHeaders": [{ "name": "A", "value": mark }] },
        "tcpSocket": { "host": mark, "port": 1 },
        "exec": { "command": [mark, mark] },
    });
    let hook = serde_json::json!({ "exec": action["exec"], "httpGet": action["httpGet"] });
    let process = serde_json::json!({
        "name": "main", "user": "db", "command": [mark], "args": [mark, mark],
        "env": [{ "name": "A", "value": mark }], "workingDir": mark,
        "volumeMounts": [{ "name": "v", "mountPath": "/v", "subPathExpr": format!("x{mark}") }],
        "files": [{ "path": mark, "content": mark, "template": true }],
        "startupProbe": action, "readinessProbe": action, "livenessProbe": action,
        "lifecycle": { "preStop": hook },
    });
    let spec = serde_json::json!({ "processes": [process], "initProcesses": [process] });
    let marks = spec.to_string().matches(mark).count();
    let order = order(spec);
    assert_eq!(texts(&order.template).len(), marks);
    let rendered = serde_json::to_string(&render_member(&order, "/run/c").unwrap()).unwrap();
    assert!(!rendered.contains("{{"), "{rendered}");
}

#[test]
fn founding_is_found_wherever_it_is_used() {
    for (text, expected) in [
        ("{{ 'new' if founding else 'existing' }}", true),
        ("{{ founders[0].fqdn }}", true),
        ("{% for f in founders %}{{ f.name }}{% endfor %}", true),
        ("{{ peers }} founding", false),
        ("{# founding #}", false),
        ("{% set founding = 1 %}{{ founding }}", false),
    ] {
        let spec = serde_json::json!({ "processes": [{ "args": [text] }] });
        let template = MemberTemplate {
            spec: serde_json::from_value(spec).unwrap(),
            ..MemberTemplate::default()
        };
        assert_eq!(uses_founding(&template), expected, "{text}");
    }
}

//! Attack 12 and 13 of docs/security.md: a secret goes through its whole life on a real cluster that logs
//! all that it can, and nothing but the member that uses it ever has it in plain.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_tests::{cluster::Cluster, dev::Dev, machine};

const CANARY: &str = "canary-7d1f-do-not-tell";

/// The secret; a text that is no template is told of as such, and not shown.
fn secret(password: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{ name: db }}
stringData:
  password: {password}
  template: '{{{{ {CANARY} | nonsense }}}}'
"
    )
}

fn set(name: &str, script: &str, file: &str) -> String {
    format!(
        "apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: {name} }}
spec:
  replicas: 1
  template:
    spec:
      terminationGracePeriodSeconds: 2
      processes:
      - name: main
        command: [/bin/sh, -c, '{script}']
        user: nobody
        env: [{{ name: PASSWORD, valueFrom: {{ secretKeyRef: {{ name: db, key: password }} }} }}]
        files: [{file}]
"
    )
}

/// As it would be found: as it is, in base64 (at any offset, but for its ends), and in two digits a byte.
fn forms() -> Vec<Vec<u8>> {
    let mut forms = vec![CANARY.as_bytes().to_vec()];
    for before in 0..3 {
        let text = STANDARD.encode([&vec![b'x'; before], CANARY.as_bytes()].concat());
        forms.push(text.as_bytes()[4..text.len() - 4].to_vec());
    }
    let hexed: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.push(hexed.into_bytes());
    let listed: Vec<String> = CANARY.bytes().map(|byte| byte.to_string()).collect();
    forms.push(listed.join(", ").into_bytes());
    forms
}

fn has_it(text: &[u8]) -> bool {
    let found = |form: &Vec<u8>| text.windows(form.len()).any(|part| part == form);
    forms().iter().any(found)
}

fn clean(what: &str, text: &[u8]) {
    assert!(
        !has_it(text),
        "{what} has the secret: {}",
        String::from_utf8_lossy(text)
    );
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// Runs `berth`, which never tells the secret, whatever comes of it.
fn quiet(cluster: &Cluster, args: &[&str]) -> Output {
    let output = cluster.try_berth(args);
    clean(&format!("berth {args:?}"), &output.stdout);
    clean(&format!("berth {args:?}"), &output.stderr);
    output
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Asks for all that can be asked.
fn look_everywhere(cluster: &Cluster, mine: &Path) {
    let changed = file(mine, "changed.yaml", &secret(&format!("{CANARY}-2")));
    let backup = mine.join("backup");
    let reads: [&[&str]; 14] = [
        &["get", "secret", "db", "-o", "yaml"],
        &["get", "secrets", "-o", "json"],
        &["describe", "secret", "db"],
        &["describe", "sts", "web"],
        &["describe", "sts", "broken"],
        &["get", "members", "-o", "json"],
        &["get", "sts", "-o", "yaml"],
        &["status"],
        &["status", "sts/torn"],
        &["events"],
        &["plan", "-f", &changed],
        &["apply", "-f", &changed],
        &["rollout", "history", "sts/web", "--revision", "1"],
        &["logs", "web-0"],
    ];
    for args in reads {
        quiet(cluster, args);
    }
    let written = quiet(cluster, &["admin", "backup", backup.to_str().unwrap()]);
    assert!(written.status.success());
    clean("the backup", &fs::read(&backup).unwrap());
    let wrong = format!("{}  more: [{CANARY}\n", secret(CANARY));
    let wrong = file(mine, "wrong.yaml", &wrong);
    assert!(!cluster.try_berth(&["apply", "-f", &wrong]).status.success());
    // To him who asks for it, and may have it, it is shown.
    let shown = cluster.berth(&["get", "secret", "db", "-o", "yaml", "--show-secrets"]);
    assert!(has_it(shown.as_bytes()), "{shown}");
}

#[tokio::test]
async fn attack_12_13_a_secret_is_nowhere_in_plain_but_in_its_member() {
    let dev = Dev::with_logs(2, "debug");
    let (cluster, mine) = (dev.cluster(), tempfile::tempdir().unwrap());
    cluster.apply(&secret(CANARY));
    let key = "{ path: key, secret: { name: db, key: password } }";
    cluster.apply(&set("web", "exec sleep infinity", key));
    cluster.apply(&set("broken", "exit 3", key));
    let torn = "{ path: key, template: true, secret: { name: db, key: template } }";
    cluster.apply(&set("torn", "exec sleep infinity", torn));
    let web = cluster.ready("web", 1).await.remove("web-0").unwrap();
    let failed = |member: &berth_proto::v1::MemberStatus| member.waiting.is_some();
    cluster.member("broken-0", "it fails", failed).await;
    cluster
        .member("torn-0", "it cannot be rendered", failed)
        .await;

    // The member has it: what is looked for can be found.
    let pid = web.processes[0].pid;
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    assert!(has_it(&environment), "its environment");
    look_everywhere(cluster, mine.path());

    for pid in machine::processes_with(&["berth"]) {
        // It may have ended meanwhile.
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        clean("a command line", &line);
    }
    let mut all = Vec::new();
    files(dev.dir(), &mut all);
    let ending = |end: &str| all.iter().filter(|path| path.ends_with(end)).count();
    assert_eq!(ending("store.redb"), 1, "{all:?}");
    assert_eq!(ending("audit/audit.log"), 1, "{all:?}");
    assert_eq!(ending("ledger"), 2, "{all:?}");
    for path in &all {
        clean(
            &path.display().to_string(),
            &fs::read(path).unwrap_or_default(),
        );
    }
    dev.stop();
}

#[tokio::test]
async fn secrets_are_sent_to_the_hosts_that_need_them_alone() {
    let dev = Dev::start(2);
    let cluster = dev.cluster();
    cluster.apply(&secret(CANARY));
    let key = "{ path: key, secret: { name: db, key: password } }";
    cluster.apply(&set("web", "exec sleep infinity", key));
    let host = cluster.ready("web", 1).await["web-0"].host.clone();
    let mut all = Vec::new();
    files(dev.dir(), &mut all);
    let ledgers: Vec<_> = all.iter().filter(|path| path.ends_with("ledger")).collect();
    assert_eq!(ledgers.len(), 2, "{all:?}");
    for path in ledgers {
        // Sealed, but there: what it is called is not sealed.
        let has = fs::read_to_string(path)
            .unwrap()
            .contains("\"secrets\":{\"db\"");
        let is_its = path
            .components()
            .any(|part| part.as_os_str() == host.as_str());
        assert_eq!(has, is_its, "{}", path.display());
    }
    dev.stop();
}

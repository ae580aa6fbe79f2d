//! Attacks on what is kept: images of a daemon's memory, and the log of who did what. By the numbers of
//! the table in docs/security.md; what becomes of a secret on a real cluster is in `real_secrets.rs`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use berth_core::audit::{FILE, Line, verify};
use berth_pki::Subject;
use berth_proto::v1::{
    self, DeleteTokenRequest, ListAuditRequest, ScaleRequest,
    access_service_client::AccessServiceClient, admin_service_client::AdminServiceClient,
    object_service_client::ObjectServiceClient, set_service_client::SetServiceClient,
};
use berth_tests::{
    attack::{Bed, call, now},
    machine, wait,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tonic::Code;

/// Ends a process as a bug would, and says whether an image of its memory was written.
fn dumps(mut child: Child) -> bool {
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGABRT,
    )
    .unwrap();
    child.wait().unwrap().core_dumped()
}

/// A command that may write images of its memory, as far as its limits go.
fn may_dump(dir: &Path, program: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    let script = "ulimit -c unlimited; exec \"$0\" \"$@\"";
    command.args(["-c", script, program]).current_dir(dir);
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn attack_12_no_daemon_leaves_an_image_of_its_memory() {
    let dir = tempfile::tempdir().unwrap();
    let other = may_dump(dir.path(), "/bin/sleep").arg("1000").spawn();
    let other = other.unwrap();
    let name = format!("/proc/{}/comm", other.id());
    wait::until_sync("sleep to run", || {
        let name = fs::read_to_string(&name).unwrap_or_default();
        if name == "sleep\n" { Ok(()) } else { Err(name) }
    });
    let none = "this machine writes no images at all: the test shows nothing";
    assert!(dumps(other), "{none}");
    let text = format!(
        "listen: ['unix:{0}/c.sock']\ndataDir: {0}/data\nmetrics: {{listen: []}}\n",
        dir.path().display()
    );
    let config = dir.path().join("coordinator.yaml");
    fs::write(&config, text).unwrap();
    let program = machine::program("berth-coordinator");
    let mut coordinator = may_dump(dir.path(), program.to_str().unwrap());
    let mut coordinator = coordinator.arg("--config").arg(&config).spawn().unwrap();
    let mut log = BufReader::new(coordinator.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("listens")));
    assert!(!dumps(coordinator));
    // It waits for a token. The same program is the keepers and the helpers.
    let program = machine::program("berth-agent");
    let mut agent = may_dump(dir.path(), program.to_str().unwrap());
    let agent = agent.args(["join", "127.0.0.1:1", "-"]).spawn().unwrap();
    let reads = format!("/proc/{}/wchan", agent.id());
    wait::until_sync("the agent to wait for its token", || {
        let at = fs::read_to_string(&reads).unwrap_or_default();
        if at.contains("pipe") { Ok(()) } else { Err(at) }
    });
    assert!(!dumps(agent));
}

fn log(bed: &Bed) -> String {
    fs::read_to_string(bed.path("data/audit").join(FILE)).unwrap()
}

/// The lines of a log whose chain is whole.
fn lines(bed: &Bed) -> Vec<Line> {
    let text = log(bed);
    verify(text.lines()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Asks for what is written down, with a name that is none, and for what is not.
async fn ask(bed: &Bed, forged: &str) {
    let mut sets = SetServiceClient::new(bed.root().await);
    let request = ScaleRequest {
        name: forged.to_owned(),
        replicas: 3,
        ..ScaleRequest::default()
    };
    sets.scale(request).await.unwrap_err();
    // Somebody from afar whom nobody knows.
    let path = "/berth.v1.SetService/Scale";
    let refused = call(&bed.stranger(), path).await.unwrap();
    assert_eq!(refused, Code::Unauthenticated);
    let host = bed.certified(&Subject::Host("host-1".parse().unwrap()), now());
    call(&host, path).await.unwrap();
    // What only looks is not written down.
    call(&bed.stranger(), "/berth.v1.SetService/Status")
        .await
        .unwrap();
    let text = "{apiVersion: v1, kind: Secret, metadata: {name: db}, stringData: {key: canary}}";
    let apply = v1::ApplyRequest {
        sources: vec![v1::Source {
            file: "db.yaml".to_owned(),
            text: text.to_owned(),
        }],
        ..v1::ApplyRequest::default()
    };
    let mut objects = ObjectServiceClient::new(bed.root().await);
    objects.apply(apply).await.unwrap();
}

/// The same by a call, which is for admins.
async fn listed_by_a_call(bed: &Bed, forged: &str) {
    let mut admin = AdminServiceClient::new(bed.root().await);
    let wanted = ListAuditRequest {
        who: "root".to_owned(),
        ..ListAuditRequest::default()
    };
    let listed = admin.list_audit(wanted).await.unwrap().into_inner().calls;
    let told: Vec<_> = listed
        .iter()
        .map(|call| (call.sequence, call.method.as_str(), call.result.as_str()))
        .collect();
    let expected = [
        (1, "berth.v1.SetService/Scale", "INVALID_ARGUMENT"),
        (7, "berth.v1.ObjectService/Apply", "OK"),
    ];
    assert_eq!(told, expected);
    assert_eq!(listed[0].about[0].values, [forged]);
}

#[tokio::test]
async fn attack_50_what_is_forged_into_the_audit_log_is_one_value_of_one_line() {
    let bed = Bed::start().await;
    let forged = "web\n{\"seq\":1,\"who\":\"root\"}\r\u{1b}[31m\u{202e}";
    ask(&bed, forged).await;
    let lines = wait::until("eight lines", async || {
        let lines = lines(&bed);
        if lines.len() == 8 {
            Ok(lines)
        } else {
            Err(lines.len())
        }
    })
    .await;
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            let entry = &line.entry;
            let result = entry.result.as_deref().unwrap_or("asked");
            (entry.call, entry.who.as_str(), entry.role.as_str(), result)
        })
        .collect();
    let (asked, root) = ("asked", "root");
    assert_eq!(
        told,
        [
            (1, root, root, asked),
            (1, root, root, "INVALID_ARGUMENT"),
            (2, "nobody", "nothing", asked),
            (2, "nobody", "nothing", "UNAUTHENTICATED"),
            (3, "host host-1", "agent", asked),
            (3, "host host-1", "agent", "PERMISSION_DENIED"),
            (4, root, root, asked),
            (4, root, root, "OK"),
        ]
    );
    assert_eq!(lines[0].entry.about["name"], [forged]);
    assert_eq!(lines[0].entry.about["replicas"], ["3"]);
    assert!(lines[2].entry.from.starts_with("127.0.0.1:"));
    assert_eq!(lines[6].entry.about["file"], ["db.yaml"]);
    assert_eq!(lines[7].entry.about["name"], ["db"]);
    let text = log(&bed);
    assert!(
        text.chars()
            .all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic())
    );
    assert!(!text.contains("canary"));
    listed_by_a_call(&bed, forged).await;
    // It goes on after a restart, and a line that was changed is found.
    let bed = bed.restart(|_| ()).await;
    let mut access = AccessServiceClient::new(bed.root().await);
    let id = "none".to_owned();
    access
        .delete_token(DeleteTokenRequest { id })
        .await
        .unwrap_err();
    let lines = self::lines(&bed);
    assert!(lines.len() > 8 && lines[8].entry.about["id"] == ["none"]);
    verified(&bed);
}

/// As an operator looks at it; then at a copy with another name in the fifth line.
fn verified(bed: &Bed) {
    let berth = |directory: &Path| {
        let mut berth = Command::new(machine::program("berth"));
        let berth = berth.args(["admin", "audit", "verify"]).arg(directory);
        let output = berth.output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    };
    let (code, told) = berth(&bed.path("data/audit"));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("lines are as they were written"), "{told}");
    let copy = tempfile::tempdir().unwrap();
    let changed = log(bed).replacen("host-1", "host-2", 1);
    fs::write(copy.path().join(FILE), changed).unwrap();
    let (code, told) = berth(copy.path());
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("line 6 (entry 6) does not follow"), "{told}");
}

//! The command line itself, and what needs no coordinator.

use std::process::{Command, Stdio};

use insta::assert_snapshot;
use nix::unistd::geteuid;

use crate::support::{Server, berth, command, program};

#[test]
fn help_names_every_command_and_exit_code() {
    let server = Server::start();
    assert_snapshot!("help", berth(&server, &["--help"]));
    assert_snapshot!("help_apply", berth(&server, &["apply", "--help"]));
}

#[test]
fn version_and_completions_are_data() {
    let server = Server::start();
    assert_snapshot!("version", berth(&server, &["version"]));
    for shell in ["bash", "zsh", "fish"] {
        let script = berth(&server, &["completions", shell]);
        assert!(script.starts_with("exit code: 0\n"), "{script}");
        assert!(script.contains("describe"), "{script}");
    }
}

#[test]
fn wrong_usage_is_told_with_a_hint() {
    let server = Server::start();
    let all: Vec<String> = [
        vec!["aply"],
        vec!["apply"],
        vec!["get", "deployments"],
        vec!["get", "sts/etcd", "etcd"],
        vec!["describe", "sts"],
        vec!["wait", "sts/etcd", "--for=Happy"],
        vec!["wait", "svc/etcd", "--for=Ready"],
        vec!["scale", "etcd", "--replicas", "-1"],
        vec!["status", "--endpoint", "localhost"],
        vec!["completions", "cmd.exe"],
    ]
    .iter()
    .map(|args| berth(&server, args))
    .collect();
    assert_snapshot!("usage", all.join("\n"));
}

#[test]
fn a_script_is_played_without_a_coordinator() {
    let server = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let played = |name: &str, script: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, script).unwrap();
        let said = berth(&server, &["debug", "simulate", path.to_str().unwrap()]);
        said.replace(dir.path().to_str().unwrap(), "DIR")
    };
    let script = "hosts 3\nset db replicas=3 claim\nsettle 60\nkill process db-1\nrun 5\nshow";
    let said = played("good", script);
    assert!(said.starts_with("exit code: 0\n"), "{said}");
    assert!(
        said.contains("the process of default/db-1 runs again"),
        "{said}"
    );
    let said = played("wrong", "hosts 1\nfrobnicate");
    assert!(said.starts_with("exit code: 2\n"), "{said}");
    assert!(
        said.contains("line 2: 'frobnicate' is no command"),
        "{said}"
    );
}

#[test]
fn a_coordinator_that_is_not_there() {
    let server = Server::start();
    let args = ["status", "--endpoint", "unix:/nowhere/coordinator.sock"];
    assert_snapshot!("unreachable", berth(&server, &args));
    let args = ["status", "--endpoint", "127.0.0.1:1"];
    assert_snapshot!("unreachable_tcp", berth(&server, &args));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let server = Server::start();
    let mut child = command(&server, &["get", "members", "-A"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// As somebody else than root. The program is copied to where everybody may run it.
#[test]
fn dev_needs_root() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("berth");
    std::fs::copy(program(), &copy).unwrap();
    let mut command = if geteuid().is_root() {
        use std::os::unix::fs::PermissionsExt as _;
        let all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), all).unwrap();
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&copy);
        command
    } else {
        Command::new(&copy)
    };
    let output = command
        .args(["dev", "--dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    assert_snapshot!(
        "dev_without_root",
        String::from_utf8(output.stderr).unwrap()
    );
}

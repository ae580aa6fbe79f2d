//! Commands that wait.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use insta::assert_snapshot;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{Server, berth, command, manifest, objects::SLOW};

#[test]
fn apply_waits_and_shows_how_each_member_gets_on() {
    let server = Server::start();
    manifest(&server, "slow.yaml", SLOW);
    assert_snapshot!(
        "apply_wait",
        berth(&server, &["apply", "-f", "slow.yaml", "--wait"])
    );
}

#[test]
fn wait_for_ready_members() {
    let server = Server::start();
    assert_snapshot!(
        "wait_available",
        berth(&server, &["wait", "sts/slow", "--for=Available"])
    );
}

#[test]
fn scale_waits_for_the_number() {
    let server = Server::start();
    assert_snapshot!(
        "scale_wait",
        berth(&server, &["scale", "sts/slow", "--replicas", "2", "--wait"])
    );
}

#[test]
fn wait_for_the_end_of_a_set() {
    let server = Server::start();
    assert_snapshot!(
        "wait_deleted",
        berth(&server, &["wait", "sts/going", "--for=Deleted"])
    );
    assert_snapshot!(
        "wait_deleted_none",
        berth(&server, &["wait", "sts/none", "--for=Deleted"])
    );
}

#[test]
fn delete_waits_until_it_is_gone() {
    let server = Server::start();
    assert_snapshot!(
        "delete_wait",
        berth(
            &server,
            &["delete", "sts/going", "--yes-i-mean", "going", "--wait"]
        )
    );
}

#[test]
fn a_wait_ends_in_time() {
    let server = Server::start();
    assert_snapshot!(
        "wait_timeout",
        berth(
            &server,
            &["wait", "sts/etcd", "--for=Ready", "--timeout", "1s"]
        )
    );
    assert_snapshot!(
        "wait_none",
        berth(&server, &["wait", "sts/none", "--for=Ready"])
    );
}

#[test]
fn an_interrupted_wait_says_what_stays() {
    let server = Server::start();
    let mut child = command(&server, &["wait", "sts/etcd", "--for=Ready"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // The progress of the members shows that it waits; `timeout` passes the signal on.
    assert!(lines.next().unwrap().unwrap().contains("etcd-0"));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let told = "error: interrupted; only the waiting ended, the change stands";
    assert!(rest.iter().any(|line| line == told), "{rest:?}");
}

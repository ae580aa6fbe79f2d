//! Commands that only look.

use insta::assert_snapshot;

use crate::support::{Server, berth};

#[test]
fn get_sets_shows_how_many_are_ready() {
    let server = Server::start();
    assert_snapshot!("get_sts", berth(&server, &["get", "sts"]));
    assert_snapshot!(
        "get_sts_wide",
        berth(&server, &["get", "sts", "-A", "-o", "wide"])
    );
}

#[test]
fn get_shows_every_kind() {
    let server = Server::start();
    let all: Vec<String> = ["svc", "cm", "pool", "pvc", "secrets"]
        .iter()
        .map(|kind| berth(&server, &["get", kind, "-o", "wide"]))
        .collect();
    assert_snapshot!("get_kinds", all.join("\n"));
}

#[test]
fn get_writes_json_and_yaml() {
    let server = Server::start();
    assert_snapshot!(
        "get_yaml",
        berth(&server, &["get", "sts/etcd", "-o", "yaml"])
    );
    assert_snapshot!("get_json", berth(&server, &["get", "sts", "-o", "json"]));
}

#[test]
fn get_members_and_hosts() {
    let server = Server::start();
    assert_snapshot!("get_members", berth(&server, &["get", "members", "-A"]));
    assert_snapshot!(
        "get_member_json",
        berth(&server, &["get", "member", "etcd-1", "-o", "json"])
    );
    assert_snapshot!("get_hosts", berth(&server, &["get", "hosts", "-o", "wide"]));
    assert_snapshot!("host_list", berth(&server, &["host", "list"]));
    assert_snapshot!(
        "get_host_yaml",
        berth(&server, &["get", "host/host-2", "-o", "yaml"])
    );
}

#[test]
fn what_does_not_exist_is_not_found() {
    let server = Server::start();
    let all: Vec<String> = [
        ["get", "sts/none"],
        ["get", "member/none-0"],
        ["get", "host/none"],
        ["status", "none"],
        ["describe", "svc/none"],
        ["logs", "none-0"],
    ]
    .iter()
    .map(|args| berth(&server, args))
    .collect();
    assert_snapshot!("not_found", all.join("\n"));
}

#[test]
fn status_says_why() {
    let server = Server::start();
    assert_snapshot!("status", berth(&server, &["status", "-A"]));
    assert_snapshot!(
        "status_wide",
        berth(&server, &["status", "sts/etcd", "-o", "wide"])
    );
    assert_snapshot!(
        "status_json",
        berth(&server, &["status", "etcd", "-o", "json"])
    );
    assert_snapshot!("status_none", berth(&server, &["status", "-n", "empty"]));
}

#[test]
fn describe_shows_all() {
    let server = Server::start();
    for target in ["sts/etcd", "svc/etcd", "member/etcd-0", "host/host-2"] {
        let name = format!("describe_{}", target.split('/').next().unwrap());
        assert_snapshot!(name, berth(&server, &["describe", target]));
    }
}

#[test]
fn logs_are_copied_as_they_are() {
    let server = Server::start();
    assert_snapshot!(
        "logs",
        berth(
            &server,
            &["logs", "etcd-0", "-p", "etcd", "--previous", "--tail", "5"]
        )
    );
    assert_snapshot!("logs_no_host", berth(&server, &["logs", "etcd-2"]));
}

#[test]
fn events_are_listed() {
    let server = Server::start();
    assert_snapshot!("events", berth(&server, &["events"]));
    assert_snapshot!("events_of", berth(&server, &["events", "member/etcd-1"]));
    assert_snapshot!("events_none", berth(&server, &["events", "sts/none"]));
    assert_snapshot!(
        "events_json",
        berth(&server, &["events", "sts/etcd", "-o", "json"])
    );
}

#[test]
fn watched_events_go_on_where_they_broke_off() {
    let server = Server::start();
    assert_snapshot!(
        "events_watch",
        berth(&server, &["events", "--watch", "host/host-2"])
    );
}

#[test]
fn waits_are_explained() {
    let server = Server::start();
    assert_snapshot!(
        "explain_rule",
        berth(&server, &["explain", "FoundingDiskLost"])
    );
    assert_snapshot!("explain_member", berth(&server, &["explain", "etcd-2"]));
    assert_snapshot!(
        "explain_member_json",
        berth(&server, &["explain", "etcd-2", "-o", "json"])
    );
    assert_snapshot!("explain_not_found", berth(&server, &["explain", "BackOf"]));
    let all = berth(&server, &["explain"]);
    assert!(
        all.contains("PredecessorNotReady") && all.contains("NeverKilled"),
        "{all}"
    );
}

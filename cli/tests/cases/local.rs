//! `berth local`.

use insta::assert_snapshot;

use crate::support::{Server, berth};

#[test]
fn local_commands_ask_the_agent() {
    let server = Server::start();
    assert_snapshot!("local_list", berth(&server, &["local", "list"]));
    assert_snapshot!(
        "local_list_json",
        berth(&server, &["local", "list", "-o", "json"])
    );
    assert_snapshot!(
        "local_status",
        berth(&server, &["local", "status", "etcd-0"])
    );
    assert_snapshot!(
        "local_logs",
        berth(&server, &["local", "logs", "etcd-0", "--tail", "2"])
    );
    let verbs = ["stop", "start", "restart"];
    let all: Vec<String> = verbs
        .iter()
        .map(|verb| berth(&server, &["local", verb, "member/etcd-0"]))
        .collect();
    assert_snapshot!("local_verbs", all.join("\n"));
    let verbs = ["shutdown", "resume"];
    let all = verbs.map(|verb| berth(&server, &["local", verb]));
    assert_snapshot!("local_shutdown", all.join("\n"));
}

#[test]
fn local_failures() {
    let server = Server::start();
    let all: Vec<String> = [
        vec!["local", "stop", "none-0"],
        vec!["local", "status", "none-0"],
        vec!["local", "stop", "sts/etcd"],
        vec!["local", "--socket", "unix:/nowhere/agent.sock", "list"],
    ]
    .iter()
    .map(|args| berth(&server, args))
    .collect();
    assert_snapshot!("local_failures", all.join("\n"));
}

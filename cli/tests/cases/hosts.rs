//! Verbs on hosts and members that move or stop members.

use crate::support::{Server, berth};

fn run(server: &Server, args: &[&str]) -> String {
    berth(server, args)
}

#[test]
fn a_drain_shows_what_would_become_of_each_member_and_ends_when_none_is_left() {
    let server = Server::start();
    let dry = run(&server, &["host", "drain", "host-1", "--dry-run"]);
    assert!(
        dry.contains("exit code: 0")
            && dry.contains("default/etcd-0 stays: host-1 is being drained")
            && dry.contains("nothing was done"),
        "{dry}"
    );
    let none = run(&server, &["host", "drain", "host-8"]);
    assert!(
        none.contains("exit code: 0") && none.contains("host/host-8 drained"),
        "{none}"
    );
    let unknown = run(&server, &["host", "drain", "host-9"]);
    assert!(
        unknown.contains("exit code: 4") && unknown.contains("berth host list"),
        "{unknown}"
    );
    let long = run(&server, &["host", "drain", "host-1", "--timeout", "1s"]);
    assert!(
        long.contains("exit code: 5") && long.contains("berth host uncordon host-1"),
        "{long}"
    );
}

#[test]
fn labels_are_set_and_taking_one_away_may_need_a_yes() {
    let server = Server::start();
    let set = run(&server, &["host", "label", "host-1", "rack=a"]);
    assert!(set.contains("host/host-1 labelled: rack=a"), "{set}");
    let removed = run(&server, &["host", "label", "host-1", "rack-"]);
    assert!(
        removed.contains("exit code: 3") && removed.contains("default/web-0 stops"),
        "{removed}"
    );
    let confirmed = run(&server, &["host", "label", "host-1", "rack-", "--yes"]);
    assert!(confirmed.contains("exit code: 0"), "{confirmed}");
    let wrong = run(&server, &["host", "label", "host-1", "rack"]);
    assert!(
        wrong.contains("exit code: 2") && wrong.contains("KEY=VALUE"),
        "{wrong}"
    );
}

#[test]
fn a_member_goes_offline_with_a_reason_and_comes_back() {
    let server = Server::start();
    let args = ["member", "offline", "etcd-0", "--reason", "new disk"];
    let bare = run(&server, &args);
    assert!(
        bare.contains("exit code: 3") && bare.contains("etcd-0 stops"),
        "{bare}"
    );
    let gone = run(&server, &[&args[..], &["-y"]].concat());
    assert!(gone.contains("member/etcd-0 is to be offline\n"), "{gone}");
    let back = run(&server, &["member", "online", "etcd-0"]);
    assert!(back.contains("was not offline"), "{back}");
    let unknown = run(&server, &["member", "offline", "none-0"]);
    assert!(unknown.contains("exit code: 4"), "{unknown}");
}

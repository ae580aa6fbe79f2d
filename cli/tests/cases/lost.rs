//! What is lost: hosts, members, and the coordinator's store.

use std::fs;

use insta::assert_snapshot;

use crate::support::{Server, berth};

#[test]
fn a_word_about_a_lost_host_needs_its_name() {
    let server = Server::start();
    for (verb, done) in [
        ("confirm-dead", "host/host-2 confirmed dead"),
        ("remove", "host/host-2 removed"),
    ] {
        let run = |args: &[&str]| berth(&server, &[&["host", verb], args].concat());
        let untyped = run(&["host-2"]);
        assert!(
            untyped.contains("exit code: 3") && untyped.contains("--yes-i-mean host-2"),
            "{untyped}"
        );
        let wrong = run(&["host-2", "--yes-i-mean", "host-3"]);
        assert!(wrong.contains("exit code: 3"), "{wrong}");
        let typed = run(&["host-2", "--yes-i-mean", "host-2"]);
        assert!(
            typed.contains("exit code: 0") && typed.contains(done),
            "{typed}"
        );
        let connected = run(&["host-1", "--yes-i-mean", "host-1"]);
        assert!(
            connected.contains("host-1 is in contact") && !connected.contains("exit code: 0"),
            "{connected}"
        );
        let unknown = run(&["host-9"]);
        assert!(
            unknown.contains("exit code: 4") && unknown.contains("berth host list"),
            "{unknown}"
        );
    }
}

#[test]
fn a_member_is_forced_by_its_full_name_only() {
    let server = Server::start();
    let force = |args: &[&str]| berth(&server, &[&["member", "force", "etcd-0"], args].concat());
    for args in [&[][..], &["--yes-i-mean", "etcd-0"]] {
        let refused = force(args);
        assert!(
            refused.contains("exit code: 3") && refused.contains("--yes-i-mean default/etcd-0"),
            "{refused}"
        );
    }
    let done = force(&["--yes-i-mean", "default/etcd-0"]);
    assert!(
        done.contains("exit code: 0") && done.contains("to be placed anew"),
        "{done}"
    );
}

#[test]
fn the_history_is_shown_and_accepted_with_a_yes() {
    let server = Server::start();
    let shown = berth(&server, &["admin", "history"]);
    assert!(
        shown.contains("history one, term 4")
            && shown.contains("host host-2 does not match")
            && shown.contains("berth admin accept-restore"),
        "{shown}"
    );
    let json = berth(&server, &["admin", "history", "-o", "json"]);
    assert!(json.contains("\"latched\": true"), "{json}");
    let asked = berth(&server, &["admin", "accept-restore"]);
    assert!(
        asked.contains("exit code: 3") && asked.contains("host-2 follows this store"),
        "{asked}"
    );
    let done = berth(&server, &["admin", "accept-restore", "--yes"]);
    assert!(
        done.contains("history two goes on in term 7") && done.contains("host-1, host-2"),
        "{done}"
    );
}

#[test]
fn what_was_asked_is_listed_and_nothing_in_it_reaches_the_terminal() {
    let server = Server::start();
    let list = |more: &[&str]| {
        let mut args = vec!["admin", "audit", "list"];
        args.extend(more);
        berth(&server, &args)
    };
    let all = [
        &[][..],
        &["--user", "ann", "--method", "Scale", "-o", "json"],
        &["--user", "bob", "-o", "json"],
        &["--since", "2026-11-19T00:00:00Z"],
        &["--since", "soon"],
    ];
    let shown: Vec<String> = all.into_iter().map(list).collect();
    let plain = |c: char| c == '\n' || (c.is_ascii() && !c.is_ascii_control());
    assert!(
        shown.iter().all(|text| text.chars().all(plain)),
        "{shown:?}"
    );
    assert_snapshot!("audit_list", shown.join("\n"));
}

#[test]
fn a_backup_is_written_whole_and_checked() {
    let server = Server::start();
    let file = server.dir().join("b.backup");
    let name = file.to_str().unwrap();
    let taken = berth(&server, &["admin", "backup", name]);
    assert!(
        taken.contains("exit code: 0") && taken.contains("0 records as of revision 9"),
        "{taken}"
    );
    let again = berth(&server, &["admin", "backup", name]);
    assert!(
        again.contains("exit code: 2") && again.contains("is there already"),
        "{again}"
    );
    let checked = berth(&server, &["admin", "check-backup", name]);
    assert!(checked.contains("cluster   c-1"), "{checked}");
    let mut bytes = fs::read(&file).unwrap();
    bytes.pop();
    fs::write(&file, bytes).unwrap();
    let cut = berth(&server, &["admin", "check-backup", name]);
    assert!(
        cut.contains("exit code: 2") && cut.contains("cut off"),
        "{cut}"
    );
}

//! Volumes, and the verbs on hosts and members.

use insta::assert_snapshot;

use crate::support::{Server, berth, berth_on_terminal};

fn each(server: &Server, commands: &[&[&str]]) -> String {
    let all: Vec<String> = commands.iter().map(|args| berth(server, args)).collect();
    all.join("\n")
}

#[test]
fn volumes_are_listed_with_their_claims_and_sources() {
    let server = Server::start();
    assert_snapshot!("volume_list", berth(&server, &["volume", "list"]));
    assert_snapshot!(
        "volume_list_wide",
        berth(&server, &["volume", "list", "-o", "wide"])
    );
    assert_snapshot!(
        "volume_list_trash",
        each(
            &server,
            &[
                &["volume", "list", "--trash"],
                &["volumes", "list", "--trash", "-o", "yaml"],
            ]
        )
    );
}

#[test]
fn a_volume_is_described_with_what_may_be_done() {
    let server = Server::start();
    assert_snapshot!(
        "volume_describe",
        each(
            &server,
            &[
                &["volume", "describe", "pvc-0"],
                &["describe", "pv/pvc-1"],
                &["volume", "describe", "pvc-2"],
                &["volume", "describe", "none"],
            ]
        )
    );
    assert_snapshot!(
        "describe_pvc",
        berth(&server, &["describe", "pvc/data-etcd-0"])
    );
}

#[test]
fn objects_of_storage_are_tables_too() {
    let server = Server::start();
    assert_snapshot!(
        "get_storage",
        each(
            &server,
            &[
                &["get", "pv"],
                &["get", "pv", "-o", "wide"],
                &["get", "sc", "-o", "wide"],
                &["get", "pvc"],
            ]
        )
    );
}

#[test]
fn a_snapshot_is_restored_to_a_claim_that_is_not_there() {
    let server = Server::start();
    let restore =
        |snapshot: &str, to: &str| berth(&server, &["snapshot", "restore", snapshot, "--to", to]);
    assert_snapshot!(
        "snapshot_restore",
        [
            restore("before", "data-copy-0"),
            restore("before", "data-etcd-0"),
            // What its claim was is not needed where that is gone, and an error is not that.
            restore("orphan", "data-copy-0"),
            restore("odd", "data-copy-0"),
        ]
        .join("\n")
    );
}

#[test]
fn a_snapshot_is_taken_of_a_claim_that_is_there_under_a_name_that_is_free() {
    let server = Server::start();
    let create =
        |claim: &str, name: &str| berth(&server, &["snapshot", "create", claim, "--name", name]);
    assert_snapshot!(
        "snapshot_create",
        [
            create("data-etcd-0", "after"),
            create("data-etcd-0", "before"),
            create("gone", "after"),
        ]
        .join("\n")
    );
}

#[test]
fn the_verbs_of_volumes_say_what_came_of_them() {
    let server = Server::start();
    assert_snapshot!(
        "volume_verbs",
        each(
            &server,
            &[
                &["volume", "adopt", "pvc-0"],
                &["volume", "adopt", "pv-0"],
                &["volume", "release", "pvc-1"],
                &["volume", "release", "pvc-0"],
                &["volume", "undelete", "pvc-2"],
                &["volume", "undelete", "pv-0"],
                &["volume", "undelete", "none"],
            ]
        )
    );
}

#[test]
fn a_volume_is_deleted_by_its_typed_name_only() {
    let server = Server::start();
    assert_snapshot!(
        "volume_delete",
        each(
            &server,
            &[
                &["volume", "delete", "pvc-1"],
                &["volume", "delete", "pvc-1", "--yes-i-mean", "pvc-2"],
                &["volume", "delete", "pvc-1", "--yes-i-mean", "pvc-1"],
                &["volume", "delete", "pv-0", "--yes-i-mean", "pv-0"],
                &["volume", "delete", "none"],
            ]
        )
    );
    let (code, text) = berth_on_terminal(&server, "volume delete pvc-1", "pvc-1\n");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("goes to the trash"), "{text}");
    let (code, text) = berth_on_terminal(&server, "volume delete pvc-1", "yes\n");
    assert_eq!(code, 3, "{text}");
    let (_, text) = berth_on_terminal(&server, "volume delete pv-0", "pv-0\n");
    assert!(text.contains("made by an operator"), "{text}");
    assert!(!text.contains("confirm"), "nothing is to be typed: {text}");
}

#[test]
fn hosts_are_cordoned_and_members_restarted() {
    let server = Server::start();
    assert_snapshot!(
        "host_cordon",
        each(
            &server,
            &[
                &["host", "cordon", "host-1"],
                &["host", "uncordon", "host-1"],
                &["host", "cordon", "host-9"],
            ]
        )
    );
    assert_snapshot!(
        "member_restart",
        each(
            &server,
            &[
                &["member", "restart", "etcd-0"],
                &["member", "restart", "etcd-0", "--yes"],
                &["member", "restart", "member/etcd-1", "--yes"],
                &["member", "restart", "none-0", "--yes"],
                &["member", "restart", "sts/etcd"],
            ]
        )
    );
    let (code, text) = berth_on_terminal(&server, "member restart etcd-0", "y\n");
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("is to be restarted"), "{text}");
}

#[test]
fn the_help_of_a_verb_says_what_it_proves_and_risks() {
    let server = Server::start();
    assert_snapshot!(
        "help_verbs",
        each(
            &server,
            &[
                &["volume", "--help"],
                &["volume", "adopt", "--help"],
                &["volume", "release", "--help"],
                &["volume", "delete", "--help"],
                &["volume", "undelete", "--help"],
                &["host", "cordon", "--help"],
                &["member", "restart", "--help"],
            ]
        )
    );
}

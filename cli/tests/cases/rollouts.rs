//! `berth rollout`.

use insta::assert_snapshot;

use crate::support::{Server, berth};

#[test]
fn history_shows_the_revisions_and_one_of_them_in_full() {
    let server = Server::start();
    let history = |more: &[&str]| {
        let args = [&["rollout", "history", "sts/etcd"], more].concat();
        berth(&server, &args)
    };
    assert_snapshot!("rollout_history", history(&[]));
    assert_snapshot!("rollout_history_one", history(&["--revision", "1"]));
    assert_snapshot!("rollout_history_none", history(&["--revision", "9"]));
}

#[test]
fn what_restarts_members_needs_a_yes_and_a_dry_run_shows_it() {
    let server = Server::start();
    let run = |args: &[&str]| berth(&server, &[&["rollout"], args].concat());
    assert_snapshot!("rollout_undo_unconfirmed", run(&["undo", "sts/etcd"]));
    assert_snapshot!("rollout_undo", run(&["undo", "sts/etcd", "--yes"]));
    let skipped = run(&["undo", "sts/etcd", "--to-revision", "2"]);
    assert_snapshot!("rollout_undo_skipped", skipped);
    let dry = run(&["restart", "sts", "etcd", "--dry-run"]);
    assert_snapshot!("rollout_restart_dry_run", dry);
    assert_snapshot!("rollout_restart", run(&["restart", "sts/etcd", "-y"]));
    assert_snapshot!("rollout_pause", run(&["pause", "sts/etcd"]));
    assert_snapshot!("rollout_resume", run(&["resume", "sts", "etcd"]));
}

#[test]
fn status_waits_and_says_what_for() {
    let server = Server::start();
    let told = berth(&server, &["rollout", "status", "sts/slow"]);
    assert_snapshot!("rollout_status", told);
    let told = berth(&server, &["rollout", "status", "sts/etcd", "--watch=false"]);
    assert!(told.starts_with("exit code: 0\n"), "{told}");
}

//! Programs in members: what comes out, what goes in, and how it ends.

use insta::assert_snapshot;

use crate::support::{Server, berth, berth_on_terminal, berth_with_input};

#[test]
fn a_program_ends_the_command_with_its_own_code() {
    let server = Server::start();
    let args = ["exec", "etcd-0", "-p", "etcd", "--", "ls", "-l"];
    assert_snapshot!("exec", berth(&server, &args));
    let args = ["exec", "-i", "etcd-0", "--", "cat"];
    assert_snapshot!("exec_input", berth_with_input(&server, &args, "one\ntwo\n"));
}

#[test]
fn what_does_not_run_is_said() {
    let server = Server::start();
    let all: Vec<String> = [
        &["exec", "etcd-2", "--", "ls"][..],
        &["exec", "etcd-0", "--", "gone"],
        &["exec", "-t", "etcd-0", "--", "sh"],
        &["exec", "etcd-0"],
        &["exec", "etcd-0", "ls"],
    ]
    .iter()
    .map(|args| berth(&server, args))
    .collect();
    assert_snapshot!("exec_refused", all.join("\n"));
}

#[test]
fn a_terminal_is_passed_on_and_is_as_before_afterwards() {
    let server = Server::start();
    let (code, text) = berth_on_terminal(
        &server,
        "exec -t etcd-0 -- sh; code=$?; stty; exit $code",
        "",
    );
    assert_eq!(code, 7, "{text}");
    assert!(text.contains("[\"sh\"] of ''"), "{text}");
    assert!(text.contains("on "), "{text}");
    // A terminal that was left raw shows `-icanon` and `-echo`.
    assert!(
        !text.contains("-icanon") && !text.contains("-echo"),
        "{text}"
    );
}

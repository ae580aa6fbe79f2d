//! Runs the program and writes down what came of it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

pub(crate) mod admin;
pub(crate) mod data;
pub(crate) mod exec;
pub(crate) mod objects;
pub(crate) mod rollouts;
pub(crate) mod server;
pub(crate) mod volumes;

pub(crate) use server::Server;

/// A command that hangs fails with this exit code instead of holding the suite up.
const LIMIT_SECONDS: &str = "60";

/// Runs `berth` against a server, and gives back exit code and output as one text.
pub(crate) fn berth(server: &Server, args: &[&str]) -> String {
    written(server, &command(server, args).output().unwrap())
}

/// The same, with a text on standard input.
pub(crate) fn berth_with_input(server: &Server, args: &[&str], input: &str) -> String {
    let mut child = command(server, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    written(server, &child.wait_with_output().unwrap())
}

/// Runs `berth` on a terminal of its own, at which somebody types `input`.
pub(crate) fn berth_on_terminal(server: &Server, args: &str, input: &str) -> (i32, String) {
    let mut child = Command::new("timeout")
        .args([LIMIT_SECONDS, "script", "--quiet", "--return", "--command"])
        .arg(format!("{} {args}", program().display()))
        .arg("/dev/null")
        .env("BERTH_ENDPOINT", server.endpoint())
        .current_dir(server.dir())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The end of the input must not come before the answer was read; `script` passes it on.
    child
        .stdin
        .as_mut()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    (output.status.code().unwrap_or(-1), text)
}

/// The command, ready to be run.
pub(crate) fn command(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command
        .arg(LIMIT_SECONDS)
        .arg(program())
        .args(args)
        .env("BERTH_ENDPOINT", server.endpoint())
        .env("BERTH_AGENT_SOCKET", server.endpoint())
        .env_remove("BERTH_NAMESPACE")
        .current_dir(server.dir())
        .stdin(Stdio::null());
    command
}

/// The program under test.
pub(crate) fn program() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_berth")).to_owned()
}

/// A manifest in the server's directory.
pub(crate) fn manifest(server: &Server, name: &str, text: &str) {
    std::fs::write(server.dir().join(name), text).unwrap();
}

fn written(server: &Server, output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let all = format!(
        "exit code: {}\n----- stdout -----\n{}----- stderr -----\n{}",
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr)
    );
    without_times(&all.replace(&server.endpoint(), "unix:[SOCKET]"))
}

/// Replaces points in time by `[TIME]` (2026-01-31T08:00:00Z) and `[MS]` (13 digits).
fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let is_time = |c: char| c.is_ascii_digit() || "-T:.Z".contains(c);
        let word = &rest[..rest.find(|c| !is_time(c)).unwrap_or(rest.len())];
        if word.contains('T') && word.ends_with('Z') {
            out.push_str("[TIME]");
            rest = &rest[word.len()..];
            continue;
        }
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        out.push_str(if digits == 13 {
            "[MS]"
        } else {
            &rest[..digits]
        });
        rest = &rest[digits..];
    }
    out.push_str(rest);
    out
}

#[test]
fn times_are_taken_out_and_numbers_are_not() {
    assert_eq!(
        without_times("a 2026-01-31T08:00:00.5Z b 1790000000000 c 127.77.1.0 2T"),
        "a [TIME] b [MS] c 127.77.1.0 2T"
    );
}

//! `berth exec` in one piece: command, coordinator, agent, keeper, program and all the way back.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Stdio},
};

use berth_tests::{cluster::Cluster, dev::Dev, machine, wait};

const SET: &str = "apiVersion: berth/v1
kind: StatefulSet
metadata: { name: shell }
spec:
  replicas: 1
  template:
    spec:
      terminationGracePeriodSeconds: 1
      processes:
      - { name: main, command: [/bin/sleep, infinity], user: nobody }
";

/// `berth exec` with these options and this script, ready to be started.
fn exec(cluster: &Cluster, options: &[&str], script: &str) -> Command {
    let mut command = cluster.command(machine::program("berth"));
    command
        .args(["exec", "shell-0"])
        .args(options)
        .args(["--", "/bin/sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Kills what a failed test would leave.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn with_shell() -> Dev {
    let dev = Dev::start(1);
    dev.cluster().apply(SET);
    dev.cluster().ready("shell", 1).await;
    dev
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_has_its_streams_its_code_and_its_signals() {
    let dev = with_shell().await;
    let cluster = dev.cluster();
    let output = exec(cluster, &[], "echo out; echo err >&2; hostname; exit 7")
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"out\nshell-0\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(output.status.code(), Some(7));

    let killed = exec(cluster, &[], "kill -KILL $$").output().unwrap();
    assert_eq!(killed.status.code(), Some(128 + 9));

    let mut reads = exec(cluster, &["-i"], "tr a-z A-Z").spawn().unwrap();
    reads.stdin.take().unwrap().write_all(b"hello").unwrap();
    let output = reads.wait_with_output().unwrap();
    assert_eq!(
        (output.stdout, output.status.code()),
        (b"HELLO".into(), Some(0))
    );

    let missing = cluster.try_berth(&["exec", "shell-0", "--", "/no/such/program"]);
    let told = String::from_utf8(missing.stderr).unwrap();
    assert!(
        !missing.status.success() && told.contains("/no/such/program"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_ends_with_the_command_that_asked_for_it() {
    let dev = with_shell().await;
    let script = "echo up; exec sleep 86421";
    let mut asked = Started(exec(dev.cluster(), &[], script).spawn().unwrap());
    let mut line = String::new();
    let said = asked.0.stdout.as_mut().unwrap();
    BufReader::new(said).read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    let runs = || machine::processes_with(&["sleep", "86421"]);
    wait::until("the program", async || match runs().len() {
        // The command names the program in its own arguments.
        2 => Ok(()),
        _ => Err(runs()),
    })
    .await;
    asked.0.kill().unwrap();
    asked.0.wait().unwrap();
    wait::until("the end of the program", async || match runs().as_slice() {
        [] => Ok(()),
        left => Err(left.to_vec()),
    })
    .await;
}

/// What the program wrote, its operator did not read: all of it that lies in pipes, connections and
/// the memory of the three programs between.
const AHEAD: u64 = 16 << 20;
/// Many times that.
const ALL: u64 = 96 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_costs_little_and_holds_nobody_else_up() {
    let dev = with_shell().await;
    let cluster = dev.cluster();
    let (slow, quick) = (ALL + 1, ALL + 2);
    let script = |count: u64| format!("exec head -c {count} /dev/zero");
    let mut unread = Started(exec(cluster, &[], &script(slow)).spawn().unwrap());
    let slow_text = slow.to_string();
    let program = wait::until("the program", async || {
        let all = machine::processes_with(&[&slow_text]);
        let head = all.into_iter().find(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name.trim() == "head")
        });
        head.ok_or("not there yet")
    })
    .await;
    // By the time that another one has got all of as much through, this one would have too.
    let output = exec(cluster, &[], &script(quick)).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(u64::try_from(output.stdout.len()).unwrap(), quick);
    let io = fs::read_to_string(format!("/proc/{program}/io")).unwrap();
    let written = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    let written: u64 = written.unwrap().parse().unwrap();
    assert!(written < AHEAD, "{written} bytes are somewhere");
    // Nothing of it was lost.
    let mut all = unread.0.stdout.take().unwrap();
    let read = std::io::copy(&mut all, &mut std::io::sink()).unwrap();
    assert_eq!(read, slow);
    assert_eq!(unread.0.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_its_size_and_is_told_of_another_one() {
    let dev = with_shell().await;
    let dir = tempfile::tempdir().unwrap();
    let tty = dir.path().join("tty");
    // `script` gives the command a terminal of its own.
    let inner = "stty size; trap 'stty size; exit 3' WINCH; echo up; while :; do sleep 0.1; done";
    let line = format!(
        "tty >{}; stty rows 17 cols 91; exec {} exec shell-0 -i -t -- /bin/sh -c \"{inner}\"",
        tty.display(),
        machine::program("berth").display(),
    );
    let mut command = dev.cluster().command("script");
    command
        .args(["-q", "-e", "-f", "-c", &line, "/dev/null"])
        .env("TERM", "dumb")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut asked = Started(command.spawn().unwrap());
    let mut said = asked.0.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"up\r\n") {
        said.read_exact(&mut byte).unwrap();
        seen.extend(byte);
    }
    assert_eq!(String::from_utf8_lossy(&seen), "17 91\r\nup\r\n");
    let name = fs::read_to_string(&tty).unwrap();
    machine::run(Command::new("stty").args(["-F", name.trim(), "rows", "20", "cols", "50"]));
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "20 50\r\n");
    assert_eq!(asked.0.wait().unwrap().code(), Some(3));
}

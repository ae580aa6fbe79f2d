//! Programs that are watched while they run, under real keepers. Needs root.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]
// Shared with other programs of tests.
#![expect(dead_code, reason = "not every program uses all of the bed")]

use std::fs;

use berth_agent::host::{
    AttachInput, AttachOrder, AttachOutput, AttachedProgram, Host, TerminalOrder,
};
use berth_core::{keeper::Exit, waiting::Reason};

mod support;
use support::*;

const WAIT_FOREVER: &str = "while :; do sleep 60; done";

fn sh(script: &str) -> AttachOrder {
    AttachOrder {
        process: "main".parse().unwrap(),
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        stdin: false,
        terminal: None,
    }
}

/// Its output, its errors, and how it ended.
async fn all(mut program: AttachedProgram) -> (String, String, Exit) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let reading = async {
        loop {
            match program.output.recv().await {
                Some(AttachOutput::Output(bytes)) => out.extend(bytes),
                Some(AttachOutput::Error(bytes)) => err.extend(bytes),
                Some(AttachOutput::End(exit)) => return exit,
                other => panic!("{other:?}"),
            }
        }
    };
    let exit = tokio::time::timeout(DEADLINE, reading).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(out), text(err), exit)
}

/// Reads until a text was seen.
async fn until(program: &mut AttachedProgram, text: &str) -> String {
    let mut seen = String::new();
    let reading = async {
        while !seen.contains(text) {
            match program.output.recv().await {
                Some(AttachOutput::Output(bytes)) => seen += &String::from_utf8_lossy(&bytes),
                other => panic!("{other:?} after {seen}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.unwrap();
    seen
}

/// Whether a process of the host has this word among its arguments.
fn runs(word: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(word))
}

async fn gone(word: &str) {
    let waiting = async {
        while runs(word) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap();
}

#[tokio::test]
async fn a_program_has_its_output_its_errors_its_input_and_its_code() {
    let bed = Bed::new("exec");
    let handle = bed
        .host
        .start_keeper(bed.launch(vec![shell("main", WAIT_FOREVER)]))
        .await
        .unwrap();
    let member = handle.member.clone();
    let order = sh("echo out; echo err >&2; hostname; exit 7");
    let program = bed.host.attach(&member, order).await.unwrap();
    let (out, err, exit) = all(program).await;
    assert_eq!(
        out,
        format!("out\n{}\n", member.name()),
        "the member's own names"
    );
    assert_eq!((err.as_str(), exit), ("err\n", Exit::Code(7)));

    let mut order = sh("tr a-z A-Z");
    order.stdin = true;
    let program = bed.host.attach(&member, order).await.unwrap();
    let data = AttachInput::Data(b"hello\n".to_vec());
    program.input.send(data).await.unwrap();
    program.input.send(AttachInput::End).await.unwrap();
    assert_eq!(
        all(program).await,
        ("HELLO\n".to_owned(), String::new(), Exit::Code(0))
    );

    let mut program = bed
        .host
        .attach(&member, sh("echo up; exec sleep 60"))
        .await
        .unwrap();
    until(&mut program, "up").await;
    program.input.send(AttachInput::Signal(2)).await.unwrap();
    assert_eq!(all(program).await.2, Exit::Signal(2));

    let mut order = sh("");
    order.argv = vec!["/no/such/program".to_owned()];
    let refused = bed.host.attach(&member, order).await.unwrap_err();
    assert!(
        matches!(refused, Reason::CommandMissing { .. }),
        "{refused}"
    );
    let none = "default/none-0".parse().unwrap();
    let refused = bed.host.attach(&none, sh("true")).await.unwrap_err();
    assert!(refused.to_string().contains("does not run"), "{refused}");
}

#[tokio::test]
async fn programs_that_run_at_once_each_have_their_own_output_and_code() {
    let bed = Bed::new("exec-many");
    let launch = bed.launch(vec![shell("main", WAIT_FOREVER)]);
    let handle = bed.host.start_keeper(launch).await.unwrap();
    for round in 0..5 {
        let one = async |n: i32| {
            let order = sh(&format!("echo {round}-{n}; exit {n}"));
            let program = bed.host.attach(&handle.member, order).await.unwrap();
            let (out, err, exit) = all(program).await;
            let wanted = format!("{round}-{n}\n");
            assert_eq!((out, err, exit), (wanted, String::new(), Exit::Code(n)));
        };
        futures_util::future::join_all((0..10).map(one)).await;
    }
}

#[tokio::test]
async fn more_output_than_a_pipe_holds_arrives_whole_however_slowly_it_is_read() {
    let bed = Bed::new("exec-much");
    let launch = bed.launch(vec![shell("main", WAIT_FOREVER)]);
    let handle = bed.host.start_keeper(launch).await.unwrap();
    let order = sh("head -c 3000000 /dev/zero | tr '\\\\0' x");
    let program = bed.host.attach(&handle.member, order).await.unwrap();
    let (out, _, exit) = all(program).await;
    assert_eq!((out.len(), exit), (3_000_000, Exit::Code(0)));
}

#[tokio::test]
async fn a_terminal_has_a_size_that_changes_and_sends_interrupts() {
    let bed = Bed::new("exec-tty");
    let launch = bed.launch(vec![shell("main", WAIT_FOREVER)]);
    let handle = bed.host.start_keeper(launch).await.unwrap();
    let mut order = sh("test -t 0 && stty size; read x; stty size; echo $TERM; exec sleep 60");
    order.terminal = Some(TerminalOrder {
        term: "vt220".to_owned(),
        rows: 11,
        columns: 77,
    });
    let mut program = bed.host.attach(&handle.member, order).await.unwrap();
    until(&mut program, "11 77").await;
    let size = AttachInput::Resize {
        rows: 22,
        columns: 99,
    };
    program.input.send(size).await.unwrap();
    let data = AttachInput::Data(b"\n".to_vec());
    program.input.send(data).await.unwrap();
    let seen = until(&mut program, "vt220").await;
    assert!(seen.contains("22 99"), "{seen}");
    // Ctrl-C, as a terminal in raw mode sends it.
    program
        .input
        .send(AttachInput::Data(vec![3]))
        .await
        .unwrap();
    assert_eq!(all(program).await.2, Exit::Signal(2));
}

#[tokio::test]
async fn it_dies_with_who_watches_it_and_with_its_member() {
    let bed = Bed::new("exec-dies");
    let launch = bed.launch(vec![shell("main", WAIT_FOREVER)]);
    let handle = bed.host.start_keeper(launch).await.unwrap();
    let script = |word: &str| {
        sh(&format!(
            "trap '' TERM HUP INT; echo up; while :; do sleep 60; done # {word}"
        ))
    };
    let order = script("watched-by-nobody");
    let mut watched = bed.host.attach(&handle.member, order).await.unwrap();
    until(&mut watched, "up").await;
    assert!(runs("watched-by-nobody"));
    drop(watched);
    gone("watched-by-nobody").await;

    let order = script("member-stops");
    let mut watched = bed.host.attach(&handle.member, order).await.unwrap();
    until(&mut watched, "up").await;
    assert!(runs("member-stops"));
    handle.client.stop(None).await.unwrap();
    assert_eq!(all(watched).await.2, Exit::Signal(9));
    gone("member-stops").await;
    let refused = bed.host.attach(&handle.member, sh("true")).await;
    assert!(refused.is_err(), "the member stops");
}

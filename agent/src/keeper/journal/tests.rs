//! Against a socket that plays the journal: takes what comes, or nothing, or is made anew.

use std::{fs, path::Path};

use berth_core::keeper::BackoffLimits;
use tempfile::TempDir;

use super::*;

fn member() -> RenderedMember {
    RenderedMember {
        member: "shop/db-1".parse().unwrap(),
        hostname: "db-1".to_owned(),
        fqdn: String::new(),
        address: String::new(),
        config_dir: String::new(),
        config_copy_from: None,
        init_processes: Vec::new(),
        processes: Vec::new(),
        grace_seconds: 30,
        backoff: BackoffLimits::default(),
        read_only_root: false,
        host: "host-7".to_owned(),
    }
}

fn listen(dir: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(dir.join(SOCKET)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// All that has come, each message as text.
fn heard(socket: &UnixDatagram) -> Vec<String> {
    let mut buffer = vec![0; MAX_LINE * 2];
    let mut all = Vec::new();
    while let Ok(size) = socket.recv(&mut buffer) {
        all.push(String::from_utf8(buffer[..size].to_vec()).unwrap());
    }
    all
}

fn messages(socket: &UnixDatagram) -> Vec<String> {
    let text = |all: String| all.split_once("MESSAGE=").unwrap().1.trim_end().to_owned();
    heard(socket).into_iter().map(text).collect()
}

struct Bed {
    dir: TempDir,
    journal: Journal,
    lines: Lines,
}

impl Bed {
    fn new() -> (Self, UnixDatagram) {
        let dir = tempfile::tempdir().unwrap();
        let socket = listen(dir.path());
        let journal = Journal::open(dir.path(), &member()).unwrap();
        let lines = Lines::default();
        (
            Self {
                dir,
                journal,
                lines,
            },
            socket,
        )
    }

    fn write(&mut self, text: &[u8]) {
        let process = "main".parse().unwrap();
        self.lines.take(&mut self.journal, &process, text);
    }
}

#[test]
fn a_line_says_whose_it_is() {
    let (mut bed, socket) = Bed::new();
    bed.write(b"one\n");
    assert_eq!(
        heard(&socket),
        [
            "PRIORITY=6\nSYSLOG_IDENTIFIER=db-1\nBERTH_NAMESPACE=shop\nBERTH_SET=db\n\
             BERTH_MEMBER=db-1\nBERTH_HOST=host-7\nBERTH_PROCESS=main\nMESSAGE=one\n"
        ]
    );
}

#[test]
fn lines_are_put_together_and_no_text_makes_a_field() {
    let (mut bed, socket) = Bed::new();
    bed.write(b"fi");
    bed.write(b"rst\n\nsecond\nBERTH_SET=other\nthe re");
    assert_eq!(messages(&socket), ["first", "second", "BERTH_SET=other"]);
    bed.lines.end(&mut bed.journal, &"main".parse().unwrap());
    assert_eq!(messages(&socket), ["the re"]);
}

#[test]
fn a_line_without_end_is_cut() {
    let (mut bed, socket) = Bed::new();
    bed.write(&[b'x'; MAX_LINE + 5]);
    bed.write(b"y\n");
    let sizes: Vec<usize> = messages(&socket).iter().map(String::len).collect();
    assert_eq!(sizes, [MAX_LINE, 6]);
}

#[test]
fn a_journal_that_takes_nothing_holds_nobody_up_and_hears_what_it_missed() {
    let (mut bed, socket) = Bed::new();
    let line = format!("{}\n", "x".repeat(1000));
    // Far more than its queue and ours hold together.
    for _ in 0..20_000 {
        bed.write(line.as_bytes());
    }
    assert!(bed.journal.waiting_bytes <= MAX_WAITING);
    let dropped = bed.journal.dropped;
    assert!(dropped > 0);
    assert!(bed.journal.wants_room().is_some());

    // It takes again: first what waited, then how much did not.
    let mut got = messages(&socket);
    while bed.journal.wants_room().is_some() {
        bed.journal.flush();
        got.extend(messages(&socket));
    }
    let told = got.pop().unwrap();
    assert!(told.starts_with(&format!("{dropped} lines")), "{told}");
    assert_eq!(got.len() as u64 + dropped, 20_000);
    assert_eq!(bed.journal.dropped, 0);
}

#[test]
fn a_journal_that_comes_back_is_found_again() {
    let (mut bed, socket) = Bed::new();
    drop(socket);
    fs::remove_file(bed.dir.path().join(SOCKET)).unwrap();
    bed.write(b"lost\n");
    let socket = listen(bed.dir.path());
    bed.write(b"found\n");
    let got = messages(&socket);
    assert_eq!(got.first().map(String::as_str), Some("found"));
    assert!(got[1].starts_with("1 lines are not in the journal"));
}

#[test]
fn a_host_without_a_journal_costs_lines_and_nothing_else() {
    let nowhere = Path::new("/nowhere/journal");
    let mut journal = Journal::open(nowhere, &member()).unwrap();
    let mut lines = Lines::default();
    lines.take(&mut journal, &"main".parse().unwrap(), b"one\ntwo\n");
    assert_eq!(journal.dropped, 2);
    assert!(journal.wants_room().is_none());
}

#[test]
fn who_does_not_ask_for_it_has_none() {
    assert!(Journal::of(&member()).unwrap().is_none());
}

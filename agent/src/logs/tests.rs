//! Logs in a temporary directory, cut and renamed as a keeper does it.

use std::{fs, io::Write as _, time::Duration};

use tempfile::TempDir;

use super::*;

fn process() -> ProcessName {
    "main".parse().unwrap()
}

fn dir(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

async fn text(dir: &TempDir, query: LogQuery) -> String {
    let (out, mut chunks) = mpsc::channel(100);
    read(dir.path(), &process(), query, &out).await.unwrap();
    drop(out);
    let mut text = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        text.extend(chunk);
    }
    String::from_utf8(text).unwrap()
}

fn tail(lines: u32) -> LogQuery {
    LogQuery {
        tail_lines: Some(lines),
        ..LogQuery::default()
    }
}

const PARTS: [(&str, &str); 5] = [
    ("main.previous.log", "p1\n"),
    ("main.log.2", "a1\na2\n"),
    ("main.log.1", "b1\nb2\n"),
    ("main.log", "c1\nc2\n"),
    ("other.log", "other\n"),
];

#[tokio::test]
async fn all_parts_of_a_run_are_read_oldest_first() {
    let dir = dir(&PARTS);
    assert_eq!(
        text(&dir, LogQuery::default()).await,
        "a1\na2\nb1\nb2\nc1\nc2\n"
    );
    let previous = LogQuery {
        previous: true,
        follow: true,
        ..LogQuery::default()
    };
    assert_eq!(text(&dir, previous).await, "p1\n");
}

#[tokio::test]
async fn the_last_lines_are_counted_over_parts() {
    let dir = dir(&PARTS);
    for (lines, expected) in [
        (0, ""),
        (1, "c2\n"),
        (2, "c1\nc2\n"),
        (3, "b2\nc1\nc2\n"),
        (5, "a2\nb1\nb2\nc1\nc2\n"),
        (99, "a1\na2\nb1\nb2\nc1\nc2\n"),
    ] {
        assert_eq!(text(&dir, tail(lines)).await, expected, "{lines}");
    }
}

#[tokio::test]
async fn an_unfinished_line_is_a_line() {
    let dir = dir(&[("main.log", "one\ntwo\nthr")]);
    assert_eq!(text(&dir, tail(2)).await, "two\nthr");
}

#[tokio::test]
async fn a_log_that_is_not_there_is_an_error() {
    let dir = dir(&[("main.log", "x\n")]);
    let (out, _chunks) = mpsc::channel(1);
    let previous = LogQuery {
        previous: true,
        ..LogQuery::default()
    };
    let error = read(dir.path(), &process(), previous, &out).await;
    assert!(error.unwrap_err().to_string().contains("no previous log"));
    let nowhere = dir.path().join("nowhere");
    let follow = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    assert!(matches!(
        read(&nowhere, &process(), follow, &out).await,
        Err(LogError::None { .. })
    ));
}

async fn expect(chunks: &mut mpsc::Receiver<Vec<u8>>, expected: &str) {
    let mut text = String::new();
    let wait = async {
        while text.len() < expected.len() {
            text.push_str(&String::from_utf8(chunks.recv().await.unwrap()).unwrap());
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    assert!(waited.is_ok(), "got {text:?}, not {expected:?}");
    assert_eq!(text, expected);
}

fn append(path: &Path, text: &str) {
    let mut file = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn following_goes_on_over_cuts_and_new_runs() {
    let dir = dir(&[("main.log", "one\n")]);
    let path = |name: &str| dir.path().join(name);
    let (out, mut chunks) = mpsc::channel(1);
    let follow = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    let at = dir.path().to_owned();
    let reader = tokio::spawn(async move { read(&at, &process(), follow, &out).await });
    expect(&mut chunks, "one\n").await;
    append(&path("main.log"), "two\n");
    expect(&mut chunks, "two\n").await;
    // Cut twice before the reader looks: no part is left out.
    append(&path("main.log"), "three\n");
    fs::rename(path("main.log"), path("main.log.2")).unwrap();
    fs::write(path("main.log.1"), "four\n").unwrap();
    append(&path("main.log"), "five\n");
    expect(&mut chunks, "three\nfour\nfive\n").await;
    // Another run.
    append(&path("main.log"), "six\n");
    fs::rename(path("main.log"), path("main.previous.log")).unwrap();
    fs::remove_file(path("main.log.1")).unwrap();
    fs::remove_file(path("main.log.2")).unwrap();
    append(&path("main.log"), "seven\n");
    expect(&mut chunks, "six\nseven\n").await;
    drop(chunks);
    let ended = tokio::time::timeout(Duration::from_secs(20), reader).await;
    ended
        .expect("it ends when nobody listens")
        .unwrap()
        .unwrap();
}

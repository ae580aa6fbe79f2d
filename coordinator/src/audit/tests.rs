//! The log on disk.

use berth_core::audit::{file_names, verify};

use super::*;

fn entry(name: &str) -> Entry {
    let mut entry = Entry {
        method: "berth.v1.SetService/Scale".to_owned(),
        ..Entry::default()
    };
    entry.tell("name", name);
    entry
}

fn text(directory: &Path) -> String {
    let paths = file_names().map(|name| directory.join(DIRECTORY).join(name));
    let there = paths.filter_map(|path| fs::read_to_string(path).ok());
    there.collect()
}

fn small(directory: &Path) -> Writer {
    let keep = Keep {
        largest: 500,
        files: 3,
    };
    Writer::open(&directory.join(DIRECTORY), keep).unwrap()
}

#[tokio::test]
async fn what_was_written_is_there_and_the_chain_goes_on_after_a_restart() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    for round in ["1", "2"] {
        let log = AuditLog::open(dir.path(), Clock::start()).unwrap();
        let writes = (0..50).map(|n| {
            let (log, entry) = (log.clone(), entry(&format!("{round}-{n}")));
            async move { log.write(entry).await.unwrap() }
        });
        futures_util::future::join_all(writes).await;
    }
    let text = text(dir.path());
    assert_eq!(verify(text.lines()).unwrap().seq, 100);
    let path = dir.path().join("audit/audit.log");
    let mode = fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn files_are_put_aside_and_the_oldest_goes() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = small(dir.path());
    for n in 0..60 {
        writer
            .append(vec![entry(&n.to_string())], Clock::start())
            .unwrap();
    }
    let text = text(dir.path());
    let last = verify(text.lines()).unwrap();
    assert_eq!(last.seq, 60);
    let there = fs::read_dir(dir.path().join(DIRECTORY)).unwrap().count();
    assert_eq!(there, 4);
    assert!(text.lines().count() < 60, "the oldest went");
    // Also if it ended just after a file was put aside.
    writer.rotate().unwrap();
    drop(writer);
    assert_eq!(small(dir.path()).chain, last);
}

#[test]
fn a_line_that_was_cut_off_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    small(dir.path())
        .append(vec![entry("a")], Clock::start())
        .unwrap();
    let path = dir.path().join("audit/audit.log");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"seq\":2,\"ti").unwrap();
    small(dir.path())
        .append(vec![entry("b")], Clock::start())
        .unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(verify(text.lines()).unwrap().seq, 2);
}

#[tokio::test]
async fn on_a_full_disk_whoever_asks_is_refused_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = small(dir.path());
    writer.append(vec![entry("a")], Clock::start()).unwrap();
    let there = std::mem::replace(&mut writer.file, append_to(Path::new("/dev/full")).unwrap());
    let refused = writer.append(vec![entry("b")], Clock::start()).unwrap_err();
    let told = berth_core::error::chain(&refused);
    assert!(told.contains("audit.log cannot be written"), "{told}");
    assert!(told.contains("No space left"), "{told}");
    writer.file = there;
    let log = AuditLog::start(writer, Clock::start()).unwrap();
    log.write(entry("c")).await.unwrap();
    let text = text(dir.path());
    assert_eq!(verify(text.lines()).unwrap().seq, 2);
    assert!(!text.contains("\"b\""), "{text}");
}

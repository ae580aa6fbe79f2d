//! The store against the model, and on a disk that fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use berth_core::{
    ids::Revision,
    spec::Kind,
    store::{Keep, Key, Note, NoteKind, Precondition, RecordKind, Value},
    time::Timestamp,
};
use proptest::prelude::*;

use super::{faults::Disk, *};

const SMALL: Keep = Keep {
    commits: 5,
    events: 4,
};

fn open_disk(disk: &Disk) -> Result<Opened, StoreError> {
    let database = Database::builder()
        .create_with_backend(disk.mount())
        .map_err(redb::Error::from)?;
    load::load(database, SMALL, Keyring::fixed(&[1]))
}

/// The key of a store in a file is beside it.
pub(super) fn made(path: &Path) -> KeySource {
    KeySource::Made(path.with_extension("key"))
}

fn start(opened: Opened) -> (Store, JoinHandle<()>) {
    let observer = Box::new(|_: &Commit| ());
    opened.start(observer, Box::new(|_| ())).unwrap()
}

fn key(kind: RecordKind, n: u8) -> Key {
    Key::new(kind, format!("default/k{n}").parse().unwrap())
}

fn config(n: u8) -> Key {
    key(RecordKind::Object(Kind::ConfigMap), n)
}

fn put(key: Key, text: &str) -> Batch {
    Batch {
        puts: [(key, Value::from(text.as_bytes()))].into(),
        ..Batch::default()
    }
}

fn note(n: u64) -> Note {
    Note {
        time: Timestamp(n),
        namespace: "default".to_owned(),
        subject: "StatefulSet/etcd".to_owned(),
        kind: NoteKind::Normal,
        reason: "Applied".to_owned(),
        message: format!("{n}"),
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Batches that arrive together.
    Commit(Vec<Batch>),
    /// An ordinary end and a new start.
    Reopen,
    /// The power fails.
    Cut(u64),
}

fn batches() -> impl Strategy<Value = Batch> {
    let kind = prop_oneof![
        Just(RecordKind::Object(Kind::ConfigMap)),
        Just(RecordKind::Object(Kind::Secret)),
        Just(RecordKind::Host)
    ];
    let keys = (kind, 0..4_u8).prop_map(|(kind, n)| key(kind, n)).boxed();
    let expected = prop_oneof![
        Just(Precondition::Absent),
        Just(Precondition::Any),
        (0..12_u64).prop_map(|n| Precondition::At(Revision(n))),
    ];
    let puts = prop::collection::btree_map(keys.clone(), "[a-z]{0,6}", 0..3);
    let deletes = prop::collection::btree_set(keys.clone(), 0..2);
    let preconditions = prop::collection::btree_map(keys, expected, 0..2);
    (puts, deletes, preconditions, 0..2_u64).prop_map(|(puts, deletes, preconditions, notes)| {
        Batch {
            puts: puts
                .into_iter()
                .map(|(key, text)| (key, Value::from(text.as_bytes())))
                .collect(),
            deletes,
            preconditions,
            notes: (0..notes).map(note).collect(),
        }
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => prop::collection::vec(batches(), 1..4).prop_map(Step::Commit),
        1 => Just(Step::Reopen),
        1 => any::<u64>().prop_map(Step::Cut),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is committed, and however the coordinator ends: the store answers as the model
    /// does, and has after each start exactly what the model has.
    #[test]
    fn the_store_is_the_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let disk = Disk::default();
        let mut model = Model::new(SMALL);
        let mut term = 0;
        let mut open = None;
        for step in steps {
            let (store, thread): (Store, JoinHandle<()>) = open.take().unwrap_or_else(|| {
                let opened = open_disk(&disk).unwrap();
                term += 1;
                assert_eq!(opened.entered.term, Term(term));
                start(opened)
            });
            assert_eq!(*store.read(), model);
            match step {
                Step::Commit(group) => {
                    let expected: Vec<_> =
                        group.iter().map(|batch| model.commit(batch.clone())).collect();
                    let answers = runtime.block_on(futures_util::future::join_all(
                        group.into_iter().map(|batch| store.commit(batch)),
                    ));
                    for (answer, expected) in answers.into_iter().zip(expected) {
                        match (answer, expected) {
                            (Ok(commit), expected) => assert_eq!(Ok(commit), expected),
                            (Err(StoreError::Refused(why)), expected) => {
                                assert_eq!(Err(why), expected);
                            }
                            (Err(other), _) => panic!("{other}"),
                        }
                    }
                    open = Some((store, thread));
                }
                Step::Reopen => {
                    drop(store);
                    thread.join().unwrap();
                }
                Step::Cut(survivors) => {
                    disk.cut_power(survivors);
                    drop(store);
                    thread.join().unwrap();
                }
            }
        }
    }
}

/// A full disk refuses what would be written, and nothing else; room is all that it takes to go on.
#[tokio::test]
async fn without_room_nothing_is_written_and_all_can_be_read() {
    let free = Arc::new(AtomicU64::new(room::RESERVE));
    let told = Arc::clone(&free);
    let mut opened = open_disk(&Disk::default()).unwrap();
    opened.room = room::Room::told_by(move || Ok(told.load(Ordering::SeqCst)));
    let (store, _writer) = start(opened);
    store.commit(put(config(0), "kept")).await.unwrap();

    free.fetch_sub(1, Ordering::SeqCst);
    let before = store.read().revision();
    let refused = store.commit(put(config(1), "too much")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
    store.note(vec![note(1)]);
    // What writes nothing is answered: the writer goes on.
    store.commit(Batch::default()).await.unwrap();
    assert_eq!(store.read().revision(), before);
    assert!(store.read().get(&config(0)).is_some());
    assert!(store.read().get(&config(1)).is_none());

    free.fetch_add(1, Ordering::SeqCst);
    store.commit(put(config(1), "fits now")).await.unwrap();
    assert!(store.read().get(&config(1)).is_some());
}

/// For every sync that a commit needs: if it fails, nobody is told that the commit was done, the
/// writer ends, and the next start has all commits that were acknowledged.
#[tokio::test]
async fn a_failed_sync_ends_the_writer_and_acknowledges_nothing() {
    let survivors = [0, u64::MAX, 0xAAAA_AAAA_AAAA_AAAA, 0x1234_5678_9ABC_DEF0];
    for (nth, survivors) in (1..=3).flat_map(|nth| survivors.map(|bits| (nth, bits))) {
        let disk = Disk::default();
        let ended = Arc::new(AtomicU64::new(0));
        let fatal = Arc::clone(&ended);
        let (store, thread) = open_disk(&disk)
            .unwrap()
            .start(
                Box::new(|_| ()),
                Box::new(move |_| {
                    fatal.fetch_add(1, Ordering::SeqCst);
                }),
            )
            .unwrap();
        let syncs = disk.syncs();
        store.commit(put(config(0), "kept")).await.unwrap();
        assert!(
            disk.syncs() > syncs,
            "a commit is synced before it is acknowledged"
        );
        disk.fail_sync(nth);
        let mut acknowledged = 0_u8;
        let lost = loop {
            match store.commit(put(config(1 + acknowledged), "x")).await {
                Ok(_) => acknowledged += 1,
                Err(error) => break error,
            }
            assert!(u64::from(acknowledged) < nth, "the sync did not fail");
        };
        assert!(matches!(lost, StoreError::Closed), "{lost}");
        thread.join().unwrap();
        assert_eq!(
            ended.load(Ordering::SeqCst),
            1,
            "the process would have ended"
        );
        assert!(
            store.read().get(&config(1 + acknowledged)).is_none(),
            "not shown either"
        );
        let closed = store.commit(put(config(9), "x")).await.unwrap_err();
        assert!(matches!(closed, StoreError::Closed));
        disk.cut_power(survivors);
        let again = open_disk(&disk).unwrap();
        for n in 0..=acknowledged {
            assert!(
                again.model().get(&config(n)).is_some(),
                "{n} of {acknowledged}"
            );
        }
    }
}

#[tokio::test]
async fn a_watch_goes_on_after_a_restart_without_a_gap() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let opened = open(&path, SMALL, &made(&path)).unwrap();
    let history = opened.entered.history.clone();
    let (store, thread) = start(opened);
    let mut watch = store.watch(Revision(0)).unwrap();
    store.commit(put(config(0), "1")).await.unwrap();
    let (seen, changes) = watch.next().await.unwrap();
    assert_eq!((seen, changes.len()), (Revision(1), 1));
    store.commit(put(config(0), "2")).await.unwrap();
    drop((watch, store));
    thread.join().unwrap();

    let opened = open(&path, SMALL, &made(&path)).unwrap();
    assert_eq!(
        opened.entered.history, history,
        "the history id is made once"
    );
    let (store, _thread) = start(opened);
    let mut watch = store.watch(seen).unwrap();
    assert_eq!(watch.next().await.unwrap().0, Revision(2));
    for text in ["3", "4", "5", "6", "7"] {
        store.commit(put(config(0), text)).await.unwrap();
    }
    let gap = store.watch(seen).unwrap_err();
    assert_eq!(gap.current, Revision(7));
    let slow = watch.next().await.unwrap();
    assert_eq!(slow.0, Revision(3), "a slow follower reads what it missed");
}

#[tokio::test]
async fn a_follower_slower_than_the_history_is_told() {
    let (store, _thread) = start(open_disk(&Disk::default()).unwrap());
    let mut watch = store.watch(Revision(0)).unwrap();
    for n in 0..8 {
        store.commit(put(config(n), "x")).await.unwrap();
    }
    let end = watch.next().await.unwrap_err();
    assert!(
        matches!(end, WatchEnd::Gap(gap) if gap.current == Revision(8)),
        "{end}"
    );
}

#[tokio::test]
async fn events_are_followed_in_order() {
    let (store, _thread) = start(open_disk(&Disk::default()).unwrap());
    store.note((0..3).map(note).collect());
    let mut watch = store.watch_events(1);
    let sequences = |events: Vec<berth_core::store::Event>| -> Vec<u64> {
        events.iter().map(|event| event.sequence).collect()
    };
    assert_eq!(sequences(watch.next().await.unwrap()), [2, 3]);
    store.note(vec![note(3)]);
    assert_eq!(sequences(watch.next().await.unwrap()), [4]);
}

#[tokio::test]
async fn the_file_is_for_its_owner_only_and_is_opened_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data/store.redb");
    let _open = open(&path, KEEP, &made(&path)).unwrap();
    for path in [path.clone(), directory.path().join("data")] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
    assert!(matches!(
        open(&path, KEEP, &made(&path)),
        Err(StoreError::Open { .. })
    ));
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    drop(open(&path, KEEP, &made(&path)).unwrap());
    let whole = std::fs::read(&path).unwrap();
    let mut other = whole.clone();
    other[..4].copy_from_slice(b"text");
    let half = whole[..whole.len() / 2].to_vec();
    for damaged in [other, half] {
        std::fs::write(&path, &damaged).unwrap();
        let refused = open(&path, KEEP, &made(&path)).unwrap_err();
        assert!(
            matches!(refused, StoreError::Unreadable { .. }),
            "{refused:?}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), damaged);
    }
}

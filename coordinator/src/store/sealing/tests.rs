//! Secrets in the file, with one key after another.

use std::{fs, path::PathBuf, thread::JoinHandle};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_core::{
    ids::Revision,
    spec::Kind,
    store::{Batch, Commit, RecordKind},
};

use super::*;
use crate::store::{FILE, KEEP, Opened, Store, backup, open as open_store, tables::meta};

const CANARY: &str = "canary-5f3a";

fn secret() -> Key {
    let kind = RecordKind::Object(Kind::Secret);
    Key::new(kind, "default/db".parse().unwrap())
}

/// A directory with a store and its keys.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> PathBuf {
        self.0.path().join(FILE)
    }

    fn keys(&self) -> KeySource {
        KeySource::Made(self.0.path().join("secrets.key"))
    }

    /// Puts keys in place, the newest first.
    fn with_keys(&self, keys: &[u8]) {
        let lines = keys.iter().map(|n| STANDARD.encode([*n; 32]));
        let text = lines.collect::<Vec<_>>().join("\n");
        berth_pki::private::write(self.keys().path(), text).unwrap();
    }

    fn open(&self) -> Result<Opened, StoreError> {
        open_store(&self.store(), KEEP, &self.keys())
    }

    fn start(&self) -> (Store, JoinHandle<()>) {
        let observer = Box::new(|_: &Commit| ());
        let failed = Box::new(|error: &StoreError| panic!("{error}"));
        self.open().unwrap().start(observer, failed).unwrap()
    }

    /// Commits the canary and ends.
    async fn fill(&self) -> Vec<u8> {
        let (store, thread) = self.start();
        let revision = Key::new(RecordKind::Revision, "default/r".parse().unwrap());
        for key in [secret(), revision] {
            let batch = Batch {
                puts: [(key, Value::from(CANARY.as_bytes()))].into(),
                ..Batch::default()
            };
            store.commit(batch).await.unwrap();
        }
        let backup = backup::chunks(&store, berth_core::time::Timestamp(1)).unwrap();
        let backup = backup.flatten().collect();
        drop(store);
        thread.join().unwrap();
        backup
    }

    fn holds(&self, text: &[u8]) -> bool {
        let bytes = fs::read(self.store()).unwrap();
        bytes.windows(text.len()).any(|part| part == text)
    }

    /// What is in the store, from the records and from the history.
    fn read(&self) -> Vec<Value> {
        let opened = self.open().unwrap();
        let model = opened.model();
        let record = model.get(&secret()).unwrap().value.clone();
        let changed = model.changes_after(Revision(0)).unwrap();
        let changed = changed.iter().flat_map(|(_, changes)| changes.iter());
        let past = changed.filter_map(|change| change.value.clone());
        std::iter::once(record).chain(past).collect()
    }

    /// As an older release left it: plain values, the first format.
    fn make_old(&self) {
        let database = Database::create(self.store()).unwrap();
        let transaction = load::begin(&database).unwrap();
        {
            let mut table = transaction.open_table(META).unwrap();
            table.insert(meta::FORMAT, "1").unwrap();
            table.insert(meta::REVISION, "1").unwrap();
            let mut table = transaction.open_table(RECORDS).unwrap();
            let (key, canary) = (secret().to_string(), CANARY.as_bytes());
            table.insert(key.as_str(), (1, canary)).unwrap();
            let mut table = transaction.open_table(HISTORY).unwrap();
            let row = (key.as_str(), true, Some(canary));
            table.insert((1, 0), row).unwrap();
            transaction.open_table(EVENTS).unwrap();
        }
        transaction.commit().unwrap();
    }
}

fn canaries(read: &[Value]) -> bool {
    read.len() == 2 && read.iter().all(|value| **value == *CANARY.as_bytes())
}

#[tokio::test]
async fn neither_the_file_nor_a_backup_has_a_secret_in_plain() {
    let place = Place::new();
    let written = place.fill().await;
    let hexed: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let text = String::from_utf8(written.clone()).unwrap();
    assert!(!text.contains(&hexed) && !text.contains(CANARY));
    assert!(!place.holds(CANARY.as_bytes()));
    assert!(place.holds(MARK), "the records are there");
    assert!(canaries(&place.read()));
    let backup = berth_core::store::backup::read(&written).unwrap();
    let keys = place.keys().existing().unwrap().unwrap();
    let sealed_with = backup.header.sealed_with.as_deref();
    assert_eq!(sealed_with, Some(keys.newest().id()));
}

#[test]
fn what_an_older_release_wrote_is_sealed_and_nothing_plain_stays() {
    let place = Place::new();
    place.make_old();
    assert!(place.holds(CANARY.as_bytes()));
    fs::write(place.store().with_extension("sealing"), "left").unwrap();
    assert!(canaries(&place.read()));
    assert!(!place.holds(CANARY.as_bytes()));
    assert!(canaries(&place.read()));
    let left = fs::read_dir(place.0.path()).unwrap().count();
    assert_eq!(left, 2, "the store and the key");
}

#[tokio::test]
async fn a_new_key_takes_over_and_the_old_one_may_go() {
    let place = Place::new();
    place.with_keys(&[1]);
    place.fill().await;
    let id = |n| Keyring::fixed(&[n]).newest().id().to_owned();
    assert!(place.holds(id(1).as_bytes()));
    place.with_keys(&[2, 1]);
    assert!(canaries(&place.read()));
    assert!(place.holds(id(2).as_bytes()) && !place.holds(id(1).as_bytes()));
    place.with_keys(&[2]);
    assert!(canaries(&place.read()));
}

#[tokio::test]
async fn without_its_key_a_store_is_refused_and_with_it_all_is_there() {
    let place = Place::new();
    place.with_keys(&[1]);
    place.fill().await;
    place.with_keys(&[2]);
    let other = berth_core::error::chain(&place.open().unwrap_err());
    fs::remove_file(place.keys().path()).unwrap();
    let none = berth_core::error::chain(&place.open().unwrap_err());
    let id = Keyring::fixed(&[1]).newest().id().to_owned();
    for told in [other, none] {
        let expected = format!("sealed with the key {id}");
        assert!(
            told.contains(&expected) && told.contains("secrets.key"),
            "{told}"
        );
    }
    assert!(
        !place.keys().path().exists(),
        "none is made that opens nothing"
    );
    place.with_keys(&[1]);
    assert!(canaries(&place.read()));
}

#[tokio::test]
async fn a_backup_needs_its_key_before_anything_is_changed() {
    let place = Place::new();
    place.with_keys(&[1]);
    let written = place.fill().await;
    let backup = berth_core::store::backup::read(&written).unwrap();
    let elsewhere = Place::new();
    let restore = |place: &Place| {
        let (path, now) = (place.store(), berth_core::time::Timestamp(2));
        backup::restore(&backup, &path, &place.keys(), false, now)
    };
    for keys in [None, Some([2])] {
        if let Some(keys) = keys {
            elsewhere.with_keys(&keys);
        }
        let before = fs::read_dir(elsewhere.0.path()).unwrap().count();
        let told = berth_core::error::chain(&restore(&elsewhere).unwrap_err());
        assert!(told.contains("sealed with the key"), "{told}");
        assert!(told.contains("nothing was changed"), "{told}");
        assert_eq!(fs::read_dir(elsewhere.0.path()).unwrap().count(), before);
    }
    // With it, all is sealed with the newest from then on.
    elsewhere.with_keys(&[2, 1]);
    restore(&elsewhere).unwrap();
    elsewhere.with_keys(&[2]);
    let opened = elsewhere.open().unwrap();
    let value = &opened.model().get(&secret()).unwrap().value;
    assert_eq!(**value, *CANARY.as_bytes());
}

#[test]
fn a_sealed_value_is_that_of_its_own_record() {
    let keys = Keyring::fixed(&[1]);
    let sealed = seal(&keys, &secret(), &Value::from(CANARY.as_bytes())).unwrap();
    let other: Key = "Secret/default/other".parse().unwrap();
    assert_eq!(open(&keys, &other, &sealed), Err(SealError::Damaged));
    let mut changed = sealed.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(open(&keys, &secret(), &changed), Err(SealError::Damaged));
    assert!(open(&keys, &secret(), &sealed).is_ok());
    // What holds no secrets is as it was.
    let host: Key = "host/default/h".parse().unwrap();
    let plain = Value::from(&b"{}"[..]);
    assert_eq!(seal(&keys, &host, &plain).unwrap(), plain);
}

#[test]
fn a_store_of_a_newer_release_is_not_written_anew() {
    let place = Place::new();
    place.make_old();
    let database = Database::create(place.store()).unwrap();
    let transaction = load::begin(&database).unwrap();
    let mut table = transaction.open_table(META).unwrap();
    table.insert(meta::FORMAT, "3").unwrap();
    drop(table);
    transaction.commit().unwrap();
    drop(database);
    let refused = place.open().unwrap_err();
    assert!(matches!(refused, StoreError::Format { .. }), "{refused}");
    assert!(place.holds(CANARY.as_bytes()));
}

//! Opening: reads everything into the model, makes the history id once, raises the term.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    str::FromStr,
    sync::Arc,
    thread,
};

use berth_core::{
    ids::{HistoryId, Revision, Term},
    store::{Change, Entry, Event, Keep, Key, Model, Value, backup::Header},
};
use redb::{
    Database, Durability, ReadableDatabase as _, ReadableTable, Table, TableError, WriteTransaction,
};

use super::{
    Entered, Opened, StoreError,
    room::Room,
    sealing,
    tables::{EVENTS, FORMAT, HISTORY, META, RECORDS, meta},
};
use crate::secrets::Keyring;

/// How far the revision of a restored store is above that of its backup: further than what was lost.
const LOST: u64 = 1 << 30;

/// Makes the directory and an empty file that only its owner reads: secrets are in it.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    let wrap = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Prepare { path, source }
    };
    if let Some(directory) = path.parent() {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(directory).map_err(wrap(directory))?;
    }
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true).mode(0o600);
    options.open(path).map(drop).map_err(wrap(path))
}

/// Begins what is written whole or not at all. In two phases: what is written is synced before it
/// counts, so after an unclean end the newest that counts was whole. With one phase a bit that the disk
/// turned over in it looks like a write that was cut off, and what was acknowledged is rolled back.
pub(super) fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

/// A database after all its checksums were looked at. Only so a bit that the disk turned over is
/// met before anything is decided on it. What a power cut leaves was mended when it was opened: what
/// does not match now was written whole once, and is not what it was.
pub(super) fn verified(mut database: Database) -> Result<Database, StoreError> {
    match database.check_integrity() {
        Ok(true) => Ok(database),
        Ok(false) => Err(StoreError::Damaged),
        Err(error) => Err(read_failed(error.into())),
    }
}

/// Reads a database.
pub(super) fn load(database: Database, keep: Keep, keys: Keyring) -> Result<Opened, StoreError> {
    check_format(&database)?;
    let entered = enter(&database, &keys).map_err(flatten)?;
    let model = read(&database, keep, &keys).map_err(flatten)?;
    Ok(Opened {
        database,
        model,
        keys: Arc::new(keys),
        room: Room::endless(),
        entered,
    })
}

/// Removes what a start that was cut off left.
pub(super) fn remove_left(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(StoreError::Prepare {
            path: path.to_owned(),
            source,
        }),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Makes what has changed in a file's directory durable.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => fs::File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// The cluster that a store is of, if it can be read and says so.
pub(super) fn cluster(database: &Database) -> Option<String> {
    said(database, meta::CLUSTER)
}

/// What the key goes by that everything is sealed with, if the store says so.
pub(super) fn sealed_with(database: &Database) -> Option<String> {
    said(database, meta::SEALED)
}

fn said(database: &Database, name: &str) -> Option<String> {
    let table = database.begin_read().ok()?.open_table(META).ok()?;
    let text = table.get(name).ok()??;
    Some(text.value().to_owned())
}

/// Fills a new database with records.
pub(super) fn fill(
    database: &Database,
    header: &Header,
    records: &[(Key, Revision, Value)],
    keys: &Keyring,
) -> Result<(), StoreError> {
    let write = || -> Result<(), Failure> {
        let transaction = begin(database)?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for (key, revision, value) in records {
                let sealed = sealing::seal(keys, key, value);
                let value = sealed.map_err(|why| Failure::Ours(StoreError::sealed(key, why)))?;
                table.insert(key.to_string().as_str(), (revision.0, &*value))?;
            }
            transaction.open_table(HISTORY)?;
            transaction.open_table(EVENTS)?;
            // Whoever watched the store that was lost is told that there is a gap.
            let revision = header.revision.0.saturating_add(LOST).to_string();
            let mut table = transaction.open_table(META)?;
            for (name, value) in [
                (meta::FORMAT, FORMAT.to_string().as_str()),
                (meta::CLUSTER, &header.cluster),
                (meta::HISTORY, &header.history.0),
                (meta::TERM, &header.opened.to_string()),
                (meta::REVISION, &revision),
                (meta::OLDEST, &revision),
            ] {
                table.insert(name, value)?;
            }
        }
        Ok(transaction.commit()?)
    };
    write().map_err(flatten)
}

/// redb has an error type per operation; all of them become one, and ours pass through.
enum Failure {
    Redb(redb::Error),
    Ours(StoreError),
}

impl<E: Into<redb::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

fn flatten(failure: Failure) -> StoreError {
    match failure {
        Failure::Redb(error) => read_failed(error),
        Failure::Ours(error) => error,
    }
}

/// What does not match its checksum is damage, and not a disk that fails now.
fn read_failed(error: redb::Error) -> StoreError {
    if matches!(error, redb::Error::Corrupted(_)) {
        StoreError::Damaged
    } else {
        StoreError::Disk(error)
    }
}

/// Makes the tables, raises the term, and makes what is made once if there is none.
fn enter(database: &Database, keys: &Keyring) -> Result<Entered, Failure> {
    let transaction = begin(database)?;
    let entered = {
        transaction.open_table(RECORDS)?;
        transaction.open_table(HISTORY)?;
        transaction.open_table(EVENTS)?;
        let mut table = transaction.open_table(META)?;
        table.insert(meta::FORMAT, FORMAT.to_string().as_str())?;
        table.insert(meta::SEALED, keys.newest().id())?;
        let term = number::<u64, _>(&table, meta::TERM)?
            .map_or(Term(0), Term)
            .next();
        table.insert(meta::TERM, term.to_string().as_str())?;
        Entered {
            term,
            history: HistoryId(named(&mut table, meta::HISTORY)?),
            cluster: named(&mut table, meta::CLUSTER)?,
        }
    };
    transaction.commit()?;
    Ok(entered)
}

/// What a name stands for that is made once.
fn named(table: &mut Table<'_, &str, &str>, name: &str) -> Result<String, Failure> {
    let known = table.get(name)?.map(|text| text.value().to_owned());
    let text = known.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    table.insert(name, text.as_str())?;
    Ok(text)
}

/// Refuses a store that a newer release wrote.
pub(super) fn check_format(database: &Database) -> Result<(), StoreError> {
    let found = || -> Result<Option<String>, Failure> {
        let table = match database.begin_read()?.open_table(META) {
            Ok(table) => table,
            // It was just made.
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(table.get(meta::FORMAT)?.map(|text| text.value().to_owned()))
    };
    match found().map_err(flatten)? {
        Some(found) if !found.parse().is_ok_and(|found: u32| found <= FORMAT) => {
            let known = FORMAT;
            Err(StoreError::Format { found, known })
        }
        Some(_) | None => Ok(()),
    }
}

fn read(database: &Database, keep: Keep, keys: &Keyring) -> Result<Model, Failure> {
    let transaction = database.begin_read()?;
    let table = transaction.open_table(META)?;
    let revision = number(&table, meta::REVISION)?.map_or(Revision(0), Revision);
    let oldest = number(&table, meta::OLDEST)?.map_or(Revision(0), Revision);
    let past = || -> Result<_, Failure> {
        let history = history(&transaction.open_table(HISTORY)?, keys)?;
        Ok((history, events(&transaction.open_table(EVENTS)?)?))
    };
    // The two halves of the file, at the same time.
    let (records, past) = thread::scope(|scope| {
        let past = scope.spawn(past);
        let records = records(&transaction.open_table(RECORDS)?, keys)?;
        let past = past.join();
        let past = past.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok::<_, Failure>((records, past))
    })?;
    let (history, events) = past;
    Ok(Model::restore(
        keep, revision, oldest, records, history, events,
    ))
}

fn records(
    table: &impl ReadableTable<&'static str, (u64, &'static [u8])>,
    keys: &Keyring,
) -> Result<BTreeMap<Key, Entry>, Failure> {
    // Put one by one each key would be searched for; what comes sorted need not be.
    let mut records = Vec::new();
    for row in table.iter()? {
        let (key, value) = row?;
        let (revision, bytes) = value.value();
        let key = parse("records", key.value())?;
        let entry = Entry {
            revision: Revision(revision),
            value: opened(keys, &key, bytes)?,
        };
        records.push((key, entry));
    }
    Ok(records.into_iter().collect())
}

fn history(
    table: &impl ReadableTable<(u64, u32), super::tables::HistoryRow>,
    keys: &Keyring,
) -> Result<Vec<(Revision, Vec<Change>)>, Failure> {
    let mut history: Vec<(Revision, Vec<Change>)> = Vec::new();
    for row in table.iter()? {
        let (place, row) = row?;
        let revision = Revision(place.value().0);
        let (key, created, value) = row.value();
        let key = parse("history", key)?;
        let value = value.map(|value| opened(keys, &key, value)).transpose()?;
        let change = Change {
            key,
            value,
            created,
        };
        match history.last_mut() {
            Some((last, changes)) if *last == revision => changes.push(change),
            _ => history.push((revision, vec![change])),
        }
    }
    Ok(history)
}

fn opened(keys: &Keyring, key: &Key, kept: &[u8]) -> Result<Value, Failure> {
    let opened = sealing::open(keys, key, kept);
    opened.map_err(|why| Failure::Ours(StoreError::sealed(key, why)))
}

fn events(table: &impl ReadableTable<u64, &'static [u8]>) -> Result<Vec<Event>, Failure> {
    let mut events = Vec::new();
    for row in table.iter()? {
        let (sequence, value) = row?;
        let event = serde_json::from_slice(value.value());
        events.push(event.map_err(|why| corrupt("events", &sequence.value().to_string(), &why))?);
    }
    Ok(events)
}

fn number<T: FromStr, R>(table: &R, name: &str) -> Result<Option<T>, Failure>
where
    T::Err: std::fmt::Display,
    R: ReadableTable<&'static str, &'static str>,
{
    match table.get(name)? {
        None => Ok(None),
        Some(text) => match text.value().parse() {
            Ok(number) => Ok(Some(number)),
            Err(why) => Err(corrupt("meta", name, &why)),
        },
    }
}

fn parse(table: &'static str, key: &str) -> Result<Key, Failure> {
    key.parse().map_err(|why| corrupt(table, key, &why))
}

fn corrupt(table: &'static str, key: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::Ours(StoreError::Corrupt {
        table,
        key: key.to_owned(),
        why: why.to_string(),
    })
}

//! Values with secrets as they are on disk and in backups: sealed, each for its own record. In memory
//! they are plain: the model, and all who read it, know nothing of this.
//!
//! A sealed value begins with a line that names the key; a plain one is JSON and begins otherwise. A
//! store with values that are plain (an older release wrote them) or sealed with another key than the
//! newest is written anew, into a new file: what is replaced in a file of redb may stay in it.

use std::{fs, path::Path, sync::Arc};

use berth_core::store::{Key, Value};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError,
    WriteTransaction,
};
use thiserror::Error;

use super::{
    StoreError, load,
    tables::{EVENTS, HISTORY, META, RECORDS},
};
use crate::secrets::{KeyError, KeySource, Keyring};

/// What a sealed value begins with; another way to seal gets another number.
const MARK: &[u8] = b"berth-sealed 1 ";
/// What a value is sealed for, before the key of its record.
const PURPOSE: &str = "berth store";

/// Why a value cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SealError {
    /// The key is not there.
    #[error("it is sealed with the key {id}, which {keys} does not have; put that key back")]
    NoKey {
        /// What the key goes by.
        id: String,
        /// Where keys are from.
        keys: String,
    },
    /// The key is there, and the value is not what was sealed with it for this record.
    #[error("it is not what was sealed for this record; restore a backup")]
    Damaged,
    /// There is too much of it.
    #[error("it is too large to be sealed; make it smaller")]
    TooLarge,
}

fn purpose(key: &Key) -> String {
    format!("{PURPOSE} {key}")
}

/// What a value's key goes by, and what is sealed; `None` if it is plain.
fn sealed(value: &[u8]) -> Option<(&str, &[u8])> {
    let rest = value.strip_prefix(MARK)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (id, sealed) = rest.split_at_checked(end)?;
    Some((std::str::from_utf8(id).ok()?, sealed.get(1..)?))
}

/// What the key goes by that a value is sealed with; `None` if it is plain.
pub(super) fn key_of(value: &[u8]) -> Option<&str> {
    sealed(value).map(|(id, _)| id)
}

/// A value as it is kept: sealed if its kind may hold secrets.
pub(super) fn seal(keys: &Keyring, key: &Key, value: &Value) -> Result<Value, SealError> {
    if !key.kind.holds_secrets() {
        return Ok(Arc::clone(value));
    }
    let newest = keys.newest();
    let sealed = newest.seal(value, purpose(key).as_bytes());
    let sealed = sealed.ok_or(SealError::TooLarge)?;
    let head = [MARK, newest.id().as_bytes(), b"\n"].concat();
    Ok(Value::from([head, sealed].concat()))
}

/// The value that was kept. One that is plain is as it is.
pub(super) fn open(keys: &Keyring, key: &Key, kept: &[u8]) -> Result<Value, SealError> {
    let Some((id, sealed)) = sealed(kept) else {
        return Ok(Value::from(kept));
    };
    let Some(with) = keys.find(id) else {
        return Err(SealError::no_key(id, keys.path()));
    };
    let plain = with.open(sealed, purpose(key).as_bytes());
    plain.map(Value::from).ok_or(SealError::Damaged)
}

impl SealError {
    fn no_key(id: &str, keys: &Path) -> Self {
        Self::NoKey {
            id: id.to_owned(),
            keys: keys.display().to_string(),
        }
    }
}

/// The keys for values of which one may be sealed with some key. Then none is made: it would open
/// nothing.
///
/// # Errors
/// If the keys cannot be used; within, if there are none for what is sealed.
pub(super) fn keys_for(
    source: &KeySource,
    sealed_with: Option<&str>,
) -> Result<Result<Keyring, SealError>, KeyError> {
    match (source.existing()?, sealed_with) {
        (Some(keys), _) => Ok(Ok(keys)),
        (None, None) => source.existing_or_made().map(Ok),
        (None, Some(id)) => Ok(Err(SealError::no_key(id, source.path()))),
    }
}

/// What a database has of sealed values.
#[derive(Debug, Default)]
struct Found {
    /// Every key that something is sealed with.
    keys: std::collections::BTreeSet<String>,
    /// Something that should be sealed is plain.
    plain: bool,
}

impl Found {
    fn add(&mut self, key: &str, value: &[u8]) {
        match (key_of(value), key.parse::<Key>()) {
            (Some(id), _) => {
                self.keys.insert(id.to_owned());
            }
            (None, Ok(key)) => self.plain |= key.kind.holds_secrets(),
            // Whoever reads it says so.
            (None, Err(_)) => {}
        }
    }

    fn read(database: &Database) -> Result<Self, redb::Error> {
        let mut found = Self::default();
        let transaction = database.begin_read()?;
        match transaction.open_table(RECORDS) {
            Ok(table) => {
                for row in table.iter()? {
                    let (key, value) = row?;
                    found.add(key.value(), value.value().1);
                }
            }
            // It was just made.
            Err(TableError::TableDoesNotExist(_)) => return Ok(found),
            Err(error) => return Err(error.into()),
        }
        for row in transaction.open_table(HISTORY)?.iter()? {
            let (_, row) = row?;
            let (key, _, value) = row.value();
            value.into_iter().for_each(|value| found.add(key, value));
        }
        Ok(found)
    }
}

/// A database whose values are sealed with the newest key: this one, or a new one that took its place.
///
/// # Errors
/// If there is no key for what is sealed, or the new one cannot be written.
pub(super) fn renewed(
    database: Database,
    path: &Path,
    source: &KeySource,
) -> Result<(Database, Keyring), StoreError> {
    load::check_format(&database)?;
    // To look at every value is a good part of a start.
    if let Some(keys) = source.existing()?
        && load::sealed_with(&database).as_deref() == Some(keys.newest().id())
    {
        return Ok((database, keys));
    }
    let found = Found::read(&database)?;
    let any = found.keys.iter().next().map(String::as_str);
    let keys = keys_for(source, any)?.map_err(|source| {
        let what = "what is sealed in the store".to_owned();
        StoreError::Sealed { what, source }
    })?;
    let newest = keys.newest().id();
    let current = !found.plain && found.keys.iter().all(|id| id == newest);
    if current {
        return Ok((database, keys));
    }
    let new = path.with_extension("sealing");
    load::remove_left(&new)?;
    load::prepare(&new)?;
    let copy = Database::create(&new).map_err(|source| StoreError::open(&new, source.into()))?;
    let transaction = load::begin(&copy)?;
    rewrite(&database, &transaction, &keys)?;
    transaction.commit().map_err(redb::Error::from)?;
    // It is locked from now on, as the old one is until this returns: nobody gets in between.
    fs::rename(&new, path)
        .and_then(|()| load::sync_directory(path))
        .map_err(|source| StoreError::Prepare {
            path: path.to_owned(),
            source,
        })?;
    tracing::info!(key = newest, "the secrets in the store are sealed anew");
    Ok((copy, keys))
}

/// Copies all that there is, and seals what is to be sealed.
fn rewrite(from: &Database, to: &WriteTransaction, keys: &Keyring) -> Result<(), StoreError> {
    let reading = from.begin_read().map_err(redb::Error::from)?;
    let again = |key: &str, value: &[u8]| -> Result<Value, StoreError> {
        // One that is not of this release's kinds is left to whoever reads it.
        let Ok(key) = key.parse::<Key>() else {
            return Ok(Value::from(value));
        };
        let renewed = open(keys, &key, value).and_then(|plain| seal(keys, &key, &plain));
        renewed.map_err(|source| StoreError::sealed(&key, source))
    };
    copy(&reading, to, RECORDS, |key, (revision, value), table| {
        let value = again(key, value)?;
        table
            .insert(key, (revision, &*value))
            .map_err(redb::Error::from)?;
        Ok(())
    })?;
    copy(
        &reading,
        to,
        HISTORY,
        |place, (key, created, value), table| {
            let value = value.map(|value| again(key, value)).transpose()?;
            let row = (key, created, value.as_deref());
            table.insert(place, row).map_err(redb::Error::from)?;
            Ok(())
        },
    )?;
    copy(&reading, to, EVENTS, |sequence, event, table| {
        table.insert(sequence, event).map_err(redb::Error::from)?;
        Ok(())
    })?;
    copy(&reading, to, META, |name, text, table| {
        table.insert(name, text).map_err(redb::Error::from)?;
        Ok(())
    })
}

/// Copies one table, row by row.
fn copy<K: redb::Key + 'static, V: redb::Value + 'static>(
    from: &redb::ReadTransaction,
    to: &WriteTransaction,
    name: TableDefinition<'_, K, V>,
    mut put: impl FnMut(
        K::SelfType<'_>,
        V::SelfType<'_>,
        &mut redb::Table<'_, K, V>,
    ) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let table = from.open_table(name).map_err(redb::Error::from)?;
    let mut copy = to.open_table(name).map_err(redb::Error::from)?;
    for row in table.iter().map_err(redb::Error::from)? {
        let (key, value) = row.map_err(redb::Error::from)?;
        put(key.value(), value.value(), &mut copy)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

//! Copies of the store: read from a running one, and made into a new one.
//!
//! A restored store is told from the one that the backup was made of: it is marked, and nothing is
//! started or moved by it until an operator accepts it, because what was decided since the backup
//! is known to the agents alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use berth_core::{
    ids::{IdError, Revision},
    store::{
        Key, Value,
        backup::{Backup, BackupError, Header, Writer},
    },
    time::Timestamp,
};
use redb::Database;
use thiserror::Error;

use super::{RecordError, SealError, Store, StoreError, load, record, sealing};
use crate::{
    secrets::{KeyError, KeySource, Keyring},
    state::{keys::history_key, records::HistoryRecord},
};

/// Bytes of one chunk.
const CHUNK: usize = 256 << 10;

/// Why a store is not restored. What was there is there still.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The backup cannot be read.
    #[error("cannot read {path}; check that it is there and that you may read it")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no backup that can be used.
    #[error("{path} is not restored")]
    Backup {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: BackupError,
    },
    /// There is a store already.
    #[error(
        "there is a store already: {path}; to put it aside and restore the backup in its place, \
         add --replace"
    )]
    There {
        /// The store.
        path: PathBuf,
    },
    /// The backup is of another cluster than the store.
    #[error(
        "the backup is of cluster {backup}, the store {path} of cluster {store}; give a backup of \
         this cluster, or move the store away if it is the wrong one"
    )]
    OtherCluster {
        /// The store.
        path: PathBuf,
        /// The cluster of the store.
        store: String,
        /// The cluster of the backup.
        backup: String,
    },
    /// The keys for secrets cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Nobody could open its secrets.
    #[error("{what} cannot be opened; nothing was changed")]
    Sealed {
        /// What of it.
        what: String,
        /// Why not.
        #[source]
        source: SealError,
    },
    /// A record of the backup is not one.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The new store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The new store cannot be put in its place.
    #[error(
        "cannot put the restored store in the place of {path}{}; check its directory",
        also(aside.as_deref())
    )]
    Place {
        /// The store.
        path: PathBuf,
        /// The second name that the store that was there has by now.
        aside: Option<PathBuf>,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn also(aside: Option<&Path>) -> String {
    let told = |aside: &Path| format!(" (what was there is also {})", aside.display());
    aside.map(told).unwrap_or_default()
}

impl From<IdError> for RestoreError {
    fn from(error: IdError) -> Self {
        Self::Record(error.into())
    }
}

/// The bytes of a backup of everything that is stored now, in pieces. Writers are held up for no
/// longer than it takes to note which records there are.
///
/// # Errors
/// If the header cannot be written.
pub fn chunks(
    store: &Store,
    now: Timestamp,
) -> Result<impl Iterator<Item = Vec<u8>> + use<>, StoreError> {
    let (records, revision) = {
        let model = store.read();
        let records = model.records();
        let records: Vec<(Key, Revision, Value)> = records
            .map(|(key, entry)| (key.clone(), entry.revision, entry.value.clone()))
            .collect();
        (records, model.revision())
    };
    let entered = &store.entered;
    let header = Header {
        cluster: entered.cluster.clone(),
        history: entered.history.clone(),
        opened: entered.term,
        revision,
        made: now,
        records: records.len(),
        sealed_with: Some(store.keys.newest().id().to_owned()),
    };
    let mut writer = Writer::default();
    let begin = writer.begin(&header).map_err(|why| StoreError::Corrupt {
        table: "meta",
        key: "header".to_owned(),
        why: why.to_string(),
    })?;
    let mut rest = records.into_iter();
    let keys = Arc::clone(&store.keys);
    let mut writer = Some(writer);
    let mut piece = begin;
    Ok(std::iter::from_fn(move || {
        let lines = writer.as_mut()?;
        while piece.len() < CHUNK {
            match rest.next() {
                // One that cannot be written leaves the backup with one record too few, which
                // whoever reads it notices.
                Some((key, revision, value)) => {
                    let line = sealing::seal(&keys, &key, &value).ok();
                    let line = line.and_then(|kept| lines.record(&key, revision, &kept).ok());
                    piece.extend(line.unwrap_or_default());
                }
                None => {
                    piece.extend(writer.take().map(Writer::end).unwrap_or_default());
                    break;
                }
            }
        }
        Some(std::mem::take(&mut piece))
    }))
}

/// Reads a backup.
///
/// # Errors
/// If it cannot be read, or is not whole.
pub fn read(path: &Path) -> Result<Backup, RestoreError> {
    let bytes = fs::read(path).map_err(|source| RestoreError::Read {
        path: path.to_owned(),
        source,
    })?;
    berth_core::store::backup::read(&bytes).map_err(|source| RestoreError::Backup {
        path: path.to_owned(),
        source,
    })
}

/// Makes a store of a backup. With `replace` a store that is there is put aside; the name that it
/// has then comes back.
///
/// # Errors
/// Why nothing was restored.
pub fn restore(
    backup: &Backup,
    path: &Path,
    keys: &KeySource,
    replace: bool,
    now: Timestamp,
) -> Result<Option<PathBuf>, RestoreError> {
    let place = |source| RestoreError::Place {
        path: path.to_owned(),
        aside: None,
        source,
    };
    let there = path.try_exists().map_err(place)?;
    if there {
        fits(backup, path)?;
        if !replace {
            let path = path.to_owned();
            return Err(RestoreError::There { path });
        }
    }
    let (records, keys) = opened(backup, keys)?;
    let new = path.with_extension("restored");
    load::remove_left(&new)?;
    write(&backup.header, records, &keys, &new, now)?;
    let aside = there.then(|| path.with_extension(format!("replaced-{}", now.0)));
    put_in_place(&new, path, aside.as_deref())?;
    Ok(aside)
}

/// Puts a new store in the place of one that may be there, which gets a second name first: at every
/// moment there is a store, the one or the other.
fn put_in_place(new: &Path, path: &Path, aside: Option<&Path>) -> Result<(), RestoreError> {
    let failed = |aside: Option<&Path>| {
        let (path, aside) = (path.to_owned(), aside.map(Path::to_owned));
        move |source| RestoreError::Place {
            path,
            aside,
            source,
        }
    };
    let synced = || load::sync_directory(path);
    if let Some(aside) = aside {
        fs::hard_link(path, aside).map_err(failed(None))?;
        synced().map_err(failed(Some(aside)))?;
    }
    let placed = fs::rename(new, path).and_then(|()| synced());
    placed.map_err(failed(aside))
}

/// Whether a store that is there may be one of the backup's cluster, and nobody uses it. One that
/// cannot be read any more says nothing against it.
fn fits(backup: &Backup, path: &Path) -> Result<(), RestoreError> {
    let wrap = |source: redb::DatabaseError| StoreError::open(path, source.into());
    let database = match Database::open(path) {
        Ok(database) => database,
        Err(error @ redb::DatabaseError::DatabaseAlreadyOpen) => return Err(wrap(error).into()),
        Err(_) => return Ok(()),
    };
    match load::cluster(&database) {
        Some(cluster) if cluster != backup.header.cluster => Err(RestoreError::OtherCluster {
            path: path.to_owned(),
            store: cluster,
            backup: backup.header.cluster.clone(),
        }),
        Some(_) | None => Ok(()),
    }
}

type Record = (Key, Revision, Value);

/// The records with their secrets opened, and the keys that open them all.
fn opened(backup: &Backup, source: &KeySource) -> Result<(Vec<Record>, Keyring), RestoreError> {
    let sealed = backup.records.iter();
    let mut sealed = sealed.filter_map(|(_, _, kept)| sealing::key_of(kept));
    let keys = sealing::keys_for(source, sealed.next())?.map_err(|source| {
        let what = "what is sealed in the backup".to_owned();
        RestoreError::Sealed { what, source }
    })?;
    let open = |(key, revision, kept): &Record| {
        let (key, revision) = (key.clone(), *revision);
        match sealing::open(&keys, &key, kept) {
            Ok(value) => Ok((key, revision, value)),
            Err(source) => {
                let what = format!("record '{key}' of the backup");
                Err(RestoreError::Sealed { what, source })
            }
        }
    };
    let records: Result<_, RestoreError> = backup.records.iter().map(open).collect();
    Ok((records?, keys))
}

fn write(
    header: &Header,
    mut records: Vec<Record>,
    keys: &Keyring,
    path: &Path,
    now: Timestamp,
) -> Result<(), RestoreError> {
    records.push(marked(header, &records, now)?);
    load::prepare(path)?;
    let database = Database::create(path);
    let database = database.map_err(|source| StoreError::open(path, source.into()))?;
    Ok(load::fill(&database, header, &records, keys)?)
}

/// The record of the history with the mark that it was restored. It comes after the one of the
/// backup, and takes its place.
fn marked(header: &Header, records: &[Record], now: Timestamp) -> Result<Record, RestoreError> {
    let key = history_key()?;
    let known = records.iter().find(|(known, ..)| *known == key);
    let mut history: HistoryRecord = match known {
        Some((_, _, value)) => record::decode(value)?,
        None => HistoryRecord::default(),
    };
    history.past.restored = Some(now);
    let value = record::encode(&history)?;
    Ok((key, header.revision, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_store_at_every_moment() {
        let directory = tempfile::tempdir().unwrap();
        let [path, new, aside] = ["store", "new", "aside"].map(|name| directory.path().join(name));
        fs::write(&path, "old").unwrap();
        // The last step fails: there is nothing to put in its place.
        let error = put_in_place(&new, &path, Some(&aside)).unwrap_err();
        let told = format!("(what was there is also {})", aside.display());
        assert!(error.to_string().contains(&told), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::write(&new, "new").unwrap();
        // A name that is taken is not taken over.
        let error = put_in_place(&new, &path, Some(&aside)).unwrap_err();
        assert!(!error.to_string().contains("what was there"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::remove_file(&aside).unwrap();
        put_in_place(&new, &path, Some(&aside)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read(&aside).unwrap(), b"old");
    }
}

//! The last accepted zone on disk, so that names resolve after a restart of the agent or the host
//! while no coordinator is there (promises I5 and I9).
//!
//! Durable here, because it cannot be derived without the coordinator: one file, `zone.json`, the
//! zone with its hash. It is replaced whole (write beside it, fsync, rename, fsync the directory),
//! so that a crash leaves the old one or the new one. It is written before the zone is
//! acknowledged: the coordinator counts on an acknowledged zone not to come back older.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use berth_core::{ids::ContentHash, zone::Zone};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why the zone could not be written.
#[derive(Debug, Error)]
#[error("cannot keep the zone in {}; free space, or correct its permissions", path.display())]
pub struct PersistError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Why a kept zone is not used.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is not a zone.
    #[error("{} is not a zone", path.display())]
    Form {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// Its content is not what was written.
    #[error("{} does not have the content that was written", path.display())]
    Hash { path: PathBuf },
}

#[derive(Serialize)]
struct Kept<'a> {
    hash: &'a ContentHash,
    zone: &'a Zone,
}

#[derive(Deserialize)]
struct Read {
    hash: ContentHash,
    zone: Zone,
}

fn file(dir: &Path) -> PathBuf {
    dir.join("zone.json")
}

/// Replaces the kept zone. Blocks until the disk has it.
pub(super) fn save(dir: &Path, zone: &Zone, hash: &ContentHash) -> Result<(), PersistError> {
    let path = file(dir);
    let write = || -> io::Result<()> {
        fs::create_dir_all(dir)?;
        let beside = path.with_extension("json.new");
        let mut new = BufWriter::new(File::create(&beside)?);
        serde_json::to_writer(&mut new, &Kept { hash, zone })?;
        new.flush()?;
        new.get_ref().sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|source| PersistError { path, source })
}

/// The kept zone and its hash; `None` if there never was one.
pub(super) fn load(dir: &Path) -> Result<Option<(Zone, ContentHash)>, LoadError> {
    let path = file(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(LoadError::Read { path, source }),
    };
    let Read { hash, zone } = match serde_json::from_slice(&bytes) {
        Ok(read) => read,
        Err(source) => return Err(LoadError::Form { path, source }),
    };
    if zone.hash() != hash {
        return Err(LoadError::Hash { path });
    }
    Ok(Some((zone, hash)))
}

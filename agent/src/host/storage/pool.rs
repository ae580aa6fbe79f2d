//! Pools: a directory of the host with a marker in it, so that the empty directory under a disk
//! that is not mounted is never taken for a pool. The marker is made when a pool is first used, and
//! remembered by the agent from then on.

use std::path::PathBuf;

use berth_core::{
    volume::{PoolInfo, PoolKind},
    waiting::Reason,
};
use rustix::fs::{Mode, OFlags, StatVfs, fstatvfs, ioctl_ficlone, openat};
use serde::{Deserialize, Serialize};

use super::{
    dir::{Dir, Refused, failed},
    quota::{Kernel, Quota as _},
};

/// The marker's file.
pub(crate) const MARKER: &str = ".berth-pool";

/// A pool of the agent's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Its directory. The agent makes none: an unmounted disk must not be taken for an empty pool.
    pub path: PathBuf,
    /// How it keeps volumes.
    pub kind: PoolKind,
}

/// A pool as a helper or a keeper is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolPlace {
    /// Its name in the agent's configuration.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// The id in its marker, if the agent knows it.
    pub id: Option<String>,
}

/// What a marker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    pool: String,
    id: String,
}

impl PoolPlace {
    fn not_mounted(&self) -> Reason {
        Reason::PoolNotMounted {
            pool: self.name.clone(),
            path: self.path.display().to_string(),
        }
    }

    /// Opens the pool if it is there: the directory, with the marker that is remembered.
    ///
    /// # Errors
    /// `PoolNotMounted`; a pool that is used for the first time has no marker, and is one here too.
    pub(crate) fn open(&self) -> Result<Dir, Refused> {
        let dir = Dir::open(&self.path).map_err(|_| self.not_mounted())?;
        match (self.marker(&dir)?, &self.id) {
            (Some(marker), Some(id)) if marker.pool == self.name && marker.id == *id => Ok(dir),
            (Some(_) | None, _) => Err(self.not_mounted().into()),
        }
    }

    /// Opens the pool, and marks it if it is used for the first time: `id` is known then.
    pub(crate) fn open_or_mark(&mut self, new_id: impl FnOnce() -> String) -> Result<Dir, Refused> {
        if self.id.is_none() {
            let dir = Dir::open(&self.path).map_err(|_| self.not_mounted())?;
            if self.marker(&dir)?.is_none() {
                let marker = Marker {
                    pool: self.name.clone(),
                    id: new_id(),
                };
                let text = serde_json::to_vec(&marker).unwrap_or_default();
                dir.publish(MARKER, &text)?;
            }
            // Of several first uses at once one was first.
            self.id = self.marker(&dir)?.map(|marker| marker.id);
        }
        self.open()
    }

    /// Opens the pool as it would be for its next use, and changes nothing: one that was never
    /// used has no marker, and one of this name that the agent does not know may be marked.
    fn open_as_it_is(&self) -> Result<Dir, Refused> {
        let dir = Dir::open(&self.path).map_err(|_| self.not_mounted())?;
        match (self.marker(&dir)?, &self.id) {
            (None, None) => Ok(dir),
            (Some(marker), None) if marker.pool == self.name => Ok(dir),
            (Some(_) | None, _) => self.open(),
        }
    }

    fn marker(&self, dir: &Dir) -> Result<Option<Marker>, Refused> {
        let text = dir.read(MARKER)?;
        // One that cannot be understood is another's.
        let foreign = |_| Refused::from(self.not_mounted());
        text.map(|text| serde_json::from_slice(&text).map_err(foreign))
            .transpose()
    }
}

/// What there is to say of a pool.
///
/// # Errors
/// It is not there, or not the one that was used before.
pub(crate) fn info(place: &PoolPlace, kind: PoolKind) -> Result<PoolInfo, Refused> {
    let dir = place.open_as_it_is()?;
    let space = fstatvfs(&dir).map_err(|e| failed("look at", &place.path, e))?;
    Ok(PoolInfo {
        kind,
        path: place.path.display().to_string(),
        capacity: bytes(&space, space.f_blocks),
        available: bytes(&space, space.f_bavail),
        limits: kind == PoolKind::Image || Kernel.is_enforced(&dir),
        clones: clones(&dir),
        missing: false,
        trouble: String::new(),
    })
}

/// Whether files of a pool can share blocks, found out with two files that have no names.
fn clones(dir: &Dir) -> bool {
    let file = || {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        openat(dir, ".", flags, Mode::RUSR | Mode::WUSR)
    };
    let shared = || -> rustix::io::Result<()> {
        let (from, to) = (file()?, file()?);
        rustix::io::write(&from, &[1; 4096])?;
        ioctl_ficlone(&to, &from)
    };
    // Whatever stands against it: then it is not done.
    shared().is_ok()
}

/// Blocks of a file system as bytes.
pub(crate) fn bytes(space: &StatVfs, blocks: u64) -> u64 {
    blocks.saturating_mul(space.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_known_by_its_marker() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let new = || PoolPlace {
            name: "fast".to_owned(),
            path: path.clone(),
            id: None,
        };
        let refused = |place: &mut PoolPlace| {
            let refused = place.open_or_mark(|| "x".to_owned()).unwrap_err().reason;
            assert!(
                matches!(refused, Reason::PoolNotMounted { .. }),
                "{refused}"
            );
        };
        let there = |place: &PoolPlace| {
            let info = info(place, PoolKind::Directory);
            info.is_ok_and(|info| !info.missing && info.capacity > 0)
        };
        refused(&mut new());
        assert!(!there(&new()));
        assert!(!path.exists(), "nothing is made");

        std::fs::create_dir(&path).unwrap();
        let mut place = new();
        assert!(there(&place), "it was never used");
        assert!(!path.join(MARKER).exists(), "to look marks nothing");
        place.open_or_mark(|| "one".to_owned()).unwrap();
        assert_eq!(place.id.as_deref(), Some("one"));
        place.open().unwrap();
        let mut again = new();
        again.open_or_mark(|| "two".to_owned()).unwrap();
        assert_eq!(again.id.as_deref(), Some("one"), "the first one stays");
        assert!(there(&place) && there(&new()));

        // Another disk, no disk, and a pool of another name.
        std::fs::rename(path.join(MARKER), dir.path().join("kept")).unwrap();
        refused(&mut place);
        assert!(!there(&place), "the directory under the disk");
        assert!(
            !path.join(MARKER).exists(),
            "a known pool is not marked again"
        );
        let other = r#"{"pool":"slow","id":"one"}"#;
        std::fs::write(path.join(MARKER), other).unwrap();
        refused(&mut place);
        refused(&mut new());
        assert!(!there(&place) && !there(&new()), "another pool's");
        std::fs::write(path.join(MARKER), "no marker").unwrap();
        refused(&mut new());
        assert!(!there(&new()));
    }
}

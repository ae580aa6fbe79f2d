//! Local volumes: one directory per claim in a pool, and the guards of promise I4. Nothing here
//! removes or empties anything, ever.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, chown},
    path::{Path, PathBuf},
};

use berth_core::{volume::VolumeSource, waiting::Reason};

use super::{
    PrepareVolume, PreparedVolume,
    owner::{self, OwnerRecord},
    path_failed, step_failed,
};
use crate::keeper::{DATA, DATA_SEEN, OWNER, spec::Identity};

/// Makes a volume ready for a start.
pub(super) fn prepare(
    pools: &BTreeMap<String, PathBuf>,
    request: &PrepareVolume,
    identity: &Identity,
) -> Result<PreparedVolume, Reason> {
    let volume = &request.volume;
    let VolumeSource::Local { pool, dir, .. } = &volume.source else {
        return Err(step_failed("prepare a volume", "it is not local"));
    };
    let pool_dir = pools
        .get(pool)
        .ok_or_else(|| Reason::PoolMissing { pool: pool.clone() })?;
    if !pool_dir.is_dir() {
        let error = "it is not there; mount its disk, or make the directory";
        return Err(path_failed(
            &format!("open pool {pool} at"),
            pool_dir,
            error,
        ));
    }
    let dir = pool_dir.join(dir);
    guard(&dir, request, identity)?;
    make_dir(&dir, None)?;
    make_dir(&dir.join(OWNER), None)?;
    make_dir(&dir.join(DATA), Some(identity))?;
    owner::sync_dir(&dir)?;
    owner::sync_dir(pool_dir)?;
    let record = OwnerRecord {
        history: request.history.clone(),
        claim: volume.claim.clone(),
        claim_uid: volume.claim_uid.clone(),
        epoch: request.epoch,
        user: request.owner.user.clone(),
        uid: identity.uid,
        gid: identity.gid,
    };
    owner::advance(&dir.join(OWNER), &record)?;
    Ok(PreparedVolume {
        name: volume.name.clone(),
        path: dir.join(DATA),
    })
}

/// Refuses what is missing, unexpectedly empty, or another's.
fn guard(dir: &Path, request: &PrepareVolume, identity: &Identity) -> Result<(), Reason> {
    let volume = request.volume.name.clone();
    let data = holds_anything(&dir.join(DATA))?;
    let Some(record) = owner::newest(&dir.join(OWNER))? else {
        return match (request.volume.filled, data || holds_others(dir)?) {
            (true, true) => Err(Reason::VolumeForeign {
                volume,
                owner: "nobody (it has no owner record)".to_owned(),
            }),
            (true, false) => Err(Reason::VolumeEmpty { volume }),
            (false, true) => Err(Reason::VolumeNotEmpty { volume }),
            (false, false) => Ok(()),
        };
    };
    if record.claim_uid != request.volume.claim_uid {
        let whose = if record.claim == request.volume.claim {
            "a deleted claim of the same name"
        } else {
            "another claim"
        };
        let (claim, uid) = (&record.claim, &record.claim_uid);
        let owner = format!("{whose}: {claim} with uid {uid}, in {}", dir.display());
        return Err(Reason::VolumeForeign { volume, owner });
    }
    if record.epoch > request.epoch {
        let owner = format!("epoch {} of claim {}", record.epoch, record.claim);
        return Err(Reason::VolumeForeign { volume, owner });
    }
    if !data && dir.join(OWNER).join(DATA_SEEN).exists() {
        return Err(Reason::VolumeEmpty { volume });
    }
    if request.volume.filled && !dir.join(DATA).is_dir() {
        return Err(Reason::VolumeEmpty { volume });
    }
    check_number(&record, request, identity)
}

/// The same user name with another number (a restored disk, another host) would read or write
/// nothing, or somebody else's files.
fn check_number(
    record: &OwnerRecord,
    request: &PrepareVolume,
    identity: &Identity,
) -> Result<(), Reason> {
    if record.user == request.owner.user && record.uid != identity.uid {
        return Err(step_failed(
            format!("check the owner of volume {}", request.volume.name),
            format!(
                "user '{}' is {} here and was {} when the volume was made; give it that number",
                record.user, identity.uid, record.uid
            ),
        ));
    }
    Ok(())
}

/// Whether a directory holds anything but what its file system put there; false if it is missing.
fn holds_anything(dir: &Path) -> Result<bool, Reason> {
    holds(dir, &["lost+found"])
}

/// Whether a volume's directory holds anything but what an interrupted first use leaves.
fn holds_others(dir: &Path) -> Result<bool, Reason> {
    holds(dir, &["lost+found", DATA, OWNER])
}

fn holds(dir: &Path, expected: &[&str]) -> Result<bool, Reason> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(path_failed("read", dir, error)),
    };
    for entry in entries {
        let name = entry.map_err(|e| path_failed("read", dir, e))?.file_name();
        if !expected.iter().any(|known| name == *known) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes a directory that is not there, closed to all but its owner.
fn make_dir(path: &Path, owner: Option<&Identity>) -> Result<(), Reason> {
    let failed = |e| path_failed("make", path, e);
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        // One left by an interrupted first use, still root's, gets its owner below.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && owner.is_none() => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if holds_anything(path)? {
                return Ok(());
            }
        }
        Err(error) => return Err(failed(error)),
    }
    owner.map_or(Ok(()), |identity| {
        chown(path, Some(identity.uid), Some(identity.gid)).map_err(failed)
    })
}

#[cfg(test)]
mod tests;

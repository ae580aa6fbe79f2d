//! A member's configuration directory: made for the user of its first process, and seeded from a
//! directory of the host with what is not there yet. The member's own files are written by its
//! keeper, before each start.
//!
//! What is copied is read as that user, by a helper: a manifest that names the directory of a key must
//! not get the key.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    time::Duration,
};

use berth_core::waiting::Reason;
use serde::{Deserialize, Serialize};

use super::{
    LinuxHost,
    helpers::{self, About},
    path_failed,
};
use crate::{
    host::storage::{helper::HelperRequest, prepare::as_user},
    keeper::{Beneath, spec::Identity},
};

/// How long it may take to seed a directory: it may be on a server that hangs.
const SEED: Duration = Duration::from_secs(60);

/// A directory that is to be seeded.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Seed {
    from: PathBuf,
    to: PathBuf,
    owner: Identity,
}

/// Makes the directory, and gives back how it is to be seeded, if at all.
pub(super) fn prepare(
    dir: &Path,
    seed: Option<&str>,
    owner: Option<&Identity>,
) -> Result<Option<Seed>, Reason> {
    let failed = |e| path_failed("make", dir, e);
    fs::create_dir_all(dir).map_err(failed)?;
    let Some(owner) = owner else { return Ok(None) };
    chown(dir, Some(owner.uid), Some(owner.gid)).map_err(failed)?;
    Ok(seed.map(|seed| Seed {
        from: seed.into(),
        to: dir.to_owned(),
        owner: owner.clone(),
    }))
}

/// Has a directory seeded.
///
/// # Errors
/// `StepFailed` with the path that its user may not read; `VolumeHung`.
pub(super) async fn seed(host: &LinuxHost, seed: Seed) -> Result<(), Reason> {
    let about = [About {
        volume: "configDir".to_owned(),
        source: seed.from.display().to_string(),
        step: "copy from it",
    }];
    let (inner, request) = (&host.inner, HelperRequest::Seed(seed));
    let program = &inner.config.keeper_program;
    helpers::ask(program, &inner.stuck, &about, &request, SEED).await?;
    Ok(())
}

/// What a helper does of it.
pub(crate) fn seed_here(seed: &Seed) -> Result<(), Reason> {
    let Seed { from, to, owner } = seed;
    let opened = Beneath::open(to, owner.uid, owner.gid);
    let opened = opened.map_err(|e| path_failed("open", to, std::io::Error::from(e)))?;
    as_user(owner, || copy(from, Path::new(""), &opened))?
}

/// Copies files and directories that are missing. Links are followed while reading: they are the
/// host's. What is neither file nor directory is left out.
fn copy(from: &Path, inside: &Path, to: &Beneath) -> Result<(), Reason> {
    let source = from.join(inside);
    let failed = |e: std::io::Error| path_failed("copy", &source, e);
    let entries = fs::read_dir(&source).map_err(failed)?;
    for entry in entries {
        let name: PathBuf = inside.join(entry.map_err(failed)?.file_name());
        let path = from.join(&name);
        let failed = |e: std::io::Error| path_failed("copy", &path, e);
        let about = fs::metadata(&path).map_err(failed)?;
        if about.is_dir() {
            to.make_dirs(&name).map_err(|e| failed(e.into()))?;
            copy(from, &name, to)?;
        } else if about.is_file() && !to.exists(&name).map_err(|e| failed(e.into()))? {
            let content = fs::read(&path).map_err(failed)?;
            to.write(&name, about.mode(), &content).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fills_in_what_is_missing_and_no_more() {
        let dirs = tempfile::tempdir().unwrap();
        let (seed, config) = (dirs.path().join("seed"), dirs.path().join("config"));
        fs::create_dir_all(seed.join("sub")).unwrap();
        fs::write(seed.join("jvm.options"), "-Xmx1g").unwrap();
        fs::write(seed.join("sub/users"), "elastic").unwrap();
        fs::write(seed.join("keystore"), "theirs").unwrap();
        fs::create_dir(&config).unwrap();
        fs::write(config.join("keystore"), "mine").unwrap();
        let me = Identity {
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
            groups: Vec::new(),
        };
        for _ in 0..2 {
            let seed = prepare(&config, seed.to_str(), Some(&me)).unwrap().unwrap();
            let to = Beneath::open(&seed.to, me.uid, me.gid).unwrap();
            copy(&seed.from, Path::new(""), &to).unwrap();
        }
        let read = |name: &str| fs::read_to_string(config.join(name)).unwrap();
        assert_eq!(read("jvm.options"), "-Xmx1g");
        assert_eq!(read("sub/users"), "elastic");
        assert_eq!(read("keystore"), "mine");
    }

    #[test]
    fn a_missing_seed_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let to = Beneath::open(dir.path(), 0, 0).unwrap();
        let error = copy(Path::new("/no/such/seed"), Path::new(""), &to).unwrap_err();
        assert!(error.to_string().contains("/no/such/seed"), "{error}");
    }
}

//! A member's configuration directory: made for the user of its first process, and seeded from a
//! directory of the host with what is not there yet. The member's own files are written by its
//! keeper, before each start.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
};

use berth_core::waiting::Reason;

use super::path_failed;
use crate::keeper::{Beneath, spec::Identity};

/// Makes the directory, and seeds it.
pub(super) fn prepare(
    dir: &Path,
    seed: Option<&str>,
    owner: Option<&Identity>,
) -> Result<(), Reason> {
    let failed = |e| path_failed("make", dir, e);
    fs::create_dir_all(dir).map_err(failed)?;
    let Some(owner) = owner else { return Ok(()) };
    chown(dir, Some(owner.uid), Some(owner.gid)).map_err(failed)?;
    if let Some(seed) = seed {
        let beneath = Beneath::open(dir, owner.uid, owner.gid).map_err(|e| failed(e.into()))?;
        copy(Path::new(seed), Path::new(""), &beneath)?;
    }
    Ok(())
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
            prepare(&config, Some(seed.to_str().unwrap()), Some(&me)).unwrap();
        }
        let read = |name: &str| fs::read_to_string(config.join(name)).unwrap();
        assert_eq!(read("jvm.options"), "-Xmx1g");
        assert_eq!(read("sub/users"), "elastic");
        assert_eq!(read("keystore"), "mine");
    }

    #[test]
    fn a_missing_seed_is_named() {
        let dirs = tempfile::tempdir().unwrap();
        let me = Identity {
            uid: nix::unistd::getuid().as_raw(),
            gid: nix::unistd::getgid().as_raw(),
            groups: Vec::new(),
        };
        let error = prepare(&dirs.path().join("c"), Some("/no/such/seed"), Some(&me)).unwrap_err();
        assert!(error.to_string().contains("/no/such/seed"), "{error}");
    }
}

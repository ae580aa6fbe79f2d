//! Reads the configuration, which is this host's last word ([`crate::host::linux::LocalPolicy`]): what
//! somebody else could have written is refused, as he would be root by it.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::{getegid, geteuid};
use thiserror::Error;

/// Why a configuration is not read.
#[derive(Debug, Error)]
pub enum TrustError {
    /// The system does not let.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Whose it is can change it.
    #[error("{path} belongs to user {owner}, who would be root by it; run: chown root {path}")]
    Foreign {
        /// The file, or its directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Others can change it.
    #[error(
        "{path} can be written by others (mode {mode:03o}), who would be root by it; run: chmod go-w {path}"
    )]
    Writable {
        /// The file, or its directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Who runs this program, and may have written its configuration.
#[derive(Debug, Clone, Copy)]
struct Own {
    user: u32,
    group: u32,
}

/// Reads a configuration; `None` if there is none.
///
/// # Errors
/// If it cannot be read, or others than root and the user that this program runs as can change it.
pub fn read(path: &Path) -> Result<Option<String>, TrustError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| TrustError::Read { path, source }
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path)(error)),
    };
    let own = Own {
        user: geteuid().as_raw(),
        group: getegid().as_raw(),
    };
    // Of the file that was opened, not of the name: that may be another by now.
    check(path, &file.metadata().map_err(failed(path))?, own)?;
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    // Who can replace it can change it, too.
    let metadata = directory.metadata().map_err(failed(directory))?;
    check(directory, &metadata, own)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed(path))?;
    Ok(Some(text))
}

fn check(path: &Path, metadata: &Metadata, own: Own) -> Result<(), TrustError> {
    let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode());
    let path = path.to_owned();
    if ![0, own.user].contains(&owner) {
        return Err(TrustError::Foreign { path, owner });
    }
    let by_group = mode & 0o020 != 0 && ![0, own.group].contains(&group);
    // Where names can be removed by their owners only, as in /tmp, nobody replaces it.
    let sticky = metadata.is_dir() && mode & 0o1000 != 0;
    if (by_group || mode & 0o002 != 0) && !sticky {
        let mode = mode & 0o777;
        return Err(TrustError::Writable { path, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_others_could_have_written_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.yaml");
        assert_eq!(read(&file).unwrap(), None);
        fs::write(&file, "host: a\n").unwrap();
        chmod(&file, 0o644);
        assert_eq!(read(&file).unwrap().as_deref(), Some("host: a\n"));
        chmod(&file, 0o646);
        let told = read(&file).unwrap_err().to_string();
        assert!(
            told.contains("agent.yaml can be written by others (mode 646)"),
            "{told}"
        );
        chmod(&file, 0o644);
        chmod(dir.path(), 0o777);
        let told = read(&file).unwrap_err().to_string();
        assert!(told.contains("run: chmod go-w"), "{told}");
        chmod(dir.path(), 0o1777);
        assert!(read(&file).is_ok());
    }

    #[test]
    fn a_group_that_is_not_ours_and_a_foreign_owner_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("agent.yaml");
        fs::write(&file, "").unwrap();
        let metadata = fs::metadata(&file).unwrap();
        let own = Own {
            user: metadata.uid(),
            group: metadata.gid(),
        };
        chmod(&file, 0o664);
        let metadata = fs::metadata(&file).unwrap();
        assert!(check(&file, &metadata, own).is_ok(), "a umask of 002");
        // As the super-user's tests see it, a file of root's is always fine.
        if own.user != 0 {
            let group = Own {
                group: own.group + 1,
                ..own
            };
            assert!(matches!(
                check(&file, &metadata, group),
                Err(TrustError::Writable { .. })
            ));
            let user = Own {
                user: own.user + 1,
                ..own
            };
            assert!(matches!(
                check(&file, &metadata, user),
                Err(TrustError::Foreign { .. })
            ));
        }
    }
}

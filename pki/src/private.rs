//! Files that nobody else may see. They are made with mode 0600 under a name that nobody could have
//! taken before, and one that others can read is refused: what was exposed is no secret any more.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::{fs::OFlags, process::geteuid};

use crate::PkiError;

/// What others may do with a file.
const OTHERS: u32 = 0o077;
/// A key is smaller.
const LARGEST: u64 = 64 << 10;

/// Makes a directory that only its owner can enter; one that is there stays as it is.
///
/// # Errors
/// If it cannot be made.
pub fn directory(path: &Path) -> Result<(), PkiError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(path);
    made.map_err(PkiError::file("create", path))
}

/// Reads a secret.
///
/// # Errors
/// If others can read it, it belongs to somebody else or is no file, or it cannot be read.
pub fn read(path: &Path) -> Result<String, PkiError> {
    String::from_utf8(read_bytes(path)?).map_err(|error| {
        let error = io::Error::new(io::ErrorKind::InvalidData, error.utf8_error());
        PkiError::file("read", path)(error)
    })
}

/// Reads a secret that is no text.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, PkiError> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            let path = path.to_owned();
            return Err(PkiError::NotAFile { path });
        }
        Err(error) => return Err(PkiError::file("read", path)(error)),
    };
    // Of the file that was opened, not of the name: that may be another by now.
    let metadata = file.metadata().map_err(PkiError::file("read", path))?;
    if !metadata.is_file() {
        let path = path.to_owned();
        return Err(PkiError::NotAFile { path });
    }
    let owner = metadata.uid();
    if owner != 0 && owner != geteuid().as_raw() {
        let path = path.to_owned();
        return Err(PkiError::Foreign { path, owner });
    }
    let mode = metadata.mode() & 0o777;
    if mode & OTHERS != 0 {
        let path = path.to_owned();
        return Err(PkiError::Exposed { path, mode });
    }
    let mut content = Vec::new();
    let read = file.take(LARGEST).read_to_end(&mut content);
    read.map_err(PkiError::file("read", path))?;
    Ok(content)
}

/// Writes a secret, all of it or nothing: whoever had the name before, or a link there, is replaced.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), PkiError> {
    replace(path, content.as_ref(), 0o600)
}

/// Writes what everybody may see, all of it or nothing.
///
/// # Errors
/// If it cannot be written.
pub fn write_public(path: &Path, text: &str) -> Result<(), PkiError> {
    replace(path, text.as_bytes(), 0o644)
}

fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), PkiError> {
    let part = path.with_added_extension(format!("{}.part", uuid::Uuid::now_v7()));
    let written = fill(&part, content, mode)
        .map_err(PkiError::file("write", &part))
        .and_then(|()| fs::rename(&part, path).map_err(PkiError::file("write", path)));
    if written.is_err() {
        // It may not be there at all.
        fs::remove_file(&part).ok();
    }
    written?;
    let directory = beside(path);
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(PkiError::file("sync", directory))
}

/// The directory that a file is in. A name alone is in the one that this process works in.
fn beside(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    }
}

fn fill(part: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // Exclusive: it follows no link, and takes no file that somebody else made.
    let mut file = options.write(true).create_new(true).mode(mode).open(part)?;
    // The mode was narrowed by the umask at most.
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_name_alone_is_in_the_directory_that_is_worked_in() {
        assert_eq!(beside(Path::new("ann.yaml")), Path::new("."));
        assert_eq!(beside(Path::new("/a/ann.yaml")), Path::new("/a"));
    }

    #[test]
    fn a_secret_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write(&path, "secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap(), "secret");
        for mode in [0o640, 0o604, 0o620, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("mode {mode:03o}")), "{error}");
            assert!(error.contains("key"), "{error}");
        }
        // What is written anew is closed, whatever was there.
        write(&path, "another").unwrap();
        assert_eq!(read(&path).unwrap(), "another");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_neither_read_nor_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("key"), dir.path().join("target"));
        fs::write(&target, "of somebody else").unwrap();
        symlink(&target, &path).unwrap();
        assert!(matches!(read(&path), Err(PkiError::NotAFile { .. })));
        write(&path, "secret").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "of somebody else");
        assert_eq!(read(&path).unwrap(), "secret");
        assert!(matches!(read(dir.path()), Err(PkiError::NotAFile { .. })));
    }
}

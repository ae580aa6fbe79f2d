//! What a directory holds, as one number: so that two hosts can tell that they hold the same.
//!
//! Everything that an application could notice counts: names, kinds, owners, modes, times of files,
//! targets of links, attributes, and every byte. What is not told apart is how blocks lie on the disk,
//! and sockets, which are nobody's once their process is gone.

use std::{fs::File, io::Read, os::unix::ffi::OsStrExt, path::Path};

use berth_core::volume::transfer::Weight;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, lgetxattr, llistxattr, openat, readlinkat, statat,
};
use sha2::{Digest as _, Sha256};

use super::dir::{Dir, Refused, failed, os};

/// What is read of a file at once.
const PIECE: usize = 1 << 20;
/// The longest value of an attribute that the kernel keeps.
const ATTRIBUTE: usize = 64 << 10;

/// Weighs a directory with all that is in it. Nobody may write to it meanwhile.
pub(super) fn weigh(root: &Dir) -> Result<Weight, Refused> {
    let mut scale = Scale {
        hasher: Sha256::new(),
        weight: Weight::default(),
        piece: vec![0; PIECE],
    };
    scale.about(b".", &root.stat()?);
    scale.attributes(root, ".")?;
    scale.directory(root)?;
    let digest = scale.hasher.finalize();
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Weight {
        digest,
        ..scale.weight
    })
}

struct Scale {
    hasher: Sha256,
    weight: Weight,
    piece: Vec<u8>,
}

impl Scale {
    /// Each part with its length, so that no two different lists of parts look alike.
    fn part(&mut self, part: &[u8]) {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        self.hasher.update(length.to_be_bytes());
        self.hasher.update(part);
    }

    fn number(&mut self, number: u64) {
        self.hasher.update(number.to_be_bytes());
    }

    fn about(&mut self, name: &[u8], about: &Stat) {
        self.weight.entries += 1;
        self.part(name);
        for number in [about.st_mode, about.st_uid, about.st_gid] {
            self.number(number.into());
        }
        self.number(about.st_rdev);
        self.part(&about.st_mtime.to_be_bytes());
        self.part(&about.st_mtime_nsec.to_be_bytes());
    }

    fn directory(&mut self, dir: &Dir) -> Result<(), Refused> {
        let mut names = dir.raw_names()?;
        names.sort();
        for name in &names {
            let path = Path::new(name);
            let at = dir.path().join(path);
            let wrong = |step: &'static str| {
                let at = at.clone();
                move |error| failed(step, &at, error)
            };
            let about = statat(dir, path, AtFlags::SYMLINK_NOFOLLOW).map_err(wrong("look at"))?;
            let kind = FileType::from_raw_mode(about.st_mode);
            if kind == FileType::Socket {
                continue;
            }
            self.about(name.as_bytes(), &about);
            self.attributes(dir, path)?;
            match kind {
                FileType::Directory => {
                    let sub = dir.raw_sub(path)?;
                    self.directory(&sub)?;
                    // Its end: what follows is beside it, not in it.
                    self.number(0);
                }
                FileType::RegularFile => self.file(dir, path)?,
                FileType::Symlink => {
                    let target = readlinkat(dir, path, Vec::new()).map_err(wrong("read"))?;
                    self.part(target.as_bytes());
                }
                FileType::Fifo
                | FileType::Socket
                | FileType::CharacterDevice
                | FileType::BlockDevice
                | FileType::Unknown => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: &Dir, name: &Path) -> Result<(), Refused> {
        let path = dir.path().join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(dir, name, flags, Mode::empty());
        let mut file = File::from(file.map_err(|e| failed("open", &path, e))?);
        let mut bytes = 0_u64;
        loop {
            let read = file.read(&mut self.piece);
            let read = read.map_err(|e| failed("read", &path, os(&e)))?;
            let Some(piece) = self.piece.get(..read).filter(|piece| !piece.is_empty()) else {
                break;
            };
            self.hasher.update(piece);
            bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        }
        self.number(bytes);
        self.weight.bytes = self.weight.bytes.saturating_add(bytes);
        Ok(())
    }

    /// Its attributes, access lists among them, sorted.
    fn attributes(&mut self, dir: &Dir, name: impl AsRef<Path>) -> Result<(), Refused> {
        // By way of the directory that is held open; the last component is not followed.
        let path = dir.shown().join(name.as_ref());
        let shown = dir.path().join(name.as_ref());
        let mut names = vec![0; ATTRIBUTE];
        let length = match llistxattr(&path, &mut names[..]) {
            Ok(length) => length,
            // A file system without any.
            Err(rustix::io::Errno::OPNOTSUPP) => return Ok(()),
            Err(error) => return Err(failed("list the attributes of", &shown, error)),
        };
        let names = names.get(..length).unwrap_or_default();
        let mut names: Vec<&[u8]> = names.split(|byte| *byte == 0).collect();
        names.retain(|name| !name.is_empty() && *name != b"security.selinux");
        names.sort_unstable();
        for name in names {
            let mut value = vec![0; ATTRIBUTE];
            let text = std::ffi::OsStr::from_bytes(name);
            let length = lgetxattr(&path, text, &mut value[..]);
            let length = length.map_err(|e| failed("read an attribute of", &shown, e))?;
            self.part(name);
            self.part(value.get(..length).unwrap_or_default());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/file"), "hello").unwrap();
        fs::write(dir.path().join("empty"), "").unwrap();
        symlink("sub/file", dir.path().join("link")).unwrap();
        let same = std::time::SystemTime::UNIX_EPOCH;
        for name in ["sub/file", "empty", "sub", "."] {
            let file = File::open(dir.path().join(name)).unwrap();
            file.set_modified(same).unwrap();
        }
        dir
    }

    fn weight(dir: &Path) -> Weight {
        weigh(&Dir::open(dir).unwrap()).unwrap()
    }

    #[test]
    fn whatever_differs_is_told_apart() {
        let dir = tree();
        let path = dir.path();
        let first = weight(path);
        assert_eq!((first.entries, first.bytes), (5, 5));
        assert_eq!(weight(path), first, "looking changes nothing");
        let mut seen = vec![first.digest];
        let mut differs = |what: &str| {
            let now = weight(path).digest;
            assert!(!seen.contains(&now), "{what}");
            seen.push(now);
        };
        let same = fs::metadata(path.join("empty"))
            .unwrap()
            .modified()
            .unwrap();
        fs::write(path.join("sub/file"), "hellO").unwrap();
        File::open(path.join("sub/file"))
            .unwrap()
            .set_modified(same)
            .unwrap();
        differs("one byte");
        fs::set_permissions(path.join("empty"), fs::Permissions::from_mode(0o600)).unwrap();
        differs("a mode");
        fs::remove_file(path.join("link")).unwrap();
        symlink("sub/none", path.join("link")).unwrap();
        differs("the target of a link");
        fs::rename(path.join("empty"), path.join("sub/empty")).unwrap();
        differs("a place");
        let later = same + std::time::Duration::from_nanos(1_000);
        File::open(path.join("sub/file"))
            .unwrap()
            .set_modified(later)
            .unwrap();
        differs("a time");
    }

    #[test]
    fn a_socket_that_nobody_listens_on_weighs_nothing() {
        let dir = tree();
        let before = weight(dir.path());
        let socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        drop(socket);
        let file = File::open(dir.path()).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(weight(dir.path()), before);
    }
}

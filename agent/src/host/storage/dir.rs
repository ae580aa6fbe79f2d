//! A directory held open, and what is directly in it. Every name is one plain component and no
//! symbolic link is followed: who may write to an NFS share, or to a volume, cannot lead root away.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use berth_core::waiting::Reason;
use rustix::{
    fs::{
        AtFlags, CWD, Dir as Entries, Gid, Mode, OFlags, RenameFlags, Stat, Uid, fchown, fstat,
        fsync, linkat, mkdirat, openat, renameat, renameat_with, statat, unlinkat,
    },
    io::Errno,
};
use uuid::Uuid;

use crate::{host::path_failed, keeper::spec::Identity};

/// Why something is not done, and whether another user might be allowed to.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) reason: Reason,
    pub(crate) denied: bool,
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            denied: false,
        }
    }
}

/// A directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// For messages.
    path: PathBuf,
}

const READ: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a directory that the host's administrator named: links are followed.
    pub(crate) fn open(path: &Path) -> rustix::io::Result<Self> {
        Ok(Self {
            fd: openat(CWD, path, READ, Mode::empty())?,
            path: path.to_owned(),
        })
    }

    /// The root of a mount that is attached nowhere.
    pub(crate) fn of_mount(mount: &OwnedFd, path: &Path) -> Result<Self, Refused> {
        let fd = openat(mount, ".", READ, Mode::empty());
        let fd = fd.map_err(|e| failed("open", path, e))?;
        Ok(Self {
            fd,
            path: path.to_owned(),
        })
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, step: &str, name: &str, error: Errno) -> Refused {
        failed(step, &self.path.join(name), error)
    }

    /// Opens a directory in it; `None` if there is none.
    pub(crate) fn sub(&self, name: &str) -> Result<Option<Self>, Refused> {
        match openat(&self.fd, name, READ | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Some(Self {
                fd,
                path: self.path.join(name),
            })),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed("open", name, error)),
        }
    }

    /// Makes a directory that is not there, and opens it.
    pub(crate) fn make(&self, name: &str, mode: u32) -> Result<Self, Refused> {
        match mkdirat(&self.fd, name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(self.failed("make", name, error)),
        }
        let gone = || self.failed("open", name, Errno::NOENT);
        self.sub(name)?.ok_or_else(gone)
    }

    /// Gives it to a user, if it is not theirs.
    pub(crate) fn give(&self, to: &Identity) -> Result<(), Refused> {
        let about = self.stat()?;
        if (about.st_uid, about.st_gid) == (to.uid, to.gid) {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(to.uid), Gid::from_raw(to.gid));
        fchown(&self.fd, Some(uid), Some(gid))
            .map_err(|e| failed("change the owner of", &self.path, e))
    }

    /// What it is.
    pub(crate) fn stat(&self) -> Result<Stat, Refused> {
        fstat(&self.fd).map_err(|e| failed("look at", &self.path, e))
    }

    /// Whether something of this name is in it.
    pub(crate) fn has(&self, name: &str) -> Result<bool, Refused> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(self.failed("look at", name, error)),
        }
    }

    /// The names in it.
    pub(crate) fn names(&self) -> Result<Vec<String>, Refused> {
        let failed = |e| failed("read", &self.path, e);
        let mut names = Vec::new();
        for entry in Entries::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.push(name.to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    /// The names in it, whatever bytes they are of.
    pub(crate) fn raw_names(&self) -> Result<Vec<OsString>, Refused> {
        let failed = |e| failed("read", &self.path, e);
        let mut names = Vec::new();
        for entry in Entries::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// Opens a directory in it, whatever bytes its name is of.
    pub(crate) fn raw_sub(&self, name: &Path) -> Result<Self, Refused> {
        let path = self.path.join(name);
        let fd = openat(&self.fd, name, READ | OFlags::NOFOLLOW, Mode::empty());
        let fd = fd.map_err(|e| failed("open", &path, e))?;
        Ok(Self { fd, path })
    }

    /// A path that leads to this very directory, for programs that this process starts.
    pub(crate) fn shown(&self) -> PathBuf {
        let (pid, fd) = (std::process::id(), self.fd.as_raw_fd());
        PathBuf::from(format!("/proc/{pid}/fd/{fd}"))
    }

    /// Whether it holds anything but these names. It stops at the first: a million files take no
    /// longer than one.
    pub(crate) fn holds_more_than(&self, expected: &[&str]) -> Result<bool, Refused> {
        let failed = |e| failed("read", &self.path, e);
        for entry in Entries::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            let known = |expected: &&str| expected.as_bytes() == name;
            if name != b"." && name != b".." && !expected.iter().any(known) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A file in it, to be read and written.
    pub(crate) fn file(&self, name: &str) -> Result<Option<File>, Refused> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed("open", name, error)),
        }
    }

    /// Makes a file that is not there.
    pub(crate) fn make_file(&self, name: &str) -> Result<File, Refused> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR);
        Ok(made.map_err(|e| self.failed("make", name, e))?.into())
    }

    /// The text of a file; `None` if there is none.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Refused> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.failed("read", name, error)),
        };
        let mut text = Vec::new();
        // More than this is none of ours.
        let read = file.take(1 << 20).read_to_end(&mut text);
        read.map_err(|e| self.failed("read", name, os(&e)))?;
        Ok(Some(text))
    }

    /// Makes a file with this text, durable and whole, unless one is there: that one is kept.
    /// Written aside and linked into place. The name aside is nobody else's: of several that publish at
    /// once none may link what another is still writing. One that is killed leaves its own behind.
    pub(crate) fn publish(&self, name: &str, text: &[u8]) -> Result<(), Refused> {
        let aside = format!(".{name}.{}.new", Uuid::now_v7());
        let mut file = self.make_file(&aside)?;
        let written = file.write_all(text).and_then(|()| file.sync_all());
        written.map_err(|e| self.failed("write", &aside, os(&e)))?;
        match linkat(&self.fd, &aside, &self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(self.failed("write", name, error)),
        }
        self.remove(&aside)?;
        self.sync()
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Refused> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("remove", name, error)),
        }
    }

    /// Removes a directory that is empty.
    pub(crate) fn remove_dir(&self, name: &str) -> Result<(), Refused> {
        unlinkat(&self.fd, name, AtFlags::REMOVEDIR).map_err(|e| self.failed("remove", name, e))
    }

    /// Renames something within it, and makes that durable.
    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), Refused> {
        renameat(&self.fd, from, &self.fd, to).map_err(|e| self.failed("rename to", to, e))?;
        self.sync()
    }

    /// Renames an entry to a name that nothing has. Not every server of NFS can do that.
    pub(crate) fn rename_new(&self, from: &str, to: &str) -> Result<(), Refused> {
        renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE)
            .map_err(|e| self.failed("rename to", to, e))?;
        self.sync()
    }

    /// Makes its entries durable.
    pub(crate) fn sync(&self) -> Result<(), Refused> {
        fsync(&self.fd).map_err(|e| failed("sync", &self.path, e))
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What a failed step at a path is called.
pub(crate) fn failed(step: &str, path: &Path, error: Errno) -> Refused {
    let what = std::io::Error::from(error);
    Refused {
        reason: path_failed(step, path, what),
        denied: matches!(error, Errno::ACCESS | Errno::PERM),
    }
}

/// A step that another user might be allowed to do.
pub(crate) fn denied(step: &str, path: &Path) -> Refused {
    failed(step, path, Errno::ACCESS)
}

/// The kernel's number of an error.
pub(crate) fn os(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_over_a_link() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        for (name, to) in [("dir", "/"), ("file", "/etc/passwd"), ("gone", "nowhere")] {
            std::os::unix::fs::symlink(to, inner.join(name)).unwrap();
        }
        let dir = Dir::open(&inner).unwrap();
        assert!(dir.sub("dir").is_err() && dir.make("dir", 0o700).is_err());
        assert!(dir.read("file").is_err() && dir.file("file").is_err());
        assert!(dir.make_file("gone").is_err() && dir.has("gone").unwrap());
    }

    #[test]
    fn a_directory_holds_more_than_what_is_expected_or_not() {
        let outer = tempfile::tempdir().unwrap();
        let dir = Dir::open(outer.path()).unwrap();
        let more = || dir.holds_more_than(&["lost+found", "data"]).unwrap();
        assert!(!more(), "nothing");
        for name in ["lost+found", "data"] {
            std::fs::create_dir(outer.path().join(name)).unwrap();
            assert!(!more(), "{name} is expected");
        }
        assert!(dir.holds_more_than(&["lost+found"]).unwrap());
        for name in [".hidden", "data2", "Data"] {
            let path = outer.path().join(name);
            std::fs::write(&path, "").unwrap();
            assert!(more(), "{name} is not");
            std::fs::remove_file(&path).unwrap();
            assert!(!more(), "each look is from the beginning");
        }
    }

    #[test]
    fn what_is_published_is_whole_and_the_first_stays() {
        let outer = tempfile::tempdir().unwrap();
        let dir = Dir::open(outer.path()).unwrap();
        dir.publish("x", b"one").unwrap();
        dir.publish("x", b"two").unwrap();
        assert_eq!(dir.read("x").unwrap().unwrap(), b"one");
        assert_eq!(dir.names().unwrap(), ["x"]);
        assert!(dir.read("y").unwrap().is_none());
    }

    #[test]
    fn of_several_that_publish_at_once_one_is_first_and_none_fails() {
        let outer = tempfile::tempdir().unwrap();
        let dir = Dir::open(outer.path()).unwrap();
        let texts: Vec<Vec<u8>> = (b'a'..b'i').map(|byte| vec![byte; 4096]).collect();
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| dir.publish("x", text).unwrap());
            }
        });
        let found = dir.read("x").unwrap().unwrap();
        assert!(texts.contains(&found), "it is one of them, whole");
        assert_eq!(dir.names().unwrap(), ["x"]);
    }
}

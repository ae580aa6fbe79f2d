//! Files beneath a directory that a member's user may write to, made by root: no path is followed
//! out of the directory, and no symbolic link at all, so that a member cannot make its keeper or
//! agent write elsewhere.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Write,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Component, Path},
};

use rustix::{
    fs::{
        AtFlags, CWD, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, fchmod, fchown, fstat,
        mkdirat, openat, openat2, readlinkat, renameat, statat, symlinkat, unlinkat,
    },
    io::{Errno, Result},
    process::geteuid,
};

/// A directory, opened.
#[derive(Debug)]
pub(crate) struct Beneath {
    dir: OwnedFd,
    uid: Uid,
    gid: Gid,
}

impl Beneath {
    /// Opens a directory; what is made beneath it belongs to this user and group.
    pub(crate) fn open(path: &Path, uid: u32, gid: u32) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            dir: openat(CWD, path, flags, Mode::empty())?,
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
        })
    }

    /// As [`Self::open`], for a directory that is open.
    pub(crate) fn at(dir: OwnedFd, uid: u32, gid: u32) -> Self {
        Self {
            dir,
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
        }
    }

    /// Whether something is there.
    pub(crate) fn exists(&self, path: &Path) -> Result<bool> {
        match self.resolve(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            // A link is something, wherever it points to.
            Err(Errno::LOOP) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Writes a file, whole or not at all, and the directories above it.
    pub(crate) fn write(&self, path: &Path, mode: u32, content: &[u8]) -> std::io::Result<()> {
        let (dir, name, temporary) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&dir, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
        fchown(&file, Some(self.uid), Some(self.gid))?;
        fchmod(&file, Mode::from_raw_mode(mode & 0o7777))?;
        File::from(file).write_all(content)?;
        Ok(renameat(&dir, &temporary, &dir, name)?)
    }

    /// Makes a symbolic link in the place of whatever is there, and the directories above it.
    pub(crate) fn link(&self, path: &Path, target: &Path) -> Result<()> {
        let (dir, name, temporary) = self.place(path)?;
        symlinkat(target, &dir, &temporary)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        chownat(&dir, &temporary, Some(self.uid), Some(self.gid), flags)?;
        renameat(&dir, &temporary, &dir, name)
    }

    /// Whether there is a symbolic link to `target`.
    pub(crate) fn links_to(&self, path: &Path, target: &Path) -> Result<bool> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let link = self
            .resolve(parent.unwrap_or_else(|| Path::new(".")), flags)
            .and_then(|dir| readlinkat(&dir, name, Vec::new()));
        match link {
            Ok(link) => Ok(link.as_bytes() == target.as_os_str().as_bytes()),
            // It is something else, or nothing.
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Where something is put: its directory, which is made, its name, and a name that it has before,
    /// at which nothing is.
    fn place<'a>(&self, path: &'a Path) -> Result<(OwnedFd, &'a OsStr, OsString)> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let dir = self.make_dirs(path.parent().unwrap_or_else(|| Path::new("")))?;
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(".new");
        match unlinkat(&dir, &temporary, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok((dir, name, temporary)),
            Err(error) => Err(error),
        }
    }

    /// Makes a directory and those above it, and opens it.
    pub(crate) fn make_dirs(&self, path: &Path) -> Result<OwnedFd> {
        let mut made = std::path::PathBuf::new();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut dir = self.resolve(Path::new("."), flags)?;
        for component in path.components() {
            match component {
                Component::Normal(name) => made.push(name),
                Component::CurDir => continue,
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(Errno::INVAL);
                }
            }
            let name = made.file_name().unwrap_or_default();
            if statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).is_err() {
                match mkdirat(&dir, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) => {
                        let new = self.resolve(&made, flags)?;
                        // Only what is ours: the member may have put something else there.
                        if fstat(&new)?.st_uid == geteuid().as_raw() {
                            fchown(&new, Some(self.uid), Some(self.gid))?;
                        }
                    }
                    // Somebody was faster.
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
            }
            dir = self.resolve(&made, flags)?;
        }
        Ok(dir)
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd> {
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(
            self.dir.as_fd(),
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            inside | ResolveFlags::NO_MAGICLINKS,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn open(dir: &Path) -> Beneath {
        let (uid, gid) = (nix::unistd::getuid(), nix::unistd::getgid());
        Beneath::open(dir, uid.as_raw(), gid.as_raw()).unwrap()
    }

    #[test]
    fn a_file_is_written_with_its_directories_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        let beneath = open(dir.path());
        let path = Path::new("a/b/c.conf");
        assert!(!beneath.exists(path).unwrap());
        beneath.write(path, 0o640, b"one").unwrap();
        beneath.write(path, 0o400, b"two").unwrap();
        assert!(beneath.exists(path).unwrap());
        let file = dir.path().join(path);
        assert_eq!(fs::read(&file).unwrap(), b"two");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o400);
        let names = fs::read_dir(dir.path().join("a/b")).unwrap().count();
        assert_eq!(names, 1, "no temporary file is left");
    }

    #[test]
    fn a_link_takes_the_place_of_a_file_and_is_told_from_others() {
        let dir = tempfile::tempdir().unwrap();
        let beneath = open(dir.path());
        let (path, target) = (Path::new("a/key"), Path::new("/elsewhere/key"));
        assert!(!beneath.links_to(path, target).unwrap(), "nothing is there");
        beneath.write(path, 0o400, b"old").unwrap();
        assert!(!beneath.links_to(path, target).unwrap(), "a file is there");
        beneath.link(path, target).unwrap();
        assert!(beneath.links_to(path, target).unwrap());
        assert!(!beneath.links_to(path, Path::new("/other")).unwrap());
        assert_eq!(fs::read_link(dir.path().join(path)).unwrap(), target);
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn no_link_and_no_dots_lead_out() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let beneath = open(dir.path());
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        let target = outside.path().join("file");
        fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join("file")).unwrap();

        assert!(beneath.write(Path::new("link/x"), 0o600, b"x").is_err());
        assert!(beneath.write(Path::new("../x"), 0o600, b"x").is_err());
        // A link in the place of the file itself is replaced, not followed.
        beneath.write(Path::new("file"), 0o600, b"x").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"kept");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}

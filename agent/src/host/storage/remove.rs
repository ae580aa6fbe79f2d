//! Removes a directory with all that is in it. No symbolic link is followed and no mount is entered: a
//! mount in it is an error, and nothing behind it is touched. It may be interrupted at any point, and
//! goes on when it is called again.

use std::{
    ffi::CStr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{AtFlags, Dir as Entries, Mode, OFlags, ResolveFlags, openat2, renameat, unlinkat},
    io::Errno,
};

use super::dir::{Dir, Refused, failed};

/// Directories deeper than this are moved up before they are emptied, so that a tree of any depth
/// needs few open files.
const DEPTH: u32 = 64;

/// Removes a directory in another one, if it is there.
pub(super) fn remove_tree(parent: &Dir, name: &str) -> Result<(), Refused> {
    let told = |e| failed("remove", &parent.path().join(name), e);
    let top = match enter(parent.as_fd(), name) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(told(error)),
    };
    let mut tree = Tree { top, moved: 0 };
    tree.clear_all().map_err(told)?;
    parent.remove_dir(name)
}

/// Opens a directory that is really there: no link, and no mount.
fn enter(parent: BorrowedFd<'_>, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    openat2(parent, name, flags, Mode::empty(), resolve)
}

struct Tree {
    top: OwnedFd,
    /// How many directories were moved up.
    moved: u64,
}

impl Tree {
    /// What is moved up appears in the top, which is read again until nothing is left.
    fn clear_all(&mut self) -> rustix::io::Result<()> {
        loop {
            let top = self
                .top
                .try_clone()
                .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::MFILE))?;
            let before = self.moved;
            self.clear(top.as_fd(), 0)?;
            if self.moved == before {
                return Ok(());
            }
        }
    }

    fn clear(&mut self, dir: BorrowedFd<'_>, depth: u32) -> rustix::io::Result<()> {
        for entry in Entries::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                self.remove(dir, name, depth)?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, dir: BorrowedFd<'_>, name: &CStr, depth: u32) -> rustix::io::Result<()> {
        match unlinkat(dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error),
        }
        let inner = enter(dir, name)?;
        if depth >= DEPTH {
            self.moved += 1;
            let up = format!(".deep-{}-{}", std::process::id(), self.moved);
            return renameat(dir, name, &self.top, up);
        }
        self.clear(inner.as_fd(), depth + 1)?;
        unlinkat(dir, name, AtFlags::REMOVEDIR)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use super::*;

    fn open(path: &Path) -> Dir {
        Dir::open(path).unwrap()
    }

    #[test]
    fn a_tree_is_removed_with_its_links_and_not_what_they_show() {
        let outer = tempfile::tempdir().unwrap();
        let kept = outer.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        let tree = outer.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/b/file"), "x").unwrap();
        fs::write(tree.join("a/\u{e4} b"), "x").unwrap();
        symlink(&kept, tree.join("a/link")).unwrap();
        symlink("/", tree.join("root")).unwrap();
        symlink("nowhere", tree.join("a/b/gone")).unwrap();
        let parent = open(outer.path());
        remove_tree(&parent, "tree").unwrap();
        assert!(!tree.exists());
        assert!(kept.join("file").exists());
        remove_tree(&parent, "tree").unwrap();
    }

    #[test]
    fn a_link_in_place_of_the_tree_is_refused() {
        let outer = tempfile::tempdir().unwrap();
        let kept = outer.path().join("kept");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        symlink(&kept, outer.path().join("tree")).unwrap();
        assert!(remove_tree(&open(outer.path()), "tree").is_err());
        assert!(kept.join("file").exists());
    }

    #[test]
    fn a_tree_may_be_deeper_than_files_can_be_open() {
        let outer = tempfile::tempdir().unwrap();
        let tree = outer.path().join("tree");
        fs::create_dir(&tree).unwrap();
        // Deeper than a path can be long, too.
        let mut at = open(&tree);
        for _ in 0..3000 {
            at = at.make("d", 0o700).unwrap();
            drop(at.make_file("f").unwrap());
        }
        remove_tree(&open(outer.path()), "tree").unwrap();
        assert!(!tree.exists());
    }
}

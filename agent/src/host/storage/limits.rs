//! Hard limits for volumes that are plain directories, where the file system of their pool holds
//! projects to a quota: each volume's data is a project of its own, with the volume's size as limit.
//!
//! Which numbers are in use the file system knows: so a number is never given twice while anything has
//! it, whichever pools, agents or other programs use projects there. Which one is the volume's its owner
//! record says, because the kernel lets the user of the data give it to another project: each hold puts
//! that right.

use std::{
    hash::{DefaultHasher, Hasher as _},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, Dir as Entries, FileType, Mode, OFlags, openat, statat},
    io::Errno,
};

use super::{
    dir::{Dir, Refused, failed},
    owner,
    prepare::UNTOUCHED,
    quota::Quota,
};
use crate::host::path_failed;

/// Numbers that people give by hand are below; the kernel's own mark for none is above.
const FIRST: u32 = 1 << 24;
const LAST: u32 = (1 << 31) - 1;
/// So many numbers are tried before it is an error that all of them are in use.
const TRIES: u32 = 64;

/// The data of a volume, and what its own directory is called: from that a number is made.
#[derive(Debug)]
pub(super) struct Held<'a, Q> {
    pub(super) quota: &'a Q,
    /// The volume's directory.
    pub(super) volume: &'a Dir,
    /// What its processes see.
    pub(super) data: &'a Dir,
    /// The volume's project by its owner record.
    pub(super) recorded: Option<u32>,
}

impl<'a, Q: Quota> Held<'a, Q> {
    /// The data of a volume.
    ///
    /// # Errors
    /// The owner record cannot be read.
    pub(super) fn of(quota: &'a Q, volume: &'a Dir, data: &'a Dir) -> Result<Self, Refused> {
        let record = owner::of_volume(volume)?;
        Ok(Self {
            quota,
            volume,
            data,
            recorded: record.and_then(|record| record.project),
        })
    }

    /// Holds the data to a size, if the file system can; by which project, for the record. No process
    /// of the volume's member runs.
    pub(super) fn hold(&self, bytes: u64) -> Result<Option<u32>, Refused> {
        if bytes == 0 || !self.quota.is_enforced(self.data) {
            // It is the volume's all the same, for when the file system holds it again.
            return Ok(self.recorded);
        }
        let project = match (self.own()?, self.recorded) {
            (Some(project), None) => project,
            (Some(project), Some(recorded)) if project == recorded => project,
            (_, Some(recorded)) => self.take_back(recorded)?,
            (None, None) => self.join()?,
        };
        self.set(project, bytes)?;
        Ok(Some(project))
    }

    /// Makes the limit at least this large, if there is one.
    pub(super) fn raise(&self, bytes: u64) -> Result<(), Refused> {
        if !self.quota.is_enforced(self.data) {
            return Ok(());
        }
        let own = self.own()?;
        let kept = own.filter(|own| self.recorded.is_none_or(|recorded| recorded == *own));
        let Some(project) = kept else {
            // It gets its limit with the next start: a running process may be making files. One that
            // it gave itself may be a neighbour's.
            return Ok(());
        };
        let has = self.quota.used(self.data, project);
        let has = has.map_err(|e| self.failed("look at the quota of", e))?;
        if has.limit >= bytes {
            return Ok(());
        }
        self.set(project, bytes)
    }

    /// The project of the data. One that its volume's directory has too is not the volume's own: an
    /// administrator gave it to the whole pool.
    pub(super) fn own(&self) -> Result<Option<u32>, Refused> {
        let of = |dir: &Dir| {
            let project = self.quota.project(dir);
            project.map_err(|e| failed("look at the project of", dir.path(), e))
        };
        let (project, around) = (of(self.data)?, of(self.volume)?);
        Ok((project != 0 && project != around).then_some(project))
    }

    /// Finds a number that nobody has, and gives it to the data and all that is in it.
    ///
    /// The directory itself comes last: with its number, the work is done. What an attempt before
    /// gave another number gets this one.
    fn join(&self) -> Result<u32, Refused> {
        let filled = self.data.holds_more_than(&UNTOUCHED)?;
        let mut project = first_number(self.data.path());
        for _ in 0..TRIES {
            let used = self.quota.used(self.data, project);
            let used = used.map_err(|e| self.failed("look at the quota of", e))?;
            if used.inodes == 0 {
                // What an earlier volume left must not stand against what is given now.
                self.set(project, 0)?;
                self.give(project, filled)?;
                if filled || self.is_alone(project)? {
                    return Ok(project);
                }
            }
            project = next_number(project);
        }
        let error = format!("{TRIES} project ids in a row are in use on its file system");
        Err(path_failed("give a project to", self.data.path(), error).into())
    }

    /// Puts everything back into the volume's own project. The number is made of the volume's place
    /// and was given when nothing had it, so whoever has it now is what the volume left there.
    fn take_back(&self, project: u32) -> Result<u32, Refused> {
        self.give(project, true)?;
        Ok(project)
    }

    /// Gives the data to a project, with what is in it.
    fn give(&self, project: u32, filled: bool) -> Result<(), Refused> {
        if filled {
            give_tree(self.quota, self.data.as_fd(), project)
                .map_err(|e| self.failed("give a project to what is in", e))?;
        }
        let given = self.quota.give(self.data, true, project);
        given.map_err(|e| self.failed("give a project to", e))
    }

    /// Whether nobody took the same number at the same time: then the directory, with what it may
    /// hold from its first day, is all that has it.
    fn is_alone(&self, project: u32) -> Result<bool, Refused> {
        let used = self.quota.used(self.data, project);
        let used = used.map_err(|e| self.failed("look at the quota of", e))?;
        Ok(used.inodes <= 1)
    }

    fn set(&self, project: u32, bytes: u64) -> Result<(), Refused> {
        let set = self.quota.limit(self.data, project, bytes);
        set.map_err(|e| self.failed("set the quota of", e))
    }

    fn failed(&self, step: &str, error: Errno) -> Refused {
        failed(step, self.data.path(), error)
    }
}

/// Takes the limit of a project away, once nothing has it any more.
pub(super) fn forget<Q: Quota>(quota: &Q, on: &Dir, project: u32) -> Result<(), Refused> {
    let step = |e| failed("take the quota back of what was in", on.path(), e);
    let used = quota.used(on, project).map_err(step)?;
    if used.inodes > 0 || used.limit == 0 {
        return Ok(());
    }
    quota.limit(on, project, 0).map_err(step)
}

/// Where to begin to look for a number: another place for each volume, so that two that look at once
/// seldom meet. It is asked once for each; the directory keeps what came of it.
fn first_number(path: &Path) -> u32 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path.as_os_str().as_encoded_bytes());
    let place = hasher.finish() % u64::from(LAST - FIRST);
    FIRST + u32::try_from(place).unwrap_or_default()
}

fn next_number(project: u32) -> u32 {
    if project < LAST { project + 1 } else { FIRST }
}

/// Gives everything in a directory to a project. Over no link, and into no mount: a file of another
/// file system has no part in it. What is neither file nor directory takes no space.
fn give_tree<Q: Quota>(quota: &Q, dir: BorrowedFd<'_>, project: u32) -> rustix::io::Result<()> {
    let on = rustix::fs::fstat(dir)?.st_dev;
    for entry in Entries::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let about = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(about.st_mode);
        if about.st_dev != on || !matches!(kind, FileType::Directory | FileType::RegularFile) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(dir, name, flags, Mode::empty())?;
        let is_dir = kind == FileType::Directory;
        if is_dir {
            give_tree(quota, file.as_fd(), project)?;
        }
        quota.give(&file, is_dir, project)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

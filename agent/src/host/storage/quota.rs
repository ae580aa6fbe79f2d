//! Project quotas, as the kernel has them: whose files a directory's are (its *project*, a number that
//! everything made in it inherits), and how much all files of a project may hold. xfs and ext4 have
//! them, where they are mounted so; nothing here needs a program of the host.
#![expect(
    unsafe_code,
    reason = "project ids have no interface but ioctl, and quotactl_fd has no safe wrapper"
)]

use std::os::fd::{AsFd, AsRawFd};

use nix::libc;
use rustix::{
    io::Errno,
    ioctl::{self, Getter, Setter, opcode},
};

use super::dir::Dir;

const FS_IOC_FSGETXATTR: ioctl::Opcode = opcode::read::<Attributes>(b'X', 31);
const FS_IOC_FSSETXATTR: ioctl::Opcode = opcode::write::<Attributes>(b'X', 32);
/// What is made in the directory gets its project.
const FS_XFLAG_PROJINHERIT: u32 = 0x200;

/// The type of quota, in the low byte of a command.
const PROJECT: u32 = 2;
const Q_GETQUOTA: u32 = 0x0080_0007;
const Q_SETQUOTA: u32 = 0x0080_0008;
const Q_XGETQSTATV: u32 = 0x5808;
/// Of `Limits`, only the limits of space are set.
const QIF_BLIMITS: u32 = 1;
/// Limits are counted in these.
const BLOCK: u64 = 1024;
const FS_QSTATV_VERSION1: u8 = 1;
const FS_QUOTA_PDQ_ENFD: u16 = 1 << 5;

/// The kernel's `struct fsxattr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    pad: [u8; 8],
}

/// The kernel's `struct if_dqblk`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Limits {
    block_hard: u64,
    block_soft: u64,
    space: u64,
    inode_hard: u64,
    inode_soft: u64,
    inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
    pad: u32,
}

/// The kernel's `struct fs_quota_statv`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Status {
    version: u8,
    pad: u8,
    flags: u16,
    in_core: u32,
    rest: [u64; 19],
}

/// What a project has and may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Use {
    /// Its files and directories.
    pub(super) inodes: u64,
    /// The limit in bytes; 0 for none.
    pub(super) limit: u64,
}

/// What is asked of the kernel about projects.
pub(super) trait Quota {
    /// Whether the file system holds projects to their limits.
    fn is_enforced(&self, dir: &Dir) -> bool;

    /// The project of a file or directory; 0 for none.
    ///
    /// # Errors
    /// What the kernel says.
    fn project(&self, file: &impl AsFd) -> rustix::io::Result<u32>;

    /// Gives a file or directory to a project; what is made in a directory then inherits it.
    ///
    /// # Errors
    /// What the kernel says.
    fn give(&self, file: &impl AsFd, is_dir: bool, project: u32) -> rustix::io::Result<()>;

    /// What a project of the file system has.
    ///
    /// # Errors
    /// What the kernel says.
    fn used(&self, on: &Dir, project: u32) -> rustix::io::Result<Use>;

    /// Sets how many bytes a project may hold; 0 for no limit.
    ///
    /// # Errors
    /// What the kernel says.
    fn limit(&self, on: &Dir, project: u32, bytes: u64) -> rustix::io::Result<()>;
}

/// The real one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernel;

impl Quota for Kernel {
    fn is_enforced(&self, dir: &Dir) -> bool {
        let mut status = Status {
            version: FS_QSTATV_VERSION1,
            ..Status::default()
        };
        // Where the kernel, or the file system, has none of this, there are no limits.
        quotactl(dir, Q_XGETQSTATV, 0, &mut status).is_ok() && status.flags & FS_QUOTA_PDQ_ENFD != 0
    }

    fn project(&self, file: &impl AsFd) -> rustix::io::Result<u32> {
        Ok(attributes(file)?.project)
    }

    fn give(&self, file: &impl AsFd, is_dir: bool, project: u32) -> rustix::io::Result<()> {
        let mut attributes = attributes(file)?;
        attributes.project = project;
        if is_dir {
            attributes.flags |= FS_XFLAG_PROJINHERIT;
        }
        // SAFETY: the request reads a `struct fsxattr`, which `Attributes` is.
        unsafe { ioctl::ioctl(file, Setter::<FS_IOC_FSSETXATTR, _>::new(attributes)) }
    }

    fn used(&self, on: &Dir, project: u32) -> rustix::io::Result<Use> {
        let mut limits = Limits::default();
        match quotactl(on, Q_GETQUOTA, project, &mut limits) {
            Ok(()) => Ok(Use {
                inodes: limits.inodes,
                limit: limits.block_hard.saturating_mul(BLOCK),
            }),
            // Nobody ever had the number.
            Err(Errno::NOENT) => Ok(Use::default()),
            Err(error) => Err(error),
        }
    }

    fn limit(&self, on: &Dir, project: u32, bytes: u64) -> rustix::io::Result<()> {
        let mut limits = Limits {
            block_hard: bytes.div_ceil(BLOCK),
            valid: QIF_BLIMITS,
            ..Limits::default()
        };
        quotactl(on, Q_SETQUOTA, project, &mut limits)
    }
}

fn attributes(file: &impl AsFd) -> rustix::io::Result<Attributes> {
    // SAFETY: the request writes a `struct fsxattr`, which `Attributes` is.
    unsafe { ioctl::ioctl(file, Getter::<FS_IOC_FSGETXATTR, Attributes>::new()) }
}

/// Asks about the quota of projects on the file system of a directory.
fn quotactl<T: Copy>(on: &Dir, command: u32, id: u32, about: &mut T) -> rustix::io::Result<()> {
    let fd = on.as_fd().as_raw_fd();
    let command = (command << 8) | PROJECT;
    // SAFETY: each command reads and writes the structure that the caller passes for it and nothing
    // else, and every bit pattern is a value of these.
    let done = unsafe { libc::syscall(libc::SYS_quotactl_fd, fd, command, id, &raw mut *about) };
    if done == 0 {
        return Ok(());
    }
    Err(Errno::from_raw_os_error(nix::errno::Errno::last_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<Attributes>(), 28);
        assert_eq!(size_of::<Limits>(), 72);
        assert_eq!(size_of::<Status>(), 160);
    }

    #[test]
    fn a_directory_without_quota_is_in_no_project_and_has_no_limit() {
        let outer = tempfile::tempdir().unwrap();
        let dir = Dir::open(outer.path()).unwrap();
        // Where the file system of the tests enforces one, there is nothing to see here.
        if !Kernel.is_enforced(&dir) {
            assert!(Kernel.limit(&dir, 7, 1 << 20).is_err());
        }
    }
}

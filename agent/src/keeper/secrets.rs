//! Where the text of files that come from Secrets is: a file system in memory, in the member's mount
//! namespace only, which is gone with the member. Where such a file is wanted is a link to it.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
};
use rustix::fs::{AtFlags, StatxAttributes, StatxFlags, fstatfs, statx};

use super::beneath::Beneath;

/// Its name in the member's configuration directory.
const NAME: &str = ".berth-secrets";
/// What statfs(2) says of a tmpfs.
const TMPFS: i64 = 0x0102_1994;
/// Everybody may pass, nobody may look around. No more than this much memory is used; the values of a
/// member are far smaller.
const OPTIONS: &str = "mode=0711,size=32m";

/// The place in a member's configuration directory.
#[derive(Debug)]
pub(crate) struct Secrets(PathBuf);

impl Secrets {
    /// Of a member whose configuration directory is this.
    pub(crate) fn of(config_dir: &Path) -> Self {
        Self(config_dir.to_owned())
    }

    /// Where the text of a file is that is wanted at an absolute path.
    pub(crate) fn path(&self, wanted: &Path) -> PathBuf {
        self.0.join(NAME).join(relative(wanted))
    }

    /// Opens it; what is made there belongs to this user and group. It is mounted if it is not yet.
    pub(crate) fn open(&self, uid: u32, gid: u32) -> io::Result<Beneath> {
        // The directory is the member's to write to: no link in it is followed. Its mount point and
        // itself are root's.
        let config = Beneath::open(&self.0, 0, 0)?;
        let open = || config.make_dirs(Path::new(NAME));
        let mut dir = open()?;
        if !is_mounted(&dir)? {
            mount_at(&dir)?;
            dir = open()?;
        }
        Ok(Beneath::at(dir, uid, gid))
    }
}

/// A wanted path as one within the directory.
pub(crate) fn relative(wanted: &Path) -> &Path {
    wanted.strip_prefix("/").unwrap_or(wanted)
}

fn is_mounted(dir: &OwnedFd) -> io::Result<bool> {
    let about = statx(dir, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?;
    let is_root = about.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    Ok(is_root && fstatfs(dir)?.f_type == TMPFS)
}

fn mount_at(dir: &OwnedFd) -> io::Result<()> {
    let at = format!("/proc/self/fd/{}", dir.as_raw_fd());
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let mount = |options: &str| {
        let kind = Some("tmpfs");
        mount(kind, at.as_str(), kind, flags, Some(options))
    };
    // Kernels before 6.4 cannot keep it off the swap.
    match mount(&format!("{OPTIONS},noswap")) {
        Err(Errno::EINVAL) => Ok(mount(OPTIONS)?),
        done => Ok(done?),
    }
}

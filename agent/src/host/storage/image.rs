//! Image volumes: a file in the pool, fully allocated, with a file system of its own. It cannot
//! grow into its neighbours' space, and its own cannot be taken from it.
//!
//! An image is made under a name of its attempt and renamed when it is complete: one that is called
//! `image` is whole, whatever died before.

use std::{
    fs::File,
    io::ErrorKind,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::FileExt,
    },
    process::{Command, Stdio},
};

use berth_core::waiting::{NoSpace, Reason};
use rustix::{
    fs::{FallocateFlags, fallocate, fstat, fstatvfs},
    io::Errno,
    mount::MountAttrFlags,
};

use super::{
    dir::{Dir, Refused, os},
    grow::may_grow_mounted,
    loops::{LoopDevice, grow_ext4},
    mount::{Setting, mount_detached},
    pool::bytes,
};
use crate::host::path_failed;

/// The image, in the volume's directory.
pub(crate) const IMAGE: &str = "image";
/// The beginning of the name of one that is being made.
pub(crate) const UNFINISHED: &str = "image.new.";
/// Where the superblock of an ext4 says that it is one, as it is on the disk.
const EXT4_MAGIC: [u8; 2] = [0x53, 0xef];
/// The program that makes the file system; looked for where root's programs are.
const MAKE: &str = "mkfs.ext4";

/// Makes the image of a volume.
///
/// # Errors
/// `VolumeNoSpace`, `StepFailed`.
pub(crate) fn make(volume: &Dir, name: &str, size: u64) -> Result<(), Refused> {
    let step = |error: &str| path_failed("make", &volume.path().join(IMAGE), error);
    if size == 0 {
        let error = "an image needs a size; write resources.requests.storage in the claim";
        return Err(step(error).into());
    }
    for left in volume.names()? {
        // Of an attempt that was killed. Its mkfs may still run, and has a file without a name then.
        if left.starts_with(UNFINISHED) {
            volume.remove(&left)?;
        }
    }
    let free = free(volume)?;
    if free < size {
        return Err(no_space(name, size, free).into());
    }
    let unfinished = format!("{UNFINISHED}{}", std::process::id());
    let file = volume.make_file(&unfinished)?;
    let done = allocate(volume, name, &file, size).and_then(|()| {
        make_file_system(&file).map_err(|e| Refused::from(step(&e)))?;
        // What mkfs may have given back.
        allocate(volume, name, &file, size)?;
        file.sync_all().map_err(|e| step(&e.to_string()))?;
        volume.rename_new(&unfinished, IMAGE)
    });
    if done.is_err() {
        // So that the next attempt finds the room.
        volume.remove(&unfinished)?;
    }
    done
}

fn free(volume: &Dir) -> Result<u64, Refused> {
    let space = fstatvfs(volume);
    let space = space.map_err(|e| super::dir::failed("look at", volume.path(), e))?;
    Ok(bytes(&space, space.f_bavail))
}

fn no_space(volume: &str, wanted: u64, free: u64) -> Reason {
    Reason::VolumeNoSpace(NoSpace {
        volume: volume.to_owned(),
        wanted,
        free,
    })
}

/// Makes sure that every byte of the image has its place on the disk.
pub(crate) fn allocate(volume: &Dir, name: &str, file: &File, size: u64) -> Result<(), Refused> {
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        Err(Errno::NOSPC | Errno::DQUOT) => Err(no_space(name, size, free(volume)?).into()),
        Err(Errno::OPNOTSUPP) => {
            let error = "the pool's file system cannot allocate files; use a pool of directories";
            Err(path_failed("make", &volume.path().join(IMAGE), error).into())
        }
        Err(error) => Err(super::dir::failed("allocate", volume.path(), error)),
    }
}

/// Refuses to grow an image into room that there is not: what was allocated before the room ended
/// would stay taken.
///
/// # Errors
/// `VolumeNoSpace`.
pub(crate) fn check_room(volume: &Dir, name: &str, image: &File, size: u64) -> Result<(), Refused> {
    let about = fstat(image);
    let about = about.map_err(|e| super::dir::failed("look at", volume.path(), e))?;
    let has = u64::try_from(about.st_blocks)
        .unwrap_or(0)
        .saturating_mul(512);
    let (wanted, free) = (size.saturating_sub(has), free(volume)?);
    if wanted > free {
        return Err(no_space(name, wanted, free).into());
    }
    Ok(())
}

fn make_file_system(file: &File) -> Result<(), String> {
    let image = file.try_clone().map_err(|e| e.to_string())?;
    let output = Command::new(MAKE)
        .args(["-q", "-F", "-m", "0"])
        // Discarding would give back what was allocated.
        .args(["-E", "nodiscard,root_owner=0:0", "/proc/self/fd/0"])
        .env_clear()
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .stdin(Stdio::from(image))
        .output()
        .map_err(|e| format!("{MAKE}: {e}; install e2fsprogs"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{MAKE}: {}: {}", output.status, said.trim()))
}

/// An image that is mounted nowhere yet.
#[derive(Debug)]
pub(crate) struct MountedImage {
    pub(crate) mount: OwnedFd,
    pub(crate) device: LoopDevice,
    pub(crate) file: File,
}

/// Mounts the image of a volume's directory nowhere; `None` if there is no image.
///
/// # Errors
/// `MountFailed`.
pub(crate) fn mount(
    volume: &Dir,
    name: &str,
    source: &str,
) -> Result<Option<MountedImage>, Refused> {
    let Some(file) = volume.file(IMAGE)? else {
        return Ok(None);
    };
    let failed = |error: String| Reason::MountFailed {
        volume: name.to_owned(),
        source: source.to_owned(),
        error,
    };
    let device = LoopDevice::attach(&file).map_err(|e| {
        let error = std::io::Error::from(e);
        failed(format!("set up a loop device: {error}"))
    })?;
    let settings = [
        Setting::value("source", &device.path),
        Setting::value("errors", "remount-ro"),
    ];
    let mount = mount_detached("ext4", &settings, MountAttrFlags::empty()).map_err(failed)?;
    Ok(Some(MountedImage {
        mount,
        device,
        file,
    }))
}

impl MountedImage {
    /// Allocates what of the image has no place on the disk, and grows it if it is smaller than
    /// asked for. The file system follows while it is mounted.
    pub(crate) fn grow(&self, volume: &Dir, name: &str, size: u64) -> Result<(), Refused> {
        let path = volume.path().join(IMAGE);
        let now = self.file.metadata();
        let now = now.map_err(|e| super::dir::failed("look at", &path, os(&e)))?;
        check_room(volume, name, &self.file, size.max(now.len()))?;
        allocate(volume, name, &self.file, size.max(now.len()))?;
        let failed = |e| super::dir::failed("grow", &path, e);
        // Before the file system knows of it: after a power cut it must not be larger than its file.
        self.file.sync_all().map_err(|e| failed(os(&e)))?;
        // Also of a growth that an attempt before did not end: the device of a running member stays
        // as it was until it is told.
        self.device.grown().map_err(failed)?;
        let root = Dir::of_mount(&self.mount, &path)?;
        grow_file_system(&self.file, &root, size.max(now.len())).map_err(|e| {
            let step = "grow the file system of";
            match e {
                Errno::PERM if !may_grow_mounted() => {
                    let error = "it is mounted, and the agent lacks the capability SYS_RESOURCE; \
                                 restart the member, it is grown before its start";
                    path_failed(step, &path, error).into()
                }
                e => super::dir::failed(step, &path, e),
            }
        })
    }
}

/// Lets ext4 use all of its device, if it does not.
fn grow_file_system(image: &File, root: &Dir, size: u64) -> rustix::io::Result<()> {
    match missing(image, size)? {
        Some(blocks) => grow_ext4(root, blocks),
        None => Ok(()),
    }
}

/// How many blocks the ext4 of an image would have in this size, if it has fewer. Of what is no
/// ext4, the mount will tell.
pub(crate) fn missing(image: &File, size: u64) -> rustix::io::Result<Option<u64>> {
    let mut block = [0; 1024];
    match image.read_exact_at(&mut block, 1024) {
        Ok(()) if block[0x38..0x3a] == EXT4_MAGIC => Ok(missing_blocks(&block, size)),
        Ok(()) => Ok(None),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(os(&error)),
    }
}

/// How many blocks an ext4 of this superblock would have in a device of this size, if it has fewer.
fn missing_blocks(superblock: &[u8; 1024], size: u64) -> Option<u64> {
    let word = |at: usize| {
        let bytes = superblock.get(at..at + 4)?;
        Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
    };
    let bytes = 1024_u64.checked_shl(u32::try_from(word(0x18)?).ok()?)?;
    let blocks = word(0x4)? | word(0x150)? << 32;
    let wanted = size.checked_div(bytes)?;
    (blocks < wanted).then_some(wanted)
}

/// The path of an image that a process holds open, for messages.
pub(crate) fn path_of(file: &File) -> String {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()));
    link.unwrap_or_default().display().to_string()
}

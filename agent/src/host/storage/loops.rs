//! Loop devices, and what else only `ioctl` does. Of loop devices: the one that shows an image is found again, or a free one is set up, under a lock
//! on the image. Two devices on one file would be two file systems that know nothing of each other.
//!
//! A device is given back by the kernel when its last user is gone (`LO_FLAGS_AUTOCLEAR`): there is
//! nothing to undo, whoever dies.
#![expect(
    unsafe_code,
    reason = "loop devices and freezing have no interface but ioctl"
)]

use std::{
    fs::{self, File},
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use rustix::{
    fs::{CWD, FlockOperation, Mode, OFlags, flock, fstat, openat},
    io::Errno,
    ioctl::{self, Getter, NoArg, Setter, opcode},
};

const LOOP_SET_CAPACITY: ioctl::Opcode = opcode::none(b'L', 7);
const LOOP_CONFIGURE: ioctl::Opcode = 0x4c0a;
const LOOP_GET_STATUS64: ioctl::Opcode = 0x4c05;
const LOOP_CTL_GET_FREE: ioctl::Opcode = 0x4c82;
const EXT4_IOC_RESIZE_FS: ioctl::Opcode = opcode::write::<u64>(b'f', 16);
const FIFREEZE: ioctl::Opcode = opcode::read_write::<i32>(b'X', 119);
const FITHAW: ioctl::Opcode = opcode::read_write::<i32>(b'X', 120);
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// Others may take the free device first, or a device that was found may just be given back: then
/// it is looked for again.
const ATTEMPTS: usize = 64;

/// The kernel's `struct loop_info64`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// The kernel's `struct loop_config`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

/// A loop device that shows an image, held open: it stays until this and every mount is gone.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    fd: OwnedFd,
    /// `/dev/loop3`
    pub(crate) path: String,
}

impl LoopDevice {
    /// Finds or sets up the device of an image.
    pub(crate) fn attach(image: &File) -> rustix::io::Result<Self> {
        let _lock = lock(image)?;
        let mut last = Errno::BUSY;
        for _ in 0..ATTEMPTS {
            if let Some(found) = Self::showing(image)?.into_iter().next() {
                return Ok(found);
            }
            match Self::set_up(image) {
                Ok(device) => return Ok(device),
                Err(error @ (Errno::BUSY | Errno::NXIO)) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// The devices that show an image now.
    pub(crate) fn showing(image: &File) -> rustix::io::Result<Vec<Self>> {
        let about = fstat(image)?;
        let mut found = Vec::new();
        for name in bound() {
            let path = format!("/dev/{name}");
            // One that is given back meanwhile is none.
            let Ok(fd) = open(&path) else { continue };
            if let Ok(info) = status(&fd)
                && (info.device, info.inode) == (about.st_dev, about.st_ino)
            {
                found.push(Self { fd, path });
            }
        }
        Ok(found)
    }

    /// Whether a device still shows a file, by the numbers of the file. The file is not touched: what
    /// it lies on may not answer.
    pub(crate) fn still_shows(path: &str, on: u64, inode: u64) -> rustix::io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let shown = openat(CWD, path, flags, Mode::empty()).and_then(|fd| status(&fd));
        match shown {
            Ok(info) => Ok((info.device, info.inode) == (on, inode)),
            Err(Errno::NOENT | Errno::NXIO | Errno::NODEV) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn set_up(image: &File) -> rustix::io::Result<Self> {
        let control = open("/dev/loop-control")?;
        // SAFETY: the request takes no argument and returns a number.
        let number = unsafe { ioctl::ioctl(&control, GetFree) }?;
        let path = format!("/dev/loop{number}");
        let fd = open(&path)?;
        let config = Config {
            fd: image.as_raw_fd().unsigned_abs(),
            block_size: 0,
            info: Info {
                flags: LO_FLAGS_AUTOCLEAR,
                file_name: name_of(image),
                ..EMPTY
            },
            reserved: [0; 8],
        };
        // SAFETY: the request reads a `struct loop_config`, which `Config` is.
        unsafe { ioctl::ioctl(&fd, Setter::<LOOP_CONFIGURE, _>::new(config)) }?;
        Ok(Self { fd, path })
    }

    /// Takes notice of an image that has grown.
    pub(crate) fn grown(&self) -> rustix::io::Result<()> {
        // SAFETY: the request takes no argument.
        unsafe { ioctl::ioctl(&self.fd, NoArg::<LOOP_SET_CAPACITY>::new()) }
    }
}

/// Until this is dropped, nobody else looks for the device of an image and sets one up. Opened
/// anew: the lock belongs to the opening, and the loop device keeps the one that it is given.
pub(crate) fn lock(image: &File) -> rustix::io::Result<OwnedFd> {
    let lock = openat(
        CWD,
        format!("/proc/self/fd/{}", image.as_raw_fd()),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

/// Lets a file system stand still: whoever writes to it waits, and its device is complete.
pub(crate) fn freeze(root: &impl AsFd) -> rustix::io::Result<()> {
    // SAFETY: the argument is not read.
    unsafe { ioctl::ioctl(root, NoArg::<FIFREEZE>::new()) }
}

/// Lets it go on; `EINVAL` if it does not stand still.
pub(crate) fn thaw(root: &impl AsFd) -> rustix::io::Result<()> {
    // SAFETY: the argument is not read.
    unsafe { ioctl::ioctl(root, NoArg::<FITHAW>::new()) }
}

/// Lets a mounted ext4 have so many blocks.
pub(crate) fn grow_ext4(root: &impl AsFd, blocks: u64) -> rustix::io::Result<()> {
    // SAFETY: the request reads a 64-bit number.
    unsafe { ioctl::ioctl(root, Setter::<EXT4_IOC_RESIZE_FS, u64>::new(blocks)) }
}

const EMPTY: Info = Info {
    device: 0,
    inode: 0,
    rdevice: 0,
    offset: 0,
    size_limit: 0,
    number: 0,
    encrypt_type: 0,
    encrypt_key_size: 0,
    flags: 0,
    file_name: [0; 64],
    crypt_name: [0; 64],
    encrypt_key: [0; 32],
    init: [0; 2],
};

/// `LOOP_CTL_GET_FREE`, whose result is what the call returns.
struct GetFree;

// SAFETY: the request has no argument, and its result is not read from memory.
unsafe impl ioctl::Ioctl for GetFree {
    type Output = i32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> ioctl::Opcode {
        LOOP_CTL_GET_FREE
    }

    fn as_ptr(&mut self) -> *mut rustix::ffi::c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(
        out: ioctl::IoctlOutput,
        _: *mut rustix::ffi::c_void,
    ) -> rustix::io::Result<i32> {
        Ok(out)
    }
}

fn open(path: &str) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

fn status(fd: &impl AsFd) -> rustix::io::Result<Info> {
    // SAFETY: the request fills a `struct loop_info64`, which `Info` is.
    unsafe { ioctl::ioctl(fd, Getter::<LOOP_GET_STATUS64, Info>::new()) }
}

/// The names of the devices that show some file.
fn bound() -> Vec<String> {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let shows = entries.filter(|entry| entry.path().join("loop").is_dir());
    let names = shows.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with("loop")).collect()
}

/// The image's path, for people who list the devices; its end, if it is long.
fn name_of(image: &File) -> [u8; 64] {
    let path = fs::read_link(format!("/proc/self/fd/{}", image.as_raw_fd()));
    let path = path
        .unwrap_or_default()
        .into_os_string()
        .into_encoded_bytes();
    let end = &path[path.len().saturating_sub(63)..];
    let mut name = [0; 64];
    name[..end.len()].copy_from_slice(end);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_have_the_kernels_sizes() {
        assert_eq!((size_of::<Info>(), size_of::<Config>()), (232, 304));
        assert_eq!(LOOP_SET_CAPACITY, 0x4c07);
        assert_eq!((FIFREEZE, FITHAW), (0xc004_5877, 0xc004_5878));
    }
}

//! One file system call per process, for tests of mounts that may hang: the process has default
//! signal actions, so it can be killed where a thread of the test could not.
//!
//! It exits with the errno of what failed, or 0; what it read goes to stdout.
//!
//! * `mount TYPE SOURCE TARGET OPTIONS` and `fsmount TYPE SOURCE TARGET OPTIONS`: the same by
//!   `mount(2)` and by `fsopen(2)`
//! * `umount plain|force|detach TARGET`
//! * `stat PATH`, `statfs PATH`, `read PATH`, `write PATH TEXT` (created or cut, and synced),
//!   `chown PATH UID`
//! * `dirty PATH TEXT BYTES TOLD`: writes so much of a line into a file and leaves that to the kernel,
//!   then makes a file to say so, and stays. It is a program because every descriptor of a file on NFS
//!   that is closed, also one of a shell's child, writes out all of the file.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::chown,
    process::ExitCode,
};

use rustix::{
    fs::{CWD, statfs},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
        fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount,
        move_mount, unmount,
    },
};

/// What the shell uses for a wrong command line; no errno that a file system gives.
const USAGE: u8 = 255;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["mount", kind, source, target, options] => by_mount(kind, source, target, options),
        ["fsmount", kind, source, target, options] => by_fsopen(kind, source, target, options),
        ["umount", how, target] => umount(how, target),
        ["stat", path] => fs::metadata(path).map(drop),
        ["statfs", path] => statfs(*path).map(drop).map_err(io::Error::from),
        ["read", path] => read(path),
        ["write", path, text] => write(path, text),
        ["chown", path, uid] => chown_to(path, uid),
        ["dirty", path, text, bytes, told] => dirty(path, text, bytes, told),
        _ => return ExitCode::from(USAGE),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let errno = error.raw_os_error().and_then(|n| u8::try_from(n).ok());
            ExitCode::from(errno.unwrap_or(USAGE))
        }
    }
}

fn by_mount(kind: &str, source: &str, target: &str, options: &str) -> io::Result<()> {
    let options = CString::new(options)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount(source, target, kind, flags, options.as_c_str())?)
}

fn by_fsopen(kind: &str, source: &str, target: &str, options: &str) -> io::Result<()> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", source)?;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&context, key, value)?,
            None => fsconfig_set_flag(&context, option)?,
        }
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let tree = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    let from_itself = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(move_mount(&tree, "", CWD, target, from_itself)?)
}

fn umount(how: &str, target: &str) -> io::Result<()> {
    let flags = match how {
        "plain" => UnmountFlags::empty(),
        "force" => UnmountFlags::FORCE,
        "detach" => UnmountFlags::DETACH,
        _ => return Err(Errno::INVAL.into()),
    };
    Ok(unmount(target, flags | UnmountFlags::NOFOLLOW)?)
}

fn read(path: &str) -> io::Result<()> {
    io::stdout().write_all(&fs::read(path)?)
}

fn write(path: &str, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn chown_to(path: &str, uid: &str) -> io::Result<()> {
    let uid = uid.parse().map_err(|_| Errno::INVAL)?;
    chown(path, Some(uid), None)
}

fn dirty(path: &str, text: &str, bytes: &str, told: &str) -> io::Result<()> {
    let bytes: usize = bytes.parse().map_err(|_| Errno::INVAL)?;
    let mut file = File::options().write(true).open(path)?;
    let line = format!("{text}\n");
    file.write_all(&line.repeat(bytes / line.len()).into_bytes())?;
    fs::write(told, text)?;
    loop {
        std::thread::park();
    }
}

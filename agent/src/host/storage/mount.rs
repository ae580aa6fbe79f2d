//! Mounting through descriptors: a file system is made ready and mounted nowhere, a directory is
//! cloned into a mount of its own, and only a mount that is ready, with `nosuid` and `nodev` set,
//! is put at a place that is held open too. No path is looked up twice.
#![expect(unsafe_code, reason = "mount_setattr has no safe wrapper")]

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
};

use nix::libc;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
    mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
        fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
    },
};

/// One setting of a file system: a flag, or a name with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

impl Setting {
    pub(crate) fn flag(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: None,
        }
    }

    pub(crate) fn value(name: &str, value: impl ToString) -> Self {
        Self {
            name: name.to_owned(),
            value: Some(value.to_string()),
        }
    }
}

/// What no volume is without.
pub(crate) const SAFE: MountAttrFlags =
    MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// Mounts a file system nowhere. What the kernel has to say is in the error.
pub(crate) fn mount_detached(
    kind: &str,
    settings: &[Setting],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, String> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|e| match e {
        Errno::NODEV => format!("this kernel has no file system '{kind}'"),
        e => std::io::Error::from(e).to_string(),
    })?;
    let set = || {
        for Setting { name, value } in settings {
            match value {
                Some(value) => fsconfig_set_string(&context, name.as_str(), value.as_str())?,
                None => fsconfig_set_flag(&context, name.as_str())?,
            }
        }
        fsconfig_create(&context)?;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, SAFE | attributes)
    };
    set().map_err(|error| explain(&context, error))
}

/// The error with what the kernel noted in the context.
fn explain(context: &OwnedFd, error: Errno) -> String {
    let mut told = std::io::Error::from(error).to_string();
    let Ok(context) = context.try_clone() else {
        return told;
    };
    let mut context = File::from(context);
    let mut message = [0; 512];
    // Each read is one message, until there are none.
    while let Ok(length @ 1..) = context.read(&mut message) {
        let text = String::from_utf8_lossy(&message[..length]);
        let text = text.trim_start_matches(['e', 'w', 'i']).trim();
        told.push_str("; ");
        told.push_str(text);
    }
    told
}

/// A directory as a mount of its own, nowhere yet: what is mounted beneath it is not in it.
pub(crate) fn clone_tree(dir: &impl AsFd, read_only: bool) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(dir, "", flags)?;
    let mut attributes = SAFE;
    attributes.set(MountAttrFlags::MOUNT_ATTR_RDONLY, read_only);
    add_attributes(&tree, attributes)?;
    Ok(tree)
}

/// The kernel's `struct mount_attr`.
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Sets attributes of a mount; those that it has stay.
fn add_attributes(mount: &OwnedFd, attributes: MountAttrFlags) -> rustix::io::Result<()> {
    let attr = MountAttr {
        set: attributes.bits().into(),
        // Nothing that is mounted in it later goes anywhere else.
        propagation: libc::MS_PRIVATE,
        ..MountAttr::default()
    };
    set_attributes(mount, &attr, libc::AT_EMPTY_PATH)
}

/// Makes a mount and all that are in it read-only, at once, here and in no other namespace. No
/// path in them is looked up, so that none of them can hang.
pub(crate) fn seal(root: &OwnedFd) -> rustix::io::Result<()> {
    let attr = MountAttr {
        set: MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into(),
        ..MountAttr::default()
    };
    set_attributes(root, &attr, libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)
}

/// Takes that back for one mount.
pub(crate) fn unseal(mount: &OwnedFd) -> rustix::io::Result<()> {
    let attr = MountAttr {
        clear: MountAttrFlags::MOUNT_ATTR_RDONLY.bits().into(),
        ..MountAttr::default()
    };
    set_attributes(mount, &attr, libc::AT_EMPTY_PATH)
}

fn set_attributes(mount: &OwnedFd, attr: &MountAttr, flags: i32) -> rustix::io::Result<()> {
    // SAFETY: the path is a NUL-terminated text, and the kernel reads a `struct mount_attr` of the
    // size that it is told.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(Errno::from_raw_os_error(nix::errno::Errno::last_raw())),
    }
}

/// Puts a mount at a place.
pub(crate) fn attach(mount: &OwnedFd, place: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", place, "", flags)
}

/// Opens a directory beneath another for being named only: over no symbolic link, and not out.
pub(crate) fn open_beneath(dir: &impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(dir, path, PLACE, Mode::empty(), resolve)
}

/// Opens a directory by its absolute path, over no symbolic link.
pub(crate) fn open_plain(path: &Path) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(CWD, path, PLACE, Mode::empty(), resolve)
}

const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

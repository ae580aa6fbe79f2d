//! Waits for changes: in a directory, with inotify; of what is mounted, with what the kernel says of
//! the list of mounts.

use std::{
    fs::File,
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::{Interest, unix::AsyncFd};

/// Registers a descriptor with the runtime.
///
/// # Errors
/// What the kernel says; a plain file cannot be waited for.
#[expect(unsafe_code, reason = "tokio wants the promise below")]
pub(crate) fn registered(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor belongs to the `OwnedFd` that is moved in, which always returns the
    // same one and closes it only when it is dropped, together with the registration.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// A directory that is watched: files in it that are written, made, or renamed.
#[derive(Debug)]
pub(crate) struct DirWatch {
    events: AsyncFd<OwnedFd>,
}

impl DirWatch {
    /// Begins to watch. Changes from now on are noticed.
    pub(crate) fn new(dir: &Path) -> io::Result<Self> {
        let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let what = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO;
        inotify::add_watch(events.as_fd(), dir, what | WatchFlags::DELETE_SELF)?;
        let events = registered(events, Interest::READABLE)?;
        Ok(Self { events })
    }

    /// Returns when something has changed since the last call.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let mut ready = self.events.readable().await?;
            let read = ready.try_io(|events| Ok(rustix::io::read(events.get_ref(), &mut buffer)?));
            if let Ok(result) = read {
                // What happened does not matter: the reader looks for itself. What is left in the
                // queue makes the next call return at once.
                return result.map(drop);
            }
        }
    }
}

/// What is mounted in this process's mount namespace.
#[derive(Debug)]
pub(crate) struct MountWatch {
    mounts: AsyncFd<OwnedFd>,
}

impl MountWatch {
    /// Begins to watch. Changes from now on are noticed.
    pub(crate) fn new() -> io::Result<Self> {
        let file = OwnedFd::from(File::open("/proc/self/mountinfo")?);
        let mounts = registered(file, Interest::PRIORITY)?;
        Ok(Self { mounts })
    }

    /// Returns when something was mounted or unmounted since the last call.
    pub(crate) async fn changed(&self) -> io::Result<()> {
        self.mounts.ready(Interest::PRIORITY).await?.clear_ready();
        Ok(())
    }
}

//! A file system that stands still: while it does, what is on its device is complete, and whoever
//! writes waits. Nobody may be left waiting for ever: a process of its own thaws it when the helper
//! is gone, however it went, or when its time is over.

use std::time::Duration;

use nix::{
    sys::{
        signal::SigSet,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    fs::syncfs,
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};

use super::{
    dir::{Dir, Refused, failed},
    loops::{freeze, thaw},
};
use crate::{host::path_failed, keeper::sys};

/// How long writers may have to wait at most. A copy that shares blocks takes milliseconds; what it
/// must first write to the disk is written before.
const LIMIT: Duration = Duration::from_secs(10);

/// What the guard is told if there is nothing to thaw.
const LEAVE: &[u8] = b"leave";

/// Does something while the file system of a directory stands still, and makes sure that it did to
/// the end.
///
/// # Errors
/// What `work` says; or that the file system could not be frozen, or was not until `work` was done.
pub(crate) fn frozen(
    root: &Dir,
    work: impl FnOnce() -> Result<(), Refused>,
) -> Result<(), Refused> {
    // What can be written while the others write, need not be while they wait.
    syncfs(root).map_err(|e| failed("sync", root.path(), e))?;
    let guard = Guard::begin(root)?;
    if let Err(error) = freeze(root) {
        guard.leave();
        return Err(match error {
            Errno::BUSY => {
                let error = "somebody froze it; thaw it (fsfreeze -u), then try again";
                path_failed("freeze", root.path(), error).into()
            }
            error => failed("freeze", root.path(), error),
        });
    }
    let done = work();
    match (done, thaw(root)) {
        (Ok(()), Ok(())) => Ok(()),
        // The guard was faster: somebody wrote before the end.
        (Ok(()), Err(Errno::INVAL)) => {
            let error = format!("it took longer than {} s", LIMIT.as_secs());
            Err(path_failed("copy the frozen", root.path(), error).into())
        }
        (Ok(()), Err(error)) => Err(failed("thaw", root.path(), error)),
        (Err(refused), _) => Err(refused),
    }
}

/// The process that thaws when the other end of its pipe is closed, by whatever.
struct Guard {
    pid: Pid,
    pipe: Option<OwnedFd>,
}

impl Guard {
    fn begin(root: &Dir) -> Result<Self, Refused> {
        let (end, pipe) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|e| failed("guard", root.path(), e))?;
        let mut pipe = Some(pipe);
        let pid = sys::fork(|| {
            drop(pipe.take());
            watch(&end, root);
            0
        });
        let pid = pid.map_err(|e| path_failed("guard", root.path(), e.desc()))?;
        Ok(Self { pid, pipe })
    }

    /// Ends the guard without a thaw: what stands still is another's.
    fn leave(mut self) {
        if let Some(pipe) = self.pipe.take() {
            // One that is gone thaws nothing.
            let _ = rustix::io::write(&pipe, LEAVE);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // It goes at once, and is nobody's once this process is gone.
        let _ = waitpid(self.pid, None::<WaitPidFlag>);
    }
}

/// The guard's life.
fn watch(end: &OwnedFd, root: &Dir) {
    // No signal to the group of processes ends it early.
    let _ = SigSet::all().thread_block();
    let _ = rustix::thread::set_name(c"berth-thaw");
    // Whoever waits for the helper's last word does not wait for this process.
    for stream in [0, 1] {
        let _ = nix::unistd::close(stream);
    }
    let limit = Timespec {
        tv_sec: LIMIT.as_secs().cast_signed(),
        tv_nsec: 0,
    };
    let mut polled = [PollFd::new(end, PollFlags::IN)];
    let ready = poll(&mut polled, Some(&limit));
    let mut told = [0; LEAVE.len()];
    let heard = match ready {
        Ok(1..) => rustix::io::read(end, &mut told).unwrap_or(0),
        Ok(0) | Err(_) => 0,
    };
    if heard == 0 {
        // It is thawed already, if the helper came to it.
        let _ = thaw(root);
    }
}

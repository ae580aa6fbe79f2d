//! What a keeper does with volumes in a child, for it may hang: writing files to storage that may
//! not answer, and the end. After a stop, when no process is left, the volumes whose storage may not
//! answer, or that have a device of their own, are unmounted in order, so that what is dirty is
//! written back if it can be; the rest is done by the end of the namespace.
//!
//! A process that was killed is not gone while the kernel writes back what it left, and nothing ends
//! that wait but an answer of the server, or a forced unmount: it makes fail whatever waits. What was
//! not synced is lost then, so it is only done to a server that does not answer.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use berth_core::{keeper::Slot, rendered::RenderedFile, waiting::Reason};
use nix::{
    mount::{MntFlags, umount2},
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::statfs,
};

use super::{run::Keeper, sys};
use crate::host::step_failed;

/// After everything was killed, before storage is asked whether it is what holds the dead; and
/// between two such questions.
const LEAVING: Duration = Duration::from_secs(1);
/// A server that takes longer to say how full it is does not answer.
const ANSWER_MS: u64 = 2_000;
/// Of a server that answers: for as long as it takes to write back what is dirty.
const FLUSH_MS: u64 = 60_000;
const FORCE_MS: u64 = 1_000;
const DETACH_MS: u64 = 500;

/// Volumes that hold the dead of a stop.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    /// When to ask next.
    at: Option<Instant>,
    /// Those that did not answer.
    hung: Vec<PathBuf>,
}

impl Leaving {
    /// When something is to be done.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.at
    }
}

impl Keeper {
    /// Everything was killed.
    pub(crate) fn killed(&mut self) {
        let mut all = self.mounts.volumes.run_volumes.iter();
        if self.leaving.at.is_none() && all.any(|v| v.volume.remote) {
            self.leaving.at = Some(Instant::now() + LEAVING);
        }
    }

    /// Something that was killed does not go: what waits for a server that does not answer fails.
    pub(crate) fn free_the_dead(&mut self) {
        for target in self.remote_targets() {
            if !self.answers(&target) {
                self.umount(&target, MntFlags::MNT_FORCE, FORCE_MS);
            }
        }
        self.leaving.at = Some(Instant::now() + LEAVING);
    }

    /// Unmounts what has to be let go of in order. It ends in bounded time, unless a server takes
    /// its own to write back what is dirty.
    pub(crate) fn unmount(&mut self) {
        self.seen.end();
        let volumes = &mut self.mounts.volumes;
        volumes.let_go();
        let held = volumes.run_volumes.iter().any(|v| v.held.is_some());
        if !held {
            return;
        }
        let targets: Vec<PathBuf> = volumes.targets().rev().map(Into::into).collect();
        for target in targets {
            let remote = self.mounts.volumes.is_remote(&target);
            let writes = !remote || self.answers(&target);
            let gone = (writes && self.umount(&target, MntFlags::empty(), FLUSH_MS))
                || (remote && self.umount(&target, MntFlags::MNT_FORCE, FORCE_MS))
                || self.umount(&target, MntFlags::MNT_DETACH, DETACH_MS);
            if !gone {
                let step = format!("unmount {}", target.display());
                self.complain(&step_failed(step, "it is still in use"));
            }
        }
    }

    fn remote_targets(&self) -> Vec<PathBuf> {
        let volumes = &self.mounts.volumes;
        let remote = volumes.targets().rev().filter(|t| volumes.is_remote(t));
        remote.map(Into::into).collect()
    }

    /// Whether the storage that is mounted there answers. One that did not is not asked again.
    fn answers(&mut self, target: &Path) -> bool {
        if self.leaving.hung.iter().any(|hung| hung == target) {
            return false;
        }
        // Any error is an answer too.
        let asked = in_time(ANSWER_MS, || {
            let _ = statfs(target);
            0
        });
        let answers = !matches!(asked, Ok(false));
        if !answers {
            self.leaving.hung.push(target.to_owned());
        }
        answers
    }

    /// Whether nothing of ours is mounted there any more. A child that was killed at it may have
    /// done it for all that: the next try finds nothing, and that is success.
    fn umount(&mut self, target: &Path, how: MntFlags, limit_ms: u64) -> bool {
        let done = in_time(limit_ms, || {
            match umount2(target, how | MntFlags::UMOUNT_NOFOLLOW) {
                // The last two mean that nothing is mounted there any more.
                Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => 0,
                Err(_) => 1,
            }
        });
        done.unwrap_or_else(|reason| {
            self.complain(&reason);
            false
        })
    }
}

/// How long the files of a process may take to be written to storage that may not answer.
const WRITING_MS: u64 = 10_000;

impl Keeper {
    /// Writes the files of a process that are due; those on storage that may not answer in a child.
    pub(crate) fn write_files(&mut self, slot: Slot) -> Result<(), Reason> {
        let process = self.processes.get(slot.0);
        let due = process.map(|process| process.rendered.files.clone());
        self.write_these(slot, &due.unwrap_or_default())
    }

    /// The same for some files of a process.
    pub(crate) fn write_these(&mut self, slot: Slot, due: &[RenderedFile]) -> Result<(), Reason> {
        let Some(process) = self.processes.get(slot.0) else {
            return Ok(());
        };
        let (rendered, identity) = (&process.rendered, &process.identity);
        let volumes = &self.mounts.volumes;
        let mut paths = due.iter().map(|file| Path::new(&file.path));
        if !paths.any(|path| volumes.is_remote(path)) {
            return self.files.write(due, identity);
        }
        let (files, member) = (&mut self.files, &self.member);
        let written = in_time(WRITING_MS, || match files.write(due, identity) {
            Ok(()) => 0,
            Err(reason) => {
                drop(writeln!(std::io::stderr(), "{member}: {reason}"));
                1
            }
        })?;
        if written {
            return self.files.reload();
        }
        let error = "the volume does not answer, or the keeper's log says why";
        Err(step_failed(
            format!("write the files of {}", rendered.name),
            error,
        ))
    }
}

/// Does something in a child, and kills it when its time is up. Whether it succeeded.
fn in_time(limit_ms: u64, work: impl FnOnce() -> i32) -> Result<bool, Reason> {
    let failed = |e: nix::errno::Errno| step_failed("unmount in a child", e.desc());
    let child = sys::fork(|| {
        sys::default_signals();
        work()
    })
    .map_err(failed)?;
    let limit = Timespec {
        tv_sec: i64::try_from(limit_ms / 1000).unwrap_or(0),
        tv_nsec: i64::try_from(limit_ms % 1000 * 1_000_000).unwrap_or(0),
    };
    if !ends(child, &limit) {
        // Nothing more can be done about one that does not even die of this; it is left.
        let _ = kill(child, Signal::SIGKILL);
        let last = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        if !ends(child, &last) {
            return Ok(false);
        }
    }
    match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, code)) => Ok(code == 0),
        Ok(_) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn ends(child: Pid, limit: &Timespec) -> bool {
    let pid = rustix::process::Pid::from_raw(child.as_raw());
    let opened =
        pid.map(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()));
    let Some(Ok(fd)) = opened else { return false };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(limit)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

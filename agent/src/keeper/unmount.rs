//! What a keeper does with volumes in a child, for it may hang: writing files to storage that may
//! not answer, and the end. After a stop, when no process is left, the volumes whose storage may not answer, or that have a
//! device of their own, are unmounted in order, so that what is dirty is written back if it can be;
//! the rest is done by the end of the namespace.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use berth_core::{keeper::Slot, waiting::Reason};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    run::Keeper,
    sys,
    volumes::{ROUNDS, unmount},
};
use crate::host::step_failed;

impl Keeper {
    /// Unmounts what has to be let go of in order. It ends in bounded time.
    pub(crate) fn unmount(&mut self) {
        self.seen.end();
        let volumes = &mut self.mounts.volumes;
        volumes.let_go();
        let held = volumes.run_volumes.iter().any(|v| v.held.is_some());
        if !held {
            return;
        }
        let targets: Vec<PathBuf> = volumes.targets().rev().map(Into::into).collect();
        for (how, limit_ms) in ROUNDS {
            match in_time(limit_ms, || unmount(&targets, how)) {
                Ok(true) => return,
                Ok(false) => {}
                Err(reason) => self.complain(&reason),
            }
        }
        self.complain(&step_failed("unmount the volumes", "some are still in use"));
    }
}

/// How long the files of a process may take to be written to storage that may not answer.
const WRITING_MS: u64 = 10_000;

impl Keeper {
    /// Writes the files of a process that are due; those on storage that may not answer in a child.
    pub(crate) fn write_files(&mut self, slot: Slot) -> Result<(), Reason> {
        let Some(process) = self.processes.get(slot.0) else {
            return Ok(());
        };
        let (rendered, identity) = (&process.rendered, &process.identity);
        let volumes = &self.mounts.volumes;
        let mut paths = rendered.files.iter().map(|file| Path::new(&file.path));
        if !paths.any(|path| volumes.is_remote(path)) {
            return self.files.write(rendered, identity);
        }
        let (files, member) = (&mut self.files, &self.member);
        let written = in_time(WRITING_MS, || match files.write(rendered, identity) {
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

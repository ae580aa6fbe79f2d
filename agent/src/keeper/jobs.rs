//! Programs that run beside a member's processes: those of exec probes, `exec`, and what is to be
//! done around a start or a stop. Their output is kept up to its head; they are killed at their
//! deadline.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use berth_core::keeper::{Exit, Slot};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rustix::{
    io::{Errno, read},
    pipe::{PipeFlags, pipe_with},
};

use super::{clients::ClientId, wire::ExecResult};

/// How much of the output is kept.
const OUTPUT_HEAD: usize = 4096;

/// Who waits for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// An agent, by connection and request.
    Client(ClientId, u64),
    /// An agent that watches it, by connection; and the request that waits for its end.
    Attached(ClientId, Option<u64>),
    /// The machine, for a process.
    Hook(Slot, HookKind),
    /// Nobody any more.
    Nobody,
}

/// What a hook is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HookKind {
    /// Done beside a start.
    PostStart,
    /// Done before a stop signal.
    PreStop,
}

/// A program under way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) pid: Pid,
    pub(crate) asker: Asker,
    pub(crate) deadline: Instant,
    timed_out: bool,
    output: Vec<u8>,
    pipe: Option<OwnedFd>,
    /// The watcher's ends of its streams, until they are taken.
    pub(crate) held: Vec<OwnedFd>,
    /// How it ended, while nobody has asked for that yet.
    pub(crate) ended: Option<Exit>,
}

/// A pipe for a job's output: our end does not block.
pub(crate) fn output_pipe() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((ours, theirs))
}

impl Job {
    pub(crate) fn new(pid: Pid, asker: Asker, timeout: Duration, pipe: Option<OwnedFd>) -> Self {
        let now = Instant::now();
        Self {
            pid,
            asker,
            // A timeout beyond what a clock can hold is none.
            deadline: now
                .checked_add(timeout)
                .unwrap_or(now + Duration::from_secs(1 << 30)),
            timed_out: false,
            output: Vec::new(),
            pipe,
            held: Vec::new(),
            ended: None,
        }
    }

    pub(crate) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there; only the head is kept.
    pub(crate) fn drain(&mut self) {
        let mut buffer = [0; 4096];
        for _ in 0..64 {
            let Some(pipe) = &self.pipe else { return };
            match read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    let room = OUTPUT_HEAD.saturating_sub(self.output.len());
                    let head = buffer.get(..count.min(room)).unwrap_or_default();
                    self.output.extend(head);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    /// Kills it, with its process group, if its time is up.
    pub(crate) fn expire(&mut self, now: Instant) {
        if now >= self.deadline && !self.timed_out {
            self.timed_out = true;
            self.kill();
        }
    }

    /// Kills it with its process group.
    pub(crate) fn kill(&self) {
        // It leads a session, and so a group; if it did not get that far, the second call does it.
        let _ = kill(Pid::from_raw(-self.pid.as_raw()), Signal::SIGKILL);
        let _ = kill(self.pid, Signal::SIGKILL);
    }

    /// Whether its time is up and it was killed.
    pub(crate) fn timed_out(&self) -> bool {
        self.timed_out
    }

    /// What it is told of, once it has ended.
    pub(crate) fn result(mut self, exit: Exit) -> ExecResult {
        self.drain();
        ExecResult {
            exit,
            timed_out: self.timed_out,
            output: String::from_utf8_lossy(&self.output).into_owned(),
        }
    }
}

//! A command with a deadline: what a dead file server does to a process, without waiting for it.

use std::{
    fmt,
    io::Read as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

/// After SIGKILL, until it must be gone. A process in an uninterruptible wait is not.
const KILL_LIMIT: Duration = Duration::from_secs(20);

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// With this status, which for `nfs_tool` is an errno; and what it printed.
    Code(i32, String),
    /// Not within the deadline; SIGKILL ended it.
    Hung,
}

impl Ended {
    /// Whether it succeeded.
    pub fn ok(&self) -> bool {
        matches!(self, Self::Code(0, _))
    }

    /// What it failed with, if it ended by itself.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Code(0, _) | Self::Hung => None,
            Self::Code(code, _) => Some(Errno::from_raw_os_error(*code)),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.errno()) {
            (Self::Hung, _) => write!(out, "hung"),
            (Self::Code(_, text), None) => write!(out, "ok: {text:?}"),
            (Self::Code(..), Some(errno)) => write!(out, "{errno}"),
        }
    }
}

/// A command that runs, and may hang.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self(command.spawn().expect("command starts"))
    }

    /// Whether it has not ended after `limit`.
    pub fn hangs_for(&self, limit: Duration) -> bool {
        !self.gone_within(limit)
    }

    /// Waits for its end; kills it after `limit`.
    ///
    /// # Panics
    /// If SIGKILL does not end it.
    pub fn within(mut self, limit: Duration) -> Ended {
        if self.gone_within(limit) {
            let mut text = String::new();
            if let Some(mut stdout) = self.0.stdout.take() {
                stdout.read_to_string(&mut text).expect("text");
            }
            let status = self.0.wait().expect("own child");
            return Ended::Code(status.code().unwrap_or(-1), text);
        }
        self.0.kill().expect("own child");
        assert!(self.gone_within(KILL_LIMIT), "SIGKILL does not end it");
        self.0.wait().expect("own child");
        Ended::Hung
    }

    fn gone_within(&self, limit: Duration) -> bool {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let pidfd = pidfd_open(pid.expect("pid"), PidfdFlags::empty()).expect("own child");
        let limit = Timespec::try_from(limit).expect("a short time");
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        poll(&mut fds, Some(&limit)).expect("poll") > 0
    }
}

/// Runs a command to its end, or kills it after `limit`.
pub fn within(limit: Duration, command: &mut Command) -> Ended {
    Running::start(command).within(limit)
}

//! Programs that run beside a member's processes: those of exec probes, `exec`, and what is to be
//! done before a stop signal. Their output is kept up to its head; they are killed at their
//! deadline.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
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
    /// The stop sequence.
    PreStop(Slot),
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

/// Sends a GET request, in a child of the keeper, where it may block; 0 if a server answered.
pub(crate) fn http_get(url: &str, timeout: Duration) -> i32 {
    let Some((host, path)) = split_url(url) else {
        return 2;
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let ask = || -> std::io::Result<usize> {
        let address = host.to_socket_addrs()?.next();
        let address = address.ok_or(std::io::ErrorKind::NotFound)?;
        let mut stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.write_all(request.as_bytes())?;
        // The answer marks the end of the hook; what it says does not matter.
        stream.read_to_end(&mut Vec::new())
    };
    i32::from(ask().is_err())
}

/// `http://host:port/path` into `host:port` and the path.
fn split_url(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    Some(match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split_into_address_and_path() {
        assert_eq!(
            split_url("http://1.2.3.4:80/a/b"),
            Some(("1.2.3.4:80", "/a/b"))
        );
        assert_eq!(split_url("http://[::1]:80"), Some(("[::1]:80", "/")));
        assert_eq!(split_url("https://x/"), None);
    }
}

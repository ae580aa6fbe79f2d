//! The host's journal, for processes that want their output there beside their log files: systemd's native
//! protocol, a datagram per line with fields that say whose it is.
//!
//! A journal that hangs must not hold up a member. What it does not take waits here, up to a limit; what is
//! beyond it is dropped, counted, and told: at once in the keeper's own log, and in the journal itself when it
//! takes something again. The files have every line.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write as _},
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::net::UnixDatagram,
    },
    path::{Path, PathBuf},
};

use berth_core::{ids::ProcessName, rendered::RenderedMember, waiting::Reason};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::host::step_failed;

/// Where the journal listens, and the socket there.
const DIRECTORY: &str = "/run/systemd/journal";
const SOCKET: &str = "socket";

/// How much waits for a journal that is busy. The keeper's memory is locked: it must stay small.
const MAX_WAITING: usize = 256 << 10;

/// A longer line is cut: it is journald's own limit for the output of a unit, and fits into a datagram.
const MAX_LINE: usize = 48 << 10;

/// journald's numbers of how bad something is.
const INFO: u8 = 6;
const WARNING: u8 = 4;

/// The way to the journal, for all processes of one member.
#[derive(Debug)]
pub(crate) struct Journal {
    socket: UnixDatagram,
    /// Its directory: a volume of the member may cover the path. None where there is no journal.
    dir: Option<OwnedFd>,
    /// The fields of every message.
    fields: Vec<u8>,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    dropped: u64,
}

impl Journal {
    /// Opens the journal of this host if a process of the member wants it.
    ///
    /// # Errors
    /// If there are no sockets. A journal that is not there is none: its lines count as dropped.
    pub(crate) fn of(member: &RenderedMember) -> Result<Option<Self>, Reason> {
        let mut all = member.init_processes.iter().chain(&member.processes);
        if !all.any(|process| process.journald) {
            return Ok(None);
        }
        Self::open(Path::new(DIRECTORY), member).map(Some)
    }

    fn open(dir: &Path, member: &RenderedMember) -> Result<Self, Reason> {
        let failed = |e: io::Error| step_failed("make a socket for the journal", e);
        let socket = UnixDatagram::unbound().map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let journal = Self {
            socket,
            dir: openat(CWD, dir, flags, Mode::empty()).ok(),
            fields: member_fields(member),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            dropped: 0,
        };
        // One that is not there now is looked for again with each line.
        drop(journal.connect());
        Ok(journal)
    }

    /// The descriptor to poll for room, while something waits for it.
    pub(crate) fn wants_room(&self) -> Option<BorrowedFd<'_>> {
        (!self.waiting.is_empty()).then(|| self.socket.as_fd())
    }

    /// Sends what waits, as far as the journal takes it, and then how much was dropped.
    pub(crate) fn flush(&mut self) {
        while let Some(message) = self.waiting.pop_front() {
            self.waiting_bytes -= message.len();
            match self.try_send(&message) {
                Ok(()) => {}
                Err(error) if is_busy(&error) => {
                    self.waiting_bytes += message.len();
                    self.waiting.push_front(message);
                    return;
                }
                Err(error) => self.drop_one(&error.to_string()),
            }
        }
        self.tell_dropped();
    }

    /// Sends a line of a process.
    fn line(&mut self, process: &ProcessName, line: &[u8]) {
        let own = format!("BERTH_PROCESS={process}\n");
        let message = self.message(INFO, own.as_bytes(), line);
        if self.waiting.is_empty() {
            match self.try_send(&message) {
                Ok(()) => return self.tell_dropped(),
                Err(error) if is_busy(&error) => {}
                Err(error) => return self.drop_one(&error.to_string()),
            }
        }
        if self.waiting_bytes + message.len() > MAX_WAITING {
            return self.drop_one("it takes nothing");
        }
        self.waiting_bytes += message.len();
        self.waiting.push_back(message);
    }

    /// In the journal: lines are missing above.
    fn tell_dropped(&mut self) {
        if self.dropped == 0 {
            return;
        }
        let text = format!(
            "{} lines are not in the journal, which did not take them; the log files have them",
            self.dropped
        );
        let own = format!("BERTH_DROPPED={}\n", self.dropped);
        let message = self.message(WARNING, own.as_bytes(), text.as_bytes());
        match self.try_send(&message) {
            Ok(()) => {}
            Err(error) if is_busy(&error) => {
                self.waiting_bytes += message.len();
                self.waiting.push_back(message);
            }
            // With the next line that it takes.
            Err(_) => return,
        }
        self.dropped = 0;
    }

    fn drop_one(&mut self, why: &str) {
        if self.dropped == 0 {
            let text = "lines are dropped that the journal does not take; the log files have them";
            drop(writeln!(io::stderr(), "{text}: {why}"));
        }
        self.dropped += 1;
    }

    fn message(&self, priority: u8, own: &[u8], line: &[u8]) -> Vec<u8> {
        let priority = format!("PRIORITY={priority}\n");
        let parts = [priority.as_bytes(), &self.fields, own, b"MESSAGE=", line];
        let mut message = parts.concat();
        message.push(b'\n');
        message
    }

    fn connect(&self) -> io::Result<()> {
        let dir = self.dir.as_ref().ok_or(ErrorKind::NotFound)?;
        let at = format!("/proc/self/fd/{}", dir.as_raw_fd());
        self.socket.connect(PathBuf::from(at).join(SOCKET))
    }

    fn try_send(&self, message: &[u8]) -> io::Result<()> {
        match self.socket.send(message) {
            Ok(_) => Ok(()),
            Err(error) if is_busy(&error) => Err(error),
            // Its socket has been made anew, or has not been there yet.
            Err(_) => {
                self.connect()?;
                self.socket.send(message).map(drop)
            }
        }
    }
}

/// Whether a journal is there and takes nothing now.
fn is_busy(error: &io::Error) -> bool {
    let no_buffers = rustix::io::Errno::NOBUFS.raw_os_error();
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(no_buffers)
}

/// What `journalctl` finds a member's lines by. None of these texts has a line feed: they are names.
fn member_fields(member: &RenderedMember) -> Vec<u8> {
    let id = &member.member;
    let fields = [
        ("SYSLOG_IDENTIFIER", id.name()),
        ("BERTH_NAMESPACE", id.set.namespace.to_string()),
        ("BERTH_SET", id.set.name.to_string()),
        ("BERTH_MEMBER", id.name()),
        ("BERTH_HOST", member.host.clone()),
    ];
    let lines = fields.map(|(name, value)| format!("{name}={value}\n"));
    lines.concat().into_bytes()
}

/// Makes lines of what a process writes.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes what was written, and sends the lines that are whole.
    pub(crate) fn take(&mut self, journal: &mut Journal, process: &ProcessName, text: &[u8]) {
        for piece in text.split_inclusive(|byte| *byte == b'\n') {
            let (piece, ends) = match piece.split_last() {
                Some((b'\n', line)) => (line, true),
                Some(_) | None => (piece, false),
            };
            for byte in piece.chunks(MAX_LINE) {
                if self.begun.len() + byte.len() > MAX_LINE {
                    self.end(journal, process);
                }
                self.begun.extend_from_slice(byte);
            }
            if ends {
                self.end(journal, process);
            }
        }
    }

    /// Sends a line that nothing is added to any more. An empty one says nothing.
    pub(crate) fn end(&mut self, journal: &mut Journal, process: &ProcessName) {
        if !self.begun.is_empty() {
            journal.line(process, &self.begun);
            self.begun.clear();
        }
    }
}

#[cfg(test)]
mod tests;

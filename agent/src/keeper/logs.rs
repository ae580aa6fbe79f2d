//! Log files of a member's processes: what a process writes to stdout and stderr goes through a
//! pipe into `<process>.log`, cut by size at the end of a line. A write that fails (a full disk)
//! loses the text and never blocks the process. What is for the journal goes there line by line, too.

use std::{
    fs::File,
    io::Write,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use berth_core::{
    ids::ProcessName,
    keeper::logs::{LogLimits, LogMove, log_name},
    waiting::Reason,
};
use rustix::{
    fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat},
    io::{Errno, read},
    pipe::{PipeFlags, pipe_with},
};

use super::journal::{Journal, Lines};
use crate::host::step_failed;

/// Read at once.
const CHUNK: usize = 16 << 10;

/// The log directory of a member, and how its files are cut.
#[derive(Debug)]
pub(crate) struct LogDir {
    /// The directory.
    pub(crate) dir: OwnedFd,
    /// When a file is cut.
    pub(crate) limits: LogLimits,
    /// If a process wants it.
    pub(crate) journal: Option<Journal>,
}

/// The log of one process.
#[derive(Debug)]
pub(crate) struct ProcessLog {
    name: ProcessName,
    file: Option<File>,
    size: u64,
    pipe: Option<OwnedFd>,
    /// Of what goes to the journal, too: the line that has begun.
    lines: Option<Lines>,
}

impl LogDir {
    fn apply(&self, moves: Vec<LogMove>) {
        for LogMove { from, to } in moves {
            // A file that is not there is none to move; any other error shows when the new file is
            // opened.
            let _ = match to {
                Some(to) => renameat(&self.dir, from, &self.dir, to),
                None => unlinkat(&self.dir, from, AtFlags::empty()),
            };
        }
    }

    fn create(&self, process: &ProcessName) -> Result<File, Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
        openat(&self.dir, log_name(process, false, 0), flags, mode).map(File::from)
    }
}

impl ProcessLog {
    pub(crate) fn new(name: ProcessName, journald: bool) -> Self {
        Self {
            name,
            file: None,
            size: 0,
            pipe: None,
            lines: journald.then(Lines::default),
        }
    }

    /// Begins the log of a new run, and returns the end of its pipe that the process writes to.
    pub(crate) fn begin_run(&mut self, dir: &LogDir) -> Result<OwnedFd, Reason> {
        let step = || format!("open the log of {}", self.name);
        dir.apply(dir.limits.new_run(&self.name));
        self.file = Some(dir.create(&self.name).map_err(|e| step_failed(step(), e))?);
        self.size = 0;
        // The process's end blocks, as a terminal or a file would.
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| step_failed(step(), e))?;
        rustix::io::ioctl_fionbio(&ours, true).map_err(|e| step_failed(step(), e))?;
        self.pipe = Some(ours);
        Ok(theirs)
    }

    /// The descriptor to poll.
    pub(crate) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Writes what is there now.
    pub(crate) fn drain(&mut self, dir: &mut LogDir) {
        let mut buffer = [0; CHUNK];
        // A process that writes without end must not keep the keeper here.
        for _ in 0..64 {
            let Some(pipe) = &self.pipe else { return };
            match read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    let text = buffer.get(..count).unwrap_or_default();
                    self.write(dir, text);
                    if let (Some(lines), Some(journal)) = (&mut self.lines, &mut dir.journal) {
                        lines.take(journal, &self.name, text);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    /// Writes what is left of a run that has ended, and reads no more of it.
    pub(crate) fn end_run(&mut self, dir: &mut LogDir) {
        self.drain(dir);
        self.pipe = None;
        if let (Some(lines), Some(journal)) = (&mut self.lines, &mut dir.journal) {
            lines.end(journal, &self.name);
        }
    }

    fn write(&mut self, dir: &LogDir, text: &[u8]) {
        let cut = match text.iter().rposition(|byte| *byte == b'\n') {
            Some(end) if dir.limits.full(self.size + text.len() as u64) => end + 1,
            // No end of a line for long: cut anyway.
            None if dir.limits.full(self.size) => 0,
            Some(_) | None => {
                self.append(text);
                return;
            }
        };
        let (head, tail) = text.split_at(cut);
        self.append(head);
        dir.apply(dir.limits.cut(&self.name));
        self.file = dir.create(&self.name).ok();
        self.size = 0;
        self.append(tail);
    }

    fn append(&mut self, text: &[u8]) {
        if let Some(file) = &mut self.file {
            self.size += text.len() as u64;
            drop(file.write_all(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use rustix::fs::CWD;

    use super::*;

    fn open(path: &Path, part_bytes: u64) -> LogDir {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        LogDir {
            dir: openat(CWD, path, flags, Mode::empty()).unwrap(),
            limits: LogLimits {
                part_bytes,
                parts: 2,
            },
            journal: None,
        }
    }

    #[test]
    fn lines_stay_whole_when_a_log_is_cut_and_runs_stay_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut logs = open(dir.path(), 10);
        let mut log = ProcessLog::new("db".parse().unwrap(), false);
        let mut pipe = File::from(log.begin_run(&logs).unwrap());
        for text in ["one two\n", "three four\nfi", "ve\n"] {
            pipe.write_all(text.as_bytes()).unwrap();
            log.drain(&mut logs);
        }
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("db.log.1"), "one two\nthree four\n");
        assert_eq!(read("db.log"), "five\n");

        drop(pipe);
        log.end_run(&mut logs);
        let mut pipe = File::from(log.begin_run(&logs).unwrap());
        pipe.write_all(b"again\n").unwrap();
        log.drain(&mut logs);
        assert_eq!(read("db.log"), "again\n");
        assert_eq!(read("db.previous.log"), "five\n");
        assert_eq!(read("db.previous.log.1"), "one two\nthree four\n");
    }

    #[test]
    fn a_line_without_end_is_cut_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut logs = open(dir.path(), 10);
        let mut log = ProcessLog::new("db".parse().unwrap(), false);
        let mut pipe = File::from(log.begin_run(&logs).unwrap());
        for _ in 0..10 {
            pipe.write_all(&[b'x'; 10]).unwrap();
            log.drain(&mut logs);
        }
        let sizes = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
        assert!(sizes("db.log") <= 20 && sizes("db.log.1") <= 20 && sizes("db.log.2") <= 20);
        assert!(!dir.path().join("db.log.3").exists());
    }
}

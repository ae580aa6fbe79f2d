//! When the payload's `main` began: a named pipe that every payload writes one line into, with the
//! clock of the moment.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, BufRead as _, BufReader},
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::Mode,
    time::{ClockId, clock_gettime},
    unistd::mkfifo,
};
use tempfile::TempDir;

use crate::machine;

/// How long a start may take before the bench gives up, in milliseconds.
const PATIENCE: u16 = 60_000;

/// A folder with the payload and its pipe, which members of any user can reach. Not below `/tmp`:
/// members have their own.
#[derive(Debug)]
pub struct Marks {
    folder: TempDir,
    lines: BufReader<File>,
}

/// One start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// As the payload was told.
    pub name: String,
    /// On the monotonic clock.
    pub at: Duration,
}

/// The monotonic clock now.
///
/// # Errors
/// If there is none.
pub fn now() -> io::Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?))
}

impl Marks {
    /// Makes the folder.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("berth-bench-")
            .tempdir_in("/var/lib")?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        fs::copy(machine::program("payload"), folder.path().join("payload"))?;
        let fifo = folder.path().join("marks");
        mkfifo(&fifo, Mode::from_bits_truncate(0o666))?;
        fs::set_permissions(&fifo, Permissions::from_mode(0o666))?;
        // Open for writing too: so there is always a writer, and never an end of file.
        let pipe = OpenOptions::new().read(true).write(true).open(&fifo)?;
        Ok(Self {
            folder,
            lines: BufReader::new(pipe),
        })
    }

    /// The payload, where members can reach it.
    pub fn payload(&self) -> PathBuf {
        self.folder.path().join("payload")
    }

    /// The pipe.
    pub fn fifo(&self) -> PathBuf {
        self.folder.path().join("marks")
    }

    /// The folder, for more files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Lets time pass, or returns early when a payload starts.
    ///
    /// # Errors
    /// If the pipe fails.
    pub fn idle(&self, time: Duration) -> io::Result<()> {
        let mut ready = [PollFd::new(self.lines.get_ref().as_fd(), PollFlags::POLLIN)];
        let time = PollTimeout::try_from(time).map_err(io::Error::other)?;
        poll(&mut ready, time)?;
        Ok(())
    }

    /// Waits for the next start.
    ///
    /// # Errors
    /// If none comes.
    pub fn wait(&mut self) -> io::Result<Mark> {
        if self.lines.buffer().is_empty() {
            let mut ready = [PollFd::new(self.lines.get_ref().as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, PollTimeout::from(PATIENCE))? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "no payload started",
                ));
            }
        }
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        parse(&line).ok_or_else(|| io::Error::other(format!("the payload wrote '{line}'")))
    }
}

fn parse(line: &str) -> Option<Mark> {
    let (name, nanos) = line.trim().rsplit_once(' ')?;
    Some(Mark {
        name: name.to_owned(),
        at: Duration::from_nanos(nanos.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_time() {
        let mark = parse("web-0 1500000000\n").unwrap();
        assert_eq!(mark.name, "web-0");
        assert_eq!(mark.at, Duration::from_millis(1500));
        assert_eq!(parse("web-0"), None);
    }
}

//! Reads what the keepers wrote: a run's log in all its parts, its last lines, and what comes.
//!
//! A log is a row of files, oldest first: the parts of the run before, then those of the current
//! run; the keeper renames them when it cuts one or begins a run. A reader keeps its file open,
//! finds it again by its inode after a rename, and goes on with the next in the row. Nothing is
//! polled: the directory is watched.

use std::{
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use berth_core::{
    ids::ProcessName,
    keeper::logs::{LogLimits, log_name},
};
use thiserror::Error;
use tokio::{
    fs::{File, metadata},
    io::{AsyncReadExt as _, AsyncSeekExt as _, SeekFrom},
    sync::mpsc,
};

use crate::host::watch::DirWatch;

/// How much is read and sent at a time.
const CHUNK: usize = 64 * 1024;

/// What to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// What comes, too; not for the run before, which does not grow.
    pub follow: bool,
    /// The run before the current one.
    pub previous: bool,
    /// The last lines only.
    pub tail_lines: Option<u32>,
}

/// Why a log cannot be read.
#[derive(Debug, Error)]
pub enum LogError {
    /// There is none.
    #[error("process {process} has no {run} log on this host; see 'berth status' for its runs")]
    None {
        /// The process.
        process: ProcessName,
        /// `current` or `previous`.
        run: &'static str,
    },
    /// It cannot be read.
    #[error("cannot read {path}; look at the agent's disk")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Reads a log into a channel. Returns when everything was sent, or nobody receives any more.
///
/// # Errors
/// If there is no log, or it cannot be read.
pub async fn read(
    dir: &Path,
    process: &ProcessName,
    query: LogQuery,
    out: &mpsc::Sender<Vec<u8>>,
) -> Result<(), LogError> {
    let log = Log { dir, process };
    let follow = query.follow && !query.previous;
    // Watched before it is read, so that nothing falls between.
    let watch = if follow {
        Some(DirWatch::new(dir).map_err(|source| log.failed(dir, source))?)
    } else {
        None
    };
    let mut parts = log.open(query.previous).await?;
    if parts.is_empty() {
        let run = if query.previous {
            "previous"
        } else {
            "current"
        };
        let process = process.clone();
        return Err(LogError::None { process, run });
    }
    if let Some(lines) = query.tail_lines {
        log.skip_to_tail(&mut parts, lines).await?;
    }
    let mut last = None;
    for mut part in parts {
        if !log.copy(&mut part, out).await? {
            return Ok(());
        }
        last = Some(part);
    }
    match (last, watch) {
        (Some(part), Some(watch)) => log.follow(part, watch, out).await,
        _ => Ok(()),
    }
}

/// How often a file is looked for that is renamed while it is: a cut is seldom, a look is short.
const LOOKS: u32 = 10;

struct Log<'a> {
    dir: &'a Path,
    process: &'a ProcessName,
}

/// One open file of the row.
struct Part {
    path: PathBuf,
    file: File,
    inode: u64,
}

impl Log<'_> {
    fn failed(&self, path: &Path, source: io::Error) -> LogError {
        if source.kind() == io::ErrorKind::NotFound {
            let process = self.process.clone();
            return LogError::None {
                process,
                run: "current",
            };
        }
        LogError::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// The files of a run, oldest first.
    fn names(&self, previous: bool) -> impl Iterator<Item = PathBuf> {
        let parts = (0..=LogLimits::default().parts).rev();
        parts.map(move |part| self.dir.join(log_name(self.process, previous, part)))
    }

    async fn open(&self, previous: bool) -> Result<Vec<Part>, LogError> {
        let mut parts = Vec::new();
        for path in self.names(previous) {
            parts.extend(self.open_part(path).await?);
        }
        Ok(parts)
    }

    async fn open_part(&self, path: PathBuf) -> Result<Option<Part>, LogError> {
        let file = match File::open(&path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.failed(&path, source)),
        };
        let about = file.metadata().await;
        let inode = about.map_err(|source| self.failed(&path, source))?.ino();
        Ok(Some(Part { path, file, inode }))
    }

    /// Sets the files so that the last lines are left to read; whole files before them are dropped.
    async fn skip_to_tail(&self, parts: &mut Vec<Part>, lines: u32) -> Result<(), LogError> {
        let mut wanted = u64::from(lines);
        // A line feed at the very end ends the last line, and begins none.
        let mut at_end = true;
        for index in (0..parts.len()).rev() {
            let part = &mut parts[index];
            let found = tail_offset(&mut part.file, &mut wanted, &mut at_end).await;
            if let Some(offset) = found.map_err(|source| self.failed(&part.path, source))? {
                let sought = part.file.seek(SeekFrom::Start(offset)).await;
                sought.map_err(|source| self.failed(&part.path, source))?;
                parts.drain(..index);
                return Ok(());
            }
            let sought = part.file.seek(SeekFrom::Start(0)).await;
            sought.map_err(|source| self.failed(&part.path, source))?;
        }
        Ok(())
    }

    /// Sends what is left of a file; false if nobody receives any more.
    async fn copy(&self, part: &mut Part, out: &mpsc::Sender<Vec<u8>>) -> Result<bool, LogError> {
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = part.file.read(&mut chunk).await;
            let n = read.map_err(|source| self.failed(&part.path, source))?;
            if n == 0 {
                return Ok(!out.is_closed());
            }
            chunk.truncate(n);
            if out.send(chunk).await.is_err() {
                return Ok(false);
            }
        }
    }

    async fn follow(
        &self,
        mut part: Part,
        mut watch: DirWatch,
        out: &mpsc::Sender<Vec<u8>>,
    ) -> Result<(), LogError> {
        loop {
            // Looked for before the rest is read: what is written to a file that is renamed
            // already is in that rest.
            let newer = self.newer(&part).await?;
            if !self.copy(&mut part, out).await? {
                return Ok(());
            }
            if let Some(next) = newer {
                part = next;
                continue;
            }
            tokio::select! {
                changed = watch.changed() => {
                    changed.map_err(|source| self.failed(self.dir, source))?;
                }
                () = out.closed() => return Ok(()),
            }
        }
    }

    /// The file that comes after ours, wherever ours has been renamed to. If ours is gone, the
    /// oldest of the current run.
    async fn newer(&self, ours: &Part) -> Result<Option<Part>, LogError> {
        let row: Vec<PathBuf> = self.names(true).chain(self.names(false)).collect();
        // One that somebody moved away counts as gone.
        let mut from = row.len() / 2;
        for _ in 0..LOOKS {
            // Asked before the names are: a file that has one and is not among them was renamed
            // while they were looked through.
            let about = ours.file.metadata().await;
            let links = about
                .map_err(|source| self.failed(&ours.path, source))?
                .nlink();
            if let Some(place) = self.place(&row, ours.inode).await? {
                from = place + 1;
                break;
            }
            if links == 0 {
                break;
            }
        }
        for path in row.into_iter().skip(from) {
            if let Some(part) = self.open_part(path).await? {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }

    /// Under which of the names a file is.
    async fn place(&self, row: &[PathBuf], inode: u64) -> Result<Option<usize>, LogError> {
        let mut found = None;
        for (index, path) in row.iter().enumerate() {
            match metadata(path).await {
                Ok(about) if about.ino() == inode => found = Some(index),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(self.failed(path, source)),
            }
        }
        Ok(found)
    }
}

/// Where in a file the last lines begin, counting down those that it holds; `None` if it has not
/// enough of them.
async fn tail_offset(
    file: &mut File,
    wanted: &mut u64,
    at_end: &mut bool,
) -> io::Result<Option<u64>> {
    let mut end = file.metadata().await?.len();
    if *wanted == 0 {
        return Ok(Some(end));
    }
    let mut block = vec![0; CHUNK];
    while end > 0 {
        let size = end.min(CHUNK as u64);
        let begin = end - size;
        let part = &mut block[..usize::try_from(size).unwrap_or(CHUNK)];
        file.seek(SeekFrom::Start(begin)).await?;
        file.read_exact(part).await?;
        for (index, byte) in part.iter().enumerate().rev() {
            let ends_the_log = std::mem::take(at_end);
            if *byte != b'\n' || ends_the_log {
                continue;
            }
            *wanted -= 1;
            if *wanted == 0 {
                return Ok(Some(begin + index as u64 + 1));
            }
        }
        end = begin;
    }
    Ok(None)
}

#[cfg(test)]
mod tests;

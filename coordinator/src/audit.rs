//! The audit log on disk: `audit/audit.log` in the data directory, with older ones beside it as
//! `audit.log.1` and so on. What a line is, is said in [`berth_core::audit`].
//!
//! One thread writes. It takes all entries that have arrived, appends them, syncs once, and answers
//! only then: what was asked is on disk before it is done. If it cannot be written, the file is cut back
//! to what was whole, and whoever asked is refused.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use berth_core::audit::{Chain, Entry, FILE, KEPT, Line, Listing, Wanted, file_names, older};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;

/// The directory, in the data directory.
pub const DIRECTORY: &str = "audit";
/// A file that is larger is put aside.
const LARGEST: u64 = 16 << 20;
/// Entries that may wait; who comes later waits before he enters.
const QUEUE: usize = 1_024;
/// The most entries that are synced together.
const GROUP: usize = 256;
/// The longest line that is looked for at the end of a file.
const LINE: u64 = 256 << 10;

/// Why something is not written down.
#[derive(Debug, Clone, Error)]
pub enum AuditError {
    /// A file or the directory.
    #[error(
        "the audit log {} cannot be written, and nothing is done without it; make room, or repair the \
         disk", path.display()
    )]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A file cannot be read.
    #[error("the audit log {} cannot be read; look at its permissions and the disk", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// An entry has no form.
    #[error("an entry of the audit log cannot be encoded; report this")]
    Encode(#[source] Arc<serde_json::Error>),
    /// The writer has ended.
    #[error("the audit log is closed; the coordinator is ending")]
    Closed,
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
struct Keep {
    largest: u64,
    files: u32,
}

type Reply = oneshot::Sender<Result<(), AuditError>>;

#[derive(Debug)]
struct Request {
    entry: Entry,
    reply: Option<Reply>,
}

/// The way to the log; cheap to clone. The file is closed when the last one is dropped.
#[derive(Debug, Clone)]
pub struct AuditLog {
    requests: mpsc::Sender<Request>,
    calls: Arc<AtomicU64>,
    path: Arc<Path>,
}

impl AuditLog {
    /// Opens the log in a data directory, and goes on where it ends.
    ///
    /// # Errors
    /// If it cannot be opened, or no thread can be started.
    pub fn open(data_dir: &Path, clock: Clock) -> Result<Self, AuditError> {
        let keep = Keep {
            largest: LARGEST,
            files: KEPT,
        };
        Self::start(Writer::open(&data_dir.join(DIRECTORY), keep)?, clock)
    }

    fn start(mut writer: Writer, clock: Clock) -> Result<Self, AuditError> {
        let (requests, mut queue) = mpsc::channel(QUEUE);
        let path = writer.path.clone();
        let at = Arc::from(path.as_path());
        let run = move || {
            while let Some(first) = queue.blocking_recv() {
                let mut group: Vec<Request> = vec![first];
                while let Some(next) = (group.len() < GROUP).then(|| queue.try_recv().ok()) {
                    match next {
                        Some(next) => group.push(next),
                        None => break,
                    }
                }
                writer.group(group, clock);
            }
        };
        let thread = std::thread::Builder::new().name("audit".to_owned());
        thread.spawn(run).map_err(|source| file(&path)(source))?;
        Ok(Self {
            requests,
            calls: Arc::default(),
            path: at,
        })
    }

    /// Calls that are in the log, the oldest first. It reads files, and whoever asks may block.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn list(&self, wanted: Wanted) -> Result<Vec<Line>, AuditError> {
        let mut listing = Listing::new(wanted);
        let names: Vec<String> = file_names().collect();
        for name in names.into_iter().rev() {
            let path = self.path.with_file_name(name);
            let text = match fs::read(&path) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => {
                    let source = Arc::new(source);
                    return Err(AuditError::Read { path, source });
                }
            };
            if !text.lines().rev().all(|line| listing.take(line)) {
                break;
            }
        }
        Ok(listing.found())
    }

    /// The number of a new call.
    pub fn call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Writes an entry; returns once it is on disk.
    ///
    /// # Errors
    /// If it is not: then nothing may be done on its account.
    pub async fn write(&self, entry: Entry) -> Result<(), AuditError> {
        let (reply, answer) = oneshot::channel();
        let reply = Some(reply);
        let sent = self.requests.send(Request { entry, reply }).await;
        sent.map_err(|_| AuditError::Closed)?;
        answer.await.unwrap_or(Err(AuditError::Closed))
    }

    /// Writes what came of something that was asked, without waiting: that is in the log already.
    pub fn note(&self, entry: Entry) {
        let reply = None;
        if self.requests.try_send(Request { entry, reply }).is_err() {
            tracing::warn!("an answer is not in the audit log: its queue is full or closed");
        }
    }
}

/// What the thread owns.
struct Writer {
    path: PathBuf,
    file: File,
    /// Bytes of the file that are whole lines.
    length: u64,
    chain: Chain,
    keep: Keep,
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> AuditError + use<> {
    let path = path.to_owned();
    move |source| AuditError::File {
        path,
        source: Arc::new(source),
    }
}

impl Writer {
    fn open(directory: &Path, keep: Keep) -> Result<Self, AuditError> {
        let path = directory.join(FILE);
        let open = || -> io::Result<Self> {
            let made = berth_pki::private::directory(directory);
            made.map_err(io::Error::other)?;
            let mut file = append_to(&path)?;
            let (length, last) = whole(&mut file)?;
            // A line that was cut off told of nothing that was done.
            file.set_len(length)?;
            let mut chain = last.as_deref().map(Chain::after);
            if chain.is_none() {
                // It was put aside just before the end.
                let before = File::open(aside(&path, 1)).and_then(|mut file| whole(&mut file));
                let before = before.ok().and_then(|(_, last)| last);
                chain = before.as_deref().map(Chain::after);
            }
            Ok(Self {
                path: path.clone(),
                file,
                length,
                chain: chain.unwrap_or_default(),
                keep,
            })
        };
        open().map_err(file(&path))
    }

    fn group(&mut self, group: Vec<Request>, clock: Clock) {
        let (entries, replies): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|request| (request.entry, request.reply))
            .unzip();
        let written = self.append(entries, clock);
        if let Err(error) = &written {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "calls are refused: they cannot be written down"
            );
        }
        for reply in replies.into_iter().flatten() {
            // Who asked may have gone.
            reply.send(written.clone()).ok();
        }
    }

    fn append(&mut self, entries: Vec<Entry>, clock: Clock) -> Result<(), AuditError> {
        if self.length >= self.keep.largest {
            self.rotate().map_err(file(&self.path))?;
        }
        let mut chain = self.chain.clone();
        let mut text = String::new();
        for entry in entries {
            let line = chain.line(clock.now(), entry);
            text.push_str(&line.map_err(|error| AuditError::Encode(Arc::new(error)))?);
        }
        let written = self.file.write_all(text.as_bytes());
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // What is there of it was not answered: the chain goes on from what was.
            if let Err(error) = self.file.set_len(self.length) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a part of a line is left"
                );
            }
            return Err(file(&self.path)(error));
        }
        self.length += u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.chain = chain;
        Ok(())
    }

    /// Puts the file aside, and forgets the oldest one.
    fn rotate(&mut self) -> io::Result<()> {
        for n in (1..self.keep.files).rev() {
            rename(&aside(&self.path, n), &aside(&self.path, n + 1))?;
        }
        rename(&self.path, &aside(&self.path, 1))?;
        self.file = append_to(&self.path)?;
        self.length = 0;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(true).mode(0o600);
    options.open(path)
}

fn aside(path: &Path, n: u32) -> PathBuf {
    path.with_file_name(older(n))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// How many bytes of a file are whole lines, and the last of those.
fn whole(file: &mut File) -> io::Result<(u64, Option<String>)> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(2 * LINE);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(2 * LINE).read_to_end(&mut end)?;
    let Some(last) = end.iter().rposition(|byte| *byte == b'\n') else {
        return Ok((0, None));
    };
    let torn = end.len() - (last + 1);
    let lines = end.get(..last).unwrap_or_default();
    let line = lines.rsplit(|byte| *byte == b'\n').next();
    let line = line.map(|line| String::from_utf8_lossy(line).into_owned());
    Ok((length - u64::try_from(torn).unwrap_or(0), line))
}

#[cfg(test)]
mod tests;

//! The ledger on disk: `<dataDir>/ledger`. What is in it and why is said in
//! [`berth_core::ledger`]; here is how it becomes durable. Secrets in it are sealed with the host's
//! [`key`].
//!
//! One thread owns the file. It appends, calls fdatasync, and only then applies and answers, so
//! that memory never knows more than the disk. Records that arrive while it syncs go into one frame
//! together. After a failed write nothing is known of the file any more: the ledger refuses all
//! further records and says so to whoever waits for it in
//! [`LedgerStore::failed`]: the agent ends, its members run on.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use berth_core::ledger::{DecodeError, Ledger, Record, decode, encode_frame, encode_new};
use berth_pki::PkiError;
use thiserror::Error;
use tokio::sync::{oneshot, watch};

mod key;

use key::HostKey;

/// Frames after which the file is written anew.
const COMPACT_FRAMES: usize = 1000;
/// How long the lock may be held by what an earlier agent left. Who has it longer is another agent.
const LOCK_LIMIT: Duration = Duration::from_secs(1);

/// Why the ledger cannot be used.
#[derive(Debug, Clone, Error)]
pub enum LedgerError {
    /// The file cannot be opened, read or written.
    #[error("cannot {what} {path}; make room or repair the disk, then start the agent again")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// The file is not what was written.
    #[error("{path} cannot be read")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// Another agent uses the directory.
    #[error("{path} is locked; another agent uses this dataDir, stop it")]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The key does not fit.
    #[error(
        "{path} is not the key that the secrets in the ledger are sealed with; put the key back, or \
         remove the ledger, too, and let the coordinator send the order again"
    )]
    Key {
        /// The key.
        path: PathBuf,
    },
    /// The key's file cannot be used.
    #[error(transparent)]
    KeyFile(Arc<PkiError>),
    /// A record has no form on disk.
    #[error("a record cannot be encoded; report this")]
    Encode {
        /// What is wrong with it.
        #[source]
        source: Arc<serde_json::Error>,
    },
    /// An earlier write failed.
    #[error("the ledger failed before; start the agent again")]
    Failed,
}

/// The way to the ledger. Cheap to clone; the file is closed and unlocked when the last clone is
/// dropped.
#[derive(Debug, Clone)]
pub struct LedgerStore {
    shared: Arc<Mutex<Ledger>>,
    thread: Arc<WriterThread>,
    failure: watch::Receiver<Option<LedgerError>>,
}

#[derive(Debug)]
struct WriterThread {
    writes: Option<mpsc::Sender<Write>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.writes.take();
        if let Some(thread) = self.thread.take() {
            // It ends by itself, without a queue; what it could say was said to its askers.
            drop(thread.join());
        }
    }
}

#[derive(Debug)]
struct Write {
    records: Vec<Record>,
    done: oneshot::Sender<Result<(), LedgerError>>,
}

impl LedgerStore {
    /// Opens the ledger in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// If another agent uses it, or it cannot be read. A frame that a power cut tore is dropped:
    /// nothing was done on its account.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        Writer::open(dir).map(Writer::start)
    }

    /// A store whose writes fail, as on a disk that is full.
    #[cfg(test)]
    pub(crate) fn open_full(dir: &Path) -> Result<Self, LedgerError> {
        let mut writer = Writer::open(dir)?;
        let full = Path::new("/dev/full");
        let file = OpenOptions::new().write(true).open(full);
        writer.file = Some(file.map_err(|source| failed("open", full, source))?);
        Ok(writer.start())
    }

    /// What is durable now. Do not hold it across anything that waits.
    pub fn read(&self) -> MutexGuard<'_, Ledger> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes records durable, then visible.
    ///
    /// # Errors
    /// If they may not be durable: nothing may be done on their account, and the agent has to end.
    pub async fn write(&self, records: Vec<Record>) -> Result<(), LedgerError> {
        let (done, written) = oneshot::channel();
        let writes = self.thread.writes.as_ref().ok_or(LedgerError::Failed)?;
        writes
            .send(Write { records, done })
            .map_err(|_| LedgerError::Failed)?;
        written.await.unwrap_or(Err(LedgerError::Failed))
    }

    /// Returns when a write has failed, whoever asked for it, with the cause.
    pub async fn failed(&self) -> LedgerError {
        let mut failure = self.failure.clone();
        let failed = failure.wait_for(Option::is_some).await;
        // Without its thread nothing is written any more either.
        failed.map_or(LedgerError::Failed, |error| {
            error.clone().unwrap_or(LedgerError::Failed)
        })
    }

    /// Makes a record durable if it says something new.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn note(&self, record: Record) -> Result<(), LedgerError> {
        if !self.read().is_news(&record) {
            return Ok(());
        }
        self.write(vec![record]).await
    }
}

struct Writer {
    file: Option<File>,
    key: HostKey,
    _lock: File,
    dir: PathBuf,
    path: PathBuf,
    frames: usize,
    shared: Arc<Mutex<Ledger>>,
    failed: watch::Sender<Option<LedgerError>>,
}

impl Writer {
    fn open(dir: &Path) -> Result<Self, LedgerError> {
        fs::create_dir_all(dir).map_err(|source| failed("make", dir, source))?;
        let lock = lock(dir)?;
        let path = dir.join("ledger");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(failed("read", &path, source)),
        };
        let mut decoded = decode(&bytes).map_err(|source| LedgerError::Damaged {
            path: path.clone(),
            source,
        })?;
        let key = HostKey::open(dir)?;
        for secret in decoded.ledger.secrets_mut() {
            *secret = key.unseal(secret)?;
        }
        let shared = Arc::new(Mutex::new(decoded.ledger));
        let mut writer = Self {
            file: None,
            key,
            _lock: lock,
            dir: dir.to_owned(),
            path,
            frames: decoded.frames,
            shared: Arc::clone(&shared),
            failed: watch::Sender::new(None),
        };
        // Also cuts off a torn frame, and makes the file of a new agent.
        writer.compact()?;
        Ok(writer)
    }

    /// Starts the thread.
    fn start(self) -> LedgerStore {
        let (shared, failure) = (Arc::clone(&self.shared), self.failed.subscribe());
        let (writes, queue) = mpsc::channel();
        let thread = thread::spawn(move || self.run(&queue));
        let thread = Arc::new(WriterThread {
            writes: Some(writes),
            thread: Some(thread),
        });
        LedgerStore {
            shared,
            thread,
            failure,
        }
    }

    fn run(mut self, queue: &mpsc::Receiver<Write>) {
        while let Ok(first) = queue.recv() {
            let batch: Vec<Write> = std::iter::once(first).chain(queue.try_iter()).collect();
            let records: Vec<Record> = batch.iter().flat_map(|w| w.records.clone()).collect();
            let result = self.append(&records);
            if let Err(error) = &result {
                self.failed.send_replace(Some(error.clone()));
            }
            for write in batch {
                // An asker that went away needs no answer.
                drop(write.done.send(result.clone()));
            }
            if result.is_err() {
                return;
            }
        }
    }

    fn append(&mut self, records: &[Record]) -> Result<(), LedgerError> {
        let mut sealed = records.to_vec();
        for secret in sealed.iter_mut().flat_map(Record::secrets_mut) {
            *secret = self.key.seal(secret)?;
        }
        let frame = encode_frame(&sealed).map_err(unencodable)?;
        let wrap = |source| failed("write", &self.path, source);
        let file = self.file.as_mut().ok_or(LedgerError::Failed)?;
        file.write_all(&frame).map_err(wrap)?;
        file.sync_data().map_err(wrap)?;
        {
            let mut ledger = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            records.iter().for_each(|record| ledger.apply(record));
        }
        self.frames += 1;
        if self.frames >= COMPACT_FRAMES {
            self.compact()?;
        }
        Ok(())
    }

    /// Writes everything into a new file and puts it in the place of the old one.
    fn compact(&mut self) -> Result<(), LedgerError> {
        let mut sealed = {
            let ledger = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.clone()
        };
        for secret in sealed.secrets_mut() {
            *secret = self.key.seal(secret)?;
        }
        let bytes = encode_new(&sealed).map_err(unencodable)?;
        let new = self.path.with_extension("new");
        let wrap = |source| failed("write", &new, source);
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .map_err(wrap)?;
        file.write_all(&bytes).map_err(wrap)?;
        file.sync_all().map_err(wrap)?;
        fs::rename(&new, &self.path).map_err(|source| failed("replace", &self.path, source))?;
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|source| failed("sync", &self.dir, source))?;
        self.file = Some(file);
        self.frames = 1;
        Ok(())
    }
}

/// Locks the directory. An agent that was killed while it started a keeper or a helper leaves a child
/// behind that has the lock, and every socket, until it executes its program: for that it is waited.
fn lock(dir: &Path) -> Result<File, LedgerError> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(|source| failed("open", &path, source))?;
    let (locked, lock) = mpsc::channel();
    // It ends with the lock, or with the agent.
    thread::spawn(move || {
        let result = file.lock().map(|()| file);
        // Who waited for it may have gone.
        drop(locked.send(result));
    });
    match lock.recv_timeout(LOCK_LIMIT) {
        Ok(result) => result.map_err(|source| failed("lock", &path, source)),
        Err(_) => Err(LedgerError::Locked { path }),
    }
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> LedgerError {
    LedgerError::Io {
        what,
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

fn unencodable(source: serde_json::Error) -> LedgerError {
    let source = Arc::new(source);
    LedgerError::Encode { source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use berth_core::{
        ids::{Epoch, TemplateHash},
        order::{ConfigData, Desired, MemberOrder, OrderDelta, OrderHead, RenderValues},
        spec::Sealed,
    };

    use super::*;

    fn held(n: usize) -> Record {
        Record::Held {
            member: format!("a/x-{n}").parse().unwrap(),
            held: true,
        }
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_a_restart_and_after_compaction() {
        let dir = tempfile::tempdir().unwrap();
        let store = LedgerStore::open(dir.path()).unwrap();
        let writes = (0..COMPACT_FRAMES + 5).map(|n| store.write(vec![held(n)]));
        for result in futures_util::future::join_all(writes).await {
            result.unwrap();
        }
        let before = store.read().clone();
        assert_eq!(before.held.len(), COMPACT_FRAMES + 5);
        drop(store);
        assert_eq!(*LedgerStore::open(dir.path()).unwrap().read(), before);
    }

    #[tokio::test]
    async fn the_file_is_written_anew_once_it_has_many_frames() {
        let dir = tempfile::tempdir().unwrap();
        let store = LedgerStore::open(dir.path()).unwrap();
        for n in 0..COMPACT_FRAMES {
            store.write(vec![held(n % 3)]).await.unwrap();
        }
        let lines = fs::read_to_string(dir.path().join("ledger")).unwrap();
        assert!(lines.lines().count() < 10, "{}", lines.lines().count());
    }

    #[tokio::test]
    async fn a_torn_frame_is_cut_off_and_writing_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = LedgerStore::open(dir.path()).unwrap();
        store.write(vec![held(1)]).await.unwrap();
        drop(store);
        drop(LedgerStore::open(dir.path()).unwrap());
        let path = dir.path().join("ledger");
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend(b"0123456789abcdef [{\"rec");
        fs::write(&path, bytes).unwrap();
        let store = LedgerStore::open(dir.path()).unwrap();
        store.write(vec![held(2)]).await.unwrap();
        drop(store);
        assert_eq!(LedgerStore::open(dir.path()).unwrap().read().held.len(), 2);
    }

    #[tokio::test]
    async fn a_damaged_file_is_an_error_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ledger"), "something else\n").unwrap();
        let error = LedgerStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
        assert_eq!(
            fs::read_to_string(dir.path().join("ledger")).unwrap(),
            "something else\n"
        );
    }

    #[test]
    fn a_second_agent_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = LedgerStore::open(dir.path()).unwrap();
        assert!(matches!(
            LedgerStore::open(dir.path()),
            Err(LedgerError::Locked { .. })
        ));
    }

    #[test]
    fn a_lock_that_is_let_go_of_in_time_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (opened, open) = mpsc::channel();
        let at = dir.path().to_owned();
        let first = LedgerStore::open(&at).unwrap();
        let second = thread::spawn(move || {
            opened.send(()).unwrap();
            LedgerStore::open(&at).map(drop)
        });
        open.recv().unwrap();
        drop(first);
        second.join().unwrap().unwrap();
    }

    /// An order with a secret.
    fn secret(value: &str) -> Record {
        let config = ConfigData {
            secrets: [(
                "db".to_owned(),
                [("password".to_owned(), Sealed::new(value.to_owned()))].into(),
            )]
            .into(),
            ..ConfigData::default()
        };
        let order = MemberOrder {
            member: "a/x-0".parse().unwrap(),
            epoch: Epoch::default(),
            desired: Desired::Run,
            revision: TemplateHash("r".to_owned()),
            lease: None,
            depends_on: Vec::new(),
            template: Arc::default(),
            values: RenderValues::default(),
            volumes: Vec::new(),
            config,
        };
        Record::Order(OrderDelta {
            head: OrderHead::default(),
            base: None,
            upserts: vec![order],
            removals: Vec::new(),
        })
    }

    fn password(store: &LedgerStore) -> String {
        let ledger = store.read();
        let order = ledger.members.values().next().unwrap();
        order.config.secrets["db"]["password"].expose().to_owned()
    }

    #[tokio::test]
    async fn secrets_are_sealed_on_disk_and_there_after_a_boot() {
        let dir = tempfile::tempdir().unwrap();
        let text = || fs::read_to_string(dir.path().join("ledger")).unwrap();
        let store = LedgerStore::open(dir.path()).unwrap();
        store.write(vec![secret("hunter2")]).await.unwrap();
        assert!(text().contains("password") && !text().contains("hunter2"));
        drop(store);
        let store = LedgerStore::open(dir.path()).unwrap();
        assert_eq!(password(&store), "hunter2");
        assert!(!text().contains("hunter2"), "nor when it was written anew");
        drop(store);
        // Of a copy of the ledger alone, nothing is known.
        let key = dir.path().join("host-key");
        fs::rename(&key, dir.path().join("elsewhere")).unwrap();
        let error = LedgerStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, LedgerError::Key { .. }), "{error}");
        fs::rename(dir.path().join("elsewhere"), &key).unwrap();
        assert_eq!(password(&LedgerStore::open(dir.path()).unwrap()), "hunter2");
        let open = fs::Permissions::from_mode(0o640);
        fs::set_permissions(&key, open).unwrap();
        let error = LedgerStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, LedgerError::KeyFile(_)), "{error}");
    }

    #[tokio::test]
    async fn what_an_older_agent_wrote_is_sealed_when_it_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::default();
        ledger.apply(&secret("hunter2"));
        let path = dir.path().join("ledger");
        fs::write(&path, encode_new(&ledger).unwrap()).unwrap();
        let store = LedgerStore::open(dir.path()).unwrap();
        assert_eq!(password(&store), "hunter2");
        assert!(!fs::read_to_string(&path).unwrap().contains("hunter2"));
    }

    #[tokio::test]
    async fn what_is_known_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = LedgerStore::open(dir.path()).unwrap();
        store.note(held(1)).await.unwrap();
        let size = fs::metadata(dir.path().join("ledger")).unwrap().len();
        store.note(held(1)).await.unwrap();
        assert_eq!(fs::metadata(dir.path().join("ledger")).unwrap().len(), size);
    }
}

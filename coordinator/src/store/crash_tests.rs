//! Crash images: everything that the store writes and syncs is recorded, and the disk is cut off at every
//! point of it: with what was not synced gone, there, there in part, in another order, or torn in the
//! middle of a write. Each image opens and holds every change that was acknowledged by then, and of
//! the others the first so many. With a bit flipped anywhere but in one byte it holds as many, or is
//! refused.
//!
//! `BERTH_CRASH_IMAGES` says how many images there are; `BERTH_CRASH_SEED` which.

#![expect(
    clippy::print_stderr,
    reason = "how many images were tried is the result"
)]

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Instant,
};

use berth_core::{
    ids::Revision,
    spec::Kind,
    store::{Keep, Key, RecordKind, Value},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use redb::StorageBackend;

use super::*;

const KEEP_FEW: Keep = Keep {
    commits: 20,
    events: 4,
};
/// Commits that are recorded.
const COMMITS: u64 = 40;
/// Images of one run.
const IMAGES: u64 = 12_000;
/// The byte of the file that says which of the last two commits counts: nothing checks it, and with a
/// bit flipped there the last one may be rolled back.
const UNCHECKED: usize = 9;
/// What a disk writes whole, or not at all.
const SECTOR: usize = 512;

/// Something that a disk is told, or that somebody else was told meanwhile.
#[derive(Debug, Clone)]
enum Op {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
    /// So many commits were acknowledged by now.
    Acknowledged(usize),
}

/// A disk that remembers what it was told.
#[derive(Debug, Clone, Default)]
struct Recorder(Arc<Mutex<(Vec<u8>, Vec<Op>)>>);

impl Recorder {
    fn note(&self, op: Op) {
        let mut content = self.0.lock().unwrap();
        let (bytes, ops) = &mut *content;
        apply(bytes, &op);
        ops.push(op);
    }
}

fn apply(bytes: &mut Vec<u8>, op: &Op) {
    match op {
        Op::Write(at, data) => {
            let end = at + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(data);
        }
        Op::SetLen(len) => bytes.resize(*len, 0),
        Op::Sync | Op::Acknowledged(_) => {}
    }
}

impl StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().0.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        let content = self.0.lock().unwrap();
        let bytes = content.0.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.note(Op::SetLen(usize::try_from(len).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.note(Op::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.note(Op::Write(usize::try_from(offset).unwrap(), data.to_vec()));
        Ok(())
    }
}

fn open_image(bytes: Vec<u8>) -> Result<Opened, StoreError> {
    let disk = Recorder(Arc::new(Mutex::new((bytes, Vec::new()))));
    let database = Database::builder()
        .create_with_backend(disk)
        .map_err(redb::Error::from)?;
    load::load(load::verified(database)?, KEEP_FEW, Keyring::fixed(&[1]))
}

/// What a busy store writes, and its model after each commit.
fn record() -> (Vec<Op>, Vec<Model>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let disk = Recorder::default();
    let mut models = Vec::new();
    let mut rng = StdRng::seed_from_u64(1);
    // A second start in the middle: what it does to the file may be cut off too.
    for _ in 0..2 {
        let database = Database::builder()
            .create_with_backend(disk.clone())
            .unwrap();
        let opened = load::load(
            load::verified(database).unwrap(),
            KEEP_FEW,
            Keyring::fixed(&[1]),
        )
        .unwrap();
        let (store, thread) = opened
            .start(Box::new(|_| ()), Box::new(|error| panic!("{error}")))
            .unwrap();
        if models.is_empty() {
            models.push(store.read().clone());
        }
        disk.note(Op::Acknowledged(models.len() - 1));
        for _ in 0..COMMITS / 2 {
            runtime.block_on(store.commit(batch(&mut rng))).unwrap();
            models.push(store.read().clone());
            disk.note(Op::Acknowledged(models.len() - 1));
        }
        drop(store);
        thread.join().unwrap();
    }
    let ops = std::mem::take(&mut disk.0.lock().unwrap().1);
    (ops, models)
}

/// Some records are put and some deleted; a few are larger than a page.
fn batch(rng: &mut StdRng) -> Batch {
    let mut batch = Batch::default();
    for _ in 0..=rng.random_range(0..4) {
        let name = format!("default/k{}", rng.random_range(0..12));
        let kind = [RecordKind::Object(Kind::ConfigMap), RecordKind::Host][rng.random_range(0..2)];
        let key = Key::new(kind, name.parse().unwrap());
        let size = if rng.random_ratio(1, 8) {
            6000
        } else {
            1 + rng.random_range(0..200)
        };
        let letter = rng.random_range(b'a'..=b'z');
        if rng.random_ratio(1, 4) {
            batch.puts.remove(&key);
            batch.deletes.insert(key);
        } else {
            batch.deletes.remove(&key);
            batch.puts.insert(key, Value::from(vec![letter; size]));
        }
    }
    batch
}

/// The point at which the power fails, and what the disk surely has by then.
struct Cut<'a> {
    synced: &'a [u8],
    /// What was written and not synced.
    pending: &'a [Op],
    /// Commits that were acknowledged.
    least: usize,
}

/// What may be on the disk: of what was not synced everything, nothing, or any part of it.
fn image(cut: &Cut<'_>, rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = cut.synced.to_vec();
    let mode = rng.random_range(0..4);
    for op in cut.pending {
        match (mode, op) {
            (0, _) => {}
            (1, _) => apply(&mut bytes, op),
            // Any of them, as a disk that writes in another order leaves it.
            (2, _) => {
                if rng.random_bool(0.5) || matches!(op, Op::SetLen(_)) {
                    apply(&mut bytes, op);
                }
            }
            // Some sectors of each.
            (_, Op::Write(at, data)) => {
                for (index, sector) in data.chunks(SECTOR).enumerate() {
                    if rng.random_bool(0.5) {
                        apply(&mut bytes, &Op::Write(at + index * SECTOR, sector.to_vec()));
                    }
                }
            }
            (_, op) => apply(&mut bytes, op),
        }
    }
    bytes
}

/// Turns a bit over, most likely where something was written; where that was.
fn flip(bytes: &mut [u8], rng: &mut StdRng) -> usize {
    let mut byte = rng.random_range(0..bytes.len());
    for _ in 0..100 {
        if bytes[byte] != 0 {
            break;
        }
        byte = rng.random_range(0..bytes.len());
    }
    bytes[byte] ^= 1 << rng.random_range(0..8);
    byte
}

/// Opens an image; which commit it holds, or why it is refused.
fn opened(bytes: Vec<u8>, models: &[Model]) -> Result<usize, String> {
    let opened = catch_unwind(AssertUnwindSafe(|| open_image(bytes)))
        .map_err(|_| "it panics".to_owned())?
        .map_err(|error| format!("refused: {error}"))?;
    let held = models.iter().rposition(|model| model == opened.model());
    held.ok_or_else(|| "it holds what was never committed".to_owned())
}

#[test]
fn every_crash_image_holds_what_was_acknowledged() {
    let begun = Instant::now();
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let images = number("BERTH_CRASH_IMAGES").unwrap_or(IMAGES);
    let mut rng = StdRng::seed_from_u64(number("BERTH_CRASH_SEED").unwrap_or(7));
    let (ops, models) = record();
    assert!(models.last().unwrap().revision() > Revision(COMMITS / 2));
    let each = usize::try_from(images).unwrap().div_ceil(ops.len());
    // A file that was never made whole holds nothing, and may be refused.
    let mut made = false;
    let (mut synced, mut from, mut least, mut tried, mut refused) =
        (Vec::new(), 0, 0, 0_u64, 0_u64);
    for at in 0..=ops.len() {
        let cut = Cut {
            synced: &synced,
            pending: &ops[from..at],
            least,
        };
        for _ in 0..each {
            let mut bytes = image(&cut, &mut rng);
            tried += 1;
            let flips = rng.random_ratio(1, 4) && !bytes.is_empty();
            let flipped = flips.then(|| flip(&mut bytes, &mut rng));
            match opened(bytes, &models) {
                Ok(held) if flipped == Some(UNCHECKED) || held >= cut.least => {}
                Err(why) if (flips || !made) && why.starts_with("refused") => refused += 1,
                other => panic!(
                    "cut after {at} of {} (image {tried}, flipped: {flipped:?}): {other:?}, and {} \
                     commits were acknowledged",
                    ops.len(),
                    cut.least
                ),
            }
        }
        match ops.get(at) {
            Some(Op::Sync) => {
                for op in &ops[from..at] {
                    apply(&mut synced, op);
                }
                from = at;
            }
            Some(Op::Acknowledged(count)) => {
                made = true;
                least = *count;
            }
            Some(Op::Write(..) | Op::SetLen(_)) | None => {}
        }
    }
    eprintln!(
        "{tried} images of {} writes, {refused} of them refused, in {:?}",
        ops.len(),
        begun.elapsed()
    );
}

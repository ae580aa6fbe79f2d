//! Crash images of the ledger: the file is cut off at every byte that was being written, with what was
//! written there, in part, torn in the middle, or with a bit turned over. Each image is read, and holds
//! every record that was acknowledged by then; or, with a bit turned over, the first so many, or is
//! refused. A part of the images is opened as an agent opens its ledger.
//!
//! `BERTH_CRASH_IMAGES` says how many images there are; `BERTH_CRASH_SEED` which.

#![expect(clippy::unwrap_used, reason = "a test without its files has failed")]
#![expect(
    clippy::print_stderr,
    reason = "how many images were tried is the result"
)]

use std::{fs, path::Path, time::Instant};

use berth_agent::ledger::LedgerStore;
use berth_core::{
    ids::{Epoch, MemberId, RunId, RunNumber, Term},
    ledger::{Ledger, Record, decode},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// Records that are written one by one: enough for the file to be written anew in between.
const RECORDS: usize = 1_040;
/// After about so many the file is written anew.
const ANEW: usize = 1_000;
/// Images are made of the first of them, and of the last few before that and all after it.
const STEPS: usize = 100;
const FEW: usize = 10;
/// Images of one run.
const IMAGES: usize = 10_000;
/// Every so many of them is opened by an agent, which syncs.
const OPENED: usize = 50;
/// What a disk writes whole, or not at all.
const SECTOR: usize = 512;

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

fn records(rng: &mut StdRng) -> Vec<Record> {
    let member: MemberId = format!("default/x-{}", rng.random_range(0..5))
        .parse()
        .unwrap();
    let run = RunId {
        epoch: Epoch {
            term: Term(1),
            counter: rng.random_range(0..9),
        },
        boot: berth_core::ids::BootId("boot".repeat(1 + rng.random_range(0..40))),
        number: RunNumber(rng.random_range(0..99)),
    };
    let held = Record::Held {
        member: member.clone(),
        held: rng.random_bool(0.5),
    };
    let run = Record::Run { member, run };
    if rng.random_bool(0.5) {
        vec![run]
    } else {
        vec![run, held]
    }
}

/// The file and the ledger after one acknowledged write.
struct Step {
    /// So many writes came before.
    at: usize,
    file: Vec<u8>,
    ledger: Ledger,
}

/// Where files are that a test reads back as images: what is synced there is synced at once, and the
/// images stand for the disk.
fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let mut built = tempfile::Builder::new();
    built.prefix("berth-images");
    if memory.is_dir() {
        built.tempdir_in(memory).unwrap()
    } else {
        built.tempdir().unwrap()
    }
}

/// What an agent writes.
fn record(rng: &mut StdRng) -> Vec<Step> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let dir = directory();
    let store = LedgerStore::open(dir.path()).unwrap();
    let mut steps = Vec::new();
    for at in 0..RECORDS {
        // Few of a long file: each of its images is read whole.
        if !(STEPS..=ANEW - FEW).contains(&at) {
            let file = fs::read(dir.path().join("ledger")).unwrap();
            let ledger = store.read().clone();
            steps.push(Step { at, file, ledger });
        }
        runtime.block_on(store.write(records(rng))).unwrap();
    }
    steps
}

/// What may be in the file while it goes from one step to the next: the old one with a part of what is
/// appended; the new one, if it was written anew, takes its place whole.
fn image(before: &[u8], after: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let Some(appended) = after.strip_prefix(before) else {
        return [before, after][rng.random_range(0..2)].to_vec();
    };
    let mut part = appended[..rng.random_range(0..=appended.len())].to_vec();
    match rng.random_range(0..3) {
        0 => {}
        // The file is as long as it was to be, and not all of it is there.
        1 => {
            part.resize(appended.len(), 0);
        }
        // Its sectors are there in another order.
        _ => {
            part = appended.to_vec();
            for sector in part.chunks_mut(SECTOR) {
                if rng.random_bool(0.5) {
                    sector.fill(0);
                }
            }
        }
    }
    [before, &part].concat()
}

/// How many of the steps an image holds; why it is refused.
fn held(ledger: &Ledger, steps: &[Step]) -> Option<usize> {
    steps.iter().rposition(|step| step.ledger == *ledger)
}

#[test]
fn every_crash_image_holds_what_was_acknowledged() {
    let begun = Instant::now();
    let images = number("BERTH_CRASH_IMAGES").unwrap_or(IMAGES);
    let mut rng = StdRng::seed_from_u64(number("BERTH_CRASH_SEED").unwrap_or(7) as u64);
    let steps = record(&mut rng);
    let (mut opened, mut refused) = (0, 0);
    let next_to_it = |at: &usize| steps[at + 1].at == steps[*at].at + 1;
    let pairs: Vec<usize> = (0..steps.len() - 1).filter(next_to_it).collect();
    for number in 0..images {
        let at = pairs[number % pairs.len()];
        let mut file = image(&steps[at].file, &steps[at + 1].file, &mut rng);
        let flipped = rng.random_ratio(1, 4);
        if flipped {
            let byte = rng.random_range(0..file.len());
            file[byte] ^= 1 << rng.random_range(0..8);
        }
        let why = format!("image {number} between the writes {at} and {}", at + 1);
        match decode(&file) {
            Ok(read) => {
                let held = held(&read.ledger, &steps).unwrap_or_else(|| panic!("{why}: made up"));
                assert!(flipped || held >= at, "{why}: it holds {held}");
            }
            Err(error) => {
                assert!(flipped, "{why}: {error}");
                refused += 1;
            }
        }
        if number % OPENED == 0 {
            let dir = directory();
            fs::write(dir.path().join("ledger"), &file).unwrap();
            // What a rewrite left behind is in nobody's way.
            fs::write(dir.path().join("ledger.new"), &file[..file.len() / 2]).unwrap();
            let store = LedgerStore::open(dir.path());
            assert_eq!(store.is_ok(), decode(&file).is_ok(), "{why}");
            opened += 1;
        }
    }
    eprintln!(
        "{images} images, {opened} of them opened, {refused} refused, in {:?}",
        begun.elapsed()
    );
}

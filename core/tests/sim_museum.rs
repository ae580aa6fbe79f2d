//! The bug museum: every planted bug is found by the simulator, and each promise is needed for that. A
//! checker that finds nothing proves nothing.
//!
//! `regressions/museum.txt` says which seed of which history finds which bug; it is tried first, so that
//! the gate is quick. What it does not find any more is looked for in the next seeds. The list also says,
//! for each promise, which bug nobody finds with that promise off: that is how the museum fails if
//! nobody looks after it. `BERTH_BLESS=1` looks for everything anew and writes the list, and `BERTH_BUG`
//! names the only bug that is looked for.

#![expect(
    clippy::print_stderr,
    reason = "which seed found which bug is the result"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "how long it took is told, and the list is written when that is asked for"
)]
#![expect(
    clippy::expect_used,
    reason = "a museum whose list cannot be read is closed"
)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use berth_core::{
    bug::{self, Bug},
    promise::Promise,
    sim::{
        Violation,
        random::{Outcome, fail_over, forget, lean, play, restore},
    },
};

/// So many seeds are tried for a bug, of the kind of history that found it: fewer than fit the 20 s that
/// a bug has.
const PATIENCE: u64 = 60;
/// So many seeds of each kind are tried for a bug that is not on the list, or when that is written.
const SEEDS: u64 = 100;
/// So many seeds of each history more are tried before a bug counts as found by nobody.
const BLIND: u64 = 2;

/// Bugs that something else than the promise they break finds first; the others are found by that. Open:
/// what shows them by their own.
const OTHERWISE: [Bug; 3] = [
    Bug::OldLedgerStarted,
    Bug::RestoreNotAwaited,
    Bug::VolumePinIgnored,
];

/// A kind of history, by its name.
type History = (&'static str, fn(u64) -> Result<Outcome, Violation>);

/// Where bugs are looked for.
const HISTORIES: [History; 5] = [
    ("play", play),
    ("lean", lean),
    ("fail_over", fail_over),
    ("restore", restore),
    ("forget", forget),
];

/// What found a bug.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    history: &'static str,
    seed: u64,
    by: String,
}

/// What the list says.
#[derive(Debug, Default)]
struct List {
    found: BTreeMap<String, Found>,
    /// The bug that nobody finds without a promise.
    alone: BTreeMap<String, String>,
}

fn list() -> List {
    let mut list = List::default();
    for line in include_str!("regressions/museum.txt").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["#", ..] | [] => {}
            [promise, "alone", bug] => {
                let (promise, bug) = ((*promise).to_owned(), (*bug).to_owned());
                list.alone.insert(promise, bug);
            }
            [bug, history, seed, by] => {
                let (history, _) = named(history);
                let seed = seed.parse().expect("the seed is a number");
                let by = (*by).to_owned();
                let found = Found { history, seed, by };
                list.found.insert((*bug).to_owned(), found);
            }
            other => assert!(
                other.is_empty(),
                "regressions/museum.txt: {other:?} is no line of the list"
            ),
        }
    }
    list
}

fn named(name: &str) -> History {
    let mut all = HISTORIES.into_iter();
    all.find(|(other, _)| *other == name)
        .expect("regressions/museum.txt names histories that there are")
}

/// Looks for what is planted on this thread.
fn finds((history, play): History, seed: u64) -> Option<Found> {
    let by = play(seed).err()?.promise.to_owned();
    Some(Found { history, seed, by })
}

/// All histories of the first seeds, each seed in turn.
fn all(seeds: u64) -> impl Iterator<Item = (History, u64)> {
    (0..seeds).flat_map(|seed| HISTORIES.map(|history| (history, seed)))
}

/// Plants a bug and looks for it.
fn search(bug: Bug, mut among: impl Iterator<Item = (History, u64)>) -> Option<Found> {
    bug::plant(Some(bug));
    let found = among.find_map(|(history, seed)| finds(history, seed));
    bug::plant(None);
    found
}

fn is_blessing() -> bool {
    std::env::var("BERTH_BLESS").is_ok()
}

/// Looks for a bug where the list says, then close to that, then everywhere.
fn look_for(bug: Bug, list: &List) -> Option<Found> {
    let known = list.found.get(&format!("{bug:?}"));
    let known = known.map(|found| (named(found.history), found.seed));
    let close = known.into_iter();
    let close = close.flat_map(|(history, _)| (0..PATIENCE).map(move |seed| (history, seed)));
    let everywhere = if known.is_none() || is_blessing() {
        SEEDS
    } else {
        0
    };
    search(bug, known.into_iter().chain(close).chain(all(everywhere)))
}

/// Looks into each of several on all cores.
fn each<I: Copy + Ord + Sync + Send, T: Send>(
    items: &[I],
    look: impl Fn(I) -> T + Sync,
) -> Vec<(I, T)> {
    let (next, done) = (AtomicUsize::new(0), Mutex::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = look(*item);
                    let done: &Mutex<Vec<(I, T)>> = &done;
                    done.lock()
                        .expect("no searcher panics")
                        .push((*item, found));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no searcher panics");
    done.sort_by_key(|(item, _)| *item);
    done
}

#[test]
fn every_bug_is_found() {
    let begun = Instant::now();
    let list = list();
    let only = std::env::var("BERTH_BUG").ok();
    let is_meant = |bug: &Bug| only.as_ref().is_none_or(|only| format!("{bug:?}") == *only);
    let bugs: Vec<Bug> = Bug::ALL.iter().copied().filter(is_meant).collect();
    let found = each(&bugs, |bug| look_for(bug, &list));
    let mut text = String::from(
        "# Which seed of which history finds which planted bug, and by which promise.\n",
    );
    for (bug, found) in &found {
        match found {
            Some(Found { history, seed, by }) => {
                writeln!(text, "{bug:?} {history} {seed} {by}").expect("a text takes everything");
            }
            None => {
                writeln!(text, "# {bug:?} is found by nobody").expect("a text takes everything")
            }
        }
    }
    eprintln!("{text}{} bugs in {:?}", found.len(), begun.elapsed());
    if only.is_none() && is_blessing() {
        bless(text, &found);
    }
    let unseen: Vec<Bug> = found
        .iter()
        .filter(|(_, found)| found.is_none())
        .map(|(bug, _)| *bug)
        .collect();
    assert!(unseen.is_empty(), "{unseen:?} are found by nobody");
    let own = |bug: Bug, found: &Found| found.by == bug.breaks().number();
    let otherwise = found.iter().filter_map(|(bug, found)| {
        let found = found.as_ref()?;
        (!own(*bug, found)).then_some(*bug)
    });
    let otherwise: Vec<Bug> = otherwise.collect();
    let listed: Vec<Bug> = OTHERWISE.into_iter().filter(is_meant).collect();
    assert_eq!(
        otherwise, listed,
        "what these break is not what finds them, or is by now"
    );
}

/// Writes the list, with a bug for each promise that is found by that alone.
fn bless(mut text: String, found: &[(Bug, Option<Found>)]) {
    let alone = each(&Promise::ALL, |promise| {
        let own = found.iter().filter_map(|(bug, found)| {
            let found = found
                .as_ref()
                .filter(|found| found.by == promise.number())?;
            Some((*bug, found))
        });
        let mut own = own.filter(|(bug, found)| is_blind(promise, *bug, found));
        own.next().map(|(bug, _)| bug)
    });
    text.push_str("\n# A bug for each promise that nobody finds with that promise off.\n");
    for (promise, bug) in alone {
        match bug {
            Some(bug) => {
                writeln!(text, "{promise} alone {bug:?}").expect("a text takes everything")
            }
            None => {
                writeln!(text, "# {promise} finds nothing alone").expect("a text takes everything")
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/regressions/museum.txt");
    std::fs::write(path, &text).expect("the list can be written");
}

/// Whether a bug that was found is found by nobody with a promise off.
fn is_blind(promise: Promise, bug: Bug, found: &Found) -> bool {
    bug::excuse(Some(promise));
    let known = (named(found.history), found.seed);
    let seen = search(bug, [known].into_iter().chain(all(BLIND)));
    bug::excuse(None);
    seen.is_none()
}

#[test]
fn with_any_promise_off_a_bug_is_found_by_nobody() {
    let begun = Instant::now();
    let list = list();
    let alone = each(&Promise::ALL, |promise| {
        let name = list.alone.get(promise.number())?;
        let bug = Bug::ALL.iter().find(|bug| format!("{bug:?}") == *name)?;
        let found = list.found.get(name)?;
        is_blind(promise, *bug, found).then_some(*bug)
    });
    eprintln!("needed for: {alone:?} in {:?}", begun.elapsed());
    let idle = alone.iter().filter(|(_, bug)| bug.is_none());
    let idle: Vec<Promise> = idle.map(|(promise, _)| *promise).collect();
    assert!(
        idle.is_empty(),
        "with any of {idle:?} off every bug is found all the same, or the list has none for it"
    );
}

//! The bug museum: every planted bug is found by the simulator, and each promise is needed for that. A
//! checker that finds nothing proves nothing.
//!
//! `regressions/museum.txt` says which seed finds which bug; it is tried first, so that the gate is
//! quick. What it does not find any more is looked for anew; `BERTH_BLESS=1` writes the list, and
//! `BERTH_BUG` names the only one that is looked for.

#![expect(
    clippy::print_stderr,
    reason = "which seed found which bug is the result"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the search has a deadline, and the list is written when that is asked for"
)]
#![expect(
    clippy::expect_used,
    reason = "a museum whose list cannot be read is closed"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use berth_core::{
    bug::{self, Bug},
    promise::Promise,
    sim::random::{lean, play},
};

/// So many seeds are tried for a bug, each as two histories: fewer than fit the 20 s that a bug has.
const PATIENCE: u64 = 60;
/// So many seeds more are tried before a bug counts as found by nobody.
const BLIND: u64 = 8;

/// What found a bug.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    seed: u64,
    by: &'static str,
}

fn listed() -> BTreeMap<String, u64> {
    let text = include_str!("regressions/museum.txt");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    };
    lines.filter_map(line).collect()
}

/// Looks for what is planted on this thread.
fn finds(seed: u64) -> Option<Found> {
    let by = play(seed).err().or_else(|| lean(seed).err())?.promise;
    Some(Found { seed, by })
}

/// Plants a bug and looks for it.
fn search(bug: Bug, mut seeds: impl Iterator<Item = u64>) -> Option<Found> {
    bug::plant(Some(bug));
    let found = seeds.find_map(finds);
    bug::plant(None);
    found
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
fn every_bug_is_found_and_no_promise_is_idle() {
    let begun = Instant::now();
    let list = listed();
    let only = std::env::var("BERTH_BUG").ok();
    let is_meant = |bug: &Bug| only.as_ref().is_none_or(|only| format!("{bug:?}") == *only);
    let bugs: Vec<Bug> = Bug::ALL.iter().copied().filter(is_meant).collect();
    let found = each(&bugs, |bug| {
        let known = list.get(&format!("{bug:?}")).copied();
        search(bug, known.into_iter().chain(0..PATIENCE))
    });
    let mut text = String::from("# Which seed finds which planted bug, and by which promise.\n");
    for (bug, found) in &found {
        let line = match found {
            Some(Found { seed, by }) => format!("{bug:?} {seed} {by}\n"),
            None => format!("# {bug:?} is found by nobody\n"),
        };
        text.push_str(&line);
    }
    eprintln!("{text}{} bugs in {:?}", found.len(), begun.elapsed());
    if only.is_none() && std::env::var("BERTH_BLESS").is_ok() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/regressions/museum.txt");
        std::fs::write(path, &text).expect("the list can be written");
    }
    let unseen: Vec<Bug> = found
        .iter()
        .filter(|(_, found)| found.is_none())
        .map(|(bug, _)| *bug)
        .collect();
    assert!(unseen.is_empty(), "{unseen:?} are found by nobody");

    // Without a promise some histories go on for minutes.
    if only.is_some() || std::env::var("BERTH_FULL").is_err() {
        return;
    }
    let needed = each(&Promise::ALL, |promise| needed_for(promise, &found));
    eprintln!(
        "found by one promise alone: {needed:?}; {:?} in all",
        begun.elapsed()
    );
    let idle: Vec<Promise> = needed
        .iter()
        .filter(|(_, bug)| bug.is_none())
        .map(|(promise, _)| *promise)
        .collect();
    assert!(
        idle.is_empty(),
        "with any of {idle:?} off every bug is found all the same"
    );
}

/// A bug that is found by nobody while a promise is excused. If there is none, nothing shows that
/// anybody looks after the promise.
fn needed_for(promise: Promise, found: &[(Bug, Option<Found>)]) -> Option<Bug> {
    bug::excuse(Some(promise));
    let mut own = found.iter().filter_map(|(bug, found)| {
        let found = found
            .as_ref()
            .filter(|found| found.by == promise.number())?;
        Some((*bug, found.seed))
    });
    let needed =
        own.find(|(bug, seed)| search(*bug, [*seed].into_iter().chain(0..BLIND)).is_none());
    bug::excuse(None);
    needed.map(|(bug, _)| bug)
}

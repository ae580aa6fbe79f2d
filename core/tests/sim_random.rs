//! Random histories of the simulated cluster, by seed: the promises hold after every event, and
//! once everything is mended the cluster comes to rest.
//!
//! `BERTH_SIM_SEEDS` says how many hours are played, `BERTH_SIM_FROM` which seed is the first. A seed
//! that fails belongs into `regressions/sim_seeds.txt`, an hour into `regressions/sim_hours.txt`; those
//! are played in every run.

#![expect(
    clippy::print_stderr,
    reason = "the seeds played are the first thing to know of a failure"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "how many hours fit a minute is measured, and the environment says how many are played"
)]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test whose threads or texts are not there has failed"
)]

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use berth_core::{
    sim::{
        Tally, Violation,
        random::{Outcome, fail_over, hour, lean, play, restore},
    },
    waiting::Rule,
};

/// So many hours take about ten seconds.
const FEW: u64 = 12;
/// So many short histories take about ten seconds.
const SHORT: u64 = 40;
/// Fewer hours say nothing of what is met seldom.
const ENOUGH: u64 = 300;
/// What an hour that counts has at least, in the median: hosts, sets and faults.
const BUSY: (u64, u64, u64) = (5, 3, 20);

/// Steps that no history here takes, and why.
const NO_STEP: [(&str, &[&str]); 0] = [];
/// Reasons of the planner that no history here gives, and where they are tested instead.
const NO_REASON: [(&str, &[&str]); 2] = [
    (
        "the pool is there and large: tests/scripts/pool_exhausted.txt",
        &["AddressPoolMissing", "AddressPoolExhausted"],
    ),
    (
        "a plan that the checker refuses fails the test",
        &["PlanRefused"],
    ),
];
/// Everything that goes wrong here.
const FAULTS: [&str; 21] = [
    "agent crash",
    "agent freeze",
    "clock step",
    "coordinator crash",
    "fence fails",
    "fence unknown",
    "helper hangs",
    "host fenced",
    "host lost",
    "host suspend",
    "keeper death",
    "ledger sync fails",
    "link cut",
    "link stalls",
    "member hangs",
    "power loss",
    "process death",
    "self-reboot",
    "step fails",
    "store restored",
    "user missing",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn listed(text: &str) -> Vec<u64> {
    let lines = text.lines().filter_map(|line| line.split('#').next());
    lines.filter_map(|line| line.trim().parse().ok()).collect()
}

fn regressions() -> Vec<u64> {
    listed(include_str!("regressions/sim_seeds.txt"))
}

/// Hours that are known to fail: faults that are open. Who mends one takes its seeds off.
fn open() -> BTreeSet<u64> {
    let text = include_str!("regressions/sim_hours_open.txt");
    listed(text).into_iter().collect()
}

/// Plays seeds on all cores; what the hours came to, in no order, and which seeds failed.
fn play_all(
    seeds: &[u64],
    history: fn(u64) -> Result<Outcome, Violation>,
) -> (Vec<Tally>, BTreeSet<u64>) {
    let (next, tallies, failed) = (AtomicU64::new(0), Mutex::default(), Mutex::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = usize::try_from(next.fetch_add(1, Ordering::Relaxed))
                    .ok()
                    .and_then(|index| seeds.get(index))
                {
                    match history(*seed) {
                        Ok(outcome) => {
                            let tallies: &Mutex<Vec<Tally>> = &tallies;
                            tallies
                                .lock()
                                .expect("no player panics")
                                .push(outcome.tally);
                        }
                        Err(violation) => {
                            eprintln!("seed {seed}: {violation}\n");
                            let failed: &Mutex<BTreeSet<u64>> = &failed;
                            failed.lock().expect("no player panics").insert(*seed);
                        }
                    }
                }
            });
        }
    });
    (tallies.into_inner().unwrap(), failed.into_inner().unwrap())
}

#[test]
fn promises_hold_in_short_histories() {
    let from = number("BERTH_SIM_FROM").unwrap_or(0);
    let mut seeds = regressions();
    eprintln!("short seeds {from} to {} and {seeds:?}", from + SHORT);
    seeds.extend(from..from + SHORT);
    for history in [play, lean, fail_over, restore] {
        let (_, failed) = play_all(&seeds, history);
        assert!(failed.is_empty(), "seeds {failed:?} fail; see above");
    }
}

#[test]
fn promises_hold_in_busy_hours() {
    let from = number("BERTH_SIM_FROM").unwrap_or(0);
    let count = number("BERTH_SIM_SEEDS").unwrap_or(FEW);
    let failed_once = listed(include_str!("regressions/sim_hours.txt"));
    eprintln!(
        "hours of the seeds {from} to {} and {failed_once:?}",
        from + count
    );
    let seeds: BTreeSet<u64> = (from..from + count).chain(failed_once).collect();
    let seeds: Vec<u64> = seeds.into_iter().collect();
    let begun = Instant::now();
    let (tallies, failed) = play_all(&seeds, hour);
    let took = begun.elapsed().as_secs_f64();
    let open = open().into_iter().filter(|seed| seeds.contains(seed));
    assert_eq!(
        failed,
        open.collect(),
        "the seeds that fail are not those of regressions/sim_hours_open.txt; see above"
    );

    let median = |of: fn(&Tally) -> u64| {
        let mut all: Vec<u64> = tallies.iter().map(of).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    let (hosts, sets) = (median(|t| t.size.0), median(|t| t.size.1));
    let (faults, events) = (median(Tally::faulted), median(|t| t.events));
    eprintln!(
        "{count} hours in {took:.0} s: median {hosts} hosts, {sets} sets, {faults} faults and \
         {events} events an hour"
    );
    let mut all = Tally::default();
    tallies.iter().for_each(|tally| all.add(tally));
    eprintln!(
        "steps {:?}\nreasons {:?}\nfaults {:?}",
        all.steps, all.reasons, all.faults
    );
    if count >= ENOUGH {
        assert!((hosts, sets, faults) >= BUSY, "these hours are not busy");
        let missing = missing(&all);
        assert!(missing.is_empty(), "nobody met {missing:?}");
    }
}

/// What no history met and is not listed with a reason, and what is listed and was met.
fn missing(all: &Tally) -> Vec<String> {
    let text = include_str!("../src/plan/step.rs");
    let (_, body) = text
        .split_once("pub enum Step {")
        .expect("the enum is there");
    let (body, _) = body.split_once("\n}").expect("the enum ends");
    let variants = body.lines().filter_map(|line| line.strip_prefix("    "));
    let variants = variants.filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let steps = variants.map(|line| line.trim_end_matches([' ', '{', ',']).to_owned());
    let explained =
        |list: &[(&str, &[&str])], name: &str| list.iter().any(|(_, names)| names.contains(&name));
    let steps = steps.filter(|step| explained(&NO_STEP, step) == all.steps.contains_key(step));
    // Those that agents give are tested where agents are.
    let planned = Rule::ALL
        .iter()
        .take_while(|rule| **rule != Rule::HeldByOperator);
    let reasons = planned.map(|rule| rule.name().to_owned());
    let reasons = reasons
        .filter(|rule| explained(&NO_REASON, rule) == all.reasons.contains_key(rule.as_str()));
    let faults = FAULTS
        .into_iter()
        .filter(|fault| !all.faults.contains_key(fault));
    steps
        .chain(reasons)
        .chain(faults.map(str::to_owned))
        .collect()
}

#[test]
fn a_seed_gives_the_same_history_twice() {
    for seed in 0..2 {
        match (hour(seed), hour(seed)) {
            (Ok(one), Ok(other)) => assert_eq!(one, other, "seed {seed}"),
            (one, other) => panic!("seed {seed}: {one:?} and {other:?}"),
        }
    }
}

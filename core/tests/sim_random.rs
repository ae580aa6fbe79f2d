//! Random histories of the simulated cluster, by seed: the promises hold after every event, and
//! once everything is mended the cluster comes to rest.
//!
//! `BERTH_SIM_SEEDS` says how many seeds are played, `BERTH_SIM_FROM` which is the first. A seed that
//! fails belongs into `regressions/sim_seeds.txt`; those are played in every run.

#![expect(
    clippy::print_stderr,
    reason = "the seeds played are the first thing to know of a failure"
)]

use berth_core::sim::random::play;

/// So many seeds take about ten seconds without optimization.
const FEW: u64 = 25;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn regressions() -> Vec<u64> {
    let text = include_str!("regressions/sim_seeds.txt");
    let lines = text.lines().filter_map(|line| line.split('#').next());
    lines.filter_map(|line| line.trim().parse().ok()).collect()
}

#[test]
fn promises_hold_in_random_histories() {
    let from = number("BERTH_SIM_FROM").unwrap_or(0);
    let count = number("BERTH_SIM_SEEDS").unwrap_or(FEW);
    let mut seeds = regressions();
    eprintln!("seeds {from} to {} and {seeds:?}", from + count);
    seeds.extend(from..from + count);
    let failed: Vec<u64> = seeds.into_iter().filter(|seed| fails(*seed)).collect();
    assert!(failed.is_empty(), "seeds {failed:?} fail; see above");
}

fn fails(seed: u64) -> bool {
    match play(seed) {
        Ok(_) => false,
        Err(violation) => {
            eprintln!("seed {seed}: {violation}\n");
            true
        }
    }
}

#[test]
fn a_seed_gives_the_same_history_twice() {
    for seed in 0..2 {
        match (play(seed), play(seed)) {
            (Ok(one), Ok(other)) => assert_eq!(one, other, "seed {seed}"),
            (one, other) => panic!("seed {seed}: {one:?} and {other:?}"),
        }
    }
}

//! Random histories: whatever happens, the checker has nothing to say about the planner, a plan is
//! the same twice, planning again gives nothing but places in the room that was made, and once all
//! faults are healed everything is where it should be.

use std::{cell::RefCell, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};

use crate::{
    check::{check_plan, check_state},
    fixture::{class, friend::Friends, host_name, nfs_class, pool, state},
    ids::MemberId,
    plan::plan,
    volume::access::sharers,
    waiting::{Reason, Refusal},
};

mod coverage;
mod event;
mod kinds;
mod lost;
mod regressions;
mod storage;
mod ways;

use coverage::{Coverage, Seen};
use event::{Event, answer, condition, event, happen};
use kinds::{Kind, kind};
use storage::{BY_HAND, First, Storage, VOLUMES, claim, limit, release, volume, work};
use ways::{Way, go_on, way};

const HOSTS: u8 = 4;
const SETS: [&str; 3] = ["a", "b", "c"];

fn rounds(friends: &mut Friends, number: u8, seen: &mut Seen) {
    for _ in 0..number {
        friends.agents();
        works(friends);
        checked_plan(friends, seen);
    }
}

fn works(friends: &mut Friends) {
    work(&mut friends.state, friends.now);
}

fn checked_plan(friends: &mut Friends, seen: &mut Seen) {
    let before = friends.state.clone();
    let steps = friends.plan();
    if !steps.steps.is_empty() {
        let (same, _) = plan(&before, friends.now);
        assert_eq!(steps, same, "the same input gives another plan");
        let breaches = check_plan(&before, &steps, friends.now);
        assert!(breaches.is_empty(), "{breaches:#?} in {steps:#?}");
    }
    let alarms = check_state(&friends.state);
    assert!(alarms.is_empty(), "{alarms:#?}");
    for step in &steps.steps {
        seen.note(step);
    }
    let report = &friends.report;
    for reason in report.waiting.values().chain(report.claims.values()) {
        seen.note(reason);
    }
}

/// Ends every fault and waits until nothing happens any more.
fn heal(friends: &mut Friends, kinds: &[Kind], seen: &mut Seen) {
    for number in 0..VOLUMES {
        volume(&mut friends.state, number);
    }
    for (set, kind) in kinds.iter().enumerate() {
        if let Storage::Shared(_) = kind.storage {
            claim(&mut friends.state, kind.storage, set, 0, 5);
        }
    }
    // A claim that is too small for its template is made anew by who reads why it is held.
    let adopted = |claim: &crate::state::Claim| claim.member.is_some();
    let state = friends.state.clone();
    let given_up =
        |claim: &crate::state::Claim| claim.spec.data_source.is_some() && claim.volume.is_none();
    friends.state.claims.retain(|key, claim| {
        adopted(claim) && !given_up(claim)
            || key.name.as_str().starts_with("shared")
            || sharers(&state, key).next().is_some()
    });
    release(&mut friends.state);
    for set in friends.state.sets.values_mut() {
        set.orphaned = None;
    }
    friends.unready.clear();
    friends.lingering.clear();
    for n in 1..=HOSTS {
        friends.contact(&host_name(n), true);
        answer(friends, n, Some(true));
        let host = friends.state.hosts.get_mut(&host_name(n)).unwrap();
        host.record.unschedulable = false;
        host.record.directives.draining = None;
        host.record.directives.dead = None;
        let rack = if n % 2 == 1 { "a" } else { "b" };
        host.record.label("rack", Some(rack));
    }
    for set in friends.state.sets.values_mut() {
        set.offline.clear();
    }
    for set in SETS {
        for ordinal in 0..4 {
            event::stay(friends, &crate::fixture::member(set, ordinal));
        }
    }
    go_on(friends);
    for _ in 0..400 {
        let before = friends.state.clone();
        friends.agents();
        works(friends);
        for set in SETS {
            condition(friends, set, None, true);
        }
        if friends.report.waiting.values().any(freed_by_release) {
            release(&mut friends.state);
        }
        checked_plan(friends, seen);
        match friends.report.wake_at {
            _ if friends.state != before => {}
            Some(at) => friends.now = at,
            None => return,
        }
    }
    panic!("it never comes to rest: {:#?}", friends.report);
}

/// What waits until an operator gives up a volume that a claim left behind.
fn freed_by_release(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::ExportTaken { .. } | Reason::NoMatchingVolume { .. }
    )
}

/// What is as the operator wrote it.
fn asked_for(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::BelowPartition { .. } | Reason::UpdatedOnRestart
    )
}

/// What may still wait when nothing is broken: a member whose volume lies where another of its set
/// is, with the set that waits for it, and a founder that lost its volume.
fn excused(reason: &Reason) -> bool {
    if let Reason::NoEligibleHost { hosts } = reason {
        return hosts.iter().all(|refusal| {
            matches!(
                refusal.because,
                Refusal::VolumeElsewhere { .. } | Refusal::SpreadTaken { .. }
            )
        });
    }
    matches!(
        reason,
        Reason::FoundingDiskLost { .. }
            | Reason::DependencyMissing { .. }
            | Reason::DependencyNotReady { .. }
    )
}

/// A cluster without sets.
fn begin(pooled: bool, limited: bool) -> Friends {
    let mut start = state(HOSTS);
    if pooled {
        pool(&mut start, "dev", "127.77.0.0/24", true);
    }
    nfs_class(&mut start, "nfs").allow_volume_expansion = true;
    class(&mut start, BY_HAND);
    if limited {
        limit(&mut start);
    }
    start.trash_keep = Some(Duration::from_secs(20));
    let mut friends = Friends::new(start);
    for n in 1..=HOSTS {
        answer(&mut friends, n, Some(true));
    }
    friends
}

/// All sets with members that run: most of what may happen means nothing to others.
fn grown(ways: &[Way]) -> Vec<Event> {
    let put = |(set, way): (usize, &Way)| Event::Put {
        set,
        replicas: 3,
        revision: 0,
        way: way.clone(),
    };
    let volumes = (0..VOLUMES).map(|number| Event::Volume { number });
    let configs = (0..SETS.len()).map(|set| Event::Config {
        set,
        config: Some([0; 3]),
    });
    let puts = ways.iter().enumerate().map(put);
    let first = volumes.chain(configs).chain(puts);
    let ready = (0..SETS.len()).map(|set| Event::Condition {
        set,
        ordinal: None,
        status: true,
    });
    let pass = || [Event::Rounds { number: 6 }, Event::Pass { millis: 10_000 }];
    first.chain(pass()).chain(ready).chain(pass()).collect()
}

/// A whole history, and what must hold in it and after it; what there was in it.
fn lives(mut friends: Friends, kinds: &[Kind], events: &[Event]) -> Seen {
    let mut first = First::default();
    let mut seen = Seen::default();
    for event in events {
        let before = friends.clone();
        happen(&mut friends, kinds, event, &mut seen);
        first.check(&friends.state);
        if has_effect(&before, &friends) {
            if let Event::Copy(copying) = event {
                seen.note(copying);
            } else {
                seen.note(event);
            }
        }
    }
    heal(&mut friends, kinds, &mut seen);
    let waiting = friends.report.waiting.clone();
    let stuck = waiting.values().any(excused);
    for (id, reason) in &waiting {
        assert!(stuck || asked_for(reason), "{id}: {reason}");
    }
    for (key, set) in &friends.state.sets {
        assert!(set.deleting.is_none(), "{key} is still there");
        let here: Vec<_> = set.members.keys().copied().collect();
        let wanted: Vec<_> = set.declared().collect();
        assert!(stuck || here == wanted, "{key}: {here:?}");
        for ordinal in wanted {
            let id = MemberId {
                set: key.clone(),
                ordinal,
            };
            let there = friends.state.in_place(&id) || waiting.contains_key(&id);
            assert!(stuck || there, "{id} is not in place, and nobody says why");
        }
    }
    seen
}

fn has_effect(before: &Friends, after: &Friends) -> bool {
    before.now != after.now
        || before.unready != after.unready
        || before.lingering != after.lingering
        || before.state != after.state
}

/// So many in every run of the tests, always the same ones: what is required of them must not
/// depend on luck. More on demand, by `PROPTEST_CASES`, and others, by `PROPTEST_RNG_SEED` or, if
/// it is not given, at random.
fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let usual = asked.cases == 256;
    ProptestConfig {
        cases: if usual { 400 } else { asked.cases },
        rng_seed: match asked.rng_seed {
            RngSeed::Random if usual => RngSeed::Fixed(0),
            seed @ (RngSeed::Random | RngSeed::Fixed(_)) => seed,
        },
        failure_persistence: None,
        ..asked
    }
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a failure must be found again by its seed"
)]
fn every_plan_is_safe_and_everything_gets_where_it_should_be() {
    let histories = (
        prop::collection::vec(kind(), SETS.len()),
        any::<bool>(),
        any::<bool>(),
        prop_oneof![
            3 => prop::collection::vec(way(), SETS.len()).prop_map(|ways| grown(&ways)),
            1 => Just(Vec::new()),
        ],
        prop::collection::vec(event(), 0..60),
    );
    let config = config();
    eprintln!(
        "PROPTEST_CASES={} PROPTEST_RNG_SEED={}",
        config.cases, config.rng_seed
    );
    let coverage = RefCell::new(Coverage::default());
    let outcome =
        TestRunner::new(config).run(&histories, |(kinds, pooled, limited, mut first, events)| {
            first.extend(events);
            let seen = lives(begin(pooled, limited), &kinds, &first);
            coverage.borrow_mut().add(seen);
            Ok(())
        });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    coverage.borrow().hold();
}

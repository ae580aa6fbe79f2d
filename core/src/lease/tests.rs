//! Leases under clocks that run apart and messages that are lost, doubled and late: both ends never overlap.

use proptest::prelude::*;

use super::*;

const DEFAULT: LeaseTerms = LeaseTerms {
    length_ms: 15_000,
    grace_ms: 3_750,
    kill_ms: 2_000,
    self_fences: false,
};

#[test]
fn a_lease_counts_from_when_its_acknowledged_renewal_was_sent() {
    let mut renewals = Renewals::default();
    assert_eq!(renewals.newest(), Acknowledged::default());
    let first = renewals.send(Timestamp(1_000));
    let second = renewals.send(Timestamp(4_000));
    renewals.acknowledge(first, false, Timestamp(6_000));
    let both = Acknowledged::of(Timestamp(1_000), false);
    assert_eq!(renewals.newest(), both);
    renewals.acknowledge(second, true, Timestamp(6_000));
    renewals.acknowledge(first, false, Timestamp(6_000));
    renewals.acknowledge(99, false, Timestamp(6_000));
    assert_eq!(renewals.newest().starts, Some(Timestamp(1_000)));
    let newest = renewals.newest().runs.unwrap();
    assert_eq!(newest, Timestamp(4_000));
    assert_eq!(DEFAULT.deadline(newest), Timestamp(19_000));
    assert!(DEFAULT.may_run(newest, Timestamp(15_249)));
    assert!(!DEFAULT.may_run(newest, Timestamp(15_250)));
}

#[test]
fn a_stream_is_given_up_while_there_is_time_for_another_before_anybody_stops() {
    let mut renewals = Renewals::default();
    assert_eq!(renewals.silent_since(), None);
    let first = renewals.send(Timestamp(1_000));
    renewals.send(Timestamp(4_000));
    assert_eq!(renewals.silent_since(), Some(Timestamp(1_000)));
    renewals.acknowledge(first, true, Timestamp(6_000));
    renewals.send(Timestamp(7_000));
    assert_eq!(renewals.silent_since(), Some(Timestamp(1_000)));
    for terms in [
        DEFAULT,
        LeaseTerms {
            length_ms: 1_000,
            grace_ms: 499,
            ..DEFAULT
        },
    ] {
        let given_up = Timestamp(1_000).plus(terms.patience());
        let stops = Timestamp(1_000 + terms.length_ms - terms.grace_ms);
        assert!(stops.since(given_up) >= terms.patience());
        // A renewal that is due by then can have been answered.
        assert!(terms.patience() > renew_every(terms.length()));
    }
}

#[test]
fn an_earlier_coordinator_may_have_acknowledged_until_the_term_began() {
    let over = |began, renewed: Option<u64>| {
        let over = DEFAULT.surely_over(Timestamp(began), renewed.map(Timestamp));
        over.0
    };
    // 15 s * 1.02 / 0.98, rounded up, and 2 s.
    let wait = 15_613 + 2_000;
    assert_eq!(over(50_000, Some(20_000)), 50_000 + wait);
    assert_eq!(over(50_000, Some(60_000)), 60_000 + wait);
    assert_eq!(over(50_000, None), 50_000 + wait);
}

#[test]
fn leases_that_hosts_cannot_hold_are_refused() {
    let refused = |change: fn(&mut Leases)| {
        let mut leases = Leases::default();
        change(&mut leases);
        leases.check().unwrap_err().to_string()
    };
    assert_eq!(Leases::default().check(), Ok(()));
    let fast = refused(|leases| leases.fast = Duration::from_millis(999));
    assert!(fast.starts_with("fast: 999ms is shorter"), "{fast}");
    let default = refused(|leases| leases.default = Duration::ZERO);
    assert!(default.starts_with("default: 0ns"), "{default}");
    let margin = refused(|leases| leases.kill_margin = Duration::ZERO);
    assert!(margin.starts_with("killMargin: 0ns"), "{margin}");
}

#[test]
fn terms_follow_the_class_and_hold_sets_have_none() {
    let mut spec = StatefulSetSpec::default();
    let leases = Leases::default();
    assert_eq!(leases.terms(&spec), None);
    spec.failure_policy = FailurePolicy::Failover;
    assert_eq!(leases.terms(&spec), Some(DEFAULT));
    spec.lease_class = Some(LeaseClass::Fast);
    spec.fence_grace = Some("1s".to_owned());
    let fast = leases.terms(&spec).unwrap();
    assert_eq!((fast.length_ms, fast.grace_ms), (3_000, 1_000));
    let shorter = Leases {
        fast: Duration::from_millis(1_500),
        ..leases
    };
    let fast = shorter.terms(&spec).unwrap();
    assert!(fast.grace_ms * 2 < fast.length_ms);
}

/// What becomes of one renewal on its way, in real milliseconds.
#[derive(Debug, Clone)]
struct Fate {
    /// From the renewal before.
    pause: u64,
    /// There, if it is not lost.
    there: Option<u64>,
    /// Back, if the acknowledgement is not lost.
    back: Option<u64>,
    /// Whether each arrives twice.
    twice: bool,
    /// Whether the coordinator is another one, with a clock of its own, before it arrives.
    restarts: bool,
}

fn fate() -> impl Strategy<Value = Fate> {
    (
        1..20_000_u64,
        proptest::option::weighted(0.7, 0..40_000_u64),
        proptest::option::weighted(0.7, 0..40_000_u64),
        any::<bool>(),
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(pause, there, back, twice, restarts)| Fate {
            pause,
            there,
            back,
            twice,
            restarts,
        })
}

/// A clock that is off by a rate in thousandths; it shows whole milliseconds.
#[derive(Debug, Clone, Copy)]
struct Clock {
    rate: i64,
    origin: u64,
}

impl Clock {
    fn shows(self, real: u64) -> Timestamp {
        let rate = u64::try_from(1000 + self.rate).unwrap();
        Timestamp(self.origin + real * rate / 1000)
    }

    /// The last real millisecond at which it still shows less than this.
    fn last_before(self, at: Timestamp) -> u64 {
        let rate = u64::try_from(1000 + self.rate).unwrap();
        (at.0 - self.origin) * 1000 / rate + 1
    }
}

proptest! {
    /// Whatever becomes of the messages: when the coordinator says that a member is gone, the host's
    /// deadline is over in real time, by the margin for killing.
    #[test]
    fn no_coordinator_calls_gone_what_may_still_run(
        length_ms in 1_000..60_000_u64,
        // Each is off by up to the rate error.
        (host, coordinator) in (-20..=20_i64, -20..=20_i64),
        fates in proptest::collection::vec(fate(), 1..12),
    ) {
        let terms = LeaseTerms { length_ms, grace_ms: length_ms / 4, kill_ms: 2_000, self_fences: false };
        let host = Clock { rate: host, origin: 77_000 };
        let coordinator = Clock { rate: coordinator, origin: 1_000_000 };
        let mut renewals = Renewals::default();
        let (mut events, mut sent) = (Vec::new(), 0);
        for fate in &fates {
            sent += fate.pause;
            let number = renewals.send(host.shows(sent));
            if let Some(there) = fate.there {
                for again in 0..=u64::from(fate.twice) {
                    let arrives = sent + there + again * 700;
                    events.push((arrives, 0, number, fate.restarts));
                    // The acknowledgement leaves when the renewal has arrived.
                    if let Some(back) = fate.back {
                        events.push((arrives + back, 1, number, false));
                    }
                }
            }
        }
        events.sort_unstable();
        let (mut began, mut renewed) = (coordinator.shows(0), None);
        for (at, kind, number, restarts) in events {
            if kind == 1 {
                renewals.acknowledge(number, false, host.shows(at));
            } else {
                if restarts {
                    (began, renewed) = (coordinator.shows(at), None);
                }
                renewed = renewed.max(Some(coordinator.shows(at)));
            }
            let over = coordinator.last_before(terms.surely_over(began, renewed));
            if let Some(newest) = renewals.newest().runs {
                let runs_until = host.last_before(terms.deadline(newest));
                let killed = runs_until + 1_900;
                prop_assert!(killed <= over, "it may run until {killed}, and is gone from {over}");
            }
        }
    }
}

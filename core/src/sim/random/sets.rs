//! How the sets of a random history are, and how their updates change.

use crate::{
    sim::{
        operator::{BY_HAND, SERVER, SetOptions},
        rng::Rng,
    },
    spec::{
        Amount, GatePolicy, LeaseClass, Retention, RetentionPolicy, Spread, UpdateKind,
        WhenUnsatisfiable,
    },
};

/// Changes how a set is updated, and which ordinals it has if they may change.
pub(super) fn updates(rng: &mut Rng, options: &mut SetOptions) {
    let kinds = [
        UpdateKind::RollingUpdate,
        UpdateKind::RollingUpdate,
        UpdateKind::OnDelete,
        UpdateKind::Recreate,
    ];
    let mut number = |below: u64| u32::try_from(rng.below(below)).unwrap_or_default();
    // Volumes of ordinals that come back may lie where another member is by now.
    let pinned = options.claim && options.class.is_none() && options.spread == Spread::Require;
    if !options.fixed && !pinned {
        options.start = number(3);
    }
    options.partition = number(6).saturating_sub(2);
    let (most, least, deadline) = (number(5), number(5), number(120));
    options.max_unavailable = match most {
        0 | 1 => None,
        2 => Some(Amount::Percent(50)),
        _ => Some(Amount::Number(most - 1)),
    };
    options.min_available = match least {
        0 | 1 => Some(Amount::Quorum),
        2 => Some(Amount::Percent(40)),
        _ => None,
    };
    options.deadline = Some(10 + deadline);
    options.update = rng.pick(&kinds).copied().unwrap_or_default();
    options.auto_rollback = rng.chance(30);
    options.paused = rng.chance(20);
    if options.update != UpdateKind::RollingUpdate {
        options.min_available = None;
    }
}

/// How a set is.
pub(super) fn options(rng: &mut Rng, port: u32) -> SetOptions {
    let policies = [
        GatePolicy::OrderedReady,
        GatePolicy::OrderedStarted,
        GatePolicy::Parallel,
    ];
    let mut policy = || rng.pick(&policies).copied().unwrap_or_default();
    let (first, second, third) = (policy(), policy(), policy());
    let quorum = rng.chance(30);
    let spread = if rng.chance(70) {
        Spread::Require
    } else {
        Spread::Prefer
    };
    let classes = [None, Some(SERVER), Some(BY_HAND)];
    let class = rng.pick(&classes).copied().flatten();
    let retention = RetentionPolicy {
        when_deleted: one_of(rng, Retention::Retain, Retention::Delete),
        when_scaled: one_of(rng, Retention::Retain, Retention::Delete),
    };
    let shared = rng.chance(20).then(|| format!("shared-{port}"));
    let per_host = rng.chance(20);
    let otherwise = [
        WhenUnsatisfiable::DoNotSchedule,
        WhenUnsatisfiable::ScheduleAnyway,
    ];
    let racks = rng.pick(&otherwise).copied();
    let racks = racks.filter(|_| rng.chance(30) && !per_host);
    let fixed = rng.chance(30) && !per_host;
    let spread = if per_host { Spread::Require } else { spread };
    SetOptions {
        replicas: 0,
        policy: first,
        // A quorum comes about only if its members need not wait for each other's readiness.
        bootstrap: if quorum {
            Some(GatePolicy::Parallel)
        } else {
            rng.chance(50).then_some(second)
        },
        cold: (rng.chance(50) && !quorum).then_some(third),
        spread,
        fixed,
        per_host,
        racks,
        claim: quorum || rng.chance(50),
        class: class.map(str::to_owned),
        shared,
        quorum,
        port: (spread == Spread::Require).then_some(port),
        min_ready: u32::try_from(rng.below(3)).unwrap_or_default(),
        config: rng.chance(60),
        reload: rng.chance(60),
        retention,
        requires: rng.chance(30),
        ..SetOptions::default()
    }
}

/// Whether the members of a set fail over, if they can. No choice of its own, so that the histories of
/// sets that hold are what they were.
pub(super) fn failover(options: &SetOptions, port: u32) -> Option<LeaseClass> {
    let local = options.claim && options.class.as_deref() != Some(SERVER);
    match port % 4 {
        _ if local || options.per_host || options.shared.is_some() => None,
        0 => Some(LeaseClass::Fast),
        1 => Some(LeaseClass::Default),
        _ => None,
    }
}

/// One or the other.
pub(super) fn one_of<T>(rng: &mut Rng, one: T, other: T) -> T {
    if rng.chance(50) { one } else { other }
}

//! Histories that failed once, as small as they were found, each with what it showed.

use super::{
    begin,
    event::Event,
    grown,
    kinds::{Kind, Place},
    lives,
    storage::Storage,
    ways::Way,
};
use crate::spec::{
    AccessMode, Amount, DependencyGate, GatePolicy, Retention, RetentionPolicy, Spread, UpdateKind,
};

/// Sets that have nothing special, but for their volumes.
fn plain(storage: Storage) -> Kind {
    Kind {
        policy: GatePolicy::OrderedReady,
        bootstrap: None,
        cold: None,
        storage,
        spread: Spread::Prefer,
        founded: false,
        min_ready: 0,
        place: Place::Anywhere,
        retention: RetentionPolicy::default(),
        needs: None,
        requires: false,
        config: false,
        gated: false,
    }
}

/// A claim that goes with its member leaves a directory that its class keeps; the ordinal comes back
/// with a fresh claim, which waits until an operator gives the directory up.
#[test]
fn a_kept_directory_is_free_once_it_is_given_up() {
    let mut kind = plain(Storage::Nfs);
    kind.retention.when_scaled = Retention::Delete;
    let kinds = [kind.clone(), kind.clone(), kind];
    let put = |replicas| Event::Put {
        set: 2,
        replicas,
        revision: 0,
        way: Way::default(),
    };
    let events = [
        put(1),
        Event::Plan,
        Event::Pass { millis: 2000 },
        Event::Plan,
        put(0),
        Event::Plan,
        put(1),
    ];
    lives(begin(false, false), &kinds, &events);
}

/// The first revision of a set lacks its config, so nobody starts with it; the next one is not held
/// back below a partition, nor taken back to the one before.
#[test]
fn a_revision_that_lacked_its_config_is_nothing_to_come_from() {
    let mut kind = plain(Storage::None);
    kind.config = true;
    let kinds = [kind.clone(), kind.clone(), kind];
    let way = Way {
        partition: 1,
        deadline: Some(5),
        auto_rollback: true,
        ..Way::default()
    };
    let put = Event::Put {
        set: 0,
        replicas: 3,
        revision: 0,
        way,
    };
    lives(begin(false, false), &kinds, &[put, Event::Plan]);
}

/// Config went to one member after the other at once, because agents out of contact were told of it
/// and could not say that they had it.
#[test]
fn config_is_delivered_to_one_at_a_time_though_some_are_out_of_contact() {
    let mut kind = plain(Storage::None);
    kind.config = true;
    let kinds = [kind.clone(), kind.clone(), kind];
    let reloads = Way {
        reload: true,
        ..Way::default()
    };
    let config = Event::Config {
        set: 1,
        config: Some([0, 1, 0]),
    };
    let lost = [1, 2].map(|host| Event::Contact {
        host,
        connected: false,
    });
    let ways = vec![Way::default(), reloads, Way::default()];
    let events = [grown(&ways), vec![config], lost.to_vec(), vec![Event::Plan]].concat();
    lives(begin(false, false), &kinds, &events);
}

/// New members of `Recreate` wait for the older ones, and config was not delivered to these for want
/// of the new ones.
#[test]
fn config_reaches_members_that_new_ones_wait_for() {
    let mut kind = plain(Storage::None);
    kind.config = true;
    let kinds = [kind.clone(), kind.clone(), kind];
    let way = Way {
        update: UpdateKind::Recreate,
        reload: true,
        start: 1,
        ..Way::default()
    };
    let put = Event::Put {
        set: 1,
        replicas: 3,
        revision: 0,
        way,
    };
    let config = Event::Config {
        set: 1,
        config: Some([0, 0, 1]),
    };
    let events = [grown(&vec![Way::default(); 3]), vec![put, config]].concat();
    lives(begin(false, false), &kinds, &events);
}

/// A member that was to move and to be updated went by the update's floor, and the checker asked for the
/// move's.
#[test]
fn of_two_reasons_to_go_one_is_enough() {
    let mut first = plain(Storage::None);
    first.policy = GatePolicy::Parallel;
    let kinds = [first, plain(Storage::None), plain(Storage::None)];
    let moved = Event::Move {
        set: 0,
        ordinal: 0,
        host: None,
    };
    let put = Event::Put {
        set: 0,
        replicas: 3,
        revision: 2,
        way: Way {
            max_unavailable: Some(Amount::Number(2)),
            ..Way::default()
        },
    };
    let grown = grown(&vec![Way::default(); 3]);
    let events = [grown, vec![moved, put, Event::Rounds { number: 3 }]].concat();
    lives(begin(false, false), &kinds, &events);
}

/// Config went to a member whose readiness gate was shut without waiting for the one before, as it should:
/// the checker took it for one that serves.
#[test]
fn config_goes_to_those_at_once_whose_gates_are_shut() {
    let mut first = plain(Storage::None);
    (first.founded, first.config, first.gated) = (true, true, true);
    let kinds = [first, plain(Storage::None), plain(Storage::None)];
    let reloads = Way {
        reload: true,
        ..Way::default()
    };
    let ways = vec![reloads, Way::default(), Way::default()];
    let config = Event::Config {
        set: 0,
        config: Some([0, 0, 1]),
    };
    let shut = Event::Condition {
        set: 0,
        ordinal: None,
        status: false,
    };
    let events = [
        grown(&ways),
        vec![config, shut, Event::Rounds { number: 2 }],
    ]
    .concat();
    lives(begin(false, false), &kinds, &events);
}

/// The budget had no room for a move, and nobody was told that it had nowhere to go any more.
#[test]
fn a_move_that_waits_for_the_budget_rests_on_where_it_is_to_go() {
    let kinds = [Storage::None; 3].map(plain);
    let unready = Event::Unready {
        set: 1,
        ordinal: 1,
        unready: true,
    };
    let asked = Event::Move {
        set: 1,
        ordinal: 0,
        host: Some(4),
    };
    let lost = Event::Contact {
        host: 4,
        connected: false,
    };
    let events = vec![
        unready,
        asked,
        Event::Rounds { number: 1 },
        lost,
        Event::Plan,
    ];
    let events = [grown(&vec![Way::default(); 3]), events].concat();
    lives(begin(false, false), &kinds, &events);
}

/// A member that was on its way held scaling in back until it was stopped to move: its stop let the next
/// one go.
#[test]
fn who_moves_before_it_served_holds_scaling_in_as_before() {
    let kinds = [Storage::None; 3].map(plain);
    let from_one = Way {
        start: 1,
        ..Way::default()
    };
    let put = Event::Put {
        set: 2,
        replicas: 1,
        revision: 0,
        way: Way::default(),
    };
    let moved = Event::Move {
        set: 2,
        ordinal: 0,
        host: None,
    };
    let events = vec![put, Event::Rounds { number: 2 }, moved, Event::Plan];
    let ways = vec![Way::default(), Way::default(), from_one];
    let events = [grown(&ways), events].concat();
    lives(begin(false, false), &kinds, &events);
}

/// A member was stopped to move although it shares a claim whose volume is on its host, and waited elsewhere
/// for that.
#[test]
fn what_is_shared_does_not_come_along() {
    let mut kinds = [
        Storage::Shared(AccessMode::ReadWriteOnce),
        Storage::None,
        Storage::None,
    ]
    .map(plain);
    kinds[0].config = true;
    let put = Event::Put {
        set: 0,
        replicas: 1,
        revision: 0,
        way: Way::default(),
    };
    let claim = Event::Claim {
        set: 0,
        ordinal: 0,
        bytes: 3,
    };
    let moved = Event::Move {
        set: 0,
        ordinal: 0,
        host: None,
    };
    let config = Event::Config {
        set: 0,
        config: Some([0, 0, 1]),
    };
    let events = vec![
        put,
        claim,
        Event::Rounds { number: 2 },
        moved,
        config,
        Event::Rounds { number: 2 },
    ];
    let events = [grown(&vec![Way::default(); 3]), events].concat();
    lives(begin(false, false), &kinds, &events);
}

/// The stop of a set waited for one that depends on it and had lost its hosts, which took others in the same
/// plan.
#[test]
fn whether_a_set_is_wanted_is_known_before_others_ask() {
    let mut kinds = [Storage::Nfs, Storage::None, Storage::None].map(plain);
    kinds[2].place = Place::PerHost;
    kinds[2].spread = Spread::Require;
    kinds[2].needs = Some(DependencyGate::Started);
    let put = Event::Put {
        set: 1,
        replicas: 0,
        revision: 0,
        way: Way::default(),
    };
    let label = Event::Label {
        host: 2,
        rack: Some(false),
    };
    let events = vec![label, Event::Plan, Event::Rounds { number: 1 }, put];
    let events = [grown(&vec![Way::default(); 3]), events].concat();
    lives(begin(false, false), &kinds, &events);
}

/// A member whose data was given up was placed on the host that another one was on its way to, by which that
/// one had nowhere to go.
#[test]
fn where_a_member_is_on_its_way_to_is_taken() {
    let mut kinds = [Storage::Local, Storage::None, Storage::None].map(plain);
    kinds[0].spread = Spread::Require;
    let discarded = Event::Discard {
        set: 0,
        ordinal: Some(0),
    };
    let moved = Event::Move {
        set: 0,
        ordinal: 2,
        host: Some(1),
    };
    let unready = Event::Unready {
        set: 0,
        ordinal: 2,
        unready: true,
    };
    let events = vec![
        discarded,
        Event::Plan,
        moved,
        unready,
        Event::Rounds { number: 3 },
    ];
    let events = [grown(&vec![Way::default(); 3]), events].concat();
    lives(begin(false, false), &kinds, &events);
}

/// While all members of `Recreate` were down, one was moved to the host that the data of another is on.
#[test]
fn where_the_data_of_a_member_is_that_is_down_is_taken() {
    let mut kinds = [Storage::Local, Storage::None, Storage::None].map(plain);
    (kinds[0].spread, kinds[0].founded) = (Spread::Require, true);
    let moved = Event::Move {
        set: 0,
        ordinal: 0,
        host: Some(2),
    };
    let put = Event::Put {
        set: 0,
        replicas: 2,
        revision: 2,
        way: Way {
            update: UpdateKind::Recreate,
            ..Way::default()
        },
    };
    let events = vec![moved, put, Event::Rounds { number: 3 }];
    let events = [grown(&vec![Way::default(); 3]), events].concat();
    lives(begin(false, false), &kinds, &events);
}

/// Two members that were about to start waited for the next one, once that was stopped for its update, and so
/// counted for nothing: in the next plan one more was stopped.
#[test]
fn who_waits_for_one_that_is_being_stopped_is_under_way() {
    let mut kinds = [Storage::None, Storage::None, Storage::Nfs].map(plain);
    kinds[2].policy = GatePolicy::Parallel;
    kinds[2].cold = Some(GatePolicy::OrderedStarted);
    (kinds[2].config, kinds[2].gated) = (true, true);
    let put = |replicas, max_unavailable| Event::Put {
        set: 2,
        replicas,
        revision: 0,
        way: Way {
            max_unavailable,
            ..Way::default()
        },
    };
    let config = Event::Config {
        set: 2,
        config: Some([0, 1, 0]),
    };
    let events = vec![
        put(0, None),
        Event::Plan,
        put(4, Some(Amount::Number(2))),
        Event::Rounds { number: 5 },
        config,
        Event::Pass { millis: 10_000 },
        Event::Rounds { number: 2 },
    ];
    let events = [grown(&vec![Way::default(); 3]), events].concat();
    lives(begin(false, false), &kinds, &events);
}

/// A claim that is shared was made by hand again and again, in the directory of the one before.
#[test]
fn a_claim_is_made_again_in_the_directory_of_the_one_before() {
    let mut kinds = [Storage::None, Storage::Nfs, Storage::None].map(plain);
    kinds[0].storage = Storage::Shared(AccessMode::ReadWriteMany);
    let claim = || Event::Claim {
        set: 0,
        ordinal: 0,
        bytes: 3,
    };
    let put = Event::Put {
        set: 0,
        replicas: 1,
        revision: 0,
        way: Way::default(),
    };
    let events = vec![
        claim(),
        Event::Plan,
        Event::DropClaims,
        claim(),
        Event::Release,
        Event::Plan,
        Event::DropClaims,
        put,
    ];
    lives(begin(false, false), &kinds, &events);
}

/// Config that changed is delivered to a member that is unready when it counts as broken, and nobody was to
/// look at it then.
#[test]
fn who_is_soon_broken_is_looked_at_again() {
    let mut kinds = [Storage::None, Storage::None, Storage::None].map(plain);
    kinds[0].config = true;
    let reload = Way {
        reload: true,
        ..Way::default()
    };
    let unready = Event::Unready {
        set: 0,
        ordinal: 0,
        unready: true,
    };
    let config = Event::Config {
        set: 0,
        config: Some([0, 0, 1]),
    };
    let events = vec![
        unready,
        config,
        Event::Rounds { number: 2 },
        Event::Pass { millis: 10_000 },
        Event::Plan,
    ];
    let events = [grown(&[reload, Way::default(), Way::default()]), events].concat();
    lives(begin(false, false), &kinds, &events);
}

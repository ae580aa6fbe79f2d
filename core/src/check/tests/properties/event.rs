//! What may happen in a random history, and what it does to the state.

use std::{collections::BTreeSet, time::Duration};

use proptest::prelude::*;

use super::{
    HOSTS, SETS, checked_plan,
    coverage::Seen,
    kinds::{Kind, required},
    lost, rounds,
    storage::{self, Copying, Storage, VOLUMES, claim, copy, drop_claims, release, volume},
    ways::{self, Config, Way, put_config, way},
    works,
};
use crate::{
    fixture::{friend::Friends, host_name, key, member, put_set},
    ids::{MemberId, Ordinal},
    prerequisite::{Answer, Fact},
    spec::StatefulSetSpec,
    state::{Draining, MemberCondition, Offline, State, leaving, moving},
};

/// What may happen.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Put {
        set: usize,
        replicas: i64,
        revision: u8,
        way: Way,
    },
    /// The config of a set is another, or gone.
    Config {
        set: usize,
        config: Config,
    },
    Delete {
        set: usize,
    },
    Lose {
        set: usize,
        ordinal: u32,
    },
    Unready {
        set: usize,
        ordinal: u32,
        unready: bool,
    },
    Linger {
        set: usize,
        ordinal: u32,
        lingers: bool,
    },
    /// What a member of a set with readiness gates waits for besides its processes is true or not; or
    /// all members of it.
    Condition {
        set: usize,
        ordinal: Option<u32>,
        status: bool,
    },
    Contact {
        host: u8,
        connected: bool,
    },
    Cordon {
        host: u8,
        cordoned: bool,
    },
    Restart {
        set: usize,
        ordinal: u32,
    },
    Offline {
        set: usize,
        ordinal: u32,
        offline: bool,
    },
    /// A host is drained, and members that live there are stopped too if `pinned` says so; or not
    /// any more.
    Drain {
        host: u8,
        pinned: Option<bool>,
    },
    Label {
        host: u8,
        rack: Option<bool>,
    },
    /// An agent says whether its host has what sets require; or it is not known any more.
    Answer {
        host: u8,
        met: Option<bool>,
    },
    /// The agent of one host does what it is to do and reports.
    Agent {
        host: u8,
    },
    /// So often everybody does what is to be done, and it is planned anew.
    Rounds {
        number: u8,
    },
    Plan,
    Pass {
        millis: u64,
    },
    DropClaims,
    /// A volume is made by hand.
    Volume {
        number: u8,
    },
    /// A claim is made by hand: one that members share, or in place of a member's own.
    Claim {
        set: usize,
        ordinal: u32,
        bytes: u64,
    },
    /// Volumes whose claims are gone are released.
    Release,
    /// The agents do their work on volumes.
    Works,
    /// A set is deleted without its members.
    Orphan {
        set: usize,
    },
    /// The data of a member is to go with its present epoch, or that of the whole set.
    Discard {
        set: usize,
        ordinal: Option<u32>,
    },
    /// A host that is out of contact is confirmed dead.
    ConfirmDead {
        host: u8,
    },
    /// A member of a host that is out of contact is forced.
    Force {
        set: usize,
        ordinal: u32,
    },
    /// A member is to go to another host, or not any more.
    Move {
        set: usize,
        ordinal: u32,
        host: Option<u8>,
    },
    Stay {
        set: usize,
        ordinal: u32,
    },
    /// Something about copies of volumes.
    Copy(Copying),
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let set = 0..SETS.len();
    let ordinal = 0..4_u32;
    let host = 1..=HOSTS;
    let (claimed, number) = (set.clone(), ordinal.clone());
    prop_oneof![
        4 => (set.clone(), 0..=4_i64, 0..3_u8, prop_oneof![Just(Way::default()), way()])
            .prop_map(|(set, replicas, revision, way)| {
                Event::Put { set, replicas, revision, way }
            }),
        3 => (set.clone(), ways::config())
            .prop_map(|(set, config)| Event::Config { set, config }),
        1 => set.clone().prop_map(|set| Event::Delete { set }),
        2 => (set.clone(), ordinal.clone())
            .prop_map(|(set, ordinal)| Event::Lose { set, ordinal }),
        3 => (set.clone(), ordinal.clone(), any::<bool>())
            .prop_map(|(set, ordinal, unready)| Event::Unready { set, ordinal, unready }),
        1 => (set.clone(), ordinal.clone(), any::<bool>())
            .prop_map(|(set, ordinal, lingers)| Event::Linger { set, ordinal, lingers }),
        3 => (set.clone(), prop::option::of(ordinal.clone()), prop::bool::weighted(0.8))
            .prop_map(|(set, ordinal, status)| Event::Condition { set, ordinal, status }),
        2 => (set, ordinal).prop_map(|(set, ordinal)| Event::Restart { set, ordinal }),
        2 => (host.clone(), any::<bool>())
            .prop_map(|(host, connected)| Event::Contact { host, connected }),
        1 => (host.clone(), any::<bool>())
            .prop_map(|(host, cordoned)| Event::Cordon { host, cordoned }),
        1 => (claimed.clone(), number.clone(), any::<bool>())
            .prop_map(|(set, ordinal, offline)| Event::Offline { set, ordinal, offline }),
        1 => (host.clone(), prop::option::of(any::<bool>()))
            .prop_map(|(host, pinned)| Event::Drain { host, pinned }),
        1 => (host.clone(), prop::option::of(any::<bool>()))
            .prop_map(|(host, rack)| Event::Label { host, rack }),
        2 => (host.clone(), prop::option::weighted(0.8, any::<bool>()))
            .prop_map(|(host, met)| Event::Answer { host, met }),
        4 => host.prop_map(|host| Event::Agent { host }),
        6 => Just(Event::Plan),
        16 => (1..6_u8).prop_map(|number| Event::Rounds { number }),
        3 => (0..15_000_u64).prop_map(|millis| Event::Pass { millis }),
        1 => Just(Event::DropClaims),
        4 => (0..VOLUMES).prop_map(|number| Event::Volume { number }),
        2 => (claimed, number, 3..6_u64)
            .prop_map(|(set, ordinal, bytes)| Event::Claim { set, ordinal, bytes }),
        1 => Just(Event::Release),
        3 => Just(Event::Works),
        1 => (0..SETS.len()).prop_map(|set| Event::Orphan { set }),
        1 => (0..SETS.len(), prop::option::of(0..4_u32))
            .prop_map(|(set, ordinal)| Event::Discard { set, ordinal }),
        2 => (1..=HOSTS).prop_map(|host| Event::ConfirmDead { host }),
        3 => (0..SETS.len(), 0..4_u32)
            .prop_map(|(set, ordinal)| Event::Force { set, ordinal }),
        4 => (0..SETS.len(), 0..4_u32, prop::option::weighted(0.8, 1..=HOSTS))
            .prop_map(|(set, ordinal, host)| Event::Move { set, ordinal, host }),
        4 => (0..SETS.len(), 0..4_u32)
            .prop_map(|(set, ordinal)| Event::Stay { set, ordinal }),
        7 => storage::copying().prop_map(Event::Copy),
    ]
}

pub(super) fn assigned(state: &State, id: &MemberId) -> bool {
    let set = state.sets.get(&id.set);
    set.is_some_and(|set| set.members.contains_key(&id.ordinal))
}

fn toggle(among: &mut BTreeSet<MemberId>, id: MemberId, on: bool) {
    if on {
        among.insert(id);
    } else {
        among.remove(&id);
    }
}

pub(super) fn happen(friends: &mut Friends, kinds: &[Kind], event: &Event, seen: &mut Seen) {
    match event {
        Event::Put {
            set,
            replicas,
            revision,
            way,
        } => put(
            friends,
            SETS[*set],
            kinds[*set].spec(*set, *replicas, *revision, way),
        ),
        Event::Config { set, config } => put_config(friends, SETS[*set], *config),
        Event::Delete { set } => delete(friends, SETS[*set]),
        Event::Lose { set, ordinal } => wipe(friends, &member(SETS[*set], *ordinal)),
        Event::Unready {
            set,
            ordinal,
            unready,
        } => toggle(&mut friends.unready, member(SETS[*set], *ordinal), *unready),
        Event::Linger {
            set,
            ordinal,
            lingers,
        } => toggle(
            &mut friends.lingering,
            member(SETS[*set], *ordinal),
            *lingers,
        ),
        Event::Condition {
            set,
            ordinal,
            status,
        } => condition(friends, SETS[*set], *ordinal, *status),
        Event::Contact { host, connected } => friends.contact(&host_name(*host), *connected),
        Event::Cordon { host, cordoned } => cordon(friends, *host, *cordoned),
        Event::Restart { set, ordinal } => restart(friends, &member(SETS[*set], *ordinal)),
        Event::Offline {
            set,
            ordinal,
            offline,
        } => take_offline(friends, &member(SETS[*set], *ordinal), *offline),
        Event::Drain { host, pinned } => drain(friends, *host, *pinned),
        Event::Label { host, rack } => label(friends, *host, *rack),
        Event::Answer { host, met } => answer(friends, *host, *met),
        Event::Agent { host } => friends.agent(&host_name(*host)),
        Event::Plan => checked_plan(friends, seen),
        Event::Rounds { number } => rounds(friends, *number, seen),
        Event::Pass { millis } => friends.now = friends.now.plus(Duration::from_millis(*millis)),
        Event::DropClaims => drop_claims(&mut friends.state),
        Event::Volume { number } => volume(&mut friends.state, *number),
        Event::Claim {
            set,
            ordinal,
            bytes,
        } => claim_by_hand(friends, kinds, (*set, *ordinal), *bytes),
        Event::Release => release(&mut friends.state),
        Event::Works => works(friends),
        Event::Orphan { set } => orphan(friends, SETS[*set]),
        Event::Discard { set, ordinal } => discard(friends, SETS[*set], *ordinal),
        Event::ConfirmDead { host } => lost::confirm_dead(friends, *host),
        Event::Force { set, ordinal } => lost::force(friends, &member(SETS[*set], *ordinal)),
        Event::Move { set, ordinal, host } => {
            go_elsewhere(friends, &member(SETS[*set], *ordinal), *host);
        }
        Event::Stay { set, ordinal } => stay(friends, &member(SETS[*set], *ordinal)),
        Event::Copy(event) => {
            let is_local = |set: usize| kinds[set].storage == Storage::Local;
            copy(&mut friends.state, is_local, event, friends.now);
        }
    }
}

fn wipe(friends: &mut Friends, id: &MemberId) {
    if assigned(&friends.state, id) {
        friends.wipe(id);
    }
}

fn claim_by_hand(friends: &mut Friends, kinds: &[Kind], (set, ordinal): (usize, u32), bytes: u64) {
    let storage = kinds[set].storage;
    claim(&mut friends.state, storage, set, ordinal, bytes);
}

/// Says it of the members of a set, if that has readiness gates.
pub(super) fn condition(friends: &mut Friends, set: &str, ordinal: Option<u32>, status: bool) {
    let since = friends.now;
    let Some(set) = friends.state.sets.get_mut(&key(set)) else {
        return;
    };
    let gates = &set.spec.template.spec.readiness_gates;
    let Some(gate) = gates.first().map(|gate| gate.condition_type.clone()) else {
        return;
    };
    let said = MemberCondition {
        status,
        message: String::new(),
        since,
    };
    let meant = |n: Ordinal| ordinal.is_none_or(|ordinal| ordinal == n.0);
    let all: Vec<Ordinal> = set.members.keys().copied().filter(|n| meant(*n)).collect();
    for member in all {
        let member = set.members.get_mut(&member).unwrap();
        let known = member.conditions.get(&gate);
        if known.is_none_or(|known| known.status != status) {
            member.conditions.insert(gate.clone(), said.clone());
        }
    }
}

fn cordon(friends: &mut Friends, host: u8, cordoned: bool) {
    let host = friends.state.hosts.get_mut(&host_name(host)).unwrap();
    host.record.unschedulable = cordoned;
}

fn label(friends: &mut Friends, host: u8, rack: Option<bool>) {
    let host = friends.state.hosts.get_mut(&host_name(host)).unwrap();
    let rack = rack.map(|b| if b { "b" } else { "a" });
    host.record.label("rack", rack);
}

pub(super) fn answer(friends: &mut Friends, host: u8, met: Option<bool>) {
    let host = friends.state.hosts.get_mut(&host_name(host)).unwrap();
    let Some(met) = met else {
        host.contact.asked.clear();
        return;
    };
    let fact = if met {
        Fact::Value("999".to_owned())
    } else {
        Fact::Absent
    };
    let of = required();
    let finding = of.judge(&fact);
    host.contact
        .answered(vec![Answer { of, finding }], friends.now);
}

fn delete(friends: &mut Friends, set: &str) {
    let now = friends.now;
    if let Some(set) = friends.state.sets.get_mut(&key(set)) {
        set.deleting.get_or_insert(now);
    }
}

fn orphan(friends: &mut Friends, set: &str) {
    let now = friends.now;
    let set = friends.state.sets.get_mut(&key(set));
    if let Some(set) = set.filter(|set| set.deleting.is_none()) {
        set.orphaned = Some(now);
    }
}

fn restart(friends: &mut Friends, id: &MemberId) {
    let now = friends.now;
    let set = friends.state.sets.get_mut(&id.set);
    if let Some(member) = set.and_then(|set| set.members.get_mut(&id.ordinal)) {
        member.restart_asked = Some(now);
    }
}

fn drain(friends: &mut Friends, host: u8, pinned: Option<bool>) {
    let since = friends.now;
    let host = friends.state.hosts.get_mut(&host_name(host)).unwrap();
    host.record.unschedulable = pinned.is_some();
    host.record.directives.draining = pinned.map(|stop_pinned| Draining { since, stop_pinned });
}

fn take_offline(friends: &mut Friends, id: &MemberId, offline: bool) {
    let since = friends.now;
    let Some(set) = friends.state.sets.get_mut(&id.set) else {
        return;
    };
    if offline {
        let reason = String::new();
        set.offline.insert(id.ordinal, Offline { since, reason });
    } else {
        set.offline.remove(&id.ordinal);
    }
}

fn go_elsewhere(friends: &mut Friends, id: &MemberId, host: Option<u8>) {
    let host = host.map(host_name);
    if let Ok(after) = moving::ask(&friends.state, id, host.as_ref(), friends.now) {
        friends.state = after;
    }
}

pub(super) fn stay(friends: &mut Friends, id: &MemberId) {
    if let Ok(after) = moving::give_up(&friends.state, id, "the operator thinks again") {
        friends.state = after;
    }
}

fn put(friends: &mut Friends, set: &str, wanted: StatefulSetSpec) {
    let stored = friends.state.sets.get(&key(set));
    if stored.is_none_or(|stored| stored.deleting.is_none()) {
        put_set(&mut friends.state, set, wanted);
        friends.state.sets.get_mut(&key(set)).unwrap().orphaned = None;
    }
}

/// What `berth member replace --new-volume` and `berth set refound` decide.
fn discard(friends: &mut Friends, name: &str, ordinal: Option<u32>) {
    let now = friends.now;
    let change = match ordinal {
        Some(ordinal) => leaving::replace(&friends.state, &member(name, ordinal), now),
        None => leaving::refound(&friends.state, &key(name), now),
    };
    if let Ok(after) = change {
        friends.state = after;
    }
}

//! Volumes in random histories: where those of a set come from, and what must hold of them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{SETS, event::assigned};
use crate::{
    fixture::{hand_made, key, static_volume},
    ids::Uid,
    spec::{AccessMode, DataSource, DataSourceKind, VolumeSnapshot},
    state::{SnapshotState, State},
    time::Timestamp,
    volume::{
        PoolInfo, PoolKind, VolumeSource,
        access::sharers,
        copy::snapshot_of,
        work::{self, After, SnapshotChange, VolumeTask},
    },
};

/// Where the volumes of a set come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Storage {
    None,
    /// A pool.
    Local,
    /// A directory per claim on a server.
    Nfs,
    /// Volumes that are made by hand.
    Static,
    /// One claim for all members, with this mode.
    Shared(AccessMode),
}

/// The class of volumes that are made by hand.
pub(super) const BY_HAND: &str = "hand";
/// So many of them there are at most: enough for every claim.
pub(super) const VOLUMES: u8 = 16;

pub(super) fn storage() -> impl Strategy<Value = Storage> {
    prop_oneof![
        2 => Just(Storage::None),
        4 => Just(Storage::Local),
        2 => Just(Storage::Nfs),
        3 => Just(Storage::Static),
        1 => Just(Storage::Shared(AccessMode::ReadWriteMany)),
        1 => Just(Storage::Shared(AccessMode::ReadWriteOnce)),
    ]
}

pub(super) fn drop_claims(state: &mut State) {
    let before = state.clone();
    state.claims.retain(|key, claim| {
        let used = claim
            .member
            .as_ref()
            .is_some_and(|id| assigned(&before, id));
        used || sharers(&before, key).next().is_some()
    });
}

pub(super) fn volume(state: &mut State, number: u8) {
    let volume = static_volume(state, &format!("pv-{number}"), 9);
    BY_HAND.clone_into(&mut volume.spec.storage_class_name);
    volume.spec.access_modes.push(AccessMode::ReadWriteMany);
    let labels = &mut volume.metadata.labels;
    labels.insert("slot".to_owned(), (number % 4).to_string());
}

pub(super) fn claim(state: &mut State, storage: Storage, set: usize, ordinal: u32, bytes: u64) {
    let set = SETS[set];
    let (name, class, mode) = match storage {
        Storage::None => return,
        Storage::Local => (format!("data-{set}-{ordinal}"), "local", None),
        Storage::Nfs => (format!("data-{set}-{ordinal}"), "nfs", None),
        Storage::Static => (format!("data-{set}-{ordinal}"), BY_HAND, None),
        Storage::Shared(AccessMode::ReadWriteOnce) => (format!("shared-{set}"), "local", None),
        Storage::Shared(mode) => (format!("shared-{set}"), "nfs", Some(mode)),
    };
    let (claims, volumes) = (state.claims.len(), state.volumes.len());
    if state.claims.contains_key(&key(&name)) {
        return;
    }
    // The next one of that name has another id, also than one of which only its volume is left.
    let ids = (0..).map(|n| {
        let serial = state.zone.serial;
        Uid(format!("uid-{name}-{claims}-{volumes}-{serial}-{n}"))
    });
    let mut unused = ids.filter(|uid| !state.volumes.values().any(|v| v.owners.contains(uid)));
    let uid = unused.next().unwrap();
    let claim = hand_made(state, &name, bytes);
    claim.uid = uid;
    claim.spec.storage_class_name = Some(class.to_owned());
    claim.spec.access_modes.extend(mode);
}

/// What may happen to copies of volumes.
#[derive(Debug, Clone)]
pub(super) enum Copying {
    /// A snapshot of a member's claim is asked for, or given up.
    Snapshot {
        set: usize,
        ordinal: u32,
        wanted: bool,
    },
    /// A claim is made by hand that begins with what another member of the set has.
    Begin {
        set: usize,
        ordinal: u32,
        from: u32,
        clone: bool,
    },
    /// Agents do what is to be done about volumes.
    Work,
}

pub(super) fn copying() -> impl Strategy<Value = Copying> {
    let (set, n) = (0..SETS.len(), 0..4_u32);
    prop_oneof![
        2 => (set.clone(), n.clone(), any::<bool>())
            .prop_map(|(set, ordinal, wanted)| Copying::Snapshot { set, ordinal, wanted }),
        2 => (set, n.clone(), n, any::<bool>())
            .prop_map(|(set, ordinal, from, clone)| Copying::Begin { set, ordinal, from, clone }),
        3 => Just(Copying::Work),
    ]
}

/// Lets it happen; only claims to local volumes begin with something.
pub(super) fn copy(
    state: &mut State,
    is_local: impl Fn(usize) -> bool,
    event: &Copying,
    now: Timestamp,
) {
    match *event {
        Copying::Snapshot {
            set,
            ordinal,
            wanted: true,
        } => snapshot(state, set, ordinal),
        Copying::Snapshot { set, ordinal, .. } => forget(state, set, ordinal),
        Copying::Begin {
            set,
            ordinal,
            from,
            clone,
        } if is_local(set) => begin(state, set, ordinal, from, clone),
        Copying::Begin { .. } => {}
        Copying::Work => work(state, now),
    }
}

/// A snapshot of a member's claim; the next one of that name has another id.
fn snapshot(state: &mut State, set: usize, ordinal: u32) {
    let name = format!("snap-{}-{ordinal}", SETS[set]);
    let mut object = VolumeSnapshot::default();
    object.metadata.uid = format!("uid-{name}-{}", state.snapshots.len());
    let source = &mut object.spec.source;
    source.persistent_volume_claim_name = format!("data-{}-{ordinal}", SETS[set]);
    let used = snapshot_of(state, &object).is_some();
    if !used {
        let objects = &mut state.volume_snapshots;
        objects.or_insert_with(key(&name), || object);
    }
}

fn forget(state: &mut State, set: usize, ordinal: u32) {
    let name = format!("snap-{}-{ordinal}", SETS[set]);
    let Some(object) = state.volume_snapshots.remove(&key(&name)) else {
        return;
    };
    let record = snapshot_of(state, &object).map(|(name, _)| name);
    if let Some(record) = record.and_then(|name| state.snapshots.get_mut(&name)) {
        record.state = SnapshotState::Deleting;
    }
}

/// A claim in place of a member's own that begins with what another one has.
fn begin(state: &mut State, set: usize, ordinal: u32, from: u32, clone: bool) {
    let set = SETS[set];
    let (kind, name) = if clone {
        (DataSourceKind::PersistentVolumeClaim, "data")
    } else {
        (DataSourceKind::VolumeSnapshot, "snap")
    };
    let new = !state
        .claims
        .contains_key(&key(&format!("data-{set}-{ordinal}")));
    let index = SETS.iter().position(|one| *one == set).unwrap();
    claim(state, Storage::Local, index, ordinal, 9);
    let made = state.claims.get_mut(&key(&format!("data-{set}-{ordinal}")));
    if let Some(made) = made.filter(|_| new) {
        made.spec.data_source = Some(DataSource {
            api_group: String::new(),
            kind,
            name: format!("{name}-{set}-{from}"),
        });
    }
}

/// Agents do all that is to be done about volumes, and nothing is done of one that is copied.
pub(super) fn work(state: &mut State, now: Timestamp) {
    for due in work::work(state, &BTreeMap::new()).into_values().flatten() {
        match state.snapshots.get(&due.volume) {
            Some(snapshot) => match work::snapshot_done(snapshot, due.task, None, now) {
                Some(SnapshotChange::Is(after)) => {
                    state.snapshots.insert(due.volume, *after);
                }
                Some(SnapshotChange::Gone) => {
                    state.snapshots.remove(&due.volume);
                }
                None => panic!("{:?} changes nothing", due.task),
            },
            None => {
                let volume = &state.volumes[&due.volume];
                match work::done(volume, due.task, now) {
                    Some(After::Is(after)) => {
                        let claim = work::populated(state, &after);
                        if let VolumeTask::Populate { .. } = due.task {
                            state.claims.extend(claim);
                        }
                        state.volumes.insert(due.volume, *after);
                    }
                    Some(After::Gone) => drop(state.volumes.remove(&due.volume)),
                    None => panic!("{due:?} is not asked for"),
                }
            }
        }
    }
}

pub(super) fn release(state: &mut State) {
    let before = state.clone();
    for volume in state.volumes.values_mut() {
        if volume
            .claim
            .as_ref()
            .is_some_and(|bound| !bound.is_there(&before))
        {
            volume.claim = None;
        }
    }
    // What a class made is taken away for good, as from the trash.
    state
        .volumes
        .retain(|_, volume| !volume.provisioned || volume.claim.is_some());
}

/// Pools with limits, large enough for what is asked for.
pub(super) fn limit(state: &mut State) {
    for (n, host) in state.hosts.values_mut().enumerate() {
        let info = PoolInfo {
            capacity: 400,
            available: 400,
            limits: true,
            // Each copies in another way.
            kind: [PoolKind::Image, PoolKind::Directory][n % 2],
            clones: n > 0,
            ..PoolInfo::default()
        };
        host.record.pools.insert("default".to_owned(), info);
    }
}

/// I4, told apart from the planner and the checker: a claim never gets another volume than its
/// first, unless its data was brought there, and no two claims that are there have the same place.
#[derive(Debug, Default)]
pub(super) struct First(BTreeMap<Uid, VolumeSource>);

impl First {
    pub(super) fn check(&mut self, state: &State) {
        let mut places = BTreeMap::new();
        for (key, claim) in &state.claims {
            let Some(volume) = state.volume_of(claim) else {
                assert_eq!(claim.volume, None, "{key} has a volume without a record");
                continue;
            };
            let source = &volume.source;
            let first = self.0.entry(claim.uid.clone());
            let first = first.or_insert_with(|| source.clone());
            // A move brings the data along, all of it.
            if volume
                .moved_in
                .as_ref()
                .is_some_and(|moved_in| moved_in.complete)
            {
                first.clone_from(source);
            }
            assert_eq!(first, source, "{key} has another volume");
            let other = places.insert(source.describe() + &format!("{:?}", source.host()), key);
            assert_eq!(other, None, "{key} shares {}", source.describe());
        }
    }
}

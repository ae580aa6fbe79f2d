//! Volumes in random histories: where those of a set come from, and what must hold of them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{SETS, assigned};
use crate::{
    fixture::{hand_made, key, static_volume},
    ids::Uid,
    spec::AccessMode,
    state::State,
    volume::{PoolInfo, VolumeSource, access::sharers},
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
    // The next one of that name has another id.
    let uid = Uid(format!(
        "uid-{name}-{claims}-{volumes}-{}",
        state.zone.serial
    ));
    let claim = hand_made(state, &name, bytes);
    claim.uid = uid;
    claim.spec.storage_class_name = Some(class.to_owned());
    claim.spec.access_modes.extend(mode);
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
    for host in state.hosts.values_mut() {
        let info = PoolInfo {
            capacity: 400,
            limits: true,
            ..PoolInfo::default()
        };
        host.record.pools.insert("default".to_owned(), info);
    }
}

/// I4, told apart from the planner and the checker: a claim never gets another volume than its
/// first, and no two claims that are there have the same place.
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
            assert_eq!(first, source, "{key} has another volume");
            let other = places.insert(source.describe() + &format!("{:?}", source.host()), key);
            assert_eq!(other, None, "{key} shares {}", source.describe());
        }
    }
}

//! Data that was moved to another host since the backup was made. The store has it where it was before;
//! the ledger of the host that it was moved to has the order to run on it, and so says where it lies.
//!
//! Only a grant that is newer than all that the store knows of is followed: where the data of an older
//! one was, it knows itself. A claim is the same by its unique id: one that was made since is not there.

use std::collections::BTreeMap;

use crate::{
    ids::{ClaimKey, Epoch, HostName, MemberId, Uid},
    state::State,
    time::Timestamp,
    volume::VolumeSource,
};

/// The volumes of claims that are in pools of a host.
pub type Places = BTreeMap<Uid, Place>;

/// Where in its host's pools a volume is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The pool.
    pub pool: String,
    /// The volume's own directory (or image) there; one name, no path.
    pub dir: String,
}

impl Place {
    fn on(&self, host: &HostName) -> VolumeSource {
        VolumeSource::Local {
            host: host.clone(),
            pool: self.pool.clone(),
            dir: self.dir.clone(),
        }
    }
}

/// Gives the claims of a member, which a host was granted meanwhile, the volumes that this host has.
pub(super) fn follow(
    state: &mut State,
    host: &HostName,
    (id, epoch): (&MemberId, Epoch),
    places: &Places,
    now: Timestamp,
) {
    let set = state.sets.get(&id.set);
    let last = set.and_then(|set| set.last_grants.get(&id.ordinal));
    if last.is_some_and(|last| last.epoch >= epoch) {
        return;
    }
    let own = state.claims_of_member(id);
    let moved = own.filter_map(|(key, claim)| {
        let source = places.get(&claim.uid)?.on(host);
        let known = state.volume_of(claim)?;
        let is_elsewhere = known.source.host().is_some() && known.source != source;
        is_elsewhere.then(|| (key.clone(), source))
    });
    let moved: Vec<(ClaimKey, VolumeSource)> = moved.collect();
    for (key, source) in moved {
        state.was_moved(&key, source, epoch, now);
    }
}

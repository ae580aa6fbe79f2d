//! The phases of volumes and claims, with the words of Kubernetes. They follow from the records and
//! are never stored.

use berth_core::{
    ids::ObjectKey,
    state::{BoundClaim, Claim, State, VolumeState},
};

/// Where a volume stands; `None` if there is none of that name.
pub(super) fn of_volume(state: &State, name: &ObjectKey) -> Option<&'static str> {
    let Some(volume) = state.volumes.get(name) else {
        return state
            .persistent_volumes
            .contains_key(name)
            .then_some("Available");
    };
    Some(match (&volume.state, &volume.claim) {
        (VolumeState::Restoring, _) => "Pending",
        (VolumeState::Trashing | VolumeState::Trashed { .. }, _) => "Released",
        (VolumeState::Live, None) => "Available",
        (VolumeState::Live, Some(bound)) if is_there(state, bound) => "Bound",
        (VolumeState::Live, Some(_)) => "Released",
    })
}

/// Where a claim stands.
pub(super) fn of_claim(state: &State, claim: &Claim) -> &'static str {
    if claim.volume.is_none() {
        return "Pending";
    }
    let bound = state
        .volume_of(claim)
        .and_then(|volume| volume.claim.as_ref());
    if bound.is_some_and(|bound| bound.uid == claim.uid) {
        "Bound"
    } else {
        "Lost"
    }
}

/// Whether the claim of a binding exists: another one of its name is not it.
pub(super) fn is_there(state: &State, bound: &BoundClaim) -> bool {
    let claim = state.claims.get(&bound.key);
    claim.is_some_and(|claim| claim.uid == bound.uid)
}

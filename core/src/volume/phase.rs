//! The phases of volumes and claims, as Kubernetes has them. They are never stored: they follow
//! from the records, so that they cannot contradict them.

use crate::{
    ids::ObjectKey,
    state::{Claim, State, VolumeState},
};

/// Where a volume stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VolumePhase {
    /// It is on its way back from the trash, or its data is still being copied.
    Pending,
    /// A claim may have it.
    Available,
    /// A claim has it.
    Bound,
    /// Its claim is gone, and an operator has not said what becomes of it; or it is in the trash.
    Released,
}

impl VolumePhase {
    /// The name as Kubernetes shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Available => "Available",
            Self::Bound => "Bound",
            Self::Released => "Released",
        }
    }
}

/// Where a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClaimPhase {
    /// It has no volume yet.
    Pending,
    /// It has one.
    Bound,
    /// Its volume is gone, or another claim's. It never gets another one.
    Lost,
}

impl ClaimPhase {
    /// The name as Kubernetes shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Bound => "Bound",
            Self::Lost => "Lost",
        }
    }
}

/// The phase of a volume; `None` if there is none of that name.
pub fn of_volume(state: &State, name: &ObjectKey) -> Option<VolumePhase> {
    let object = state.persistent_volumes.get(name);
    let Some(record) = state.volumes.get(name) else {
        let named = object?.spec.claim_ref.as_ref();
        // A claim that is named with its id and does not exist was there once.
        let gone = named.is_some_and(|named| {
            let claim = named.key().and_then(|key| state.claims.get(&key));
            !named.uid.is_empty() && claim.is_none_or(|claim| claim.uid.0 != named.uid)
        });
        return Some(if gone {
            VolumePhase::Released
        } else {
            VolumePhase::Available
        });
    };
    Some(match (&record.state, &record.claim) {
        (VolumeState::Restoring, _) => VolumePhase::Pending,
        (VolumeState::Trashing | VolumeState::Trashed { .. } | VolumeState::Purging, _) => {
            VolumePhase::Released
        }
        (VolumeState::Live, _) if record.copying().is_some() || record.arriving().is_some() => {
            VolumePhase::Pending
        }
        (VolumeState::Live, None) => VolumePhase::Available,
        (VolumeState::Live, Some(bound)) if bound.is_there(state) => VolumePhase::Bound,
        (VolumeState::Live, Some(_)) => VolumePhase::Released,
    })
}

/// The phase of a claim.
pub fn of_claim(state: &State, claim: &Claim) -> ClaimPhase {
    if claim.volume.is_none() {
        return ClaimPhase::Pending;
    }
    let bound = state
        .volume_of(claim)
        .and_then(|volume| volume.claim.as_ref());
    if bound.is_some_and(|bound| bound.uid == claim.uid) {
        ClaimPhase::Bound
    } else {
        ClaimPhase::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{hand_made, static_volume, volume_key},
        plan::plan,
        spec::ClaimRef,
        state::State,
        time::Timestamp,
    };

    fn bound() -> State {
        let mut state = State::default();
        static_volume(&mut state, "pv", 10);
        hand_made(&mut state, "data", 5);
        let (plan, _) = plan(&state, Timestamp(1));
        for step in &plan.steps {
            state.apply(step, Timestamp(1));
        }
        state
    }

    fn phase(state: &State) -> VolumePhase {
        of_volume(state, &volume_key("pv")).unwrap()
    }

    #[test]
    fn a_volume_is_available_then_bound_then_released_until_somebody_says_otherwise() {
        let mut state = State::default();
        assert_eq!(of_volume(&state, &volume_key("pv")), None);
        static_volume(&mut state, "pv", 10);
        assert_eq!(phase(&state), VolumePhase::Available);
        let mut state = bound();
        assert_eq!(phase(&state), VolumePhase::Bound);
        let claim = state.claims.pop_first().unwrap();
        assert_eq!(phase(&state), VolumePhase::Released);
        let mut other = state.clone();
        hand_made(&mut other, "data", 5).uid = crate::ids::Uid("another".to_owned());
        assert_eq!(
            phase(&other),
            VolumePhase::Released,
            "a claim of that name is not it"
        );
        let name = volume_key("pv");
        state.volumes.get_mut(&name).unwrap().claim = None;
        assert_eq!(phase(&state), VolumePhase::Available);
        state.claims.insert(claim.0, claim.1);
        let record = state.volumes.get_mut(&name).unwrap();
        record.state = VolumeState::Trashing;
        assert_eq!(phase(&state), VolumePhase::Released);
        state.volumes.get_mut(&name).unwrap().state = VolumeState::Restoring;
        assert_eq!(phase(&state), VolumePhase::Pending);
    }

    #[test]
    fn a_volume_that_names_a_claim_by_an_id_of_the_past_is_released() {
        let mut state = State::default();
        static_volume(&mut state, "pv", 10).spec.claim_ref = Some(ClaimRef {
            name: "data".to_owned(),
            ..ClaimRef::default()
        });
        assert_eq!(phase(&state), VolumePhase::Available);
        let object = state.persistent_volumes.values_mut().next().unwrap();
        object.spec.claim_ref.as_mut().unwrap().uid = "old".to_owned();
        assert_eq!(phase(&state), VolumePhase::Released);
        hand_made(&mut state, "data", 5).uid = crate::ids::Uid("old".to_owned());
        assert_eq!(phase(&state), VolumePhase::Available);
    }

    #[test]
    fn a_claim_is_pending_then_bound_and_lost_with_its_volume() {
        let mut state = bound();
        let claim = state.claims.values().next().unwrap().clone();
        assert_eq!(of_claim(&state, &claim), ClaimPhase::Bound);
        let unbound = Claim {
            volume: None,
            ..claim.clone()
        };
        assert_eq!(of_claim(&state, &unbound), ClaimPhase::Pending);
        let volume = state.volumes.values_mut().next().unwrap();
        volume.claim.as_mut().unwrap().uid = crate::ids::Uid("other".to_owned());
        assert_eq!(of_claim(&state, &claim), ClaimPhase::Lost, "given away");
        state.volumes.clear();
        assert_eq!(of_claim(&state, &claim), ClaimPhase::Lost, "vanished");
    }
}

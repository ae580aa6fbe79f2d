//! Access modes: who may use a volume at the same time, and who does.

use crate::{
    ids::{ClaimKey, HostName, MemberId, ObjectKey},
    spec::{AccessMode, MemberTemplate, MemberVolume},
    state::{Claim, Member, State},
};

/// The mode that is enforced of those that a claim has: the strictest one by members, else the
/// widest. A claim without any is used by one host.
pub fn effective(modes: &[AccessMode]) -> AccessMode {
    let widest = [
        AccessMode::ReadWriteOncePod,
        AccessMode::ReadWriteMany,
        AccessMode::ReadWriteOnce,
        AccessMode::ReadOnlyMany,
    ];
    let found = widest.into_iter().find(|mode| modes.contains(mode));
    found.unwrap_or(AccessMode::ReadWriteOnce)
}

/// Whether a volume of these modes is for several at the same time, and for nobody alone: whichever
/// of them a claim asks for, it does not expect to be the only one.
pub fn is_for_many(modes: &[AccessMode]) -> bool {
    let many = |mode: &AccessMode| match mode {
        AccessMode::ReadOnlyMany | AccessMode::ReadWriteMany => true,
        AccessMode::ReadWriteOnce | AccessMode::ReadWriteOncePod => false,
    };
    !modes.is_empty() && modes.iter().all(many)
}

impl Claim {
    /// The access mode that is enforced.
    pub fn access(&self) -> AccessMode {
        effective(&self.spec.access_modes)
    }

    /// Whether nobody may write to its volume.
    pub fn is_read_only(&self) -> bool {
        self.access() == AccessMode::ReadOnlyMany
    }
}

/// The claims that a template shares among its members, with how it uses them.
pub fn shared_claims<'a>(
    id: &'a MemberId,
    template: &'a MemberTemplate,
) -> impl Iterator<Item = (&'a MemberVolume, ClaimKey)> {
    template.spec.volumes.iter().filter_map(|volume| {
        let name = volume.persistent_volume_claim.claim_name.parse().ok()?;
        let namespace = id.set.namespace.clone();
        Some((volume, ObjectKey { namespace, name }))
    })
}

/// The members that are assigned and share a claim, in the order of their sets.
pub fn sharers<'a>(
    state: &'a State,
    claim: &ClaimKey,
) -> impl Iterator<Item = (MemberId, &'a Member)> + use<'a> {
    let ids: Vec<MemberId> = state.index().sharers.of(claim).cloned().collect();
    ids.into_iter().filter_map(|id| {
        let member = state.sets.get(&id.set)?.members.get(&id.ordinal)?;
        Some((id, member))
    })
}

/// The hosts whose orders speak of a claim, as far as they do.
pub fn hosts_of(state: &State, key: &ClaimKey) -> Vec<HostName> {
    let owner = state
        .claims
        .get(key)
        .and_then(|claim| claim.member.as_ref());
    let assigned = owner.and_then(|id| state.sets.get(&id.set)?.members.get(&id.ordinal));
    let owner = assigned.map(|member| member.host.clone());
    let shared = sharers(state, key).map(|(_, member)| member.host.clone());
    owner.into_iter().chain(shared).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use AccessMode::{ReadOnlyMany, ReadWriteMany, ReadWriteOnce, ReadWriteOncePod};

    #[test]
    fn the_mode_that_is_enforced() {
        assert_eq!(effective(&[]), ReadWriteOnce);
        assert_eq!(effective(&[ReadOnlyMany]), ReadOnlyMany);
        assert_eq!(effective(&[ReadOnlyMany, ReadWriteOnce]), ReadWriteOnce);
        assert_eq!(effective(&[ReadWriteOnce, ReadWriteMany]), ReadWriteMany);
        assert_eq!(
            effective(&[ReadWriteMany, ReadWriteOncePod]),
            ReadWriteOncePod
        );
    }

    #[test]
    fn a_volume_is_for_many_if_none_of_its_modes_is_for_one() {
        assert!(is_for_many(&[ReadWriteMany, ReadOnlyMany]));
        assert!(!is_for_many(&[ReadWriteOnce, ReadWriteMany]));
        assert!(!is_for_many(&[]), "one host, as without a mode");
    }
}

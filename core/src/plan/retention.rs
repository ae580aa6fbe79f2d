//! Retention: which claims go when members leave, and when they do. A StatefulSet says it with owner
//! references and a collector deletes by them; here a claim is tied by a step of its own, before
//! the last stop of its member is ordered, and deleted only when the member is proven gone. So what
//! was decided at the end of a member holds, even if the number of members grows again meanwhile:
//! the ordinal comes back with a fresh claim, never with half of the old data.
//!
//! Only claims of the set's own templates are tied. A restart, an update and the loss of a host tie
//! nothing.

use crate::{
    bug::{self, Bug},
    ids::{ClaimKey, MemberId, Ordinal, SetKey},
    plan::{Parked, Scope, Step, Subject, draft::Draft, parked::holds_set},
    spec::{Placement, Retention},
    state::{Claim, GoesWith, Member, Ordered, OwnClaims, Set, State, VolumeState},
    volume::access::sharers,
    waiting::Reason,
};

/// Ties the claims of the members of a set as its policy is now: it may have changed. Those of
/// ordinals that have no member are not tied anew, but a policy that keeps claims keeps them too.
pub(super) fn tie(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let mut steps = Vec::new();
    let claims = draft.state.own_claims(key);
    for (ordinal, member) in &set.members {
        for (key, claim) in own(&claims, set, *ordinal) {
            let goes_with = match &claim.goes_with {
                // An operator asked for it, whatever the policy.
                Some(GoesWith::Asked) => continue,
                // It was decided with its stop; a policy that changed since may save it.
                Some(GoesWith::Member { epoch })
                    if *epoch == member.epoch && when_scaled(set) == Retention::Delete =>
                {
                    continue;
                }
                Some(GoesWith::Member { .. } | GoesWith::Set { .. }) | None => living(set),
            };
            if claim.goes_with != goes_with {
                let key = key.clone();
                steps.push(Step::TieClaim { key, goes_with });
            }
        }
    }
    if living(set).is_none() {
        let went = Some(GoesWith::Set {
            uid: set.uid.clone(),
        });
        let left = claims.iter().filter(|(ordinal, _, claim)| {
            claim.goes_with == went && !set.members.contains_key(ordinal)
        });
        let mut left: Vec<ClaimKey> = left.map(|(_, key, _)| key.clone()).collect();
        left.sort_unstable();
        steps.extend(left.into_iter().map(|key| Step::TieClaim {
            key,
            goes_with: None,
        }));
    }
    for step in steps {
        draft.push(step);
    }
}

/// Ties the claims of a member that is about to leave because fewer are wanted.
pub(super) fn condemn(draft: &mut Draft, id: &MemberId) {
    let Some(set) = draft.set(&id.set) else {
        return;
    };
    let Some(member) = set.members.get(&id.ordinal) else {
        return;
    };
    if set.deleting.is_some() || when_scaled(set) != Retention::Delete {
        return;
    }
    let epoch = member.epoch;
    let claims = draft.state.own_claims(&id.set);
    let tied = |claim: &Claim| match &claim.goes_with {
        Some(GoesWith::Asked) => true,
        Some(GoesWith::Member { epoch: last }) => *last == epoch,
        Some(GoesWith::Set { .. }) | None => false,
    };
    let loose = own(&claims, set, id.ordinal).filter(|(_, claim)| !tied(claim));
    let keys: Vec<ClaimKey> = loose.map(|(key, _)| key.clone()).collect();
    for key in keys {
        let goes_with = Some(GoesWith::Member { epoch });
        draft.push(Step::TieClaim { key, goes_with });
    }
}

/// Deletes the claims whose time has come. Not those of parked sets.
pub(super) fn drop_claims(draft: &mut Draft, parked: &Parked, scope: &Scope) {
    if draft.mismatch().is_some() {
        // The store may be an old one, and somebody may run on them.
        return;
    }
    let state = &draft.state;
    let mut steps = Vec::new();
    for key in scope.claims(state, |claim| claim.goes_with.is_some()) {
        let Some(claim) = state.claims.get(&key) else {
            continue;
        };
        let Some(id) = &claim.member else { continue };
        let held = || holds_set(parked, &id.set) || sharers(state, &key).next().is_some();
        if is_due(state, id, claim) && !held() {
            let uid = claim.uid.clone();
            steps.push(Step::DropClaim { key, uid });
        }
    }
    for step in steps {
        draft.push(step);
    }
}

fn is_due(state: &State, id: &MemberId, claim: &Claim) -> bool {
    let set = state.sets.get(&id.set);
    let unused = set.is_none_or(|set| !set.members.contains_key(&id.ordinal))
        || bug::on(Bug::ClaimDroppedInUse);
    match &claim.goes_with {
        None => false,
        // A set of the name that was made since has nothing to do with it. One that is gone left it
        // behind because others shared it.
        Some(GoesWith::Set { uid }) => set
            .is_none_or(|set| set.uid == *uid && set.deleting.is_some() && set.members.is_empty()),
        Some(GoesWith::Member { .. } | GoesWith::Asked) => unused,
    }
}

/// Ties a claim that a member just took over.
pub(super) fn adopted(draft: &mut Draft, key: ClaimKey) {
    let claim = draft.state.claims.get(&key);
    let member = claim.and_then(|claim| claim.member.as_ref());
    let set = member.and_then(|id| draft.state.sets.get(&id.set));
    if let Some(goes_with) = set.and_then(living) {
        let goes_with = Some(goes_with);
        draft.push(Step::TieClaim { key, goes_with });
    }
}

/// With what the claims of a member go that is to stay.
pub(super) fn living(set: &Set) -> Option<GoesWith> {
    let policy = set.spec.persistent_volume_claim_retention_policy;
    match policy.when_deleted {
        Retention::Retain if !bug::on(Bug::RetainDeletes) => None,
        Retention::Retain | Retention::Delete => Some(GoesWith::Set {
            uid: set.uid.clone(),
        }),
    }
}

/// What becomes of the claims of members that leave because fewer are wanted. With one member per
/// host they are always kept: nobody scales, a label is easily taken away, and the member comes back
/// to its host.
pub(super) fn when_scaled(set: &Set) -> Retention {
    match set.spec.placement {
        Placement::PerHost => Retention::Retain,
        Placement::Replicas => {
            set.spec
                .persistent_volume_claim_retention_policy
                .when_scaled
        }
    }
}

/// The claims of a member that were made for it, or that it took over, in the order of its set's
/// templates.
fn own<'a>(
    claims: &'a OwnClaims,
    set: &'a Set,
    ordinal: Ordinal,
) -> impl Iterator<Item = (&'a ClaimKey, &'a Claim)> {
    let templates = set.spec.volume_claim_templates.iter();
    templates.filter_map(move |template| claims.named(ordinal, &template.metadata.name))
}

/// Why a wanted member that stops will not come back to its claims: they go with the epoch that
/// stops.
pub(super) fn stale(state: &State, id: &MemberId, set: &Set, member: &Member) -> Option<Reason> {
    let stops = member.ordered == Ordered::Stop && set.is_declared(id.ordinal);
    if !stops {
        return None;
    }
    let claims = state.own_claims(&id.set);
    let (claim, _) = own(&claims, set, id.ordinal).find(|(_, claim)| match claim.goes_with {
        Some(GoesWith::Member { .. } | GoesWith::Asked) => true,
        Some(GoesWith::Set { .. }) | None => false,
    })?;
    let claim = claim.clone();
    Some(Reason::ClaimStale { claim })
}

/// Whether the data of a claim of this name is still on its way to the trash. On a host that is out
/// of contact it may stay so for long, and is in nobody's way.
pub(super) fn on_its_way_out(state: &State, key: &ClaimKey) -> bool {
    let index = state.index();
    let mut volumes = index
        .volumes_of
        .of(key)
        .filter_map(|name| state.volumes.get(name));
    volumes.any(|volume| {
        let contact = volume.source.host().is_none_or(|host| {
            let host = state.hosts.get(host);
            host.is_some_and(|host| host.contact.connected)
        });
        contact && volume.state == VolumeState::Trashing
    })
}

/// Removes for good what has been in the trash for long enough. Not what is parked.
pub(super) fn purge(draft: &mut Draft, parked: &Parked) {
    let Some(keep) = draft.state.trash_keep else {
        return;
    };
    if draft.mismatch().is_some() {
        return;
    }
    let index = draft.state.index();
    for (since, name) in index.trash.iter() {
        let at = since.plus(keep).max(draft.state.trash_from);
        if at > draft.now && !bug::on(Bug::TrashNotKept) {
            draft.wake(Some(at));
            return;
        }
        let volume = draft.state.volumes.get(name);
        let kept = volume.is_some_and(|volume| draft.state.is_kept_for_move(volume));
        if !kept && !parked.contains_key(&Subject::Volume(name.clone())) {
            draft.push(Step::PurgeVolume { name: name.clone() });
        }
    }
}

//! Rules about claims that go with their member or their set, and about the end of the trash.

use crate::{
    check::{
        Case, Verdict,
        standing::{grant, is_wanted},
        volumes::uses,
    },
    ids::{ClaimKey, MemberId},
    plan::Step,
    spec::{Placement, Retention},
    state::{Claim, GoesWith, State, VolumeState},
};

pub(super) fn claim_tied(case: &Case<'_>) -> Verdict {
    let Step::TieClaim { key, goes_with } = case.step else {
        return Ok(());
    };
    let Some(claim) = case.state.claims.get(key) else {
        return Err(format!("claim {key} does not exist"));
    };
    let Some(tie) = goes_with else { return Ok(()) };
    match &claim.member {
        Some(member) => tied(case.state, key, claim, member, tie),
        None => Err(format!("claim {key} is no member's")),
    }
}

fn tied(
    state: &State,
    key: &ClaimKey,
    claim: &Claim,
    member: &MemberId,
    tie: &GoesWith,
) -> Verdict {
    let set = state.sets.get(&member.set);
    let mut templates = set.iter().flat_map(|set| &set.spec.volume_claim_templates);
    if !templates.any(|template| template.metadata.name == claim.template) {
        return Err(format!("claim {key} is of no template of its set"));
    }
    let Some(set) = set else { return Ok(()) };
    let policy = set.spec.persistent_volume_claim_retention_policy;
    let wrong = match tie {
        GoesWith::Asked => "nobody asked for it",
        GoesWith::Set { uid } if set.uid != *uid => "its set is another one",
        GoesWith::Set { .. } if policy.when_deleted == Retention::Retain => "its set keeps it",
        GoesWith::Set { .. } => return Ok(()),
        GoesWith::Member { .. } if policy.when_scaled == Retention::Retain => "its set keeps it",
        GoesWith::Member { .. } if set.spec.placement == Placement::PerHost => "its host keeps it",
        GoesWith::Member { epoch } => {
            let have = grant(state, member).map(|(_, grant)| grant.epoch);
            let leaves = set.deleting.is_none() && !is_wanted(set, member.ordinal);
            if have != Some(*epoch) {
                "its member has another epoch"
            } else if !leaves {
                "its member does not leave"
            } else {
                return Ok(());
            }
        }
    };
    Err(format!("claim {key} is tied, and {wrong}"))
}

pub(super) fn claim_dropped(case: &Case<'_>) -> Verdict {
    let Step::DropClaim { key, uid } = case.step else {
        return Ok(());
    };
    let Some(claim) = case.state.claims.get(key).filter(|claim| claim.uid == *uid) else {
        return Err(format!("claim {key} with id {uid} does not exist"));
    };
    let Some(member) = &claim.member else {
        return Err(format!("claim {key} is no member's"));
    };
    let wrong = if grant(case.state, member).is_some() {
        format!("{member} has it")
    } else if let Some(other) = uses(case.state, key).first() {
        format!("{other} shares it")
    } else {
        match &claim.goes_with {
            None => "it is to stay".to_owned(),
            Some(GoesWith::Member { .. } | GoesWith::Asked) => return Ok(()),
            Some(GoesWith::Set { uid }) => {
                let set = case.state.sets.get(&member.set);
                let ends = |set: &crate::state::Set| {
                    let policy = set.spec.persistent_volume_claim_retention_policy;
                    set.uid == *uid
                        && set.deleting.is_some()
                        && set.members.is_empty()
                        && policy.when_deleted == Retention::Delete
                };
                if set.is_none_or(ends) {
                    return Ok(());
                }
                format!("{} has not ended, or keeps it", member.set)
            }
        }
    };
    Err(format!("claim {key} is deleted, and {wrong}"))
}

pub(super) fn trash_expired(case: &Case<'_>) -> Verdict {
    let Step::PurgeVolume { name } = case.step else {
        return Ok(());
    };
    let Some(volume) = case.state.volumes.get(name) else {
        return Err(format!("volume {} does not exist", name.name));
    };
    let bound = volume.claim.as_ref();
    let claimed = bound.is_some_and(|bound| {
        let claim = case.state.claims.get(&bound.key);
        claim.is_some_and(|claim| claim.uid == bound.uid)
    });
    let since = match volume.state {
        VolumeState::Trashed { since } => Some(since),
        VolumeState::Live
        | VolumeState::Trashing
        | VolumeState::Restoring
        | VolumeState::Purging => None,
    };
    let kept = since.map(|since| case.now.since(since));
    let over = case
        .state
        .trash_keep
        .is_some_and(|keep| kept.is_some_and(|kept| kept >= keep));
    let clock_is_new = case.now < case.state.trash_from;
    let copy = volume.moved_out.as_ref();
    let copy = copy.and_then(|moved_out| case.state.volumes.get(&moved_out.to));
    let only_copy = copy.is_some_and(|copy| {
        let untried = copy
            .moved_in
            .as_ref()
            .is_some_and(|moved_in| !moved_in.started);
        untried && copy.claim.is_some()
    });
    let wrong = if only_copy {
        "nobody was started on where its data was moved to"
    } else if !volume.provisioned {
        "was made by an operator"
    } else if claimed {
        "has a claim"
    } else if since.is_none() {
        "is not in the trash"
    } else if clock_is_new {
        "the clock is too new to be believed"
    } else if !over {
        "is to be kept for longer"
    } else {
        return Ok(());
    };
    Err(format!(
        "volume {} is removed for good and {wrong}",
        name.name
    ))
}

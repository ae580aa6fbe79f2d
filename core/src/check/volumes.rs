//! Rules about claims: nothing is made up, taken from another, or started on what is not its own.

use crate::{
    check::{
        Case, Verdict,
        standing::{grant, heard},
    },
    ids::{ClaimKey, MemberId},
    plan::Step,
    spec::{AccessMode, ClaimTemplate, MemberTemplate, PersistentVolumeClaimSpec, Retention},
    state::{Claim, GoesWith, Ordered, Set, State, Volume, VolumeState},
    template::{ClaimValues, claim_spec},
};

pub(super) fn claim_owner(case: &Case<'_>) -> Verdict {
    let Step::CreateClaim { key, claim } = case.step else {
        return Ok(());
    };
    let member = claim.member.as_ref();
    let named = member.and_then(|member| member.claim(&claim.template).ok());
    let set = member.and_then(|member| case.state.sets.get(&member.set));
    let of_its_set = |tie: &GoesWith| match tie {
        GoesWith::Set { uid } => set.is_some_and(|set| {
            let policy = set.spec.persistent_volume_claim_retention_policy;
            set.uid == *uid && policy.when_deleted == Retention::Delete
        }),
        GoesWith::Member { .. } | GoesWith::Asked => false,
    };
    let wrong = if case.state.claims.contains_key(key) {
        "exists"
    } else if named.as_ref() != Some(key) {
        "is not named after its member"
    } else if claim.volume.is_some() || claim.filled {
        "is new and holds something already"
    } else if !claim.goes_with.as_ref().is_none_or(of_its_set) {
        "is new and goes already"
    } else if case.state.index().uids.contains(&claim.uid) {
        "has the id of another"
    } else {
        return Ok(());
    };
    Err(format!("claim {key} {wrong}"))
}

pub(super) fn claim_adopted(case: &Case<'_>) -> Verdict {
    let Step::AdoptClaim {
        key,
        member,
        template,
    } = case.step
    else {
        return Ok(());
    };
    let Some(claim) = case.state.claims.get(key) else {
        return Err(format!("claim {key} does not exist"));
    };
    if let Some(owner) = &claim.member {
        return Err(format!("claim {key} is the claim of {owner}"));
    }
    let set = case.state.sets.get(&member.set);
    let mut templates = set
        .into_iter()
        .flat_map(|set| &set.spec.volume_claim_templates);
    let Some(asked) = templates.find(|one| one.metadata.name == *template) else {
        return Err(format!("{member} has no claim template '{template}'"));
    };
    let values = ClaimValues {
        claim: key,
        member: Some(member),
    };
    let asked = claim_spec(&asked.spec, values).map_err(|error| error.to_string())?;
    if member.claim(template).ok().as_ref() != Some(key) {
        Err(format!("claim {key} is not named after {member}"))
    } else if !suffices(case.state, claim, &asked) {
        Err(format!(
            "claim {key} does not satisfy template '{template}'"
        ))
    } else if let Some(other) = uses(case.state, key).first() {
        Err(format!("claim {key} is shared by {other}"))
    } else {
        Ok(())
    }
}

/// Whether a claim gives at least the size, the modes and the labels that are asked for.
fn suffices(state: &State, claim: &Claim, asked: &PersistentVolumeClaimSpec) -> bool {
    let has = &claim.spec;
    let class = match &asked.storage_class_name {
        None => true,
        Some(class) => match &has.storage_class_name {
            Some(has) => has == class,
            // Who left it out gets what is default when it is bound.
            None => {
                claim.volume.is_none() || state.volume_of(claim).map(|v| &v.class) == Some(class)
            }
        },
    };
    let modes = asked
        .access_modes
        .iter()
        .all(|mode| has.access_modes.contains(mode));
    let bound = claim.volume.as_ref();
    let labels = asked.selector.as_ref().is_none_or(|selector| {
        let bound = bound.and_then(|name| state.persistent_volumes.get(name));
        bound.is_some_and(|volume| selector.matches(&volume.metadata.labels))
            || has.selector.as_ref().is_some_and(|own| {
                let mut labels = selector.match_labels.iter();
                let mut others = selector.match_expressions.iter();
                labels.all(|(name, value)| own.match_labels.get(name) == Some(value))
                    && others.all(|one| own.match_expressions.contains(one))
            })
            || selector.match_labels.is_empty() && selector.match_expressions.is_empty()
    });
    class && modes && labels && has.storage() >= asked.storage()
}

/// The assigned members whose templates share a claim.
pub(super) fn uses(state: &State, key: &ClaimKey) -> Vec<MemberId> {
    state.index().sharers.of(key).cloned().collect()
}

/// The claims that a template shares among its members.
fn shares(set: &crate::ids::SetKey, template: &MemberTemplate) -> Vec<ClaimKey> {
    let volumes = template.spec.volumes.iter();
    let names = volumes.map(|volume| &volume.persistent_volume_claim.claim_name);
    let keys = names.filter_map(|name| {
        Some(ClaimKey {
            namespace: set.namespace.clone(),
            name: name.parse().ok()?,
        })
    });
    keys.collect()
}

pub(super) fn claim_grows(case: &Case<'_>) -> Verdict {
    let Step::GrowClaim { key, storage } = case.step else {
        return Ok(());
    };
    let Some(claim) = case.state.claims.get(key) else {
        return Err(format!("claim {key} does not exist"));
    };
    let mut after = claim.spec.clone();
    let requests = &mut after.resources.requests;
    requests.insert("storage".to_owned(), storage.clone());
    let (before, after) = (claim.spec.storage(), after.storage());
    let by_hand = case
        .state
        .volume_of(claim)
        .is_some_and(|volume| !volume.provisioned);
    if after <= before {
        Err(format!("claim {key} goes from {before} bytes to {after}"))
    } else if by_hand {
        Err(format!("claim {key} has a volume that was made by hand"))
    } else {
        Ok(())
    }
}

pub(super) fn claim_host(case: &Case<'_>) -> Verdict {
    let Step::Start { member: id, .. } = case.step else {
        return Ok(());
    };
    let Some((set, member)) = grant(case.state, id) else {
        return Ok(());
    };
    for key in needed(set, id, &member.revision) {
        let claim = case.state.claims.get(&key);
        let Some(bound) = claim.and_then(|claim| claim.volume.as_ref()) else {
            return Err(format!("{id} starts and claim {key} has no volume"));
        };
        let at = case
            .state
            .volumes
            .get(bound)
            .and_then(|volume| volume.source.host());
        if at.is_some_and(|at| *at != member.host) {
            return Err(format!(
                "{id} starts without its volume {} on its host",
                bound.name
            ));
        }
    }
    Ok(())
}

pub(super) fn volume_usable(case: &Case<'_>) -> Verdict {
    let Step::Start { member: id, .. } = case.step else {
        return Ok(());
    };
    let Some((set, member)) = grant(case.state, id) else {
        return Ok(());
    };
    for key in needed(set, id, &member.revision) {
        let Some(claim) = case.state.claims.get(&key) else {
            continue;
        };
        let Some(name) = &claim.volume else { continue };
        let usable = |volume: &Volume| {
            let bound = volume.claim.as_ref();
            let copied = volume.origin.as_ref().is_none_or(|origin| origin.copied);
            let own = bound.is_some_and(|bound| bound.uid == claim.uid);
            volume.state == VolumeState::Live && copied && own
        };
        if !case.state.volumes.get(name).is_some_and(usable) {
            return Err(format!(
                "{id} starts on volume {}, which is not there",
                name.name
            ));
        }
    }
    Ok(())
}

pub(super) fn owner_visible(case: &Case<'_>) -> Verdict {
    let Step::Start { member: id, .. } = case.step else {
        return Ok(());
    };
    let Some((set, member)) = grant(case.state, id).filter(|(_, m)| m.lease.is_some()) else {
        return Ok(());
    };
    let claims = needed(set, id, &member.revision);
    let hidden = claims.iter().find(|key| {
        let claim = case.state.claims.get(key);
        claim.is_some_and(|claim| claim.owner.is_some() && writable(claim))
    });
    match hidden {
        Some(key) => Err(format!(
            "{id} may be started elsewhere, and no other host sees whose the volume of {key} is"
        )),
        None => Ok(()),
    }
}

/// Whether any of a claim's access modes lets a member write.
pub(super) fn writable(claim: &Claim) -> bool {
    let modes = &claim.spec.access_modes;
    modes.is_empty() || modes.iter().any(|mode| *mode != AccessMode::ReadOnlyMany)
}

/// The claims that a member cannot run without.
pub(super) fn needed(
    set: &Set,
    id: &MemberId,
    revision: &crate::ids::TemplateHash,
) -> Vec<ClaimKey> {
    let templates = set.spec.volume_claim_templates.iter();
    let own =
        templates.filter_map(|template: &ClaimTemplate| id.claim(&template.metadata.name).ok());
    let template = set.template_of(revision);
    let shared = template.map(|template| shares(&id.set, template));
    own.chain(shared.unwrap_or_default()).collect()
}

pub(super) fn access_modes(case: &Case<'_>) -> Verdict {
    let Step::Start { member: id, .. } = case.step else {
        return Ok(());
    };
    let Some((set, member)) = grant(case.state, id) else {
        return Ok(());
    };
    let templates = set.spec.volume_claim_templates.iter();
    for key in templates.filter_map(|template| id.claim(&template.metadata.name).ok()) {
        let claim = case.state.claims.get(&key);
        if claim.is_some_and(|claim| claim.member.as_ref() != Some(id)) {
            return Err(format!("{id} starts on claim {key}, which is not its own"));
        }
    }
    let template = set.template_of(&member.revision);
    for key in template.map(|t| shares(&id.set, t)).unwrap_or_default() {
        let Some(claim) = case.state.claims.get(&key) else {
            continue;
        };
        if let Some(owner) = &claim.member {
            return Err(format!("{id} starts on claim {key} of {owner}"));
        }
        let modes = &claim.spec.access_modes;
        let single = modes.contains(&AccessMode::ReadWriteOncePod);
        let many = modes.contains(&AccessMode::ReadWriteMany)
            || !modes.is_empty() && modes.iter().all(|mode| *mode == AccessMode::ReadOnlyMany);
        for other in uses(case.state, &key).iter().filter(|other| *other != id) {
            let Some((_, there)) = grant(case.state, other) else {
                continue;
            };
            let runs = there.ordered != Ordered::Nothing;
            if runs && (single || !many && there.host != member.host) {
                return Err(format!("{id} starts on claim {key} beside {other}"));
            }
        }
    }
    Ok(())
}

pub(super) fn fill_reported(case: &Case<'_>) -> Verdict {
    let Step::FillClaim { key, .. } = case.step else {
        return Ok(());
    };
    let Some(claim) = case.state.claims.get(key) else {
        return Err(format!("claim {key} does not exist"));
    };
    let says = |member: &MemberId, name: &String| {
        let seen = heard(case.state, member);
        seen.is_some_and(|seen| seen.report.filled.contains(name))
    };
    let own = claim.member.as_ref();
    let reported = own.is_some_and(|member| says(member, &claim.template))
        || uses(case.state, key).iter().any(|member| {
            let names = names_of(case.state, member, key);
            names.iter().any(|name| says(member, name))
        });
    if reported {
        Ok(())
    } else {
        Err(format!("nobody reported claim {key} as filled"))
    }
}

/// By which names a member's mounts know a claim that it shares.
fn names_of(state: &State, id: &MemberId, key: &ClaimKey) -> Vec<String> {
    let template = grant(state, id).and_then(|(set, member)| set.template_of(&member.revision));
    let volumes = template
        .into_iter()
        .flat_map(|template| &template.spec.volumes);
    let shared =
        volumes.filter(|volume| volume.persistent_volume_claim.claim_name == key.name.as_str());
    shared.map(|volume| volume.name.clone()).collect()
}

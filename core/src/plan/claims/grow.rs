//! Growth: a claim follows its template when that asks for more. What cannot grow is told, and
//! stays as it is; nothing ever shrinks. A claim that asks for more than its volume holds has a reason
//! until it is so.

use crate::{
    ids::{ClaimKey, MemberId, SetKey},
    plan::{Step, claims::room::promised, draft::Draft},
    quantity::of_bytes,
    spec::ClaimTemplate,
    state::{Claim, State, VolumeState},
    volume::{VolumeSource, class},
    waiting::{Growth, Reason},
};

/// Lets the claims of a set grow.
pub(in crate::plan) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key).filter(|_| draft.mismatch().is_none()) else {
        return;
    };
    let spec = std::sync::Arc::clone(&set.spec);
    let ordinals: Vec<_> = set.declared().collect();
    let claims = draft.state.own_claims(key);
    for template in &spec.volume_claim_templates {
        let requests = &template.spec.resources.requests;
        let wanted = template.spec.storage();
        for ordinal in ordinals.iter().copied() {
            let Some((name, claim)) = claims.named(ordinal, &template.metadata.name) else {
                continue;
            };
            // Nearly all of them ask in the same words.
            if claim.spec.resources.requests == *requests || claim.spec.storage() >= wanted {
                continue;
            }
            let name = name.clone();
            let set = key.clone();
            let id = MemberId { set, ordinal };
            match grown(&draft.state, &id, &name, template) {
                Ok(step) => draft.push(step),
                Err(because) => {
                    let text =
                        format!("claim {name} stays smaller than its template asks for: {because}");
                    draft.rests_on_others(key);
                    draft.warn(key, text);
                    let growing = growing(&draft.state, &name, wanted, Some(because));
                    if let Some(reason) = growing {
                        draft.pending_of(key, name, reason);
                    }
                }
            }
        }
    }
}

/// Says of every claim that asks for more than its volume holds why that is so.
pub(in crate::plan) fn explain(draft: &mut Draft) {
    let mut found = Vec::new();
    let index = draft.state.index();
    for name in index.at_work.of(&()) {
        let volume = draft.state.volumes.get(name);
        let bound = volume.and_then(|volume| volume.claim.as_ref());
        let claim = bound.and_then(|bound| draft.state.claims.get_key_value(&bound.key));
        let claim = claim.filter(|(_, claim)| claim.volume.as_ref() == Some(name));
        let Some(((key, claim), volume)) = claim.zip(volume) else {
            continue;
        };
        let wanted = claim.spec.storage();
        if volume.capacity >= wanted {
            continue;
        }
        let host = volume.source.host();
        let silent = host.filter(|host| {
            let known = draft.state.hosts.get(*host);
            !known.is_some_and(|known| known.contact.connected)
        });
        let error = match silent {
            Some(host) => Some(format!("{host} is out of contact")),
            None => growable(&draft.state, claim.member.as_ref(), claim, wanted).err(),
        };
        let reason = growing(&draft.state, key, wanted, error);
        found.extend(reason.map(|reason| (key.clone(), reason)));
    }
    for (key, reason) in found {
        draft.pending(key, reason);
    }
}

fn growing(state: &State, key: &ClaimKey, wanted: u64, error: Option<String>) -> Option<Reason> {
    let has = state.volume_of(state.claims.get(key)?)?.capacity;
    let claim = key.clone();
    Some(Reason::VolumeGrowing(Growth {
        claim,
        has,
        wanted,
        error,
    }))
}

fn grown(
    state: &State,
    id: &MemberId,
    key: &ClaimKey,
    template: &ClaimTemplate,
) -> Result<Step, String> {
    let claim = state.claims.get(key).ok_or("it does not exist")?;
    growable(state, Some(id), claim, template.spec.storage())?;
    let storage = template.spec.resources.requests.get("storage");
    Ok(Step::GrowClaim {
        key: key.clone(),
        storage: storage.cloned().unwrap_or_default(),
    })
}

/// Whether the volume of a claim can have a size.
///
/// # Errors
/// Why not, and what to do.
fn growable(
    state: &State,
    id: Option<&MemberId>,
    claim: &Claim,
    wanted: u64,
) -> Result<(), String> {
    let volume = state.volume_of(claim);
    if volume.is_some_and(|volume| !volume.provisioned) {
        return Err("its volume was made by hand; make a larger one and move the data".to_owned());
    }
    let name = match volume {
        Some(volume) => volume.class.clone(),
        None => class::of_claim(state, &claim.spec),
    };
    let class = class::named(state, &name);
    if !class.is_some_and(|class| class.allow_volume_expansion) {
        return Err(format!(
            "storage class '{name}' does not allow it; set allowVolumeExpansion: true there"
        ));
    }
    let Some(volume) = volume else {
        return Ok(());
    };
    if volume.state != VolumeState::Live {
        return Err("its volume is in the trash; see berth volume undelete".to_owned());
    }
    let VolumeSource::Local { host, pool, .. } = &volume.source else {
        return Ok(());
    };
    let info = state.hosts.get(host).and_then(|h| h.record.pools.get(pool));
    if info.is_some_and(|info| info.missing) {
        return Err(format!(
            "pool '{pool}' of {host} is not there; mount its disk"
        ));
    }
    let Some(info) = info.filter(|info| info.capacity > 0) else {
        return Ok(());
    };
    let others = if info.is_limited() {
        let all = promised(state, id, host, pool);
        all.saturating_sub(claim.wanted_capacity(volume))
    } else {
        0
    };
    if others.saturating_add(wanted) > info.capacity {
        let free = info.capacity.saturating_sub(others);
        return Err(format!(
            "pool '{pool}' of {host} has room for {}; make room there",
            of_bytes(free)
        ));
    }
    Ok(())
}

//! Claims: one per claim template and ordinal, made when the member is assigned and bound to its
//! host when it is first started. They outlive member and set; a set that comes back adopts them by
//! name.

use sha2::{Digest as _, Sha256};

use crate::{
    ids::{ClaimKey, HostName, MemberId, Namespace, ObjectKey, Ordinal, SetKey, Uid},
    order::hex,
    plan::{Step, draft::Draft},
    spec::{ClaimTemplate, ReclaimPolicy},
    state::{BoundClaim, Claim, Set, State, Volume, VolumeState},
    time::Timestamp,
    volume::VolumeSource,
    waiting::Reason,
};

/// The pool of a claim that names no class.
const DEFAULT_POOL: &str = "default";

/// A member's claims, existing or still to be made, in the order of the claim templates.
///
/// # Errors
/// A claim of that name exists and belongs to another member.
pub(super) fn of_member(
    state: &State,
    set: &Set,
    id: &MemberId,
    now: Timestamp,
) -> Result<Vec<(ClaimKey, Claim)>, Reason> {
    let mut found = Vec::new();
    for template in &set.spec.volume_claim_templates {
        let name = &template.metadata.name;
        // Validation keeps the joined name within a label.
        let Ok(key) = id.claim(name) else { continue };
        let claim = match state.claims.get(&key) {
            Some(have) if !have.is_for(id) || have.template != *name => {
                let owner = have.member.as_ref().map(ToString::to_string);
                return Err(Reason::VolumeForeign {
                    volume: name.clone(),
                    owner: owner.unwrap_or_else(|| "nobody".to_owned()),
                });
            }
            Some(have) => have.clone(),
            None => new(state, set, id, &key, template, now),
        };
        found.push((key, claim));
    }
    Ok(found)
}

fn new(
    state: &State,
    set: &Set,
    id: &MemberId,
    key: &ClaimKey,
    template: &ClaimTemplate,
    now: Timestamp,
) -> Claim {
    Claim {
        uid: uid(state, set, key),
        member: Some(id.clone()),
        template: template.metadata.name.clone(),
        spec: template.spec.clone(),
        labels: template.metadata.labels.clone(),
        volume: None,
        filled: false,
        owner: None,
        created_at: now,
    }
}

/// The pool that a claim takes space of, or will.
pub(super) fn pool(state: &State, claim: &Claim) -> String {
    if let Some(volume) = state.volume_of(claim) {
        return volume.source.pool().unwrap_or_default().to_owned();
    }
    let class = claim.spec.storage_class_name.as_deref();
    let class = class.filter(|class| !class.is_empty());
    class.unwrap_or(DEFAULT_POOL).to_owned()
}

/// A unique id without randomness: no two claims of one name are made under the same zone serial,
/// because a claim is made with an assignment, and each assignment has a serial of its own.
fn uid(state: &State, set: &Set, key: &ClaimKey) -> Uid {
    let text = format!("claim {} {key} {}", set.uid, state.zone.serial);
    let digits = hex(&Sha256::digest(text));
    let part = |from, to| digits.get(from..to).unwrap_or_default();
    Uid(format!(
        "{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    ))
}

/// Whether a claim of an ordinal is bound to a host.
pub(super) fn pinned(state: &State, set: &Set, key: &SetKey, ordinal: Ordinal) -> bool {
    let id = MemberId {
        set: key.clone(),
        ordinal,
    };
    let mut templates = set.spec.volume_claim_templates.iter();
    templates.any(|template| {
        let claim = id.claim(&template.metadata.name).ok();
        let claim = claim.and_then(|key| state.claims.get(&key));
        claim.is_some_and(|claim| state.host_of(claim).is_some())
    })
}

/// Makes the claims of a member that do not exist.
pub(super) fn create(draft: &mut Draft, claims: Vec<(ClaimKey, Claim)>) {
    for (key, claim) in claims {
        if !draft.state.claims.contains_key(&key) {
            draft.push(Step::CreateClaim { key, claim });
        }
    }
}

/// Binds a member's claims to its host.
pub(super) fn bind(draft: &mut Draft, id: &MemberId, host: &HostName) {
    let Some(set) = draft.set(&id.set) else {
        return;
    };
    let templates = set.spec.volume_claim_templates.iter();
    let keys = templates.filter_map(|template| id.claim(&template.metadata.name).ok());
    let unbound = |key: &ClaimKey| {
        let claim = draft.state.claims.get(key);
        claim.is_some_and(|claim| claim.volume.is_none())
    };
    for key in keys.filter(unbound).collect::<Vec<_>>() {
        let Some(claim) = draft.state.claims.get(&key) else {
            continue;
        };
        let Ok(name) = format!("pvc-{}", claim.uid).parse() else {
            continue;
        };
        let volume = Volume {
            source: VolumeSource::Local {
                host: host.clone(),
                pool: pool(&draft.state, claim),
                dir: format!("{}_{}", key.namespace, key.name),
            },
            provisioned: true,
            capacity: claim.spec.storage(),
            access_modes: claim.spec.access_modes.clone(),
            class: claim.spec.storage_class_name.clone().unwrap_or_default(),
            reclaim: ReclaimPolicy::Retain,
            claim: Some(BoundClaim {
                key: key.clone(),
                uid: claim.uid.clone(),
            }),
            adopt: false,
            state: VolumeState::Live,
            created_at: draft.now,
        };
        let name = ObjectKey {
            namespace: Namespace::default(),
            name,
        };
        draft.push(Step::BindClaim { key, name, volume });
    }
}

//! Claims: one per claim template and ordinal, made when the member is assigned. They outlive
//! member and set; a set that comes back finds them by name, and so does one whose claims were made
//! by hand beforehand.
//!
//! What a claim is bound to is decided in `bind`, what members share in `shared`, and what grows in
//! `grow`.

use sha2::{Digest as _, Sha256};

use crate::{
    ids::{ClaimKey, HostName, MemberId, ObjectKey, Ordinal, SetKey, Uid},
    order::hex,
    plan::{Step, draft::Draft, retention},
    spec::{ClaimTemplate, PersistentVolumeClaimSpec},
    state::{Claim, Set, State},
    template::{ClaimValues, claim_spec},
    time::Timestamp,
    volume::{class, copy, satisfy::differences},
    waiting::Reason,
};

mod bind;
mod grow;
pub(in crate::plan) mod room;
mod shared;

pub use room::pool_free;

pub(super) use bind::{at_start, early, local, waiting};
pub(super) use grow::{explain as growing, run as grow};
pub(super) use room::{Demand, demands, free, nowhere};
pub(super) use shared::{Shared, assignable, elsewhere, startable};

/// A claim of a member, as it is or will be.
#[derive(Debug, Clone)]
pub(super) struct Own {
    /// Its name.
    pub(super) key: ClaimKey,
    /// The claim.
    pub(super) claim: Claim,
    /// What makes it so, if it is not so yet.
    step: Option<Step>,
}

/// A member's claims, in the order of the claim templates.
///
/// # Errors
/// A claim of that name exists and is another member's, or does not satisfy the template.
pub(super) fn of_member(
    state: &State,
    set: &Set,
    id: &MemberId,
    now: Timestamp,
) -> Result<Vec<Own>, Reason> {
    let mut found = Vec::new();
    for template in &set.spec.volume_claim_templates {
        // Validation keeps the joined name within a label.
        let Ok(key) = id.claim(&template.metadata.name) else {
            continue;
        };
        found.push(own(state, set, id, key, template, now)?);
    }
    Ok(found)
}

fn own(
    state: &State,
    set: &Set,
    id: &MemberId,
    key: ClaimKey,
    template: &ClaimTemplate,
    now: Timestamp,
) -> Result<Own, Reason> {
    let name = &template.metadata.name;
    let Some(have) = state.claims.get(&key) else {
        if retention::on_its_way_out(state, &key) {
            return Err(Reason::ClaimStale { claim: key });
        }
        let claim = new(state, set, id, &key, template, now)?;
        let step = Step::CreateClaim {
            key: key.clone(),
            claim: claim.clone(),
        };
        let step = Some(step);
        return Ok(Own { key, claim, step });
    };
    if have.is_for(id) && have.template == *name {
        let claim = have.clone();
        let step = None;
        return Ok(Own { key, claim, step });
    }
    if let Some(owner) = &have.member {
        return Err(Reason::VolumeForeign {
            volume: name.clone(),
            owner: owner.to_string(),
        });
    }
    shared::unshared(state, &key, have)?;
    let asked = render(id, &key, template)?;
    let differences = differences(state, &asked, have);
    if !differences.is_empty() {
        let claim = key;
        return Err(Reason::ClaimMismatch { claim, differences });
    }
    let step = Some(Step::AdoptClaim {
        key: key.clone(),
        member: id.clone(),
        template: name.clone(),
    });
    let claim = Claim {
        member: Some(id.clone()),
        template: name.clone(),
        ..have.clone()
    };
    Ok(Own { key, claim, step })
}

fn render(
    id: &MemberId,
    key: &ClaimKey,
    template: &ClaimTemplate,
) -> Result<PersistentVolumeClaimSpec, Reason> {
    let values = ClaimValues {
        claim: key,
        member: Some(id),
    };
    claim_spec(&template.spec, values).map_err(|error| Reason::RenderFailed {
        field: format!(
            "volumeClaimTemplates '{}': {}",
            template.metadata.name, error.field
        ),
        error: error.message,
    })
}

fn new(
    state: &State,
    set: &Set,
    id: &MemberId,
    key: &ClaimKey,
    template: &ClaimTemplate,
    now: Timestamp,
) -> Result<Claim, Reason> {
    let mut spec = render(id, key, template)?;
    spec.storage_class_name = Some(class::of_claim(state, &spec));
    let mut labels = template.metadata.labels.clone();
    let selected = spec
        .selector
        .iter()
        .flat_map(|selector| &selector.match_labels);
    labels.extend(selected.map(|(name, value)| (name.clone(), value.clone())));
    Ok(Claim {
        uid: uid(state, set, key, now),
        member: Some(id.clone()),
        template: template.metadata.name.clone(),
        spec,
        labels,
        volume: None,
        filled: false,
        owner: None,
        created_at: now,
        goes_with: retention::living(set),
    })
}

/// A unique id without randomness: no two claims of one name are made under the same zone serial,
/// because a claim is made with an assignment, and each assignment has a serial of its own. A store
/// that was restored from a backup counts serials again; its history or its term is another then, and
/// if neither is, the time is.
fn uid(state: &State, set: &Set, key: &ClaimKey, now: Timestamp) -> Uid {
    let State { history, term, .. } = state;
    let made = format!("{history} {term} {} {}", state.zone.serial, now.0);
    let text = format!("claim {} {key} {made}", set.uid);
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

/// The host that a claim's data is on, or will be: a claim may ask by name for a volume that is on
/// one, or for a copy of what is on one.
pub(super) fn host<'a>(state: &'a State, key: &ClaimKey, claim: &Claim) -> Option<&'a HostName> {
    if claim.volume.is_some() {
        return state.host_of(claim);
    }
    let asked = claim.spec.volume_name.as_str();
    if asked.is_empty() {
        return copy::host(state, key, claim);
    }
    let name = ObjectKey::of_cluster(asked).ok()?;
    state.volumes.get(&name)?.source.host()
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
        let claim = claim.and_then(|key| state.claims.get_key_value(&key));
        claim.is_some_and(|(key, claim)| host(state, key, claim).is_some())
    })
}

/// Makes the claims of a member that do not exist, and takes over those that nobody has.
pub(super) fn create(draft: &mut Draft, claims: Vec<Own>) {
    for own in claims {
        let Some(step) = own.step else { continue };
        let adopted = matches!(step, Step::AdoptClaim { .. });
        draft.push(step);
        if adopted {
            retention::adopted(draft, own.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{NOW, key, put_set, spec, state},
        ids::{HistoryId, Term},
    };

    #[test]
    fn a_claim_that_a_restored_store_makes_again_has_another_id() {
        let mut state = state(1);
        put_set(&mut state, "db", spec(1, true));
        let set = state.sets[&key("db")].clone();
        let made = |state: &State, now| uid(state, &set, &key("data-db-0"), now);
        let first = made(&state, NOW);
        assert_eq!(first, made(&state, NOW), "the same plan gives the same");
        assert_ne!(first, made(&state, Timestamp(NOW.0 + 1)));
        let mut later = state.clone();
        later.term = Term(state.term.0 + 1);
        assert_ne!(first, made(&later, NOW));
        state.history = HistoryId("another".to_owned());
        assert_ne!(first, made(&state, NOW));
    }
}

//! Why a step is taken, in words for the operator: what of the state right before it asks for it.

use crate::{
    ids::{MemberId, ObjectKey},
    plan::Step,
    state::{GoesWith, Set, State},
};

/// Why a step is taken on this state; empty if the step says it all.
pub(super) fn why(state: &State, step: &Step) -> String {
    let words = match step {
        Step::CreateClaim { .. } => "its member has none",
        Step::AdoptClaim { .. } => "it has the name of the member's own, and nobody has it",
        Step::BindClaim { .. } => "it has no volume",
        Step::PinSnapshot { .. } => "it was asked for before there was a claim of the name",
        Step::TakeSnapshot { .. } => "an operator asked for it",
        Step::GrowClaim { .. } => "its template asks for more",
        Step::TieClaim { goes_with, .. } => match goes_with {
            Some(GoesWith::Set { .. }) => "whenDeleted is Delete",
            Some(GoesWith::Member { .. }) => "its member leaves, and whenScaled is Delete",
            Some(GoesWith::Asked) => "an operator asked for it",
            None => "persistentVolumeClaimRetentionPolicy is Retain",
        },
        Step::DropClaim { key, .. } => return dropped(state, key),
        Step::PurgeVolume { .. } => "its time in the trash is over",
        Step::FillClaim { .. } => "its member was started on it",
        Step::TakeAddress { .. } => "it owns no address yet",
        Step::TakeHost { .. } => "the host is selected, and has no member of the set",
        Step::LeaveHost { .. } => "its host is not selected any more",
        Step::Assign { member, .. } => return assigned(state, member),
        Step::Carry { .. } => "the newer revision is the same for it",
        Step::Reload { .. } => "nothing but files changed, and configUpdate is Reload",
        Step::Rollout { .. } => "it follows from what is observed",
        Step::Found { .. } => "its first member is about to start",
        Step::Start { member, .. } => return started(state, member),
        Step::PassGate { .. } => "it has served",
        Step::Stop { member, .. } => return stopped(state, member),
        Step::Release { .. } => "",
        Step::RemoveSet { .. } => "it is being deleted, and has no members",
        Step::Refound { .. } => "an operator asked for it, and nothing is left of it",
        Step::DropRevision { .. } => "no member has it",
        Step::ForgetFounding { .. } => "nothing is left of the set",
        Step::BeginMove { .. } | Step::CompleteMove { .. } => {
            "an operator wants it on another host"
        }
        Step::EndMove { member } => return ended(state, member),
        Step::PublishZone { .. } => "names follow from what is decided",
    };
    words.to_owned()
}

fn dropped(state: &State, key: &ObjectKey) -> String {
    let claim = state.claims.get(key);
    let words = match claim.and_then(|claim| claim.goes_with.as_ref()) {
        Some(GoesWith::Set { .. }) => "its set is deleted, and whenDeleted is Delete",
        Some(GoesWith::Member { .. }) => "its member is gone, and whenScaled is Delete",
        Some(GoesWith::Asked) => "an operator asked for it, and nobody runs on it",
        None => "",
    };
    words.to_owned()
}

fn assigned(state: &State, id: &MemberId) -> String {
    let Some(set) = state.sets.get(&id.set) else {
        return String::new();
    };
    let kept = set
        .spec
        .volume_claim_templates
        .iter()
        .filter_map(|template| {
            let key = id.claim(&template.metadata.name).ok()?;
            let claim = state.claims.get(&key)?;
            claim.filled.then(|| key.name.to_string())
        });
    let kept: Vec<String> = kept.collect();
    match (kept.as_slice(), set.last_grants.get(&id.ordinal)) {
        ([], None) => "it is wanted and has no host".to_owned(),
        ([], Some(last)) => format!("it is wanted, and epoch {} is gone", last.epoch),
        (kept, _) => format!("it is wanted, and its data is there: {}", kept.join(", ")),
    }
}

fn started(state: &State, id: &MemberId) -> String {
    let Some(set) = state.sets.get(&id.set) else {
        return String::new();
    };
    match set.declared().next() {
        Some(first) if first == id.ordinal => "nothing holds it back".to_owned(),
        Some(_) | None => "no lower ordinal holds it back".to_owned(),
    }
}

fn stopped(state: &State, id: &MemberId) -> String {
    let Some(set) = state.sets.get(&id.set) else {
        return String::new();
    };
    leaves(set, id).unwrap_or_else(|| {
        let member = set.members.get(&id.ordinal);
        match member {
            Some(member) if member.restart_asked.is_some() => {
                "an operator asked for its restart".to_owned()
            }
            Some(member) if member.revision != *set.target_revision() => {
                "its revision is not the set's: it is started again with that one".to_owned()
            }
            Some(_) if set.is_offline(id.ordinal) => "an operator took it offline".to_owned(),
            Some(_) if set.is_to_move(id.ordinal) => {
                "an operator wants it on another host".to_owned()
            }
            Some(member) => format!("{} is being drained", member.host),
            None => String::new(),
        }
    })
}

fn ended(state: &State, id: &MemberId) -> String {
    let set = state.sets.get(&id.set);
    let asked = set.and_then(|set| set.moves.get(&id.ordinal));
    let why = asked.and_then(|asked| asked.given_up.clone());
    why.unwrap_or_else(|| "it cannot come to an end any more".to_owned())
}

fn leaves(set: &Set, id: &MemberId) -> Option<String> {
    if set.is_declared(id.ordinal) {
        None
    } else if set.refounding {
        Some("its set is founded anew".to_owned())
    } else if set.deleting.is_some() {
        Some("its set is being deleted".to_owned())
    } else {
        let replicas = set.spec.replicas();
        Some(format!("it is not wanted any more (replicas: {replicas})"))
    }
}

//! Rules about claims: no volume is shared, moved or made up.

use crate::{
    check::{
        Case, Verdict,
        standing::{grant, heard},
    },
    ids::{ClaimKey, MemberId, ObjectKey},
    plan::Step,
    state::{Claim, State, Volume},
};

pub(super) fn claim_owner(case: &Case<'_>) -> Verdict {
    let Step::CreateClaim { key, claim } = case.step else {
        return Ok(());
    };
    let member = claim.member.as_ref();
    let named = member.and_then(|member| member.claim(&claim.template).ok());
    let mut claims = case.state.claims.values();
    let wrong = if case.state.claims.contains_key(key) {
        "exists"
    } else if named.as_ref() != Some(key) {
        "is not named after its member"
    } else if claim.volume.is_some() || claim.filled {
        "is new and holds something already"
    } else if claims.any(|other| other.uid == claim.uid) {
        "has the id of another"
    } else {
        return Ok(());
    };
    Err(format!("claim {key} {wrong}"))
}

pub(super) fn claim_host(case: &Case<'_>) -> Verdict {
    match case.step {
        Step::BindClaim { key, name, volume } => bind(case.state, key, name, volume),
        Step::Start { member, .. } => start(case.state, member),
        Step::CreateClaim { .. }
        | Step::AdoptClaim { .. }
        | Step::FillClaim { .. }
        | Step::TakeAddress { .. }
        | Step::Assign { .. }
        | Step::Found { .. }
        | Step::PassGate { .. }
        | Step::Stop { .. }
        | Step::Release { .. }
        | Step::RemoveSet { .. }
        | Step::DropRevision { .. }
        | Step::ForgetFounding { .. }
        | Step::PublishZone { .. } => Ok(()),
    }
}

fn bind(state: &State, key: &ClaimKey, name: &ObjectKey, volume: &Volume) -> Verdict {
    let Some(claim) = state.claims.get(key) else {
        return Err(format!("claim {key} does not exist"));
    };
    if let Some(bound) = &claim.volume {
        return Err(format!("claim {key} has volume {} already", bound.name));
    }
    let named = volume.claim.as_ref();
    if !named.is_some_and(|bound| bound.key == *key && bound.uid == claim.uid) {
        return Err(format!("volume {} is not bound back to {key}", name.name));
    }
    let other = state.volumes.get(name).and_then(|have| have.claim.as_ref());
    if let Some(other) = other.filter(|other| other.uid != claim.uid) {
        return Err(format!(
            "volume {} belongs to claim {}",
            name.name, other.key
        ));
    }
    let Some(host) = volume.source.host() else {
        return Ok(());
    };
    let member = claim.member.as_ref();
    let at = member.and_then(|member| grant(state, member));
    if at.is_some_and(|(_, member)| member.host == *host) {
        Ok(())
    } else {
        Err(format!("claim {key} goes to {host}, its member does not"))
    }
}

fn start(state: &State, id: &MemberId) -> Verdict {
    let Some((set, member)) = grant(state, id) else {
        return Ok(());
    };
    for template in &set.spec.volume_claim_templates {
        let key = id.claim(&template.metadata.name).ok();
        let claim = key.as_ref().and_then(|key| state.claims.get(key));
        let own = |claim: &&Claim| {
            let volume = state.volume_of(claim);
            let here = |volume: &Volume| volume.source.host().is_none_or(|at| *at == member.host);
            claim.is_for(id) && volume.is_some_and(here)
        };
        if claim.filter(own).is_none() {
            let name = &template.metadata.name;
            return Err(format!("{id} starts without its volume {name} on its host"));
        }
    }
    Ok(())
}

pub(super) fn fill_reported(case: &Case<'_>) -> Verdict {
    let Step::FillClaim { key, .. } = case.step else {
        return Ok(());
    };
    let claim = case.state.claims.get(key);
    let reported = claim.is_some_and(|claim| {
        let member = claim.member.as_ref();
        let seen = member.and_then(|member| heard(case.state, member));
        seen.is_some_and(|seen| seen.report.filled.contains(&claim.template))
    });
    if reported {
        Ok(())
    } else {
        Err(format!("nobody reported claim {key} as filled"))
    }
}

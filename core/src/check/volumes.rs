//! Rules about claims: no volume is shared, moved or made up.

use crate::{
    check::{
        Case, Verdict,
        standing::{grant, heard},
    },
    ids::{ClaimKey, HostName, MemberId},
    plan::Step,
    state::{Claim, State},
};

pub(super) fn claim_owner(case: &Case<'_>) -> Verdict {
    let Step::CreateClaim { key, claim } = case.step else {
        return Ok(());
    };
    let named = claim.member.claim(&claim.template).ok();
    let mut claims = case.state.claims.values();
    let wrong = if case.state.claims.contains_key(key) {
        "exists"
    } else if named.as_ref() != Some(key) {
        "is not named after its member"
    } else if claim.host.is_some() || claim.filled {
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
        Step::BindClaim { key, host } => bind(case.state, key, host),
        Step::Start { member, .. } => start(case.state, member),
        Step::CreateClaim { .. }
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

fn bind(state: &State, key: &ClaimKey, host: &HostName) -> Verdict {
    let Some(claim) = state.claims.get(key) else {
        return Err(format!("claim {key} does not exist"));
    };
    if let Some(bound) = claim.host.as_ref().filter(|bound| *bound != host) {
        return Err(format!("claim {key} is on {bound} and cannot go to {host}"));
    }
    let at = grant(state, &claim.member).map(|(_, member)| &member.host);
    if at == Some(host) {
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
        let own = |claim: &&Claim| claim.member == *id && claim.host.as_ref() == Some(&member.host);
        if claim.filter(own).is_none() {
            let name = &template.metadata.name;
            return Err(format!("{id} starts without its volume {name} on its host"));
        }
    }
    Ok(())
}

pub(super) fn fill_reported(case: &Case<'_>) -> Verdict {
    let Step::FillClaim { key } = case.step else {
        return Ok(());
    };
    let claim = case.state.claims.get(key);
    let reported = claim.is_some_and(|claim| {
        let seen = heard(case.state, &claim.member);
        seen.is_some_and(|seen| seen.report.filled.contains(&claim.template))
    });
    if reported {
        Ok(())
    } else {
        Err(format!("nobody reported claim {key} as filled"))
    }
}

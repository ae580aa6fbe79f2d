//! Rules about founding: once, together, and never by a member that lost its data.

use crate::{
    check::{
        Case, Verdict,
        standing::{grant, heard, wanted},
    },
    ids::SetKey,
    order::Peer,
    plan::Step,
    spec::Membership,
    state::{Ordered, Set, State},
};

pub(super) fn found_once(case: &Case<'_>) -> Verdict {
    let Step::Found { set, .. } = case.step else {
        return Ok(());
    };
    if case.state.foundings.contains_key(set) {
        Err(format!("{set} was founded before"))
    } else {
        Ok(())
    }
}

pub(super) fn founders_complete(case: &Case<'_>) -> Verdict {
    let Step::Found { set: key, founders } = case.step else {
        return Ok(());
    };
    let Some(set) = case.state.sets.get(key) else {
        return Err(format!("{key} does not exist"));
    };
    if ran(case.state, key, set) {
        return if founders.is_empty() {
            Ok(())
        } else {
            Err(format!("{key} ran before and cannot be founded"))
        };
    }
    let ordinals = founders.iter().map(|founder| founder.ordinal);
    if !ordinals.eq(wanted(set)) {
        return Err(format!("{key} is not founded by all its members"));
    }
    let misnamed = |founder: &&Peer| {
        let member = set.members.get(&founder.ordinal);
        let address = member.map(|member| member.address.to_string());
        address.as_ref() != Some(&founder.address)
    };
    match founders.iter().find(misnamed) {
        Some(founder) => Err(format!(
            "founder {} is not at {:?}",
            founder.name, founder.address
        )),
        None => Ok(()),
    }
}

/// Whether any member of a set ever ran.
fn ran(state: &State, key: &SetKey, set: &Set) -> bool {
    let mut claims = state.claims_of(key);
    let mut members = set.members.values();
    claims.any(|(_, claim)| claim.filled)
        || members.any(|member| member.ordered != Ordered::Nothing)
}

pub(super) fn founded_first(case: &Case<'_>) -> Verdict {
    let Step::Start { member: id, .. } = case.step else {
        return Ok(());
    };
    let Some((set, _)) = grant(case.state, id) else {
        return Ok(());
    };
    let asks = set.spec.bootstrap_policy.is_some();
    if case.state.foundings.contains_key(&id.set)
        || !(asks || set.spec.membership() == Membership::Static)
    {
        return Ok(());
    }
    Err(format!("{id} starts before its set has founders"))
}

pub(super) fn founder_disk(case: &Case<'_>) -> Verdict {
    let Step::Start { member: id, .. } = case.step else {
        return Ok(());
    };
    let founding = case.state.foundings.get(&id.set);
    let Some(founding) = founding.filter(|founding| founding.open.contains(&id.ordinal)) else {
        return Ok(());
    };
    let Some((set, _)) = grant(case.state, id) else {
        return Ok(());
    };
    for template in &set.spec.volume_claim_templates {
        let Ok(key) = id.claim(&template.metadata.name) else {
            continue;
        };
        let now = case.state.claims.get(&key).map(|claim| &claim.uid);
        if founding
            .filled
            .get(&key)
            .is_some_and(|was| Some(was) != now)
        {
            return Err(format!("founder {id} lost {key}"));
        }
    }
    Ok(())
}

pub(super) fn founder_told(case: &Case<'_>) -> Verdict {
    let Step::Start { member: id, .. } = case.step else {
        return Ok(());
    };
    let founding = case.state.foundings.get(&id.set);
    let untold = founding.is_some_and(|founding| {
        founding.open.contains(&id.ordinal) && founding.untold.contains(&id.ordinal)
    });
    if untold {
        return Err(format!(
            "nobody knows whether founder {id} served where it was given up"
        ));
    }
    Ok(())
}

pub(super) fn gate_passed(case: &Case<'_>) -> Verdict {
    let Step::PassGate { member: id, .. } = case.step else {
        return Ok(());
    };
    if grant(case.state, id).is_none()
        || heard(case.state, id).is_some_and(|seen| seen.report.passed_gate)
    {
        Ok(())
    } else {
        Err(format!("{id} never served in its epoch"))
    }
}

pub(super) fn founding_kept(case: &Case<'_>) -> Verdict {
    let Step::ForgetFounding { set } = case.step else {
        return Ok(());
    };
    let there = case.state.sets.get(set);
    // One that is founded anew is as good as gone when nothing runs.
    if there.is_some_and(|there| !(there.refounding && there.members.is_empty())) {
        return Err(format!("{set} exists"));
    }
    match case.state.claims_of(set).next() {
        Some((key, _)) => Err(format!("claim {key} of {set} exists")),
        None => Ok(()),
    }
}

pub(super) fn founded_anew(case: &Case<'_>) -> Verdict {
    let Step::Refound { set: key, uid } = case.step else {
        return Ok(());
    };
    let Some(set) = case.state.sets.get(key) else {
        return Err(format!("{key} does not exist"));
    };
    let mut claims = case.state.claims_of(key);
    let wrong = if set.uid != *uid {
        "is another set by now"
    } else if !set.refounding || set.deleting.is_none() {
        "is not to be founded anew"
    } else if !set.members.is_empty() {
        "has members"
    } else if case.state.foundings.contains_key(key) {
        "is founded still"
    } else if claims.any(|(_, claim)| claim.filled) {
        "has data still"
    } else {
        return Ok(());
    };
    Err(format!("{key} {wrong}"))
}

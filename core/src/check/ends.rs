//! Rules about what ends: sets, revisions; and about the zone that closes a plan.

use crate::{
    check::{Case, Verdict},
    plan::Step,
    state::State,
    zone,
};

pub(super) fn set_empty(case: &Case<'_>) -> Verdict {
    let Step::RemoveSet { set: key, uid } = case.step else {
        return Ok(());
    };
    let Some(set) = case.state.sets.get(key) else {
        return Err(format!("{key} does not exist"));
    };
    let wrong = if set.uid != *uid {
        "is another set by now"
    } else if set.deleting.is_none() {
        "is not to be deleted"
    } else if !set.members.is_empty() {
        "has members"
    } else {
        return Ok(());
    };
    Err(format!("{key} {wrong}"))
}

pub(super) fn revision_kept(case: &Case<'_>) -> Verdict {
    match case.step {
        Step::Assign {
            member, revision, ..
        } => {
            let set = case.state.sets.get(&member.set);
            let newest = set.is_none_or(|set| set.revision == *revision);
            let known = set.is_none_or(|set| set.revisions.contains_key(revision));
            if newest && known {
                return Ok(());
            }
            Err(format!("{member} gets revision {revision}, not the newest"))
        }
        Step::DropRevision { set: key, revision } => {
            let Some(set) = case.state.sets.get(key) else {
                return Ok(());
            };
            let mut members = set.members.values();
            if set.revision == *revision || members.any(|m| m.revision == *revision) {
                return Err(format!("revision {revision} of {key} is in use"));
            }
            Ok(())
        }
        Step::CreateClaim { .. }
        | Step::AdoptClaim { .. }
        | Step::BindClaim { .. }
        | Step::TakeSnapshot { .. }
        | Step::GrowClaim { .. }
        | Step::FillClaim { .. }
        | Step::TakeAddress { .. }
        | Step::Found { .. }
        | Step::Start { .. }
        | Step::PassGate { .. }
        | Step::Stop { .. }
        | Step::Release { .. }
        | Step::RemoveSet { .. }
        | Step::ForgetFounding { .. }
        | Step::PublishZone { .. } => Ok(()),
    }
}

pub(super) fn zone_serial(case: &Case<'_>) -> Verdict {
    let Step::PublishZone { zone } = case.step else {
        return Ok(());
    };
    let expected = case.state.zone.serial.next();
    if zone.serial != expected {
        return Err(format!("serial {} is not {expected}", zone.serial));
    }
    Ok(())
}

/// Judged once, at the end of a plan: see [`published`].
pub(super) fn no_step(_: &Case<'_>) -> Verdict {
    Ok(())
}

/// Whether the zone after a plan is published.
pub(super) fn published(after: &State) -> Verdict {
    let records = zone::build(after).hash();
    let members = after.sets.values().flat_map(|set| set.members.values());
    let unnamed = members.filter(|member| member.named_in > after.zone.serial);
    if unnamed.count() > 0 {
        return Err("a member was assigned and no zone was published".to_owned());
    }
    // What changed before the plan (a report, an object) is published by it too.
    if records != after.zone.hash {
        return Err("the zone that is published is not the one that follows".to_owned());
    }
    Ok(())
}

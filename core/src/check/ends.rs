//! Rules about what ends: sets, revisions; and about the zone that closes a plan.

use std::collections::BTreeSet;

use crate::{
    check::{
        Case, Verdict,
        standing::{as_run, grant},
    },
    ids::TemplateHash,
    plan::Step,
    state::{Set, State},
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
    } else if set.deleting.is_none() || set.refounding {
        "is not to be deleted"
    } else if !set.members.is_empty() {
        "has members"
    } else {
        return Ok(());
    };
    Err(format!("{key} {wrong}"))
}

pub(super) fn carries_same(case: &Case<'_>) -> Verdict {
    let Step::Carry {
        member: id,
        revision,
        ..
    } = case.step
    else {
        return Ok(());
    };
    let Some((set, member)) = grant(case.state, id) else {
        return Ok(());
    };
    let runs = |revision: &TemplateHash| {
        let revision = set.revisions.get(revision)?;
        Some((as_run(revision, id.ordinal), &revision.config))
    };
    match (runs(&member.revision), runs(revision)) {
        (Some(before), Some(after)) if before == after => Ok(()),
        (_, _) => Err(format!(
            "{id} carries revision {revision}, which is another for it"
        )),
    }
}

pub(super) fn orphans_kept(case: &Case<'_>) -> Verdict {
    let key = if let Step::RemoveSet { set, .. } | Step::Refound { set, .. } = case.step {
        set
    } else if let Step::Assign { member, .. }
    | Step::Start { member, .. }
    | Step::Stop { member, .. }
    | Step::Release { member, .. } = case.step
    {
        &member.set
    } else {
        return Ok(());
    };
    match case.state.sets.get(key).and_then(|set| set.orphaned) {
        Some(_) => Err(format!("{key} was deleted without its members")),
        None => Ok(()),
    }
}

pub(super) fn revision_kept(case: &Case<'_>) -> Verdict {
    if let Step::Assign {
        member, revision, ..
    } = case.step
    {
        let set = case.state.sets.get(&member.set);
        let newest =
            set.is_none_or(|set| set.revision == *revision || set.rollout.current == *revision);
        let known = set.is_none_or(|set| set.revisions.contains_key(revision));
        if newest && known {
            return Ok(());
        }
        return Err(format!(
            "{member} gets revision {revision}, which is neither the newest nor the one before"
        ));
    }
    let Step::DropRevision { set: key, revision } = case.step else {
        return Ok(());
    };
    let Some(set) = case.state.sets.get(key) else {
        return Ok(());
    };
    let mut members = set.members.values();
    if [&set.revision, &set.rollout.current].contains(&revision)
        || members.any(|m| m.revision == *revision)
    {
        return Err(format!("revision {revision} of {key} is in use"));
    }
    history_kept(set, revision)
}

/// Of the revisions that nobody carries, those with the highest numbers stay.
fn history_kept(set: &Set, dropped: &TemplateHash) -> Verdict {
    let number = |hash: &TemplateHash| set.revisions.get(hash).map_or(0, |r| r.number);
    let carried: BTreeSet<_> = set.members.values().map(|m| &m.revision).collect();
    let idle = set.revisions.keys().filter(|hash| {
        ![&set.revision, &set.rollout.current].contains(hash) && !carried.contains(hash)
    });
    let newer = idle.filter(|hash| number(hash) > number(dropped)).count();
    let limit = set.spec.revision_history_limit.unwrap_or(10);
    let ends = set.deleting.is_some() && set.members.is_empty();
    if ends || i64::try_from(newer).is_ok_and(|newer| newer >= limit) {
        return Ok(());
    }
    Err(format!("revision {dropped} is within the history limit"))
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
    let records = zone::hash(after);
    let newest = after.index().named.last().copied();
    if newest.is_some_and(|newest| newest > after.zone.serial) {
        return Err("a member was assigned and no zone was published".to_owned());
    }
    // What changed before the plan (a report, an object) is published by it too.
    if records != after.zone.hash {
        return Err("the zone that is published is not the one that follows".to_owned());
    }
    Ok(())
}

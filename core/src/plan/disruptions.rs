//! What a change takes down, in sentences for the operator, who is asked before it is stored.
//!
//! Derived from what the plan decides by, on the state before and on the state after: a member counts
//! as disrupted when it is to go after the change, and was not to go, or not for the same, before.
//! So a change says nothing of what is under way anyway, whatever field brings a disruption about
//! (a template, a partition, an end of a pause), it is seen, and none is seen where the plan stops
//! nobody. It asks who is to go sooner or later, not who goes at once: neither a spent budget nor a
//! host out of contact hides a member.
//!
//! The volumes of members that leave are no step of theirs; what becomes of them is said from the
//! retention policy.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::{ClaimKey, MemberId, Ordinal, SetKey, TemplateHash},
    plan::{budget, carry, draft::Draft, own_hosts, reload, retention, rollout, update},
    spec::{Retention, UpdateKind},
    state::{GoesWith, RolloutPhase, Set, State},
    time::Timestamp,
};

/// Names in one sentence.
const MAX_NAMES: usize = 8;

/// What the change from one state to another takes down: members, and data with them. Empty for a
/// change that may be made without asking.
pub fn disruptions(before: &State, after: &State, now: Timestamp) -> Vec<String> {
    let changed = after.sets.changes(&before.sets).filter(|one| {
        let both = one.before.zip(one.after);
        both.is_some_and(|(old, new)| old != new)
    });
    let changed: Vec<&SetKey> = changed.map(|one| one.key).collect();
    if changed.is_empty() {
        return Vec::new();
    }
    let (mut was, mut is) = (Draft::new(before, now), Draft::new(after, now));
    let mut found = Vec::new();
    for key in changed {
        for draft in [&mut was, &mut is] {
            own_hosts::leave(draft, key);
            rollout::turn(draft, key);
            carry::run(draft, key);
        }
        found.extend(of_set(&was, &is, key));
    }
    found
}

fn of_set(before: &Draft, after: &Draft, key: &SetKey) -> Vec<String> {
    let (Some(old), Some(new)) = (before.set(key), after.set(key)) else {
        return Vec::new();
    };
    if new.deleting.is_some() {
        let ends = old.deleting.is_none();
        return ends
            .then(|| ends_with(&after.state, key, new))
            .into_iter()
            .collect();
    }
    let (was, is) = (fates(before, key, old), fates(after, key, new));
    let news = |wanted: fn(&Fate) -> bool| -> Vec<Ordinal> {
        let news = is
            .iter()
            .filter(|(ordinal, fate)| wanted(fate) && was.get(*ordinal) != Some(*fate));
        news.map(|(ordinal, _)| *ordinal).collect()
    };
    let replaced = news(|fate| matches!(fate, Fate::Replaced(_)));
    let reloaded = news(|fate| matches!(fate, Fate::Reloaded(_)));
    [
        shrinks(key, old, new),
        replaces(key, old, new, &replaced),
        reloads(key, new, &reloaded),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is to become of a member that runs and stays wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate<'a> {
    /// It is stopped, and started again with this revision.
    Replaced(&'a TemplateHash),
    /// It runs on, and a process of it is started anew with the files of this revision.
    Reloaded(&'a TemplateHash),
}

/// The members of a set that are to go sooner or later, as the update and reload stages see it.
fn fates<'a>(draft: &Draft, key: &SetKey, set: &'a Set) -> BTreeMap<Ordinal, Fate<'a>> {
    if draft.is_orphaned(key) || set.missing_for_target(&key.namespace).is_some() {
        return BTreeMap::new();
    }
    let target = set.target_revision();
    let replaced = update::candidates(draft, key).into_iter();
    let replaced = replaced.map(|ordinal| (ordinal, Fate::Replaced(target)));
    // Others take the files and run on.
    let restarts = set.restarts_on_delivery(target);
    let reloaded = reload::candidates(set).into_iter().filter(|_| restarts);
    let reloaded = reloaded.map(|ordinal| (ordinal, Fate::Reloaded(target)));
    replaced.chain(reloaded).collect()
}

fn shrinks(key: &SetKey, old: &Set, new: &Set) -> Option<String> {
    let stays: BTreeSet<Ordinal> = new.declared().collect();
    let leaving: Vec<Ordinal> = old.declared().filter(|n| !stays.contains(n)).collect();
    if leaving.is_empty() {
        return None;
    }
    let (was, is) = (old.wanted(), new.wanted());
    let what = if is < was {
        format!("shrinks from {was} to {is}")
    } else {
        "has other ordinals".to_owned()
    };
    let verb = if leaving.len() == 1 {
        "stops"
    } else {
        "stop one after the other"
    };
    let claims = match retention::when_scaled(new) {
        Retention::Retain => "their volumes are kept",
        Retention::Delete => "their claims are deleted then (whenScaled: Delete)",
    };
    let names = names(key, &leaving);
    Some(format!("{key} {what}: {names} {verb}; {claims}"))
}

fn replaces(key: &SetKey, old: &Set, new: &Set, replaced: &[Ordinal]) -> Option<String> {
    replaced.first()?;
    let cause = cause(old, new);
    let whom = range(key, new, replaced);
    if replaced.len() == 1 {
        return Some(format!("{key}: {cause}, {whom} is restarted"));
    }
    let how = match (new.spec.update_kind(), budget::max_unavailable(new)) {
        (UpdateKind::Recreate, _) => {
            return Some(format!(
                "{key}: {cause}, {whom} are stopped together, and started again when all of them \
                 are gone"
            ));
        }
        (UpdateKind::RollingUpdate | UpdateKind::OnDelete, 1) => "one after the other".to_owned(),
        (UpdateKind::RollingUpdate | UpdateKind::OnDelete, most) => {
            format!("at most {most} at a time")
        }
    };
    Some(format!("{key}: {cause}, {whom} are restarted {how}"))
}

fn reloads(key: &SetKey, set: &Set, reloaded: &[Ordinal]) -> Option<String> {
    reloaded.first()?;
    let whom = range(key, set, reloaded);
    Some(format!(
        "{key}: the configuration that it uses changes, processes of {whom} are started anew one \
         member after the other (onChange: Restart)"
    ))
}

/// What it is of a change that has members replaced.
fn cause(old: &Set, new: &Set) -> &'static str {
    let taken_back = |set: &Set| set.rollout_phase() == RolloutPhase::TakenBack;
    if taken_back(new) && !taken_back(old) {
        "its rollout is taken back"
    } else if old.spec.template != new.spec.template {
        "the template changes"
    } else if old.spec.overrides != new.spec.overrides {
        "what differs for single ordinals changes"
    } else if old.revision != new.revision {
        "the configuration that it uses changes"
    } else {
        "updates that were held back go on"
    }
}

/// What ends with a set that is deleted.
fn ends_with(state: &State, key: &SetKey, set: &Set) -> String {
    let members: Vec<Ordinal> = set.members.keys().copied().collect();
    let stop = match members.as_slice() {
        [] => format!("{key} goes, it has no members"),
        [one] => format!("{}-{one} stops", key.name),
        all => format!("{} stop, the highest first", names(key, all)),
    };
    let goes = |claim: &GoesWith| match claim {
        GoesWith::Set { uid } => *uid == set.uid,
        GoesWith::Member { .. } | GoesWith::Asked => true,
    };
    let own = state.claims_of(key);
    let policy = set.spec.persistent_volume_claim_retention_policy;
    let deletes = policy.when_deleted == Retention::Delete;
    let lost = own.filter(|(_, claim)| deletes || claim.goes_with.as_ref().is_some_and(goes));
    let lost: Vec<&ClaimKey> = lost.map(|(claim, _)| claim).collect();
    if lost.is_empty() {
        return format!("{stop}; the volumes are kept");
    }
    let listed: Vec<&str> = lost.iter().map(|claim| claim.name.as_str()).collect();
    format!(
        "{stop}; then these claims are deleted (whenDeleted: Delete): {}",
        shortened(&listed)
    )
}

/// `web-2 to web-0` for all members that are wanted, else their names.
fn range(key: &SetKey, set: &Set, ordinals: &[Ordinal]) -> String {
    match ordinals {
        [lowest, .., highest] if ordinals.len() == set.declared().count() => {
            format!("{0}-{highest} to {0}-{lowest}", key.name)
        }
        some => names(key, some),
    }
}

/// Some names, the highest first.
fn names(key: &SetKey, ordinals: &[Ordinal]) -> String {
    let name = |ordinal: &Ordinal| {
        let (set, ordinal) = (key.clone(), *ordinal);
        MemberId { set, ordinal }.name()
    };
    let names: Vec<String> = ordinals.iter().rev().map(name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    shortened(&names)
}

fn shortened(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().copied().take(MAX_NAMES).collect();
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

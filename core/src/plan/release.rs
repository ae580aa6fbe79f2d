//! What is proven gone is released: grants, then sets without members, then what nobody needs.

use std::collections::BTreeMap;

use crate::{
    ids::{Ordinal, SetKey, TemplateHash, Uid},
    plan::{
        Step,
        draft::Draft,
        facts::{Facts, facts},
        retention,
        step::Proof,
    },
    report::Phase,
    state::Ordered,
};

/// Releases the members of a set that are proven gone, highest first.
pub(super) fn members(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let ordinals: Vec<Ordinal> = set.members.keys().rev().copied().collect();
    for ordinal in ordinals {
        let Some(facts) = facts(&draft.state, key, ordinal) else {
            continue;
        };
        if let Some(proof) = proof(&facts, ordinal) {
            let epoch = facts.member.epoch;
            let leaves = !facts.set.is_declared(ordinal);
            let member = crate::ids::MemberId {
                set: key.clone(),
                ordinal,
            };
            if leaves {
                // One that was never started, or was lost, had no stop to decide it with.
                retention::condemn(draft, &member);
            }
            draft.push(Step::Release {
                member,
                epoch,
                proof,
            });
        }
    }
}

/// What proves that a member is gone, if it is to go or its agent lost it.
fn proof(facts: &Facts<'_>, ordinal: Ordinal) -> Option<Proof> {
    let member = facts.member;
    match member.ordered {
        Ordered::Nothing => (member.is_to_be_replaced(facts.set)
            || !facts.set.is_declared(ordinal))
        .then_some(Proof::NeverOrdered),
        Ordered::Run => facts.absent.then_some(Proof::ReportedAbsent),
        Ordered::Stop => {
            // A member that is held on its host reports the same under an order to run, and one
            // that reports it before the agent has the order to stop may have begun to run since.
            let seen = facts.seen.filter(|_| facts.settled);
            let stopped = seen.map(|seen| seen.report.phase) == Some(Phase::Stopped);
            let absent = facts.absent.then_some(Proof::ReportedAbsent);
            stopped.then_some(Proof::ReportedStopped).or(absent)
        }
    }
}

/// Removes a set whose deletion was asked for, once it has no members.
pub(super) fn set(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    if set.deleting.is_some() && set.members.is_empty() {
        let uid = set.uid.clone();
        let anew = set.refounding;
        let set = key.clone();
        if anew {
            refound(draft, set, uid);
        } else {
            draft.push(Step::RemoveSet { set, uid });
        }
    }
}

/// Lets a set begin anew, once nothing is left of it.
fn refound(draft: &mut Draft, set: SetKey, uid: Uid) {
    let mut claims = draft.state.claims.values();
    let left = claims.any(|claim| claim.is_of(&set) && claim.goes_with.is_some());
    if left || draft.mismatch().is_some() {
        return;
    }
    if draft.state.foundings.contains_key(&set) {
        draft.push(Step::ForgetFounding { set: set.clone() });
    }
    draft.push(Step::Refound { set, uid });
}

/// Forgets who founded the sets that are gone with all their claims.
pub(super) fn foundings(draft: &mut Draft, parked: &BTreeMap<SetKey, String>) {
    let state = &draft.state;
    let gone = |key: &&SetKey| {
        let mut claims = state.claims.values();
        !state.sets.contains_key(*key)
            && !parked.contains_key(*key)
            && !claims.any(|claim| claim.is_of(key))
    };
    let gone: Vec<SetKey> = state.foundings.keys().filter(gone).cloned().collect();
    for set in gone {
        draft.push(Step::ForgetFounding { set });
    }
}

/// Drops the revisions that no member carries, except the newest.
pub(super) fn revisions(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let carried = |revision: &&TemplateHash| {
        **revision == set.revision || set.members.values().any(|m| m.revision == **revision)
    };
    let unused = set.revisions.keys().filter(|revision| !carried(revision));
    for revision in unused.cloned().collect::<Vec<_>>() {
        let set = key.clone();
        draft.push(Step::DropRevision { set, revision });
    }
}

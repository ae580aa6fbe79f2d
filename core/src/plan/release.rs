//! What is proven gone is released: grants, then sets without members, then what nobody needs.

use std::collections::BTreeSet;

use crate::{
    bug::{self, Bug},
    ids::{MemberId, Ordinal, SetKey, TemplateHash, Uid},
    plan::{
        Parked, Scope, Step,
        draft::Draft,
        facts::{Facts, all, facts},
        lost,
        parked::holds_set,
        retention,
        step::Proof,
    },
    report::Phase,
    state::{Ordered, State, lost::Word},
};

/// Releases the members of a set that are proven gone, highest first.
pub(super) fn members(draft: &mut Draft, key: &SetKey) {
    let members = all(&draft.state, key).rev();
    let gone = members.filter(|(ordinal, facts)| {
        !facts.in_contact || said_gone(&draft.state, key, facts, *ordinal).is_some()
    });
    // One release may leave nothing proven of others: each is looked at again.
    let gone: Vec<Ordinal> = gone.map(|(ordinal, _)| ordinal).collect();
    for ordinal in gone {
        let Some(facts) = facts(&draft.state, key, ordinal) else {
            continue;
        };
        let (epoch, in_contact) = (facts.member.epoch, facts.in_contact);
        let leaves = !facts.set.is_declared(ordinal);
        let found = said_gone(&draft.state, key, &facts, ordinal);
        let member = MemberId {
            set: key.clone(),
            ordinal,
        };
        let found = match found {
            None if !in_contact => lost::proof(draft, &member),
            found => found,
        };
        if let Some(proof) = found {
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

/// What proves that a member is gone, or what an operator said instead.
fn said_gone(state: &State, key: &SetKey, facts: &Facts<'_>, ordinal: Ordinal) -> Option<Proof> {
    proof(facts, ordinal).or_else(|| word(state, key, facts, ordinal))
}

/// What an operator said instead of a proof.
fn word(state: &State, key: &SetKey, facts: &Facts<'_>, ordinal: Ordinal) -> Option<Proof> {
    let id = MemberId {
        set: key.clone(),
        ordinal,
    };
    let word = state.word_for(&id)?;
    Some(match word {
        _ if facts.member.ordered == Ordered::Nothing => Proof::NeverOrdered,
        Word::HostDead => Proof::ConfirmedDead,
        Word::Forced => Proof::Forced,
    })
}

/// What proves that a member is gone, if it is to go or its agent lost it.
fn proof(facts: &Facts<'_>, ordinal: Ordinal) -> Option<Proof> {
    let member = facts.member;
    match member.ordered {
        Ordered::Nothing => (member.restart_asked.is_some() || !facts.set.is_declared(ordinal))
            .then_some(Proof::NeverOrdered),
        Ordered::Run => facts.absent.then_some(Proof::ReportedAbsent),
        Ordered::Stop => {
            // A member that is held on its host reports the same under an order to run, and one
            // that reports it before the agent has the order to stop may have begun to run since.
            let seen = facts.seen;
            let seen = seen.filter(|_| facts.settled || bug::on(Bug::StaleReportBelieved));
            let stopped = seen.map(|seen| seen.report.phase) == Some(Phase::Stopped);
            let absent = facts.absent.then_some(Proof::ReportedAbsent);
            stopped.then_some(Proof::ReportedStopped).or(absent)
        }
    }
}

/// Releases the members that were never started and would be born with another revision by now.
pub(super) fn unstarted(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let mut outdated = Vec::new();
    for (ordinal, member) in set.members.iter().rev() {
        if member.ordered == Ordered::Nothing && member.revision != *set.birth_revision(*ordinal) {
            outdated.push((*ordinal, member.epoch));
        }
    }
    for (ordinal, epoch) in outdated {
        let member = MemberId {
            set: key.clone(),
            ordinal,
        };
        let proof = Proof::NeverOrdered;
        draft.push(Step::Release {
            member,
            epoch,
            proof,
        });
    }
}

/// Removes a set whose deletion was asked for, once it has no members.
pub(super) fn set(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    if set.deleting.is_none() || !set.members.is_empty() {
        return;
    }
    let uid = set.uid.clone();
    if set.refounding {
        return refound(draft, key.clone(), uid);
    }
    // Each has a record; with all of them the set could be more than one commit can remove.
    let kept = [&set.revision, set.current_revision()];
    let history = set.revisions.keys().filter(|hash| !kept.contains(hash));
    for revision in history.cloned().collect::<Vec<_>>() {
        let set = key.clone();
        draft.push(Step::DropRevision { set, revision });
    }
    let set = key.clone();
    draft.push(Step::RemoveSet { set, uid });
}

/// Lets a set begin anew, once nothing is left of it.
fn refound(draft: &mut Draft, set: SetKey, uid: Uid) {
    let mut claims = draft.state.claims_of(&set);
    let left = claims.any(|(_, claim)| claim.goes_with.is_some());
    drop(claims);
    if left || draft.mismatch().is_some() {
        return;
    }
    if draft.state.foundings.contains_key(&set) {
        draft.push(Step::ForgetFounding { set: set.clone() });
    }
    draft.push(Step::Refound { set, uid });
}

/// Forgets who founded the sets that are gone with all their claims.
pub(super) fn foundings(draft: &mut Draft, parked: &Parked, scope: &Scope) {
    let state = &draft.state;
    let gone = |key: &&SetKey| {
        state.foundings.contains_key(key)
            && !state.sets.contains_key(key)
            && !holds_set(parked, key)
            && (state.claims_of(key).next().is_none() || bug::on(Bug::FoundingForgotten))
    };
    let gone: Vec<SetKey> = match scope {
        Scope::All => state.foundings.keys().filter(gone).cloned().collect(),
        Scope::Only(sets) => sets.iter().filter(gone).cloned().collect(),
    };
    for set in gone {
        draft.push(Step::ForgetFounding { set });
    }
}

/// Drops what is over `revisionHistoryLimit`, oldest first. The newest revision, the one that the set
/// came from and those that members carry are needed and do not count.
pub(super) fn revisions(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let mut needed: BTreeSet<&TemplateHash> = set.members.values().map(|m| &m.revision).collect();
    needed.extend([&set.revision, set.current_revision()]);
    let unused = set.revisions.iter();
    let unused = unused.filter(|(hash, _)| !needed.contains(hash));
    let mut unused: Vec<_> = unused.map(|(hash, r)| (r.number, hash.clone())).collect();
    unused.sort();
    let keep = usize::try_from(set.spec.revision_history_limit()).unwrap_or(usize::MAX);
    unused.truncate(unused.len().saturating_sub(keep));
    for (_, revision) in unused {
        let set = key.clone();
        draft.push(Step::DropRevision { set, revision });
    }
}

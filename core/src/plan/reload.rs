//! Reload: config that changed is delivered to members that run, instead of replacing them.
//!
//! Only what reaches processes through files can be delivered: a change of the template, or of a
//! value that is in an environment, still replaces the member. Highest first, one at a time, and
//! the next only when the files of the one before are written and it is available. It costs budget
//! only where a file says `onChange: Restart`: nothing else takes anything down.

use crate::{
    ids::{MemberId, Ordinal, SetKey},
    plan::{
        Step,
        budget::{self, Spent},
        draft::Draft,
        facts::{BROKEN_AFTER, Facts, Roster, Standing, facts},
    },
    spec::{ConfigUpdate, UpdateKind},
    state::{Member, Ordered, Revision, Set},
    template::same_but_for_files,
    time::Timestamp,
    waiting::DisruptionCause,
};

/// Whether an update brings a member that runs to the target without replacing it.
pub(super) fn reaches(set: &Set, ordinal: Ordinal, member: &Member) -> bool {
    let asked = set.spec.config_update == ConfigUpdate::Reload
        && member.ordered == Ordered::Run
        && member.restart_asked.is_none()
        && set.is_to_be_replaced(ordinal, member);
    let revisions = || {
        let old = set.revisions.get(&member.revision)?;
        Some((old, set.revisions.get(set.target_revision())?))
    };
    asked && revisions().is_some_and(|(old, new)| is_only_config(old, new, ordinal))
}

/// Whether two revisions of an ordinal differ in nothing but config that files have: what its
/// overrides change of it takes a start.
fn is_only_config(old: &Revision, new: &Revision, ordinal: Ordinal) -> bool {
    let (before, after) = (old.template_for(ordinal), new.template_for(ordinal));
    before == after && same_but_for_files(&after.spec, &old.config, &new.config)
}

/// The members that config is to be delivered to sooner or later, highest first.
pub(super) fn candidates(set: &Set) -> Vec<Ordinal> {
    let reached = |n: &Ordinal| set.members.get(n).is_some_and(|m| reaches(set, *n, m));
    set.declared().rev().filter(reached).collect()
}

/// Delivers to at most one member of a set.
pub(super) fn run(draft: &mut Draft, key: &SetKey) {
    let Some(set) = draft.set(key) else {
        return;
    };
    let old = candidates(set);
    let lacks = || set.missing_for_target(&key.namespace).is_some();
    if old.is_empty() || draft.mismatch().is_some() || lacks() {
        return;
    }
    let of = |n: Ordinal| facts(&draft.state, key, n);
    // What an agent out of contact does not hear is not delivered, and holds no other up.
    let heard = |n: &Ordinal| of(*n).is_some_and(|facts| facts.in_contact);
    let old: Vec<Ordinal> = old.into_iter().filter(heard).collect();
    let mut wake: Option<Timestamp> = None;
    let (mut told, mut served) = (true, true);
    for facts in set.declared().filter_map(of).filter(has_target) {
        told &= facts.has_files();
        match facts.standing(draft.now) {
            Standing::Available => {}
            Standing::ReadyUntil(at) => {
                wake = wake.max(Some(at));
                served = false;
            }
            Standing::Unready | Standing::Down => served = false,
        }
    }
    // What is broken already loses nothing, and may be what the change is to mend.
    let broken_at = |n: &Ordinal| of(*n).and_then(|facts| facts.broken_at(BROKEN_AFTER));
    let broken = |n: &&Ordinal| broken_at(n).is_some_and(|at| at <= draft.now);
    let next = match (told, served) {
        (false, _) => None,
        (true, true) => old.iter().find(broken).or_else(|| old.first()),
        (true, false) => old.iter().find(broken),
    };
    // Of those that nothing is delivered to now, one may count as broken before anything else happens.
    let soon = old.iter().filter_map(broken_at).min().filter(|_| told);
    let spent = next.and_then(|ordinal| spent(draft, key, set, *ordinal));
    if let Some((ordinal, spent)) = next.zip(spent) {
        let ordinal = *ordinal;
        draft.wake(wake);
        draft.wake(soon);
        draft.wake(spent.wake);
        draft.wait(key, ordinal, spent.reason());
        return;
    }
    let step = next.and_then(|ordinal| {
        let member = set.members.get(ordinal)?;
        Some(Step::Reload {
            member: MemberId {
                set: key.clone(),
                ordinal: *ordinal,
            },
            epoch: member.epoch,
            revision: set.target_revision().clone(),
        })
    });
    draft.wake(wake);
    draft.wake(soon);
    if let Some(step) = step {
        draft.push(step);
    }
}

/// Why a member that serves keeps its config for now, if a process of it would start anew. `Recreate`
/// asks for no budget, and members that start wait until no older one is there.
fn spent(draft: &Draft, key: &SetKey, set: &Set, ordinal: Ordinal) -> Option<Spent> {
    let serves = facts(&draft.state, key, ordinal).is_some_and(|facts| facts.ready());
    let free = set.spec.update_kind() == UpdateKind::Recreate;
    if free || !serves || !set.restarts_on_delivery(set.target_revision()) {
        return None;
    }
    let (state, now) = (&draft.state, draft.now);
    let members = Roster::new(state, key, set);
    budget::allows(&members, ordinal, DisruptionCause::Update, now).err()
}

/// Whether a member has the target revision and runs, or is being stopped, on a host in contact: of
/// another nothing can be learned now. One that is being stopped is down like one that starts anew, and
/// the next waits for it.
fn has_target(facts: &Facts<'_>) -> bool {
    facts.member.ordered != Ordered::Nothing
        && facts.member.revision == *facts.set.target_revision()
        && facts.in_contact
}

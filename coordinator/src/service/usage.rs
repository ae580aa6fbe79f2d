//! Who uses a claim, and how full its volume is as far as agents said.

use berth_core::{
    ids::{ClaimKey, MemberId},
    report::MemberReport,
    state::{Set, State},
    volume::{Usage, VolumeReport},
};

/// A member that uses a claim, and by which name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) member: MemberId,
    pub(super) volume: String,
}

/// The members that are assigned or wanted and use a claim: as their own, or one that they share.
pub(super) fn users(state: &State, claim: &ClaimKey) -> Vec<User> {
    let own = state.claims.get(claim).and_then(|have| {
        let member = have.member.clone()?;
        let set = state.sets.get(&member.set)?;
        let there = set.members.contains_key(&member.ordinal) || set.is_declared(member.ordinal);
        let volume = have.template.clone();
        there.then_some(User { member, volume })
    });
    let sets = state.sets.iter();
    let sets = sets.filter(|(key, _)| key.namespace == claim.namespace);
    let sharing = sets.flat_map(|(key, set)| {
        shared(set, claim).into_iter().flat_map(move |volume| {
            let assigned = set.members.keys().copied();
            let all: std::collections::BTreeSet<_> = set.declared().chain(assigned).collect();
            all.into_iter().map(move |ordinal| User {
                member: MemberId {
                    set: key.clone(),
                    ordinal,
                },
                volume: volume.clone(),
            })
        })
    });
    own.into_iter().chain(sharing).collect()
}

/// The name by which the members of a set share a claim, in any revision that one may still run.
fn shared(set: &Set, claim: &ClaimKey) -> Option<String> {
    let newest = set.spec.template.spec.volumes.iter();
    let older = set.revisions.values();
    let mut all = newest.chain(older.flat_map(|revision| &revision.template.spec.volumes));
    let found = all.find(|volume| {
        let name = &volume.persistent_volume_claim.claim_name;
        name == claim.name.as_str()
    });
    found.map(|volume| volume.name.clone())
}

/// What agents said last of a volume that a member uses.
pub(super) fn reported<'a>(state: &'a State, user: &User) -> Option<&'a VolumeReport> {
    let report = report(state, &user.member)?;
    report
        .volumes
        .iter()
        .find(|volume| volume.name == user.volume)
}

fn report<'a>(state: &'a State, id: &MemberId) -> Option<&'a MemberReport> {
    let member = state.sets.get(&id.set)?.members.get(&id.ordinal)?;
    let contact = &state.hosts.get(&member.host)?.contact;
    let seen = contact.members.get(id)?;
    (seen.report.epoch == member.epoch).then_some(&seen.report)
}

/// How full the volume of a claim is, as any of its users' agents said.
pub(super) fn usage(state: &State, claim: &ClaimKey) -> Option<Usage> {
    let users = users(state, claim);
    users.iter().find_map(|user| reported(state, user)?.usage)
}

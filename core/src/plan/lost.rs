//! Members of Failover sets on hosts that are out of contact: what proves that they are gone there,
//! so that they can be started elsewhere. A member of a Hold set has no lease, and stays.

use crate::{
    bug::{self, Bug},
    ids::MemberId,
    plan::{draft::Draft, step::Proof},
    state::{Fenced, Ordered, State},
    time::Timestamp,
    waiting::Reason,
};

/// What is known of a grant on a host that is out of contact.
enum Gone {
    Proven(Proof),
    /// Why not, and when that may be another.
    Not(Reason, Option<Timestamp>),
}

/// What proves that the grant of a member is gone from a host that is out of contact. Why not is
/// told, if it could be.
pub(super) fn proof(draft: &mut Draft, id: &MemberId) -> Option<Proof> {
    // What the store does not know of may run anywhere.
    if draft.mismatch().is_some() {
        return None;
    }
    match gone(&draft.state, id, draft.now)? {
        Gone::Proven(proof) => Some(proof),
        Gone::Not(reason, at) => {
            draft.wake(at);
            draft.wait(&id.set, id.ordinal, reason);
            None
        }
    }
}

fn gone(state: &State, id: &MemberId, now: Timestamp) -> Option<Gone> {
    let member = state.sets.get(&id.set)?.members.get(&id.ordinal)?;
    let terms = member
        .lease
        .filter(|_| member.ordered != Ordered::Nothing)?;
    let known = state.hosts.get(&member.host)?;
    let host = member.host.clone();
    let contact = &known.contact;
    if contact.fenced == Some(Fenced::Off) {
        return Some(Gone::Proven(Proof::Fenced));
    }
    let until = terms.surely_over(state.term_began, contact.renewed);
    if now < until {
        return Some(Gone::Not(Reason::LeaseRunning { host, until }, Some(until)));
    }
    // Its keepers reboot the host, and its agent if they cannot: both are to be able to.
    if !terms.self_fences || !known.record.self_fences {
        return Some(Gone::Not(Reason::FenceNotConfirmed { host }, None));
    }
    let written = state
        .written_elsewhere(id)
        .filter(|_| !bug::on(Bug::WriterUnfenced));
    Some(match written.filter(|_| contact.fenced.is_none()) {
        Some(claim) => Gone::Not(Reason::UnfencedWriter { host, claim }, None),
        None => Gone::Proven(Proof::LeaseOver),
    })
}

//! What operators may ask of the data of members: that one begins anew on fresh volumes, or that a
//! whole set does. Each function gives the state as it is then, or says why not; the plan does the
//! rest, in its own time: stop, prove gone, delete the claims, start on fresh ones.

use thiserror::Error;

use crate::{
    ids::{ClaimKey, MemberId, SetKey},
    state::{GoesWith, Ordered, State},
    time::Timestamp,
};

/// Why data cannot be given up.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotLeaving {
    /// There is no such member.
    #[error("member {0} does not exist; 'berth status' shows those that do")]
    NoMember(MemberId),
    /// There is no such set.
    #[error("set {0} does not exist; 'berth get sts' shows those that do")]
    NoSet(SetKey),
    /// The set goes altogether.
    #[error("set {0} is being deleted; wait until it is gone")]
    Deleting(SetKey),
    /// The set is gone, and its members run on.
    #[error("set {0} was deleted without its members; apply a set of the name first")]
    Orphaned(SetKey),
    /// Nothing proves that the member does not run on the data.
    #[error(
        "{host} is out of contact: what runs there can neither be stopped nor proven gone; try \
         again when its agent is back, or run 'berth host confirm-dead {host}' first if it never \
         will be"
    )]
    HostUnknown {
        /// The host of the member.
        host: crate::ids::HostName,
    },
    /// There is nothing to give up.
    #[error("{0} has no claims of its own; 'berth member restart' has it placed and started anew")]
    NoData(MemberId),
}

/// A member begins anew on fresh volumes: it is stopped as the budget allows, its claims are deleted
/// when it is proven gone, and it comes back as one that joins, not as a founder. The last is all that
/// is asked of a founder without claims whose host was given up.
///
/// # Errors
/// Why not.
pub fn replace(state: &State, id: &MemberId, now: Timestamp) -> Result<State, NotLeaving> {
    let set = state.sets.get(&id.set);
    let set = set.ok_or_else(|| NotLeaving::NoMember(id.clone()))?;
    if set.deleting.is_some() {
        return Err(NotLeaving::Deleting(id.set.clone()));
    }
    if set.orphaned.is_some() {
        return Err(NotLeaving::Orphaned(id.set.clone()));
    }
    if !set.is_declared(id.ordinal) {
        return Err(NotLeaving::NoMember(id.clone()));
    }
    let founding = state.foundings.get(&id.set);
    let lost = founding.is_some_and(|f| f.open.contains(&id.ordinal) && f.is_lost(state, id));
    if set.spec.volume_claim_templates.is_empty() && !lost {
        return Err(NotLeaving::NoData(id.clone()));
    }
    let mut after = state.clone();
    if let Some(member) = set.members.get(&id.ordinal) {
        let host = state.hosts.get(&member.host);
        let connected = host.is_some_and(|host| host.contact.connected);
        if member.ordered != Ordered::Nothing && !connected {
            let host = member.host.clone();
            return Err(NotLeaving::HostUnknown { host });
        }
        let set = after.sets.get_mut(&id.set);
        if let Some(member) = set.and_then(|set| set.members.get_mut(&id.ordinal)) {
            member.restart_asked.get_or_insert(now);
        }
    }
    let own = state.claims_of_member(id);
    let keys: Vec<ClaimKey> = own.map(|(key, _)| key.clone()).collect();
    give_up(&mut after, &keys);
    after.founds_no_more(id);
    Ok(after)
}

/// A set begins anew: all its members stop in order, all its claims are deleted, who founded it is
/// forgotten, and it is founded again on fresh volumes.
///
/// # Errors
/// Why not.
pub fn refound(state: &State, key: &SetKey, now: Timestamp) -> Result<State, NotLeaving> {
    let set = state.sets.get(key);
    let set = set.ok_or_else(|| NotLeaving::NoSet(key.clone()))?;
    if set.deleting.is_some() {
        return Err(NotLeaving::Deleting(key.clone()));
    }
    if set.orphaned.is_some() {
        return Err(NotLeaving::Orphaned(key.clone()));
    }
    let mut after = state.clone();
    if let Some(set) = after.sets.get_mut(key) {
        set.deleting = Some(now);
        set.refounding = true;
    }
    let keys: Vec<ClaimKey> = state.claims_of(key).map(|(key, _)| key.clone()).collect();
    give_up(&mut after, &keys);
    Ok(after)
}

fn give_up(state: &mut State, keys: &[ClaimKey]) {
    for key in keys {
        if let Some(claim) = state.claims.get_mut(key) {
            claim.goes_with = Some(GoesWith::Asked);
        }
    }
}

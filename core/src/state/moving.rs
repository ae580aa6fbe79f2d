//! Members that an operator wants on another host, and how their local data goes along.
//!
//! What is asked for is a record of the ordinal ([`Move`]); the plan does the rest in its own time.
//! A member without local data is stopped, proven gone and assigned elsewhere, and that is all. Data in
//! a pool is copied while nobody has a grant: the old volumes stay the claims' until every new one is
//! complete, and then all change places in one commit. So at every instant one volume of a claim may be
//! started on, and whatever dies in between leaves the other as it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Ordered, Set, State, Volume};
use crate::{
    ids::{ClaimKey, Epoch, HostName, MemberId, ObjectKey, Ordinal, SetKey},
    spec::Placement,
    time::Timestamp,
    volume::copy,
    waiting::Reason,
};

/// That an operator wants a member on another host. It ends when the member is assigned there, or when
/// it is given up. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// Since when.
    pub since: Timestamp,
    /// The host that it leaves.
    pub from: HostName,
    /// The host that it goes to; the one that fits best if none was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<HostName>,
    /// The copying of its local data, once that began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copying: Option<Copying>,
    /// Why it is not to be any more: the member goes back to where its data is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
}

/// Local data of a member on its way to another host. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Copying {
    /// The move's own epoch: above all that ever ran on the old volumes, below all that will run on
    /// the new ones. Nothing ever runs under it.
    pub epoch: Epoch,
    /// The new volumes, by claim.
    pub volumes: BTreeMap<ClaimKey, ObjectKey>,
}

/// What a volume has to do with a move that brought its data. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MovedIn {
    /// The volume that the data comes from.
    pub from: ObjectKey,
    /// The move's epoch.
    pub epoch: Epoch,
    /// Whether all of it is there, durable, and proven the same. Until then no claim has the volume.
    pub complete: bool,
    /// Whether a member was started on it since: until then what it came from is kept.
    pub started: bool,
}

/// That a move takes, or took, the data of a volume elsewhere. Durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MovedOut {
    /// The volume that the data goes to.
    pub to: ObjectKey,
    /// The move's epoch. The owner record beside the data has it from before the first byte is
    /// copied, and no member starts there unless its order says that this move is known.
    pub epoch: Epoch,
}

/// Why a member is not moved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotMoving {
    /// There is no such member.
    #[error("member {0} does not exist; 'berth status' shows those that do")]
    NoMember(MemberId),
    /// The set goes altogether.
    #[error("set {0} is being deleted; its members go with it")]
    Deleting(SetKey),
    /// The set is gone, and its members run on.
    #[error("set {0} was deleted without its members; apply a set of the name first")]
    Orphaned(SetKey),
    /// One member per host.
    #[error("{0} is the member of its host (placement: PerHost); label another host instead")]
    OwnHost(MemberId),
    /// It was never placed.
    #[error("{0} has no host yet; 'berth status' says why")]
    Unassigned(MemberId),
    /// The others know its address already.
    #[error("{0} is about to found its set, and the others know its address; wait until it runs")]
    Founds(MemberId),
    /// There is no such host.
    #[error("host {0} does not exist; 'berth host ls' shows those that do")]
    NoHost(HostName),
    /// It is there.
    #[error("{member} is on {host} already; name another host")]
    There {
        /// The member.
        member: MemberId,
        /// Its host.
        host: HostName,
    },
    /// Another move is under way.
    #[error("{member} is being moved already; 'berth member move {member} --cancel' gives that up")]
    Moving {
        /// The member.
        member: MemberId,
    },
    /// Nothing is to be given up.
    #[error("{0} is not being moved")]
    NotMoving(MemberId),
    /// All data is there already.
    #[error("the data of {0} is on its new host already; move it back with another move")]
    Moved(MemberId),
    /// Nothing can be done about what runs there.
    #[error(
        "{host} is out of contact: what runs there can neither be stopped nor copied; try again when \
         its agent is back, or run 'berth host confirm-dead {host}' if it never will be"
    )]
    HostUnknown {
        /// The host of the member.
        host: HostName,
    },
    /// Its data is there.
    #[error(
        "data of {member} is on {host}: 'berth member move {member} --to HOST' takes it along, 'berth \
         member replace {member} --new-volume' begins anew without it"
    )]
    Pinned {
        /// The member.
        member: MemberId,
        /// Its host.
        host: HostName,
    },
    /// A volume is not there to be taken along.
    #[error("{0}; 'berth explain {name}' says more", name = .0.rule().name())]
    NotUsable(Box<Reason>),
}

/// An operator wants a member on another host: on this one, or on whichever fits best.
///
/// # Errors
/// Why that can come to nothing.
pub fn ask(
    state: &State,
    id: &MemberId,
    to: Option<&HostName>,
    now: Timestamp,
) -> Result<State, NotMoving> {
    let set = of_member(state, id)?;
    if set.moves.contains_key(&id.ordinal) {
        let member = id.clone();
        return Err(NotMoving::Moving { member });
    }
    let Some(member) = set.members.get(&id.ordinal) else {
        return Err(NotMoving::Unassigned(id.clone()));
    };
    let from = member.host.clone();
    if let Some(to) = to.filter(|to| !state.hosts.contains_key(*to)) {
        return Err(NotMoving::NoHost(to.clone()));
    }
    if to == Some(&from) {
        let member = id.clone();
        return Err(NotMoving::There { member, host: from });
    }
    let founding = state.foundings.get(&id.set);
    let mut founders = founding.into_iter().flat_map(|founding| &founding.founders);
    if member.ordered == Ordered::Nothing && founders.any(|peer| peer.ordinal == id.ordinal) {
        return Err(NotMoving::Founds(id.clone()));
    }
    let local = state.local_claims(id, &from);
    let contact = state.hosts.get(&from).map(|host| host.contact.connected);
    let needs_agent = member.ordered != Ordered::Nothing || !local.is_empty();
    if needs_agent && contact != Some(true) {
        return Err(NotMoving::HostUnknown { host: from });
    }
    for key in &local {
        if let Some(claim) = state.claims.get(key) {
            copy::usable(state, key, claim)
                .map_err(|reason| NotMoving::NotUsable(Box::new(reason)))?;
        }
    }
    if to.is_none() && !local.is_empty() {
        let member = id.clone();
        return Err(NotMoving::Pinned { member, host: from });
    }
    let mut after = state.clone();
    if let Some(set) = after.sets.get_mut(&id.set) {
        let asked = Move {
            since: now,
            from,
            to: to.cloned(),
            copying: None,
            given_up: None,
        };
        set.moves.insert(id.ordinal, asked);
    }
    Ok(after)
}

fn of_member<'a>(state: &'a State, id: &MemberId) -> Result<&'a Set, NotMoving> {
    let set = state.sets.get(&id.set);
    let set = set.ok_or_else(|| NotMoving::NoMember(id.clone()))?;
    if set.deleting.is_some() {
        return Err(NotMoving::Deleting(id.set.clone()));
    }
    if set.orphaned.is_some() {
        return Err(NotMoving::Orphaned(id.set.clone()));
    }
    if !set.is_declared(id.ordinal) {
        return Err(NotMoving::NoMember(id.clone()));
    }
    if set.spec.placement == Placement::PerHost {
        return Err(NotMoving::OwnHost(id.clone()));
    }
    Ok(set)
}

/// A move is not to be any more. What was copied so far goes to the trash, and the member goes back to
/// its data.
///
/// # Errors
/// There is none, or all its data is on the new host.
pub fn give_up(state: &State, id: &MemberId, why: &str) -> Result<State, NotMoving> {
    let set = state.sets.get(&id.set);
    let set = set.ok_or_else(|| NotMoving::NoMember(id.clone()))?;
    let asked = set.moves.get(&id.ordinal);
    let asked = asked.ok_or_else(|| NotMoving::NotMoving(id.clone()))?;
    let arrived = asked.copying.is_none() && state.has_arrived(id, asked);
    if arrived {
        return Err(NotMoving::Moved(id.clone()));
    }
    let mut after = state.clone();
    let set = after.sets.get_mut(&id.set);
    if let Some(asked) = set.and_then(|set| set.moves.get_mut(&id.ordinal)) {
        asked.given_up.get_or_insert_with(|| why.to_owned());
    }
    Ok(after)
}

impl Set {
    /// Whether an operator wants a member away from the host that it is on.
    pub fn is_to_move(&self, ordinal: Ordinal) -> bool {
        let host = self.members.get(&ordinal).map(|member| &member.host);
        let asked = self.moves.get(&ordinal);
        asked.is_some_and(|asked| asked.given_up.is_none() && Some(&asked.from) == host)
    }
}

impl State {
    /// The claims of a member whose data is in a pool of a host.
    pub fn local_claims(&self, id: &MemberId, host: &HostName) -> Vec<ClaimKey> {
        let own = self.claims_of_member(id);
        let own = own.filter(|(_, claim)| self.host_of(claim) == Some(host));
        own.map(|(key, _)| key.clone()).collect()
    }

    /// Whether a volume of a member that is to move is on the host that it leaves.
    pub fn is_left_behind(&self, id: &MemberId, volume: &Volume) -> bool {
        let set = self.sets.get(&id.set);
        let asked = set.and_then(|set| set.moves.get(&id.ordinal));
        let asked = asked.filter(|asked| asked.given_up.is_none());
        asked.is_some_and(|asked| volume.source.host() == Some(&asked.from))
    }

    /// Whether the data of a member that moves is on its new host.
    fn has_arrived(&self, id: &MemberId, asked: &Move) -> bool {
        let to = asked.to.as_ref();
        to.is_some_and(|to| !self.local_claims(id, to).is_empty())
    }

    /// Whether a volume in the trash is all there is of data that nobody was started on since it was
    /// moved elsewhere.
    pub fn is_kept_for_move(&self, volume: &Volume) -> bool {
        let moved_out = volume.moved_out.as_ref();
        let copy = moved_out.and_then(|moved_out| self.volumes.get(&moved_out.to));
        copy.is_some_and(|copy| {
            let moved_in = copy.moved_in.as_ref();
            copy.claim.is_some() && moved_in.is_some_and(|moved_in| !moved_in.started)
        })
    }
}

impl Volume {
    /// The move that still brings its data.
    pub fn arriving(&self) -> Option<&MovedIn> {
        self.moved_in.as_ref().filter(|moved_in| !moved_in.complete)
    }
}

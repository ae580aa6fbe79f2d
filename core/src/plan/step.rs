//! The steps of a plan. Each is complete: whoever carries it out has no choice left.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClaimKey, Epoch, HostName, MemberId, ObjectKey, Ordinal, SetKey, TemplateHash, Uid},
    order::Peer,
    state::{Claim, GoesWith, Snapshot, State, Turn, Volume, ZoneHead},
    volume::Ownership,
};

mod proof;

pub use proof::Proof;

/// What to do, in the order in which it takes effect; committed together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
}

/// One durable decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "step",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Step {
    /// Makes a claim.
    CreateClaim {
        /// Its key.
        key: ClaimKey,
        /// Its record. Its `uid` derives from the set's uid, the claim's name and the revision, so
        /// that the plan needs no randomness.
        claim: Claim,
    },
    /// Gives a claim that was made by hand to the member whose claim has that name.
    AdoptClaim {
        /// The claim.
        key: ClaimKey,
        /// The member.
        member: MemberId,
        /// The claim template.
        template: String,
    },
    /// Binds a claim and a volume to each other, for good. The volume is new, or was free.
    BindClaim {
        /// The claim.
        key: ClaimKey,
        /// The volume's name.
        name: ObjectKey,
        /// The volume, as it is from now on.
        volume: Volume,
    },
    /// Notes which claim a snapshot means that was asked for before there was one of the name.
    PinSnapshot {
        /// The snapshot's object.
        key: ObjectKey,
        /// The claim.
        claim: ClaimKey,
        /// Which of the claims that ever had the name.
        uid: Uid,
    },
    /// Lets an agent take a snapshot of a volume as it is now.
    TakeSnapshot {
        /// The snapshot's own name, made of its object's id.
        name: ObjectKey,
        /// Its record.
        snapshot: Snapshot,
    },
    /// Lets a claim ask for more, as its template does by now.
    GrowClaim {
        /// The claim.
        key: ClaimKey,
        /// What it asks for, as a quantity.
        storage: String,
    },
    /// Says with what a claim goes.
    TieClaim {
        /// The claim.
        key: ClaimKey,
        /// With what; nothing, to let it stay.
        goes_with: Option<GoesWith>,
    },
    /// Deletes a claim that went with its member or its set. Its volume goes to the trash if its
    /// reclaim policy is `Delete`, or if an operator asked for that.
    DropClaim {
        /// The claim.
        key: ClaimKey,
        /// Which of the claims that ever had the name.
        uid: Uid,
    },
    /// Has the data of a volume removed whose time in the trash is over.
    PurgeVolume {
        /// The volume.
        name: ObjectKey,
    },
    /// Marks a claim as one that a member was started on.
    FillClaim {
        /// The claim.
        key: ClaimKey,
        /// Who owns its files.
        owner: Option<Ownership>,
        /// The address of its server, if that is news.
        address: Option<IpAddr>,
    },
    /// Gives an ordinal its own address for as long as the set exists.
    TakeAddress {
        /// The member.
        member: MemberId,
        /// The address.
        address: IpAddr,
    },
    /// Gives a host the ordinal that it has in a set with one member per host, for good: it is
    /// wanted from now on.
    TakeHost {
        /// The member.
        member: MemberId,
        /// The host.
        host: HostName,
    },
    /// An ordinal is not wanted any more, because its host has no label for it; it stays that
    /// host's.
    LeaveHost {
        /// The member.
        member: MemberId,
    },
    /// Grants a member to a host: its name has an address from now on, nothing is started.
    Assign {
        /// The member.
        member: MemberId,
        /// The grant.
        epoch: Epoch,
        /// The host.
        host: HostName,
        /// The address that its name has.
        address: IpAddr,
        /// The revision that it will run.
        revision: TemplateHash,
    },
    /// Freezes who founds the set. Without founders it records that the set counts as founded: it
    /// ran before it had a record.
    Found {
        /// The set.
        set: SetKey,
        /// The founders, in ordinal order.
        founders: Vec<Peer>,
    },
    /// Has a member carry another revision that is the same for it: nothing of it changes.
    Carry {
        /// The member.
        member: MemberId,
        /// The grant.
        epoch: Epoch,
        /// The revision.
        revision: TemplateHash,
    },
    /// Orders the host to run an assigned member.
    Start {
        /// The member.
        member: MemberId,
        /// The grant.
        epoch: Epoch,
    },
    /// Records that a member passed its gate: it is a founder no more.
    PassGate {
        /// The member.
        member: MemberId,
        /// The grant.
        epoch: Epoch,
    },
    /// Orders the host to stop a member.
    Stop {
        /// The member.
        member: MemberId,
        /// The grant.
        epoch: Epoch,
    },
    /// Forgets a grant that is proven gone.
    Release {
        /// The member.
        member: MemberId,
        /// The grant.
        epoch: Epoch,
        /// What proves it.
        proof: Proof,
    },
    /// Removes a set whose members are all gone.
    RemoveSet {
        /// The set.
        set: SetKey,
        /// Which of the sets that ever had the name.
        uid: Uid,
    },
    /// Lets a set begin anew whose members are all gone: it is not deleted any more, and nobody has
    /// founded it.
    Refound {
        /// The set.
        set: SetKey,
        /// Which of the sets that ever had the name.
        uid: Uid,
    },
    /// Drops a revision that no member carries any more.
    DropRevision {
        /// The set.
        set: SetKey,
        /// The revision.
        revision: TemplateHash,
    },
    /// Gives a member that runs another revision without stopping it: only files differ, and its
    /// agent writes them anew.
    Reload {
        /// The member.
        member: MemberId,
        /// Its grant.
        epoch: Epoch,
        /// The revision.
        revision: TemplateHash,
    },
    /// A rollout begins, gets on, halts or completes.
    Rollout {
        /// The set.
        set: SetKey,
        /// What becomes of it.
        turn: Turn,
    },
    /// Forgets who founded a set, once neither the set nor any claim of it exists.
    ForgetFounding {
        /// The set's key.
        set: SetKey,
    },
    /// Begins to copy the local data of a member that has no grant to another host.
    BeginMove {
        /// The member.
        member: MemberId,
        /// The move's epoch. Nothing ever runs under it.
        epoch: Epoch,
        /// The new volumes, one for each claim whose data is on the host that is left.
        volumes: Vec<NewPlace>,
    },
    /// All claims of a member that moves have their new volumes from now on; the old ones go to the
    /// trash.
    CompleteMove {
        /// The member.
        member: MemberId,
        /// The move's epoch.
        epoch: Epoch,
    },
    /// A move is given up: what was copied so far goes to the trash.
    EndMove {
        /// The member.
        member: MemberId,
    },
    /// Publishes the zone that follows from the steps before.
    PublishZone {
        /// Serial and hash.
        zone: ZoneHead,
    },
}

/// The volume that a claim of a member that moves is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewPlace {
    /// The claim.
    pub claim: ClaimKey,
    /// The new volume's name.
    pub name: ObjectKey,
    /// The new volume.
    pub volume: Volume,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateClaim { key, .. } => write!(f, "create claim {key}"),
            Self::AdoptClaim { key, member, .. } => write!(f, "give claim {key} to {member}"),
            Self::BindClaim { key, volume, .. } => {
                write!(f, "bind claim {key} to {}", volume.source.describe())?;
                match volume.source.host() {
                    Some(host) => write!(f, " on {host}"),
                    None => Ok(()),
                }
            }
            Self::PinSnapshot { key, claim, .. } => {
                write!(
                    f,
                    "let snapshot {key} mean the claim {claim} that is there now"
                )
            }
            Self::TakeSnapshot { snapshot, .. } => {
                write!(
                    f,
                    "take snapshot {} of claim {}",
                    snapshot.of, snapshot.claim
                )
            }
            Self::GrowClaim { key, storage } => write!(f, "let claim {key} grow to {storage}"),
            Self::TieClaim { key, goes_with } => match goes_with {
                None => write!(f, "keep claim {key} whatever goes"),
                Some(GoesWith::Set { .. }) => write!(f, "let claim {key} go with its set"),
                Some(GoesWith::Member { .. }) => write!(f, "let claim {key} go with its member"),
                Some(GoesWith::Asked) => write!(f, "let claim {key} go"),
            },
            Self::DropClaim { key, .. } => write!(f, "delete claim {key}"),
            Self::PurgeVolume { name } => {
                write!(f, "remove the data of volume {} for good", name.name)
            }
            Self::FillClaim { key, .. } => write!(f, "mark claim {key} as filled"),
            Self::TakeAddress { member, address } => write!(f, "give {member} {address}"),
            Self::TakeHost { member, host } => write!(f, "{member} is the member of {host}"),
            Self::LeaveHost { member } => write!(f, "{member} is not wanted on its host"),
            Self::Assign {
                member,
                epoch,
                host,
                address,
                ..
            } => write!(f, "assign {member} to {host} at {address}, epoch {epoch}"),
            Self::Found { set, founders } => found(f, set, founders),
            Self::Carry {
                member, revision, ..
            } => write!(f, "{member} carries revision {revision}, the same for it"),
            Self::Start { member, .. } => write!(f, "start {member}"),
            Self::PassGate { member, .. } => write!(f, "{member} has passed its gate"),
            Self::Stop { member, .. } => write!(f, "stop {member}"),
            Self::Release { member, proof, .. } => write!(f, "release {member}: {proof}"),
            Self::RemoveSet { set, .. } => write!(f, "remove {set}"),
            Self::Reload {
                member, revision, ..
            } => write!(f, "deliver the config of revision {revision} to {member}"),
            Self::Refound { set, .. } => write!(f, "found {set} anew"),
            Self::DropRevision { set, revision } => write!(f, "drop revision {revision} of {set}"),
            Self::Rollout { set, turn } => rollout(f, set, turn),
            Self::ForgetFounding { set } => write!(f, "forget who founded {set}"),
            Self::BeginMove { .. } | Self::CompleteMove { .. } | Self::EndMove { .. } => {
                moving(f, self)
            }
            Self::PublishZone { zone } => write!(f, "publish zone {}", zone.serial),
        }
    }
}

fn found(f: &mut fmt::Formatter<'_>, set: &SetKey, founders: &[Peer]) -> fmt::Result {
    if founders.is_empty() {
        return write!(f, "count {set} as founded");
    }
    let names: Vec<&str> = founders.iter().map(|peer| peer.name.as_str()).collect();
    write!(f, "found {set} with {}", names.join(", "))
}

fn moving(f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
    if let Step::BeginMove {
        member, volumes, ..
    } = step
    {
        let to = volumes.first().and_then(|new| new.volume.source.host());
        let names: Vec<&str> = volumes.iter().map(|new| new.claim.name.as_str()).collect();
        write!(f, "copy the data of {member} ({})", names.join(", "))?;
        to.map_or(Ok(()), |to| write!(f, " to {to}"))
    } else if let Step::CompleteMove { member, .. } = step {
        write!(f, "let {member} have its data where it was copied to")
    } else if let Step::EndMove { member } = step {
        write!(f, "give up the move of {member}")
    } else {
        Ok(())
    }
}

fn rollout(f: &mut fmt::Formatter<'_>, set: &SetKey, turn: &Turn) -> fmt::Result {
    match turn {
        Turn::Begins { revision, from, .. } if revision == from => {
            write!(f, "{set} has revision {revision}")
        }
        Turn::Begins { revision, from, .. } => {
            write!(f, "{set} goes from revision {from} to {revision}")
        }
        Turn::Goes { .. } => write!(f, "the rollout of {set} goes on"),
        Turn::Betters { .. } => write!(f, "the rollout of {set} gets better"),
        Turn::Rests => write!(f, "the rollout of {set} rests"),
        Turn::Stalls => write!(f, "the rollout of {set} is stalled"),
        Turn::IsTakenBack => write!(f, "the rollout of {set} is taken back"),
        Turn::Completes { revision } => write!(f, "all of {set} have revision {revision}"),
    }
}

impl Step {
    /// The member that the step is about, if it is about one.
    pub fn member(&self) -> Option<(&SetKey, Ordinal)> {
        match self {
            Self::TakeAddress { member, .. }
            | Self::TakeHost { member, .. }
            | Self::LeaveHost { member }
            | Self::Assign { member, .. }
            | Self::Carry { member, .. }
            | Self::Start { member, .. }
            | Self::PassGate { member, .. }
            | Self::Stop { member, .. }
            | Self::Reload { member, .. }
            | Self::BeginMove { member, .. }
            | Self::CompleteMove { member, .. }
            | Self::EndMove { member }
            | Self::Release { member, .. } => Some((&member.set, member.ordinal)),
            Self::AdoptClaim { member, .. } => Some((&member.set, member.ordinal)),
            Self::CreateClaim { claim, .. } => {
                let member = claim.member.as_ref()?;
                Some((&member.set, member.ordinal))
            }
            Self::BindClaim { .. }
            | Self::PinSnapshot { .. }
            | Self::TakeSnapshot { .. }
            | Self::GrowClaim { .. }
            | Self::FillClaim { .. }
            | Self::TieClaim { .. }
            | Self::DropClaim { .. }
            | Self::PurgeVolume { .. }
            | Self::Refound { .. }
            | Self::Found { .. }
            | Self::RemoveSet { .. }
            | Self::DropRevision { .. }
            | Self::Rollout { .. }
            | Self::ForgetFounding { .. }
            | Self::PublishZone { .. } => None,
        }
    }

    /// The set that the step is about, if it is about one, on the state right before or right after
    /// it.
    pub fn set(&self, state: &State) -> Option<SetKey> {
        let of = |key: &ClaimKey| Some(state.claims.get(key)?.member.as_ref()?.set.clone());
        match self {
            Self::CreateClaim { claim, .. } => claim.member.as_ref().map(|id| id.set.clone()),
            Self::BindClaim { key, .. }
            | Self::GrowClaim { key, .. }
            | Self::TieClaim { key, .. }
            | Self::DropClaim { key, .. }
            | Self::FillClaim { key, .. } => of(key),
            Self::TakeSnapshot { snapshot, .. } => of(&snapshot.claim),
            Self::AdoptClaim { member, .. }
            | Self::TakeAddress { member, .. }
            | Self::TakeHost { member, .. }
            | Self::LeaveHost { member }
            | Self::Assign { member, .. }
            | Self::Carry { member, .. }
            | Self::Start { member, .. }
            | Self::PassGate { member, .. }
            | Self::Stop { member, .. }
            | Self::Reload { member, .. }
            | Self::BeginMove { member, .. }
            | Self::CompleteMove { member, .. }
            | Self::EndMove { member }
            | Self::Release { member, .. } => Some(member.set.clone()),
            Self::Found { set, .. }
            | Self::RemoveSet { set, .. }
            | Self::Refound { set, .. }
            | Self::DropRevision { set, .. }
            | Self::Rollout { set, .. }
            | Self::ForgetFounding { set } => Some(set.clone()),
            Self::PinSnapshot { .. } | Self::PurgeVolume { .. } | Self::PublishZone { .. } => None,
        }
    }
}

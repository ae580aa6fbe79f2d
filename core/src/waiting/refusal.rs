//! What rules a host or a volume out: the parts of reasons that speak of several of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{HostName, MemberId, ObjectKey},
    keeper::cgroup::Controller,
    prerequisite::{Prerequisite, Unmet},
    quantity::of_bytes,
};

/// Why one host cannot take a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostRefusal {
    /// The host.
    pub host: HostName,
    /// Why not.
    pub because: Refusal,
}

/// What rules a host out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "because", rename_all_fields = "camelCase")]
pub enum Refusal {
    /// It is out of contact.
    OutOfContact,
    /// It is cordoned.
    Cordoned,
    /// It was confirmed dead.
    ConfirmedDead,
    /// The set fails over, and nothing could make sure that its member is gone there.
    NotFenced,
    /// Its labels do not match the node selector.
    Labels,
    /// It lacks what the set requires of a host.
    RequirementUnmet {
        /// All of it.
        unmet: Vec<Unmet>,
    },
    /// Its agent has not said yet whether it has what the set requires.
    RequirementUnknown {
        /// What it is asked.
        required: Vec<Prerequisite>,
    },
    /// Another member of the set is on it, or can go nowhere else.
    SpreadTaken {
        /// That member.
        by: MemberId,
    },
    /// An operator wants the member on another host.
    NotAsked {
        /// That host, if it was named; else any but this one.
        host: Option<HostName>,
    },
    /// The member's local volume is elsewhere.
    VolumeElsewhere {
        /// The claim.
        claim: ObjectKey,
        /// The host that has it.
        host: HostName,
    },
    /// An address and port that the member declares is taken there.
    PortClash {
        /// Address and port.
        socket: String,
        /// The member that declares it already.
        by: MemberId,
    },
    /// It has no pool of that name.
    NoPool {
        /// The pool.
        pool: String,
    },
    /// It cannot enforce what a process requires.
    NoControllers {
        /// The controllers of cgroup v2 that it lacks.
        controllers: Vec<Controller>,
    },
    /// Its pool of that name cannot be used now: no disk, another disk, or no answer.
    PoolNotThere {
        /// The pool.
        pool: String,
    },
    /// Its pool holds no volume to its size, and the class asks for that.
    NoLimits {
        /// The pool.
        pool: String,
    },
    /// Its pool has no room.
    PoolFull {
        /// The pool.
        pool: String,
        /// Bytes that are asked for.
        wanted: u64,
        /// Bytes that are not promised to other claims.
        free: u64,
    },
    /// Its set has one member per host, and this host has another one.
    NotItsHost {
        /// The member's own host.
        host: HostName,
    },
    /// It lacks the label that a spread constraint counts by.
    NoDomain {
        /// The label.
        key: String,
    },
    /// Its label domain would be too far ahead of the emptiest one.
    Skew {
        /// The label.
        key: String,
        /// The value that the host has.
        domain: String,
        /// Members of the set in that domain.
        members: u32,
        /// Members in the emptiest domain.
        least: u32,
        /// By how many it may be ahead.
        max_skew: u32,
    },
    /// A claim that only one host may use is in use on another one.
    ClaimElsewhere {
        /// The claim.
        claim: ObjectKey,
        /// The host that uses it.
        host: HostName,
    },
}

impl Refusal {
    /// The prerequisites that it is about.
    pub fn required(&self) -> Vec<&Prerequisite> {
        if let Self::RequirementUnmet { unmet } = self {
            return unmet.iter().map(|one| &one.required).collect();
        }
        if let Self::RequirementUnknown { required } = self {
            return required.iter().collect();
        }
        Vec::new()
    }
}

/// Why one volume does not fit a claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeRefusal {
    /// The volume.
    pub volume: String,
    /// Why not.
    pub because: VolumeMisfit,
}

/// What rules a volume out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "because", rename_all_fields = "camelCase")]
pub enum VolumeMisfit {
    /// It is, or was last, another claim's.
    Bound {
        /// That claim.
        claim: ObjectKey,
        /// Whether that claim is gone: then an operator may release the volume.
        released: bool,
    },
    /// It is kept for another claim.
    Reserved {
        /// That claim.
        claim: ObjectKey,
    },
    /// It is smaller than asked for.
    TooSmall {
        /// Its size in bytes.
        capacity: u64,
    },
    /// It is of another class.
    Class {
        /// Its class; empty without one.
        class: String,
    },
    /// It does not offer all access modes that are asked for.
    AccessModes,
    /// It lacks labels that the selector asks for.
    Labels,
    /// The claim asks for another volume by name.
    Name,
    /// Its directory is another one's that is bound, or lies around it or in it.
    Overlaps {
        /// That volume.
        volume: String,
    },
    /// It is being deleted, or in the trash.
    Deleted,
}

impl VolumeMisfit {
    /// How far the volume is from being the one: what an operator can mend with a word comes first, a
    /// volume that was never meant last.
    fn distance(&self) -> u8 {
        match self {
            Self::Bound { released: true, .. } => 0,
            Self::Overlaps { .. } => 1,
            Self::TooSmall { .. } => 2,
            Self::AccessModes => 3,
            Self::Labels => 4,
            Self::Reserved { .. } => 5,
            Self::Bound { .. } => 6,
            Self::Class { .. } => 7,
            Self::Deleted => 8,
            Self::Name => 9,
        }
    }
}

/// So many volumes that do not fit are told one by one.
const TOLD: usize = 4;

/// The nearest of the volumes that do not fit, and how many more there are.
pub(super) fn nearest(volumes: &[VolumeRefusal]) -> String {
    let mut sorted: Vec<&VolumeRefusal> = volumes.iter().collect();
    sorted.sort_by_key(|refusal| (refusal.because.distance(), &refusal.volume));
    let told = sorted.iter().take(TOLD).map(ToString::to_string);
    let told = told.collect::<Vec<_>>().join(", ");
    match volumes.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told}, and {more} more"),
    }
}

/// Why a copy of a volume cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "because", rename_all_fields = "camelCase")]
pub enum CopyRefusal {
    /// The data is on a server: only what is in a pool of a host is copied.
    Server,
    /// The pool of the volume is not known now, or cannot be used.
    PoolNotThere {
        /// Its host.
        host: HostName,
        /// The pool.
        pool: String,
    },
    /// Its pool keeps directories on a file system that shares no blocks.
    NoClones {
        /// The pool.
        pool: String,
    },
    /// The class of the claim makes volumes elsewhere.
    OtherPool {
        /// The pool that has the data.
        pool: String,
    },
    /// The claim asks for less than there is.
    TooSmall {
        /// What it must ask for at least, in bytes.
        bytes: u64,
    },
}

impl fmt::Display for CopyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str(
                "only volumes in a pool of a host are copied, and this data is on a server; use \
                 what the server has for it",
            ),
            Self::PoolNotThere { host, pool } => {
                write!(f, "pool '{pool}' of {host} is not there; mount its disk")
            }
            Self::NoClones { pool } => write!(
                f,
                "pool '{pool}' keeps directories on a file system that shares no blocks; use a \
                 pool on xfs (reflink=1) or btrfs, or one of images"
            ),
            Self::OtherPool { pool } => {
                write!(f, "the data is in pool '{pool}'; name a class of that pool")
            }
            Self::TooSmall { bytes } => write!(f, "ask for {} or more", of_bytes(*bytes)),
        }
    }
}

impl fmt::Display for VolumeRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.volume)?;
        match &self.because {
            VolumeMisfit::Bound { claim, released } if *released => {
                write!(f, "is released by {claim} (berth volume release)")
            }
            VolumeMisfit::Bound { claim, .. } => write!(f, "is bound to {claim}"),
            VolumeMisfit::Reserved { claim } => write!(f, "is kept for {claim} (claimRef)"),
            VolumeMisfit::TooSmall { capacity } => {
                write!(f, "has only {}", of_bytes(*capacity))
            }
            VolumeMisfit::Class { class } => write!(f, "is of class '{class}'"),
            VolumeMisfit::AccessModes => f.write_str("does not offer the access modes"),
            VolumeMisfit::Labels => f.write_str("lacks labels of the selector"),
            VolumeMisfit::Name => f.write_str("is not the one asked for"),
            VolumeMisfit::Overlaps { volume } => write!(f, "shares its directory with {volume}"),
            VolumeMisfit::Deleted => f.write_str("is deleted"),
        }
    }
}

/// All that is unmet, each with what to do about it.
pub(super) fn all(unmet: &[Unmet]) -> String {
    let each: Vec<String> = unmet.iter().map(ToString::to_string).collect();
    each.join(", and ")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfContact => f.write_str("out of contact"),
            Self::Cordoned => f.write_str("cordoned"),
            Self::ConfirmedDead => f.write_str("confirmed dead"),
            Self::NotFenced => f.write_str(
                "does not reboot itself and has no fence command (failurePolicy: Failover)",
            ),
            Self::Labels => f.write_str("labels do not match nodeSelector"),
            Self::RequirementUnmet { unmet } => f.write_str(&all(unmet)),
            Self::RequirementUnknown { required } => {
                let names: Vec<String> = required.iter().map(ToString::to_string).collect();
                write!(f, "is asked for what is required ({})", names.join(", "))
            }
            Self::SpreadTaken { by } => write!(f, "is taken by {by} (spread: Require)"),
            Self::NotAsked { host: Some(host) } => {
                write!(f, "the member is to move to {host}")
            }
            Self::NotAsked { host: None } => f.write_str("the member is to leave it"),
            Self::VolumeElsewhere { claim, host } => write!(f, "volume {claim} is on {host}"),
            Self::PortClash { socket, by } => write!(f, "{socket} is declared by {by}"),
            Self::NoPool { pool } => write!(f, "has no pool '{pool}'"),
            Self::NoControllers { controllers } => {
                let names = controllers.iter().map(|one| one.name());
                let names = names.collect::<Vec<_>>().join(", ");
                write!(
                    f,
                    "has no cgroup v2 controller {names}, and resources.require asks for it"
                )
            }
            Self::NoLimits { pool } => write!(
                f,
                "its pool '{pool}' holds no volume to its size (limits: Required); mount it with \
                 prjquota, or make it one of images"
            ),
            Self::PoolNotThere { pool } => write!(f, "pool '{pool}' is not there; mount its disk"),
            Self::PoolFull { pool, wanted, free } => {
                let (free, wanted) = (of_bytes(*free), of_bytes(*wanted));
                write!(f, "pool '{pool}' has {free} left, {wanted} is asked for")
            }
            Self::NotItsHost { host } => write!(f, "the member is that of {host}"),
            Self::NoDomain { key } => {
                write!(f, "has no label '{key}' (topologySpreadConstraints)")
            }
            Self::Skew {
                key,
                domain,
                members,
                least,
                max_skew,
            } => write!(
                f,
                "{key}={domain} has {members} members already, the emptiest domain {least} \
                 (maxSkew {max_skew})"
            ),
            Self::ClaimElsewhere { claim, host } => write!(f, "claim {claim} is in use on {host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_volumes_are_told_and_the_others_counted() {
        let refusal = |n: usize, because| VolumeRefusal {
            volume: format!("pv-{n}"),
            because,
        };
        let mut all: Vec<VolumeRefusal> = (0..6).map(|n| refusal(n, VolumeMisfit::Name)).collect();
        all.push(refusal(7, VolumeMisfit::TooSmall { capacity: 5 << 30 }));
        let released = VolumeMisfit::Bound {
            claim: "default/data".parse().unwrap(),
            released: true,
        };
        all.push(refusal(8, released));
        let text = nearest(&all);
        assert!(text.starts_with("pv-8 is released"), "{text}");
        assert!(text.contains("pv-7 has only 5Gi"), "{text}");
        assert!(text.ends_with("and 4 more"), "{text}");
        assert!(!nearest(&all[..4]).contains("more"));
    }
}

//! Why a volume is left as it is, in words that end with what to do.

use thiserror::Error;

use crate::{
    ids::{ClaimKey, ObjectKey, SetKey},
    spec::Kind,
};

/// Why an operator's word about a volume comes to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is none of that name.
    #[error("there is no volume {}; berth volume list shows those there are", .0.name)]
    Unknown(ObjectKey),
    /// It is in the trash, so that its data is nobody's to take.
    #[error(
        "volume {0} is in the trash; bring it back first: berth volume undelete {0}",
        volume.name
    )]
    InTrash {
        /// Which.
        volume: ObjectKey,
    },
    /// It is on its way somewhere.
    #[error(
        "volume {0} is in the trash, or on its way there or back; berth volume list --trash shows \
         it, berth volume undelete brings it back",
        volume.name
    )]
    OnItsWay {
        /// Which.
        volume: ObjectKey,
    },
    /// Its claim is gone, and nobody said that another one may have it.
    #[error(
        "volume {0} had claim {claim}, which is gone; free it first for another one: berth volume \
         release {0}",
        volume.name
    )]
    Released {
        /// Which.
        volume: ObjectKey,
        /// Its last claim.
        claim: ClaimKey,
    },
    /// What is on it is its claim's already.
    #[error(
        "a member was started on volume {} under claim {claim} before: its data is the claim's \
         already; there is nothing to do",
        volume.name
    )]
    Filled {
        /// Which.
        volume: ObjectKey,
        /// Its claim.
        claim: ClaimKey,
    },
    /// A claim has it.
    #[error(
        "volume {} is bound to claim {claim}, which exists; delete the claim first: berth delete \
         pvc/{} -n {}",
        volume.name, claim.name, claim.namespace
    )]
    Bound {
        /// Which.
        volume: ObjectKey,
        /// Its claim.
        claim: ClaimKey,
    },
    /// An operator made it.
    #[error(
        "volume {0} was made by an operator: its data is not Berth's to delete; berth delete \
         pv/{0} forgets it and leaves the data where it is",
        volume.name
    )]
    NotOurs {
        /// Which.
        volume: ObjectKey,
    },
    /// A class made it, so that there is data to care for.
    #[error(
        "volume {0} was made by a class; berth volume delete {0} moves it to the trash",
        volume.name
    )]
    Provisioned {
        /// Which.
        volume: ObjectKey,
    },
    /// Nobody typed its name.
    #[error("deleting volume {0} needs its name typed; give '{0}'", volume.name)]
    Confirmation {
        /// Which.
        volume: ObjectKey,
    },
    /// Nothing of it is away.
    #[error("volume {} {why}; there is nothing to bring back", volume.name)]
    NotDeleted {
        /// Which.
        volume: ObjectKey,
        /// How it stands.
        why: String,
    },
    /// Its time in the trash is over.
    #[error(
        "the time of volume {} in the trash is over, and its data is being removed; it cannot come \
         back: restore a backup",
        volume.name
    )]
    Purging {
        /// Which.
        volume: ObjectKey,
    },
    /// Another volume has its place by now.
    #[error(
        "volume {} has the place of volume {} by now; delete that one first (berth volume delete \
         {0})",
        by.name, volume.name
    )]
    PlaceTaken {
        /// Which.
        volume: ObjectKey,
        /// The one that is in its place.
        by: ObjectKey,
    },
    /// The claim that would come back is of a set that gives up all its data.
    #[error(
        "volume {} had a claim of set {set}, which is being founded anew on fresh volumes; try \
         again when that is done: berth wait sts/{} -n {} --for=Available",
        volume.name, set.name, set.namespace
    )]
    FoundedAnew {
        /// Which.
        volume: ObjectKey,
        /// The set.
        set: SetKey,
    },
    /// The name of the claim that would come back is another claim's by now.
    #[error(
        "another claim has the name {claim} by now; delete it first (berth delete pvc/{} -n {}), \
         or release the volume (berth volume release {})",
        claim.name, claim.namespace, volume.name
    )]
    NameTaken {
        /// Which.
        volume: ObjectKey,
        /// The claim's name.
        claim: ClaimKey,
    },
}

impl Refusal {
    /// The rule, as programs tell refusals apart.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "UNKNOWN",
            Self::InTrash { .. } | Self::OnItsWay { .. } => "TRASH",
            Self::Released { .. } => "RELEASED",
            Self::Filled { .. } => "FILLED",
            Self::Bound { .. } => "BOUND",
            Self::NotOurs { .. } => "NOT_OURS",
            Self::Provisioned { .. } => "PROVISIONED",
            Self::Confirmation { .. } => "CONFIRMATION",
            Self::NotDeleted { .. } => "NOT_DELETED",
            Self::NameTaken { .. } => "NAME_TAKEN",
            Self::Purging { .. } => "PURGING",
            Self::PlaceTaken { .. } => "PLACE_TAKEN",
            Self::FoundedAnew { .. } => "FOUNDED_ANEW",
        }
    }

    /// The volume that it is about.
    pub fn volume(&self) -> &ObjectKey {
        match self {
            Self::Unknown(volume)
            | Self::InTrash { volume }
            | Self::OnItsWay { volume }
            | Self::Released { volume, .. }
            | Self::Filled { volume, .. }
            | Self::Bound { volume, .. }
            | Self::NotOurs { volume }
            | Self::Provisioned { volume }
            | Self::Confirmation { volume }
            | Self::NotDeleted { volume, .. }
            | Self::NameTaken { volume, .. }
            | Self::Purging { volume }
            | Self::PlaceTaken { volume, .. }
            | Self::FoundedAnew { volume, .. } => volume,
        }
    }

    /// What it is about, as operators write it.
    pub fn subject(&self) -> String {
        format!("{}/{}", Kind::PersistentVolume, self.volume().name)
    }
}

//! Which promise each rule is about.

use crate::{check::Rule, promise::Promise};

impl Rule {
    /// The promise that a plan would break which breaks this rule; `None` if it would only be a plan
    /// that makes no sense, or does not do what a set asks for.
    pub fn promise(self) -> Option<Promise> {
        match self {
            Self::AddressUnique | Self::AddressOwned | Self::OwnHost | Self::OrphansKept => {
                Some(Promise::Identity)
            }
            Self::OneEpoch
            | Self::EpochGrows
            | Self::ReleaseProven
            | Self::HostFences
            | Self::HistoryKnown => Some(Promise::AtMostOne),
            Self::StartOrder | Self::StopOrder | Self::DependencyOrder => Some(Promise::Order),
            Self::ClaimOwner
            | Self::ClaimAdopted
            | Self::ClaimTied
            | Self::ClaimDropped
            | Self::TrashExpired
            | Self::BoundOnce
            | Self::BoundFits
            | Self::BoundHost
            | Self::DataAlone
            | Self::SnapshotSource
            | Self::SnapshotMeant
            | Self::CopySource
            | Self::CopyStill
            | Self::MoveAsked
            | Self::MoveBeside
            | Self::MoveComplete
            | Self::MoveStill
            | Self::ClaimHost
            | Self::VolumeUsable
            | Self::OwnerVisible
            | Self::AccessModes
            | Self::FillReported => Some(Promise::Data),
            Self::FoundOnce
            | Self::FoundersComplete
            | Self::FoundedFirst
            | Self::FounderDisk
            | Self::FounderTold
            | Self::GatePassed
            | Self::FoundingKept
            | Self::FoundedAnew => Some(Promise::FoundedOnce),
            Self::Floor | Self::BrokenAlone | Self::StaysPinned => Some(Promise::Floor),
            Self::NamesFirst | Self::ZoneSerial | Self::ZonePublished => Some(Promise::NamesFirst),
            Self::CurrentGrant
            | Self::OrderedOnce
            | Self::Wanted
            | Self::StopCause
            | Self::Partition
            | Self::RecreateAlone
            | Self::RolloutProven
            | Self::HeldBack
            | Self::ClaimGrows
            | Self::SocketUnique
            | Self::HostFits
            | Self::RequirementsMet
            | Self::SpreadEven
            | Self::MoveEnded
            | Self::SetEmpty
            | Self::RevisionKept
            | Self::ReloadFits
            | Self::CarriesSame => None,
        }
    }
}

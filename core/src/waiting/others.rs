//! What a wait rests on: decides which changes reach a set that waits.

use super::Rule;

impl Rule {
    /// Whether something that is not the set's own may free it: hosts that have no member of it,
    /// other sets, volumes and claims that are nobody's yet. If in doubt it may; a set that is asked
    /// in vain costs time, one that is not asked waits for ever.
    #[expect(clippy::too_many_lines, reason = "one line per rule")]
    pub fn rests_on_others(self) -> bool {
        match self {
            // What the set, its hosts, or its agents say of its members frees these.
            Self::PredecessorNotReady
            | Self::PredecessorNotStarted
            | Self::SuccessorNotStopped
            | Self::ZoneNotAcknowledged
            | Self::StopNotConfirmed
            | Self::RevisionOutdated
            | Self::RestartAsked
            | Self::ConfigNotDelivered
            | Self::ConfigMissing
            | Self::OfflineAsked
            | Self::Offline
            | Self::OlderRevisionThere
            | Self::BudgetSpent
            | Self::UpdatesPaused
            | Self::BelowPartition
            | Self::UpdatedOnRestart
            | Self::RolloutStalled
            | Self::Orphaned
            | Self::Ordered
            | Self::StartupProbe
            | Self::ReadinessProbe
            | Self::ReadinessGate
            | Self::InitProcess
            | Self::PostStart
            | Self::Stopping
            | Self::LeaseRunning
            | Self::FenceNotConfirmed
            | Self::UnfencedWriter
            | Self::OwnerNotOnVolume
            | Self::LeaseNotHeld
            | Self::OtherMachine
            | Self::HeldByOperator
            | Self::HostShuttingDown
            | Self::CommandMissing
            | Self::UserMissing
            | Self::Forbidden
            | Self::PortTaken
            | Self::MountFailed
            | Self::UserIdMismatch
            | Self::PathEscape
            | Self::StepFailed
            | Self::RenderFailed
            | Self::LimitsNotEnforced
            | Self::LivenessProbe
            | Self::NeverKilled
            | Self::BackOff => false,
            Self::FoundersIncomplete
            | Self::HistoryMismatch
            | Self::HostsAwaited
            | Self::HostUnknown
            | Self::HostDrained
            | Self::DrainAsked
            | Self::DrainPinned
            | Self::DrainNowhere
            | Self::MoveAsked
            | Self::MoveNowhere
            | Self::MemberMoving
            | Self::NoEligibleHost
            | Self::AddressPoolMissing
            | Self::AddressPoolExhausted
            | Self::DependencyMissing
            | Self::DependencyNotReady
            | Self::DependantNotStopped
            | Self::FoundingDiskLost
            | Self::PoolMissing
            | Self::PoolNotMounted
            | Self::VolumeNotLimited
            | Self::ClassMissing
            | Self::ClaimMissing
            | Self::ClaimMismatch
            | Self::ClaimPending
            | Self::ClaimStale
            | Self::CopyNeedsStop
            | Self::CopyRefused
            | Self::DataSourceMissing
            | Self::DataSourceNotReady
            | Self::ExportTaken
            | Self::NoMatchingVolume
            | Self::PlanRefused
            | Self::RequirementUnmet
            | Self::VolumeBusy
            | Self::VolumeCopied
            | Self::VolumeEmpty
            | Self::VolumeForeign
            | Self::VolumeGone
            | Self::VolumeGrowing
            | Self::VolumeHung
            | Self::VolumeInUse
            | Self::VolumeNoSpace
            | Self::VolumeNotEmpty
            | Self::VolumePopulating
            | Self::VolumeRestoring
            | Self::VolumeStale
            | Self::WaitForFirstConsumer => true,
        }
    }
}

//! Which reasons are news that a person should have at once.

use super::{Growth, Moving, Reason};

impl Reason {
    /// Whether a person should know at once; the others are how an ordered start or stop proceeds.
    #[expect(
        clippy::too_many_lines,
        reason = "one line per reason: each is on one side or the other"
    )]
    pub fn is_trouble(&self) -> bool {
        match self {
            Self::PredecessorNotReady { .. }
            | Self::PredecessorNotStarted { .. }
            | Self::SuccessorNotStopped { .. }
            | Self::ZoneNotAcknowledged { .. }
            | Self::StopNotConfirmed { .. }
            | Self::FoundersIncomplete { .. }
            | Self::RevisionOutdated
            | Self::RestartAsked
            | Self::ConfigNotDelivered { .. }
            | Self::OfflineAsked
            | Self::Offline { .. }
            | Self::DrainAsked { .. }
            | Self::DrainPinned { .. }
            | Self::MoveAsked { .. }
            | Self::MemberMoving(Moving { error: None, .. })
            | Self::HostDrained { .. }
            | Self::OlderRevisionThere { .. }
            | Self::BudgetSpent { .. }
            | Self::UpdatesPaused
            | Self::BelowPartition { .. }
            | Self::UpdatedOnRestart
            // Told with the rollout, once for the set.
            | Self::RolloutStalled { .. }
            | Self::ClaimStale { .. }
            | Self::DependencyNotReady { .. }
            | Self::DependantNotStopped { .. }
            | Self::Orphaned
            | Self::VolumeInUse { .. }
            | Self::WaitForFirstConsumer { .. }
            | Self::VolumePopulating(_)
            | Self::VolumeCopied { .. }
            | Self::VolumeGrowing(Growth { error: None, .. })
            | Self::DataSourceNotReady(_)
            | Self::Ordered { .. }
            | Self::StartupProbe { .. }
            | Self::ReadinessProbe { .. }
            | Self::ReadinessGate(_)
            | Self::InitProcess { exit: None, .. }
            | Self::PostStart { error: None, .. }
            // Told with the refusal, once for the set.
            | Self::HistoryMismatch { .. }
            | Self::HostsAwaited { .. }
            | Self::PlanRefused { .. }
            | Self::Stopping { .. } => false,
            Self::NoEligibleHost { .. }
            | Self::RequirementUnmet { .. }
            | Self::HostUnknown { .. }
            | Self::LeaseRunning { .. }
            | Self::FenceNotConfirmed { .. }
            | Self::UnfencedWriter { .. }
            | Self::OwnerNotOnVolume { .. }
            | Self::LeaseNotHeld
            | Self::OtherMachine(_)
            | Self::DrainNowhere { .. }
            | Self::MoveNowhere { .. }
            | Self::MemberMoving(_)
            | Self::AddressPoolMissing { .. }
            | Self::AddressPoolExhausted { .. }
            | Self::ConfigMissing(_)
            | Self::DependencyMissing { .. }
            | Self::FoundingDiskLost { .. }
            | Self::HeldByOperator
            | Self::HostShuttingDown
            | Self::CommandMissing { .. }
            | Self::UserMissing { .. }
            | Self::Forbidden(_)
            | Self::LimitsNotEnforced(_)
            | Self::PoolMissing { .. }
            | Self::PortTaken { .. }
            | Self::VolumeForeign { .. }
            | Self::VolumeEmpty { .. }
            | Self::VolumeNotEmpty { .. }
            | Self::ClassMissing { .. }
            | Self::NoMatchingVolume { .. }
            | Self::ExportTaken { .. }
            | Self::ClaimMismatch { .. }
            | Self::ClaimMissing { .. }
            | Self::ClaimPending { .. }
            | Self::VolumeGone { .. }
            | Self::VolumeRestoring { .. }
            | Self::DataSourceMissing(_)
            | Self::CopyRefused { .. }
            | Self::VolumeGrowing(Growth { error: Some(_), .. })
            | Self::CopyNeedsStop { .. }
            | Self::PoolNotMounted { .. }
            | Self::VolumeNotLimited { .. }
            | Self::MountFailed { .. }
            | Self::VolumeHung { .. }
            | Self::VolumeStale { .. }
            | Self::VolumeBusy { .. }
            | Self::VolumeNoSpace(_)
            | Self::UserIdMismatch(_)
            | Self::PathEscape { .. }
            | Self::StepFailed { .. }
            | Self::RenderFailed { .. }
            | Self::LivenessProbe { .. }
            | Self::InitProcess { exit: Some(_), .. }
            | Self::PostStart { error: Some(_), .. }
            | Self::NeverKilled { .. }
            | Self::BackOff { .. } => true,
        }
    }
}

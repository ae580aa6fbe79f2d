//! The names of the reasons, and what kind of reason each is.

use super::Reason;

impl Reason {
    /// Whether the set was asked for exactly this: nothing is wrong, and nothing comes of waiting.
    pub fn is_wanted(&self) -> bool {
        matches!(
            self,
            Self::UpdatesPaused | Self::BelowPartition { .. } | Self::UpdatedOnRestart
        )
    }

    /// The rule's name, as `status` and the wire show it.
    #[expect(clippy::too_many_lines, reason = "one line per reason")]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::PredecessorNotReady { .. } => "PredecessorNotReady",
            Self::PredecessorNotStarted { .. } => "PredecessorNotStarted",
            Self::SuccessorNotStopped { .. } => "SuccessorNotStopped",
            Self::NoEligibleHost { .. } => "NoEligibleHost",
            Self::HostUnknown { .. } => "HostUnknown",
            Self::HistoryMismatch { .. } => "HistoryMismatch",
            Self::AddressPoolMissing { .. } => "AddressPoolMissing",
            Self::AddressPoolExhausted { .. } => "AddressPoolExhausted",
            Self::ZoneNotAcknowledged { .. } => "ZoneNotAcknowledged",
            Self::StopNotConfirmed { .. } => "StopNotConfirmed",
            Self::ConfigMissing { .. } => "ConfigMissing",
            Self::ConfigNotDelivered { .. } => "ConfigNotDelivered",
            Self::FoundersIncomplete { .. } => "FoundersIncomplete",
            Self::FoundingDiskLost { .. } => "FoundingDiskLost",
            Self::ClassMissing { .. } => "ClassMissing",
            Self::NoMatchingVolume { .. } => "NoMatchingVolume",
            Self::ExportTaken { .. } => "ExportTaken",
            Self::ClaimMismatch { .. } => "ClaimMismatch",
            Self::ClaimMissing { .. } => "ClaimMissing",
            Self::ClaimPending { .. } => "ClaimPending",
            Self::WaitForFirstConsumer { .. } => "WaitForFirstConsumer",
            Self::VolumeInUse { .. } => "VolumeInUse",
            Self::ClaimStale { .. } => "ClaimStale",
            Self::DependencyMissing { .. } => "DependencyMissing",
            Self::DependencyNotReady { .. } => "DependencyNotReady",
            Self::DependantNotStopped { .. } => "DependantNotStopped",
            Self::Orphaned => "Orphaned",
            Self::VolumeGone { .. } => "VolumeGone",
            Self::VolumeRestoring { .. } => "VolumeRestoring",
            Self::DataSourceMissing { .. } => "DataSourceMissing",
            Self::DataSourceNotReady { .. } => "DataSourceNotReady",
            Self::CopyRefused { .. } => "CopyRefused",
            Self::CopyNeedsStop { .. } => "CopyNeedsStop",
            Self::VolumePopulating { .. } => "VolumePopulating",
            Self::VolumeCopied { .. } => "VolumeCopied",
            Self::RevisionOutdated => "RevisionOutdated",
            Self::RestartAsked => "RestartAsked",
            Self::OfflineAsked => "OfflineAsked",
            Self::Offline { .. } => "Offline",
            Self::DrainAsked { .. } => "DrainAsked",
            Self::DrainPinned { .. } => "DrainPinned",
            Self::DrainNowhere { .. } => "DrainNowhere",
            Self::HostDrained { .. } => "HostDrained",
            Self::OlderRevisionThere { .. } => "OlderRevisionThere",
            Self::BudgetSpent { .. } => "BudgetSpent",
            Self::UpdatesPaused => "UpdatesPaused",
            Self::RolloutStalled { .. } => "RolloutStalled",
            Self::BelowPartition { .. } => "BelowPartition",
            Self::UpdatedOnRestart => "UpdatedOnRestart",
            Self::PlanRefused { .. } => "PlanRefused",
            Self::Ordered { .. } => "Ordered",
            Self::HeldByOperator => "HeldByOperator",
            Self::CommandMissing { .. } => "CommandMissing",
            Self::UserMissing { .. } => "UserMissing",
            Self::UserForbidden { .. } => "UserForbidden",
            Self::PoolMissing { .. } => "PoolMissing",
            Self::PortTaken { .. } => "PortTaken",
            Self::VolumeForeign { .. } => "VolumeForeign",
            Self::VolumeEmpty { .. } => "VolumeEmpty",
            Self::VolumeNotEmpty { .. } => "VolumeNotEmpty",
            Self::PoolNotMounted { .. } => "PoolNotMounted",
            Self::MountFailed { .. } => "MountFailed",
            Self::VolumeHung { .. } => "VolumeHung",
            Self::VolumeStale { .. } => "VolumeStale",
            Self::VolumeBusy { .. } => "VolumeBusy",
            Self::VolumeNoSpace { .. } => "VolumeNoSpace",
            Self::UserIdMismatch { .. } => "UserIdMismatch",
            Self::PathEscape { .. } => "PathEscape",
            Self::StepFailed { .. } => "StepFailed",
            Self::RenderFailed { .. } => "RenderFailed",
            Self::InitProcess { .. } => "InitProcess",
            Self::PostStart { .. } => "PostStart",
            Self::ReadinessGate { .. } => "ReadinessGate",
            Self::BackOff { .. } => "BackOff",
            Self::StartupProbe { .. } => "StartupProbe",
            Self::ReadinessProbe { .. } => "ReadinessProbe",
            Self::LivenessProbe { .. } => "LivenessProbe",
            Self::Stopping { .. } => "Stopping",
            Self::NeverKilled { .. } => "NeverKilled",
        }
    }
}

//! What frees each reason: a verb of Berth, something to do on the host, or an event.

use super::Reason;

impl Reason {
    /// The verb or the event that frees what is held.
    #[expect(
        clippy::too_many_lines,
        reason = "one line per reason: they are compared with each other here"
    )]
    pub fn frees(&self) -> &'static str {
        match self {
            Self::PredecessorNotReady { .. } => "event: the lower ordinal becomes ready",
            Self::PredecessorNotStarted { .. } => "event: the lower ordinal has started",
            Self::SuccessorNotStopped { .. } => "event: the higher ordinal is gone",
            Self::NoEligibleHost { .. } => "event: a host fits: in contact, uncordoned, with room",
            Self::HostUnknown { .. } => "event: the host's agent comes back",
            Self::HistoryMismatch { .. } => "restore the right data, or event: a matching hello",
            Self::AddressPoolMissing { .. } => "berth apply -f (the AddressPool)",
            Self::AddressPoolExhausted { .. } => "berth apply -f (a larger AddressPool)",
            Self::ZoneNotAcknowledged { .. } => "event: acknowledgement, or 2 s",
            Self::StopNotConfirmed { .. } => "event: the agent reports the member gone",
            Self::ConfigMissing { .. } => "berth apply -f (the missing object or key)",
            Self::FoundersIncomplete { .. } => "event: every member has a host",
            Self::FoundingDiskLost { .. } => {
                "berth member replace --new-volume (as a joiner), or berth set refound"
            }
            Self::ClassMissing { .. } => "berth apply -f (the StorageClass)",
            Self::NoMatchingVolume { .. } => "berth apply -f (a volume), or berth volume release",
            Self::ExportTaken { .. } => "berth volume delete, or berth apply -f (another subDir)",
            Self::ClaimMismatch { .. } => "berth delete pvc, or berth apply -f (a claim that fits)",
            Self::ClaimMissing { .. } => "berth apply -f (the PersistentVolumeClaim)",
            Self::ClaimPending { .. } => "event: a volume is bound to it; see berth describe pvc",
            Self::WaitForFirstConsumer { .. } => "event: a member that uses it is started",
            Self::VolumeInUse { .. } => "event: the other member is gone",
            Self::ClaimStale { .. } => "event: the member is gone, and its data in the trash",
            Self::DependencyMissing { .. } => {
                "berth apply -f (the other set, or without dependsOn)"
            }
            Self::DependencyNotReady { .. } => "event: the other set is up",
            Self::DependantNotStopped { .. } => "event: the members of the other set are gone",
            Self::Orphaned => "berth apply -f (a set of the name), or berth delete sts",
            Self::VolumeGone { .. } => "berth volume undelete",
            Self::VolumeRestoring { .. } => "event: it is back; see berth volume describe",
            Self::DataSourceMissing { .. } => "berth apply -f (the VolumeSnapshot or the claim)",
            Self::DataSourceNotReady { .. } => "event: it is complete; see berth describe vs",
            Self::CopyRefused { .. } => "berth apply -f (another class, size or dataSource)",
            Self::CopyNeedsStop { .. } => "berth member offline (then online), or berth scale",
            Self::VolumePopulating { .. } => "event: the copy is complete; see berth events",
            Self::VolumeCopied { .. } => "event: the copy is complete, or berth delete (the copy)",
            Self::RevisionOutdated => "event: the member is replaced",
            Self::RestartAsked => "event: the other members are available",
            Self::ConfigNotDelivered { .. } => {
                "event: the agent wrote it; see its log, or berth apply -f"
            }
            Self::OfflineAsked => "event: the other members are available",
            Self::Offline { .. } => "berth member online",
            Self::DrainAsked { .. } => "event: the other members are available",
            Self::DrainPinned { .. } => "berth host drain --stop-pinned, or berth host uncordon",
            Self::DrainNowhere { .. } => "event: another host fits; or berth host uncordon",
            Self::HostDrained { .. } => "berth host uncordon, or event: another host fits",
            Self::OlderRevisionThere { .. } => "event: that member is gone",
            Self::BudgetSpent { .. } => "event: more members are available",
            Self::UpdatesPaused => "berth apply -f (without paused)",
            Self::RolloutStalled { .. } => {
                "berth apply -f (a template that works), or berth rollout resume"
            }
            Self::BelowPartition { .. } => "berth apply -f (a lower partition)",
            Self::UpdatedOnRestart => "berth member restart",
            Self::PlanRefused { .. } => "report a bug: the plan was unsafe and nothing was done",
            Self::Ordered { .. } => "event: the agent reports",
            Self::HeldByOperator => "berth local start (on the host)",
            Self::CommandMissing { .. } => "install the program on the host",
            Self::UserMissing { .. } => "create the user on the host",
            Self::UserForbidden { .. } => "change the set's user, or the agent's policy",
            Self::LimitsNotEnforced { .. } => {
                "event: the host boots with cgroup v2, or berth apply -f (without resources.require)"
            }
            Self::PoolMissing { .. } => "add the pool to the agent's configuration",
            Self::PortTaken { .. } => "stop the program that holds the port",
            Self::VolumeForeign { .. } => "put the right volume in place, or move this one away",
            Self::VolumeEmpty { .. } => "put the volume's data back in place",
            Self::VolumeNotEmpty { .. } => "berth volume adopt, or empty the directory",
            Self::PoolNotMounted { .. } => "mount the pool's disk on the host",
            Self::MountFailed { .. } => "event: the next attempt; look at the server or image",
            Self::VolumeHung { .. } => "event: the storage answers again",
            Self::VolumeStale { .. } => "event: the member has been restarted on a new mount",
            Self::VolumeBusy { .. } => "event: it lets go; the last resort is a reboot of the host",
            Self::VolumeNoSpace { .. } => "make room in the pool on the host",
            Self::UserIdMismatch { .. } => "restore the user's number, or change the files' owner",
            Self::PathEscape { .. } => "berth apply -f (another subPath), or remove the link",
            Self::StepFailed { .. } => "event: the next attempt succeeds",
            Self::RenderFailed { .. } => "berth apply -f (with the template corrected)",
            Self::InitProcess { .. } => "event: the init process exits with 0",
            Self::PostStart { .. } => "event: postStart ends well, now or at the next start",
            Self::ReadinessGate { .. } => "berth member condition (MEMBER TYPE=True)",
            Self::BackOff { .. } => "event: the next start succeeds",
            Self::StartupProbe { .. } => "event: the startup probe passes",
            Self::ReadinessProbe { .. } => "event: the readiness probe passes",
            Self::LivenessProbe { .. } => "event: the process has been restarted",
            Self::Stopping { .. } => "event: the processes end, or KILL after the grace period",
            Self::NeverKilled { .. } => "event: they end; to force it, kill -KILL on the host",
        }
    }
}

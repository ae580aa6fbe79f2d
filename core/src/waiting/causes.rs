//! What usually leads to a wait, and where to look first.

use super::Rule;

impl Rule {
    /// What usually causes it, or where to look.
    #[expect(
        clippy::too_many_lines,
        reason = "one text per rule; a table reads best whole"
    )]
    pub fn causes(self) -> &'static str {
        match self {
            Self::PredecessorNotReady => {
                "That member still starts, or its readiness probe fails; look at it first."
            }
            Self::PredecessorNotStarted => {
                "That member waits itself, or its startup probe has not passed; look at it first."
            }
            Self::SuccessorNotStopped => {
                "The higher member ends its work within its grace period, or its host is out \
                 of contact."
            }
            Self::NoEligibleHost => {
                "Too few hosts for spread: Require, a cordon, labels, a full pool, or a host \
                 prerequisite."
            }
            Self::RequirementUnmet => {
                "A sysctl, a user, a program or a unit was changed or removed since the host was \
                 chosen."
            }
            Self::HostUnknown => {
                "The host is down, its agent is stopped, or the network between it and the \
                 coordinator is cut."
            }
            Self::LeaseRunning => {
                "The host is down, its agent is stopped, or the network between it and the \
                 coordinator is cut."
            }
            Self::FenceNotConfirmed => {
                "No fence command is configured for the host, or it fails (`berth events` tells how), and \
                 its agent's policy.selfReboot names no file."
            }
            Self::UnfencedWriter => {
                "Neither a fence command nor a storage fence is configured for the host, or it fails."
            }
            Self::OwnerNotOnVolume => {
                "The server maps root to nobody (root_squash), or the share is read-only."
            }
            Self::HistoryMismatch => {
                "The coordinator was restored from an older backup, or two coordinators run."
            }
            Self::HostsAwaited => {
                "A host is down, or its agent is, or the network between is cut, since the restore."
            }
            Self::AddressPoolMissing => {
                "The pool was not applied yet, or its name has a typing error."
            }
            Self::AddressPoolExhausted => {
                "More members than addresses, or addresses that are kept for members that are \
                 scaled in."
            }
            Self::ZoneNotAcknowledged => {
                "The network is slow, or an agent is busy. After 2 s the start goes on \
                 without them."
            }
            Self::StopNotConfirmed => {
                "Its processes use their grace period, or a volume cannot be unmounted."
            }
            Self::ConfigMissing => {
                "It was not applied yet, is in another namespace, or the key has a typing error."
            }
            Self::ConfigNotDelivered => {
                "The agent is busy, or a file cannot be written or rendered on the host."
            }
            Self::FoundersIncomplete => {
                "Too few hosts fit, so that one of the members waits for a place."
            }
            Self::FoundingDiskLost => {
                "While the set came up for the first time, a disk was replaced or emptied, a pool \
                 was not mounted, or a host was cut off until its lease was over, fenced, \
                 confirmed dead, or its member forced."
            }
            Self::ClassMissing => "The class was not applied yet, or its name has a typing error.",
            Self::NoMatchingVolume => {
                "A volume is too small, of another class, or still tied to a claim that is gone."
            }
            Self::ExportTaken => {
                "A deleted volume still has it, or the subDir of the class is the same for \
                 two claims."
            }
            Self::ClaimMismatch => {
                "The size, class or access modes of the template were changed, or the claim \
                 was made by hand."
            }
            Self::ClaimMissing => {
                "It was not applied yet, is in another namespace, or was deleted."
            }
            Self::ClaimPending => "The claim waits itself; its description says for what.",
            Self::WaitForFirstConsumer => "No set uses the claim yet; this is as it should be.",
            Self::VolumeInUse => {
                "ReadWriteOncePod with two users, or ReadWriteOnce with members on two hosts."
            }
            Self::ClaimStale => {
                "A retention policy says Delete, and the set was scaled in and out again quickly."
            }
            Self::DependencyMissing => "The other set was not applied yet, or was deleted.",
            Self::DependencyNotReady => {
                "The other set still starts, or one of its members waits; look at that set first."
            }
            Self::DependantNotStopped => {
                "Both were deleted together, which is taken down in reverse."
            }
            Self::Orphaned | Self::UpdatedOnRestart => "It was asked for.",
            Self::VolumeGone => "An operator deleted it, or a retention policy did.",
            Self::VolumeRestoring => {
                "`berth volume undelete` was asked for, and its host or server has not done \
                 it yet."
            }
            Self::DataSourceMissing => {
                "It was not made yet, was deleted, or its name has a typing error."
            }
            Self::DataSourceNotReady => {
                "The snapshot is still being made, or the source claim has no volume."
            }
            Self::CopyRefused => {
                "Source and claim are of different pools, or the file system shares no blocks."
            }
            Self::CopyNeedsStop => "The pool has no clones of one instant, and the member is up.",
            Self::VolumePopulating => "The volume is large, or its host is slow or out of contact.",
            Self::VolumeGrowing => {
                "Its host is still at it or out of contact, the pool has no room, or the storage \
                 grows only with the member's next start."
            }
            Self::VolumeCopied => "A snapshot or a clone was asked for while the member was down.",
            Self::RevisionOutdated => {
                "A rollout is under way: it takes members from the highest ordinal down."
            }
            Self::RestartAsked | Self::OfflineAsked => {
                "Another member is down or not ready, or an update is under way."
            }
            Self::Offline => "It was asked for; the status gives the reason that was left.",
            Self::DrainAsked => "Another member is down or still moving.",
            Self::DrainPinned => "Its local data is there, or the set has one member per host.",
            Self::MoveAsked => "Another member is down or still moving.",
            Self::MoveNowhere => {
                "The host is cordoned, out of contact or full, has no such pool, or a label, a port \
                 or the spread of the set keeps the member away."
            }
            Self::MemberMoving => {
                "The data is large, or one of the two hosts is slow or out of contact."
            }
            Self::DrainNowhere => {
                "Too few other hosts; the status names each and what rules it out."
            }
            Self::HostDrained => {
                "The drain was asked for with --stop-pinned, or the member was down when it \
                 began."
            }
            Self::OlderRevisionThere => "A member of the old revision still ends its work.",
            Self::BudgetSpent => {
                "Other members are down or not ready, or the budget allows none at this size."
            }
            Self::UpdatesPaused => {
                "`paused: true` is in the manifest, or `berth rollout pause` was asked for."
            }
            Self::RolloutStalled => {
                "The new template does not become ready: look at the first member that runs it."
            }
            Self::BelowPartition => {
                "It was asked for: only ordinals from the partition on are updated."
            }
            Self::PlanRefused => {
                "A mistake in Berth; please report it with `berth describe` of the set."
            }
            Self::Ordered => {
                "It has just been sent, or the agent is busy with volumes or processes."
            }
            Self::LeaseNotHeld => {
                "The coordinator is down, or the network between it and the host is cut."
            }
            Self::OtherMachine => {
                "The host's disk, or a copy of it, is in another machine; or its machine id or firmware \
                 was replaced."
            }
            Self::HeldByOperator => "`berth local stop` was used there; it lasts through restarts.",
            Self::HostShuttingDown => {
                "The host is powered off or rebooted, or berth-members.service was stopped there."
            }
            Self::CommandMissing => {
                "It is not installed there, or its path or its mode is another one."
            }
            Self::UserMissing => "The package that creates it is not installed there.",
            Self::Forbidden => {
                "It runs as root, or has a group that is not its user's, or a capability, that the \
                 agent's configuration does not list."
            }
            Self::LimitsNotEnforced => {
                "The host has cgroup v1, or its agent has no cgroup that may limit members."
            }
            Self::PoolMissing => "The pool was renamed or taken out of the agent's configuration.",
            Self::PortTaken => {
                "Another program, or a member that was started by hand, listens on it."
            }
            Self::VolumeForeign => {
                "Disks or directories were exchanged, a pool was copied from another host, or the \
                 coordinator was restored from a backup that is older than a move of the member."
            }
            Self::VolumeEmpty => "A disk is not mounted, was replaced, or the data was removed.",
            Self::VolumeNotEmpty => "The directory was used before, or is the wrong one.",
            Self::PoolNotMounted => "The disk was not mounted after a boot, or is broken.",
            Self::VolumeNotLimited => {
                "The disk of the pool was mounted without prjquota, or the volume is from a time \
                 before its class asked for limits."
            }
            Self::MountFailed => {
                "The server refuses or is away, the export is missing, or an image is damaged."
            }
            Self::VolumeHung => "An NFS server is away, or the network to it is cut.",
            Self::VolumeStale => {
                "The server was rebuilt, or the directory was removed and made again there."
            }
            Self::VolumeBusy => {
                "A process hangs in a call to the storage, or another program uses the mount."
            }
            Self::VolumeNoSpace => "Other data fills it; the claim was promised more than is left.",
            Self::UserIdMismatch => "Users were created in another order on another host.",
            Self::PathEscape => "The application made a link there, or the subPath is wrong.",
            Self::StepFailed => "The status says what the system answered; look at the host.",
            Self::RenderFailed => "A value is not defined, or the template has a mistake.",
            Self::InitProcess => {
                "It is still at work, or it fails and is tried again; see its log."
            }
            Self::PostStart => "The hook still runs, or it failed and the process starts anew.",
            Self::ReadinessGate => {
                "Whoever sets the condition has not done so in this epoch, or set it to false."
            }
            Self::BackOff => "The application fails at its start: see its log with --previous.",
            Self::StartupProbe => {
                "The application is still loading, or the probe asks at the wrong place."
            }
            Self::ReadinessProbe => {
                "The application is not part of its cluster yet, or the probe asks at the \
                 wrong place."
            }
            Self::LivenessProbe => {
                "The application hangs, or the limits of the probe are too tight."
            }
            Self::Stopping => "A stop, a restart, a move or an update was decided.",
            Self::NeverKilled => {
                "The application needs longer than its terminationGracePeriodSeconds."
            }
        }
    }
}

//! What each rule says, for those who read its name for the first time.

use super::Rule;

impl Rule {
    /// What it means that a member waits by this rule.
    #[expect(
        clippy::too_many_lines,
        reason = "one text per rule; a table reads best whole"
    )]
    pub fn means(self) -> &'static str {
        match self {
            Self::PredecessorNotReady => {
                "Members start in order, and one with a lower ordinal is not ready, or not \
                 for minReadySeconds yet."
            }
            Self::PredecessorNotStarted => {
                "Members start in order, and one with a lower ordinal has not started."
            }
            Self::SuccessorNotStopped => {
                "Members stop from the highest ordinal down, and a higher one is not fully gone."
            }
            Self::NoEligibleHost => {
                "No host can take the member. The status names each host and what rules it out."
            }
            Self::RequirementUnmet => {
                "The host of the member lacks what the set requires of one: the status says what was \
                 found. It is asked again while the member waits."
            }
            Self::HostUnknown => {
                "The host of the member is out of contact. What runs there is not known, so \
                 nothing is started elsewhere."
            }
            Self::LeaseRunning => {
                "The host of the member is out of contact. It stops the member by itself when its \
                 lease is over; until then the member may run there, so nothing is started \
                 elsewhere."
            }
            Self::FenceNotConfirmed => {
                "The lease is over, but the host is not set up to reboot itself if it cannot kill \
                 the member. Only a fence command that confirms that the host is off proves that the \
                 member is gone."
            }
            Self::UnfencedWriter => {
                "The lease is over and the member is dead, but its host may still hold data that it \
                 has not written to the NFS server. It could arrive after the first write of a \
                 successor, so none is started."
            }
            Self::OwnerNotOnVolume => {
                "A member of a Failover set has a volume on which no owner record can be written. On \
                 another host nobody could see whose data it is, so the member is not started."
            }
            Self::HistoryMismatch => {
                "Agents have orders that this coordinator never sent. What it does not know \
                 of may run anywhere, so it starts and moves nothing."
            }
            Self::HostsAwaited => {
                "A restored store does not know what was granted to hosts after its backup was \
                 made. Each host says so when it is back; until all have, nothing is started."
            }
            Self::AddressPoolMissing => "The set names an AddressPool that does not exist.",
            Self::AddressPoolExhausted => "The AddressPool of the set has no free address.",
            Self::ZoneNotAcknowledged => {
                "Names come before processes: agents in contact do not serve the member's \
                 name yet."
            }
            Self::StopNotConfirmed => {
                "The old epoch of the member is ordered to stop and not proven gone. Two must \
                 never run, so the new one waits."
            }
            Self::ConfigMissing => {
                "The set uses a ConfigMap, a Secret, or a key of one, that does not exist."
            }
            Self::ConfigNotDelivered => {
                "The member runs with a revision of its config whose files its agent has not \
                 written yet."
            }
            Self::FoundersIncomplete => {
                "All members found the set together, and each must have a host before the \
                 first starts."
            }
            Self::FoundingDiskLost => {
                "A founder lost its volume, or was given up on a host that told nothing, before \
                 it was known to serve. Whether it founded the cluster, and whether the others \
                 can without it, is not known to Berth: it is not started as a founder again."
            }
            Self::ClassMissing => {
                "The claim names a StorageClass that does not exist, and no volume has it."
            }
            Self::NoMatchingVolume => {
                "No volume that was made by hand fits the claim. The status names the nearest \
                 ones and what they lack."
            }
            Self::ExportTaken => {
                "The directory that a class would give the claim overlaps that of another volume."
            }
            Self::ClaimMismatch => {
                "A claim with the name of the member's was there before, and does not satisfy \
                 the template of the set."
            }
            Self::ClaimMissing => {
                "The set uses a claim by its own name, and there is none of that name."
            }
            Self::ClaimPending => "A claim that the member uses has no volume yet.",
            Self::WaitForFirstConsumer => {
                "The claim gets its volume with the first member that uses it, because the \
                 place of the data decides the host."
            }
            Self::VolumeInUse => {
                "The access mode of the claim does not let the member use the volume beside \
                 another member."
            }
            Self::ClaimStale => {
                "The claim of an earlier epoch is on its way out. The member gets a fresh one \
                 when it is gone."
            }
            Self::DependencyMissing => "The set depends on a set that does not exist.",
            Self::DependencyNotReady => {
                "The set starts when another one is up, and that one is not."
            }
            Self::DependantNotStopped => {
                "The set goes after one that depends on it and is being deleted too."
            }
            Self::Orphaned => {
                "The set was deleted without its members (--cascade=orphan). They run on as \
                 they are."
            }
            Self::VolumeGone => {
                "The volume of a claim that the member uses is in the trash, or on its way there."
            }
            Self::VolumeRestoring => "The volume is on its way back from the trash.",
            Self::DataSourceMissing => {
                "The claim is to begin with a snapshot or a claim that does not exist."
            }
            Self::DataSourceNotReady => {
                "What the claim is to begin with holds nothing yet, or its copy is not complete."
            }
            Self::CopyRefused => "The storage cannot make this copy. The status says why not.",
            Self::CopyNeedsStop => {
                "The storage copies the volume only while nobody writes to it, and a member \
                 runs on it."
            }
            Self::VolumePopulating => "The data that the volume begins with is still being copied.",
            Self::VolumeGrowing => {
                "The claim asks for more than its volume holds yet. The status says what stands \
                 against it."
            }
            Self::VolumeCopied => {
                "The volume is being copied, and its storage can do that only while nobody \
                 writes."
            }
            Self::RevisionOutdated => {
                "The member runs an older revision of the template, and its turn in the \
                 rollout has not come."
            }
            Self::RestartAsked => {
                "An operator asked for a restart, and the disruption budget of the set lets \
                 none go down now."
            }
            Self::OfflineAsked => {
                "The member is to go offline, and the disruption budget of the set lets none \
                 go down now."
            }
            Self::Offline => {
                "An operator took the member offline. It stays down whatever is applied."
            }
            Self::DrainAsked => {
                "The host of the member is being drained, and the disruption budget of the \
                 set lets none go down now."
            }
            Self::DrainPinned => {
                "The host is being drained, and the member stays because it can live nowhere \
                 else."
            }
            Self::DrainNowhere => {
                "The host is being drained, and no other host can take the member, so it is \
                 not stopped."
            }
            Self::MoveAsked => {
                "An operator wants the member on another host, and the disruption budget of the set \
                 lets none go down now."
            }
            Self::MoveNowhere => {
                "An operator wants the member on another host, and that one cannot take it, so it is \
                 not stopped."
            }
            Self::MemberMoving => {
                "The member is down while its local data is copied to another host. The old volume \
                 stays its own until the copy is complete and proven the same."
            }
            Self::HostDrained => {
                "The host of the member is being drained, and nothing starts there."
            }
            Self::OlderRevisionThere => {
                "The set is updated by Recreate: members start only when all of other \
                 revisions are gone."
            }
            Self::BudgetSpent => {
                "Taking the member down would leave fewer available than the disruption \
                 budget asks for."
            }
            Self::UpdatesPaused => {
                "The member runs an older revision of the template, and updates of the set \
                 are paused."
            }
            Self::RolloutStalled => {
                "The rollout did not get better until its deadline, and goes no further."
            }
            Self::BelowPartition => {
                "The partition of the update leaves the member at its revision."
            }
            Self::UpdatedOnRestart => {
                "The set is updated by OnDelete: the member keeps its revision until it is \
                 restarted."
            }
            Self::PlanRefused => {
                "The independent checker found the plan of this set unsafe. Nothing of it was \
                 done."
            }
            Self::Ordered => {
                "The order is with the agent of the host, which has not reported a result."
            }
            Self::LeaseNotHeld => {
                "The member may run only while its host holds a lease, and the host has had no word \
                 from the coordinator for too long, or none since it booted."
            }
            Self::OtherMachine => {
                "A host starts its members by itself only on the machine that its agent's dataDir is \
                 of. This is another one, and nobody has said yet that the members are its own."
            }
            Self::HeldByOperator => {
                "An operator stopped the member on its host, without the coordinator."
            }
            Self::HostShuttingDown => {
                "The members of the host were stopped in order, because it goes down. They start \
                 again when it has booted."
            }
            Self::CommandMissing => {
                "The program of a process does not exist on the host, or cannot be executed."
            }
            Self::UserMissing => "The user or group of a process does not exist on the host.",
            Self::Forbidden => {
                "The host's own policy does not let a process have this user, group or capability."
            }
            Self::LimitsNotEnforced => {
                "A process has resources.require, and its host does not enforce what it asks for."
            }
            Self::PoolMissing => {
                "The agent of the host has no pool of the name that the volume needs."
            }
            Self::PortTaken => "A port that the member declares is in use on the host.",
            Self::VolumeForeign => {
                "The owner record says that the volume belongs to another claim, or to a \
                 newer epoch."
            }
            Self::VolumeEmpty => {
                "The volume was filled before and is empty or missing now. The member does \
                 not start on it."
            }
            Self::VolumeNotEmpty => {
                "The claim gets the volume for the first time, and it holds data that nobody \
                 declared."
            }
            Self::PoolNotMounted => {
                "The directory of a pool is there and is not the pool: its disk is not mounted."
            }
            Self::VolumeNotLimited => {
                "The class of the volume says `limits: Required`, and the file system of its pool \
                 does not hold it to its size now."
            }
            Self::MountFailed => {
                "The volume cannot be mounted; it is tried again with growing pauses."
            }
            Self::VolumeHung => {
                "The storage of the volume does not answer. The member waits, the rest of the \
                 host does not."
            }
            Self::VolumeStale => {
                "The server does not know the mounted directory any more; it is mounted anew."
            }
            Self::VolumeBusy => "An earlier use of the volume on this host has not ended yet.",
            Self::VolumeNoSpace => "The pool or the file system has no room for the volume.",
            Self::UserIdMismatch => {
                "The user of the volume has another number on this host than when the volume \
                 was made."
            }
            Self::PathEscape => "A subPath leads over a symbolic link or out of its volume.",
            Self::StepFailed => "A step on the host failed; it is tried again with growing pauses.",
            Self::RenderFailed => {
                "A template of the set cannot be rendered with the values of this member."
            }
            Self::InitProcess => {
                "An init process has not exited with 0 yet. The processes start after it."
            }
            Self::PostStart => {
                "What is done beside the start of a process (postStart) has not ended well."
            }
            Self::ReadinessGate => {
                "The processes are ready, and a condition that the member waits for is not true."
            }
            Self::BackOff => {
                "A process ended and is started again after a pause that grows with each time."
            }
            Self::StartupProbe => "The startup probe of a process has not passed yet.",
            Self::ReadinessProbe => "The process runs, and its readiness probe does not pass.",
            Self::LivenessProbe => {
                "The liveness probe of a process failed, so the process is restarted."
            }
            Self::Stopping => {
                "The processes of the member are being stopped, within their grace period."
            }
            Self::NeverKilled => {
                "The grace period is over, and what is never killed (neverKill) still runs."
            }
        }
    }
}

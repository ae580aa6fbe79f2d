//! What frees what is held: verbs of Berth, things to do by hand, events.

use std::fmt;

use self::Way::{ByHand, Event, Verb};
use super::{Reason, Rule};

/// One way in which what is held comes free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A command of Berth, and what it is to be given or does. Words in capitals stand for names.
    Verb(&'static str, &'static str),
    /// Something that people do where Berth cannot.
    ByHand(&'static str),
    /// Something that comes by itself.
    Event(&'static str),
}

impl Rule {
    /// The ways in which what is held comes free; at least one.
    #[expect(
        clippy::too_many_lines,
        reason = "one line per rule: they are compared with each other here"
    )]
    pub fn frees(self) -> &'static [Way] {
        match self {
            Self::PredecessorNotReady => &[Event("the lower ordinal becomes ready")],
            Self::PredecessorNotStarted => &[Event("the lower ordinal has started")],
            Self::SuccessorNotStopped => &[Event("the higher ordinal is gone")],
            Self::NoEligibleHost => &[
                Verb("berth host uncordon HOST", "if it is cordoned"),
                ByHand("mend or add a host; the reason says per host what rules it out"),
                Event("a host fits"),
                Verb(
                    "berth member replace MEMBER --new-volume",
                    "if its data was lost with a host",
                ),
            ],
            Self::RequirementUnmet => &[
                ByHand("make the host have what is required"),
                Verb("berth apply -f FILE", "without the requirement"),
            ],
            Self::HostUnknown => &[
                Event("the host's agent comes back"),
                Verb("berth host confirm-dead HOST", "if it is gone for good"),
                Verb(
                    "berth member force MEMBER",
                    "if you know that the member is gone",
                ),
            ],
            Self::LeaseRunning => &[
                Event("the lease is over"),
                Event("the host's agent comes back"),
            ],
            Self::FenceNotConfirmed | Self::UnfencedWriter => &[
                Event("the fence command of the host confirms that it is off"),
                Event("the host's agent comes back"),
                Verb("berth host confirm-dead HOST", "if it is gone for good"),
                ByHand("configure a fence command for the host"),
            ],
            Self::OwnerNotOnVolume => &[
                ByHand("export the share with no_root_squash"),
                Verb("berth apply -f FILE", "failurePolicy: Hold"),
            ],
            Self::HistoryMismatch => &[
                Verb(
                    "berth admin accept-restore",
                    "if this store is the one to go on with",
                ),
                ByHand("stop this coordinator, and start the one with the right store"),
            ],
            Self::HostsAwaited => &[
                Event("the agents of those hosts come back"),
                Verb("berth host confirm-dead HOST", "for one that never will"),
            ],
            Self::AddressPoolMissing => &[Verb("berth apply -f FILE", "the AddressPool")],
            Self::AddressPoolExhausted => &[Verb("berth apply -f FILE", "a larger AddressPool")],
            Self::ZoneNotAcknowledged => &[Event("acknowledgement, or 2 s")],
            Self::StopNotConfirmed => &[Event("the agent reports the member gone")],
            Self::ConfigMissing => &[Verb("berth apply -f FILE", "the missing object or key")],
            Self::ConfigNotDelivered => &[
                Event("the agent wrote it; see its log"),
                Verb("berth apply -f FILE", "a config that can be written"),
            ],
            Self::FoundersIncomplete => &[Event("every member has a host")],
            Self::FoundingDiskLost => &[
                Verb("berth member replace MEMBER --new-volume", "as a joiner"),
                Verb("berth set refound SET", "all data goes"),
            ],
            Self::ClassMissing => &[Verb("berth apply -f FILE", "the StorageClass")],
            Self::NoMatchingVolume => &[
                Verb("berth apply -f FILE", "a volume"),
                Verb("berth volume release VOLUME", "if its claim is gone"),
            ],
            Self::ExportTaken => &[
                Verb("berth volume delete VOLUME", ""),
                Verb("berth apply -f FILE", "another subDir"),
            ],
            Self::ClaimMismatch => &[
                Verb("berth delete pvc/CLAIM", ""),
                Verb("berth apply -f FILE", "a claim that fits"),
            ],
            Self::ClaimMissing => &[Verb("berth apply -f FILE", "the PersistentVolumeClaim")],
            Self::ClaimPending => &[
                Verb("berth describe pvc/CLAIM", "says what the claim waits for"),
                Event("a volume is bound to it"),
            ],
            Self::WaitForFirstConsumer => &[Event("a member that uses it is started")],
            Self::VolumeInUse => &[Event("the other member is gone")],
            Self::ClaimStale => &[Event("the member is gone, and its data in the trash")],
            Self::DependencyMissing => &[Verb(
                "berth apply -f FILE",
                "the other set, or without dependsOn",
            )],
            Self::DependencyNotReady => &[Event("the other set is up")],
            Self::DependantNotStopped => &[Event("the members of the other set are gone")],
            Self::Orphaned => &[
                Verb("berth apply -f FILE", "a set of the name"),
                Verb("berth delete sts/SET", ""),
            ],
            Self::VolumeGone => &[Verb("berth volume undelete VOLUME", "")],
            Self::VolumeRestoring => &[
                Verb("berth volume describe VOLUME", "says how far it is"),
                Event("it is back"),
            ],
            Self::DataSourceMissing => &[Verb(
                "berth apply -f FILE",
                "the VolumeSnapshot or the claim",
            )],
            Self::DataSourceNotReady => &[
                Verb("berth describe vs/SNAPSHOT", "says how far it is"),
                Event("it is complete"),
            ],
            Self::CopyRefused => &[Verb(
                "berth apply -f FILE",
                "another class, size or dataSource",
            )],
            Self::CopyNeedsStop => &[
                Verb("berth member offline MEMBER", "then online"),
                Verb("berth scale sts/SET --replicas=N", ""),
            ],
            Self::VolumePopulating => &[
                Verb("berth events", "shows how far it is"),
                Event("the copy is complete"),
            ],
            Self::VolumeGrowing => &[
                Event("the volume has grown"),
                Verb(
                    "berth apply -f FILE",
                    "with a smaller request takes it back",
                ),
            ],
            Self::VolumeCopied => &[
                Event("the copy is complete"),
                Verb("berth delete vs/SNAPSHOT", "gives the copy up"),
            ],
            Self::RevisionOutdated => &[Event("the member is replaced")],
            Self::RestartAsked => &[Event("the other members are available")],
            Self::OfflineAsked => &[
                Event("the other members are available"),
                Verb("berth member online MEMBER", "to keep it"),
            ],
            Self::Offline => &[Verb("berth member online MEMBER", "")],
            Self::DrainAsked => &[Event("the other members are available")],
            Self::DrainPinned => &[
                Verb("berth member move MEMBER --to HOST", "takes its data along"),
                Verb("berth host drain HOST --stop-pinned", ""),
                Verb("berth host uncordon HOST", ""),
            ],
            Self::MoveAsked => &[Event("the other members are available")],
            Self::MoveNowhere => &[
                Event("the host can take it"),
                Verb("berth member move MEMBER --cancel", ""),
            ],
            Self::MemberMoving => &[
                Event("the copy is complete"),
                Verb("berth member move MEMBER --cancel", "goes back to its data"),
            ],
            Self::DrainNowhere => &[
                Event("another host fits"),
                Verb("berth host uncordon HOST", ""),
            ],
            Self::HostDrained => &[
                Verb("berth host uncordon HOST", ""),
                Event("another host fits"),
            ],
            Self::OlderRevisionThere => &[Event("that member is gone")],
            Self::BudgetSpent => &[
                Event("more members are available"),
                Verb("berth member online MEMBER", "if it is to go offline"),
                Verb("berth host uncordon HOST", "if its host is being drained"),
                Verb("berth member move MEMBER --cancel", "if it is to move"),
            ],
            Self::UpdatesPaused => &[
                Verb("berth rollout resume sts/SET", ""),
                Verb("berth apply -f FILE", "without paused"),
            ],
            Self::RolloutStalled => &[
                Verb("berth apply -f FILE", "a template that works"),
                Verb("berth rollout resume sts/SET", ""),
            ],
            Self::BelowPartition => &[Verb("berth apply -f FILE", "a lower partition")],
            Self::UpdatedOnRestart => &[Verb("berth member restart MEMBER", "")],
            Self::PlanRefused => &[Verb("berth apply -f FILE", "what was there before")],
            Self::Ordered => &[Event("the agent reports")],
            Self::LeaseNotHeld => &[Event("the host reaches the coordinator")],
            Self::OtherMachine => &[
                Event("the coordinator, when it is reached, knows this machine as the host"),
                Verb(
                    "berth host confirm-dead HOST",
                    "if the other machine is gone for good",
                ),
                ByHand("give a copy another name and an empty dataDir"),
            ],
            Self::HeldByOperator => &[Verb("berth local start MEMBER", "on the host")],
            Self::HostShuttingDown => &[
                Event("the host boots"),
                Verb("berth local resume", "on the host, if it stays up"),
            ],
            Self::CommandMissing => &[ByHand("install the program on the host")],
            Self::UserMissing => &[ByHand("create the user or the group on the host")],
            Self::Forbidden => &[
                Verb("berth apply -f FILE", "without what is forbidden"),
                ByHand("allow it in the agent's configuration, and start the agent anew"),
            ],
            Self::LimitsNotEnforced => &[
                ByHand("boot the host with cgroup v2, and run its agent as a unit of systemd"),
                Verb("berth apply -f FILE", "without resources.require"),
            ],
            Self::PoolMissing => &[ByHand("add the pool to the configuration of the agent")],
            Self::PortTaken => &[ByHand("stop the program that holds the port")],
            Self::VolumeForeign => &[
                ByHand("put the right volume in place, or move this one away"),
                Verb(
                    "berth member replace MEMBER --new-volume",
                    "if its data is not to be had",
                ),
            ],
            Self::VolumeEmpty => &[
                ByHand("put the data of the volume back in place"),
                Verb("berth member replace MEMBER --new-volume", "if it is lost"),
            ],
            Self::VolumeNotEmpty => &[
                Verb("berth volume adopt VOLUME", ""),
                ByHand("empty the directory"),
            ],
            Self::PoolNotMounted => &[ByHand("mount the disk of the pool on the host")],
            Self::VolumeNotLimited => &[ByHand(
                "mount the disk of the pool with prjquota on the host",
            )],
            Self::MountFailed => &[Event("the next attempt; look at the server or image")],
            Self::VolumeHung => &[Event("the storage answers again")],
            Self::VolumeStale => &[Event("the member has been restarted on a new mount")],
            Self::VolumeBusy => &[Event("it lets go; the last resort is a reboot of the host")],
            Self::VolumeNoSpace => &[ByHand("make room in the pool on the host")],
            Self::UserIdMismatch => &[ByHand(
                "restore the number of the user, or change the owner of the files",
            )],
            Self::PathEscape => &[
                Verb("berth apply -f FILE", "another subPath"),
                ByHand("remove the link"),
            ],
            Self::StepFailed => &[Event("the next attempt succeeds")],
            Self::RenderFailed => &[Verb("berth apply -f FILE", "with the template corrected")],
            Self::InitProcess => &[
                Verb("berth logs MEMBER -p PROCESS", "says what it does"),
                Event("the init process exits with 0"),
            ],
            Self::PostStart => &[Event("postStart ends well, now or at the next start")],
            Self::ReadinessGate => &[Verb("berth member condition MEMBER TYPE=True", "")],
            Self::BackOff => &[
                Verb("berth logs MEMBER --previous", "says why it ended"),
                Event("the next start succeeds"),
            ],
            Self::StartupProbe => &[Event("the startup probe passes")],
            Self::ReadinessProbe => &[Event("the readiness probe passes")],
            Self::LivenessProbe => &[Event("the process has been restarted")],
            Self::Stopping => &[Event("the processes end, or KILL after the grace period")],
            Self::NeverKilled => &[
                Event("they end"),
                ByHand("kill -KILL on the host, to force it"),
            ],
        }
    }
}

impl Reason {
    /// What frees what is held, in one line.
    pub fn frees(&self) -> String {
        let ways: Vec<String> = self.rule().frees().iter().map(Way::to_string).collect();
        ways.join(", or ")
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verb(command, "") => f.write_str(command),
            Self::Verb(command, note) => write!(f, "{command} ({note})"),
            Self::ByHand(what) => f.write_str(what),
            Self::Event(what) => write!(f, "event: {what}"),
        }
    }
}

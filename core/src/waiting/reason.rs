//! The reasons, one variant each. Names, texts and what frees them are in the files beside it.

use serde::{Deserialize, Serialize};

use super::{
    BoundVolume, CopyOf, CopyRefusal, DisruptionCause, Forbidden, Growth, HostRefusal,
    MissingConfig, Moving, NoSpace, OtherMachine, Privilege, ProbeFailure, ShutGate, Unenforced,
    UserIds, VolumeRefusal,
};
use crate::{
    ids::{Epoch, HostName, MemberId, ObjectKey, Ordinal, ProcessName, SetKey},
    prerequisite::Unmet,
    spec::AccessMode,
    time::Timestamp,
};

/// Why a member is not where it is wanted: first what the plan decides, then what agents report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all_fields = "camelCase")]
pub enum Reason {
    /// Ordered start: a lower ordinal is not ready (for long enough).
    PredecessorNotReady {
        /// The lowest such ordinal.
        ordinal: Ordinal,
    },
    /// Ordered start: a lower ordinal has not started.
    PredecessorNotStarted {
        /// The lowest such ordinal.
        ordinal: Ordinal,
    },
    /// Ordered stop: a higher ordinal is not fully gone.
    SuccessorNotStopped {
        /// The highest such ordinal.
        ordinal: Ordinal,
    },
    /// No host can take the member.
    NoEligibleHost {
        /// Per host, why not.
        hosts: Vec<HostRefusal>,
    },
    /// Its host lacks what the set requires of one.
    RequirementUnmet {
        /// The host.
        host: HostName,
        /// All that is required and not there.
        unmet: Vec<Unmet>,
    },
    /// The host of the member is out of contact: what runs there is not known.
    HostUnknown {
        /// The host.
        host: HostName,
    },
    /// The host of the member is out of contact, and may run it until its lease is over.
    LeaseRunning {
        /// The host.
        host: HostName,
        /// When the member is surely gone there, on the coordinator's clock.
        until: Timestamp,
    },
    /// The lease is over, but the host kills nothing surely, and is not confirmed to be off.
    FenceNotConfirmed {
        /// The host.
        host: HostName,
    },
    /// The lease is over, and what the host has not yet written may still reach the volume.
    UnfencedWriter {
        /// The host.
        host: HostName,
        /// The claim of the volume.
        claim: ObjectKey,
    },
    /// Nothing can be written beside the data of a volume: elsewhere nobody could see whose it is.
    OwnerNotOnVolume {
        /// The claim.
        claim: ObjectKey,
    },
    /// Agents have what this coordinator never sent, or the store was restored from a backup: what
    /// it does not know of may run anywhere.
    HistoryMismatch {
        /// The hosts of those agents; none if nothing but the restore says so.
        hosts: Vec<HostName>,
    },
    /// A restored store was accepted, and these hosts were not heard of since.
    HostsAwaited {
        /// The hosts.
        hosts: Vec<HostName>,
    },
    /// The set names a pool that does not exist.
    AddressPoolMissing {
        /// The pool.
        pool: String,
    },
    /// The pool has no free address.
    AddressPoolExhausted {
        /// The pool.
        pool: String,
    },
    /// Agents in contact have not acknowledged the zone that names the member.
    ZoneNotAcknowledged {
        /// Those agents.
        hosts: Vec<HostName>,
    },
    /// The old epoch is ordered to stop and not yet proven gone.
    StopNotConfirmed {
        /// Where it runs.
        host: HostName,
        /// Which epoch.
        epoch: Epoch,
    },
    /// The set uses a config object, or an entry of one, that does not exist.
    ConfigMissing(MissingConfig),
    /// It runs with a revision whose files its agent has not written yet.
    ConfigNotDelivered {
        /// Its host.
        host: HostName,
    },
    /// The set is founded by all its members together, and one of them has no host yet.
    FoundersIncomplete {
        /// The lowest such ordinal.
        ordinal: Ordinal,
    },
    /// The volume of a founder was lost before the set was founded.
    FoundingDiskLost {
        /// The founder.
        member: MemberId,
    },
    /// The claim names a class that does not exist, and no volume has it.
    ClassMissing {
        /// The claim.
        claim: ObjectKey,
        /// The class.
        class: String,
    },
    /// No volume that was made by hand fits the claim.
    NoMatchingVolume {
        /// The claim.
        claim: ObjectKey,
        /// Per volume, why not.
        volumes: Vec<VolumeRefusal>,
    },
    /// Another volume has the directory that a class gives the claim, part of it, or one around it.
    ExportTaken {
        /// The claim.
        claim: ObjectKey,
        /// The directory.
        path: String,
        /// The volume that has it.
        volume: String,
    },
    /// A claim that was made by hand has the name of the member's and does not satisfy its template.
    ClaimMismatch {
        /// The claim.
        claim: ObjectKey,
        /// What it lacks.
        differences: Vec<String>,
    },
    /// The set uses a claim of its own name that does not exist.
    ClaimMissing {
        /// The claim.
        claim: ObjectKey,
    },
    /// A claim that the member uses has no volume yet.
    ClaimPending {
        /// The claim.
        claim: ObjectKey,
    },
    /// A claim whose volume is made, or taken, with the first member that uses it.
    WaitForFirstConsumer {
        /// The claim.
        claim: ObjectKey,
    },
    /// The access mode does not let the member use the volume beside another one.
    VolumeInUse {
        /// The claim.
        claim: ObjectKey,
        /// The mode.
        mode: AccessMode,
        /// The member that has it.
        by: MemberId,
    },
    /// The claim of an earlier epoch goes, and is not gone yet: the member gets a fresh one.
    ClaimStale {
        /// The claim.
        claim: ObjectKey,
    },
    /// The set depends on one that does not exist.
    DependencyMissing {
        /// The set that it depends on.
        set: SetKey,
    },
    /// The set starts when another one is up.
    DependencyNotReady {
        /// The set that it depends on.
        set: SetKey,
        /// What all members of that one must hold: started, ready or available.
        gate: String,
    },
    /// The set goes after one that depends on it and goes too.
    DependantNotStopped {
        /// The set that depends on it.
        set: SetKey,
    },
    /// The set was deleted and its members were not: they run on as they are.
    Orphaned,
    /// The volume is in the trash, or on its way there.
    VolumeGone(BoundVolume),
    /// The volume is on its way back from the trash.
    VolumeRestoring(BoundVolume),
    /// What the claim is to begin with does not exist.
    DataSourceMissing(CopyOf),
    /// What is to be copied holds nothing yet, or is not complete.
    DataSourceNotReady(CopyOf),
    /// The storage cannot make this copy.
    CopyRefused {
        /// The claim.
        claim: ObjectKey,
        /// Why not.
        because: CopyRefusal,
    },
    /// The storage copies the volume only while nobody writes to it.
    CopyNeedsStop {
        /// The claim whose volume is to be copied.
        claim: ObjectKey,
        /// The member that runs on it.
        by: MemberId,
    },
    /// The data that the volume begins with is still being copied.
    VolumePopulating(CopyOf),
    /// The claim asks for more than its volume holds yet.
    VolumeGrowing(Growth),
    /// The volume is being copied, and its storage can do that only while nobody writes.
    VolumeCopied {
        /// The claim.
        claim: ObjectKey,
        /// What it is copied to.
        to: String,
    },
    /// The member keeps its revision until it is replaced.
    RevisionOutdated,
    /// An operator asked for a restart, and it waits for the others.
    RestartAsked,
    /// An operator took the member offline, and it waits for the others.
    OfflineAsked,
    /// An operator took the member offline.
    Offline {
        /// Why, in the operator's words; may be empty.
        why: String,
    },
    /// Its host is being drained; it moves when the others allow it.
    DrainAsked {
        /// The host.
        host: HostName,
    },
    /// Its host is being drained, and the member lives there by its data.
    DrainPinned {
        /// The host.
        host: HostName,
    },
    /// Its host is being drained, and no other one can take the member.
    DrainNowhere {
        /// The host.
        host: HostName,
        /// Every host and why not.
        hosts: Vec<HostRefusal>,
    },
    /// An operator wants it on another host; it moves when the others allow it.
    MoveAsked {
        /// The host that it leaves.
        host: HostName,
    },
    /// An operator wants it on another host, and that one cannot take it.
    MoveNowhere {
        /// The host that it leaves.
        host: HostName,
        /// Every host and why not.
        hosts: Vec<HostRefusal>,
    },
    /// Its local data is being copied to another host.
    MemberMoving(Moving),
    /// Its host is being drained, and so it is not started there.
    HostDrained {
        /// The host.
        host: HostName,
    },
    /// `Recreate`: a member of another revision is not gone yet.
    OlderRevisionThere {
        /// The highest such ordinal.
        ordinal: Ordinal,
    },
    /// Taking the member down would leave fewer available than the disruption budget asks for.
    BudgetSpent {
        /// Why it is to be taken down.
        cause: DisruptionCause,
        /// How many others are available.
        available: u32,
        /// How many must be.
        floor: u32,
    },
    /// The set is paused, and the member keeps its revision.
    UpdatesPaused,
    /// The rollout did not get better until its deadline, and the member keeps its revision.
    RolloutStalled {
        /// The deadline, in seconds.
        seconds: u32,
    },
    /// The partition leaves the member at its revision.
    BelowPartition {
        /// The lowest ordinal that is updated.
        first: Ordinal,
    },
    /// `OnDelete`: the member keeps its revision until it is restarted.
    UpdatedOnRestart,
    /// The checker refused the plan of this set.
    PlanRefused {
        /// The rule that it would have broken.
        rule: String,
    },
    /// The order is with the agent, which has not reported a result.
    Ordered {
        /// The agent's host.
        host: HostName,
    },
    /// The host has no word from the coordinator that is new enough to run the member.
    LeaseNotHeld,
    /// The agent's ledger is of another machine: of a copied or moved disk nothing starts by itself.
    OtherMachine(OtherMachine),
    /// An operator stopped the member on its host.
    HeldByOperator,
    /// Its host is being shut down: it is stopped until the host has booted.
    HostShuttingDown,
    /// The program does not exist or cannot be executed on the host.
    CommandMissing {
        /// The process.
        process: ProcessName,
        /// Its program.
        path: String,
        /// What the system said.
        error: String,
    },
    /// The user or group does not exist on the host.
    UserMissing {
        /// The process.
        process: ProcessName,
        /// The user or the group.
        #[serde(flatten)]
        privilege: Privilege,
    },
    /// The agent's local policy does not let a process have this.
    Forbidden(Forbidden),
    /// The process is to start only where its `resources` are enforced, and here they are not.
    LimitsNotEnforced(Unenforced),
    /// The host has no pool of that name.
    PoolMissing {
        /// The pool.
        pool: String,
    },
    /// A declared port is in use.
    PortTaken {
        /// Address and port.
        socket: String,
        /// The program that holds it, as far as the host can tell.
        by: String,
        /// Its process id.
        pid: u32,
    },
    /// The volume belongs to another claim, or to a newer epoch.
    VolumeForeign {
        /// The claim template.
        volume: String,
        /// What the owner record says.
        owner: String,
    },
    /// The volume was filled before, and is not there or empty now.
    VolumeEmpty {
        /// The claim template.
        volume: String,
    },
    /// A new volume holds data that nobody declared.
    VolumeNotEmpty {
        /// The claim template.
        volume: String,
    },
    /// The directory of a pool is there and is not the pool: its disk is not mounted.
    PoolNotMounted {
        /// The pool.
        pool: String,
        /// Its directory.
        path: String,
    },
    /// The class of the volume wants it held to its size, and its pool holds none to theirs now.
    VolumeNotLimited {
        /// The claim template.
        volume: String,
        /// The pool.
        pool: String,
    },
    /// The volume cannot be mounted.
    MountFailed {
        /// The claim template.
        volume: String,
        /// What was to be mounted.
        source: String,
        /// What the system said.
        error: String,
    },
    /// The storage of the volume does not answer.
    VolumeHung {
        /// The claim template.
        volume: String,
        /// What does not answer.
        source: String,
        /// What was asked.
        step: String,
    },
    /// The server does not know the mounted directory any more.
    VolumeStale {
        /// The claim template.
        volume: String,
        /// What was mounted.
        source: String,
    },
    /// An earlier use of the volume on this host has not ended yet.
    VolumeBusy {
        /// The claim template.
        volume: String,
        /// What still holds it.
        by: String,
    },
    /// The pool or the file system has no room for the volume.
    VolumeNoSpace(NoSpace),
    /// The user has another number here than when the volume was made.
    UserIdMismatch(UserIds),
    /// A subPath leads out of its volume, or over a symbolic link.
    PathEscape {
        /// The claim template.
        volume: String,
        /// The path.
        path: String,
    },
    /// A step on the host failed; it is tried again.
    StepFailed {
        /// The step.
        step: String,
        /// What the system said.
        error: String,
    },
    /// A template of the set cannot be rendered with this member's values.
    RenderFailed {
        /// The field.
        field: String,
        /// What is wrong.
        error: String,
    },
    /// An init process has not exited with 0 yet.
    InitProcess {
        /// The process.
        process: ProcessName,
        /// How it last ended, if it did; it is tried again.
        exit: Option<String>,
        /// How often it was started again.
        restarts: u32,
    },
    /// What is done beside the start of a process has not ended well.
    PostStart {
        /// The process.
        process: ProcessName,
        /// What came of it; none while it is at work.
        error: Option<String>,
    },
    /// The processes are ready, and a condition that the member waits for is not true.
    ReadinessGate(ShutGate),
    /// A process ended and is started again after a pause.
    BackOff {
        /// The process.
        process: ProcessName,
        /// How it ended.
        exit: String,
        /// How often it was started again.
        restarts: u32,
    },
    /// The startup probe has not passed yet.
    StartupProbe(ProbeFailure),
    /// The readiness probe does not pass.
    ReadinessProbe(ProbeFailure),
    /// The liveness probe failed: the process is restarted.
    LivenessProbe(ProbeFailure),
    /// The processes are being stopped.
    Stopping {
        /// Those that still run.
        processes: Vec<ProcessName>,
    },
    /// The grace period is over, and what is never killed still runs.
    NeverKilled {
        /// Those that still run.
        processes: Vec<ProcessName>,
    },
}

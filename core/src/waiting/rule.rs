//! The names of the reasons without what each knows, and what kind of reason each is.
//!
//! One list makes the enum, its names, the list of all, and which rule a reason is of: a reason that is
//! missing here does not compile.

use std::{fmt, str::FromStr};

use thiserror::Error;

use super::Reason;

macro_rules! rules {
    ($($name:ident,)*) => {
        /// The rule of a [`Reason`]: which one it is, without what it knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(
                #[doc = concat!("See [`Reason::", stringify!($name), "`].")]
                $name,
            )*
        }

        impl Rule {
            /// All of them, those that the plan decides first.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, as `status` and the wire show it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }

        impl Reason {
            /// The rule that it is of.
            pub fn rule(&self) -> Rule {
                match self {
                    $(Self::$name { .. } => Rule::$name,)*
                }
            }
        }
    };
}

rules! {
    PredecessorNotReady,
    PredecessorNotStarted,
    SuccessorNotStopped,
    NoEligibleHost,
    RequirementUnmet,
    HostUnknown,
    LeaseRunning,
    FenceNotConfirmed,
    UnfencedWriter,
    OwnerNotOnVolume,
    HistoryMismatch,
    HostsAwaited,
    AddressPoolMissing,
    AddressPoolExhausted,
    ZoneNotAcknowledged,
    StopNotConfirmed,
    ConfigMissing,
    ConfigNotDelivered,
    FoundersIncomplete,
    FoundingDiskLost,
    ClassMissing,
    NoMatchingVolume,
    ExportTaken,
    ClaimMismatch,
    ClaimMissing,
    ClaimPending,
    WaitForFirstConsumer,
    VolumeInUse,
    ClaimStale,
    DependencyMissing,
    DependencyNotReady,
    DependantNotStopped,
    Orphaned,
    VolumeGone,
    VolumeRestoring,
    DataSourceMissing,
    DataSourceNotReady,
    CopyRefused,
    CopyNeedsStop,
    VolumePopulating,
    VolumeGrowing,
    VolumeCopied,
    RevisionOutdated,
    RestartAsked,
    OfflineAsked,
    Offline,
    DrainAsked,
    DrainPinned,
    DrainNowhere,
    MoveAsked,
    MoveNowhere,
    MemberMoving,
    HostDrained,
    OlderRevisionThere,
    BudgetSpent,
    UpdatesPaused,
    RolloutStalled,
    BelowPartition,
    UpdatedOnRestart,
    PlanRefused,
    Ordered,
    LeaseNotHeld,
    OtherMachine,
    HeldByOperator,
    HostShuttingDown,
    CommandMissing,
    UserMissing,
    Forbidden,
    LimitsNotEnforced,
    PoolMissing,
    PortTaken,
    VolumeForeign,
    VolumeEmpty,
    VolumeNotEmpty,
    PoolNotMounted,
    VolumeNotLimited,
    MountFailed,
    VolumeHung,
    VolumeStale,
    VolumeBusy,
    VolumeNoSpace,
    UserIdMismatch,
    PathEscape,
    StepFailed,
    RenderFailed,
    InitProcess,
    PostStart,
    ReadinessGate,
    BackOff,
    StartupProbe,
    ReadinessProbe,
    LivenessProbe,
    Stopping,
    NeverKilled,
}

impl Reason {
    /// Whether the set was asked for exactly this: nothing is wrong, and nothing comes of waiting.
    pub fn is_wanted(&self) -> bool {
        matches!(
            self,
            Self::UpdatesPaused | Self::BelowPartition { .. } | Self::UpdatedOnRestart
        )
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no rule has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no rule has this name; the list of all has them")]
pub struct UnknownRule;

impl FromStr for Rule {
    type Err = UnknownRule;
    /// Takes the name in any case.
    fn from_str(text: &str) -> Result<Self, UnknownRule> {
        let found = Self::ALL
            .iter()
            .find(|rule| rule.name().eq_ignore_ascii_case(text));
        found.copied().ok_or(UnknownRule)
    }
}

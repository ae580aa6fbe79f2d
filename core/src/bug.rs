//! The bug museum: faults planted on purpose, each behind one call of [`on`] at the place where somebody
//! might really make it. They show that the checker and the simulator see what they are there for: a
//! museum run plants one after the other, and fails if one is found by nobody.
//!
//! Without the feature `bugs` [`on`] is a constant `false`, and nothing of a bug is in the program.
//! With it, a test chooses for its own thread which bug is there, so one build holds them all; and
//! it may excuse a promise, which nobody then looks after.

use crate::promise::Promise;

macro_rules! bugs {
    ($($(#[$doc:meta])+ $bug:ident: $promise:ident),+ $(,)?) => {
        /// One planted bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $($(#[$doc])+ $bug),+
        }

        impl Bug {
            /// Every exhibit.
            pub const ALL: &'static [Self] = &[$(Self::$bug),+];

            /// The promise that it breaks.
            pub fn breaks(self) -> Promise {
                match self {
                    $(Self::$bug => Promise::$promise),+
                }
            }
        }
    };
}

bugs! {
    /// A member takes another address of its pool each time it is assigned.
    AddressTakenAnew: Identity,
    /// A host gets the lowest free ordinal, although it has one.
    OwnHostForgotten: Identity,
    /// A host that is out of contact, or has not answered, counts as one that has nothing.
    UnknownIsAbsent: AtMostOne,
    /// A member is released by a report from before the agent had the order to stop.
    StaleReportBelieved: AtMostOne,
    /// The next grant of an ordinal has the epoch of the one before.
    EpochReused: AtMostOne,
    /// An agent reports a member as stopped as soon as its keeper was told, not when it is gone.
    StopConfirmedEarly: AtMostOne,
    /// An agent that starts does not look for keepers that its predecessor left.
    KeepersNotLookedFor: AtMostOne,
    /// The coordinator waits one renewal less than a lease for a host to be empty.
    LeaseOffByOne: AtMostOne,
    /// The coordinator takes all clocks to run at one rate.
    ClockRateIgnored: AtMostOne,
    /// A coordinator that starts does not count leases from its own start.
    OwnStartNotCounted: AtMostOne,
    /// A host counts its lease from when an acknowledgement arrived.
    DeadlineFromReceipt: AtMostOne,
    /// A host counts a renewal from when it was sent, acknowledged or not.
    RenewalUnacknowledged: AtMostOne,
    /// A lease is held by a clock that stands still while its host sleeps.
    LeaseSleeps: AtMostOne,
    /// A lease is held by a clock that somebody may set.
    LeaseOnWallClock: AtMostOne,
    /// A keeper leaves the end of a lease to its agent.
    LeaseLeftToAgent: AtMostOne,
    /// A host that cannot empty a member in time does not reboot itself.
    RebootSkipped: AtMostOne,
    /// A fence command of which nobody knows what it did counts as one that worked.
    FenceUnknownBelieved: AtMostOne,
    /// What an old epoch left in the memory of its host may be written beside its successor.
    WriterUnfenced: AtMostOne,
    /// A host that boots starts what was moved away from it meanwhile.
    OldLedgerStarted: AtMostOne,
    /// A store that was restored starts members before an operator accepts that.
    RestoreUnnoticed: AtMostOne,
    /// Once a restore was accepted, hosts that were not heard of count as empty.
    RestoreNotAwaited: AtMostOne,
    /// After a restore members get the epochs again that the backup has.
    EpochReusedAfterRestore: AtMostOne,
    /// A start does not wait for lower ordinals.
    GateSkipped: Order,
    /// An ordered set stops all members that leave at once.
    StopOrderSkipped: Order,
    /// A set starts without what it depends on.
    DependencySkipped: Order,
    /// A member starts on whatever lies in the directory of its volume.
    VolumeGuardSkipped: Data,
    /// A volume that belongs to another claim is bound.
    VolumeGivenTwice: Data,
    /// A member goes to another host than its volume.
    VolumePinIgnored: Data,
    /// What goes to the trash is removed for good at once.
    TrashNotKept: Data,
    /// A policy that retains claims deletes them.
    RetainDeletes: Data,
    /// A claim is deleted while its member is there.
    ClaimDroppedInUse: Data,
    /// A move to the trash that was called back is done when its helper comes to it.
    LateTrashMoves: Data,
    /// A volume is copied while its member writes.
    CopyWhileWritten: Data,
    /// An agent that loses its stream stops what it was told to run.
    StreamLossStops: Autonomy,
    /// A host that boots waits for the coordinator before it starts anything.
    BootWaitsForCoordinator: Autonomy,
    /// The coordinator answers before the change is on disk.
    ReplyBeforeSync: Durability,
    /// An order is sent before it is recorded as sent.
    OrderSentFirst: Durability,
    /// An agent acknowledges an order before its ledger is on disk.
    LedgerAfterAck: Durability,
    /// An agent that starts skips the last order in its ledger.
    OrderSkippedOnReplay: Durability,
    /// The history that goes on after a restore has a term that hosts have seen later ones of.
    TermNotRaised: Durability,
    /// A founder that served once is rendered as a founder at its next start.
    FounderTwice: FoundedOnce,
    /// A founder that was given up on a host which told nothing founds again elsewhere.
    UntoldFounderFounds: FoundedOnce,
    /// A founder whose agent lost its ledger founds again on the same host.
    ForgottenFounderFounds: FoundedOnce,
    /// The founders are frozen anew with every start of the first boot.
    FoundersNotFrozen: FoundedOnce,
    /// Who founded a set is forgotten with the set, although claims of it are left.
    FoundingForgotten: FoundedOnce,
    /// A founder has passed its gate when its processes run.
    GatePassedUnready: FoundedOnce,
    /// Members are taken down whatever the budget says.
    BudgetSkipped: Floor,
    /// The member that is taken down counts as one of those that stay.
    VictimCounted: Floor,
    /// Members that run and do not serve count as available.
    UnreadyCounted: Floor,
    /// A start does not wait until the zone with its name is acknowledged.
    BarrierSkipped: NamesFirst,
    /// The zone is published with the next plan, not with the one that changed it.
    ZonePublishedLate: NamesFirst,
    /// An agent acknowledges a zone and goes on serving the one before.
    ZoneAckedUnserved: NamesFirst,
}

/// Whether a bug is there.
#[cfg(not(feature = "bugs"))]
pub(crate) const fn on(_: Bug) -> bool {
    false
}

/// Whether nobody looks after a promise.
#[cfg(not(feature = "bugs"))]
pub(crate) const fn is_excused(_: Promise) -> bool {
    false
}

#[cfg(feature = "bugs")]
mod planted {
    use std::cell::Cell;

    use super::{Bug, Promise};

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
        static EXCUSED: Cell<Option<Promise>> = const { Cell::new(None) };
    }

    /// Plants a bug for this thread, in place of the one before.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Lets nobody on this thread look after a promise.
    pub fn excuse(promise: Option<Promise>) {
        EXCUSED.set(promise);
    }

    pub(crate) fn on(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    pub(crate) fn is_excused(promise: Promise) -> bool {
        EXCUSED.get() == Some(promise)
    }
}

#[cfg(feature = "bugs")]
pub use planted::{excuse, plant};
#[cfg(feature = "bugs")]
pub(crate) use planted::{is_excused, on};

//! The rules by name.

use crate::check::{
    Case, Verdict, binding, copies, depends, ends, founding, grants, moves, order, places, reload,
    retention, updates, volumes,
};

macro_rules! rules {
    ($($(#[$doc:meta])+ $rule:ident = $check:path),+ $(,)?) => {
        /// One rule. The documentation of each is what it promises.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])+ $rule),+
        }

        impl Rule {
            /// Every rule.
            pub const ALL: [Self; [$(stringify!($rule)),+].len()] = [$(Self::$rule),+];

            /// Its name, as status and log show it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$rule => stringify!($rule)),+
                }
            }

            pub(super) fn judge(self, case: &Case<'_>) -> Verdict {
                match self {
                    $(Self::$rule => $check(case)),+
                }
            }
        }
    };
}

rules! {
    /// A member is assigned only when it has no epoch (I2).
    OneEpoch = grants::one_epoch,
    /// An epoch is above every earlier one of its ordinal, whoever knows of it (I2).
    EpochGrows = grants::epoch_grows,
    /// A grant is released only when it is proven gone; unknown never frees (I2).
    ReleaseProven = grants::release_proven,
    /// A step about a member is about the epoch that it has.
    CurrentGrant = grants::current_grant,
    /// Within an epoch a member is ordered to run once, and to stop once after that.
    OrderedOnce = grants::ordered_once,
    /// While an agent has what the store never sent, nothing is assigned, started or replaced (I2).
    HistoryKnown = grants::history_known,
    /// Only ordinals that are wanted are assigned and started.
    Wanted = grants::wanted,
    /// A start waits for the lower ordinals as the policy in force says (I3).
    StartOrder = order::start_order,
    /// What is no longer wanted stops from the highest down, unless the set is parallel (I3).
    StopOrder = order::stop_order,
    /// A member is stopped only because it is not wanted, is to be updated, or an operator asked for
    /// its restart.
    StopCause = updates::stop_cause,
    /// A member that serves is taken down only while enough others are available (I8).
    Floor = updates::floor,
    /// One that does not serve is replaced alone, or beside as many as an update may have down.
    BrokenAlone = updates::broken_alone,
    /// Below the partition, and while updates are held back, members keep the revision of the set.
    Partition = updates::partition,
    /// `Recreate` starts no member while one of another revision is there.
    RecreateAlone = updates::recreate_alone,
    /// A rollout gets on, halts and completes only as what is observed says.
    RolloutProven = updates::rollout_proven,
    /// A member is not started while an operator keeps it down: offline, or on a drained host.
    HeldBack = order::held_back,
    /// A drain stops no member that lives on the host by its data, unless it was asked to.
    StaysPinned = order::stays_pinned,
    /// A member starts only when its name is served, or two seconds have passed (I9).
    NamesFirst = order::names_first,
    /// A new claim has its own name and id, belongs to its member, and holds nothing yet (I4).
    ClaimOwner = volumes::claim_owner,
    /// A claim that was made by hand becomes a member's only if it satisfies its template, has its
    /// name, and is nobody else's (I4).
    ClaimAdopted = volumes::claim_adopted,
    /// A claim asks for more, never for less, and only where that can be had.
    ClaimGrows = volumes::claim_grows,
    /// A claim is tied only as its set's retention policy says, and to an epoch that leaves (I4).
    ClaimTied = retention::claim_tied,
    /// A claim is deleted only with what it is tied to, and when nobody runs on it (I4).
    ClaimDropped = retention::claim_dropped,
    /// Only what was in the trash for as long as is configured is removed for good (I4).
    TrashExpired = retention::trash_expired,
    /// A set starts after what it depends on, and stops before it if both go.
    DependencyOrder = depends::dependency_order,
    /// Of a set that was deleted without its members nothing is started, stopped or released (I1, I2).
    OrphansKept = ends::orphans_kept,
    /// A claim and a volume are bound to each other, once, and the volume was nobody's (I4).
    BoundOnce = binding::bound_once,
    /// A volume is bound to a claim only if it is one that the claim may have.
    BoundFits = binding::bound_fits,
    /// No two volumes have data in common, unless neither is meant for one alone (I4).
    DataAlone = binding::data_alone,
    /// A volume in a pool is made where its member is.
    BoundHost = binding::bound_host,
    /// A snapshot is taken once, of the volume of the claim that it names (I4).
    SnapshotSource = copies::snapshot_source,
    /// Which claim a snapshot means is noted once, and is the one that is there (I4).
    SnapshotMeant = copies::snapshot_meant,
    /// A volume begins with what its claim asked for, whole and in the same pool, or with nothing
    /// (I4).
    CopySource = copies::copy_source,
    /// While a volume is copied nobody writes to it, unless its storage copies it in one instant.
    CopyStill = copies::copy_still,
    /// The data of a member goes to another host only because an operator asked for it, all of it, and
    /// while nobody has a grant (I4).
    MoveAsked = moves::move_asked,
    /// The volume that data goes to is new, like the old one, and nobody else's (I4).
    MoveBeside = moves::move_beside,
    /// Claims have their new volumes only when all of their data is there (I4).
    MoveComplete = moves::move_complete,
    /// While data is copied to another host nobody may write to it, and it stays where it is (I4).
    MoveStill = moves::move_still,
    /// A move is given up only because that was asked for, or because it cannot come to an end.
    MoveEnded = moves::move_ended,
    /// A member starts with all its claims bound, to volumes that its host can reach (I4).
    ClaimHost = volumes::claim_host,
    /// A member starts only on volumes that are there and its claims' (I4).
    VolumeUsable = volumes::volume_usable,
    /// A member that fails over starts only on volumes that say themselves whose they are (I4).
    OwnerVisible = volumes::owner_visible,
    /// Who uses a volume beside whom is as its access modes say (I4).
    AccessModes = volumes::access_modes,
    /// A claim is marked as filled only after a report that says so.
    FillReported = volumes::fill_reported,
    /// An ordinal takes one address, which nobody else has (I1).
    AddressUnique = places::address_unique,
    /// A member is named with the address that its ordinal owns, else with its host's (I1).
    AddressOwned = places::address_owned,
    /// No two members declare the same port on one address.
    SocketUnique = places::socket_unique,
    /// A member goes only to a host that is in contact, takes members, and fits.
    HostFits = places::host_fits,
    /// A member is named and started only where nothing that its set requires is known to be missing.
    RequirementsMet = places::requirements_met,
    /// A member that fails over goes only to a host from which it is surely gone some time (I2).
    HostFences = places::host_fences,
    /// A member is placed so that no label domain is too far ahead of the emptiest one.
    SpreadEven = places::spread_even,
    /// Under one member per host, a host has one ordinal and an ordinal one host, for good (I1).
    OwnHost = places::own_host,
    /// A set is founded once (I7).
    FoundOnce = founding::found_once,
    /// The founders are all wanted members, each with its name and address (I7).
    FoundersComplete = founding::founders_complete,
    /// A set that depends on its first boot has founders before its first start (I7).
    FoundedFirst = founding::founded_first,
    /// A founder that lost its volume during the founding is not started (I7).
    FounderDisk = founding::founder_disk,
    /// A founder that was given up on a host which did not tell whether it served is not started (I7).
    FounderTold = founding::founder_told,
    /// Only a member that served in its epoch has passed its gate (I7).
    GatePassed = founding::gate_passed,
    /// Who founded a set is forgotten only with the set and its last claim (I7).
    FoundingKept = founding::founding_kept,
    /// A set is founded anew only when that was asked for, and nothing is left of it (I7).
    FoundedAnew = founding::founded_anew,
    /// A set is removed only when its deletion was asked for and it has no members.
    SetEmpty = ends::set_empty,
    /// A member gets the newest revision or the one before, and no revision is dropped that a
    /// member carries or that is within the history limit.
    RevisionKept = ends::revision_kept,
    /// A member that runs gets another revision only if nothing but files differ and its set says
    /// so; one at a time, and the next only when the one before serves with it.
    ReloadFits = reload::reload_fits,
    /// A member carries another revision only if it is the same for it.
    CarriesSame = ends::carries_same,
    /// The zone's serial grows by one.
    ZoneSerial = ends::zone_serial,
    /// After a plan the published zone is the one that follows from the state (I9).
    ZonePublished = ends::no_step,
}

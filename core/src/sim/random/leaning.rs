//! What of all that may happen does happen most.

use crate::sim::{
    operator::{SERVER, SetOptions},
    rng::Rng,
};

/// What a history is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaning {
    /// Anything, members by any ordinal.
    Even,
    /// Anything, members that run.
    Mixed,
    /// Volumes and claims.
    Volumes,
    /// Members, and who decides about them.
    Members,
    /// Hosts that fail over: what stands still, hangs, is cut off and fenced.
    Hosts,
    /// Stores that are restored, and hosts that are lost.
    Past,
}

/// What becomes of the link to a host, or of what came over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// It is cut both ways.
    Cut,
    /// Nothing arrives one way.
    Stalls { down: bool },
    /// It holds, and the next order cannot be written down.
    Holds { written: bool },
}

/// Numbers of `Plot::event`, as often as they are to come: volumes, then sets that come and go, then
/// crashes and cuts.
const VOLUMES: [u64; 20] = [
    19, 19, 19, 19, 19, 19, 19, 19, 0, 0, 0, 0, 30, 30, 30, 55, 65, 72, 80, 93,
];
/// The same: members that fail, coordinators that crash and commits that are cut off.
const MEMBERS: [u64; 20] = [
    35, 35, 35, 35, 35, 35, 35, 80, 80, 72, 72, 87, 0, 0, 0, 30, 30, 55, 65, 72,
];

/// The number of [`super::Plot::host_fault`].
pub(super) const HOST: u64 = 100;
/// The number of [`super::Plot::past`].
pub(super) const PAST: u64 = 101;
/// Hosts: what befalls them, coordinators that crash, sets that change, members that fail.
const HOSTS: [u64; 20] = [
    HOST, HOST, HOST, HOST, HOST, HOST, HOST, HOST, HOST, HOST, HOST, 80, 80, 80, 72, 65, 55, 0, 0,
    35,
];
/// What is restored and lost; hosts, coordinators, sets that change and members that fail.
const PASTS: [u64; 20] = [
    PAST, PAST, PAST, PAST, PAST, PAST, HOST, 80, 72, 72, 65, 65, 55, 0, 0, 0, 0, 35, 30, 94,
];

impl Leaning {
    /// What happens next.
    pub(super) fn dice(self, rng: &mut Rng) -> u64 {
        let from = match self {
            Self::Even | Self::Mixed => return rng.below(100),
            Self::Volumes => &VOLUMES,
            Self::Members => &MEMBERS,
            Self::Hosts => &HOSTS,
            Self::Past => &PASTS,
        };
        rng.pick(from).copied().unwrap_or_default()
    }

    /// How the link to a host fails. An even history knows cuts alone.
    pub(super) fn link(self, rng: &mut Rng) -> Link {
        if self == Self::Even {
            return Link::Cut;
        }
        match rng.below(4) {
            0 | 1 => Link::Cut,
            2 => Link::Stalls {
                down: rng.chance(50),
            },
            _ => Link::Holds {
                written: rng.chance(50),
            },
        }
    }

    /// Gives a set what the history is about.
    pub(super) fn shape(self, rng: &mut Rng, options: &mut SetOptions) {
        match self {
            Self::Even | Self::Mixed => {}
            Self::Volumes => {
                options.claim = true;
                if rng.chance(40) {
                    options.class = Some(SERVER.to_owned());
                }
            }
            Self::Members => {
                options.fixed = !options.per_host && rng.chance(70);
                options.claim |= rng.chance(50);
            }
            Self::Hosts => {
                options.per_host = false;
                options.shared = None;
                if options.claim {
                    options.class = Some(SERVER.to_owned());
                }
            }
            // Of data that was made after a backup a restored store knows nothing: an operator gives it
            // back or away, which is not played here.
            Self::Past => {
                options.per_host = false;
                options.fixed = false;
                options.shared = None;
                options.claim = false;
                options.quorum = false;
            }
        }
    }
}

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

impl Leaning {
    /// What happens next.
    pub(super) fn dice(self, rng: &mut Rng) -> u64 {
        let from = match self {
            Self::Even | Self::Mixed => return rng.below(100),
            Self::Volumes => &VOLUMES,
            Self::Members => &MEMBERS,
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
        }
    }
}

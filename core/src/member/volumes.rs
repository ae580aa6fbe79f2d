//! The volumes of a run: looked at from time to time, because storage may stop to answer while its
//! member lives. A member whose volume hangs does not serve, and serves again by itself; one whose
//! volume is not known to its server any more is started anew, on a new mount.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    time::Timestamp,
    volume::{MountedVolume, Usage, VolumeHealth, VolumeReport},
    waiting::Reason,
};

/// Before the first look: usage is told soon after a start, not in its way.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// Between looks at storage that may stop to answer: soon enough for a member to be taken out of
/// its service before most clients give up.
const REMOTE: Duration = Duration::from_secs(10);
/// After a look that found trouble: what serves again is to be told soon.
const TROUBLED: Duration = Duration::from_secs(2);
/// Between looks at the host's own storage, which only tell how full it is.
const LOCAL: Duration = Duration::from_secs(60);
/// Usage is told again when it differs by more than one part in so many of the size.
const TOLD_PART: u64 = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Volumes {
    all: Vec<Watched>,
    next: Timestamp,
    /// Whether a look is under way: there is never a second one.
    looking: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Watched {
    volume: MountedVolume,
    trouble: Option<Reason>,
}

impl Volumes {
    pub(super) fn new(now: Timestamp, volumes: Vec<MountedVolume>) -> Self {
        let watched = |volume| Watched {
            volume,
            trouble: None,
        };
        Self {
            all: volumes.into_iter().map(watched).collect(),
            next: now.plus(FIRST_LOOK),
            looking: false,
        }
    }

    /// Whether a look is due; it counts as begun then.
    pub(super) fn due(&mut self, now: Timestamp) -> bool {
        let due = self.wake_at().is_some_and(|at| at <= now);
        self.looking |= due;
        due
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        (!self.looking && !self.all.is_empty()).then_some(self.next)
    }

    /// Takes in what a look showed. What it does not say anything of stays as it was. True if the
    /// run must be started anew.
    pub(super) fn seen(&mut self, now: Timestamp, seen: &BTreeMap<String, VolumeHealth>) -> bool {
        self.looking = false;
        let mut stale = false;
        for watched in &mut self.all {
            let Some(health) = seen.get(&watched.volume.report.name) else {
                continue;
            };
            let volume = watched.volume.report.name.clone();
            let source = watched.volume.source.clone();
            watched.trouble = match health {
                VolumeHealth::Fine(usage) => {
                    tell(&mut watched.volume.report.usage, *usage);
                    None
                }
                VolumeHealth::Hung { step } => Some(Reason::VolumeHung {
                    volume,
                    source,
                    step: step.clone(),
                }),
                VolumeHealth::Stale => {
                    stale = true;
                    Some(Reason::VolumeStale { volume, source })
                }
            };
        }
        let remote = self.all.iter().any(|watched| watched.volume.remote);
        self.next = now.plus(match self.reason() {
            Some(_) => TROUBLED,
            None if remote => REMOTE,
            None => LOCAL,
        });
        stale
    }

    /// Why the member does not serve, if it is because of a volume.
    pub(super) fn reason(&self) -> Option<&Reason> {
        self.all.iter().find_map(|watched| watched.trouble.as_ref())
    }

    pub(super) fn reports(&self) -> Vec<VolumeReport> {
        let reports = self.all.iter().map(|watched| &watched.volume.report);
        reports.cloned().collect()
    }
}

/// Replaces usage that was told, if it is worth telling.
fn tell(told: &mut Option<Usage>, now: Usage) {
    let close = told.is_some_and(|told| {
        let part = now.capacity / TOLD_PART;
        told.capacity == now.capacity
            && told.shared == now.shared
            && told.available.abs_diff(now.available) <= part
    });
    if !close {
        *told = Some(now);
    }
}

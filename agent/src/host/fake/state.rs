//! What the fake host knows, and its volumes, with the same guards as the real one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use berth_core::{
    ids::{BootId, ClaimKey, Epoch, MemberId, ObjectKey, RunId, Uid},
    order::VolumeOrder,
    prerequisite::{Fact, Prerequisite},
    volume::{Ownership, VolumeHealth, VolumeReport},
    waiting::Reason,
};

use tokio::sync::watch;

use super::{
    super::{
        ExecResult, VolumeOwner,
        storage::{Place, PoolPlace},
    },
    Call, PreparedVolume, RunRecord,
    run::FakeRun,
};
use crate::keeper::spec::Identity;

/// The number of every user on the fake host.
const FAKE_USER: u32 = 1000;

/// A volume on the fake host.
#[derive(Debug, Clone)]
pub(super) struct FakeVolume {
    /// Whose it is.
    pub(super) uid: Uid,
    /// The newest epoch of its owner record.
    pub(super) epoch: Epoch,
    /// Where it is.
    pub(super) source: String,
    /// In bytes.
    pub(super) capacity: u64,
}

/// What the fake host knows.
#[derive(Debug)]
pub(super) struct State {
    /// Its machine id.
    pub(super) machine: String,
    pub(super) boot: BootId,
    pub(super) boots: u64,
    /// The beginning of the clock of leases.
    pub(super) booted: tokio::time::Instant,
    /// For how long it was suspended since.
    pub(super) asleep: watch::Sender<Duration>,
    pub(super) pools: BTreeSet<String>,
    pub(super) mounts: watch::Sender<u64>,
    pub(super) held_pools: watch::Sender<bool>,
    pub(super) volumes: BTreeMap<ClaimKey, FakeVolume>,
    /// Deleted volumes, and whose they were.
    pub(super) trash: BTreeMap<ObjectKey, (ClaimKey, FakeVolume)>,
    /// Copies of volumes, by their own names.
    pub(super) snapshots: BTreeMap<ObjectKey, FakeVolume>,
    pub(super) held_works: BTreeMap<ObjectKey, watch::Sender<bool>>,
    pub(super) runs: BTreeMap<MemberId, FakeRun>,
    pub(super) health: BTreeMap<MemberId, BTreeMap<String, VolumeHealth>>,
    pub(super) taken: BTreeMap<(String, u32), (String, u32)>,
    pub(super) facts: BTreeMap<Prerequisite, Fact>,
    pub(super) exec: BTreeMap<MemberId, ExecResult>,
    pub(super) held_stops: BTreeSet<MemberId>,
    pub(super) failures: BTreeMap<(Call, usize), Reason>,
    pub(super) counts: BTreeMap<Call, usize>,
    pub(super) log: Vec<String>,
    pub(super) last_pid: u32,
}

impl State {
    pub(super) fn new(pools: &[&str]) -> Self {
        Self {
            machine: "fake".to_owned(),
            boot: BootId("boot-1".to_owned()),
            boots: 1,
            booted: tokio::time::Instant::now(),
            asleep: watch::channel(Duration::ZERO).0,
            pools: pools.iter().map(|pool| (*pool).to_owned()).collect(),
            mounts: watch::Sender::new(0),
            held_pools: watch::Sender::new(false),
            volumes: BTreeMap::new(),
            trash: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            held_works: BTreeMap::new(),
            runs: BTreeMap::new(),
            health: BTreeMap::new(),
            taken: BTreeMap::new(),
            facts: BTreeMap::new(),
            exec: BTreeMap::new(),
            held_stops: BTreeSet::new(),
            failures: BTreeMap::new(),
            counts: BTreeMap::new(),
            log: Vec::new(),
            last_pid: 1000,
        }
    }

    /// Counts a call, and fails it if that was asked for.
    pub(super) fn call(&mut self, call: Call) -> Result<(), Reason> {
        let count = self.counts.entry(call).or_default();
        *count += 1;
        self.failures.remove(&(call, *count)).map_or(Ok(()), Err)
    }

    pub(super) fn next_pid(&mut self) -> u32 {
        self.last_pid += 1;
        self.last_pid
    }

    pub(super) fn alive(&self) -> BTreeMap<MemberId, RunId> {
        let alive = self.runs.iter().filter(|(_, run)| run.alive);
        alive
            .map(|(member, run)| (member.clone(), run.launch.run.clone()))
            .collect()
    }

    pub(super) fn records(&self) -> Vec<RunRecord> {
        let record = |(member, run): (&MemberId, &FakeRun)| RunRecord {
            member: member.clone(),
            run: run.launch.run.clone(),
            pid: run.pid,
            start_time: u64::from(run.pid),
            cgroup: None,
            volumes: Vec::new(),
        };
        self.runs.iter().map(record).collect()
    }

    pub(super) fn prepare_volume(
        &mut self,
        epoch: Epoch,
        volume: &VolumeOrder,
        owner: &VolumeOwner,
    ) -> Result<PreparedVolume, Reason> {
        if let Some(pool) = volume
            .source
            .pool()
            .filter(|pool| !self.pools.contains(*pool))
        {
            let pool = pool.to_owned();
            return Err(Reason::PoolMissing { pool });
        }
        match self.volumes.get(&volume.claim) {
            None if volume.filled => {
                let volume = volume.name.clone();
                return Err(Reason::VolumeEmpty { volume });
            }
            Some(found) if found.uid != volume.claim_uid || found.epoch > epoch => {
                return Err(Reason::VolumeForeign {
                    volume: volume.name.clone(),
                    owner: format!("claim {}, epoch {}", found.uid, found.epoch),
                });
            }
            Some(_) | None => {}
        }
        let record = FakeVolume {
            uid: volume.claim_uid.clone(),
            epoch,
            source: volume.source.describe(),
            capacity: volume.capacity,
        };
        self.volumes.insert(volume.claim.clone(), record);
        Ok(PreparedVolume {
            name: volume.name.clone(),
            source: volume.source.describe(),
            place: Place::Directory {
                pool: PoolPlace {
                    name: "fake".to_owned(),
                    path: "/fake".into(),
                    id: None,
                },
                dir: volume.claim.to_string(),
                bytes: volume.capacity,
            },
            read_only: volume.read_only,
            epoch: Some(epoch),
            identity: Identity {
                uid: FAKE_USER,
                gid: FAKE_USER,
                groups: Vec::new(),
            },
            report: VolumeReport {
                name: volume.name.clone(),
                recorded: true,
                owner: Ownership {
                    user: owner.user.clone(),
                    uid: FAKE_USER,
                    gid: FAKE_USER,
                },
                address: None,
                usage: None,
            },
        })
    }

    pub(super) fn reboot(&mut self) {
        self.boots += 1;
        self.boot = BootId(format!("boot-{}", self.boots));
        self.log.push(format!("boot {}", self.boots));
        let members: Vec<_> = self.alive().into_keys().collect();
        for member in members {
            self.end(&member);
        }
        self.runs.clear();
    }
}

//! The trash, the growth and the copies of volumes on the fake host, with the same rules as on the real one.

use berth_core::{
    ids::{ClaimKey, Epoch, HistoryId, Uid},
    volume::{
        Ownership,
        transfer::{Owned, Weight},
        work::{VolumeTask, VolumeWork},
    },
    waiting::Reason,
};

use super::{
    super::step_failed,
    state::{FakeVolume, State},
};

impl State {
    pub(super) fn volume_work(&mut self, work: &VolumeWork) -> Result<(), Reason> {
        match work.task {
            VolumeTask::Trash => self.throw_away(work),
            VolumeTask::Restore => self.take_back(work),
            VolumeTask::Purge => self.remove(work),
            VolumeTask::Grow { bytes } => {
                let volume = self.at(work)?.map(|(_, volume)| volume);
                let volume = volume.ok_or_else(|| lost(work))?;
                volume.capacity = volume.capacity.max(bytes);
                Ok(())
            }
            VolumeTask::Snapshot { .. } => {
                let volume = self.at(work)?.map(|(_, volume)| volume.clone());
                let volume = volume.ok_or_else(|| lost(work))?;
                self.snapshots.insert(work.volume.clone(), volume);
                Ok(())
            }
            VolumeTask::Populate { .. } => self.populate(work),
            VolumeTask::Receive { .. } | VolumeTask::Send { .. } => Ok(()),
            VolumeTask::Discard => {
                self.snapshots.remove(&work.volume);
                Ok(())
            }
        }
    }

    fn populate(&mut self, work: &VolumeWork) -> Result<(), Reason> {
        let from = work.from.as_ref().ok_or_else(|| lost(work))?;
        let source = from.source.describe();
        let data = match &from.snapshot {
            Some(name) => self.snapshots.get(name),
            None => self.volumes.values().find(|volume| volume.source == source),
        };
        let data = data.ok_or_else(|| lost(work))?;
        let copy = FakeVolume {
            uid: from.claim.uid.clone(),
            epoch: Epoch::default(),
            source: work.source.describe(),
            ..data.clone()
        };
        self.volumes.insert(from.claim.key.clone(), copy);
        Ok(())
    }

    /// What a volume holds whose data goes elsewhere; nobody is started on it from now on by an order
    /// that does not know of it.
    pub(super) fn depart(&mut self, work: &VolumeWork) -> Result<Weight, Reason> {
        let VolumeTask::Send { epoch } = work.task else {
            return Err(lost(work));
        };
        let Some((_, volume)) = self.at(work)? else {
            return Ok(Weight::default());
        };
        volume.epoch = volume.epoch.max(epoch);
        let bytes = volume.capacity;
        self.log.push(format!("send {}", work.volume));
        Ok(Weight {
            bytes,
            owned: Some(Owned {
                history: HistoryId::default(),
                owner: Ownership {
                    user: String::new(),
                    uid: 0,
                    gid: 0,
                },
            }),
            ..Weight::default()
        })
    }

    pub(super) fn arrive(
        &mut self,
        work: &VolumeWork,
        weight: Option<&Weight>,
    ) -> Result<(), Reason> {
        let from = work.from.as_ref().ok_or_else(|| lost(work))?;
        let VolumeTask::Receive { epoch, bytes } = work.task else {
            return Err(lost(work));
        };
        if weight.is_some_and(|weight| weight.owned.is_some()) {
            let volume = FakeVolume {
                uid: from.claim.uid.clone(),
                epoch,
                source: work.source.describe(),
                capacity: bytes,
            };
            self.volumes.insert(from.claim.key.clone(), volume);
        }
        self.log.push(format!("receive {}", work.volume));
        Ok(())
    }

    fn throw_away(&mut self, work: &VolumeWork) -> Result<(), Reason> {
        let source = work.source.describe();
        for (member, run) in self.runs.iter().filter(|(_, run)| run.alive) {
            if run.launch.volumes.iter().any(|v| v.source == source) {
                return Err(Reason::VolumeBusy {
                    volume: work.volume.name.to_string(),
                    by: format!("member {member}"),
                });
            }
        }
        let Some((claim, _)) = self.at(work)? else {
            return Ok(());
        };
        if self.trash.contains_key(&work.volume) {
            return Err(step_failed("move to the trash", "something is there"));
        }
        if let Some(volume) = self.volumes.remove(&claim) {
            self.trash.insert(work.volume.clone(), (claim, volume));
        }
        self.log.push(format!("trash {}", work.volume));
        Ok(())
    }

    fn take_back(&mut self, work: &VolumeWork) -> Result<(), Reason> {
        let Some((claim, volume)) = self.trash.get(&work.volume).cloned() else {
            return self.at(work).map(drop);
        };
        check_owner(work, &volume.uid)?;
        if self.volumes.contains_key(&claim) {
            return Err(step_failed("bring back", "something is there"));
        }
        self.trash.remove(&work.volume);
        self.volumes.insert(claim, volume);
        self.log.push(format!("restore {}", work.volume));
        Ok(())
    }

    fn remove(&mut self, work: &VolumeWork) -> Result<(), Reason> {
        let Some((_, volume)) = self.trash.get(&work.volume) else {
            return Ok(());
        };
        check_owner(work, &volume.uid)?;
        self.trash.remove(&work.volume);
        self.log.push(format!("purge {}", work.volume));
        Ok(())
    }

    /// The volume at the place of a work, if it is the one that is meant.
    fn at(&mut self, work: &VolumeWork) -> Result<Option<(ClaimKey, &mut FakeVolume)>, Reason> {
        let source = work.source.describe();
        let mut volumes = self.volumes.iter_mut();
        let Some((claim, volume)) = volumes.find(|(_, volume)| volume.source == source) else {
            return Ok(None);
        };
        check_owner(work, &volume.uid)?;
        Ok(Some((claim.clone(), volume)))
    }
}

fn lost(work: &VolumeWork) -> Reason {
    Reason::VolumeEmpty {
        volume: work.volume.name.to_string(),
    }
}

fn check_owner(work: &VolumeWork, owner: &Uid) -> Result<(), Reason> {
    if work.owners.contains(owner) {
        return Ok(());
    }
    Err(Reason::VolumeForeign {
        volume: work.volume.name.to_string(),
        owner: format!("a claim with uid {owner}"),
    })
}

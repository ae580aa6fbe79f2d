//! What lies on the pools and servers of the cluster, with the owner record beside it, and how work on
//! volumes is done there: also by a helper that hung, and comes to it when nobody waits for it.
//!
//! It is kept by agents as real storage is: data goes to the trash and back by one rename, and each
//! trip to the trash has a name of its own, which a return closes for good.

use std::collections::BTreeMap;

use crate::{
    bug::{self, Bug},
    ids::{Epoch, HostName, ObjectKey, Uid},
    order::VolumeOrder,
    sim::{
        net::{Happening, StreamId},
        world::World,
    },
    state::{SnapshotState, VolumeState, moving},
    volume::{
        VolumeSource,
        work::{self, After, SnapshotChange, VolumeTask, VolumeWork},
    },
    waiting::Reason,
};

/// Whose a volume is whose data went elsewhere, and the order does not know it.
pub(super) const UNKNOWN_MOVE: &str = "a move that the coordinator does not know of";

/// A directory, with its host unless it is on a server.
pub(super) type Place = (Option<HostName>, String);

pub(super) fn place(source: &VolumeSource) -> Place {
    (source.host().cloned(), source.describe())
}

/// Everything that is stored. Durable.
#[derive(Debug, Default)]
pub(super) struct Storage {
    /// Whose data lies where.
    lying: BTreeMap<Place, Uid>,
    /// What is in the trash, by volume and trip.
    trash: BTreeMap<(ObjectKey, u64), Thrown>,
    /// How often members were started on what lies in a place: each of them wrote.
    written: BTreeMap<Place, u64>,
    /// The last move that began to take the data of a place elsewhere, as its owner record has it.
    departed: BTreeMap<Place, Epoch>,
    /// The move that brought what lies in a place.
    received: BTreeMap<Place, Epoch>,
    /// The snapshots, and whose data each has.
    snapshots: BTreeMap<ObjectKey, Uid>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Thrown {
    /// Data, with its owner record: whose it is, and which moves took it away and brought it.
    Data {
        owner: Uid,
        departed: Option<Epoch>,
        received: Option<Epoch>,
    },
    /// Nothing comes here any more.
    Closed,
}

impl Storage {
    /// Whose data lies in a place.
    pub(super) fn owner(&self, source: &VolumeSource) -> Option<&Uid> {
        self.lying.get(&place(source))
    }

    /// The start guard.
    pub(super) fn guard(&self, order: &VolumeOrder) -> Result<(), Reason> {
        if bug::on(Bug::VolumeGuardSkipped) {
            return Ok(());
        }
        let volume = order.name.clone();
        match self.owner(&order.source) {
            None if order.filled => Err(Reason::VolumeEmpty { volume }),
            Some(owner) if *owner != order.claim_uid && !order.adopt => {
                let owner = owner.to_string();
                Err(Reason::VolumeForeign { volume, owner })
            }
            None | Some(_) => Ok(()),
        }
    }

    /// What the start guard says first: the data went elsewhere, and the order does not know it.
    pub(super) fn stayed(&self, order: &VolumeOrder) -> Result<(), Reason> {
        let departed = self.departed.get(&place(&order.source)).copied();
        if departed > order.departed {
            let volume = order.name.clone();
            let owner = UNKNOWN_MOVE.to_owned();
            return Err(Reason::VolumeForeign { volume, owner });
        }
        Ok(())
    }

    /// A member starts on a volume and writes.
    pub(super) fn write(&mut self, order: &VolumeOrder) {
        let owner = order.claim_uid.clone();
        *self.written.entry(place(&order.source)).or_default() += 1;
        self.lying.insert(place(&order.source), owner);
    }

    /// Does a work, as a host does it; whether data went to the trash.
    fn work(&mut self, work: &VolumeWork) -> bool {
        let at = place(&work.source);
        let trip = |number| (work.volume.clone(), number);
        match work.task {
            VolumeTask::Trash => {
                let to = trip(work.deletion);
                // Nothing is renamed onto what is there.
                if self.trash.contains_key(&to) && !bug::on(Bug::LateTrashMoves) {
                    return false;
                }
                // What somebody else put there meanwhile is left alone.
                let owner = self.lying.get(&at).cloned();
                let Some(owner) = owner.filter(|owner| work.owners.contains(owner)) else {
                    return false;
                };
                self.lying.remove(&at);
                let thrown = Thrown::Data {
                    owner,
                    departed: self.departed.remove(&at),
                    received: self.received.remove(&at),
                };
                self.trash.insert(to, thrown);
                true
            }
            VolumeTask::Restore => {
                for number in 0..=work.deletion {
                    let closed = self.trash.insert(trip(number), Thrown::Closed);
                    if let Some(Thrown::Data {
                        owner,
                        departed,
                        received,
                    }) = closed
                    {
                        self.lying.insert(at.clone(), owner);
                        let with = |epoch: Option<Epoch>| epoch.map(|epoch| (at.clone(), epoch));
                        self.departed.extend(with(departed));
                        self.received.extend(with(received));
                    }
                }
                false
            }
            VolumeTask::Purge => {
                for number in 0..=work.deletion {
                    self.trash.insert(trip(number), Thrown::Closed);
                }
                false
            }
            VolumeTask::Grow { .. } | VolumeTask::Send { .. } => false,
            VolumeTask::Snapshot { .. } => {
                if let Some(owner) = self.lying.get(&at).cloned() {
                    self.snapshots.entry(work.volume.clone()).or_insert(owner);
                }
                false
            }
            VolumeTask::Populate { .. } => {
                self.populate(work);
                false
            }
            VolumeTask::Receive { epoch, .. } => {
                self.receive(work, epoch);
                false
            }
            VolumeTask::Discard => {
                self.snapshots.remove(&work.volume);
                false
            }
        }
    }

    /// Copies data to a place where none is: what a later member wrote there is never written over.
    fn populate(&mut self, work: &VolumeWork) {
        let Some(from) = &work.from else {
            return;
        };
        let data = match &from.snapshot {
            Some(name) => self.snapshots.get(name),
            None => self.lying.get(&place(&from.source)),
        };
        if data.is_some_and(|owner| from.owners.contains(owner)) {
            let claim = from.claim.uid.clone();
            self.lying.entry(place(&work.source)).or_insert(claim);
        }
    }

    /// Takes data over from another host. What a later member wrote is never written over.
    fn receive(&mut self, work: &VolumeWork, epoch: Epoch) {
        let Some(from) = &work.from else {
            return;
        };
        let (there, here) = (place(&from.source), place(&work.source));
        let departed = self.departed.entry(there.clone()).or_default();
        *departed = epoch.max(*departed);
        let owner = self.lying.get(&there);
        let own = owner.map_or(!work.filled, |owner| from.owners.contains(owner));
        if own && !self.lying.contains_key(&here) {
            let written = self.written.get(&there).copied().unwrap_or_default();
            self.lying.insert(here.clone(), from.claim.uid.clone());
            self.received.insert(here.clone(), epoch);
            self.written.insert(here, written);
        }
    }

    /// Whether two places hold the same, as far as members wrote it.
    pub(super) fn same(&self, a: &VolumeSource, b: &VolumeSource) -> bool {
        let written = |source| {
            self.written
                .get(&place(source))
                .copied()
                .unwrap_or_default()
        };
        let owned = self.owner(a).is_none() || self.owner(a) == self.owner(b);
        owned && written(a) == written(b)
    }

    /// Whether a copy is there after the work; without data there is nothing to copy.
    fn did(&self, work: &VolumeWork) -> bool {
        let claims = || {
            let claim = work.from.as_ref().map(|from| &from.claim.uid);
            claim.is_some() && self.owner(&work.source) == claim
        };
        match work.task {
            VolumeTask::Snapshot { .. } => self.snapshots.contains_key(&work.volume),
            VolumeTask::Populate { .. } => claims(),
            // Data of the claim that an earlier move brought is not what this one brings.
            VolumeTask::Receive { epoch, .. } => {
                claims() && self.received.get(&place(&work.source)) == Some(&epoch)
            }
            VolumeTask::Trash
            | VolumeTask::Restore
            | VolumeTask::Grow { .. }
            | VolumeTask::Purge
            | VolumeTask::Send { .. }
            | VolumeTask::Discard => true,
        }
    }
}

/// A work that a host was sent, until what came of it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sent {
    stream: StreamId,
    host: HostName,
    task: VolumeTask,
    deletion: u64,
}

impl World {
    /// Sends the work that is due and not under way.
    pub(super) fn send_works(&mut self) {
        let due = work::work(&self.coordinator.state, &self.coordinator.failed);
        let due: Vec<(HostName, VolumeWork)> = due
            .into_iter()
            .flat_map(|(host, works)| works.into_iter().map(move |work| (host.clone(), work)))
            .collect();
        for (host, work) in due {
            let Some(stream) = self.wires.get(&host).copied() else {
                continue;
            };
            let sent = Sent {
                stream,
                host: host.clone(),
                task: work.task,
                deletion: work.deletion,
            };
            let works = &mut self.coordinator.works;
            if works.get(&work.volume) == Some(&sent) {
                continue;
            }
            works.insert(work.volume.clone(), sent.clone());
            self.begin_work(host, sent.stream, work);
        }
    }

    /// It is done soon; or the helper hangs, is given up, and does it when it does it.
    fn begin_work(&mut self, host: HostName, stream: StreamId, work: VolumeWork) {
        let hangs = work.source.is_shared() && self.fails(30);
        let takes = if hangs {
            self.delay(1, 500, 20_000)
        } else {
            self.delay(1, 1, 400)
        };
        let work = Box::new(work);
        if hangs {
            self.tally.fault("helper hangs");
            let given_up = self.delay(1, 100, 500);
            let happening = Happening::WorkGivenUp {
                host: host.clone(),
                stream,
                work: work.clone(),
            };
            self.schedule(given_up, happening);
        }
        let answers = (!hangs).then_some(stream);
        let happening = Happening::Work {
            host,
            answers,
            work,
        };
        self.schedule(takes, happening);
    }

    /// A host does a work, whatever was decided since.
    pub(super) fn do_work(
        &mut self,
        host: &HostName,
        answers: Option<StreamId>,
        work: &VolumeWork,
    ) {
        let reachable = |host: &HostName| self.hosts.get(host).is_some_and(|host| host.up);
        let from = work.from.as_ref().and_then(|from| from.source.host());
        let up = reachable(host) && from.is_none_or(reachable);
        if !up && !work.source.is_shared() {
            return;
        }
        self.is_copied_still(work);
        let owner = self.storage.owner(&work.source).cloned();
        if self.storage.work(work) {
            let volume = self.coordinator.state.volumes.get(&work.volume);
            self.truth.thrown_away(&work.volume, volume);
        }
        let now = self.storage.owner(&work.source).cloned();
        if owner != now {
            self.truth.lies(&work.source, now);
            let what = format!("{}: {}", work.volume.name, work.task.describe());
            self.say(host.as_str(), &what);
        }
        if answers.is_some_and(|stream| self.whole(host, stream)) {
            let error = (!self.storage.did(work)).then_some("there is no data to copy");
            self.work_done(work, error);
        }
    }

    /// What is copied while nobody writes to it: no member runs there.
    fn is_copied_still(&mut self, work: &VolumeWork) {
        let state = &self.coordinator.state;
        let source = match work.task {
            VolumeTask::Snapshot { online: false } => {
                let record = state.snapshots.get(&work.volume);
                let asked = record.is_some_and(|one| one.state == SnapshotState::Taking);
                asked.then_some(&work.source)
            }
            VolumeTask::Populate { online: false } => {
                let record = state.volumes.get(&work.volume);
                let asked = record.is_some_and(|volume| volume.copying().is_some());
                let from = work.from.as_ref().filter(|from| from.snapshot.is_none());
                from.filter(|_| asked).map(|from| &from.source)
            }
            VolumeTask::Receive { epoch, .. } => {
                let record = state.volumes.get(&work.volume);
                let moved_in = record.and_then(|volume| volume.arriving());
                let asked = moved_in.is_some_and(|moved_in| moved_in.epoch == epoch);
                let from = work.from.as_ref();
                from.filter(|_| asked).map(|from| &from.source)
            }
            VolumeTask::Trash
            | VolumeTask::Restore
            | VolumeTask::Grow { .. }
            | VolumeTask::Purge
            | VolumeTask::Discard
            | VolumeTask::Send { .. }
            | VolumeTask::Snapshot { online: true }
            | VolumeTask::Populate { online: true } => None,
        };
        let Some(source) = source else { return };
        let mut runs = self.hosts.values().flat_map(|host| {
            let ids = host.keepers.keys();
            ids.filter_map(|id| Some((id, host.ledger.effective(id)?)))
        });
        let user = runs.find(|(_, order)| order.volumes.iter().any(|v| v.source == *source));
        if let Some((id, _)) = user {
            let at = source.describe();
            let detail = format!("{at} is copied while {id} runs on it");
            self.truth.breaks("I4", detail);
        }
    }

    fn work_done(&mut self, work: &VolumeWork, error: Option<&str>) {
        let now = self.now;
        let state = &mut self.coordinator.state;
        if let Some(snapshot) = state.snapshots.get(&work.volume) {
            let after = work::snapshot_done(snapshot, work.task, error, now);
            match after.filter(|_| self.coordinator.up) {
                Some(SnapshotChange::Is(after)) => {
                    state.snapshots.insert(work.volume.clone(), *after);
                }
                Some(SnapshotChange::Gone) => {
                    state.snapshots.remove(&work.volume);
                }
                None => return,
            }
            self.reconcile();
            return;
        }
        if error.is_some() {
            // It is tried again.
            self.coordinator.works.remove(&work.volume);
            self.stop_trying(work);
            return;
        }
        let volume = state.volumes.get_mut(&work.volume);
        let Some(volume) = volume.filter(|volume| volume.deletions == work.deletion) else {
            return;
        };
        if let Some(after) = work::done(volume, work.task, now).filter(|_| self.coordinator.up) {
            match after {
                After::Is(after) => {
                    *volume = (*after).clone();
                    if let VolumeTask::Populate { .. } = work.task
                        && let Some((key, claim)) = work::populated(state, &after)
                    {
                        state.claims.insert(key, claim);
                    }
                }
                After::Gone => {
                    state.volumes.remove(&work.volume);
                    self.coordinator.former.remove(&work.volume);
                }
            }
            self.coordinator.failed.remove(&work.volume);
            self.reconcile();
        }
    }

    /// Sooner or later a copy that fails is given up, and the member goes back to its data.
    fn stop_trying(&mut self, work: &VolumeWork) {
        let state = &self.coordinator.state;
        let claim = work.from.as_ref().map(|from| &from.claim.key);
        let member = claim.and_then(|key| state.claims.get(key)?.member.clone());
        let VolumeTask::Receive { .. } = work.task else {
            return;
        };
        if let Some(id) = member.filter(|_| self.coordinator.up && self.rng.chance(30)) {
            let state = &self.coordinator.state;
            if let Ok(after) = moving::give_up(state, &id, "the data cannot be copied") {
                self.coordinator.state = after;
            }
        }
        self.reconcile();
    }

    /// The agent killed a helper that hung: another host is to try.
    pub(super) fn work_given_up(&mut self, host: &HostName, stream: StreamId, work: &VolumeWork) {
        if self.coordinator.up && self.whole(host, stream) {
            let failed = &mut self.coordinator.failed;
            failed.insert(work.volume.clone(), host.clone());
            self.coordinator.works.remove(&work.volume);
            self.reconcile();
        }
    }

    /// Whether no volume is on its way to the trash or back.
    pub(super) fn works_are_done(&self) -> bool {
        let mut volumes = self.coordinator.state.volumes.values();
        volumes.all(|volume| match volume.state {
            VolumeState::Live | VolumeState::Trashed { .. } => true,
            VolumeState::Trashing | VolumeState::Restoring | VolumeState::Purging => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{NfsOptions, NfsSource, NfsVersion};

    fn source() -> VolumeSource {
        VolumeSource::Nfs(NfsSource {
            server: "nas".to_owned(),
            path: "/exports".to_owned(),
            sub_dir: Some("data".to_owned()),
            version: NfsVersion::default(),
            options: NfsOptions::default(),
            read_only: false,
        })
    }

    fn work(task: VolumeTask, deletion: u64) -> VolumeWork {
        VolumeWork {
            volume: "default/vol".parse().unwrap(),
            owners: vec![Uid("owner".to_owned())],
            filled: true,
            source: source(),
            deletion,
            task,
            from: None,
        }
    }

    #[test]
    fn what_comes_too_late_moves_nothing() {
        let mut storage = Storage::default();
        let owner = Uid("owner".to_owned());
        storage.lying.insert(place(&source()), owner.clone());
        assert!(storage.work(&work(VolumeTask::Trash, 1)));
        assert_eq!(storage.owner(&source()), None);
        storage.work(&work(VolumeTask::Restore, 1));
        assert_eq!(storage.owner(&source()), Some(&owner));
        assert!(!storage.work(&work(VolumeTask::Trash, 1)), "late");
        assert_eq!(storage.owner(&source()), Some(&owner));
        assert!(storage.work(&work(VolumeTask::Trash, 2)), "asked for anew");
        storage.work(&work(VolumeTask::Restore, 1));
        assert_eq!(storage.owner(&source()), None, "a late return");
    }

    #[test]
    fn what_moves_took_and_brought_goes_to_the_trash_and_back_with_the_data() {
        let mut storage = Storage::default();
        let at = place(&source());
        let epoch: Epoch = "3.7".parse().unwrap();
        storage.lying.insert(at.clone(), Uid("owner".to_owned()));
        storage.departed.insert(at.clone(), epoch);
        storage.received.insert(at.clone(), epoch);
        assert!(storage.work(&work(VolumeTask::Trash, 1)));
        assert_eq!(storage.departed.get(&at), None, "another claim begins here");
        assert_eq!(storage.received.get(&at), None);
        storage.work(&work(VolumeTask::Restore, 1));
        assert_eq!(storage.departed.get(&at), Some(&epoch));
        assert_eq!(storage.received.get(&at), Some(&epoch));
    }

    #[test]
    fn what_another_claim_put_in_its_place_does_not_go_to_the_trash() {
        let mut storage = Storage::default();
        let other = Uid("other".to_owned());
        storage.lying.insert(place(&source()), other.clone());
        assert!(!storage.work(&work(VolumeTask::Trash, 1)));
        assert_eq!(storage.owner(&source()), Some(&other));
    }
}

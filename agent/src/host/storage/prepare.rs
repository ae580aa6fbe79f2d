//! What a helper does for a start: looks at each volume through a mount that nobody else sees,
//! judges it, makes it if it is new, and writes the epoch into its record. Nothing here removes or
//! empties anything of a volume, ever.

use std::{io::Write, net::IpAddr, path::PathBuf};

use berth_core::{
    ids::{Epoch, HistoryId},
    order::VolumeOrder,
    volume::{NfsSource, Ownership, VolumeReport},
    waiting::Reason,
};
use nix::unistd::{Gid, Uid, setegid, seteuid, setgroups};
use serde::{Deserialize, Serialize};

use super::{
    dir::{Dir, Refused, denied},
    grow::grow_detached,
    guard::{Found, Whose, Wish},
    helper::end_with_parent,
    image,
    limits::Held,
    nfs::{mount_share, resolve},
    notes,
    owner::{self, OwnerRecord},
    place::Place,
    pool::PoolPlace,
    quota::{Kernel, Quota as _},
};
use crate::{
    host::{PreparedVolume, VolumeOwner, step_failed},
    keeper::{DATA, DATA_SEEN, OWNER, spec::Identity},
};

/// The volumes of a member that is to be started.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PrepareRequest {
    /// The history of the store that granted the epoch.
    pub(crate) history: HistoryId,
    /// The grant.
    pub(crate) epoch: Epoch,
    /// Where notes about volumes that hold none themselves are kept.
    pub(crate) notes: PathBuf,
    /// The volumes.
    pub(crate) volumes: Vec<VolumeTask>,
}

/// One volume to make ready.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeTask {
    /// The volume.
    pub(crate) order: VolumeOrder,
    /// Who is to own it, if it is new.
    pub(crate) owner: VolumeOwner,
    /// As numbers.
    pub(crate) identity: Identity,
    /// Where it is.
    pub(crate) place: Place,
}

/// What a directory of a volume may hold although nobody put anything into it.
pub(crate) const UNTOUCHED: [&str; 1] = ["lost+found"];

/// One volume that is being made ready.
struct Work<'a> {
    history: &'a HistoryId,
    notes: &'a PathBuf,
    wish: Wish<'a>,
    /// Whether the volume's user does it, because root may not.
    as_user: bool,
    /// Whether nothing may be written.
    read_only: bool,
}

/// Makes one volume ready.
pub(crate) fn prepare(
    request: &PrepareRequest,
    task: &VolumeTask,
) -> Result<PreparedVolume, Reason> {
    let mut place = task.place.clone();
    let nfs_read_only = matches!(&place, Place::Nfs { source, .. } if source.read_only);
    let mut work = Work {
        history: &request.history,
        notes: &request.notes,
        wish: Wish {
            volume: &task.order,
            epoch: request.epoch,
            owner: &task.owner,
            identity: &task.identity,
        },
        as_user: false,
        read_only: task.order.read_only || nfs_read_only,
    };
    let recorded = match &mut place {
        Place::Directory { pool, dir, bytes } => work.directory(pool, dir, *bytes),
        Place::Image { pool, dir, bytes } => work.image(pool, dir, *bytes),
        Place::Nfs { source, address } => {
            let found = address.map_or_else(|| resolve(&source.server), Ok);
            let found = found.map_err(|e| work.mount_failed(e))?;
            *address = Some(found);
            work.nfs(source, found)
        }
    };
    let recorded = recorded.map_err(|refused| refused.reason)?;
    let address = match &place {
        Place::Nfs { address, .. } => *address,
        Place::Directory { .. } | Place::Image { .. } => None,
    };
    Ok(PreparedVolume {
        name: task.order.name.clone(),
        source: task.order.source.describe(),
        place,
        read_only: task.order.read_only,
        epoch: (recorded && !work.read_only).then(|| work.wish.recorded_epoch()),
        identity: task.identity.clone(),
        report: VolumeReport {
            name: task.order.name.clone(),
            recorded,
            owner: Ownership {
                user: task.owner.user.clone(),
                uid: task.identity.uid,
                gid: task.identity.gid,
            },
            address,
            usage: None,
        },
    })
}

impl Work<'_> {
    fn mount_failed(&self, error: String) -> Reason {
        Reason::MountFailed {
            volume: self.wish.volume.name.clone(),
            source: self.wish.volume.source.describe(),
            error,
        }
    }

    fn directory(&self, place: &mut PoolPlace, dir: &str, size: u64) -> Result<bool, Refused> {
        let pool = place.open_or_mark(new_id)?;
        let writes = !self.read_only && size > 0;
        if writes && self.wish.volume.limited && !Kernel.is_enforced(&pool) {
            let (volume, pool) = (self.wish.volume.name.clone(), place.name.clone());
            return Err(Reason::VolumeNotLimited { volume, pool }.into());
        }
        self.managed(&pool, dir, 0o700, size)
    }

    /// A directory of ours, with data and record in it; held to a size where the file system does
    /// that.
    fn managed(&self, parent: &Dir, name: &str, mode: u32, size: u64) -> Result<bool, Refused> {
        let volume = parent.sub(name)?;
        let whose = self.whose(volume.as_ref())?;
        let data = sub(volume.as_ref(), DATA)?;
        let mut found = found(volume.as_ref(), data.as_ref())?;
        found.others = match &volume {
            Some(volume) => volume.holds_more_than(&["lost+found", DATA, OWNER])?,
            None => false,
        };
        self.wish.judge_data(whose, found)?;
        if self.read_only {
            return self.as_it_is(whose, data.as_ref());
        }
        let new = volume.is_none();
        let volume = parent.make(name, mode)?;
        let remote = self.wish.volume.source.is_shared();
        if new && remote && !self.as_user && volume.stat()?.st_uid != 0 {
            // The server takes root for somebody else, who let everybody make directories: ours
            // would be nobody's. It is as new as it is empty.
            parent.remove_dir(name)?;
            return Err(denied("make", volume.path()));
        }
        let data = self.make_data(&volume)?;
        // All is made first: then the file system writes its journal once, and not for each step.
        let project = Held::of(&Kernel, &volume, &data)?.hold(size)?;
        let recorded = self.record(&volume, whose, project)?;
        for made in [&data, &volume, parent] {
            made.sync()?;
        }
        Ok(recorded)
    }

    fn image(&self, pool: &mut PoolPlace, dir: &str, size: u64) -> Result<bool, Refused> {
        let pool = pool.open_or_mark(new_id)?;
        let (name, source) = (&self.wish.volume.name, self.wish.volume.source.describe());
        let volume = pool.sub(dir)?;
        let whose = self.whose(volume.as_ref())?;
        if let (Some(volume), Whose::Ours, false) = (&volume, whose, self.read_only) {
            or_smaller(grow_detached(volume, name, size))?;
        }
        let mounted = match &volume {
            Some(volume) => image::mount(volume, name, &source)?,
            None => None,
        };
        let root = mounted.as_ref();
        let root = root.map(|image| Dir::of_mount(&image.mount, pool.path()));
        let root = root.transpose()?;
        let data = sub(root.as_ref(), DATA)?;
        self.wish
            .judge_data(whose, found(volume.as_ref(), data.as_ref())?)?;
        if self.read_only {
            return self.as_it_is(whose, data.as_ref());
        }
        let volume = pool.make(dir, 0o700)?;
        let (mounted, root) = match (mounted, root) {
            (Some(mounted), Some(root)) => (mounted, root),
            (_, _) => {
                image::make(&volume, name, size)?;
                let made = image::mount(&volume, name, &source)?;
                let made = made.ok_or_else(|| self.mount_failed("it went away".to_owned()))?;
                let root = Dir::of_mount(&made.mount, volume.path())?;
                (made, root)
            }
        };
        // What is there must have its place on the disk; more than that is no condition of a start.
        mounted.grow(&volume, name, 0)?;
        or_smaller(mounted.grow(&volume, name, size))?;
        let data = self.make_data(&root)?;
        let recorded = self.record(&volume, whose, None)?;
        for made in [&data, &root, &volume, &pool] {
            made.sync()?;
        }
        Ok(recorded)
    }

    fn nfs(&mut self, source: &NfsSource, address: IpAddr) -> Result<bool, Refused> {
        let mount = mount_share(source, address).map_err(|e| self.mount_failed(e))?;
        let path = PathBuf::from(format!("{}:{}", source.server, source.path));
        let attempt = |work: &Self| {
            let share = Dir::of_mount(&mount, &path)?;
            match &source.sub_dir {
                // Its user must get to the data also where root is nobody.
                Some(dir) => work.managed(&share, dir, 0o711, 0),
                None => work.whole_share(&share).map(|()| false),
            }
        };
        match attempt(self) {
            // Servers with root_squash let the volume's user do more than root.
            Err(refused) if refused.denied && self.wish.identity.uid != 0 => {
                self.as_user = true;
                as_user(self.wish.identity, || attempt(self))?
            }
            done => done,
        }
    }

    /// A directory of a server that is the volume: nothing of ours is put into it.
    fn whole_share(&self, data: &Dir) -> Result<(), Refused> {
        if let Some(owner) = other_owner(data, &self.wish.volume.claim_uid) {
            let volume = self.wish.volume.name.clone();
            return Err(Reason::VolumeForeign { volume, owner }.into());
        }
        let filled = data.holds_more_than(&UNTOUCHED)?;
        let uid = &self.wish.volume.claim_uid;
        let about = data.stat()?;
        let still_empty = !filled && notes::was_empty(self.notes, uid, &about)?;
        self.wish.judge_unrecorded(filled, still_empty)?;
        if filled {
            // From now on an empty one is a loss, also if it looks as it did then.
            notes::forget(self.notes, uid)?;
        } else {
            notes::note_empty(self.notes, uid, &about)?;
            if !self.wish.volume.filled && !self.read_only {
                return self.give(data);
            }
        }
        Ok(())
    }

    /// The top directory of a new volume goes to its user. Where the server lets nobody change that,
    /// the user's own attempts will tell.
    fn give(&self, data: &Dir) -> Result<(), Refused> {
        match data.give(self.wish.identity) {
            Err(refused) if refused.denied && self.as_user => Ok(()),
            given => given,
        }
    }

    fn whose(&self, volume: Option<&Dir>) -> Result<Whose, Refused> {
        let Some(volume) = volume else {
            return Ok(Whose::Nobodys);
        };
        let record = owner::of_volume(volume)?;
        Ok(self.wish.judge_record(record.as_ref(), volume.path())?)
    }

    /// A volume that nobody may write to must be there.
    fn as_it_is(&self, whose: Whose, data: Option<&Dir>) -> Result<bool, Refused> {
        let empty = || Reason::VolumeEmpty {
            volume: self.wish.volume.name.clone(),
        };
        data.ok_or_else(empty)?;
        Ok(whose == Whose::Ours)
    }

    /// Makes the directory that the application sees, closed to all but its user. One that is there
    /// and holds something is left as it is. Not durable yet.
    fn make_data(&self, parent: &Dir) -> Result<Dir, Refused> {
        let data = parent.make(DATA, 0o700)?;
        if !data.holds_more_than(&UNTOUCHED)? {
            // One left by an interrupted first use is still root's.
            self.give(&data)?;
        }
        Ok(data)
    }

    /// Writes the epoch into the record. False where nothing can be written beside the data. Durable
    /// when the volume's directory is.
    fn record(&self, volume: &Dir, whose: Whose, project: Option<u32>) -> Result<bool, Refused> {
        match self.write_record(volume, whose, project) {
            Ok(()) => Ok(true),
            Err(refused) if refused.denied && self.as_user => Ok(false),
            Err(refused) => Err(refused),
        }
    }

    fn write_record(
        &self,
        volume: &Dir,
        whose: Whose,
        project: Option<u32>,
    ) -> Result<(), Refused> {
        let mut seen = false;
        if whose == Whose::Given {
            let kept = format!("{OWNER}.before-{}", self.wish.volume.claim_uid);
            let old = volume.sub(OWNER)?;
            seen = old.map_or(Ok(false), |old| old.has(DATA_SEEN))?;
            volume.rename(OWNER, &kept)?;
        }
        let records = volume.make(OWNER, 0o700)?;
        if seen {
            // It is given with its data: to lose that is a loss to the new owner, too.
            records.publish(DATA_SEEN, b"")?;
        }
        let (volume, identity) = (self.wish.volume, self.wish.identity);
        let record = OwnerRecord {
            history: self.history.clone(),
            claim: volume.claim.clone(),
            claim_uid: volume.claim_uid.clone(),
            epoch: self.wish.recorded_epoch(),
            user: self.wish.owner.user.clone(),
            uid: identity.uid,
            gid: identity.gid,
            project,
            departed: volume.departed,
        };
        owner::advance(&records, &record)
    }
}

/// Another claim whose record lies in a directory that an operator named: a class made it, and it was
/// reached by another name of its server or its export. No word of adoption was about that.
fn other_owner(data: &Dir, claim: &berth_core::ids::Uid) -> Option<String> {
    // What is no directory of records, or cannot be read, is the application's own.
    let record = owner::of_volume(data).ok()??;
    (record.claim_uid != *claim).then(|| {
        let OwnerRecord {
            claim, claim_uid, ..
        } = record;
        let at = data.path().join(OWNER);
        format!(
            "another claim: {claim} with uid {claim_uid}, in {}",
            at.display()
        )
    })
}

/// A volume that there is no room to grow is used as large as it is: its growth is a work of its
/// own, which is tried again and told.
fn or_smaller(grown: Result<(), Refused>) -> Result<(), Refused> {
    match grown {
        Err(refused) if matches!(refused.reason, Reason::VolumeNoSpace(_)) => {
            // The helper's own log is the agent's.
            drop(writeln!(
                std::io::stderr(),
                "the volume starts smaller than asked for: {}",
                refused.reason
            ));
            Ok(())
        }
        grown => grown,
    }
}

fn sub(parent: Option<&Dir>, name: &str) -> Result<Option<Dir>, Refused> {
    parent.map_or(Ok(None), |parent| parent.sub(name))
}

/// What there is to see of a volume with a record of its own.
fn found(volume: Option<&Dir>, data: Option<&Dir>) -> Result<Found, Refused> {
    let records = sub(volume, OWNER)?;
    Ok(Found {
        there: data.is_some(),
        filled: data.map_or(Ok(false), |data| data.holds_more_than(&UNTOUCHED))?,
        others: false,
        seen: records.map_or(Ok(false), |records| records.has(DATA_SEEN))?,
    })
}

pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Does something as another user. A helper has one thread.
pub(crate) fn as_user<T>(identity: &Identity, work: impl FnOnce() -> T) -> Result<T, Reason> {
    let failed = |e: nix::errno::Errno| step_failed("become the user", e.desc());
    let groups: Vec<Gid> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups).map_err(failed)?;
    setegid(Gid::from_raw(identity.gid)).map_err(failed)?;
    seteuid(Uid::from_raw(identity.uid)).map_err(failed)?;
    // The kernel forgets it with every change of who this is.
    end_with_parent();
    let done = work();
    seteuid(Uid::from_raw(0)).map_err(failed)?;
    end_with_parent();
    setegid(Gid::from_raw(0)).map_err(failed)?;
    setgroups(&[]).map_err(failed)?;
    Ok(done)
}

#[cfg(test)]
mod tests;

//! What a helper does with a volume that no member is being started on: it goes to the trash, comes
//! back, is removed from there for good, grows, or is copied ([`super::copy`]). Each may be done again,
//! and says then that it is done.
//!
//! The trash is a directory of the pool, or of the share: a volume goes there and comes back by one
//! rename, with its data and its records, and never over anything. What comes too late is kept away
//! by [`fence`]. What is to be removed gets another name first, so that half of it is never taken for
//! a volume.

use std::path::Path;

use berth_core::{
    volume::{
        PoolKind, VolumeSource,
        work::{VolumeTask, VolumeWork},
    },
    waiting::Reason,
};
use rustix::{
    fs::{AtFlags, RenameFlags, renameat, renameat_with, statat},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use super::{
    copy,
    dir::{Dir, Refused, failed},
    fence,
    grow::grow_detached,
    image::{self, IMAGE, UNFINISHED},
    limits::{Held, forget},
    loops::LoopDevice,
    nfs::{mount_share, resolve},
    owner,
    place::Place,
    prepare::{UNTOUCHED, as_user, new_id},
    quota::{Kernel, Quota as _},
    remove::remove_tree,
};
use crate::{
    host::path_failed,
    keeper::{DATA, OWNER, spec::Identity},
};

/// The directory of volumes that were deleted, in their pool or share. No volume's directory can be
/// called so: theirs do not begin with a dot.
pub(crate) const TRASH: &str = ".berth-trash";

/// What the name of a volume in the trash begins with that is being removed for good.
const REMOVING: &str = ".removing-";

/// In the trash of a share whose server takes root for nobody, each user puts their own.
const FOR_ALL_USERS: u32 = 0o1777;

/// A work, and where its volume is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkRequest {
    /// What to do.
    pub(crate) work: VolumeWork,
    /// Where its data is.
    pub(crate) place: Place,
}

/// Does a work.
pub(crate) fn work(request: &WorkRequest) -> Result<(), Reason> {
    let done = match request.work.task {
        VolumeTask::Trash | VolumeTask::Restore | VolumeTask::Purge => relocate(request),
        VolumeTask::Grow { bytes } => grow(request, bytes),
        VolumeTask::Snapshot { online } => {
            local(request).and_then(|lying| copy::snapshot(&lying, online))
        }
        VolumeTask::Populate { online } => populate(request, online),
        VolumeTask::Discard => local(request).and_then(|lying| copy::discard(&lying)),
        // Each is a request of its own: their data comes or goes beside them.
        VolumeTask::Receive { .. } | VolumeTask::Send { .. } => Ok(()),
    };
    done.map_err(|refused| refused.reason)
}

/// A volume, and the directory that its own lies in.
#[derive(Debug)]
pub(super) struct Lying<'a> {
    pub(super) work: &'a VolumeWork,
    /// The pool or the share.
    pub(super) parent: Dir,
    /// Its directory there.
    pub(super) dir: &'a str,
    /// How its data is kept; `None` on a server.
    pub(super) kept: Option<PoolKind>,
    /// Whether the volume's user does it, because root may not.
    as_user: bool,
}

fn relocate(request: &WorkRequest) -> Result<(), Refused> {
    let work = &request.work;
    let mut lying = match &request.place {
        Place::Directory { pool, dir, .. } => in_pool(work, pool, dir, PoolKind::Directory)?,
        Place::Image { pool, dir, .. } => in_pool(work, pool, dir, PoolKind::Image)?,
        Place::Nfs { source, address } => {
            let mount_failed = |error: String| Reason::MountFailed {
                volume: work.volume.name.to_string(),
                source: work.source.describe(),
                error,
            };
            let Some(dir) = &source.sub_dir else {
                let error = "the whole share is the volume, and its data is not Berth's";
                return Err(mount_failed(error.to_owned()).into());
            };
            let address = address.map_or_else(|| resolve(&source.server), Ok);
            let mount = address.and_then(|address| mount_share(source, address));
            let mount = mount.map_err(mount_failed)?;
            let path = format!("{}:{}", source.server, source.path);
            Lying {
                work,
                parent: Dir::of_mount(&mount, Path::new(&path))?,
                dir,
                kept: None,
                as_user: false,
            }
        }
    };
    match (lying.relocate(), lying.user()) {
        (Err(refused), Some(user)) if refused.denied && lying.kept.is_none() => {
            lying.as_user = true;
            as_user(&user, || lying.relocate())?
        }
        (done, _) => done,
    }
}

fn populate(request: &WorkRequest, online: bool) -> Result<(), Refused> {
    let lying = local(request)?;
    let from = request.work.from.as_ref();
    let beside = from.and_then(|from| match &from.source {
        VolumeSource::Local { pool, dir, .. } => {
            (request.work.source.pool() == Some(pool)).then_some((from, dir))
        }
        VolumeSource::Nfs(_) => None,
    });
    let Some((from, dir)) = beside else {
        let error = "what it begins with is not in its pool";
        return Err(path_failed("copy to", &lying.parent.path().join(lying.dir), error).into());
    };
    copy::populate(&lying, from, dir, online)
}

/// A volume in a pool.
pub(super) fn local(request: &WorkRequest) -> Result<Lying<'_>, Refused> {
    let work = &request.work;
    match &request.place {
        Place::Directory { pool, dir, .. } => in_pool(work, pool, dir, PoolKind::Directory),
        Place::Image { pool, dir, .. } => in_pool(work, pool, dir, PoolKind::Image),
        Place::Nfs { source, .. } => {
            let path = format!("{}:{}", source.server, source.path);
            let error = "what is on a server is not copied";
            Err(path_failed("copy", Path::new(&path), error).into())
        }
    }
}

fn in_pool<'a>(
    work: &'a VolumeWork,
    pool: &super::PoolPlace,
    dir: &'a str,
    kept: PoolKind,
) -> Result<Lying<'a>, Refused> {
    Ok(Lying {
        work,
        parent: pool.clone().open_or_mark(new_id)?,
        dir,
        kept: Some(kept),
        as_user: false,
    })
}

impl Lying<'_> {
    pub(super) fn name(&self) -> &str {
        self.work.volume.name.as_str()
    }

    /// Who owns the volume's directory, wherever it is, if that is not root: where a server takes
    /// root for nobody, its user made it.
    fn user(&self) -> Option<Identity> {
        let look = |at: &str| statat(&self.parent, at, AtFlags::SYMLINK_NOFOLLOW).ok();
        let mut thrown = self.trips().rev().map(|name| format!("{TRASH}/{name}"));
        let mut going = self
            .trips()
            .rev()
            .map(|name| format!("{TRASH}/{REMOVING}{name}"));
        let about = match self.work.task {
            // What is at its place by now is another volume.
            VolumeTask::Purge => thrown
                .find_map(|name| look(&name))
                .or_else(|| going.find_map(|name| look(&name))),
            VolumeTask::Trash
            | VolumeTask::Restore
            | VolumeTask::Grow { .. }
            | VolumeTask::Snapshot { .. }
            | VolumeTask::Populate { .. }
            | VolumeTask::Receive { .. }
            | VolumeTask::Send { .. }
            | VolumeTask::Discard => look(self.dir).or_else(|| thrown.find_map(|name| look(&name))),
        }?;
        (about.st_uid != 0).then(|| Identity {
            uid: about.st_uid,
            gid: about.st_gid,
            groups: Vec::new(),
        })
    }

    /// The names that it has had in the trash so far.
    fn trips(&self) -> impl DoubleEndedIterator<Item = String> {
        (0..=self.work.deletion).map(|number| fence::trip(self.name(), number))
    }

    fn relocate(&self) -> Result<(), Refused> {
        match self.work.task {
            VolumeTask::Trash => self.throw_away(),
            VolumeTask::Restore => self.take_back(),
            VolumeTask::Purge => self.remove(),
            VolumeTask::Grow { .. }
            | VolumeTask::Snapshot { .. }
            | VolumeTask::Populate { .. }
            | VolumeTask::Receive { .. }
            | VolumeTask::Send { .. }
            | VolumeTask::Discard => Ok(()),
        }
    }

    fn throw_away(&self) -> Result<(), Refused> {
        if self.kept.is_some() {
            copy::forget_attempts(self)?;
        }
        let Some(volume) = self.parent.sub(self.dir)? else {
            // It is there already, or was never made.
            return self.make_durable(self.parent.sub(TRASH)?.as_ref());
        };
        self.check_owner(&volume)?;
        if self.kept == Some(PoolKind::Image)
            && let Some(image) = volume.file(IMAGE)?
        {
            check_detached(self.name(), &image)?;
        }
        let trash = self.trash()?;
        let name = fence::trip(self.name(), self.work.deletion);
        if trash.has(&name)? {
            return Err(taken("move to the trash", &trash, &name).into());
        }
        rename((&self.parent, self.dir), (&trash, &name))?;
        self.make_durable(Some(&trash))
    }

    fn take_back(&self) -> Result<(), Refused> {
        if let Some(trash) = self.parent.sub(TRASH)? {
            for name in self.trips() {
                self.take_back_from(&trash, &name)?;
            }
        }
        // Of one that was never made there is nothing at its place.
        let volume = self.parent.sub(self.dir)?;
        volume
            .as_ref()
            .map_or(Ok(()), |volume| self.check_owner(volume))?;
        match self.close_trips() {
            Err(refused) if refused.denied && volume.is_none() => self.parent.sync(),
            closed => closed,
        }
    }

    fn take_back_from(&self, trash: &Dir, name: &str) -> Result<(), Refused> {
        let Some(thrown) = trash.sub(name)? else {
            return Ok(());
        };
        // An empty one is a name that was about to be closed.
        if fence::is_closed(&thrown)? || !thrown.holds_more_than(&[])? {
            return Ok(());
        }
        self.check_owner(&thrown)?;
        if self.parent.has(self.dir)? {
            return Err(taken("bring back to", &self.parent, self.dir).into());
        }
        rename((trash, name), (&self.parent, self.dir))?;
        // Durable before the name is closed, which makes a directory in its place.
        self.make_durable(Some(trash))
    }

    /// Lets nothing that was decided before the return take the volume away after it.
    fn close_trips(&self) -> Result<(), Refused> {
        let trash = self.trash()?;
        for name in self.trips() {
            fence::close(&trash, &name)?;
        }
        self.make_durable(Some(&trash))
    }

    fn remove(&self) -> Result<(), Refused> {
        let Some(trash) = self.parent.sub(TRASH)? else {
            return Ok(());
        };
        for name in self.trips() {
            self.remove_trip(&trash, &name)?;
        }
        trash.sync()
    }

    /// The name stays closed: what was decided before the removal and comes late must not take
    /// whoever has the volume's place by then.
    fn remove_trip(&self, trash: &Dir, name: &str) -> Result<(), Refused> {
        let going = format!("{REMOVING}{name}");
        if let Some(thrown) = trash.sub(name)?
            && !fence::is_closed(&thrown)?
            && thrown.holds_more_than(&[])?
        {
            self.check_owner(&thrown)?;
            if self.kept == Some(PoolKind::Image)
                && let Some(image) = thrown.file(IMAGE)?
            {
                check_detached(self.name(), &image)?;
            }
            rename((trash, name), (trash, &going))?;
        }
        fence::close(trash, name)?;
        trash.sync()?;
        let project = self.project(trash, &going)?;
        remove_tree(trash, &going)?;
        // What an interruption leaves of it is a limit that nobody has.
        project.map_or(Ok(()), |project| forget(&Kernel, trash, project))
    }

    /// The project that holds what is to be removed to its size.
    fn project(&self, trash: &Dir, going: &str) -> Result<Option<u32>, Refused> {
        if self.kept != Some(PoolKind::Directory) || !Kernel.is_enforced(trash) {
            return Ok(None);
        }
        let Some(volume) = trash.sub(going)? else {
            return Ok(None);
        };
        let data = volume.sub(DATA)?;
        let Some(data) = data else {
            return Ok(None);
        };
        let held = Held::of(&Kernel, &volume, &data)?;
        Ok(held.recorded.or(held.own()?))
    }

    /// Also of a rename that an attempt before did: it may have been killed right after.
    fn make_durable(&self, trash: Option<&Dir>) -> Result<(), Refused> {
        trash.map_or(Ok(()), Dir::sync)?;
        self.parent.sync()
    }

    fn trash(&self) -> Result<Dir, Refused> {
        let is_new = !self.parent.has(TRASH)?;
        let trash = self.parent.make(TRASH, 0o700)?;
        if is_new && self.as_user {
            let mode = rustix::fs::Mode::from_raw_mode(FOR_ALL_USERS);
            rustix::fs::fchmod(&trash, mode).map_err(|e| failed("open", trash.path(), e))?;
        }
        Ok(trash)
    }

    /// The data must be that of a claim that the volume was bound to: an operator who deletes a
    /// volume does not mean what somebody else put in its place.
    fn check_owner(&self, volume: &Dir) -> Result<(), Refused> {
        let owner = match owner::of_volume(volume)? {
            Some(record) if self.work.owners.contains(&record.claim_uid) => return Ok(()),
            Some(record) => format!("claim {} with uid {}", record.claim, record.claim_uid),
            // A server may let nothing be written beside the data.
            None if self.kept.is_none() && self.work.filled => return Ok(()),
            None if self.is_unused(volume)? => return Ok(()),
            None => "nobody (it has no owner record)".to_owned(),
        };
        Err(self.foreign(volume, &owner).into())
    }

    pub(super) fn foreign(&self, volume: &Dir, owner: &str) -> Reason {
        Reason::VolumeForeign {
            volume: self.name().to_owned(),
            owner: format!("{owner}, in {}", volume.path().display()),
        }
    }

    /// Whether this is what a first start leaves that was interrupted before it wrote its record.
    fn is_unused(&self, volume: &Dir) -> Result<bool, Refused> {
        if let Some(data) = volume.sub(DATA)?
            && data.holds_more_than(&UNTOUCHED)?
        {
            return Ok(false);
        }
        let names = volume.names()?;
        let image = self.kept == Some(PoolKind::Image);
        if image && self.image_holds_data(volume)? {
            return Ok(false);
        }
        let made = |name: &String| {
            let in_image_pool = image && (name == IMAGE || name.starts_with(UNFINISHED));
            name == DATA || name == OWNER || UNTOUCHED.contains(&name.as_str()) || in_image_pool
        };
        Ok(names.iter().all(made))
    }
}

impl Lying<'_> {
    /// Whether there is something in the image of a volume; looked at without anybody seeing it.
    pub(super) fn image_holds_data(&self, volume: &Dir) -> Result<bool, Refused> {
        let Some(mounted) = image::mount(volume, self.name(), &self.work.source.describe())? else {
            return Ok(false);
        };
        let root = Dir::of_mount(&mounted.mount, volume.path())?;
        if root.holds_more_than(&[DATA, UNTOUCHED[0]])? {
            return Ok(true);
        }
        match root.sub(DATA)? {
            Some(data) => data.holds_more_than(&UNTOUCHED),
            None => Ok(false),
        }
    }
}

pub(super) fn check_detached(volume: &str, image: &std::fs::File) -> Result<(), Reason> {
    let path = image::path_of(image);
    let found = LoopDevice::showing(image);
    let found = found.map_err(|e| path_failed("find the device of", Path::new(&path), e))?;
    found.first().map_or(Ok(()), |device| {
        Err(Reason::VolumeBusy {
            volume: volume.to_owned(),
            by: format!("{}, which shows its image", device.path),
        })
    })
}

pub(super) fn taken(step: &str, parent: &Dir, name: &str) -> Reason {
    let error = "something is there already; move it away, then it is tried again";
    path_failed(step, &parent.path().join(name), error)
}

/// Renames, and never over anything.
pub(super) fn rename(from: (&Dir, &str), to: (&Dir, &str)) -> Result<(), Refused> {
    let renamed = renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE);
    let renamed = match renamed {
        // A file system that cannot say so itself, such as NFS. One helper at a time works on a
        // volume, and nobody else makes anything at its place.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if !to.0.has(to.1)? => {
            renameat(from.0, from.1, to.0, to.1)
        }
        renamed => renamed,
    };
    renamed.map_err(|e| failed("rename to", &to.0.path().join(to.1), e))
}

/// Makes a volume at least this large, also while a member runs on it: an image with its file system,
/// a directory by its quota. Nothing limits what is kept otherwise, so that there is nothing to do.
fn grow(request: &WorkRequest, bytes: u64) -> Result<(), Refused> {
    let work = &request.work;
    let (pool, dir, kind) = match &request.place {
        Place::Image { pool, dir, .. } => (pool, dir, PoolKind::Image),
        Place::Directory { pool, dir, .. } => (pool, dir, PoolKind::Directory),
        Place::Nfs { .. } => return Ok(()),
    };
    let lying = in_pool(work, pool, dir, kind)?;
    let name = lying.name();
    let lost = || Reason::VolumeEmpty {
        volume: name.to_owned(),
    };
    let volume = lying.parent.sub(dir)?.ok_or_else(lost)?;
    lying.check_owner(&volume)?;
    if kind == PoolKind::Directory {
        let data = volume.sub(DATA)?.ok_or_else(lost)?;
        return Held::of(&Kernel, &volume, &data)?.raise(bytes);
    }
    let file = volume.file(IMAGE)?.ok_or_else(lost)?;
    image::check_room(&volume, name, &file, bytes)?;
    grow_detached(&volume, name, bytes)?;
    // The device is the one that a running member has, if there is one, and so is the file system.
    let mounted = image::mount(&volume, name, &work.source.describe())?;
    mounted.ok_or_else(lost)?.grow(&volume, name, bytes)
}

#[cfg(test)]
mod tests;

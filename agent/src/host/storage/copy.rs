//! Copies of volumes: snapshots, and volumes that begin with the data of another one.
//!
//! A copy is made under a name of its attempt, in a directory of the pool that no volume can be in,
//! and renamed when it is complete and durable: what has its own name is whole, whatever died before.
//! Each attempt first removes what earlier ones left.

use std::{
    fs::File,
    io::{Seek, SeekFrom},
    os::fd::{AsFd, AsRawFd},
    process::{Command, Stdio},
};

use berth_core::{
    ids::Epoch,
    volume::{
        PoolKind,
        work::{CopySource, VolumeWork},
    },
    waiting::Reason,
};
use rustix::{
    fs::{copy_file_range, ioctl_ficlone, seek, syncfs},
    io::Errno,
};

use super::{
    dir::{Dir, Refused, failed, os},
    freeze::frozen,
    image::{self, IMAGE},
    owner::{self, OwnerRecord},
    prepare::UNTOUCHED,
    work::{Lying, check_detached, rename, taken},
};
use crate::{
    host::path_failed,
    keeper::{DATA, DATA_SEEN, OWNER},
};

/// The directory of snapshots in a pool, and of copies that are being made. No volume's directory
/// can be called so.
pub(super) const SNAPSHOTS: &str = ".berth-snapshots";
/// The beginning of the name of a copy that is being made.
const UNFINISHED: &str = "new.";
/// What copies a directory with everything that belongs to its files.
const COPY: &str = "cp";

/// Takes a snapshot of the volume that the work is about.
pub(super) fn snapshot(lying: &Lying<'_>, online: bool) -> Result<(), Refused> {
    let snapshots = lying.parent.make(SNAPSHOTS, 0o700)?;
    lying.parent.sync()?;
    let name = lying.name();
    if snapshots.has(name)? {
        return snapshots.sync();
    }
    let from = lying.parent.sub(lying.dir)?;
    let from = from.ok_or_else(|| lost(lying.work))?;
    let record = OwnerRecord {
        project: None,
        departed: None,
        ..lying.owned(&from, &lying.work.owners)?
    };
    make(lying, &snapshots, (&from, online), |made| {
        publish(made, &record)
    })?;
    let staged = staged(lying.work);
    snapshots.rename_new(&staged, name)
}

/// Makes the volume that the work is about with the data that it begins with.
pub(super) fn populate(
    lying: &Lying<'_>,
    from: &CopySource,
    from_dir: &str,
    online: bool,
) -> Result<(), Refused> {
    let snapshots = lying.parent.make(SNAPSHOTS, 0o700)?;
    lying.parent.sync()?;
    if let Some(there) = lying.parent.sub(lying.dir)? {
        let uid = &from.claim.uid;
        let record = owner::of_volume(&there)?;
        if record.is_some_and(|record| record.claim_uid == *uid) {
            return lying.parent.sync();
        }
        return Err(taken("copy to", &lying.parent, lying.dir).into());
    }
    let (data, online) = match &from.snapshot {
        // Nobody writes to a snapshot.
        Some(name) => (snapshots.sub(name.name.as_str())?, false),
        None => (lying.parent.sub(from_dir)?, online),
    };
    let data = data.ok_or_else(|| lost(lying.work))?;
    let record = OwnerRecord {
        claim: from.claim.key.clone(),
        claim_uid: from.claim.uid.clone(),
        // Before every grant.
        epoch: Epoch::default(),
        // It gets its own with its first start.
        project: None,
        departed: None,
        ..lying.owned(&data, &from.owners)?
    };
    make(lying, &snapshots, (&data, online), |made| {
        publish(made, &record)?;
        if lying.holds_data(made)? {
            made.make(OWNER, 0o700)?.publish(DATA_SEEN, b"")?;
        }
        Ok(())
    })?;
    rename(
        (&snapshots, &staged(lying.work)),
        (&lying.parent, lying.dir),
    )?;
    snapshots.sync()?;
    lying.parent.sync()
}

/// Removes the data of a snapshot, and what attempts to take it left.
pub(super) fn discard(lying: &Lying<'_>) -> Result<(), Refused> {
    let Some(snapshots) = lying.parent.sub(SNAPSHOTS)? else {
        return Ok(());
    };
    sweep(&snapshots, lying.name())?;
    if snapshots.has(lying.name())? {
        // So that what is left of it, if this ends early, is no snapshot any more.
        snapshots.rename(lying.name(), &staged(lying.work))?;
        remove(&snapshots, &staged(lying.work))?;
    }
    snapshots.sync()
}

/// Removes what attempts to copy to a volume left.
pub(super) fn forget_attempts(lying: &Lying<'_>) -> Result<(), Refused> {
    match lying.parent.sub(SNAPSHOTS)? {
        Some(snapshots) => sweep(&snapshots, lying.name()),
        None => Ok(()),
    }
}

fn lost(work: &VolumeWork) -> Reason {
    Reason::VolumeEmpty {
        volume: work.volume.name.to_string(),
    }
}

/// The name of a copy while it is made: a program that an attempt before left writes to another.
pub(super) fn staged(work: &VolumeWork) -> String {
    format!("{UNFINISHED}{}.{}", work.volume.name, std::process::id())
}

pub(super) fn sweep(snapshots: &Dir, name: &str) -> Result<(), Refused> {
    let begin = format!("{UNFINISHED}{name}.");
    for left in snapshots.names()? {
        if left.starts_with(&begin) {
            remove(snapshots, &left)?;
        }
    }
    Ok(())
}

/// Removes a copy with all that is in it.
pub(super) fn remove(snapshots: &Dir, name: &str) -> Result<(), Refused> {
    // From the directory that is held open, and over no symbolic link: the library sees to that.
    let path = format!("/proc/self/fd/{}/{name}", snapshots.as_fd().as_raw_fd());
    let removed = std::fs::remove_dir_all(path);
    removed.map_err(|e| failed("remove", &snapshots.path().join(name), os(&e)))
}

fn publish(made: &Dir, record: &OwnerRecord) -> Result<(), Refused> {
    let records = made.make(OWNER, 0o700)?;
    owner::advance(&records, record)
}

/// Makes a copy under the name of this attempt, durable; whatever fails, nothing is left of it.
fn make(
    lying: &Lying<'_>,
    snapshots: &Dir,
    (from, online): (&Dir, bool),
    finish: impl FnOnce(&Dir) -> Result<(), Refused>,
) -> Result<(), Refused> {
    sweep(snapshots, lying.name())?;
    let name = staged(lying.work);
    let made = snapshots.make(&name, 0o700)?;
    let done = match lying.kept {
        Some(PoolKind::Image) => image(lying, from, &made, online),
        Some(PoolKind::Directory) => directory(from, &made),
        None => Err(path_failed("copy", from.path(), "it is on a server").into()),
    };
    let done = done.and_then(|()| finish(&made)).and_then(|()| made.sync());
    if done.is_err() {
        // What fails here too is swept by the next attempt.
        drop(remove(snapshots, &name));
    }
    done
}

/// Copies an image: in one instant while its file system stands still, else as it lies there.
fn image(lying: &Lying<'_>, from: &Dir, to: &Dir, online: bool) -> Result<(), Refused> {
    let path = from.path().join(IMAGE);
    let image = from.file(IMAGE)?.ok_or_else(|| lost(lying.work))?;
    let copy = to.make_file(IMAGE)?;
    let io = |e: std::io::Error| failed("copy", &path, os(&e));
    let shared = || ioctl_ficlone(&copy, &image);
    if online {
        let source = lying.work.source.describe();
        let mounted = image::mount(from, lying.name(), &source)?;
        let mounted = mounted.ok_or_else(|| lost(lying.work))?;
        let root = Dir::of_mount(&mounted.mount, &path)?;
        image.sync_all().map_err(io)?;
        frozen(&root, || shared().map_err(|e| failed("copy", &path, e)))?;
        return copy.sync_all().map_err(io);
    }
    check_detached(lying.name(), &image)?;
    match shared() {
        Ok(()) => {}
        Err(Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::XDEV) => {
            let size = image.metadata().map_err(io)?.len();
            image::check_room(to, lying.name(), &copy, size)?;
            image::allocate(to, lying.name(), &copy, size)?;
            copy_blocks(&image, &copy, size).map_err(|e| failed("copy", &path, e))?;
        }
        Err(error) => return Err(failed("copy", &path, error)),
    }
    copy.sync_all().map_err(io)
}

/// Copies what was ever written of a file to one that is allocated already.
fn copy_blocks(from: &File, to: &File, size: u64) -> rustix::io::Result<()> {
    let mut at = 0;
    loop {
        at = match seek(from, rustix::fs::SeekFrom::Data(at)) {
            Ok(at) => at,
            // Nothing more was.
            Err(Errno::NXIO) => return Ok(()),
            Err(error) => return Err(error),
        };
        let end = seek(from, rustix::fs::SeekFrom::Hole(at))?.min(size);
        let (mut source, mut target) = (from, to);
        source.seek(SeekFrom::Start(at)).map_err(|e| os(&e))?;
        target.seek(SeekFrom::Start(at)).map_err(|e| os(&e))?;
        while at < end {
            let rest = usize::try_from((end - at).min(1 << 30)).unwrap_or(1 << 30);
            let copied = match copy_file_range(from, None, to, None, rest)? {
                0 => return Err(Errno::IO),
                copied => copied,
            };
            at = at.saturating_add(u64::try_from(copied).unwrap_or(u64::MAX));
        }
    }
}

/// Copies a directory that nobody writes to, with owners, modes, times, links and attributes. The
/// blocks are shared: a pool that cannot do that copies nothing.
fn directory(from: &Dir, to: &Dir) -> Result<(), Refused> {
    let Some(data) = from.sub(DATA)? else {
        let error = "its data is not there";
        return Err(path_failed("copy", from.path(), error).into());
    };
    let made = to.make(DATA, 0o700)?;
    let step = |error: String| path_failed("copy", data.path(), error);
    let owned = |dir: &Dir| dir.as_fd().try_clone_to_owned();
    let (input, output) = (owned(&data), owned(&made));
    let input = input.map_err(|e| step(e.to_string()))?;
    let output = output.map_err(|e| step(e.to_string()))?;
    let output = Command::new(COPY)
        .args(["-a", "--reflink=always", "--no-target-directory"])
        // The directories themselves, whatever is at their paths by now.
        .args(["/proc/self/fd/0/.", "/proc/self/fd/1/."])
        .env_clear()
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output))
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|e| step(format!("{COPY}: {e}; install coreutils")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(step(format!("{COPY}: {}: {}", output.status, said.trim())).into());
    }
    syncfs(to).map_err(|e| failed("sync", to.path(), e))
}

impl Lying<'_> {
    /// The owner record of data that is one of these claims'.
    pub(super) fn owned(
        &self,
        volume: &Dir,
        owners: &[berth_core::ids::Uid],
    ) -> Result<OwnerRecord, Refused> {
        match owner::of_volume(volume)? {
            Some(record) if owners.contains(&record.claim_uid) => Ok(record),
            Some(record) => {
                let owner = format!("claim {} with uid {}", record.claim, record.claim_uid);
                Err(self.foreign(volume, &owner).into())
            }
            None => {
                let owner = "nobody (it has no owner record)";
                Err(self.foreign(volume, owner).into())
            }
        }
    }

    /// Whether an application would find something in a copy.
    fn holds_data(&self, made: &Dir) -> Result<bool, Refused> {
        if self.kept == Some(PoolKind::Image) {
            return self.image_holds_data(made);
        }
        let data = made.sub(DATA)?;
        data.map_or(Ok(false), |data| data.holds_more_than(&UNTOUCHED))
    }
}

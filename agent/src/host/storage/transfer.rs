//! The data of a member that moves: what a helper does on the host that has it, and on the one that it
//! goes to.
//!
//! On the first the owner record gets the epoch of the move before anything is read: from then on no
//! order that does not know of the move starts anybody there. What is read is weighed, and goes as an
//! archive; on the second it is unpacked under a name of its attempt, weighed again after it was written
//! out, and only then it gets its own name, by one rename.

use std::process::{Command, Stdio};

use berth_core::{
    ids::Epoch,
    volume::{
        Ownership, PoolKind,
        transfer::{Owned, Weight},
        work::CopySource,
    },
    waiting::Reason,
};
use rustix::fs::syncfs;

use super::{
    copy::{SNAPSHOTS, remove, staged, sweep},
    dir::{Dir, Refused, failed},
    image::{self, MountedImage},
    owner::{self, OwnerRecord},
    prepare::UNTOUCHED,
    work::{Lying, WorkRequest, check_detached, local, rename, taken},
};
use crate::{
    host::path_failed,
    keeper::{DATA, DATA_SEEN, OWNER},
};

/// What packs and unpacks a directory with everything that belongs to its files.
const TAR: &str = "tar";
/// Where programs are that a helper needs.
const PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin";
/// Owners by number, attributes and access lists; times to the nanosecond; holes stay holes.
const AS_IT_IS: [&str; 5] = [
    "--format=posix",
    "--numeric-owner",
    "--xattrs",
    "--xattrs-include=*",
    "--acls",
];

/// The data of a volume, held open.
struct Opened {
    data: Dir,
    /// The image that it lies in is mounted as long as this is there.
    _mounted: Option<MountedImage>,
}

fn open(lying: &Lying<'_>, volume: &Dir) -> Result<Option<Opened>, Refused> {
    if lying.kept != Some(PoolKind::Image) {
        let data = volume.sub(DATA)?;
        return Ok(data.map(|data| Opened {
            data,
            _mounted: None,
        }));
    }
    if let Some(file) = volume.file(image::IMAGE)? {
        check_detached(lying.name(), &file)?;
    }
    let source = lying.work.source.describe();
    let Some(mounted) = image::mount(volume, lying.name(), &source)? else {
        return Ok(None);
    };
    let root = Dir::of_mount(&mounted.mount, volume.path())?;
    let data = root.sub(DATA)?;
    Ok(data.map(|data| Opened {
        data,
        _mounted: Some(mounted),
    }))
}

fn empty(lying: &Lying<'_>) -> Refused {
    let volume = lying.name().to_owned();
    Reason::VolumeEmpty { volume }.into()
}

/// Says what a volume holds, and marks it as one whose data goes elsewhere. One that no member was ever
/// started on holds nothing.
pub(crate) fn weigh(request: &WorkRequest, epoch: Epoch) -> Result<Weight, Refused> {
    let lying = local(request)?;
    let volume = lying.parent.sub(lying.dir)?;
    let record = volume.as_ref().map(owner::of_volume).transpose()?.flatten();
    let (Some(volume), Some(_)) = (volume, record) else {
        return if lying.work.filled {
            Err(empty(&lying))
        } else {
            Ok(Weight::default())
        };
    };
    let record = lying.owned(&volume, &lying.work.owners)?;
    depart(&lying, &volume, &record, epoch)?;
    let opened = open(&lying, &volume)?.ok_or_else(|| empty(&lying))?;
    let weight = super::weigh::weigh(&opened.data)?;
    let owner = Ownership {
        user: record.user,
        uid: record.uid,
        gid: record.gid,
    };
    let history = record.history;
    Ok(Weight {
        owned: Some(Owned { history, owner }),
        ..weight
    })
}

/// Writes the move into the owner record. A member that was started since has a later epoch there: then
/// this move came to nothing.
fn depart(
    lying: &Lying<'_>,
    volume: &Dir,
    record: &OwnerRecord,
    epoch: Epoch,
) -> Result<(), Refused> {
    let departed = Some(epoch);
    if record.epoch == epoch && record.departed == departed {
        return Ok(());
    }
    if record.epoch >= epoch {
        let owner = format!("epoch {}, which is later than the move", record.epoch);
        return Err(lying.foreign(volume, &owner).into());
    }
    let records = volume.make(OWNER, 0o700)?;
    let record = OwnerRecord {
        epoch,
        departed,
        ..record.clone()
    };
    owner::advance(&records, &record)?;
    records.sync()?;
    volume.sync()
}

/// Writes the data of a volume as an archive.
pub(crate) fn send(request: &WorkRequest, output: Stdio) -> Result<(), Refused> {
    let lying = local(request)?;
    let volume = lying.parent.sub(lying.dir)?.ok_or_else(|| empty(&lying))?;
    lying.owned(&volume, &lying.work.owners)?;
    let opened = open(&lying, &volume)?.ok_or_else(|| empty(&lying))?;
    let mut tar = Command::new(TAR);
    tar.args(["--create", "--file=-", "--sparse"])
        .args(AS_IT_IS)
        .arg("--directory")
        .arg(opened.data.shown())
        .arg(".")
        .stdin(Stdio::null())
        .stdout(output);
    run(tar, "pack", &opened.data)
}

fn run(mut tar: Command, step: &str, at: &Dir) -> Result<(), Refused> {
    let failed = |error: String| Refused::from(path_failed(step, at.path(), error));
    let output = tar
        .env_clear()
        .env("PATH", PATH)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|e| failed(format!("{TAR}: {e}; install {TAR}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or_default();
    Err(failed(format!("{TAR}: {}: {said}", output.status)))
}

/// Makes a volume of what comes in as an archive.
pub(crate) fn receive(
    request: &WorkRequest,
    weight: &Weight,
    (epoch, bytes): (Epoch, u64),
    input: Stdio,
) -> Result<(), Refused> {
    let lying = local(request)?;
    let from = lying.work.from.as_ref().ok_or_else(|| empty(&lying))?;
    if let Some(there) = lying.parent.sub(lying.dir)? {
        if arrived(&there, from, epoch)? {
            return lying.parent.sync();
        }
        return Err(taken("copy to", &lying.parent, lying.dir).into());
    }
    let Some(owned) = &weight.owned else {
        // Nobody was ever started on it: the first start makes it.
        return Ok(());
    };
    let snapshots = lying.parent.make(SNAPSHOTS, 0o700)?;
    lying.parent.sync()?;
    sweep(&snapshots, lying.name())?;
    let name = staged(lying.work);
    let made = snapshots.make(&name, 0o700)?;
    let done = make_room(&lying, &made, bytes)
        .and_then(|()| unpack(&lying, &made, weight, input))
        .and_then(|()| publish(&made, from, owned, epoch))
        .and_then(|()| rename((&snapshots, &name), (&lying.parent, lying.dir)));
    if done.is_err() {
        // What cannot be removed is swept with the next attempt.
        drop(remove(&snapshots, &name));
    }
    done?;
    snapshots.sync()?;
    lying.parent.sync()
}

/// Whether what is there is what this move brought, before its answer was lost. The claim alone does not
/// say so: an earlier move may have come to nothing after its data had arrived, on a host that was away and
/// came back with it, and its member has written elsewhere since.
fn arrived(there: &Dir, from: &CopySource, epoch: Epoch) -> Result<bool, Refused> {
    let record = owner::of_volume(there)?;
    Ok(record.is_some_and(|record| {
        let of_move = (&from.claim.uid, epoch, None);
        (&record.claim_uid, record.epoch, record.departed) == of_move
    }))
}

/// Makes an empty volume of what its pool has.
fn make_room(lying: &Lying<'_>, made: &Dir, bytes: u64) -> Result<(), Refused> {
    if lying.kept != Some(PoolKind::Image) {
        return made.make(DATA, 0o700).map(drop);
    }
    image::make(made, lying.name(), bytes)?;
    let source = lying.work.source.describe();
    let mounted = image::mount(made, lying.name(), &source)?;
    let mounted = mounted.ok_or_else(|| empty(lying))?;
    let root = Dir::of_mount(&mounted.mount, made.path())?;
    root.make(DATA, 0o700).map(drop)
}

/// Unpacks what comes in, and makes sure that it is all there, durable, and the same.
fn unpack(lying: &Lying<'_>, made: &Dir, weight: &Weight, input: Stdio) -> Result<(), Refused> {
    let opened = open(lying, made)?.ok_or_else(|| empty(lying))?;
    let data = &opened.data;
    let mut tar = Command::new(TAR);
    tar.args([
        "--extract",
        "--file=-",
        "--same-permissions",
        "--same-owner",
    ])
    .args(AS_IT_IS)
    .arg("--directory")
    .arg(data.shown())
    .stdin(input)
    .stdout(Stdio::null());
    run(tar, "unpack", data)?;
    syncfs(data).map_err(|e| failed("sync", data.path(), e))?;
    let arrived = super::weigh::weigh(data)?;
    if (arrived.entries, arrived.bytes, &arrived.digest)
        != (weight.entries, weight.bytes, &weight.digest)
    {
        let error = format!(
            "{} entries with {} bytes arrived, and they are not the {} with {} that were sent",
            arrived.entries, arrived.bytes, weight.entries, weight.bytes
        );
        return Err(path_failed("verify", data.path(), error).into());
    }
    if data.holds_more_than(&UNTOUCHED)? {
        made.make(OWNER, 0o700)?.publish(DATA_SEEN, b"")?;
    }
    Ok(())
}

/// From here on the volume is its claim's, under the epoch of the move.
fn publish(made: &Dir, from: &CopySource, owned: &Owned, epoch: Epoch) -> Result<(), Refused> {
    let records = made.make(OWNER, 0o700)?;
    let record = OwnerRecord {
        history: owned.history.clone(),
        claim: from.claim.key.clone(),
        claim_uid: from.claim.uid.clone(),
        epoch,
        user: owned.owner.user.clone(),
        uid: owned.owner.uid,
        gid: owned.owner.gid,
        // It gets its own with its first start.
        project: None,
        departed: None,
    };
    owner::advance(&records, &record)?;
    records.sync()?;
    made.sync()
}

#[cfg(test)]
mod tests;

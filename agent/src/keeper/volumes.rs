//! A member's volumes, mounted in the keeper's own mount namespace and nowhere else: they end with
//! it, whatever happens to anybody.
//!
//! Sources are opened and checked first, then cloned directory by directory and put at their
//! places through descriptors. Nothing that a member could have left in a volume, no link and no
//! dots, leads a mount out of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
};

use berth_core::{
    rendered::{RenderedMount, RenderedProcess},
    volume::MountedVolume,
    waiting::Reason,
};
use nix::mount::{MntFlags, umount2};
use rustix::{
    fs::{AtFlags, Mode, OFlags, StatxAttributes, StatxFlags, fstat, fstatfs, openat, statx},
    io::Errno,
};

use super::{
    DATA, OWNER,
    beneath::Beneath,
    seen::Watched,
    spec::{Identity, LaunchSpec},
};
use crate::host::{
    HeldDevice, Place, PreparedVolume, RunVolume, step_failed,
    storage::{
        dir::{Dir, Refused, os},
        image, mount as storage, nfs, owner,
        pool::PoolPlace,
        prepare::as_user,
    },
};

/// What the kernel calls these file systems.
const EXT4: i64 = 0xef53;
const NFS: i64 = 0x6969;

/// Paths beneath which nothing is mounted: they are the kernel's.
const KERNELS: [&str; 2] = ["/proc", "/sys"];

/// A volume whose data is open.
#[derive(Debug)]
struct Source {
    prepared: PreparedVolume,
    data: OwnedFd,
    /// The records beside the data, if they can be reached.
    records: Option<OwnedFd>,
    held: Option<HeldDevice>,
    /// Its mount, if it is in this namespace only for directories of it to be cloned.
    staged: Option<OwnedFd>,
}

/// Where a directory of a volume is to appear.
#[derive(Debug)]
struct Wanted {
    volume: String,
    sub_path: Option<String>,
    target: PathBuf,
    read_only: bool,
    identity: Identity,
}

/// The volumes of a member.
#[derive(Debug)]
pub(crate) struct Volumes {
    sources: BTreeMap<String, Source>,
    wanted: Vec<Wanted>,
    protected: Vec<PathBuf>,
    mounted: Vec<OwnedFd>,
    /// Which of these are read-only.
    read_only: Vec<bool>,
    /// The kernel's numbers of these mounts, each with its place.
    ids: BTreeMap<u64, PathBuf>,
    pub(crate) run_volumes: Vec<RunVolume>,
}

impl Volumes {
    /// Opens every volume that is mounted anywhere, in the new mount namespace. `at` is told each
    /// one first: it may hang.
    pub(crate) fn open(spec: &LaunchSpec, at: impl Fn(&PreparedVolume)) -> Result<Self, Reason> {
        let wanted = wanted(spec)?;
        let mut sources = BTreeMap::new();
        for prepared in &spec.launch.volumes {
            if wanted.iter().any(|wanted| wanted.volume == prepared.name) {
                at(prepared);
                let source = open(prepared, &spec.dirs.run).map_err(|refused| refused.reason)?;
                sources.insert(prepared.name.clone(), source);
            }
        }
        Ok(Self {
            sources,
            wanted,
            protected: spec.dirs.protected.clone(),
            mounted: Vec::new(),
            read_only: Vec::new(),
            ids: BTreeMap::new(),
            run_volumes: Vec::new(),
        })
    }

    /// Puts them at their places.
    pub(crate) fn apply(&mut self) -> Result<(), Reason> {
        let mut shown: BTreeMap<String, RunVolume> = BTreeMap::new();
        for wanted in &self.wanted {
            let source = self.sources.get(&wanted.volume);
            let source = source
                .ok_or_else(|| failed(&wanted.volume, &wanted.volume, "there is no such volume"))?;
            let tree = mount(source, wanted, &self.protected)?;
            let prepared = &source.prepared;
            shown
                .entry(wanted.volume.clone())
                .or_insert_with(|| RunVolume {
                    volume: MountedVolume {
                        report: prepared.report.clone(),
                        source: prepared.source.clone(),
                        remote: prepared.place.is_remote(),
                    },
                    fd: tree.as_raw_fd(),
                    shared: !matches!(prepared.place, Place::Image { .. }),
                    held: source.held.clone(),
                });
            let about = statx(&tree, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
            let about = about.map_err(|e| os_failed(prepared, e))?;
            self.ids.insert(about.stx_mnt_id, wanted.target.clone());
            self.mounted.push(tree);
            self.read_only.push(wanted.read_only || prepared.read_only);
        }
        self.run_volumes = shown.into_values().collect();
        for staged in self.sources.values_mut().filter_map(|s| s.staged.take()) {
            // Its directories are mounted by now, each by itself.
            let path = format!("/proc/self/fd/{}", staged.as_raw_fd());
            match umount2(path.as_str(), MntFlags::MNT_DETACH) {
                // It was on top of one that is gone, and went with it.
                Ok(()) | Err(nix::errno::Errno::EINVAL) => {}
                Err(error) => return Err(step_failed("put a mount away", error.desc())),
            }
        }
        Ok(())
    }

    /// What is to be watched for data, once everything is mounted: the sources are not needed any
    /// more.
    pub(crate) fn watched(&mut self) -> Vec<Watched> {
        let sources = std::mem::take(&mut self.sources).into_values();
        let watched = sources.filter_map(|source| {
            Some(Watched {
                data: source.data,
                records: source.records?,
                remote: source.prepared.place.is_remote(),
                user: source.prepared.identity,
            })
        });
        watched.collect()
    }

    /// The mounts of those that may be written to.
    pub(crate) fn writable(&self) -> impl Iterator<Item = &OwnedFd> {
        let all = self.mounted.iter().zip(&self.read_only);
        all.filter(|(_, read_only)| !**read_only)
            .map(|(mount, _)| mount)
    }

    /// The places, those beneath others later.
    pub(crate) fn targets(&self) -> impl DoubleEndedIterator<Item = &Path> {
        self.wanted.iter().map(|wanted| wanted.target.as_path())
    }

    /// Whether a place is on storage that may not answer.
    pub(crate) fn is_remote(&self, path: &Path) -> bool {
        let remote = |name: &str| {
            let mut all = self.run_volumes.iter();
            all.any(|v| v.volume.report.name == name && v.volume.remote)
        };
        let above = self.wanted.iter().filter(|w| path.starts_with(&w.target));
        let nearest = above.max_by_key(|wanted| wanted.target.as_os_str().len());
        nearest.is_some_and(|wanted| remote(&wanted.volume))
    }

    /// Lets go of every descriptor, so that nothing is busy because of the keeper.
    pub(crate) fn let_go(&mut self) {
        self.mounted.clear();
        self.ids.clear();
    }

    /// A place whose mount is gone: who removes the directory beneath a mount takes the mount away in
    /// every namespace, without a word. No storage is asked.
    pub(crate) fn lost(&self) -> Option<&Path> {
        // A list that cannot be read says nothing.
        let list = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        lost(&self.ids, &list)
    }
}

/// The first place whose mount is not on the kernel's list.
fn lost<'a>(ids: &'a BTreeMap<u64, PathBuf>, mountinfo: &str) -> Option<&'a Path> {
    let lines = mountinfo.lines();
    let there = lines.filter_map(|line| line.split(' ').next()?.parse().ok());
    let there: BTreeSet<u64> = there.collect();
    let mut gone = ids.iter().filter(|(id, _)| !there.contains(id));
    gone.next().map(|(_, place)| place.as_path())
}

fn failed(volume: &str, source: &str, error: impl ToString) -> Reason {
    Reason::MountFailed {
        volume: volume.to_owned(),
        source: source.to_owned(),
        error: error.to_string(),
    }
}

/// What is to appear where, in the order of the paths: one beneath another comes after it.
fn wanted(spec: &LaunchSpec) -> Result<Vec<Wanted>, Reason> {
    let rendered = &spec.launch.rendered;
    let mut all: BTreeMap<&str, Wanted> = BTreeMap::new();
    let processes = || rendered.processes.iter().chain(&rendered.init_processes);
    let mounts = processes().flat_map(|process| process.mounts.iter().map(move |m| (process, m)));
    for (process, mount) in mounts {
        let new = want(spec, process, mount)?;
        match all.get_mut(mount.mount_path.as_str()) {
            // A path shows the same to all processes; it is read-only if it is so for all.
            Some(known) if (&known.volume, &known.sub_path) == (&new.volume, &new.sub_path) => {
                known.read_only &= new.read_only;
            }
            Some(known) => {
                let error = format!(
                    "mountPath {} shows volume {} too; all processes of a member see the same, so \
                     give them different paths",
                    mount.mount_path, known.volume
                );
                return Err(failed(&mount.volume, &mount.volume, error));
            }
            None => drop(all.insert(&mount.mount_path, new)),
        }
    }
    Ok(all.into_values().collect())
}

fn want(
    spec: &LaunchSpec,
    process: &RenderedProcess,
    mount: &RenderedMount,
) -> Result<Wanted, Reason> {
    let identity = spec.identities.get(&process.name).cloned();
    let identity = identity.ok_or_else(|| {
        let error = format!("the user of process {} is not resolved", process.name);
        failed(&mount.volume, &mount.volume, error)
    })?;
    Ok(Wanted {
        volume: mount.volume.clone(),
        sub_path: mount.sub_path.clone(),
        target: PathBuf::from(&mount.mount_path),
        read_only: mount.read_only,
        identity,
    })
}

/// Opens the data of a volume and makes sure that it is the one that was prepared.
fn open(prepared: &PreparedVolume, run: &Path) -> Result<Source, Refused> {
    let mount_failed = |error: String| failed(&prepared.name, &prepared.source, error);
    let gone = || mount_failed("what was prepared is gone".to_owned());
    let (data, records, held, staged) = match &prepared.place {
        Place::Directory { pool, dir, .. } => {
            let home = sub(pool, dir)?.ok_or_else(gone)?;
            let records = beneath(&home, OWNER).ok();
            (beneath(&home, DATA)?, records, None, None)
        }
        Place::Image { pool, dir, .. } => {
            let home = sub(pool, dir)?.ok_or_else(gone)?;
            let image = image::mount(&home, &prepared.name, &prepared.source)?.ok_or_else(gone)?;
            stage(&image.mount, run, EXT4)?;
            let data = beneath(&image.mount, DATA)?;
            let records = beneath(&home, OWNER).ok();
            let about = fstat(&image.file).map_err(|e| os_failed(prepared, e))?;
            let held = HeldDevice::Loop {
                device: image.device.path,
                on: about.st_dev,
                inode: about.st_ino,
            };
            (data, records, Some(held), Some(image.mount))
        }
        Place::Nfs { source, address } => {
            let address = address.ok_or_else(gone)?;
            let share = nfs::mount_share(source, address).map_err(mount_failed)?;
            let device = fstat(&share).map_err(|e| os_failed(prepared, e))?.st_dev;
            let device = format!(
                "{}:{}",
                rustix::fs::major(device),
                rustix::fs::minor(device)
            );
            stage(&share, run, NFS)?;
            let (data, records) = match &source.sub_dir {
                None => (beneath(&share, ".")?, None),
                Some(dir) => perhaps_as_user(prepared, || {
                    let data = beneath(&share, &format!("{dir}/{DATA}"))?;
                    Ok((data, beneath(&share, &format!("{dir}/{OWNER}")).ok()))
                })?,
            };
            (data, records, Some(HeldDevice::Nfs { device }), Some(share))
        }
    };
    check_epoch(prepared, records.as_ref())?;
    Ok(Source {
        prepared: prepared.clone(),
        data,
        records,
        held,
        staged,
    })
}

fn os_failed(prepared: &PreparedVolume, error: Errno) -> Reason {
    let error = std::io::Error::from(error);
    failed(&prepared.name, &prepared.source, error)
}

fn sub(pool: &PoolPlace, dir: &str) -> Result<Option<Dir>, Refused> {
    pool.open()?.sub(dir)
}

fn beneath(dir: &impl std::os::fd::AsFd, path: &str) -> Result<OwnedFd, Refused> {
    let path = Path::new(path);
    storage::open_beneath(dir, path).map_err(|e| crate::host::storage::dir::failed("open", path, e))
}

/// Puts a file system that is mounted nowhere over the run directory: its directories can be cloned
/// only while it is mounted somewhere in this namespace, where nobody else is yet.
fn stage(mount: &OwnedFd, run: &Path, kind: i64) -> Result<(), Refused> {
    let failed = |e| crate::host::storage::dir::failed("mount at", run, e);
    if fstatfs(mount).map_err(failed)?.f_type != kind {
        return Err(failed(Errno::INVAL));
    }
    let place = storage::open_plain(run).map_err(failed)?;
    storage::attach(mount, &place).map_err(failed)
}

/// The user may do what root may not where the server takes root for nobody.
fn perhaps_as_user<T>(
    prepared: &PreparedVolume,
    work: impl Fn() -> Result<T, Refused>,
) -> Result<T, Refused> {
    match work() {
        Err(refused) if refused.denied && prepared.identity.uid != 0 => {
            as_user(&prepared.identity, work)?
        }
        done => done,
    }
}

/// The record must have our epoch as its newest: a helper has just written it.
fn check_epoch(prepared: &PreparedVolume, records: Option<&OwnedFd>) -> Result<(), Refused> {
    let Some(epoch) = prepared.epoch else {
        return Ok(());
    };
    let Some(records) = records else {
        if prepared.place.is_remote() {
            // A server that takes root for nobody; the helper was the volume's user.
            return Ok(());
        }
        let reason = Reason::VolumeForeign {
            volume: prepared.name.clone(),
            owner: "nobody any more".to_owned(),
        };
        return Err(reason.into());
    };
    let newest = Dir::of_mount(records, Path::new(OWNER)).and_then(|dir| owner::newest(&dir));
    let newest = match newest {
        Ok(newest) => newest.map(|record| record.epoch),
        // A server that takes root for nobody; the helper was the volume's user.
        Err(refused) if refused.denied => return Ok(()),
        Err(refused) => return Err(refused),
    };
    if newest == Some(epoch) {
        return Ok(());
    }
    let owner = newest.map_or_else(
        || "nobody any more".to_owned(),
        |e| format!("epoch {e} now"),
    );
    Err(Reason::VolumeForeign {
        volume: prepared.name.clone(),
        owner,
    }
    .into())
}

/// Mounts one directory of a volume at its place.
fn mount(source: &Source, wanted: &Wanted, protected: &[PathBuf]) -> Result<OwnedFd, Reason> {
    let prepared = &source.prepared;
    let error = |error: &str| failed(&prepared.name, &prepared.source, error);
    let read_only = wanted.read_only || prepared.read_only;
    let tree = match &wanted.sub_path {
        None => storage::clone_tree(&source.data, read_only),
        Some(path) => {
            let dir = sub_path(source, wanted, path)?;
            storage::clone_tree(&dir, read_only)
        }
    };
    let os_error = |e: Errno| error(&std::io::Error::from(e).to_string());
    let tree = tree.map_err(os_error)?;
    let place = place(&wanted.target, protected).map_err(|e| error(&e))?;
    storage::attach(&tree, &place).map_err(os_error)?;
    Ok(tree)
}

/// Opens a directory of a volume, and makes it for its user if it is missing.
fn sub_path(source: &Source, wanted: &Wanted, path: &str) -> Result<OwnedFd, Reason> {
    let identity = &wanted.identity;
    let open = || {
        let top = openat(
            &source.data,
            ".",
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        match storage::open_beneath(&top, Path::new(path)) {
            Err(Errno::NOENT) if !wanted.read_only && !source.prepared.read_only => {
                let beneath = Beneath::at(top, identity.uid, identity.gid);
                beneath.make_dirs(Path::new(path))
            }
            opened => opened,
        }
    };
    let opened = match open() {
        Err(Errno::ACCESS | Errno::PERM) if source.prepared.place.is_remote() => {
            as_user(identity, open)?
        }
        opened => opened,
    };
    opened.map_err(|error| match error {
        Errno::LOOP | Errno::XDEV | Errno::INVAL => Reason::PathEscape {
            volume: source.prepared.name.clone(),
            path: path.to_owned(),
        },
        error => {
            let error = std::io::Error::from(error);
            let error = format!("subPath '{path}': {error}");
            failed(&source.prepared.name, &source.prepared.source, error)
        }
    })
}

/// Opens the directory that is to be mounted on, and makes it if it is missing.
fn place(target: &Path, protected: &[PathBuf]) -> Result<OwnedFd, String> {
    let told = |why: &str| format!("mountPath {} {why}", target.display());
    let inside = |dir: &dyn AsRef<Path>| target.starts_with(dir.as_ref());
    if protected.iter().any(|dir| inside(dir)) {
        return Err(told("is in a directory of the agent; give another one"));
    }
    if KERNELS.iter().any(|dir| inside(dir)) || target.parent().is_none() {
        return Err(told("is no place for a volume; give another one"));
    }
    let relative = target
        .strip_prefix("/")
        .map_err(|_| told("is not absolute"))?;
    let root = storage::open_plain(Path::new("/")).map_err(|e| os_text(e).to_string())?;
    let beneath = Beneath::at(root, 0, 0);
    let place = beneath.make_dirs(relative).map_err(|error| match error {
        Errno::LOOP => told("leads over a symbolic link; give the path that it leads to"),
        Errno::NOTDIR => told("is not a directory, or beneath a file; give another one"),
        Errno::INVAL => told("is not a plain path; give one without '..'"),
        error => told(&format!("cannot be made: {}", os_text(error))),
    })?;
    let about = statx(&place, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS);
    let about = about.map_err(|e| told(&os_text(e).to_string()))?;
    // The member's own /tmp is a mount, and may be covered.
    if about.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) && target != Path::new("/tmp") {
        return Err(told(
            "is in use: something is mounted there; give another one",
        ));
    }
    Ok(place)
}

fn os_text(error: Errno) -> std::io::Error {
    os(&error.into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_that_is_not_on_the_list_is_lost() {
        let ids = BTreeMap::from([(31, "/data".into()), (32, "/srv/www".into())]);
        let both = "30 1 0:1 / / rw - ext4 x rw\n31 30 0:2 / /data rw - ext4 x rw\n\
                    32 30 0:2 /32 /srv/www rw - ext4 x rw\n";
        assert_eq!(lost(&ids, both), None);
        let one = "30 1 0:1 / / rw - ext4 x rw\n31 30 0:2 / /data rw - ext4 32 rw\n";
        assert_eq!(lost(&ids, one), Some(Path::new("/srv/www")));
        assert_eq!(lost(&BTreeMap::new(), ""), None);
    }
}

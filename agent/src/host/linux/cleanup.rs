//! After a run: what it left on the host is removed, and that nothing is left is made sure of.
//! Mounts die with the keeper's mount namespace; what the kernel still does for them afterwards is
//! waited for.

use std::{fs, io::ErrorKind, path::Path, time::Duration};

use berth_core::{ids::MemberId, waiting::Reason};
use tokio::time::{Instant, sleep, timeout};

use super::{LinuxHost, RunRecord, path_failed, runs, step_failed, strays};
use crate::{
    host::{
        HeldDevice, RunVolume,
        storage::{loops::LoopDevice, nfs},
    },
    keeper::{lock, remove_cgroup},
};

/// How long the last process may take to leave.
const LEAVING: Duration = Duration::from_secs(5);

/// Between two looks at what the kernel holds: most often it is done at once.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(200);

/// Removes a run's directory and cgroup.
pub(super) async fn cleanup(host: &LinuxHost, member: &MemberId) -> Result<(), Reason> {
    let dir = host.inner.run_dir(member);
    strays::look_for(host, member).await?;
    if !dir.exists() {
        return Ok(());
    }
    let record = runs::read(&dir)?;
    if let Some(record) = &record {
        if let Some(keeper) = runs::keeper_of(host, record)? {
            let ended = timeout(LEAVING, keeper.gone()).await;
            ended
                .map_err(|_| alive(member, record))?
                .map_err(|e| step_failed(format!("clean up {member}"), e))?;
        }
        let_go(host, record).await?;
        if let Some(cgroup) = &record.cgroup {
            remove(cgroup).await?;
        }
    }
    host.blocking(move |_| remove_dir(&dir)).await
}

/// A keeper that does not end: most likely one of its volumes does not let it.
fn alive(member: &MemberId, record: &RunRecord) -> Reason {
    let mut remote = record.volumes.iter().filter(|v| v.volume.remote);
    match remote.next() {
        Some(volume) => busy(volume, format!("keeper {}, which does not end", record.pid)),
        None => step_failed(format!("clean up {member}"), "its keeper is alive"),
    }
}

fn remove_dir(dir: &Path) -> Result<(), Reason> {
    let held = lock(dir)?;
    if held.is_none() {
        return Err(path_failed("remove", dir, "a keeper holds its lock"));
    }
    match fs::remove_dir_all(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(path_failed("remove", dir, error)),
    }
}

/// The kernel lets go of a cgroup a moment after its last process is dead.
async fn remove(cgroup: &Path) -> Result<(), Reason> {
    let deadline = Instant::now() + LEAVING;
    loop {
        match remove_cgroup(cgroup) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::ResourceBusy || Instant::now() > deadline => {
                return Err(path_failed("remove cgroup", cgroup, error));
            }
            Err(_) => sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Waits until the kernel has let go of what the run had mounted: a lazily unmounted volume is not
/// used again before it is gone.
async fn let_go(host: &LinuxHost, record: &RunRecord) -> Result<(), Reason> {
    // What was mounted before a boot is gone with it.
    if record.run.boot != host.inner.facts.boot {
        return Ok(());
    }
    let deadline = Instant::now() + LEAVING;
    for volume in &record.volumes {
        let Some(held) = volume.held.clone() else {
            continue;
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let (held, ours, this) = (held.clone(), record.clone(), host.clone());
            let by = host.blocking(move |_| held_of(&this, &ours, &held));
            let Some(by) = by.await? else {
                break;
            };
            if Instant::now() > deadline {
                return Err(busy(volume, by));
            }
            // The kernel tells nobody when it is done.
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }
    Ok(())
}

fn busy(volume: &RunVolume, by: String) -> Reason {
    Reason::VolumeBusy {
        volume: volume.volume.report.name.clone(),
        by,
    }
}

/// What in the kernel still holds a volume of a run that has ended.
pub(super) fn held_of(
    host: &LinuxHost,
    ours: &RunRecord,
    held: &HeldDevice,
) -> Result<Option<String>, Reason> {
    let Some(by) = holder(held)? else {
        return Ok(None);
    };
    for other in runs::list(&host.inner.config.run_dir)? {
        if took_number(ours, held, &other) && runs::keeper_of(host, &other)?.is_some() {
            return Ok(None);
        }
    }
    Ok(Some(by))
}

/// Whether a later run has the number of our device: every NFS mount has a device of its own, so
/// that the kernel gave the number away only after ours was gone.
fn took_number(ours: &RunRecord, held: &HeldDevice, other: &RunRecord) -> bool {
    let numbered = match held {
        HeldDevice::Nfs { .. } => true,
        HeldDevice::Loop { .. } => false,
    };
    let another = (&other.member, &other.run) != (&ours.member, &ours.run);
    let mut theirs = other.volumes.iter();
    let same = theirs.any(|volume| volume.held.as_ref() == Some(held));
    numbered && another && other.run.boot == ours.run.boot && same
}

/// What in the kernel still holds a volume.
fn holder(held: &HeldDevice) -> Result<Option<String>, Reason> {
    match held {
        HeldDevice::Loop { device, on, inode } => {
            let shows = LoopDevice::still_shows(device, *on, *inode);
            let shows = shows.map_err(|e| path_failed("look at", Path::new(device), e))?;
            Ok(shows.then(|| device.clone()))
        }
        HeldDevice::Nfs { device } => {
            let text = match fs::read_to_string(nfs::VOLUMES) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(path_failed("read", Path::new(nfs::VOLUMES), error)),
            };
            let mounted = nfs::devices(&text).any(|listed| listed == device);
            Ok(mounted.then(|| format!("an earlier mount (device {device})")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(member: &str, boot: &str, device: &str) -> RunRecord {
        serde_json::from_value(serde_json::json!({
            "member": member,
            "run": {"epoch": berth_core::ids::Epoch::default(), "boot": boot, "number": 1},
            "pid": 1, "startTime": 1, "cgroup": null,
            "volumes": [{
                "volume": berth_core::volume::MountedVolume {
                    report: berth_core::volume::VolumeReport {
                        name: "data".to_owned(),
                        recorded: true,
                        owner: berth_core::volume::Ownership {
                            user: "www".to_owned(), uid: 1, gid: 1,
                        },
                        address: None,
                        usage: None,
                    },
                    source: "nfs".to_owned(),
                    remote: true,
                },
                "fd": 3, "shared": true,
                "held": HeldDevice::Nfs { device: device.to_owned() },
            }],
        }))
        .unwrap()
    }

    #[test]
    fn a_number_that_another_run_has_is_not_ours_any_more() {
        let ours = record("default/web-0", "b", "0:57");
        let held = ours.volumes[0].held.clone().unwrap();
        assert!(took_number(
            &ours,
            &held,
            &record("default/web-1", "b", "0:57")
        ));
        assert!(!took_number(&ours, &held, &ours), "our own record");
        assert!(!took_number(
            &ours,
            &held,
            &record("default/web-1", "b", "0:58")
        ));
        assert!(!took_number(
            &ours,
            &held,
            &record("default/web-1", "a", "0:57")
        ));
    }
}

//! After a run: what it left on the host is removed, and that nothing is left is made sure of.
//! Mounts need no step of their own: they die with the keeper's mount namespace.

use std::{fs, io::ErrorKind, path::Path, time::Duration};

use berth_core::{ids::MemberId, waiting::Reason};
use tokio::time::{Instant, sleep, timeout};

use super::{LinuxHost, path_failed, runs, step_failed};
use crate::keeper::{lock, remove_cgroup};

/// How long the last process may take to leave.
const LEAVING: Duration = Duration::from_secs(5);

/// Removes a run's directory and cgroup.
pub(super) async fn cleanup(host: &LinuxHost, member: &MemberId) -> Result<(), Reason> {
    let dir = host.inner.run_dir(member);
    if !dir.exists() {
        return Ok(());
    }
    let record = runs::read(&dir)?;
    if let Some(record) = &record {
        if let Some(keeper) = runs::keeper_of(host, record)? {
            let ended = timeout(LEAVING, keeper.gone()).await;
            ended
                .map_err(|_| step_failed(format!("clean up {member}"), "its keeper is alive"))?
                .map_err(|e| step_failed(format!("clean up {member}"), e))?;
        }
        if let Some(cgroup) = &record.cgroup {
            remove(cgroup).await?;
        }
    }
    host.blocking(move |_| remove_dir(&dir)).await
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

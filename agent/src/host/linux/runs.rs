//! Runs on record: which there are, which of them are alive, and how to take one up again.

use std::{fs, io::ErrorKind, path::Path, time::Duration};

use berth_core::{
    ids::{MemberId, RunId},
    waiting::Reason,
};
use tokio::time::timeout;

use super::{KeeperHandle, LinuxHost, RunRecord, connect, path_failed, pidfd::PidFd, step_failed};
use crate::keeper::{RECORD, start_time};

/// How long a keeper that is ending may take to be gone.
const ENDING: Duration = Duration::from_secs(10);

/// Every record, in the order of the members.
pub(super) fn list(run_dir: &Path) -> Result<Vec<RunRecord>, Reason> {
    let failed = |e| path_failed("read", run_dir, e);
    let mut records = Vec::new();
    for entry in fs::read_dir(run_dir).map_err(failed)? {
        if let Some(record) = read(&entry.map_err(failed)?.path())? {
            records.push(record);
        }
    }
    records.sort_by(|a: &RunRecord, b| a.member.cmp(&b.member));
    Ok(records)
}

/// The record of a run directory; `None` if the keeper did not get as far as to write one.
pub(super) fn read(dir: &Path) -> Result<Option<RunRecord>, Reason> {
    let path = dir.join(RECORD);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(path_failed("read", &path, error)),
    };
    let record = serde_json::from_slice(&text);
    record
        .map(Some)
        .map_err(|e| path_failed("understand", &path, e))
}

/// Takes hold of a record's keeper, if it is alive.
pub(super) fn keeper_of(host: &LinuxHost, record: &RunRecord) -> Result<Option<PidFd>, Reason> {
    if record.run.boot != host.inner.facts.boot {
        return Ok(None);
    }
    let opened = PidFd::open(record.pid);
    let opened = opened.map_err(|e| step_failed(format!("open process {}", record.pid), e))?;
    // Only now: the id may have been another process's until it was held.
    Ok(opened.filter(|_| alive(record.pid, record.start_time)))
}

/// Whether the process of this id began at this time and has not ended.
fn alive(pid: u32, started: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    let ended = state.is_none_or(|state| state.starts_with(['Z', 'X']));
    !ended && start_time(&stat) == Some(started)
}

/// Takes up the keeper of a member.
pub(super) async fn adopt(
    host: &LinuxHost,
    member: &MemberId,
) -> Result<Option<KeeperHandle>, Reason> {
    let dir = host.inner.run_dir(member);
    let Some(record) = read(&dir)? else {
        return Ok(None);
    };
    let Some(keeper) = keeper_of(host, &record)? else {
        return Ok(None);
    };
    let refusal = match connect::connect(&dir, &record, keeper).await {
        Ok(handle) => return Ok(Some(handle)),
        Err(reason) => reason,
    };
    // It may have been ending just then.
    let Some(keeper) = keeper_of(host, &record)? else {
        return Ok(None);
    };
    match timeout(ENDING, keeper.gone()).await {
        Ok(_) => Ok(None),
        Err(_) => Err(refusal),
    }
}

/// Kills the keeper of a run, if that is the one on record and it is alive.
pub(super) fn kill(host: &LinuxHost, member: &MemberId, run: &RunId) -> Result<(), Reason> {
    let record = read(&host.inner.run_dir(member))?;
    let Some(record) = record.filter(|record| record.run == *run) else {
        return Ok(());
    };
    if let Some(keeper) = keeper_of(host, &record)? {
        keeper.kill();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_only_under_its_own_start_time() {
        let pid = std::process::id();
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let started = start_time(&stat).unwrap();
        assert!(alive(pid, started));
        assert!(!alive(pid, started + 1));
        assert!(!alive(0, started));
    }

    #[test]
    fn what_is_no_record_is_not_listed_and_a_broken_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        fs::create_dir(dir.path().join("default_web-0")).unwrap();
        assert!(list(dir.path()).unwrap().is_empty());
        fs::write(dir.path().join("default_web-0").join(RECORD), "{").unwrap();
        assert!(list(dir.path()).is_err());
    }
}

//! What `berth dev` writes below its directory for others: `dev.json` (processes, sockets and
//! addresses, for scripts and tests, while it runs) and `resume.json` (the members that it stopped
//! itself, and must start again next time).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::layout::{Layout, ZONE};
use crate::error::CliError;

/// The content of `dev.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// This process.
    pub(crate) pid: u32,
    /// The directory.
    pub(crate) dir: PathBuf,
    /// Where the coordinator listens.
    pub(crate) endpoint: String,
    /// The domain of all names.
    pub(crate) zone: String,
    /// The coordinator's process.
    pub(crate) coordinator: Daemon,
    /// The hosts.
    pub(crate) hosts: Vec<Host>,
}

/// One host in `dev.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Host {
    name: String,
    address: String,
    dns: String,
    socket: String,
    /// Its agent's process.
    pub(crate) agent: Daemon,
}

/// One daemon in `dev.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Daemon {
    /// Its process now; 0 while there is none.
    pub(crate) pid: u32,
    /// Its config file.
    pub(crate) config: PathBuf,
    /// Its log.
    pub(crate) log: PathBuf,
}

impl Daemon {
    fn new(config: PathBuf) -> Self {
        let log = config.with_extension("log");
        Self {
            pid: 0,
            config,
            log,
        }
    }
}

/// `dev.json`, kept up to date.
#[derive(Debug)]
pub(crate) struct RecordFile {
    path: PathBuf,
    record: Mutex<Record>,
}

impl RecordFile {
    /// Begins the record.
    pub(crate) fn new(layout: &Layout) -> Self {
        let hosts = layout.hosts.iter().map(|host| Host {
            name: host.name.clone(),
            address: host.address.to_string(),
            dns: host.dns.to_string(),
            socket: host.socket(),
            agent: Daemon::new(host.config()),
        });
        let record = Record {
            pid: std::process::id(),
            dir: layout.dir.clone(),
            endpoint: layout.endpoint(),
            zone: ZONE.to_owned(),
            coordinator: Daemon::new(layout.coordinator_config()),
            hosts: hosts.collect(),
        };
        Self {
            path: path(&layout.dir),
            record: Mutex::new(record),
        }
    }

    /// Notes the process of the daemon with this config file.
    pub(crate) fn set_pid(&self, config: &Path, pid: u32) -> io::Result<()> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let record = &mut *record;
        let agents = record.hosts.iter_mut().map(|host| &mut host.agent);
        for daemon in agents.chain([&mut record.coordinator]) {
            if daemon.config == config {
                daemon.pid = pid;
            }
        }
        write(&self.path, record)
    }

    /// Removes it: nothing runs any more.
    pub(crate) fn remove(&self) {
        // It is not there if nothing was ever started.
        fs::remove_file(&self.path).ok();
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("dev.json")
}

/// What a former run left, if it could not clean up.
pub(crate) fn left(dir: &Path) -> Option<Record> {
    read(&path(dir))
}

/// A member that `berth dev` stopped itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stopped {
    /// The host's name.
    pub(crate) on: String,
    /// The member's namespace.
    pub(crate) namespace: String,
    /// The member's name.
    pub(crate) member: String,
}

/// The list of members to start again.
#[derive(Debug)]
pub(crate) struct Resume(PathBuf);

impl Resume {
    /// The list of a directory.
    pub(crate) fn of(dir: &Path) -> Self {
        Self(dir.join("resume.json"))
    }

    /// Reads it; empty if there is none.
    pub(crate) fn read(&self) -> Vec<Stopped> {
        read(&self.0).unwrap_or_default()
    }

    /// Writes it.
    pub(crate) fn write(&self, members: &[Stopped]) -> io::Result<()> {
        write(&self.0, &members)
    }

    /// Removes it.
    pub(crate) fn remove(&self) {
        // It is not there if the last run stopped nothing.
        fs::remove_file(&self.0).ok();
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Whoever reads sees the old content or the new one.
fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec_pretty(value)?)?;
    fs::rename(new, path)
}

/// Makes sure that only one `berth dev` uses a directory, for as long as the value lives.
pub(crate) fn lock(layout: &Layout) -> Result<Flock<fs::File>, CliError> {
    let path = layout.dir.join("dev.lock");
    let wrap = |source| CliError::File {
        doing: "lock",
        path: path.clone(),
        source,
    };
    fs::create_dir_all(&layout.dir).map_err(wrap)?;
    let file = fs::File::create(&path).map_err(wrap)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, _)| CliError::Missing {
        message: format!("another `berth dev` uses {}", layout.dir.display()),
        hint: "end it, or give another --dir".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_directory_has_one_dev() {
        let dir = tempfile::Builder::new().prefix("b").tempdir().unwrap();
        let layout = Layout::new(dir.path(), 1).unwrap();
        let first = lock(&layout).unwrap();
        assert!(lock(&layout).unwrap_err().to_string().contains("another"));
        drop(first);
        assert!(lock(&layout).is_ok());
    }

    #[test]
    fn the_record_follows_the_processes() {
        let dir = tempfile::Builder::new().prefix("b").tempdir().unwrap();
        let layout = Layout::new(dir.path(), 2).unwrap();
        let record = RecordFile::new(&layout);
        record.set_pid(&layout.hosts[1].config(), 42).unwrap();
        record.set_pid(&layout.coordinator_config(), 43).unwrap();
        let read = left(dir.path()).unwrap();
        assert_eq!(read.hosts[0].agent.pid, 0);
        assert_eq!(read.hosts[1].agent.pid, 42);
        assert_eq!(read.coordinator.pid, 43);
        record.remove();
        assert!(left(dir.path()).is_none());
    }
}

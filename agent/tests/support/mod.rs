//! A Linux host in a temporary directory, members made of shell scripts, and waits for a level with
//! a deadline.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use berth_agent::host::{
    DnsSettings, Host, KeeperEvent, KeeperHandle, KeeperLaunch, PrepareVolumes, PreparedVolume,
    RunRecord, VolumeOwner,
    linux::{LinuxConfig, LinuxHost, LocalPolicy, Scopes},
    storage::Pool,
};
use berth_core::{
    ids::{Epoch, HistoryId, MemberId, ProcessName, RunId, RunNumber, Term, Uid},
    keeper::BackoffLimits,
    order::VolumeOrder,
    rendered::{DEFAULT_UMASK, Hook, Limits, RenderedMember, RenderedProcess, Rlimit},
    volume::PoolKind,
    waiting::Reason,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::time::{Instant, interval, timeout};

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A host and its directories. Dropping it kills every keeper that is left.
pub(crate) struct Bed {
    pub(crate) host: LinuxHost,
    pub(crate) dir: tempfile::TempDir,
    member: String,
}

impl Bed {
    /// A host for the member of this name; the name keeps tests apart.
    pub(crate) fn new(member: &str) -> Self {
        // In the guest nothing was built, and there is no such place.
        let guest = std::env::var_os("BERTH_GUEST").map(|_| std::env::temp_dir());
        let home = guest.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
        let dir = tempfile::tempdir_in(home).unwrap();
        for pool in ["pool", "images"] {
            fs::create_dir(dir.path().join(pool)).unwrap();
        }
        let host = host_in(dir.path());
        Self {
            host,
            dir,
            member: member.to_owned(),
        }
    }

    /// A new agent on the same host.
    pub(crate) fn next_agent(&self) -> LinuxHost {
        host_in(self.dir.path())
    }

    pub(crate) fn member(&self) -> MemberId {
        format!("default/{}-0", self.member).parse().unwrap()
    }

    /// The launch of a member with these processes.
    pub(crate) fn launch(&self, processes: Vec<RenderedProcess>) -> KeeperLaunch {
        let member = self.member();
        let rendered = RenderedMember {
            hostname: member.name(),
            fqdn: format!("{}.x.default.svc.berth.internal", member.name()),
            address: "127.0.0.1".to_owned(),
            config_dir: self.host.config_dir(&member).to_string_lossy().into_owned(),
            config_copy_from: None,
            read_only_root: false,
            host: "host-1".to_owned(),
            init_processes: Vec::new(),
            processes,
            grace_seconds: 30,
            backoff: BackoffLimits::default(),
            member,
        };
        let run = RunId {
            epoch: Epoch {
                term: Term(1),
                counter: 1,
            },
            boot: self.host.facts().boot,
            number: RunNumber(1),
        };
        KeeperLaunch {
            run,
            rendered,
            volumes: Vec::new(),
            lease: None,
            dns: DnsSettings {
                server: [127, 0, 0, 153].into(),
                search: vec!["default.svc.berth.internal".to_owned()],
            },
        }
    }

    /// A new volume of the member; pools are `default` and `images`.
    pub(crate) fn volume(&self, name: &str, pool: &str) -> VolumeOrder {
        let claim = self.member().claim(name).unwrap();
        let uid = Uid(format!("u-{name}"));
        let order = VolumeOrder::local(name, claim, uid, "host-1".parse().unwrap(), pool);
        VolumeOrder {
            capacity: 16 << 20,
            ..order
        }
    }

    /// The data of a volume in the pool `default`.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        let dir = format!("default_{name}-{}", self.member().name());
        self.dir.path().join("pool").join(dir).join("data")
    }

    /// Makes volumes ready for a start in the epoch with this number.
    pub(crate) async fn prepare(
        &self,
        volumes: &[VolumeOrder],
        counter: u64,
    ) -> Result<Vec<PreparedVolume>, Reason> {
        let owner = VolumeOwner {
            process: process("main"),
            user: "nobody".to_owned(),
            group: None,
        };
        let term = Term(1);
        let request = PrepareVolumes {
            member: self.member(),
            epoch: Epoch { term, counter },
            history: HistoryId("h".to_owned()),
            volumes: volumes.iter().map(|v| (v.clone(), owner.clone())).collect(),
        };
        self.host.prepare_volumes(request).await
    }

    /// Starts a member with these processes.
    pub(crate) async fn start(&self, processes: Vec<RenderedProcess>) -> KeeperHandle {
        self.host
            .start_keeper(self.launch(processes))
            .await
            .unwrap()
    }

    /// Waits until a log of the member holds a text, and returns it.
    pub(crate) async fn log_with(&self, file: &str, text: &str) -> String {
        let path = self.host.log_dir(&self.member()).join(file);
        wait_for(&format!("'{text}' in {file}"), || {
            let log = fs::read_to_string(&path).unwrap_or_default();
            if log.contains(text) {
                Ok(log)
            } else {
                Err(log)
            }
        })
        .await
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let runs = fs::read_dir(self.dir.path().join("run"))
            .into_iter()
            .flatten();
        for run in runs.flatten() {
            let text = fs::read_to_string(run.path().join("record.json")).unwrap_or_default();
            if let Ok(record) = serde_json::from_str::<RunRecord>(&text) {
                end(&record);
            }
        }
        // The mount point of the configuration, if it came to that.
        let _ = fs::remove_dir(self.host.config_dir(&self.member()));
    }
}

/// Kills a keeper, waits until all of its member is gone, and removes its cgroup.
fn end(record: &RunRecord) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(record.pid).unwrap()).unwrap();
    if is_keeper(record.pid)
        && let Ok(fd) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
    {
        let _ = rustix::process::pidfd_send_signal(&fd, rustix::process::Signal::KILL);
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        let deadline = Timespec::try_from(DEADLINE).unwrap();
        assert_eq!(
            poll(&mut fds, Some(&deadline)),
            Ok(1),
            "a keeper does not end"
        );
    }
    for dir in record
        .cgroup
        .iter()
        .flat_map(fs::read_dir)
        .flatten()
        .flatten()
    {
        let _ = fs::remove_dir(dir.path());
    }
    let _ = record.cgroup.as_ref().map(fs::remove_dir);
}

fn host_in(dir: &Path) -> LinuxHost {
    LinuxHost::new(LinuxConfig {
        data_dir: dir.join("data"),
        run_dir: dir.join("run"),
        log_dir: dir.join("log"),
        pools: BTreeMap::from([
            (
                "default".to_owned(),
                pool(&dir.join("pool"), PoolKind::Directory),
            ),
            (
                "images".to_owned(),
                pool(&dir.join("images"), PoolKind::Image),
            ),
        ]),
        policy: LocalPolicy {
            allowed_groups: vec!["daemon".to_owned(), "7".to_owned()],
            ..LocalPolicy::default()
        },
        self_reboot: None,
        scopes: Scopes::None,
        keeper_program: agent_program(),
    })
    .unwrap()
}

/// The agent's program: where it was built, or in the guest beside this test.
fn agent_program() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_berth-agent"));
    if built.exists() {
        return built;
    }
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("berth-agent")
}

fn pool(path: &Path, kind: PoolKind) -> Pool {
    Pool {
        path: path.to_owned(),
        kind,
    }
}

/// A process that runs a shell script as `nobody`.
pub(crate) fn shell(name: &str, script: &str) -> RenderedProcess {
    RenderedProcess {
        name: process(name),
        argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        env: BTreeMap::new(),
        working_dir: "/".to_owned(),
        user: "nobody".to_owned(),
        group: None,
        supplemental_groups: Vec::new(),
        umask: DEFAULT_UMASK,
        capabilities: Vec::new(),
        rlimits: BTreeMap::new(),
        limits: Limits::default(),
        mounts: Vec::new(),
        files: Vec::new(),
        ports: Vec::new(),
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        post_start: None,
        pre_stop: None,
        kill_signal: "SIGTERM".to_owned(),
        reload_signal: "SIGHUP".to_owned(),
        never_kill: false,
        journald: false,
        sidecar: false,
    }
}

pub(crate) fn rlimit(soft: u64, hard: u64) -> Rlimit {
    let (soft, hard) = (Some(soft), Some(hard));
    Rlimit { soft, hard }
}

/// A hook that runs a shell script.
pub(crate) fn hook(script: &str) -> Hook {
    Hook::Exec(["/bin/sh", "-c", script].map(str::to_owned).to_vec())
}

pub(crate) fn process(name: &str) -> ProcessName {
    name.parse().unwrap()
}

/// The process id on the host of one of the member's processes.
pub(crate) async fn pid_of(handle: &KeeperHandle, name: &str) -> u32 {
    let status = handle.client.status().await.unwrap();
    let found = status.processes.iter().find(|p| p.name == process(name));
    found.unwrap().pid.unwrap()
}

/// Waits for an event that fits.
pub(crate) async fn event(
    handle: &mut KeeperHandle,
    fits: impl Fn(&KeeperEvent) -> bool,
) -> KeeperEvent {
    let mut seen = Vec::new();
    let wait = async {
        while let Some(event) = handle.events.recv().await {
            if fits(&event) {
                return Some(event);
            }
            seen.push(event);
        }
        None
    };
    let found = timeout(DEADLINE, wait).await;
    found
        .ok()
        .flatten()
        .unwrap_or_else(|| panic!("not seen; events were {seen:?}"))
}

/// Reads events up to the last one.
pub(crate) async fn until_gone(handle: &mut KeeperHandle) -> Vec<KeeperEvent> {
    let mut events = Vec::new();
    let read = async {
        while let Some(event) = handle.events.recv().await {
            events.push(event);
        }
    };
    timeout(DEADLINE, read).await.unwrap();
    assert_eq!(events.last(), Some(&KeeperEvent::Gone), "{events:?}");
    events
}

/// Polls until `look` returns `Ok`; what it last returned is in the failure.
pub(crate) async fn wait_for<T>(what: &str, look: impl Fn() -> Result<T, String>) -> T {
    let deadline = Instant::now() + DEADLINE;
    let mut looks = interval(Duration::from_millis(5));
    loop {
        looks.tick().await;
        match look() {
            Ok(found) => return found,
            Err(last) => assert!(Instant::now() < deadline, "{what}: {last}"),
        }
    }
}

pub(crate) fn kill(pid: u32, signal: &str) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    let number = berth_core::keeper::signal_number(signal).unwrap();
    let signal = nix::sys::signal::Signal::try_from(number).unwrap();
    // Gone already is as good.
    let _ = nix::sys::signal::kill(pid, signal);
}

fn is_keeper(pid: u32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim() == "berth-keeper"
}

/// Whether a process of this id runs; a dead one that nobody has waited for does not.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// The host process ids whose command line begins with a text.
pub(crate) fn with_command_line(text: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        runs(*pid) && line.starts_with(text)
    })
    .collect()
}

/// Whether this machine lets root protect processes from the OOM killer.
pub(crate) fn has_sys_resource() -> bool {
    let sets = rustix::thread::capabilities(None).unwrap();
    sets.effective
        .contains(rustix::thread::CapabilitySet::SYS_RESOURCE)
}

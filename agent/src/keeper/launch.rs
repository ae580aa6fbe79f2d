//! A keeper's beginning. The launcher reads what to do, unshares the PID namespace and forks: the
//! child is PID 1 in it, and the launcher is gone. PID 1 takes the member's lock, writes its
//! record, sets up mounts and names, starts the first processes, says so, and goes into the loop.

use std::{
    fs,
    io::{Read, Write},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use berth_core::{
    ids::MemberId,
    keeper::logs::LogLimits,
    keeper::{KeeperMachine, MemberPlan, ProcessPlan, Role, signal_number},
    rendered::RenderedProcess,
    waiting::Reason,
};
use nix::{
    sched::{CloneFlags, unshare},
    sys::stat::{Mode, umask},
    unistd::{sethostname, setsid},
};

use super::{
    cgroup::{Cgroup, fork_into},
    clients::Clients,
    files::Files,
    journal::Journal,
    lease::Lease,
    logs::LogDir,
    mounts::{Mounts, open_path},
    processes,
    record::{self, SOCKET},
    run::Keeper,
    seen::SeenData,
    spawn::Spawner,
    spec::{LaunchMessage, LaunchSpec},
    sys,
    unmount::Leaving,
};
use crate::host::{RunRecord, path_failed, step_failed};

/// The launcher; its exit code matters to nobody, what it has to say is on its output.
pub(crate) fn main() -> i32 {
    sys::close_from(3);
    let spec = match read_spec() {
        Ok(spec) => spec,
        Err(reason) => return fail(reason),
    };
    if let Err(error) = unshare(CloneFlags::CLONE_NEWPID) {
        return fail(step_failed("make a PID namespace", error.desc()));
    }
    let cgroup = Cgroup::make(&spec.dirs.run, &spec.launch.rendered);
    let leaf = cgroup.as_ref().and_then(Cgroup::keeper_leaf);
    match fork_into(leaf.as_ref(), || keeper(spec, cgroup)) {
        Ok(pid) => {
            let pid = pid.as_raw().unsigned_abs();
            say(&LaunchMessage::Forked { pid });
            0
        }
        Err(error) => fail(step_failed("fork the keeper", error.desc())),
    }
}

fn read_spec() -> Result<LaunchSpec, Reason> {
    let failed = |e: &dyn ToString| step_failed("read the launch", e.to_string());
    let mut text = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut text);
    read.map_err(|e| failed(&e))?;
    serde_json::from_slice(&text).map_err(|e| failed(&e))
}

fn say(message: &LaunchMessage) {
    if let Ok(mut line) = serde_json::to_vec(message) {
        line.push(b'\n');
        // An agent that died meanwhile hears nothing; the next one finds the record.
        drop(std::io::stdout().write_all(&line));
        drop(std::io::stdout().flush());
    }
}

fn fail(reason: Reason) -> i32 {
    say(&LaunchMessage::Failed(reason));
    1
}

/// PID 1.
fn keeper(spec: LaunchSpec, cgroup: Option<Cgroup>) -> i32 {
    let mut keeper = match set_up(spec, cgroup) {
        Ok(keeper) => keeper,
        Err(reason) => return fail(reason),
    };
    // Mounts may have taken long.
    let in_time = keeper.lease.as_ref().map_or(Ok(()), Lease::check);
    let guarded = in_time.and_then(|()| keeper.lease.as_mut().map_or(Ok(()), Lease::guard));
    match guarded.and_then(|()| keeper.begin()) {
        Ok(()) => say(&LaunchMessage::Ready),
        // Everything that was started dies with PID 1.
        Err(reason) => return fail(reason),
    }
    // The agent's pipes are not ours any more; messages for people go to stderr, a log file.
    let null = keeper.spawner.null.try_clone();
    if let Ok(null) = null {
        let _ = nix::unistd::dup2_stdin(&null);
        let _ = nix::unistd::dup2_stdout(&null);
    }
    sys::drop_clean_pages();
    keeper.stay_in_memory();
    keeper.run()
}

fn set_up(spec: LaunchSpec, cgroup: Option<Cgroup>) -> Result<Keeper, Reason> {
    let failed = |step: &'static str| move |e: nix::errno::Errno| step_failed(step, e.desc());
    setsid().map_err(failed("begin a session"))?;
    umask(Mode::from_bits_truncate(0o022));
    let _ = rustix::thread::set_name(c"berth-keeper");
    let member = &spec.launch.rendered;
    let lock = record::lock(&spec.dirs.run)?;
    let lock = lock.ok_or_else(|| step_failed("lock the run", "another keeper of it is alive"))?;
    let host_proc = open_path(Path::new("/proc"))?;
    let clients = Clients::listen(&spec.dirs.run, SOCKET)?;
    let record = own_record(&spec, cgroup.as_ref())?;
    record::write(&spec.dirs.run, &record)?;
    // A cleanup that began before the lock was taken may have removed what it found.
    record::still_there(&spec.dirs.run, &lock)?;
    let lease = spec
        .launch
        .lease
        .map(|run| Lease::open(run, spec.reboot.as_ref()));
    let lease = lease.transpose()?;
    let run_dir = open_path(&spec.dirs.run)?;
    let null = Path::new("/dev/null");
    let options = fs::OpenOptions::new().read(true).write(true).open(null);
    let spawner = Spawner {
        host_proc,
        null: options.map_err(|e| path_failed("open", null, e))?,
        protected: protect(&member.member),
    };
    let logs = LogDir {
        dir: open_path(&spec.dirs.log)?,
        limits: LogLimits::default(),
        journal: Journal::of(member)?,
    };
    let mut files = Files::open(&spec.dirs.once)?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)
        .map_err(failed("make mount and UTS namespaces"))?;
    let mut mounts = Mounts::open(&spec, |volume| {
        say(&LaunchMessage::Mounting {
            volume: volume.name.clone(),
            source: volume.source.clone(),
        });
    })?;
    mounts.apply()?;
    let seen = SeenData::new(mounts.volumes.watched())?;
    let volumes = mounts.volumes.run_volumes.clone();
    // The run directory's own path may be covered by now.
    let run_dir = PathBuf::from(format!("/proc/self/fd/{}", run_dir.as_raw_fd()));
    record::write(&run_dir, &RunRecord { volumes, ..record })?;
    sethostname(&member.hostname).map_err(failed("set the host name"))?;
    files.allow_config(Path::new(&member.config_dir));
    mounts.volumes.targets().for_each(|path| files.allow(path));
    processes::check_programs(member)?;
    Ok(Keeper {
        machine: KeeperMachine::new(plan(&spec)?),
        processes: processes::table(&spec)?,
        jobs: Vec::new(),
        clients,
        mounts,
        logs,
        files,
        seen,
        cgroup,
        spawner,
        member: member.member.clone(),
        run: spec.launch.run.clone(),
        signals: super::run::signals()?,
        mount_events: super::run::mount_events()?,
        lease,
        started: std::time::Instant::now(),
        launching: None,
        leaving: Leaving::default(),
        finished: false,
        _lock: lock,
    })
}

fn own_record(spec: &LaunchSpec, cgroup: Option<&Cgroup>) -> Result<RunRecord, Reason> {
    let failed = |e: &dyn ToString| step_failed("read /proc", e.to_string());
    // Still the host's: it shows our process id there.
    let pid = fs::read_link("/proc/self").map_err(|e| failed(&e))?;
    let stat = fs::read_to_string("/proc/self/stat").map_err(|e| failed(&e))?;
    Ok(RunRecord {
        member: spec.launch.rendered.member.clone(),
        run: spec.launch.run.clone(),
        pid: pid.to_string_lossy().parse().map_err(|e| failed(&e))?,
        start_time: record::start_time(&stat).ok_or_else(|| failed(&"no start time"))?,
        cgroup: cgroup.map(|cgroup| cgroup.dir().to_owned()),
        volumes: Vec::new(),
    })
}

/// Out of memory, the kernel is to take anything before the keeper. Returns whether it is so: an
/// agent without the capability `SYS_RESOURCE` can do without.
fn protect(member: &MemberId) -> bool {
    let protected = fs::write("/proc/self/oom_score_adj", "-1000");
    if let Err(error) = &protected {
        let _ = writeln!(
            std::io::stderr(),
            "{member}: not protected from OOM: {error}"
        );
    }
    protected.is_ok()
}

fn plan(spec: &LaunchSpec) -> Result<MemberPlan, Reason> {
    let member = &spec.launch.rendered;
    let before = member.init_processes.iter().map(|process| {
        let startup_probe = process.startup_probe.is_some();
        match process.sidecar {
            true => process_plan(process, Role::Sidecar { startup_probe }),
            false => process_plan(process, Role::Init),
        }
    });
    let mains = member.processes.iter();
    let mains = mains.map(|process| process_plan(process, Role::Main));
    Ok(MemberPlan {
        processes: before.chain(mains).collect::<Result<_, _>>()?,
        grace: std::time::Duration::from_secs(u64::from(member.grace_seconds)),
        backoff: member.backoff,
    })
}

fn process_plan(process: &RenderedProcess, role: Role) -> Result<ProcessPlan, Reason> {
    let number = signal_number(&process.kill_signal);
    let stop_signal = number.ok_or_else(|| {
        let step = format!("prepare process {}", process.name);
        step_failed(step, format!("no signal '{}'", process.kill_signal))
    })?;
    Ok(ProcessPlan {
        name: process.name.clone(),
        role,
        stop_signal,
        post_start: process.post_start.is_some(),
        pre_stop: process.pre_stop.is_some(),
        never_kill: process.never_kill,
    })
}

//! The table of a member's processes: what each is, whether it runs, its log.

use std::{fs, path::Path};

use berth_core::{
    keeper::Slot,
    rendered::{RenderedMember, RenderedProcess},
    waiting::Reason,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    cgroup::Cgroup,
    logs::ProcessLog,
    notify::NotifySocket,
    privileges::Privileges,
    spawn::Child,
    spec::{Identity, LaunchSpec},
};
use crate::host::step_failed;

/// How far up a chain of parents is followed.
const MAX_DEPTH: usize = 64;

/// One process of the member.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) rendered: RenderedProcess,
    pub(crate) identity: Identity,
    pub(crate) privileges: Privileges,
    pub(crate) log: ProcessLog,
    pub(crate) child: Option<Child>,
    /// Why its last start failed, until that is told.
    pub(crate) failed: Option<Reason>,
    /// Where it says how it is, if anybody listens.
    pub(crate) notify: Option<NotifySocket>,
    /// What of its `resources` was not enforced at its last start, each with why.
    pub(crate) unenforced: Vec<String>,
    /// The session of its current or last run.
    session: Option<Pid>,
}

impl Process {
    fn new(rendered: &RenderedProcess, spec: &LaunchSpec) -> Result<Self, Reason> {
        let name = &rendered.name;
        let identity = spec.identities.get(name).cloned().ok_or_else(|| {
            step_failed(
                format!("prepare process {name}"),
                "its user is not resolved",
            )
        })?;
        Ok(Self {
            privileges: Privileges::new(rendered, &identity)?,
            notify: NotifySocket::new(rendered, &identity)?,
            identity,
            log: ProcessLog::new(name.clone(), rendered.journald),
            rendered: rendered.clone(),
            child: None,
            failed: None,
            unenforced: Vec::new(),
            session: None,
        })
    }

    /// Notes that it runs.
    pub(crate) fn began(&mut self, child: Child) {
        self.child = Some(child);
        self.session = Some(child.pid);
    }

    /// Sends a signal to it. False if it does not run.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.child
            .is_some_and(|child| kill(child.pid, signal).is_ok())
    }

    /// Kills it and what it left behind: its cgroup, or, without one, its session.
    pub(crate) fn kill_with_leftovers(&self, cgroup: Option<&mut Cgroup>) {
        if let Some(child) = self.child {
            // Gone already is as good.
            let _ = kill(child.pid, Signal::SIGKILL);
        }
        if cgroup.is_some_and(|cgroup| cgroup.kill_leftovers(&self.rendered.name)) {
            return;
        }
        if let Some(session) = self.session {
            for pid in members_of(session) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
    }
}

/// The processes in the order of the slots.
///
/// # Errors
/// Names that this host does not know, `CommandMissing`.
pub(crate) fn table(spec: &LaunchSpec) -> Result<Vec<Process>, Reason> {
    let member = &spec.launch.rendered;
    let all = member.init_processes.iter().chain(&member.processes);
    all.map(|process| Process::new(process, spec)).collect()
}

/// Looks whether every program can be executed at all, before the first one is.
pub(crate) fn check_programs(member: &RenderedMember) -> Result<(), Reason> {
    use std::os::unix::fs::PermissionsExt;
    for process in member.init_processes.iter().chain(&member.processes) {
        let path = process.argv.first().cloned().unwrap_or_default();
        let error = match fs::metadata(&path) {
            Ok(file) if !file.is_file() => "it is not a file".to_owned(),
            Ok(file) if file.permissions().mode() & 0o111 == 0 => "it is not executable".to_owned(),
            Ok(_) => continue,
            Err(error) => error.to_string(),
        };
        return Err(Reason::CommandMissing {
            process: process.name.clone(),
            path,
            error,
        });
    }
    Ok(())
}

/// The slot of the process that runs under an id.
pub(crate) fn slot_of(processes: &[Process], pid: Pid) -> Option<Slot> {
    let runs = |process: &Process| process.child.is_some_and(|child| child.pid == pid);
    processes.iter().position(runs).map(Slot)
}

/// Kills what a session leader has begun: a shell gives each of its jobs a group of its own.
pub(crate) fn kill_session(leader: Pid) {
    for pid in members_of(leader) {
        // One that has ended meanwhile needs none.
        let _ = kill(pid, Signal::SIGKILL);
    }
}

/// The processes of a session, from this namespace's `/proc`.
fn members_of(session: Pid) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat =
            fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
        (session_of(&stat)? == session.as_raw()).then_some(Pid::from_raw(pid))
    });
    pids.collect()
}

/// Whether a process is another one, of its session, or a descendant of it.
pub(crate) fn belongs(process: Pid, to: Pid) -> bool {
    let mut next = Some(process);
    // A chain of parents ends at PID 1; one that is read while it changes must end too.
    for _ in 0..MAX_DEPTH {
        let Some(pid) = next else { return false };
        if pid == to {
            return true;
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if session_of(&stat) == Some(to.as_raw()) {
            return true;
        }
        next = parent_of(&stat).map(Pid::from_raw);
    }
    false
}

/// The parent from the text of a `/proc/<pid>/stat`.
fn parent_of(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    let parent = rest.split_ascii_whitespace().nth(1)?.parse().ok()?;
    (parent > 0).then_some(parent)
}

/// The session from the text of a `/proc/<pid>/stat`.
fn session_of(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_past_a_hostile_program_name() {
        assert_eq!(session_of("12 (x) 9 9 9) S 1 12 7 0 -1"), Some(7));
        assert_eq!(session_of("12"), None);
    }

    #[test]
    fn a_process_belongs_to_its_parents_and_to_nobody_else() {
        let own = nix::unistd::getpid();
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        assert!(belongs(own, own) && belongs(pid, own));
        assert!(!belongs(own, pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(parent_of("12 (x) 9 9 9) S 4 12 7 0 -1"), Some(4));
        assert_eq!(parent_of("1 (x) S 0 1 1"), None);
    }

    #[test]
    fn own_session_is_found_in_proc() {
        let own = nix::unistd::getpid();
        let session = nix::unistd::getsid(None).unwrap();
        assert!(members_of(session).contains(&own));
    }
}

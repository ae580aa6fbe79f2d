//! Processes without a parent: daemons of a `berth dev` that was killed, and the keepers of members
//! when everything is to be killed.
//!
//! A process is taken for one of ours only if its command line names our directory, or its start
//! time is the one on record, because a number alone may belong to somebody else by now.

use std::{fs, path::Path, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::{sleep, timeout};

use super::{layout::Layout, record};
use crate::output;
use serde::Deserialize;

/// How long a daemon of a former run may take to end.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Between two looks; the end of somebody else's child has no event.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Stops the daemons that a former `berth dev` in this directory left behind. Its members run on,
/// and the new agents adopt them.
pub(crate) async fn stop(layout: &Layout) {
    let Some(left) = record::left(&layout.dir) else {
        return;
    };
    let agents = left.hosts.iter().map(|host| &host.agent);
    for daemon in agents.chain([&left.coordinator]) {
        let ours = || daemon.pid != 0 && mentions(daemon.pid, &daemon.config);
        if !ours() {
            continue;
        }
        output::note(&format!(
            "stopping process {}, left by a `berth dev` that was killed",
            daemon.pid
        ));
        send(daemon.pid, Signal::SIGTERM);
        let gone = async {
            while ours() {
                sleep(LOOK_AGAIN).await;
            }
        };
        if timeout(STOP_LIMIT, gone).await.is_err() && ours() {
            send(daemon.pid, Signal::SIGKILL);
        }
    }
}

/// What a keeper leaves on disk for the next agent, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keeper {
    pid: u32,
    start_time: u64,
}

/// Kills the keepers of all hosts, and with each one its member. The agents, which would start
/// them again, must be gone.
pub(crate) fn kill_keepers(layout: &Layout) {
    for host in &layout.hosts {
        let Ok(runs) = fs::read_dir(host.run_dir()) else {
            continue;
        };
        for run in runs.flatten() {
            let text = fs::read(run.path().join("record.json")).unwrap_or_default();
            let Ok(keeper) = serde_json::from_slice::<Keeper>(&text) else {
                continue;
            };
            if start_time(keeper.pid) == Some(keeper.start_time) {
                send(keeper.pid, Signal::SIGKILL);
            }
        }
    }
}

/// When a process began, in clock ticks since boot: a number that was used again has another.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Whether a path, or one below it, stands in the command line of a process.
fn mentions(pid: u32, path: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|byte| *byte == 0);
    let mut paths = words
        .filter_map(|word| std::str::from_utf8(word).ok())
        .map(Path::new);
    paths.any(|word| word.starts_with(path))
}

fn send(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // It fails only if the process has ended.
        kill(Pid::from_raw(pid), signal).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt as _, process::Command};

    use super::*;

    #[test]
    fn a_recorded_keeper_is_killed_unless_its_number_belongs_to_another() {
        let dir = tempfile::Builder::new().prefix("b").tempdir().unwrap();
        let layout = Layout::new(dir.path(), 1).unwrap();
        let run = layout.hosts[0].run_dir().join("default_web-0");
        fs::create_dir_all(&run).unwrap();
        let mut child = Command::new("tail")
            .args(["-f", "/dev/null"])
            .spawn()
            .unwrap();
        let started = start_time(child.id()).unwrap();
        let record = |time: u64| {
            let text = format!("{{\"pid\": {}, \"startTime\": {time}}}", child.id());
            fs::write(run.join("record.json"), text).unwrap();
        };

        record(started + 1);
        kill_keepers(&layout);
        assert_eq!(start_time(child.id()), Some(started));
        record(started);
        kill_keepers(&layout);
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_process_is_known_by_the_paths_in_its_command_line() {
        let own = std::env::current_exe().unwrap();
        let pid = std::process::id();
        assert!(mentions(pid, &own));
        assert!(mentions(pid, own.parent().unwrap()));
        assert!(!mentions(pid, Path::new("/nowhere")));
    }
}

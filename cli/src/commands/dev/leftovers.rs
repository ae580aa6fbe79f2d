//! Processes without a parent: daemons of a `berth dev` that was killed, and the keepers of members
//! when everything is to be killed.
//!
//! A process is taken for one of ours only if its command line names our directory, because a
//! number alone may belong to somebody else by now.

use std::{fs, path::Path, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::{sleep, timeout};

use super::{layout::Layout, record};
use crate::output;

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

/// Kills the keepers below a directory, and with each one its member.
pub(crate) fn kill_keepers(agent: &Path, dir: &Path) {
    let Ok(entries) = fs::read_dir("/proc") else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let ours = fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == agent);
        if ours && mentions(pid, dir) {
            send(pid, Signal::SIGKILL);
        }
    }
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
    use super::*;

    #[test]
    fn a_process_is_known_by_the_paths_in_its_command_line() {
        let own = std::env::current_exe().unwrap();
        let pid = std::process::id();
        assert!(mentions(pid, &own));
        assert!(mentions(pid, own.parent().unwrap()));
        assert!(!mentions(pid, Path::new("/nowhere")));
    }
}

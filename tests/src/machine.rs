//! Looking at this machine's processes through /proc.

use std::{fs, path::PathBuf, process::Command};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The parent of a process, or `None` if it is gone.
pub fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets and may hold blanks; the fields begin after the last one.
    stat.rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// Whether a process is there and not a zombie.
pub fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(')')
                .map(|(_, rest)| !rest.trim_start().starts_with('Z'))
        })
        .unwrap_or(false)
}

/// Kills a process that this test started, directly or not.
///
/// # Panics
/// If it is not there.
pub fn kill_9(pid: u32) {
    assert!(pid > 1, "no process to kill");
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).expect("process is there");
}

/// Processes whose command line holds all of `parts`.
pub fn processes_with(parts: &[&str]) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if parts.iter().all(|part| line.contains(part)) {
            found.push(pid);
        }
    }
    found
}

/// Whether this machine lets root grow a file system that is mounted; many containers do not.
pub fn may_grow_mounted() -> bool {
    let sets = rustix::thread::capabilities(None).expect("capabilities");
    sets.effective
        .contains(rustix::thread::CapabilitySet::SYS_RESOURCE)
}

/// One of the workspace's programs, beside the test program that runs, or one folder above it.
///
/// # Panics
/// If it has not been built: `cargo build --workspace` does.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("own path");
    let beside = own.ancestors().skip(1).take(2).map(|dir| dir.join(name));
    let found = beside.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{name} is missing; run: cargo build --workspace"))
}

/// The root of the checkout.
pub fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("workspace")
        .to_owned()
}

/// Runs a command to its end.
///
/// # Panics
/// If it fails, with all that it printed.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}",
        output.status
    );
    text
}

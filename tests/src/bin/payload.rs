//! The smallest member: it says when its `main` began, and then does nothing. The bench starts it
//! through Berth and without, so that the difference is Berth's.
//!
//! `payload exit` ends at once. `payload mark FIFO NAME` writes one line, the name and the
//! monotonic clock in nanoseconds, and waits for a signal. `payload apart FIFO NAME` does the same
//! in namespaces like a member's, made by plain system calls.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    time::{ClockId, clock_gettime},
    unistd::pause,
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["mark", fifo, name] => mark(fifo, name),
        ["apart", fifo, name] => apart(fifo, name),
        _ => Ok(()),
    };
    if done.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn mark(fifo: &str, name: &str) -> io::Result<()> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let nanos = i128::from(now.tv_sec()) * 1_000_000_000 + i128::from(now.tv_nsec());
    // One write below PIPE_BUF: lines of many writers do not mix.
    let line = format!("{name} {nanos}\n");
    OpenOptions::new()
        .write(true)
        .open(fifo)?
        .write_all(line.as_bytes())?;
    loop {
        pause();
    }
}

/// As a keeper does it: PID, mount and UTS namespace, a private `/tmp`, two files bound over.
fn apart(fifo: &str, name: &str) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    for file in ["/etc/resolv.conf", "/etc/hosts"] {
        mount(Some(file), file, none, MsFlags::MS_BIND, none)?;
    }
    mount(Some("tmpfs"), "/tmp", Some("tmpfs"), MsFlags::empty(), none)?;
    // The first child is PID 1 of the new namespace; it mounts its own /proc, as a member has.
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["mark", fifo, name]).process_group(0);
    child.spawn()?.wait().map(drop)
}

//! The few system calls of the keeper that Rust counts as unsafe, each with the reason why it is
//! sound here: a keeper has one thread.
#![expect(
    unsafe_code,
    reason = "fork, close_range and _exit have no safe wrapper"
)]

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::{
    errno::Errno,
    libc,
    sys::signal::{SigHandler, SigSet, Signal},
    unistd::{ForkResult, Pid},
};

/// Forks. In the child, `body` runs, and the child ends with the code that it returns.
///
/// # Errors
/// What the kernel says.
pub(crate) fn fork(body: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    // SAFETY: the process has one thread, so the child finds every lock (of the allocator, of
    // stdio) free and may do whatever the parent may.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => exit_now(body()),
    }
}

/// Forks a child that begins its life in a cgroup. To move it there afterwards costs milliseconds:
/// the kernel waits for all of its processors.
///
/// # Errors
/// What the kernel says; `ENOSYS` or `EINVAL` before Linux 5.7.
pub(crate) fn fork_into(cgroup: BorrowedFd<'_>, body: impl FnOnce() -> i32) -> Result<Pid, Errno> {
    let args = CloneArgs {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD.unsigned_abs().into(),
        cgroup: cgroup.as_raw_fd().unsigned_abs().into(),
        ..CloneArgs::default()
    };
    let size = size_of::<CloneArgs>();
    // SAFETY: without CLONE_VM and a stack, clone3 is fork; as there, one thread means free locks.
    // The C library's own hooks are left out: they would refresh its note of the thread's id,
    // which only its locks between threads use.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size) };
    match i32::try_from(pid) {
        Ok(0) => exit_now(body()),
        Ok(pid) if pid > 0 => Ok(Pid::from_raw(pid)),
        Ok(_) | Err(_) => Err(Errno::last()),
    }
}

/// The kernel's `struct clone_args` in its second version, the first with `cgroup`.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Ends the process at once: nothing that the parent has buffered is written by its child.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` does not return and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Closes every file descriptor from `first` up, whatever the parent let slip.
pub(crate) fn close_from(first: u32) {
    // SAFETY: called before any descriptor of this number is owned by a value. It cannot fail
    // with these arguments but where the kernel lacks it (before 5.9), and is a precaution only.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, 0);
    }
}

/// Gives every signal its default action and unblocks all, as a program expects at its start.
pub(crate) fn default_signals() {
    for signal in Signal::iterator() {
        // KILL and STOP cannot be changed, and need not be.
        // SAFETY: the default action runs no code of ours.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    }
    let _ = SigSet::empty().thread_set_mask();
}

//! The few system calls of the keeper that Rust counts as unsafe, each with the reason why it is
//! sound here: a keeper has one thread.
#![expect(
    unsafe_code,
    reason = "fork, close_range and _exit have no safe wrapper"
)]

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

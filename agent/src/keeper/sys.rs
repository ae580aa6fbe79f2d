//! The few system calls of the keeper that Rust counts as unsafe, each with the reason why it is
//! sound here: a keeper has one thread.
#![expect(
    unsafe_code,
    reason = "fork, clone3, close_range, madvise and _exit have no safe wrapper"
)]

use std::{
    fs,
    os::fd::{AsRawFd, BorrowedFd},
};

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
    // SAFETY: one thread of the process takes locks: the only other one, the guard of a lease, calls
    // nothing but the kernel once it runs, and forks wait until it does. So the child finds every
    // lock (of the allocator, of stdio) free and may do whatever the parent may.
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
    // SAFETY: without CLONE_VM and a stack, clone3 is fork; as there, the child finds free locks.
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

/// Gives back the pages of program and libraries that only the start needed: the loader reads the
/// whole relocation table of a program that is mostly the agent's. What is needed again comes back
/// from the page cache. Returns how many mappings it was.
pub(crate) fn drop_clean_pages() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let clean = maps.lines().filter_map(clean_mapping);
    let dropped = clean.filter(|(start, length)| {
        // SAFETY: the range is a mapping of this process, backed by a file and never written to,
        // so that reading it again gives the same bytes.
        let done =
            unsafe { libc::madvise(*start as *mut libc::c_void, *length, libc::MADV_DONTNEED) };
        done == 0
    });
    dropped.count()
}

/// Start and length of a mapping that holds what is in its file and nothing else: code, and the
/// beginning of a file up to its code. Later read-only mappings may hold relocated pointers.
fn clean_mapping(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (range, rights, offset) = (fields.next()?, fields.next()?, fields.next()?);
    let file = fields.nth(2)?.starts_with('/');
    let code = rights == "r-xp";
    let head = rights == "r--p" && offset.bytes().all(|byte| byte == b'0');
    if !file || !(code || head) {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    Some((start, end.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_and_the_head_of_a_file_are_clean() {
        let clean = |line: &str| clean_mapping(line).is_some();
        assert!(clean("1000-3000 r--p 00000000 fe:00 7    /usr/bin/x"));
        assert!(clean("3000-4000 r-xp 00002000 fe:00 7    /usr/bin/x"));
        assert!(
            !clean("4000-5000 r--p 00003000 fe:00 7    /usr/bin/x"),
            "relocated"
        );
        assert!(!clean("5000-6000 rw-p 00004000 fe:00 7    /usr/bin/x"));
        assert!(!clean("7000-8000 r-xp 00000000 00:00 0    [vdso]"));
        assert!(!clean("8000-9000 rw-p 00000000 00:00 0"));
    }

    #[test]
    fn the_program_goes_on_without_its_pages() {
        assert!(drop_clean_pages() > 0);
        assert_eq!(
            clean_mapping("1000-3000 r-xp 0 0 0 /x"),
            Some((0x1000, 0x2000))
        );
    }
}

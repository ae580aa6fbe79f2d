//! What the kernel says about a process: its CPU time and its memory.

use std::{fs, time::Duration};

/// The kernel's clock ticks per second as /proc shows them, on every architecture of Linux.
const TICKS: u64 = 100;

/// CPU time of a process so far, of all its threads, in user and kernel mode; `None` if it is gone.
pub fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields after the name, which is in brackets and may hold blanks: utime and stime are the
    // 14th and 15th of all, so the 12th and 13th of these.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + kernel) * 1000 / TICKS))
}

/// Resident memory of a process in kibibytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it, the pages of its program included. All processes of one program share those.
    pub resident: u64,
    /// What it wrote, and so has alone; a fork shares it until one of the two writes again.
    pub own: u64,
}

/// Memory of a process; `None` if it is gone.
pub fn memory(pid: u32) -> Option<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some(Memory {
        resident: kib("VmRSS:")?,
        own: kib("RssAnon:")?,
    })
}

/// Whether a program is installed.
pub fn installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_cpu_time() {
        let own = std::process::id();
        let memory = memory(own).unwrap();
        assert!(memory.own > 0 && memory.own < memory.resident, "{memory:?}");
        assert!(cpu(own).is_some());
        assert!(cpu(u32::MAX).is_none());
        assert!(installed("sh") && !installed("no-such-program"));
    }
}

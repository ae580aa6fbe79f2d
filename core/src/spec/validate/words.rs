//! Words that the kernel knows: signals, capabilities, resource limits.

use crate::keeper::{signal_name, signal_number};

/// Capabilities of Linux, without `CAP_`.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
];

/// Resource limits of setrlimit(2), in lower case.
const RLIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Whether this names a signal, with or without `SIG`, in any case.
pub(super) fn is_signal(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    // What is stopped by SIGSTOP does not end.
    signal_number(&upper).is_some_and(|number| signal_name(number) != Some("SIGSTOP"))
}

/// Whether this names a capability, with or without `CAP_`, in any case.
pub(super) fn is_capability(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    CAPABILITIES.contains(&upper.strip_prefix("CAP_").unwrap_or(&upper))
}

/// Whether this names a resource limit, in any case.
pub(super) fn is_rlimit(text: &str) -> bool {
    RLIMITS.contains(&text.to_ascii_lowercase().as_str())
}

/// The resource limits, for a message.
pub(super) fn rlimits() -> String {
    RLIMITS.join(", ")
}

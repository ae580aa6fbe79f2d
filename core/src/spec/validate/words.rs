//! Words that the kernel knows: signals, resource limits.

use crate::keeper::{signal_name, signal_number};

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

/// Whether this names a resource limit, in any case.
pub(super) fn is_rlimit(text: &str) -> bool {
    RLIMITS.contains(&text.to_ascii_lowercase().as_str())
}

/// The resource limits, for a message.
pub(super) fn rlimits() -> String {
    RLIMITS.join(", ")
}

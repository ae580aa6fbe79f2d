//! What an agent must be allowed by the kernel to do its work. It is looked at before anything else: an agent
//! without it would join, be given members, and fail with each of them.

use std::fs;

use thiserror::Error;

/// What it needs, by the number of the capability, and what for.
const NEEDED: [(u32, &str, &str); 9] = [
    (0, "CAP_CHOWN", "give volumes to their users"),
    (1, "CAP_DAC_OVERRIDE", "write into volumes of other users"),
    (3, "CAP_FOWNER", "set modes of files of other users"),
    (5, "CAP_KILL", "stop processes of other users"),
    (6, "CAP_SETGID", "run processes as other groups"),
    (7, "CAP_SETUID", "run processes as other users"),
    (8, "CAP_SETPCAP", "take capabilities from processes"),
    (12, "CAP_NET_ADMIN", "set addresses of members"),
    (21, "CAP_SYS_ADMIN", "mount volumes and make namespaces"),
];

/// The agent may not do its work.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the agent runs as user {user} and may not {}; run it as root, as its unit does, with {}",
    .lacks.iter().map(|(_, what)| *what).collect::<Vec<_>>().join(", "),
    .lacks.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
)]
pub struct Unprivileged {
    /// As whom it runs, by number.
    pub user: String,
    /// What it lacks, by name, and what for.
    pub lacks: Vec<(&'static str, &'static str)>,
}

/// Looks at what this process may do.
///
/// # Errors
/// If that is not enough.
pub fn check() -> Result<(), Unprivileged> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lacks = lacking(&status);
    if lacks.is_empty() {
        return Ok(());
    }
    let user = user(&status);
    Err(Unprivileged { user, lacks })
}

/// What a process lacks, by its status in `/proc`; without one nobody knows, and it is tried.
fn lacking(status: &str) -> Vec<(&'static str, &'static str)> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let effective = effective.unwrap_or(u64::MAX);
    let lacks = NEEDED
        .iter()
        .filter(|(bit, ..)| effective & (1 << bit) == 0);
    lacks.map(|(_, name, what)| (*name, *what)).collect()
}

/// As whom a process acts: the second of its users.
fn user(status: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let effective = line.and_then(|users| users.split_whitespace().nth(1));
    effective.unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_named_with_what_it_is_for() {
        assert_eq!(lacking("CapEff:\t000001ffffffffff\n"), []);
        assert_eq!(lacking(""), []);
        let none = lacking("Name:\tx\nCapEff:\t0000000000000000\n");
        assert_eq!(none.len(), NEEDED.len());
        let lacks = lacking("CapEff:\t000001ffffdfffff\n");
        assert_eq!(lacks.len(), 1);
        let user = user("Name:\tx\nUid:\t0\t1000\t0\t0\n");
        let told = Unprivileged { user, lacks }.to_string();
        assert_eq!(
            told,
            "the agent runs as user 1000 and may not mount volumes and make namespaces; run it as root, as \
             its unit does, with CAP_SYS_ADMIN"
        );
    }
}

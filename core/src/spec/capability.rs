//! The names of capabilities, in the one form that everything after the manifest has them in: upper
//! case, without `CAP_`.

/// Capabilities of Linux.
const ALL: [&str; 41] = [
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

/// What a name is called in that form, whether or not it names a capability.
pub(crate) fn plain(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

/// The capability that this names, with or without `CAP_`, in any case.
pub fn capability(name: &str) -> Option<&'static str> {
    let plain = plain(name);
    ALL.into_iter().find(|known| *known == plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_has_one_name_however_it_is_written() {
        for name in ["NET_RAW", "cap_net_raw", "CAP_NET_RAW", "net_raw"] {
            assert_eq!(capability(name), Some("NET_RAW"), "{name}");
        }
        for name in ["ALL", "CAP_", "", "NET RAW"] {
            assert_eq!(capability(name), None, "{name}");
        }
    }
}

//! The part of the configuration that says what members may do on this host.

use std::path::PathBuf;

use berth_core::{network::Network, spec::capability};
use serde::Deserialize;

use super::ConfigError;
use crate::host::linux::{LocalPolicy, SelfReboot};

/// What members may do on this host. What it leaves out is as in [`LocalPolicy::default`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PolicyFile {
    /// Whether processes may run as root.
    pub allow_root: bool,
    /// The users that processes may run as; any but root if empty.
    pub allowed_users: Vec<String>,
    /// What `b` is written to, to reboot the host at once, when a member is not gone at the end of its
    /// lease: `/proc/sysrq-trigger`. Left out, the host never reboots itself.
    pub self_reboot: Option<PathBuf>,
    /// The watchdog that resets the host then instead, such as `/dev/watchdog0`. Nobody else has it.
    pub watchdog: Option<PathBuf>,
    /// The groups that processes may be in beside those of their user.
    pub allowed_groups: Vec<String>,
    /// The capabilities that processes may keep, with or without `CAP_`.
    pub allowed_capabilities: Vec<String>,
    /// The programs that may be started in members, and directories of such; all if empty.
    pub allowed_commands: Vec<PathBuf>,
    /// The NFS servers that members may mount from, as manifests call them; all if empty.
    pub allowed_nfs_servers: Vec<String>,
    /// Where volumes may appear in members and what `configDir.copyFrom` may name, with all beneath;
    /// everything if empty.
    pub allowed_paths: Vec<PathBuf>,
    /// The networks that members may have addresses in; any if empty.
    pub allowed_networks: Vec<Network>,
}

impl Default for PolicyFile {
    fn default() -> Self {
        let usual = LocalPolicy::default();
        Self {
            allow_root: usual.allow_root,
            allowed_users: usual.allowed_users,
            self_reboot: None,
            watchdog: None,
            allowed_groups: usual.allowed_groups,
            allowed_capabilities: usual.allowed_capabilities,
            allowed_commands: usual.allowed_commands,
            allowed_nfs_servers: usual.allowed_nfs_servers,
            allowed_paths: usual.allowed_paths,
            allowed_networks: usual.allowed_networks,
        }
    }
}

impl PolicyFile {
    /// What reboots the host, if anything does.
    pub(super) fn reboot(&self) -> Result<Option<SelfReboot>, ConfigError> {
        match (self.self_reboot.clone(), self.watchdog.clone()) {
            (Some(_), Some(_)) => Err(ConfigError::TwoReboots),
            (sysrq, watchdog) => {
                let watchdog = watchdog.map(SelfReboot::Watchdog);
                Ok(sysrq.map(SelfReboot::Sysrq).or(watchdog))
            }
        }
    }

    /// With every capability by its one name, and which of them are none.
    pub(super) fn check(self) -> (LocalPolicy, Vec<ConfigError>) {
        let mut allowed_capabilities = Vec::new();
        let mut errors = Vec::new();
        for (index, name) in self.allowed_capabilities.into_iter().enumerate() {
            match capability(&name) {
                Some(known) => allowed_capabilities.push(known.to_owned()),
                None => errors.push(ConfigError::Capability { index, name }),
            }
        }
        let policy = LocalPolicy {
            file: LocalPolicy::default().file,
            allow_root: self.allow_root,
            allowed_users: self.allowed_users,
            allowed_groups: self.allowed_groups,
            allowed_capabilities,
            allowed_commands: self.allowed_commands,
            allowed_nfs_servers: self.allowed_nfs_servers,
            allowed_paths: self.allowed_paths,
            allowed_networks: self.allowed_networks,
        };
        (policy, errors)
    }
}

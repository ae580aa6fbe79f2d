//! What the host itself lets its members have, whatever the coordinator says. A coordinator that was
//! taken over must not be root here: by a user, by a group such as `docker` or `disk`, or by a
//! capability.

use std::path::PathBuf;

use berth_core::{
    ids::ProcessName,
    waiting::{Forbidden, Privilege, Reason},
};
use nix::unistd::{Gid, Uid};

/// The capabilities that a host allows if it says nothing of them; see
/// `docs/decisions/0019-what-a-host-allows.md`.
const DEFAULT_CAPABILITIES: [&str; 2] = ["IPC_LOCK", "NET_BIND_SERVICE"];

/// What processes may have on this host: the `policy` of the agent's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPolicy {
    /// The file that it stands in: who is refused is told of it.
    pub file: PathBuf,
    /// Whether user 0 or group 0 is allowed.
    pub allow_root: bool,
    /// The only users allowed, by name or number; all (but root) if empty.
    pub allowed_users: Vec<String>,
    /// The groups allowed beside those that a user has by its account, by name or number.
    pub allowed_groups: Vec<String>,
    /// The capabilities allowed, as [`berth_core::spec::capability`] calls them.
    pub allowed_capabilities: Vec<String>,
}

/// A user or a group, as it was asked for and as the host knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a, Id> {
    pub(super) asked: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) id: Id,
}

impl<Id: ToString> Known<'_, Id> {
    fn is_in(&self, list: &[String]) -> bool {
        let number = self.id.to_string();
        let mut list = list.iter();
        list.any(|one| *one == self.asked || Some(one.as_str()) == self.name || *one == number)
    }
}

/// What is refused, and the key of the policy that would allow it.
pub(super) type Refused = (Privilege, &'static str);

impl Default for LocalPolicy {
    fn default() -> Self {
        Self {
            file: PathBuf::from("/etc/berth/agent.yaml"),
            allow_root: false,
            allowed_users: Vec::new(),
            allowed_groups: Vec::new(),
            allowed_capabilities: DEFAULT_CAPABILITIES.map(str::to_owned).to_vec(),
        }
    }
}

impl LocalPolicy {
    /// Whether a process may run as this user.
    pub(super) fn user(&self, user: Known<'_, Uid>) -> Result<(), Refused> {
        let refused = |key| Err((Privilege::User(user.asked.to_owned()), key));
        if user.id.is_root() && !self.allow_root {
            return refused("policy.allowRoot");
        }
        if !self.allowed_users.is_empty() && !user.is_in(&self.allowed_users) {
            return refused("policy.allowedUsers");
        }
        Ok(())
    }

    /// Whether a process may be in this group, if its user is in these by its account.
    pub(super) fn group(&self, group: Known<'_, Gid>, own: &[Gid]) -> Result<(), Refused> {
        let refused = |key| Err((Privilege::Group(group.asked.to_owned()), key));
        if group.id.as_raw() == 0 && !self.allow_root {
            return refused("policy.allowRoot");
        }
        if !own.contains(&group.id) && !group.is_in(&self.allowed_groups) {
            return refused("policy.allowedGroups");
        }
        Ok(())
    }

    /// Whether a process may keep the capabilities that it asks for.
    ///
    /// # Errors
    /// `Forbidden`, with the first that it may not.
    pub(super) fn capabilities(
        &self,
        process: &ProcessName,
        keep: &[String],
    ) -> Result<(), Reason> {
        let allowed = &self.allowed_capabilities;
        let Some(name) = keep.iter().find(|name| !allowed.contains(name)) else {
            return Ok(());
        };
        let refused = Privilege::Capability(name.clone());
        Err(self.forbids(process, (refused, "policy.allowedCapabilities")))
    }

    /// The reason that a member waits for.
    pub(super) fn forbids(&self, process: &ProcessName, (privilege, key): Refused) -> Reason {
        Reason::Forbidden(Forbidden {
            process: process.clone(),
            privilege,
            key: key.to_owned(),
            file: self.file.display().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_capabilities_are_kept() {
        let ask = |policy: &LocalPolicy, keep: &[&str]| {
            let keep: Vec<_> = keep.iter().map(ToString::to_string).collect();
            policy.capabilities(&"db".parse().unwrap(), &keep)
        };
        let usual = LocalPolicy::default();
        assert_eq!(ask(&usual, &["NET_BIND_SERVICE", "IPC_LOCK"]), Ok(()));
        let error = ask(&usual, &["IPC_LOCK", "SYS_ADMIN"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "process db: capability SYS_ADMIN is not allowed by policy.allowedCapabilities in \
             /etc/berth/agent.yaml of its host"
        );
        let none = LocalPolicy {
            allowed_capabilities: Vec::new(),
            ..usual
        };
        assert_eq!(ask(&none, &[]), Ok(()));
        assert!(ask(&none, &["NET_BIND_SERVICE"]).is_err());
    }
}

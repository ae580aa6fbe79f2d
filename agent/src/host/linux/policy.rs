//! What the host itself lets its members have, whatever the coordinator says. A coordinator that was
//! taken over must not be root here: by a user, by a group such as `docker` or `disk`, or by a
//! capability. A host may also list the programs that are started in its members, the servers that they
//! mount from, and the paths that a manifest may name.

use std::{
    net::IpAddr,
    path::{Component, Path, PathBuf},
};

use berth_core::{
    ids::ProcessName,
    network::Network,
    rendered::{Hook, RenderedMember, RenderedProcess},
    volume::NfsSource,
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
    /// The programs that may be started, and directories of such; all if empty.
    pub allowed_commands: Vec<PathBuf>,
    /// The NFS servers that may be mounted from, as manifests call them; all if empty.
    pub allowed_nfs_servers: Vec<String>,
    /// Where volumes may appear and what may be copied from, with all beneath; everywhere if empty.
    pub allowed_paths: Vec<PathBuf>,
    /// Where the addresses of members are; anywhere if empty.
    pub allowed_networks: Vec<Network>,
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
            allowed_commands: Vec::new(),
            allowed_nfs_servers: Vec::new(),
            allowed_paths: Vec::new(),
            allowed_networks: Vec::new(),
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

    /// Whether all that a member is to start and to see may be.
    ///
    /// # Errors
    /// `Forbidden`, with the first that may not.
    pub(super) fn member(&self, member: &RenderedMember) -> Result<(), Reason> {
        self.address(&member.address)?;
        for process in member.init_processes.iter().chain(&member.processes) {
            for program in programs(process) {
                self.command(&process.name, program)?;
            }
            for mount in &process.mounts {
                self.mount(&process.name, &mount.mount_path)?;
            }
        }
        let from = member.config_copy_from.as_ref();
        let from = from.filter(|from| !lists(&self.allowed_paths, from));
        from.map_or(Ok(()), |from| {
            let refused = Privilege::Path(from.clone());
            Err(self.refuses(None, (refused, "policy.allowedPaths")))
        })
    }

    /// Whether this program may be started.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(super) fn command(&self, process: &ProcessName, program: &str) -> Result<(), Reason> {
        if lists(&self.allowed_commands, program) {
            return Ok(());
        }
        let refused = Privilege::Command(program.to_owned());
        Err(self.forbids(process, (refused, "policy.allowedCommands")))
    }

    /// Whether a volume may appear there. What hides a program that is allowed would be started in its
    /// place.
    fn mount(&self, process: &ProcessName, path: &str) -> Result<(), Reason> {
        let at = Path::new(path);
        let mut programs = self.allowed_commands.iter();
        let hides = programs.any(|one| one.starts_with(at) || at.starts_with(one));
        let key = match () {
            () if hides => "policy.allowedCommands",
            () if !lists(&self.allowed_paths, path) => "policy.allowedPaths",
            () => return Ok(()),
        };
        Err(self.forbids(process, (Privilege::Path(path.to_owned()), key)))
    }

    /// Whether a member may have this address: its programs listen there, and its probes ask there.
    fn address(&self, address: &str) -> Result<(), Reason> {
        let allowed = &self.allowed_networks;
        let within = |address: IpAddr| allowed.iter().any(|network| network.contains(address));
        if allowed.is_empty() || address.parse().is_ok_and(within) {
            return Ok(());
        }
        let refused = Privilege::Address(address.to_owned());
        Err(self.refuses(None, (refused, "policy.allowedNetworks")))
    }

    /// Whether anything may be mounted from this server.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(super) fn server(&self, source: &NfsSource) -> Result<(), Reason> {
        let allowed = &self.allowed_nfs_servers;
        if allowed.is_empty() || allowed.contains(&source.server) {
            return Ok(());
        }
        let refused = Privilege::NfsServer(source.server.clone());
        Err(self.refuses(None, (refused, "policy.allowedNfsServers")))
    }

    /// The reason that a member waits for, because of a process.
    pub(super) fn forbids(&self, process: &ProcessName, refused: Refused) -> Reason {
        self.refuses(Some(process.clone()), refused)
    }

    fn refuses(&self, process: Option<ProcessName>, (privilege, key): Refused) -> Reason {
        Reason::Forbidden(Forbidden {
            process,
            privilege,
            key: key.to_owned(),
            file: self.file.display().to_string(),
        })
    }
}

/// Whether a list has this path, or a directory that it is in; an empty one has all. What leads up
/// again is nowhere.
fn lists(list: &[PathBuf], path: &str) -> bool {
    let path = Path::new(path);
    let straight = !path.components().any(|part| part == Component::ParentDir);
    list.is_empty() || (straight && list.iter().any(|one| path.starts_with(one)))
}

/// All that is ever started for a process.
fn programs(process: &RenderedProcess) -> impl Iterator<Item = &str> {
    let probes = [
        &process.startup_probe,
        &process.readiness_probe,
        &process.liveness_probe,
    ];
    let probes = probes.into_iter().flatten();
    let probes = probes.filter_map(|probe| probe.exec.as_ref().map(|exec| &exec.command));
    let hooks = [&process.post_start, &process.pre_stop];
    let hooks = hooks.into_iter().flatten().filter_map(|hook| match hook {
        Hook::Exec(argv) => Some(argv),
        Hook::HttpGet(_) | Hook::Sleep(_) => None,
    });
    let all = std::iter::once(&process.argv).chain(probes).chain(hooks);
    all.filter_map(|argv| argv.first().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use berth_core::volume::{NfsOptions, NfsVersion};

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

    fn process(program: &str) -> RenderedProcess {
        let text = format!(
            r#"{{"name": "db", "argv": ["{program}"], "env": {{}}, "workingDir": "/", "user": "nobody",
                "group": null, "capabilities": [], "rlimits": {{}}, "mounts": [], "files": [], "ports": [],
                "startupProbe": null, "readinessProbe": null, "livenessProbe": null,
                "killSignal": "SIGTERM"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn member(processes: Vec<RenderedProcess>) -> RenderedMember {
        RenderedMember {
            member: "default/db-0".parse().unwrap(),
            hostname: "db-0".to_owned(),
            fqdn: String::new(),
            address: String::new(),
            config_dir: String::new(),
            config_copy_from: None,
            init_processes: Vec::new(),
            processes,
            grace_seconds: 30,
            backoff: berth_core::keeper::BackoffLimits::default(),
            read_only_root: false,
            host: "host-1".to_owned(),
        }
    }

    fn with_commands(commands: &[&str]) -> LocalPolicy {
        LocalPolicy {
            allowed_commands: commands.iter().map(PathBuf::from).collect(),
            ..LocalPolicy::default()
        }
    }

    fn refusal(policy: &LocalPolicy, member: &RenderedMember) -> Option<String> {
        policy.member(member).err().map(|reason| reason.to_string())
    }

    #[test]
    fn only_listed_programs_are_started_whatever_starts_them() {
        let policy = with_commands(&["/usr/bin/etcd", "/opt/db"]);
        let mut hooked = process("/usr/bin/etcd");
        hooked.pre_stop = Some(Hook::Exec(vec!["/bin/sh".to_owned()]));
        for (of, refused) in [
            (process("/usr/bin/etcd"), None),
            (process("/opt/db/bin/server"), None),
            (process("/opt/dbx"), Some("/opt/dbx")),
            (
                process("/opt/db/../../bin/sh"),
                Some("/opt/db/../../bin/sh"),
            ),
            (hooked, Some("/bin/sh")),
        ] {
            let told = refusal(&policy, &member(vec![of.clone()]));
            let expected = refused.map(|program| {
                format!(
                    "process db: command {program} is not allowed by policy.allowedCommands in \
                     /etc/berth/agent.yaml of its host"
                )
            });
            assert_eq!(told, expected);
            assert_eq!(refusal(&LocalPolicy::default(), &member(vec![of])), None);
        }
    }

    #[test]
    fn no_volume_hides_a_program_that_is_allowed() {
        let policy = with_commands(&["/usr/bin/etcd", "/opt/db"]);
        for (path, allowed) in [
            ("/usr", false),
            ("/opt/db/plugins", false),
            ("/var/lib/db", true),
        ] {
            let mut process = process("/usr/bin/etcd");
            process.mounts = vec![berth_core::rendered::RenderedMount {
                volume: "data".to_owned(),
                mount_path: path.to_owned(),
                read_only: false,
                sub_path: None,
            }];
            let told = refusal(&policy, &member(vec![process]));
            assert_eq!(told.is_none(), allowed, "{path}: {told:?}");
        }
    }

    #[test]
    fn members_have_addresses_of_listed_networks_only() {
        let policy = LocalPolicy {
            allowed_networks: vec!["192.0.2.0/24".parse().unwrap()],
            ..LocalPolicy::default()
        };
        for (address, allowed) in [("192.0.2.7", true), ("198.51.100.1", false), ("x", false)] {
            let mut member = member(vec![process("/bin/db")]);
            member.address = address.to_owned();
            let told = refusal(&policy, &member);
            assert_eq!(told.is_none(), allowed, "{address}: {told:?}");
        }
    }

    #[test]
    fn only_listed_paths_are_named_and_only_listed_servers_mounted() {
        let policy = LocalPolicy {
            allowed_paths: vec!["/etc/elasticsearch".into()],
            allowed_nfs_servers: vec!["nfs-1".to_owned()],
            ..LocalPolicy::default()
        };
        let mut seeded = member(vec![process("/bin/db")]);
        seeded.config_copy_from = Some("/etc/elasticsearch".to_owned());
        assert_eq!(refusal(&policy, &seeded), None);
        seeded.config_copy_from = Some("/etc/ssl/private".to_owned());
        let told = refusal(&policy, &seeded).unwrap();
        assert!(told.starts_with("path /etc/ssl/private is not"), "{told}");
        let server = |name: &str| NfsSource {
            server: name.to_owned(),
            path: "/srv".to_owned(),
            sub_dir: None,
            version: NfsVersion::default(),
            options: NfsOptions::default(),
            read_only: false,
        };
        assert_eq!(policy.server(&server("nfs-1")), Ok(()));
        let told = policy.server(&server("nfs-10")).unwrap_err().to_string();
        assert!(told.starts_with("NFS server nfs-10 is not"), "{told}");
    }
}

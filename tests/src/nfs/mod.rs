//! Real NFS, for the tests that run in the guest (`tests/guest`): the kernel's server in the test's own
//! network namespace, the kernel's clients on hosts, and calls that may hang.
//!
//! The server is not on a host of its own because nfsd cannot end its grace period early in a network
//! namespace; and the file calls are made by a program of their own (`nfs_tool`) because a thread that
//! hangs in one cannot be killed.

pub mod manifest;
pub mod server;
pub mod world;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    limit::{Ended, Running, within},
    machine,
    netns::Network,
    wait,
};
use server::Server;

/// Where the server is, seen from every host.
pub const SERVER: &str = "10.99.0.254";
/// How long a call may take on a server that answers; generous, because all is emulated.
pub const SOON: Duration = Duration::from_secs(30);
/// A call that takes this long hangs: one on a server that answers takes some milliseconds.
pub const HANG: Duration = Duration::from_millis(1500);

/// The versions of the protocol that Berth has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// NFSv3 without locks over the network.
    V3,
    /// NFSv4.2.
    V4,
}

impl Version {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V3, Self::V4];

    /// The type of file system.
    pub fn kind(self) -> &'static str {
        match self {
            Self::V3 => "nfs",
            Self::V4 => "nfs4",
        }
    }

    /// The options that the kernel needs from a mounter; `mount.nfs` would find them out.
    pub fn options(self, host: &str) -> String {
        let number = host.trim_start_matches('h');
        match self {
            Self::V3 => format!(
                "vers=3,sec=sys,addr={SERVER},proto=tcp,port=2049,nolock,mountaddr={SERVER},mountproto=tcp,\
                 mountport={}",
                server::MOUNTD_PORT
            ),
            Self::V4 => {
                format!(
                    "vers=4.2,sec=sys,addr={SERVER},proto=tcp,port=2049,clientaddr=10.99.0.{number}"
                )
            }
        }
    }
}

/// The call that mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `mount(2)`.
    Mount,
    /// `fsopen(2)`, `fsmount(2)`, `move_mount(2)`.
    Fsopen,
}

/// A server and a few hosts. Dropping it unmounts all NFS, ends all processes on the hosts and stops
/// the server, so that the next test in the same guest finds it as new.
#[derive(Debug)]
pub struct Bed {
    network: Network,
    server: Server,
    dir: TempDir,
}

impl Bed {
    /// Starts the server, and makes `hosts` hosts that can reach it.
    ///
    /// # Panics
    /// Outside of the guest: it uses the machine's own NFS server.
    pub fn new(hosts: u8) -> Self {
        assert!(
            std::env::var_os("BERTH_GUEST").is_some(),
            "this test belongs into the guest; run: tests/run nfs"
        );
        let prefix = tempfile::Builder::new().prefix("bed-").tempdir();
        Self {
            network: Network::new(hosts),
            server: Server::start_new(),
            dir: prefix.expect("directory"),
        }
    }

    /// The hosts and their cables.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// A directory of this test's own.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A new directory to mount on.
    pub fn mount_point(&self, host: &str, name: &str) -> PathBuf {
        let path = self.dir().join(host).join("mnt").join(name);
        fs::create_dir_all(&path).expect("mount point");
        path
    }

    /// Mounts an export on a host, with `more` options, and gives back how that went.
    pub fn mount(
        &self,
        call: Call,
        version: Version,
        (host, target): (&str, &Path),
        export: &str,
        more: &str,
    ) -> Ended {
        let call = match call {
            Call::Mount => "mount",
            Call::Fsopen => "fsmount",
        };
        let source = format!("{SERVER}:{export}");
        let mut options = version.options(host);
        if !more.is_empty() {
            options = format!("{options},{more}");
        }
        let target = target.to_str().expect("text");
        self.tool(host, &[call, version.kind(), &source, target, &options])
    }

    /// Makes one call of `nfs_tool` on a host that should soon be done.
    pub fn tool(&self, host: &str, words: &[&str]) -> Ended {
        within(SOON, &mut self.tool_command(host, words))
    }

    /// Begins one call of `nfs_tool` on a host, which may hang.
    pub fn begin(&self, host: &str, words: &[&str]) -> Running {
        Running::start(&mut self.tool_command(host, words))
    }

    /// One call of `nfs_tool` on a host, as a command.
    pub fn tool_command(&self, host: &str, words: &[&str]) -> Command {
        let mut command = self.network.on(host, machine::program("nfs_tool"));
        command.args(words);
        command
    }

    /// The NFS mounts at or below a directory.
    pub fn mounts_below(&self, path: &Path) -> Vec<PathBuf> {
        nfs_mounts()
            .into_iter()
            .filter(|mount| mount.starts_with(path))
            .collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // With a server that answers, every process and every unmount comes to its end.
        for host in self.network.hosts() {
            self.network.mend(host);
        }
        self.server.make_answer();
        if !std::thread::panicking() {
            for host in self.network.hosts() {
                self.network.power_off(host);
            }
        }
        for mount in nfs_mounts().iter().rev() {
            let target = mount.to_str().expect("text");
            let mut command = Command::new(machine::program("nfs_tool"));
            within(SOON, command.args(["umount", "detach", target]));
        }
    }
}

/// What a member writes into a file, as the server has it: a client makes the file first.
///
/// # Panics
/// If it does not in time.
pub async fn written(file: &Path) -> String {
    wait::until(
        &format!("text in {}", file.display()),
        async || match fs::read_to_string(file) {
            Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            other => Err(other),
        },
    )
    .await
}

/// All NFS mounts of this mount namespace, in the order in which they were made.
pub fn nfs_mounts() -> Vec<PathBuf> {
    mounts_in(&fs::read_to_string("/proc/self/mountinfo").expect("mountinfo"))
}

/// Reads the targets of NFS mounts from a mountinfo.
fn mounts_in(mountinfo: &str) -> Vec<PathBuf> {
    let target = |line: &str| {
        let (own, of_file_system) = line.split_once(" - ")?;
        let kind = of_file_system.split(' ').next()?;
        let target = own.split(' ').nth(4)?;
        matches!(kind, "nfs" | "nfs4").then(|| PathBuf::from(target))
    };
    mountinfo.lines().filter_map(target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nfs_mounts_are_read_from_a_mountinfo() {
        let text = "22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n\
                    60 22 0:50 / /a/b rw,nosuid shared:9 master:2 - nfs4 10.0.0.1:/x rw,vers=4.2\n\
                    61 22 0:51 / /proc/fs/nfsd rw - nfsd nfsd rw\n\
                    62 22 0:52 / /c rw - nfs 10.0.0.1:/y rw,vers=3\n";
        assert_eq!(mounts_in(text), [Path::new("/a/b"), Path::new("/c")]);
    }
}

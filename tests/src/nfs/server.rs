//! The kernel's NFS server, and what can go wrong with one: stopped, frozen, exports that are gone or
//! not the same any more.

use std::{
    fs::{self, File},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{machine::run, netns::Background, wait::until_sync};

/// Where `rpc.mountd` listens, for NFSv3.
pub const MOUNTD_PORT: u16 = 20048;

const CONTROL: &str = "/proc/fs/nfsd";
/// Where kernel and `nfsdcld` talk.
const PIPES: &str = "/run/rpc_pipefs";
const EXPORTS: &str = "/srv/nfs";
/// The shortest that the kernel takes. Both are fixed while the server runs.
const LEASE_SECONDS: &str = "10";
/// The shortest that the kernel takes for locks of version 3.
const LOCK_GRACE_SECONDS: &str = "3";
/// What the daemons say; for a look at a guest that failed.
const LOG: &str = "/run/nfs.log";
/// Marks the file handles of an export: never used twice, so that a handle of an export that was made
/// anew is stale.
static NEXT_FSID: AtomicU32 = AtomicU32::new(1);

/// The server, in the network namespace of the test.
#[derive(Debug)]
pub struct Server {
    daemons: Vec<Background>,
}

impl Server {
    /// Starts it without exports.
    pub(super) fn start_new() -> Self {
        if !Path::new(CONTROL).join("threads").exists() {
            run(Command::new("modprobe").arg("nfsd"));
            // Locks of every version wait for the grace period of version 3 too, which nothing ends early:
            // five times the timeout, 50 s, unless it is given, and then in whole timeouts.
            sysctl("nlm_timeout", LOCK_GRACE_SECONDS);
            sysctl("nlm_grace_period", LOCK_GRACE_SECONDS);
            run(Command::new("mount").args(["-t", "nfsd", "nfsd", CONTROL]));
            fs::create_dir_all(PIPES).expect("directory");
            run(Command::new("mount").args(["-t", "rpc_pipefs", "pipes", PIPES]));
        }
        fs::create_dir_all(EXPORTS).expect("exports");
        let mut server = Self {
            daemons: Vec::new(),
        };
        // Without `-w`: what it remembers of the last test's server is wrong.
        server.daemon(&["rpcbind", "-f"]);
        // Remembers the clients over a restart. Without it the kernel waits a second for it at each
        // start, and nobody may reclaim what he had open.
        server.daemon(&["nfsdcld", "--foreground", "--pipefsdir", PIPES]);
        until_listens(111);
        let port = MOUNTD_PORT.to_string();
        server.daemon(&["rpc.mountd", "--foreground", "--port", &port]);
        until_listens(MOUNTD_PORT);
        server.start();
        server.end_grace();
        server
    }

    fn daemon(&mut self, words: &[&str]) {
        let mut command = Command::new(words[0]);
        let log = File::options().create(true).append(true).open(LOG);
        command.args(&words[1..]).stderr(log.expect("log"));
        self.daemons.push(Background::start(&mut command));
    }

    /// Starts it, again after [`Self::stop`]. Clients that it remembers have ten seconds to reclaim what
    /// they had open, as after a boot; it ends early when all have.
    pub fn start(&self) {
        control("nfsv4leasetime", LEASE_SECONDS);
        control("nfsv4gracetime", LEASE_SECONDS);
        run(Command::new("rpc.nfsd").arg("4"));
    }

    /// Ends the grace period for clients that will not come back.
    pub fn end_grace(&self) {
        // It fails when there is none.
        fs::write(Path::new(CONTROL).join("v4_end_grace"), "Y").ok();
    }

    /// Stops it as a clean shutdown does: connections are closed, new ones refused.
    pub fn stop(&self) {
        run(Command::new("rpc.nfsd").arg("0"));
    }

    /// From now on it takes connections and answers nothing on them, as a server that has hung up.
    pub fn freeze(&self) {
        // Whatever carries data is longer; SYN and bare ACK are not.
        nft(&format!(
            "table inet frozen {{\n chain input {{\n  type filter hook input priority 0;\n  \
             ip daddr {} tcp dport {{ 2049, {MOUNTD_PORT} }} meta length > 64 drop\n }}\n}}\n",
            super::SERVER
        ));
    }

    /// Ends a [`Self::freeze`].
    pub fn thaw(&self) {
        nft("delete table inet frozen\n");
    }

    /// Makes a directory, exports it to everybody and gives back its path on the server. `options` are
    /// those of exports(5); `no_root_squash` unless they say otherwise.
    pub fn export(&self, name: &str, options: &str) -> PathBuf {
        let path = Path::new(EXPORTS).join(name);
        fs::create_dir_all(&path).expect("export");
        let fsid = NEXT_FSID.fetch_add(1, Ordering::Relaxed);
        let squash = if options.contains("root_squash") {
            ""
        } else {
            "no_root_squash,"
        };
        let more = if options.is_empty() {
            String::new()
        } else {
            format!(",{options}")
        };
        let all = format!("rw,sync,insecure,no_subtree_check,{squash}fsid={fsid}{more}");
        run(Command::new("exportfs").args(["-o", &all, &format!("*:{}", path.display())]));
        path
    }

    /// Ends an export; its files stay.
    pub fn unexport(&self, name: &str) {
        let path = format!("*:{EXPORTS}/{name}");
        run(Command::new("exportfs").args(["-u", &path]));
        run(Command::new("exportfs").arg("-f"));
    }

    /// Makes an export anew and empty, as after the server's disk was replaced: what clients still hold
    /// of the old one is stale.
    pub fn replace(&self, name: &str, options: &str) -> PathBuf {
        self.unexport(name);
        fs::remove_dir_all(Path::new(EXPORTS).join(name)).expect("old export");
        self.export(name, options)
    }

    /// The NFSv4 clients that the server knows, by the names that they gave.
    pub fn clients(&self) -> Vec<String> {
        let entries = fs::read_dir(Path::new(CONTROL).join("clients")).expect("clients");
        let name = |dir: PathBuf| {
            let info = fs::read_to_string(dir.join("info")).ok()?;
            let line = info.lines().find_map(|line| line.strip_prefix("name: "))?;
            Some(line.trim_matches('"').to_owned())
        };
        let mut names: Vec<_> = entries.flatten().filter_map(|e| name(e.path())).collect();
        names.sort();
        names
    }

    /// Undoes what a test did to it, whatever that was.
    pub(super) fn make_answer(&self) {
        let frozen = ["delete", "table", "inet", "frozen"];
        Command::new("nft").args(frozen).output().ok();
        if fs::read_to_string(Path::new(CONTROL).join("threads")).is_ok_and(|n| n.trim() == "0") {
            self.start();
        }
        self.end_grace();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for words in [["exportfs", "-ua"], ["exportfs", "-f"], ["rpc.nfsd", "0"]] {
            Command::new(words[0]).arg(words[1]).status().ok();
        }
        self.daemons.clear();
        fs::remove_dir_all(EXPORTS).ok();
    }
}

fn control(file: &str, value: &str) {
    let path = Path::new(CONTROL).join(file);
    fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn sysctl(name: &str, value: &str) {
    let path = Path::new("/proc/sys/fs/nfs").join(name);
    fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn nft(rules: &str) {
    let file = tempfile::NamedTempFile::new().expect("file");
    fs::write(file.path(), rules).expect("file");
    run(Command::new("nft").arg("-f").arg(file.path()));
}

/// Waits until a daemon that has no other sign of life listens.
fn until_listens(port: u16) {
    until_sync(&format!("a listener on port {port}"), || {
        TcpStream::connect(("127.0.0.1", port))
    });
}

//! `berth dev` as a test runs it: real processes below a directory of their own.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use berth_proto::transport::Endpoint;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{cluster::Cluster, machine};

/// A running `berth dev`. It is interrupted when dropped, and must end cleanly.
#[derive(Debug)]
pub struct Dev {
    child: Child,
    dir: TempDir,
    cluster: Cluster,
}

impl Dev {
    /// Where its coordinator listens for others.
    pub const SERVER: &str = "127.78.0.1:7400";

    /// Starts a coordinator and some agents, and waits for the line that says they are ready.
    ///
    /// # Panics
    /// If they do not start, with what they logged.
    pub fn start(hosts: u32) -> Self {
        Self::with_logs(hosts, "info")
    }

    /// The same, with logs of a level of `BERTH_LOG`.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn with_logs(hosts: u32, level: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("berth-")
            .tempdir()
            .expect("directory");
        let log = dir.path().join("dev.log");
        let mut child = Command::new(machine::program("berth"))
            .args(["dev", "--hosts", &hosts.to_string(), "--dir"])
            .arg(dir.path().join("dev"))
            .env("BERTH_LOG", level)
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("log"))
            .spawn()
            .expect("berth dev starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout"))
            .read_line(&mut line)
            .expect("line");
        assert!(
            line.contains("ready"),
            "berth dev said {line:?}\n{}",
            std::fs::read_to_string(&log).unwrap_or_default()
        );
        let cluster = Cluster::at(Endpoint::Unix(dir.path().join("dev/coordinator.sock")));
        Self {
            child,
            dir,
            cluster,
        }
    }

    /// The coordinator.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The process of a daemon: `berth-coordinator`, or `berth-agent` of a host.
    ///
    /// # Panics
    /// If there is not exactly one.
    pub fn daemon(&self, program: &str, folder: &str) -> u32 {
        let config = self.dir.path().join("dev").join(folder);
        let config = config.to_str().expect("text");
        let found: Vec<u32> = machine::processes_with(&[program, "--config", config])
            .into_iter()
            .filter(|pid| machine::parent_of(*pid) == Some(self.child.id()))
            .collect();
        assert_eq!(found.len(), 1, "{program} of {folder}: {found:?}");
        found[0]
    }

    /// Everything that it keeps lies below this directory.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The socket of an agent, for `berth local`.
    pub fn agent_socket(&self, host: &str) -> String {
        format!(
            "unix:{}",
            self.dir
                .path()
                .join("dev")
                .join(host)
                .join("agent.sock")
                .display()
        )
    }

    /// Interrupts it and waits for its end, as Ctrl-C would.
    ///
    /// # Panics
    /// If it does not end with success.
    pub fn stop(mut self) {
        self.interrupt();
    }

    fn interrupt(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("pid"));
            kill(pid, Signal::SIGINT).ok();
            let status = self.child.wait().expect("berth dev ends");
            if !std::thread::panicking() {
                assert!(
                    status.success(),
                    "berth dev ended with {status}\n{}",
                    self.log()
                );
            }
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("dev.log")).unwrap_or_default()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.interrupt();
    }
}

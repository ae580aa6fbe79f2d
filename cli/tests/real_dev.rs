//! `berth dev` with the real daemons: comes up, keeps them running, and ends with all of them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of a test fail the test"
)]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;

/// Generous, because the machine may be busy with something else.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks at something that has no event.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

fn berth() -> Command {
    Command::new(env!("CARGO_BIN_EXE_berth"))
}

fn directory() -> TempDir {
    tempfile::Builder::new().prefix("berth").tempdir().unwrap()
}

fn send(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    // A channel on which nothing ever comes is a pause.
    let (_silent, pause) = std::sync::mpsc::channel::<()>();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        pause.recv_timeout(LOOK_AGAIN).unwrap_err();
    }
}

/// A running `berth dev`.
struct Dev {
    child: Child,
    dir: PathBuf,
    first_line: String,
}

impl Dev {
    fn start(dir: &Path, hosts: u32) -> Self {
        let mut child = berth()
            .args(["dev", "--hosts", &hosts.to_string(), "--dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first_line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut first_line)
            .unwrap();
        let mut dev = Self {
            child,
            dir: dir.to_owned(),
            first_line,
        };
        if dev.first_line.is_empty() {
            let mut told = String::new();
            dev.child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut told)
                .unwrap();
            panic!("berth dev ended: {told}");
        }
        dev
    }

    fn record(&self) -> Value {
        serde_json::from_slice(&fs::read(self.dir.join("dev.json")).unwrap()).unwrap()
    }

    fn pid(&self, pointer: &str) -> u32 {
        let record = self.record();
        u32::try_from(record.pointer(pointer).unwrap().as_u64().unwrap()).unwrap()
    }

    fn pids(&self) -> Vec<u32> {
        let count = self.record()["hosts"].as_array().unwrap().len();
        let agents = (0..count).map(|n| self.pid(&format!("/hosts/{n}/agent/pid")));
        agents.chain([self.pid("/coordinator/pid")]).collect()
    }

    fn ask(&self, args: &[&str]) -> Output {
        let endpoint = format!("unix:{}", self.dir.join("coordinator.sock").display());
        berth()
            .args(args)
            .env("BERTH_ENDPOINT", endpoint)
            .output()
            .unwrap()
    }

    fn hosts_in_contact(&self) -> usize {
        let output = self.ask(&["get", "hosts", "-o", "json"]);
        let hosts: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let hosts = hosts.as_array().cloned().unwrap_or_default();
        hosts
            .iter()
            .filter(|host| host["connected"] == true)
            .count()
    }

    /// Interrupts it; what it printed on stdout after the first line, and on stderr.
    fn stop(mut self) -> (String, String) {
        send(self.child.id(), Signal::SIGINT);
        let status = self.child.wait().unwrap();
        let (mut out, mut err) = (String::new(), String::new());
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        assert!(status.success(), "{status}: {err}");
        (out, err)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            send(self.child.id(), Signal::SIGINT);
            self.child.wait().unwrap();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn it_comes_up_with_its_hosts_and_pool_and_ends_with_all() {
    let dir = directory();
    let dev = Dev::start(dir.path(), 2);
    let endpoint = format!("unix:{}", dir.path().join("coordinator.sock").display());
    let sockets = format!("unix:{}/host-N/agent.sock", dir.path().display());
    assert_eq!(
        dev.first_line,
        format!(
            "berth dev is ready: 2 hosts, endpoint {endpoint} (export BERTH_ENDPOINT={endpoint}), \
             berth local --socket {sockets}\n"
        )
    );
    assert_eq!(dev.hosts_in_contact(), 2);
    let pool = text(&dev.ask(&["get", "pool", "dev"]).stdout);
    assert!(pool.contains("127.77.0.0/16"), "{pool}");
    let record = dev.record();
    assert_eq!(record["endpoint"], endpoint.as_str());
    assert_eq!(record["hosts"][1]["dns"], "127.0.0.154:53");
    let pids = dev.pids();
    assert!(pids.iter().all(|pid| alive(*pid)), "{pids:?}");

    let (more, told) = dev.stop();

    assert_eq!(more, "", "only one line is data");
    assert!(pids.iter().all(|pid| !alive(*pid)), "{told}");
    assert!(!dir.path().join("dev.json").exists());
}

#[test]
fn daemons_that_are_killed_come_back() {
    let dir = directory();
    let dev = Dev::start(dir.path(), 1);
    for place in ["/hosts/0/agent/pid", "/coordinator/pid"] {
        let before = dev.pid(place);
        send(before, Signal::SIGKILL);
        until("another process", || {
            (dev.pid(place) != before).then_some(())
        });
        until("the host's contact", || {
            (dev.hosts_in_contact() == 1).then_some(())
        });
    }
    let (_, told) = dev.stop();
    assert!(
        told.contains("berth-agent of host-1 ended: signal: 9"),
        "{told}"
    );
    assert!(
        told.contains("berth-coordinator ended: signal: 9"),
        "{told}"
    );
}

#[test]
fn a_second_one_is_refused_in_the_same_directory_and_at_the_same_addresses() {
    let dir = directory();
    let dev = Dev::start(dir.path(), 1);
    let same = berth()
        .args(["dev", "--dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(same.status.code(), Some(2));
    assert!(text(&same.stderr).contains("another `berth dev` uses"));
    let elsewhere = directory();
    let other = berth()
        .args(["dev", "--dir"])
        .arg(elsewhere.path())
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(2));
    let told = text(&other.stderr);
    assert!(
        told.contains("127.0.0.153:53, the DNS server of host-1, is busy"),
        "{told}"
    );
    assert!(told.contains("hint: "), "{told}");
    dev.stop();
}

#[test]
fn what_a_killed_one_left_is_taken_over() {
    let dir = directory();
    let mut dev = Dev::start(dir.path(), 1);
    let left = dev.pids();
    dev.child.kill().unwrap();
    dev.child.wait().unwrap();
    assert!(left.iter().all(|pid| alive(*pid)), "{left:?}");

    let next = Dev::start(dir.path(), 1);

    assert!(left.iter().all(|pid| !alive(*pid)), "{left:?}");
    assert_eq!(next.hosts_in_contact(), 1);
    next.stop();
}

#[test]
fn without_its_siblings_it_says_which_one_is_missing() {
    let dir = directory();
    let copy = dir.path().join("berth");
    fs::copy(env!("CARGO_BIN_EXE_berth"), &copy).unwrap();
    let output = Command::new(copy)
        .args(["dev", "--dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(told.contains("berth-coordinator is missing"), "{told}");
}

#[test]
fn a_busy_address_is_told_before_anything_starts() {
    let dir = directory();
    let _taken = UdpSocket::bind("127.0.0.154:53").unwrap();
    let output = berth()
        .args(["dev", "--hosts", "2", "--dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(
        told.contains("127.0.0.154:53, the DNS server of host-2, is busy"),
        "{told}"
    );
    assert!(!dir.path().join("dev.json").exists());
}

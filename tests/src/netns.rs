//! Hosts as network namespaces on one bridge: own addresses, own port 53, own host names, cables that
//! can be cut, and a power switch.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{machine::run, wait::until_sync};

const NETNS: &str = "/run/netns";

/// A few hosts on a bridge. The test's own namespace is on it as 10.99.0.254.
#[derive(Debug)]
pub struct Network {
    hosts: Vec<String>,
}

impl Network {
    /// Makes a bridge and `count` hosts with the addresses 10.99.0.1 and up.
    pub fn new(count: u8) -> Self {
        run(Command::new("mkdir").args(["-p", NETNS]));
        run(Command::new("mount").args(["-t", "tmpfs", "netns", NETNS]));
        let mut lines = vec![
            "link add br0 type bridge forward_delay 0 stp_state 0".to_owned(),
            "addr add 10.99.0.254/24 dev br0".to_owned(),
            "link set br0 up".to_owned(),
        ];
        for n in 1..=count {
            lines.push(format!("netns add h{n}"));
            lines.push(format!("link add p{n} type veth peer name eth0 netns h{n}"));
            lines.push(format!("link set p{n} master br0 up"));
        }
        ip(&lines);
        for n in 1..=count {
            ip_in(
                &format!("h{n}"),
                &[
                    format!("addr add 10.99.0.{n}/24 dev eth0"),
                    "link set eth0 up".to_owned(),
                    "link set lo up".to_owned(),
                ],
            );
            // NFS clients name themselves to the server after their host.
            let names = format!("{NETNS}/h{n}.uts");
            fs::write(&names, "").expect("file for a namespace");
            run(Command::new("unshare").args([
                &format!("--uts={names}"),
                "hostname",
                &format!("h{n}"),
            ]));
        }
        let hosts = (1..=count).map(|n| format!("h{n}")).collect();
        Self { hosts }
    }

    /// The hosts' names: `h1`, `h2`, ...
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// A command that will run on a host.
    pub fn on(&self, host: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={NETNS}/{host}"))
            .arg(format!("--uts={NETNS}/{host}.uts"))
            .arg("--")
            .arg(program);
        command
    }

    /// Unplugs a host's cable: nobody hears of it, no connection is reset.
    pub fn cut(&self, host: &str) {
        ip(&[format!("link set {} down", port(host))]);
    }

    /// Plugs it in again.
    pub fn mend(&self, host: &str) {
        ip(&[format!("link set {} up", port(host))]);
    }

    /// Nobody hears a host any more, and it hears everybody.
    pub fn mute(&self, host: &str) {
        ip_in(host, &["route add blackhole 10.99.0.254/32".to_owned()]);
    }

    /// Ends [`Self::mute`].
    pub fn unmute(&self, host: &str) {
        ip_in(host, &["route del blackhole 10.99.0.254/32".to_owned()]);
    }

    /// A host does not hear the coordinator any more, which hears it.
    pub fn deafen(&self, host: &str) {
        ip(&[format!("route add blackhole {}/32", address(host))]);
    }

    /// Ends [`Self::deafen`].
    pub fn undeafen(&self, host: &str) {
        ip(&[format!("route del blackhole {}/32", address(host))]);
    }

    /// All processes on a host, whoever started them.
    pub fn processes(&self, host: &str) -> Vec<u32> {
        let namespace = fs::metadata(format!("{NETNS}/{host}")).expect("a host of this network");
        let pids = fs::read_dir("/proc").expect("/proc").flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid: &u32| {
                fs::metadata(format!("/proc/{pid}/ns/net"))
                    .is_ok_and(|own| (own.dev(), own.ino()) == (namespace.dev(), namespace.ino()))
            })
            .collect()
    }

    /// What NFS the kernel has mounted for a host, in whatever mount namespace, or in none any more:
    /// one line each.
    pub fn nfs_volumes(&self, host: &str) -> Vec<String> {
        let shown = run(self.on(host, "cat").arg("/proc/fs/nfsfs/volumes"));
        shown.lines().skip(1).map(str::to_owned).collect()
    }

    /// Ends all processes on a host as a power cut does. Its disks and mounts stay as they are.
    ///
    /// # Panics
    /// If one cannot be killed.
    pub fn power_off(&self, host: &str) {
        until_sync(&format!("{host} to be off"), || {
            let left = self.processes(host);
            for pid in &left {
                let pid = Pid::from_raw(i32::try_from(*pid).unwrap());
                // It may have ended by itself since.
                kill(pid, Signal::SIGKILL).ok();
            }
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for host in &self.hosts {
            if !std::thread::panicking() {
                self.power_off(host);
            }
        }
        // A cable goes with either of its ends, but with its namespace only some time later.
        let mut words = vec!["link del br0".to_owned()];
        words.extend(self.hosts.iter().map(|h| format!("link del {}", port(h))));
        ip(&words);
        let umount = ["--recursive", "--lazy", NETNS];
        Command::new("umount").args(umount).status().ok();
    }
}

/// The bridge's end of a host's cable.
fn port(host: &str) -> String {
    host.replacen('h', "p", 1)
}

/// One process for many lines: in an emulated guest, each process counts.
fn address(host: &str) -> String {
    format!("10.99.0.{}", host.trim_start_matches('h'))
}

fn ip(lines: &[String]) {
    batch(Command::new("ip").args(["-batch", "-"]), lines);
}

fn ip_in(host: &str, lines: &[String]) {
    batch(Command::new("ip").args(["-n", host, "-batch", "-"]), lines);
}

fn batch(command: &mut Command, lines: &[String]) {
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("ip is installed");
    let mut stdin = child.stdin.take().expect("piped");
    stdin
        .write_all((lines.join("\n") + "\n").as_bytes())
        .expect("ip reads");
    drop(stdin);
    let status = child.wait().expect("own child");
    assert!(status.success(), "ip: {status}: {lines:?}");
}

/// A child that is killed when dropped.
#[derive(Debug)]
pub struct Background(Child);

impl Background {
    /// Starts a command; its output goes to files of the test's choice, or nowhere.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self(
            command
                .stdin(Stdio::null())
                .spawn()
                .expect("command starts"),
        )
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Panics
    /// If it cannot be asked.
    pub fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.id()).unwrap());
        kill(pid, Signal::SIGTERM).expect("own child");
        self.0.wait().expect("own child");
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

//! Hosts as network namespaces on one bridge: own addresses, own port 53, cables that can be cut.

use std::process::{Child, Command, Stdio};

use crate::machine::run;

/// A few hosts on a bridge. The test's own namespace is on it as 10.99.0.254. Everything ends with
/// the sandbox that the suite runs in.
#[derive(Debug)]
pub struct Network {
    hosts: Vec<String>,
}

impl Network {
    /// Makes a bridge and `count` hosts with the addresses 10.99.0.1 and up.
    pub fn new(count: u8) -> Self {
        ip("link add br0 type bridge forward_delay 0 stp_state 0");
        ip("addr add 10.99.0.254/24 dev br0");
        ip("link set br0 up");
        let hosts = (1..=count).map(|n| format!("h{n}")).collect();
        run(Command::new("mkdir").args(["-p", "/run/netns"]));
        run(Command::new("mount").args(["-t", "tmpfs", "netns", "/run/netns"]));
        for n in 1..=count {
            ip(&format!("netns add h{n}"));
            ip(&format!(
                "link add p{n} type veth peer name eth0 netns h{n}"
            ));
            ip(&format!("link set p{n} master br0 up"));
            ip(&format!("-n h{n} addr add 10.99.0.{n}/24 dev eth0"));
            ip(&format!("-n h{n} link set eth0 up"));
            ip(&format!("-n h{n} link set lo up"));
        }
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
            .arg(format!("--net=/run/netns/{host}"))
            .arg("--")
            .arg(program);
        command
    }
}

fn ip(words: &str) {
    run(Command::new("ip").args(words.split(' ')));
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
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

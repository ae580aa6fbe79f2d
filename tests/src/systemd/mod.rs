//! Machines with systemd as PID 1, each in namespaces of its own on the bridge of a [`Network`]: they are
//! booted, rebooted, switched off, and keep their disk, which is in memory.
//!
//! `tests/systemd/build` makes what they boot from, `deploy/package` what is installed on them;
//! `tests/run systemd` says where both are.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use crate::{machine::run, netns::Network, wait::until_sync};

/// Where cgroups are: of a hybrid host both trees.
const TREES: [&str; 3] = [
    "/sys/fs/cgroup/systemd",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup",
];

/// A few machines, named `host-1` and up, that have the addresses of the network's hosts.
#[derive(Debug)]
pub struct Machines {
    network: Network,
    dir: PathBuf,
    /// What tells their cgroups from those of other tests.
    mark: String,
    running: BTreeMap<String, Running>,
}

#[derive(Debug)]
struct Running {
    nspawn: Child,
    /// The machine's PID 1, as seen from here; 0 before it is up.
    init: u32,
}

impl Machines {
    /// Boots so many machines, with their disks in `dir`.
    ///
    /// # Panics
    /// If one does not come up.
    pub fn boot_all(count: u8, dir: &Path) -> Self {
        run(Command::new("mount")
            .args(["-t", "tmpfs", "machines"])
            .arg(dir));
        let boot = fs::read_to_string("/proc/sys/kernel/random/uuid").expect("a random id");
        let mut machines = Self {
            network: Network::new(count),
            dir: dir.to_owned(),
            mark: format!("berth-{}", boot.get(..8).expect("an id")),
            running: BTreeMap::new(),
        };
        let names: Vec<String> = (1..=count).map(|n| format!("host-{n}")).collect();
        for name in &names {
            machines.make_disk(name);
            machines.switch_on(name);
        }
        for name in &names {
            machines.wait_until_up(name);
        }
        machines
    }

    /// Their cables.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.running.keys().cloned().collect()
    }

    /// A file of a machine, as seen from here.
    pub fn file(&self, name: &str, path: &str) -> PathBuf {
        self.root(name).join(path.trim_start_matches('/'))
    }

    /// Boots a machine that is off, and waits until its units have started.
    pub fn boot(&mut self, name: &str) {
        self.switch_on(name);
        self.wait_until_up(name);
    }

    /// Cuts the power.
    ///
    /// # Panics
    /// If it is off.
    pub fn cut_power(&mut self, name: &str) {
        self.network.power_off(&wire(name));
        self.wait_until_off(name);
    }

    /// Waits until a machine has gone down, which was asked to.
    ///
    /// # Panics
    /// If it does not go down.
    pub fn wait_until_off(&mut self, name: &str) {
        let mut running = self.running.remove(name).expect("a machine that is on");
        let nspawn = &mut running.nspawn;
        until_sync(&format!("{name} to be off"), || match nspawn.try_wait() {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        self.remove_cgroups(name);
    }

    /// A command that will run on a machine.
    ///
    /// # Panics
    /// If it is off.
    pub fn command(&self, name: &str, program: impl AsRef<OsStr>) -> Command {
        let init = self.running.get(name).expect("a machine that is on").init;
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--target={init}"))
            .args(["--all", "--"]);
        command.arg(program).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs a script on a machine to its end.
    ///
    /// # Panics
    /// If it fails.
    pub fn on(&self, name: &str, script: &str) -> String {
        run(self.command(name, "bash").args(["-euc", script]))
    }

    /// Runs a script on a machine that may fail.
    ///
    /// # Panics
    /// If there is no shell.
    pub fn try_on(&self, name: &str, script: &str) -> Output {
        let mut command = self.command(name, "bash");
        command.args(["-euc", script]).output().expect("a shell")
    }

    /// Waits until a script succeeds on a machine, and gives back what it printed.
    ///
    /// # Panics
    /// If it never does.
    pub fn until(&self, name: &str, what: &str, script: &str) -> String {
        until_sync(&format!("{what} on {name}"), || {
            let output = self.try_on(name, script);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() {
                return Ok(text);
            }
            Err(text + &String::from_utf8_lossy(&output.stderr))
        })
    }

    /// Puts a file of this machine into the root directory of a machine.
    pub fn copy(&self, from: &Path, name: &str, to: &str) {
        run(Command::new("cp").arg(from).arg(self.file(name, to)));
    }

    fn root(&self, name: &str) -> PathBuf {
        self.dir.join(name).join("root")
    }

    fn make_disk(&self, name: &str) {
        let own = self.dir.join(name);
        let number = name.trim_start_matches("host-");
        for part in ["upper/etc/systemd/system.conf.d", "work", "root"] {
            fs::create_dir_all(own.join(part)).unwrap();
        }
        let etc = own.join("upper/etc");
        fs::write(etc.join("hostname"), format!("{name}\n")).unwrap();
        fs::write(etc.join("machine-id"), format!("{number:0>32}\n")).unwrap();
        fs::write(etc.join("hosts"), format!("127.0.0.1 localhost {name}\n")).unwrap();
        // Units without limits of their own are cut short: a unit that needs its time must say so.
        let short = "[Manager]\nDefaultTimeoutStopSec=5s\n";
        fs::write(etc.join("systemd/system.conf.d/short.conf"), short).unwrap();
        let base = given("BERTH_SYSTEMD_ROOT");
        let layers = format!(
            "lowerdir={},upperdir={}/upper,workdir={}/work",
            base.display(),
            own.display(),
            own.display()
        );
        run(Command::new("mount")
            .args(["-t", "overlay", name, "-o", &layers])
            .arg(self.root(name)));
    }

    fn switch_on(&mut self, name: &str) {
        let console = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join(name).join("console"));
        let console = console.expect("file for the console");
        // Each in a cgroup of its own: nspawn takes that in which it is started.
        let script = r#"for dir do mkdir -p "$dir"; echo $$ >"$dir/cgroup.procs"; done; shift $#
            exec systemd-nspawn --quiet --directory="$ROOT" --machine="$NAME" --boot \
                --register=no --keep-unit --console=pipe --network-namespace-path="$NETNS" \
                --capability=all --resolv-conf=off --timezone=off --link-journal=no \
                --system-call-filter=pidfd_getfd"#;
        let nspawn = Command::new("sh")
            .args(["-euc", script, "nspawn"])
            .args(self.cgroups(name))
            .env("ROOT", self.root(name))
            .env("NAME", format!("{}-{name}", self.mark))
            .env("NETNS", format!("/run/netns/{}", wire(name)))
            // As real machines have it.
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .stdin(Stdio::null())
            .stderr(console.try_clone().expect("descriptor"))
            .stdout(console)
            .spawn()
            .expect("a shell");
        self.running
            .insert(name.to_owned(), Running { nspawn, init: 0 });
    }

    fn wait_until_up(&mut self, name: &str) {
        let running = self.running.get_mut(name).expect("a machine that is on");
        let pid = running.nspawn.id();
        let log = self.dir.join(name).join("console");
        let init = until_sync(&format!("{name} to be up"), || {
            // nspawn has another child first, which makes the machine's PID 1.
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let child = children.unwrap_or_default().trim().to_owned();
            let init: u32 = child.parse().map_err(|_| last_lines(&log))?;
            let output = enter(init, "systemctl").arg("is-system-running").output();
            let output = output.expect("nsenter");
            match String::from_utf8_lossy(&output.stdout).trim() {
                "running" => Ok(init),
                state => Err(format!("{state}\n{}", last_lines(&log))),
            }
        });
        running.init = init;
    }

    fn cgroups(&self, name: &str) -> Vec<PathBuf> {
        let hybrid = Path::new(TREES[0]).is_dir();
        let trees = if hybrid { &TREES[..2] } else { &TREES[2..] };
        let group = format!("{}-{name}", self.mark);
        let dirs = trees.iter().map(|tree| Path::new(tree).join(&group));
        dirs.collect()
    }

    fn remove_cgroups(&self, name: &str) {
        for dir in self.cgroups(name) {
            // The kernel lets go of them a moment after their last process.
            let mut find = Command::new("find");
            find.arg(dir).args(["-depth", "-type", "d", "-delete"]);
            find.stderr(Stdio::null()).status().ok();
        }
    }
}

impl Drop for Machines {
    /// Of a test that failed, what the machines' journals said last; then all are off.
    fn drop(&mut self) {
        let names = self.names();
        for name in &names {
            if std::thread::panicking() {
                let script = "journalctl --no-pager -n 60 -o short-monotonic; \
                              systemctl status --no-pager --lines=0 'berth*'; true";
                let output = self.command(name, "bash").args(["-c", script]).output();
                let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
                eprintln!("== {name}\n{}", text.unwrap_or_default());
            }
            // With its PID 1 everything in a machine ends.
            self.network.power_off(&wire(name));
            if let Some(mut running) = self.running.remove(name) {
                running.nspawn.wait().ok();
            }
            self.remove_cgroups(name);
        }
    }
}

/// A command in all namespaces of a process.
fn enter(init: u32, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--target={init}"))
        .args(["--all", "--"])
        .arg(program)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// What a machine has said on its console last.
fn last_lines(console: &Path) -> String {
    let text = fs::read(console).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

/// The network's name for a machine.
fn wire(name: &str) -> String {
    name.replacen("host-", "h", 1)
}

/// A path that `tests/run systemd` gives.
///
/// # Panics
/// Outside of it.
pub fn given(variable: &str) -> PathBuf {
    let path = env::var_os(variable);
    let path = path.unwrap_or_else(|| panic!("{variable} is not set; run: tests/run systemd"));
    path.into()
}

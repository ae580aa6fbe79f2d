//! Berth on hosts with addresses of their own: the coordinator in the test's own namespace, one agent
//! on each host of a [`Network`].

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use berth_proto::{
    transport::{self, Endpoint},
    v1::{
        ListHostsRequest, LocalListRequest, MemberStatus, host_service_client::HostServiceClient,
        local_service_client::LocalServiceClient,
    },
};

use crate::{
    cluster::Cluster,
    machine,
    netns::{Background, Network},
    wait,
};

const COORDINATOR: &str = "10.99.0.254:7400";
/// Where Debian puts what steps the wall clock of one process (faketime).
const FAKE_CLOCK: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
/// Of each log, when a test has failed.
const LAST_LINES: usize = 25;

/// A coordinator and its agents. Dropping it kills them; what they started ends with the network.
#[derive(Debug)]
pub struct Hosts<'a> {
    network: &'a Network,
    dir: PathBuf,
    /// Lines of the coordinator's configuration.
    more: String,
    coordinator: Option<Background>,
    agents: BTreeMap<String, Background>,
    /// Whether hosts that cannot empty a member reboot: on record.
    self_reboot: bool,
}

impl<'a> Hosts<'a> {
    /// Starts the coordinator and one agent per host; all that they write is in `dir`.
    pub fn start(network: &'a Network, dir: &Path) -> Self {
        Self::start_with(network, dir, "")
    }

    /// As [`Self::start`], with more lines in the coordinator's configuration.
    pub fn start_with(network: &'a Network, dir: &Path, more: &str) -> Self {
        Self::begin(network, dir, more, true)
    }

    /// As [`Self::start_with`], on hosts that do not reboot themselves: they are to be fenced.
    pub fn start_without_self_reboot(network: &'a Network, dir: &Path, more: &str) -> Self {
        Self::begin(network, dir, more, false)
    }

    fn begin(network: &'a Network, dir: &Path, more: &str, self_reboot: bool) -> Self {
        let mut hosts = Self {
            network,
            dir: dir.to_owned(),
            more: more.to_owned(),
            coordinator: None,
            agents: BTreeMap::new(),
            self_reboot,
        };
        hosts.start_coordinator();
        for host in network.hosts() {
            hosts.start_agent(host);
        }
        hosts
    }

    /// The cables.
    pub fn network(&self) -> &'a Network {
        self.network
    }

    /// The operator's view of it.
    pub fn cluster(&self) -> Cluster {
        Cluster::at(Endpoint::Unix(self.dir.join("coordinator.sock")))
    }

    /// Starts the coordinator, again after [`Self::kill_coordinator`].
    pub fn start_coordinator(&mut self) {
        let dir = &self.dir;
        let config = dir.join("coordinator.yaml");
        let text = format!(
            "listen: [\"unix:{0}/coordinator.sock\", \"{COORDINATOR}\"]\n\
             dataDir: {0}/coordinator\n{1}",
            dir.display(),
            self.more
        );
        fs::write(&config, text).unwrap();
        let program = machine::program("berth-coordinator");
        let mut command = Command::new(program);
        command.arg("--config").arg(config);
        self.give_clock("coordinator", &mut command);
        self.coordinator = Some(Background::start(
            command.stderr(self.log_of("coordinator")),
        ));
    }

    /// Kills the coordinator.
    pub fn kill_coordinator(&mut self) {
        self.coordinator = None;
    }

    /// Stops the coordinator as an upgrade does.
    pub fn stop_coordinator(&mut self) {
        self.coordinator
            .take()
            .into_iter()
            .for_each(Background::stop);
    }

    /// Starts a host's agent, again after [`Self::kill_agent`]. Where its folder has a directory
    /// `images`, that is its second pool.
    pub fn start_agent(&mut self, host: &str) {
        let home = self.home(host);
        let config = self.configure(host, host, &home);
        if !home.join("data/pki/identity.pem").exists() {
            self.join(host, &config);
        }
        let mut command = self.network.on(host, machine::program("berth-agent"));
        command.arg("--config").arg(config);
        if self.self_reboot {
            command.arg("--record-reboots").arg(self.reboots(host));
        }
        self.give_clock(host, &mut command);
        let agent = Background::start(command.stderr(self.log_of(host)));
        self.agents.insert(host.to_owned(), agent);
    }

    /// As [`step_clock`].
    pub fn step_clock(&self, name: &str, seconds: i32) {
        step_clock(&self.dir, name, seconds);
    }

    fn give_clock(&self, name: &str, command: &mut Command) {
        let clock = clock(&self.dir, name);
        if clock.exists() {
            command
                .env("LD_PRELOAD", FAKE_CLOCK)
                .env("FAKETIME_TIMESTAMP_FILE", clock)
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DISABLE_SHM", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
    }

    /// Has a host join, as its operator would.
    fn join(&self, host: &str, config: &Path) {
        let cluster = self.cluster();
        let token = wait::until_sync("a token", || {
            let made = cluster.try_berth(&["admin", "token", "create", "--host", host]);
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            made.status.success().then_some(made.stdout).ok_or(said)
        });
        let token = String::from_utf8(token).expect("text");
        let mut command = self.network.on(host, machine::program("berth-agent"));
        command.arg("--config").arg(config);
        machine::run(command.args(["join", COORDINATOR, token.trim()]));
    }

    /// Starts the agent of a copy of a host's disk, on the machine of another host, which has this
    /// machine id: the folder of the copy.
    pub fn start_copy(&mut self, of: &str, on: &str, machine_id: &str) -> PathBuf {
        let home = self.dir.join(format!("{of}-copy"));
        if !home.exists() {
            machine::run(Command::new("cp").arg("-a").arg(self.home(of)).arg(&home));
        }
        let config = self.configure(of, on, &home);
        let id = home.join("machine-id");
        fs::write(&id, machine_id).unwrap();
        let mut command = self.network.on(on, "unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg("mount --bind $0 /etc/machine-id && exec \"$@\"");
        command.arg(id).arg(machine::program("berth-agent"));
        command.arg("--config").arg(config);
        command.arg("--record-reboots").arg(home.join("reboot"));
        let name = format!("{of}-copy");
        let agent = Background::start(command.stderr(self.log_of(&name)));
        self.agents.insert(name, agent);
        home
    }

    /// Writes the configuration of an agent: its name, the machine that it is on, its folder.
    fn configure(&self, host: &str, on: &str, own: &Path) -> PathBuf {
        // An agent makes no pool: a missing one may be a disk that is not mounted.
        fs::create_dir_all(own.join("volumes")).unwrap();
        let config = own.join("agent.yaml");
        let number = on.trim_start_matches('h');
        let images = if own.join("images").exists() {
            format!(
                ", images: {{ path: {}/images, type: image }}",
                own.display()
            )
        } else {
            String::new()
        };
        let text = format!(
            "host: {host}\ncoordinator: {COORDINATOR}\nadvertiseAddress: 10.99.0.{number}\n\
             pools: {{ default: {0}/volumes{images} }}\ndataDir: {0}/data\nrunDir: {0}/run\n\
             logDir: {0}/log\nlocal: \"unix:{0}/agent.sock\"\n\
             dns: {{ listen: [\"127.0.0.153:53\"] }}\n",
            own.display()
        );
        // What would reboot the machine only records it here.
        fs::write(own.join("reboot"), "").unwrap();
        fs::write(&config, text).unwrap();
        config
    }

    /// Kills a host's agent; its keepers and their processes live on.
    pub fn kill_agent(&mut self, host: &str) {
        self.agents.remove(host);
    }

    /// Stops a host's agent as an upgrade does.
    pub fn stop_agent(&mut self, host: &str) {
        self.agents
            .remove(host)
            .into_iter()
            .for_each(Background::stop);
    }

    /// Cuts the power of a host; [`Self::start_agent`] boots it again.
    pub fn power_off(&mut self, host: &str) {
        self.network.power_off(host);
        self.agents.remove(host);
        let run = self.home(host).join("run");
        forget_cgroups(&run);
        // It is on a file system that does not outlive a boot; an agent that had just begun made none yet.
        let gone = fs::remove_dir_all(run);
        assert!(gone.is_ok() || gone.is_err_and(|e| e.kind() == ErrorKind::NotFound));
    }

    /// Waits until every host of the network is in contact.
    pub async fn all_in_contact(&self) {
        let cluster = self.cluster();
        let count = self.network.hosts().len();
        wait::until("all hosts to be in contact", async || {
            let mut client = HostServiceClient::new(cluster.channel().await);
            let reply = client.list(ListHostsRequest {}).await;
            let hosts = reply.map_err(|status| status.to_string())?;
            let hosts = hosts.into_inner().hosts;
            let back = hosts.len() == count && hosts.iter().all(|host| host.connected);
            back.then_some(()).ok_or_else(|| format!("{hosts:?}"))
        })
        .await;
    }

    /// The members of a host, as its own agent knows them.
    ///
    /// # Errors
    /// If the agent does not answer.
    pub async fn local(&self, home: &Path) -> Result<BTreeMap<String, MemberStatus>, String> {
        let socket = Endpoint::Unix(home.join("agent.sock"));
        let channel = transport::connect(&socket).await;
        let channel = channel.map_err(|error| error.to_string())?;
        let mut client = LocalServiceClient::new(channel);
        let list = client.list(LocalListRequest {}).await;
        let list = list.map_err(|status| status.to_string())?.into_inner();
        Ok(list
            .members
            .into_iter()
            .map(|m| (m.name.clone(), m))
            .collect())
    }

    /// The process of a host's agent.
    ///
    /// # Panics
    /// If it has been killed.
    pub fn agent_pid(&self, host: &str) -> u32 {
        self.agents.get(host).expect("a running agent").id()
    }

    /// The process of the coordinator.
    ///
    /// # Panics
    /// If it has been killed.
    pub fn coordinator_pid(&self) -> u32 {
        self.coordinator.as_ref().expect("a coordinator").id()
    }

    /// The folder of a host's agent: `volumes`, `data`, `run`, `log`.
    pub fn home(&self, host: &str) -> PathBuf {
        self.dir.join(host)
    }

    /// The file to which a host's keepers and agent write to reboot it.
    pub fn reboots(&self, host: &str) -> PathBuf {
        self.home(host).join("reboot")
    }

    /// What the coordinator (`coordinator`) or a host's agent has logged since its first start.
    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(format!("{name}.log"))).unwrap()
    }

    fn log_of(&self, name: &str) -> File {
        let path = self.dir.join(format!("{name}.log"));
        let mut options = File::options();
        options.create(true).append(true).open(path).unwrap()
    }
}

/// Removes the cgroups of the members of a host that is off, as their keepers wrote them down: a boot begins
/// with none.
fn forget_cgroups(run: &Path) {
    let runs = fs::read_dir(run).into_iter().flatten().flatten();
    for member in runs {
        let record = fs::read(member.path().join("record.json")).unwrap_or_default();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
        let Some(cgroup) = record["cgroup"].as_str().map(Path::new) else {
            continue;
        };
        // All that was in them is dead; what is left to wait for has deadlines of its own.
        let leaves = fs::read_dir(cgroup).into_iter().flatten().flatten();
        for leaf in leaves.filter(|leaf| leaf.path().is_dir()) {
            fs::remove_dir(leaf.path()).ok();
        }
        fs::remove_dir(cgroup).ok();
    }
}

/// Steps the wall clock of the coordinator (`coordinator`) or of a host's agent to so many seconds off
/// the machine's, for the [`Hosts`] of a folder. Daemons that are started after the first step have one
/// that can be stepped.
pub fn step_clock(dir: &Path, name: &str, seconds: i32) {
    fs::write(clock(dir, name), format!("{seconds:+}")).unwrap();
}

fn clock(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.clock"))
}

impl Drop for Hosts<'_> {
    /// Of a test that failed, what the daemons and keepers said last, and what hangs in the kernel.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut files: Vec<PathBuf> = vec![self.dir.join("coordinator.log")];
        for host in self.agents.keys() {
            files.push(self.dir.join(format!("{host}.log")));
            let members = fs::read_dir(self.home(host).join("log"))
                .into_iter()
                .flatten();
            files.extend(members.flatten().map(|m| m.path().join("keeper.log")));
        }
        for file in files {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
            let last: Vec<&str> = last.copied().collect();
            eprintln!("== {}\n{}", file.display(), last.join("\n"));
        }
        for host in self.agents.keys() {
            for pid in self.network.processes(host) {
                let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
                let stat = read("stat").unwrap_or_default();
                if stat.contains(") D ") {
                    let stack = read("stack").unwrap_or_default();
                    eprintln!("== hangs on {host}: {stat}{stack}");
                }
            }
        }
    }
}

//! The agent's own program on this machine, under a coordinator that a test plays. Needs root.

use std::{
    fs::{self, File},
    process::{Child, Command},
};

use berth_core::{ids::MemberId, report::MemberReport};
use berth_proto::v1::{
    LogCancel, LogRequest, agent_message::Message as FromAgent,
    coordinator_message::Message as ToAgent,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::stub::{Agent, Stub, complete, socket};

/// A host's directories, and the agent that runs there. What is left is killed at the end.
pub(crate) struct Machine {
    pub(crate) dir: TempDir,
    pub(crate) agent: Child,
    /// The member's name. It keeps the tests' control groups apart.
    pub(crate) name: String,
}

impl Machine {
    /// `address` keeps the name servers of tests apart.
    pub(crate) fn new(name: &str, address: &str) -> Self {
        Self::with(name, address, "")
    }

    /// With more lines in its configuration.
    pub(crate) fn with(name: &str, address: &str, more: &str) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let at = dir.path().display();
        fs::create_dir(dir.path().join("pool")).unwrap();
        let config = format!(
            "host: host-1\n\
             coordinator: unix:{at}/coordinator.sock\n\
             advertiseAddress: 127.0.0.1\n\
             pools: {{default: {at}/pool}}\n\
             dataDir: {at}/data\n\
             runDir: {at}/run\n\
             logDir: {at}/log\n\
             dns: {{listen: ['{address}:53'], upstreams: []}}\n\
             local: unix:{at}/agent.sock\n{more}"
        );
        fs::write(dir.path().join("agent.yaml"), config).unwrap();
        let agent = start(&dir);
        let name = name.to_owned();
        Self { dir, agent, name }
    }

    pub(crate) fn member(&self) -> MemberId {
        format!("default/{}", self.name).parse().unwrap()
    }

    /// Takes every member out of the order.
    pub(crate) async fn forget(&self, agent: &mut Agent, generation: u64) {
        assert_eq!(agent.order(&complete(generation, vec![])).await, "");
        agent.until_gone(&self.member()).await;
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("agent.log")).unwrap()
    }

    pub(crate) fn restart(&mut self) {
        self.agent = start(&self.dir);
    }

    /// Signals the agent and waits for its end.
    pub(crate) fn end(&mut self, signal: Signal) -> bool {
        let pid = Pid::from_raw(i32::try_from(self.agent.id()).unwrap());
        kill(pid, signal).unwrap();
        self.agent.wait().unwrap().success()
    }

    pub(crate) async fn stub(&self) -> Stub {
        Stub::listen(&socket(self.dir.path(), "coordinator.sock")).await
    }
}

fn start(dir: &TempDir) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(dir.path().join("agent.log"))
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_berth-agent"))
        .arg("--config")
        .arg(dir.path().join("agent.yaml"))
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.agent.kill());
        drop(self.agent.wait());
        // Killing a keeper kills its member.
        for run in fs::read_dir(self.dir.path().join("run"))
            .into_iter()
            .flatten()
        {
            let record = run.unwrap().path().join("record.json");
            let text = fs::read_to_string(record).unwrap_or_default();
            let record: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(pid) = record["pid"].as_i64() {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                if name.trim() == "berth-keeper" {
                    let keeper = Pid::from_raw(i32::try_from(pid).unwrap());
                    // Gone already is as good.
                    let _ = kill(keeper, Signal::SIGKILL);
                }
            }
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("agent.log"));
            std::io::Write::write_all(&mut std::io::stderr(), log.unwrap().as_bytes()).unwrap();
        }
    }
}

/// The process id of a member's first process.
pub(crate) fn pid(report: &MemberReport) -> u32 {
    report.processes[0].pid.unwrap()
}

/// Follows a log until it holds a text; what there was by then.
pub(crate) async fn log_with(agent: &mut Agent, member: &MemberId, text: &str) -> String {
    let request = LogRequest {
        id: 1,
        member: member.to_string(),
        follow: true,
        ..LogRequest::default()
    };
    agent.send(ToAgent::LogRequest(request)).await;
    let mut log = String::new();
    while !log.contains(text) {
        if let FromAgent::LogData(data) = agent.next().await.unwrap() {
            assert!(!data.end, "{log}{}", data.error);
            log.push_str(&String::from_utf8(data.data).unwrap());
        }
    }
    agent.send(ToAgent::LogCancel(LogCancel { id: 1 })).await;
    log
}

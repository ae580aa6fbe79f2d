//! One host whose agent is asked all the time, with a member beside those on the server: whatever the
//! server does, that neighbour keeps its process and can be restarted.

use std::{io::Write as _, process::Command, time::Instant};

use berth_proto::v1::MemberStatus;

use super::{
    Bed,
    manifest::{From, set},
};
use crate::{cluster::Cluster, hosts::Hosts, machine, pulse::Pulse};

/// The member on the host's own disk.
pub const NEIGHBOUR: &str = "near-0";
/// Who the members run as in the guest.
pub const ALICE: u32 = 1001;
/// Writes a line each second, so that there is always something that has to go to the server.
pub const WRITER: &str = "test -e /data/name || echo {{ member }} > /data/name; exec 3>> /data/log; \
                          while :; do echo x >&3; sleep 1; done";
const IDLE: &str = "echo {{ member }} > /data/name; exec tail -f /dev/null";

/// The host `h1` of a bed. Fields drop in this order: the agents before their network.
#[derive(Debug)]
pub struct World<'a> {
    /// The operator's view.
    pub cluster: Cluster,
    /// What the agent answers.
    pub pulse: Pulse,
    berth: Hosts<'a>,
    began: Instant,
}

impl<'a> World<'a> {
    /// Starts Berth on it.
    pub async fn new(bed: &'a Bed) -> Self {
        let berth = Hosts::start(bed.network(), bed.dir());
        let cluster = berth.cluster();
        cluster.channel().await;
        let pulse = Pulse::of(&berth.home("h1")).await;
        Self {
            cluster,
            pulse,
            berth,
            began: Instant::now(),
        }
    }

    /// Applies a manifest and the neighbour's, and waits until that is ready.
    pub async fn apply(&self, manifest: &str) -> MemberStatus {
        let near = set("near", 1, From::Class(None), IDLE);
        self.cluster.apply(&(near + manifest));
        self.pulse.ready(NEIGHBOUR).await
    }

    /// The neighbour has not noticed anything since.
    ///
    /// # Panics
    /// If it has.
    pub fn same_neighbour(&self, before: &MemberStatus, when: &str) {
        let now = self.pulse.now(NEIGHBOUR);
        assert_eq!((pid(&now), now.ready), (pid(before), true), "{when}");
    }

    /// Restarts it by the host's own socket.
    pub async fn restart_neighbour(&self) -> MemberStatus {
        let before = self.pulse.now(NEIGHBOUR);
        let socket = format!("unix:{}/agent.sock", self.berth.home("h1").display());
        let mut command = Command::new(machine::program("berth"));
        command.args(["local", "restart", NEIGHBOUR]);
        machine::run(command.env("BERTH_AGENT_SOCKET", socket));
        let another = |m: &MemberStatus| m.ready && pid(m) != pid(&before);
        self.pulse.member(NEIGHBOUR, "restarted", another).await
    }

    /// Prints how long the agent has been silent at most.
    pub fn print_gap(&self, when: &str) {
        let (gap, answers) = self.pulse.longest_gap();
        let after = self.began.elapsed().as_secs();
        // Past the runner, which would show it of failed tests only.
        let mut shown = std::io::stderr();
        let gap = format!("longest gap between {answers} answers: {gap:?}");
        writeln!(shown, "{when}: after {after} s, {gap}").unwrap();
    }
}

/// The first process of a member; 0 when there is none.
pub fn pid(member: &MemberStatus) -> u32 {
    member.processes.first().map_or(0, |process| process.pid)
}

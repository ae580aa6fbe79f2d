//! A Failover set on hosts with addresses of their own, which are lost in every way: never do two of a
//! member run. The member itself would find out: it takes a lock on a directory that all hosts share,
//! and counts its starts there.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use berth_proto::v1::MemberStatus;
use berth_tests::{cluster::Cluster, hosts::Hosts, machine, netns::Network};

const MEMBER: &str = "db-0";

/// Does not end when it is asked to, and leaves a child behind.
fn manifest(shared: &Path) -> String {
    let dir = shared.display();
    format!(
        "apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: db }}
spec:
  replicas: 1
  failurePolicy: Failover
  leaseClass: Fast
  template:
    spec:
      processes:
      - name: main
        user: nobody
        command:
        - /bin/sh
        - -c
        - |
          exec 9>>{dir}/lock
          flock -n 9 || echo $(uname -n) >> {dir}/overlap
          echo $(($(cat {dir}/starts) + 1)) > {dir}/starts
          trap '' TERM
          sleep infinity &
          while :; do sleep 0.1; done
"
    )
}

struct Stage<'a> {
    network: &'a Network,
    hosts: Hosts<'a>,
    cluster: Cluster,
    shared: &'a Path,
}

impl Stage<'_> {
    /// Where the member serves now.
    async fn host(&self) -> String {
        let members = self.cluster.ready("db", 1).await;
        members[MEMBER].host.clone()
    }

    /// Waits until it serves on another host, and nothing of it is left on the one that was lost.
    async fn moved_from(&self, lost: &str) {
        let elsewhere = |m: &MemberStatus| m.ready && !m.host.is_empty() && m.host != lost;
        self.cluster
            .member(MEMBER, "serves elsewhere", elsewhere)
            .await;
        let overlap = fs::read_to_string(self.shared.join("overlap")).unwrap_or_default();
        assert_eq!(overlap, "", "two ran at once");
    }

    fn starts(&self) -> u32 {
        let text = fs::read_to_string(self.shared.join("starts")).unwrap();
        text.trim().parse().unwrap()
    }
}

fn signal(pid: u32, name: &str) {
    machine::run(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_a_lost_host_runs_again_elsewhere_and_never_twice() {
    let network = Network::new(3);
    let dir = tempfile::tempdir().unwrap();
    // A member's /tmp is its own.
    let shared = tempfile::Builder::new()
        .prefix("berth-")
        .tempdir_in("/var/tmp")
        .unwrap();
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(shared.path(), open.clone()).unwrap();
    let starts = shared.path().join("starts");
    fs::write(&starts, "0").unwrap();
    fs::set_permissions(&starts, fs::Permissions::from_mode(0o666)).unwrap();
    let hosts = Hosts::start(&network, dir.path());
    let cluster = hosts.cluster();
    cluster.channel().await;
    cluster.apply(&manifest(shared.path()));
    let mut stage = Stage {
        network: &network,
        hosts,
        cluster,
        shared: shared.path(),
    };

    let lost = stage.host().await;
    stage.network.cut(&lost);
    stage.moved_from(&lost).await;
    stage.network.mend(&lost);
    stage.hosts.all_in_contact().await;

    let lost = stage.host().await;
    let agent = stage.hosts.agent_pid(&lost);
    signal(agent, "STOP");
    stage.moved_from(&lost).await;
    signal(agent, "CONT");
    stage.hosts.all_in_contact().await;

    let lost = stage.host().await;
    stage.hosts.kill_agent(&lost);
    stage.moved_from(&lost).await;
    stage.hosts.start_agent(&lost);
    stage.hosts.all_in_contact().await;

    let lost = stage.host().await;
    stage.hosts.kill_coordinator();
    stage.network.cut(&lost);
    stage.hosts.start_coordinator();
    stage.moved_from(&lost).await;
    stage.network.mend(&lost);
    stage.hosts.all_in_contact().await;

    assert!(stage.starts() >= 5, "each loss was followed by a start");
    let described = stage.cluster.berth(&["describe", "sts", "db"]);
    assert!(described.contains("lease"), "{described}");
    for host in network.hosts() {
        let reboots = fs::read_to_string(stage.hosts.reboots(host)).unwrap();
        assert_eq!(reboots, "", "{host} emptied itself in time");
    }
}

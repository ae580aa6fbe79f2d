//! What an agent finds that was away while its member was taken out of the order, or given up by force: a
//! process, and two volumes that are mounted, a directory and an image.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use berth_tests::{cluster::Cluster, hosts::Hosts, machine, netns::Network, wait};

const HOST: &str = "h1";
const MEMBER: &str = "away-0";
/// Where no other process of this machine has a mount.
const MOUNTED: &str = "/mnt/berth-away-";

const AWAY: &str = "
apiVersion: berth/v1
kind: StorageClass
metadata: { name: images }
provisioner: local
parameters: { pool: images }
---
apiVersion: berth/v1
kind: StatefulSet
metadata: { name: away }
spec:
  replicas: 1
  template:
    spec:
      terminationGracePeriodSeconds: 1
      processes:
      - name: main
        user: nobody
        command: [/bin/sh, -c, 'date +%N > /mnt/berth-away-image/file; exec sleep infinity']
        volumeMounts:
        - { name: dir, mountPath: /mnt/berth-away-dir }
        - { name: image, mountPath: /mnt/berth-away-image }
  volumeClaimTemplates:
  - metadata: { name: dir }
    spec:
      accessModes: [ReadWriteOnce]
      resources: { requests: { storage: 1Mi } }
  - metadata: { name: image }
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: images
      resources: { requests: { storage: 16Mi } }
";

/// The files that the kernel holds as disks, below a folder.
fn disks(below: &Path) -> BTreeSet<String> {
    let disks = fs::read_dir("/sys/block").unwrap().flatten();
    let files = disks.flat_map(|disk| fs::read_to_string(disk.path().join("loop/backing_file")));
    let below = below.to_str().unwrap();
    files.filter(|file| file.starts_with(below)).collect()
}

/// Where the member's volumes are mounted, in whatever mount namespace.
fn mounts() -> BTreeSet<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let tables = processes.flat_map(|one| fs::read_to_string(one.path().join("mountinfo")));
    let mut found = BTreeSet::new();
    for table in tables {
        let points = table.lines().filter_map(|line| line.split(' ').nth(4));
        let own = points.filter(|point| point.starts_with(MOUNTED));
        found.extend(own.map(str::to_owned));
    }
    found
}

/// What the host has of the member, but for its data and logs.
fn left(home: &Path, pid: u32) -> Vec<String> {
    let mut left: Vec<String> = mounts().into_iter().chain(disks(home)).collect();
    if machine::alive(pid) {
        left.push(format!("process {pid}"));
    }
    let runs = fs::read_dir(home.join("run")).unwrap().flatten();
    let names = runs.map(|run| run.file_name().into_string().unwrap());
    left.extend(names.filter(|name| name.contains(MEMBER)));
    left
}

struct Stage<'a> {
    hosts: Hosts<'a>,
    cluster: Cluster,
    /// The member's process.
    pid: u32,
}

impl<'a> Stage<'a> {
    /// The member runs.
    async fn start(network: &'a Network, dir: &Path) -> Self {
        drop(Command::new("modprobe").args(["-q", "loop"]).output());
        fs::create_dir_all(dir.join(HOST).join("images")).unwrap();
        let hosts = Hosts::start(network, dir);
        let cluster = hosts.cluster();
        cluster.channel().await;
        cluster.apply(AWAY);
        let pid = cluster.ready("away", 1).await[MEMBER].processes[0].pid;
        Self {
            hosts,
            cluster,
            pid,
        }
    }

    fn read(&self) -> String {
        let read = ["exec", MEMBER, "--", "cat", "/mnt/berth-away-image/file"];
        self.cluster.berth(&read)
    }

    /// The agent is killed, and the set scaled to 0: its member runs on.
    async fn taken_out_meanwhile(&mut self) {
        self.hosts.kill_agent(HOST);
        let none = ["scale", "sts/away", "--replicas", "0", "--yes"];
        self.cluster.berth(&none);
        let waits = |m: &berth_proto::v1::MemberStatus| {
            m.waiting.as_ref().is_some_and(|w| w.rule == "HostUnknown")
        };
        self.cluster.member(MEMBER, "is not known of", waits).await;
        let left = left(&self.hosts.home(HOST), self.pid);
        assert_eq!(
            left.len(),
            5,
            "two mounts, a disk, a process, a run: {left:?}"
        );
    }

    async fn no_member(&self) {
        wait::until("the member to be gone", async || {
            let members = self.cluster.members("away").await;
            let members = members.map_err(|status| status.to_string())?;
            members
                .is_empty()
                .then_some(())
                .ok_or_else(|| format!("{members:?}"))
        })
        .await;
    }

    async fn nothing_left(&self) {
        let home = self.hosts.home(HOST);
        wait::until("nothing to be left of the member", async || {
            let left = left(&home, self.pid);
            left.is_empty().then_some(()).ok_or(left)
        })
        .await;
        for volume in ["dir", "image"] {
            let claim = format!("{volume}-{MEMBER}");
            assert!(self.cluster.berth(&["get", "pvc"]).contains(&claim));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_scaled_away_without_its_agent_leaves_nothing_when_it_is_back() {
    let network = Network::new(1);
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::start(&network, dir.path()).await;
    let before = stage.read();
    stage.hosts.kill_agent(HOST);
    stage.hosts.start_agent(HOST);
    stage.hosts.all_in_contact().await;
    assert_eq!(
        stage.read(),
        before,
        "written once, and read by another agent"
    );

    stage.taken_out_meanwhile().await;
    stage.hosts.start_agent(HOST);
    stage.no_member().await;
    stage.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_was_given_up_by_force_leaves_nothing_when_its_agent_is_back() {
    let network = Network::new(1);
    let dir = tempfile::tempdir().unwrap();
    let mut stage = Stage::start(&network, dir.path()).await;

    stage.taken_out_meanwhile().await;
    let full = format!("default/{MEMBER}");
    let force = ["member", "force", MEMBER, "--yes-i-mean", &full];
    stage.cluster.berth(&force);
    stage.no_member().await;
    assert!(machine::alive(stage.pid), "nobody could stop it");
    stage.hosts.start_agent(HOST);
    stage.nothing_left().await;
}

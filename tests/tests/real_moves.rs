//! Members that move from one host to another with their local data: two agents, a directory or an
//! image, and an agent that is killed in the middle.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{path::PathBuf, process::Command};

use berth_tests::{cluster::Cluster, dev::Dev, hosts::Hosts, machine, netns::Network, wait};
use serde_json::Value;

/// A member that writes down who it is and some MiB at its first start, and shows what it has. What it
/// has is more than names and bytes: a link, a hole, an owner of its own.
fn set(class: &str) -> String {
    format!(
        "apiVersion: berth/v1
kind: StorageClass
metadata: {{ name: images }}
provisioner: local
parameters: {{ pool: images }}
---
apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: db }}
spec:
  replicas: 1
  template:
    spec:
      terminationGracePeriodSeconds: 1
      processes:
      - name: main
        command:
        - /bin/sh
        - -c
        - |
          cd /mnt
          if ! [ -e id ]; then
            head -c 8388608 /dev/urandom > large
            truncate -s 4M hole
            ln -s large link
            ln large twin
            cat /proc/sys/kernel/random/uuid > id
          fi
          sync
          echo \"starts $(hostname) $(cat id) $(cat link hole twin | sha256sum)\"
          exec tail -f /dev/null
        user: nobody
        volumeMounts: [{{ name: data, mountPath: /mnt }}]
  volumeClaimTemplates:
  - metadata: {{ name: data }}
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: {class}
      resources: {{ requests: {{ storage: 32Mi }} }}
"
    )
}

/// What the member said at its last start on a host.
async fn said(cluster: &Cluster) -> String {
    wait::until("db-0 to say what it has", async || {
        let output = cluster.try_berth(&["logs", "db-0"]);
        let log = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = log.lines().filter(|line| line.starts_with("starts"));
        lines.next_back().map(ToOwned::to_owned).ok_or(log)
    })
    .await
}

/// Waits until the member is ready on a host.
async fn ready_on(cluster: &Cluster, host: &str) {
    wait::until(&format!("db-0 to be ready on {host}"), async || {
        let members = cluster.members("db").await.unwrap();
        let db = &members["db-0"];
        let there = db.ready && db.host == host;
        there.then_some(()).ok_or_else(|| {
            let events = cluster.berth(&["events"]);
            format!("{db:?}\n{events}")
        })
    })
    .await;
}

fn live(cluster: &Cluster) -> Vec<Value> {
    let all: Vec<Value> =
        serde_json::from_str(&cluster.berth(&["volume", "list", "-o", "json"])).unwrap();
    let mut live = all;
    live.retain(|volume| volume["state"] == "Live");
    live
}

async fn goes_and_comes_back(class: &str, pool: &str) {
    drop(Command::new("modprobe").args(["-q", "loop"]).output());
    let dev = Dev::start(2);
    let cluster = dev.cluster();
    cluster.apply(&set(class));
    let home = cluster.ready("db", 1).await["db-0"].host.clone();
    let before = said(cluster).await;
    let (there, elsewhere) = match home.as_str() {
        "host-1" => ("host-1", "host-2"),
        _ => ("host-2", "host-1"),
    };
    let pool_of = |host: &str| -> PathBuf { dev.dir().join("dev").join(host).join(pool) };
    let old = pool_of(there).join("default_data-db-0");
    assert!(old.is_dir());

    let pinned = cluster.try_berth(&["member", "replace", "db-0", "--yes"]);
    assert!(!pinned.status.success(), "its data is local");
    cluster.berth(&["member", "move", "db-0", "--to", elsewhere, "--yes"]);
    // Whatever it was about to do, the next one does it.
    machine::kill_9(dev.daemon("berth-agent", elsewhere));
    ready_on(cluster, elsewhere).await;
    assert_eq!(
        said(cluster).await,
        before,
        "all of its data, and nothing else"
    );
    wait::until("the old data to be in the trash", async || {
        let gone = !old.exists() && pool_of(there).join(".berth-trash").is_dir();
        gone.then_some(()).ok_or("it is in its place")
    })
    .await;
    let volumes = live(cluster);
    assert_eq!(volumes.len(), 1, "{volumes:?}");

    cluster.berth(&["member", "move", "db-0", "--to", there, "--yes"]);
    machine::kill_9(dev.daemon("berth-agent", there));
    ready_on(cluster, there).await;
    assert_eq!(said(cluster).await, before);
    dev.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_along_with_its_member_and_comes_back() {
    goes_and_comes_back("local", "volumes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_along_with_its_member_and_comes_back() {
    goes_and_comes_back("images", "images").await;
}

/// The store is put back to before the move, and knows nothing of it; the host that the data went to does.
#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_from_before_a_move_finds_the_data_where_it_went() {
    let network = Network::new(2);
    let dir = tempfile::tempdir().unwrap();
    let mut hosts = Hosts::start(&network, dir.path());
    let cluster = hosts.cluster();
    cluster.channel().await;
    cluster.apply(&set("local"));
    let home = cluster.ready("db", 1).await["db-0"].host.clone();
    let before = said(&cluster).await;
    let backup = dir.path().join("backup");
    let backup = backup.to_str().unwrap();
    cluster.berth(&["admin", "backup", backup]);
    let there = network.hosts().iter().find(|host| **host != home).unwrap();
    cluster.berth(&["member", "move", "db-0", "--to", there, "--yes"]);
    ready_on(&cluster, there).await;
    let moved = cluster.members("db").await.unwrap()["db-0"].epoch.clone();

    hosts.stop_coordinator();
    let mut restore = Command::new(machine::program("berth-coordinator"));
    restore
        .arg("--config")
        .arg(dir.path().join("coordinator.yaml"));
    restore.args(["restore", "--replace", backup]);
    let restored = restore.output().unwrap();
    assert!(restored.status.success(), "{restored:?}");
    hosts.start_coordinator();
    cluster.channel().await;
    for host in network.hosts() {
        wait::until(
            "all hosts to say that they have something else",
            async || {
                let history = cluster.berth(&["admin", "history", "-o", "json"]);
                history.contains(host).then_some(()).ok_or(history)
            },
        )
        .await;
    }
    let forgotten = cluster.members("db").await.unwrap();
    assert_eq!(forgotten["db-0"].host, home, "as of the backup");
    cluster.berth(&["admin", "accept-restore", "--yes"]);
    ready_on(&cluster, there).await;
    wait::until("db-0 to be started by the new history", async || {
        let events = cluster.berth(&["events"]);
        let member = &cluster.members("db").await.unwrap()["db-0"];
        let again = member.epoch != moved && member.ready;
        again
            .then_some(())
            .ok_or_else(|| format!("{member:?}\n{events}"))
    })
    .await;
    assert_eq!(said(&cluster).await, before);
    let volumes = live(&cluster);
    assert!(
        volumes.len() == 1 && volumes[0]["host"] == there.as_str(),
        "{volumes:?}"
    );
}

//! The coordinator's disk runs full: what would be written is refused before it is acknowledged, all can be
//! read, members run on, and room on the disk is all that it takes to go on.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use berth_proto::v1::MemberStatus;
use berth_tests::{hosts::Hosts, machine::run, netns::Network, wait};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// More than the coordinator leaves alone, so that it begins with room.
const SIZE: &str = "size=160m";
const MIB: u64 = 1 << 20;

fn set(replicas: u32) -> String {
    format!(
        "apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: web }}
spec:
  replicas: {replicas}
  template:
    spec:
      terminationGracePeriodSeconds: 1
      processes:
      - {{ name: main, user: nobody, command: [/bin/sleep, infinity] }}
"
    )
}

/// Leaves a MiB of the disk.
fn fill(disk: &Path) -> PathBuf {
    let ballast = disk.join("ballast");
    let of = statvfs(disk).unwrap();
    let file = fs::File::create(&ballast).unwrap();
    fallocate(
        &file,
        FallocateFlags::empty(),
        0,
        of.f_bavail * of.f_frsize - MIB,
    )
    .unwrap();
    ballast
}

fn pid(members: &BTreeMap<String, MemberStatus>) -> u32 {
    members["web-0"].processes[0].pid
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_what_would_be_written_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("coordinator");
    fs::create_dir(&disk).unwrap();
    run(Command::new("mount")
        .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
        .arg(&disk));
    let network = Network::new(2);
    let mut hosts = Hosts::start(&network, dir.path());
    let cluster = hosts.cluster();
    cluster.apply(&set(1));
    let before = cluster.ready("web", 1).await;

    let ballast = fill(&disk);
    let refused = cluster.try_berth(&["scale", "sts/web", "--replicas", "2"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("make room"),
        "{said}"
    );
    assert!(cluster.berth(&["get", "sts", "web"]).contains("web"));
    let now = cluster.ready("web", 1).await;
    assert_eq!(pid(&now), pid(&before));

    // A restart needs no more room than that.
    hosts.stop_coordinator();
    hosts.start_coordinator();
    wait::until("the coordinator to answer again", async || {
        let answer = cluster.try_berth(&["get", "sts", "web"]);
        if answer.status.success() {
            Ok(())
        } else {
            Err(answer)
        }
    })
    .await;
    let now = cluster.ready("web", 1).await;
    assert_eq!(pid(&now), pid(&before));

    fs::remove_file(ballast).unwrap();
    cluster.berth(&["scale", "sts/web", "--replicas", "2"]);
    let now = cluster.ready("web", 2).await;
    assert_eq!(pid(&now), pid(&before));
}

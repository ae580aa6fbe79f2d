//! A host that is lost with writes still in its memory: a member of a Failover set whose volume is on a
//! server starts elsewhere only after its old host is cut off from the server, or has let go of it. From
//! the first write of the successor on, the server holds not one byte of the predecessor.
#![expect(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use berth_proto::v1::MemberStatus;
use berth_tests::{
    cluster::Cluster,
    hosts::Hosts,
    machine::{self, run},
    nfs::{Bed, manifest::class, written},
    wait,
};

const MEMBER: &str = "db-0";
/// What a member leaves unwritten; less than the kernel lets a host keep.
const DIRTY: u64 = 64 << 20;

/// Cuts a host off from the server, as a firewall before it does.
const FENCE: &str = r#"#!/bin/bash
while read -r line; do declare "${line%%=*}=${line#*=}"; done
case $action in
off)
    printf '%s\n' "table inet fence { chain input { type filter hook input priority 0; }; }" \
        "add rule inet fence input ip saddr $host tcp dport 2049 counter drop" | nft -f - ;;
status) ! nft list table inet fence | grep -qF "saddr $host " || exit 2 ;;
*) exit 1 ;;
esac
"#;

/// Takes over what is there, and tells by whom; on demand it writes much, and leaves that to the kernel.
fn manifest(shared: &Path) -> String {
    let dir = shared.display();
    let tool = machine::program("nfs_tool");
    let tool = tool.display();
    format!(
        "apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: db }}
spec:
  replicas: 1
  failurePolicy: Failover
  template:
    spec:
      processes:
      - name: main
        user: alice
        command:
        - /bin/bash
        - -c
        - |
          address={{{{ address }}}}; me=h${{address##*.}}
          rm -f {dir}/*.$me
          echo $me > /data/bytes
          sync /data/bytes
          echo $me > {dir}/serves.$me
          until test -e {dir}/write.$me; do sleep 0.2; done
          exec {tool} dirty /data/bytes $me {DIRTY} {dir}/written.$me
        volumeMounts: [{{ name: data, mountPath: /data }}]
  volumeClaimTemplates:
  - metadata: {{ name: data }}
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: server
      resources: {{ requests: {{ storage: 128Mi }} }}
---
"
    )
}

struct Stage<'a> {
    bed: &'a Bed,
    cluster: Cluster,
    _hosts: Hosts<'a>,
    shared: &'a Path,
    export: PathBuf,
}

impl<'a> Stage<'a> {
    async fn start(bed: &'a Bed, shared: &'a Path, more: &str) -> Self {
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(shared, open).unwrap();
        let export = bed.server().export("failover", "");
        let hosts = Hosts::start_with(bed.network(), bed.dir(), more);
        let cluster = hosts.cluster();
        cluster.channel().await;
        let class = class("server", export.to_str().unwrap(), "4.2");
        cluster.apply(&(class + &manifest(shared)));
        Self {
            bed,
            cluster,
            _hosts: hosts,
            shared,
            export,
        }
    }

    /// Waits until the member serves, but not on `lost`, and gives back where.
    async fn serves(&self, lost: &str) -> String {
        let ready = |m: &MemberStatus| m.ready && !m.host.is_empty() && m.host != lost;
        let member = self.cluster.member(MEMBER, "ready elsewhere", ready).await;
        written(&self.shared.join(format!("serves.{}", member.host))).await
    }

    /// Has the member write, and cuts its host off while that is in its memory.
    async fn lose(&self) -> String {
        let host = self.serves("").await;
        fs::write(self.shared.join(format!("write.{host}")), "").unwrap();
        written(&self.shared.join(format!("written.{host}"))).await;
        self.bed.network().cut(&host);
        let arrived = fs::metadata(self.bytes()).unwrap().len();
        assert!(arrived < DIRTY / 2, "{arrived} bytes have been written");
        host
    }

    /// The member's file, on the server.
    fn bytes(&self) -> PathBuf {
        let volumes = fs::read_dir(&self.export).unwrap().flatten();
        let mut files = volumes.map(|volume| volume.path().join("data/bytes"));
        files.find(|file| file.exists()).unwrap()
    }

    /// All that is on the server was written by `host`.
    fn holds_only(&self, host: &str, when: &str) {
        let text = fs::read_to_string(self.bytes()).unwrap();
        let other = text.lines().find(|line| !host.starts_with(line));
        assert_eq!(other, None, "{when}: {} bytes", text.len());
    }

    async fn in_contact(&self, host: &str) {
        wait::until(&format!("{host} to be in contact"), async || {
            let shown = self.cluster.berth(&["get", "hosts", "-o", "json"]);
            let list: serde_json::Value = serde_json::from_str(&shown).unwrap();
            let mut hosts = list.as_array().into_iter().flatten();
            let back = hosts.any(|h| h["name"] == host && h["connected"] == true);
            if back { Ok(()) } else { Err(shown) }
        })
        .await;
    }
}

/// How often a host that is cut off has tried to reach the server.
fn refused() -> u64 {
    let rules = run(Command::new("nft").args(["list", "table", "inet", "fence"]));
    let counts = rules.split("packets ").skip(1);
    let counts = counts.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

fn shared() -> tempfile::TempDir {
    // A member's /tmp is its own.
    let prefix = tempfile::Builder::new()
        .prefix("berth-")
        .tempdir_in("/var/tmp");
    prefix.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_fenced_host_arrives_after_its_successor_began() {
    let bed = Bed::new(2);
    let shared = shared();
    let fence = bed.dir().join("fence");
    fs::write(&fence, FENCE).unwrap();
    fs::set_permissions(&fence, fs::Permissions::from_mode(0o755)).unwrap();
    let mut more = "fencing:\n  hosts:\n".to_owned();
    for (n, host) in (1..).zip(bed.network().hosts()) {
        let command = fence.display();
        more += &format!(
            "    {host}: {{ storage: {{ command: {command}, options: {{ host: 10.99.0.{n} }} }} }}\n"
        );
    }
    let stage = Stage::start(&bed, shared.path(), &more).await;

    let lost = stage.lose().await;
    let successor = stage.serves(&lost).await;
    stage.holds_only(&successor, "with the cable out");
    let before = refused();
    bed.network().mend(&lost);
    wait::until("the old host to try to write", async || {
        let now = refused();
        if now > before { Ok(()) } else { Err(now) }
    })
    .await;
    stage.in_contact(&lost).await;
    stage.holds_only(&successor, "with the cable back");
    run(Command::new("nft").args(["delete", "table", "inet", "fence"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_fence_the_successor_waits_for_the_old_host_itself() {
    let bed = Bed::new(2);
    let shared = shared();
    let stage = Stage::start(&bed, shared.path(), "").await;

    let lost = stage.lose().await;
    let waits = |m: &MemberStatus| {
        let waiting = m.waiting.as_ref();
        waiting.is_some_and(|waiting| waiting.rule == "UnfencedWriter")
    };
    stage
        .cluster
        .member(MEMBER, "waits for a fence", waits)
        .await;
    for host in bed.network().hosts() {
        let serves = shared.path().join(format!("serves.{host}"));
        assert_eq!(serves.exists(), *host == lost, "{host}");
    }
    fs::remove_file(shared.path().join(format!("serves.{lost}"))).unwrap();
    bed.network().mend(&lost);
    let successor = stage.serves("").await;
    stage.holds_only(&successor, "in the end");
}

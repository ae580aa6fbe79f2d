//! Hard limits of plain directories, on the file systems that have project quota: xfs and ext4. Here and
//! not with the other tests of pools, because it takes a kernel that has both.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use berth_proto::v1::MemberStatus;
use berth_tests::{cluster::Cluster, hosts::Hosts, netns::Network, nfs::written, wait};
use serde_json::Value;

const MIB: u64 = 1 << 20;

fn run(command: &str, args: &[&str]) -> String {
    let output = Command::new(command).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command} {args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A file system with project quota; unmounted when it is dropped.
struct Disk(String);

impl Disk {
    fn new(dir: &Path, host: &str, make: &[&str]) -> Self {
        let home = dir.join(host);
        let at = home.join("volumes");
        fs::create_dir_all(&at).unwrap();
        let image = home.join("disk");
        let file = fs::File::create(&image).unwrap();
        file.set_len(400 * MIB).unwrap();
        let image = image.to_str().unwrap();
        run(make[0], &[&make[1..], &[image]].concat());
        let at = at.to_str().unwrap().to_owned();
        run("mount", &["-o", "loop,prjquota", image, &at]);
        Self(at)
    }

    /// What is free of all of it, in KiB.
    fn free(&self) -> u64 {
        df("avail", &self.0)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").args(["-l", &self.0]).output());
    }
}

fn df(what: &str, path: &str) -> u64 {
    let text = run("df", &["-k", &format!("--output={what}"), path]);
    text.lines().last().unwrap().trim().parse().unwrap()
}

/// The project of a file, as the file system has it.
fn project(path: &str) -> String {
    let text = run("lsattr", &["-pd", path]);
    let number = text.split_whitespace().next();
    number.unwrap_or_default().to_owned()
}

/// Members with two volumes: each fills the first until it gets no more, and then writes to the second.
fn set(size: &str) -> String {
    let claim = |name: &str| {
        format!(
            "
  - metadata: {{ name: {name} }}
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: held
      resources: {{ requests: {{ storage: {size} }} }}"
        )
    };
    format!(
        "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{ name: held }}
provisioner: local
parameters: {{ limits: Required }}
allowVolumeExpansion: true
---
apiVersion: berth/v1
kind: StatefulSet
metadata: {{ name: db }}
spec:
  replicas: 2
  podManagementPolicy: Parallel
  template:
    spec:
      terminationGracePeriodSeconds: 1
      processes:
      - name: main
        command:
        - /bin/sh
        - -c
        - |
          dd if=/dev/zero of=/mnt/data/fill bs=64k count=512 conv=fsync 2> /mnt/other/said
          echo $? > /mnt/other/status
          exec tail -f /dev/null
        user: nobody
        volumeMounts:
        - {{ name: data, mountPath: /mnt/data }}
        - {{ name: other, mountPath: /mnt/other }}
  volumeClaimTemplates:{}{}
",
        claim("data"),
        claim("other")
    )
}

async fn limits(cluster: &Cluster, host: &str) {
    wait::until(&format!("the limits of {host}"), async || {
        let text = cluster.try_berth(&["get", "host", host, "-o", "json"]);
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        let found: Value = serde_json::from_str(&text).unwrap_or_default();
        let limits = found["poolStatuses"][0]["limits"] == true;
        limits.then_some(()).ok_or(text)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_held_to_its_size_and_its_neighbour_has_its_own() {
    assert!(
        std::env::var_os("BERTH_GUEST").is_some(),
        "this test belongs into the guest; run: tests/run nfs"
    );
    let dir = tempfile::tempdir().unwrap();
    drop(
        Command::new("modprobe")
            .args(["-qa", "loop", "quota_v2"])
            .output(),
    );
    let ext4 = [
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-O",
        "quota,project",
        "-E",
        "quotatype=prjquota",
    ];
    let disks = [
        Disk::new(dir.path(), "h1", &["mkfs.xfs", "-q"]),
        Disk::new(dir.path(), "h2", &ext4),
    ];
    let network = Network::new(2);
    let berth = Hosts::start(&network, dir.path());
    let cluster = berth.cluster();
    cluster.channel().await;
    for host in ["h1", "h2"] {
        limits(&cluster, host).await;
    }

    cluster.apply(&set("16Mi"));
    let members = cluster.ready("db", 2).await;
    for (host, disk) in ["h1", "h2"].into_iter().zip(&disks) {
        let member = members.values().find(|member| member.host == host).unwrap();
        let volume = |claim: &str| {
            let name = format!("default_{claim}-{}", member.name);
            berth.home(host).join("volumes").join(name).join("data")
        };
        let status = written(&volume("other").join("status")).await;
        let said = fs::read_to_string(volume("other").join("said")).unwrap();
        assert_eq!(status.trim(), "1", "{host}: {said}");
        assert!(
            said.contains("No space left") || said.contains("quota exceeded"),
            "{host}: {said}"
        );
        let filled = fs::metadata(volume("data").join("fill")).unwrap().len();
        assert!(filled <= 16 * MIB && filled > 12 * MIB, "{host}: {filled}");
        assert!(disk.free() > 200 << 10, "{host}: the disk has room");
    }

    // More is there at once, under the running member.
    cluster.apply(&set("24Mi"));
    for (host, name) in members.values().map(|member| (&member.host, &member.name)) {
        let data = format!("default_data-{name}/data");
        let data = berth.home(host).join("volumes").join(data);
        wait::until(&format!("{name} to have more"), async || {
            let size = df("size", data.to_str().unwrap());
            (size == 24 << 10)
                .then_some(())
                .ok_or_else(|| size.to_string())
        })
        .await;
    }
    let after = cluster.ready("db", 2).await;
    for (name, member) in &members {
        assert_eq!(after[name].epoch, member.epoch, "{name} was not restarted");
    }

    taken_back(&berth, &cluster, &members).await;
}

/// Its user may give the data to another project; the next start takes it back.
async fn taken_back(
    berth: &Hosts<'_>,
    cluster: &Cluster,
    members: &BTreeMap<String, MemberStatus>,
) {
    for (name, member) in members {
        let data = format!("default_data-{name}/data");
        let data = berth.home(&member.host).join("volumes").join(data);
        let path = data.to_str().unwrap();
        let before = project(path);
        run("chattr", &["-R", "-p", "4242", path]);
        assert_eq!(project(path), "4242");
        cluster.berth(&["member", "restart", name, "--yes"]);
        wait::until(&format!("{name} to be held again"), async || {
            let now = [project(path), project(&format!("{path}/fill"))];
            (now == [before.clone(), before.clone()])
                .then_some(())
                .ok_or(now)
        })
        .await;
        assert_eq!(df("size", path), 24 << 10);
    }
}
